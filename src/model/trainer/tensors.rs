//! Tensors of a training from and to files: networks, their moving average, moments and counters.

use super::*;

impl Trainer {
    /// Takes over the tensors whose names begin with `network`: `G.`, `D.`, `E.`, `vgg.`, or nothing for all. Missing counters
    /// of batches count as 0.
    ///
    /// # Errors
    /// If a tensor is missing or has other dimensions.
    pub fn load(&mut self, state: &StateDict, network: &str) -> Result<()> {
        for spec in self.params.specs() {
            if spec.name.starts_with(network) {
                let values = spec.find(&state.tensors)?;
                self.store.write(&spec.name, &values)?;
            }
        }
        if network.is_empty() {
            self.load_average(state)?;
        }
        for (name, value) in &mut self.counters {
            if name.starts_with(network) {
                *value = state.counters.get(name).copied().unwrap_or(0);
            }
        }
        Ok(())
    }

    /// Takes over the generator's moving average, where one is kept.
    ///
    /// # Errors
    /// If a tensor is missing or has other dimensions.
    pub fn load_average(&mut self, state: &StateDict) -> Result<()> {
        for spec in self.average_specs() {
            let values = spec.find(&state.tensors)?;
            self.store.write(&spec.name, &values)?;
        }
        Ok(())
    }

    /// Starts the generator's moving average, where one is kept, with the generator as it is.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn start_average(&mut self) -> Result<()> {
        for spec in self.average_specs() {
            let values = self.store.read(&spec.name[AVERAGES.len()..])?;
            self.store.write(&spec.name, &values)?;
        }
        Ok(())
    }

    /// The moving average's tensors.
    pub(super) fn average_specs(&self) -> Vec<ParamSpec> {
        let is_kept = self.training.ema.is_some();
        let specs = self.params.specs().iter();
        specs
            .filter(|spec| is_kept && has_average(&spec.name))
            .map(|spec| ParamSpec {
                name: average(&spec.name),
                ..spec.clone()
            })
            .collect()
    }

    /// Takes over Adam's moments and numbers of updates, as [`Trainer::moments`] and [`Trainer::updates`] gave them.
    ///
    /// # Errors
    /// If a tensor or number is missing or has other dimensions.
    pub fn load_moments(
        &mut self,
        moments: &BTreeMap<String, HostTensor>,
        updates: &BTreeMap<String, u64>,
    ) -> Result<()> {
        for spec in self.moment_specs() {
            let values = spec.find(moments)?;
            self.store.write(&spec.name, &values)?;
        }
        for step in [&mut self.generator, &mut self.discriminator] {
            let count = updates.get(step.network).copied();
            step.updates = count.ok_or_else(|| {
                Error::Data(format!(
                    "the number of updates of {} is missing",
                    step.network
                ))
            })?;
        }
        Ok(())
    }

    /// Weights, statistics and counters of all networks, waiting for the device.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn weights(&self) -> Result<StateDict> {
        Ok(StateDict {
            tensors: self.export(self.saved_specs().iter())?,
            counters: self.counters.clone(),
        })
    }

    /// The tensors of [`Trainer::weights`].
    pub fn saved_specs(&self) -> Vec<ParamSpec> {
        let own = |spec: &&ParamSpec| spec.role != Role::Frozen;
        let own = self.params.specs().iter().filter(own).cloned();
        own.chain(self.average_specs()).collect()
    }

    /// How many batches norms have counted.
    pub fn counters(&self) -> &BTreeMap<String, i64> {
        &self.counters
    }

    /// One of [`Trainer::saved_specs`] or [`Trainer::moment_specs`], waiting for the device.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn read_tensor(&self, spec: &ParamSpec) -> Result<HostTensor> {
        let values = spec.unpack(&self.store.read(&spec.name)?);
        Ok(HostTensor::new(spec.dims.clone(), values))
    }

    /// Adam's moments, `m.` or `v.` and the name of the parameter, waiting for the device.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn moments(&self) -> Result<BTreeMap<String, HostTensor>> {
        self.export(self.moment_specs().iter())
    }

    /// Updates of each network so far, `G` (with the encoder) and `D`.
    pub fn updates(&self) -> BTreeMap<String, u64> {
        let steps = [&self.generator, &self.discriminator];
        steps
            .map(|step| (step.network.to_owned(), step.updates))
            .into()
    }

    pub(super) fn export<'s>(
        &self,
        specs: impl Iterator<Item = &'s ParamSpec>,
    ) -> Result<BTreeMap<String, HostTensor>> {
        let export = |spec: &ParamSpec| Ok((spec.name.clone(), self.read_tensor(spec)?));
        specs.map(export).collect()
    }

    /// Adam's moments as tensors of their own.
    pub fn moment_specs(&self) -> Vec<ParamSpec> {
        let has_first = self.training.betas.0 != 0.0;
        let renamed = |spec: &ParamSpec, name| ParamSpec {
            name,
            ..spec.clone()
        };
        let moments = |spec: &ParamSpec| {
            let first = has_first.then(|| renamed(spec, first_moment(&spec.name)));
            first
                .into_iter()
                .chain([renamed(spec, second_moment(&spec.name))])
                .collect::<Vec<_>>()
        };
        self.params.trained("").flat_map(moments).collect()
    }
}
