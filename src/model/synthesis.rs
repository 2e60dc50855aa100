//! Pictures from label maps, in evaluation mode: the one code path of sample sheets and of synthesis.

use super::generator::{generator, generator_params};
use super::inputs::Inputs;
use super::net::{Mode, Net};
use super::params::Params;
use super::trainer::upload_tables;
use crate::config::ModelConfig;
use crate::gpu::{Executor, Gpu, Store};
use crate::graph::Graph;
use crate::graph::plan::Plan;
use crate::ops::Tensor;
use crate::state::StateDict;
use crate::windows::IdMap;
use crate::{Error, Result};
use std::sync::Arc;

/// The generator in evaluation mode, its pictures the output `fake`.
pub(super) fn synthesis_graph(
    config: &ModelConfig,
    params: &Params,
    inputs: &Inputs,
) -> Result<Graph> {
    if config.use_vae {
        return Err(Error::Usage(
            "use_vae: generators with a style are not built yet".into(),
        ));
    }
    let mut net = Net::new(params, Mode::Evaluation);
    let fake = generator(&mut net, config, inputs)?;
    net.graph.output("fake", fake);
    Ok(net.graph)
}

/// A plan for one number and size of pictures.
pub struct Synthesis {
    inputs: Inputs,
    executor: Executor,
}

impl Synthesis {
    /// Plans pictures of `n` label maps from a first grid of this height and width, over the weights in a store.
    ///
    /// # Errors
    /// If the device cannot hold the plan.
    pub fn new(
        store: &mut Store,
        config: &ModelConfig,
        params: &Params,
        n: usize,
        latent: [usize; 2],
    ) -> Result<Self> {
        let inputs = Inputs::synthesis(config, n, latent);
        let graph = synthesis_graph(config, params, &inputs)?;
        let plan = Plan::new(&graph, &store.gpu().target())?;
        Ok(Self {
            inputs,
            executor: Executor::new(plan, store)?,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        self.executor.plan()
    }

    /// Multiply-adds of the latest picture.
    pub fn executed_macs(&self) -> u64 {
        self.executor.executed_macs()
    }

    /// What it reads.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Pictures in -1..1, N x H x W x 3. The label maps may have any size: they are sampled to the grids.
    ///
    /// # Errors
    /// If an id has no channel, the number of maps is another, or the device was lost.
    pub fn pictures(&mut self, store: &mut Store, map: &IdMap) -> Result<Tensor> {
        let tables = self.inputs.tables(map)?;
        upload_tables(store, &self.inputs, &tables)?;
        self.executor.replay(store)?;
        self.executor.read(store, "fake")
    }
}

/// A trained generator on a device.
pub struct Generator {
    config: ModelConfig,
    params: Params,
    store: Store,
    latest: Option<Synthesis>,
}

impl Generator {
    /// Puts weights, named as in a checkpoint (`G.fc.weight`), on a device.
    ///
    /// # Errors
    /// If a tensor is missing or has other dimensions than the configuration asks for.
    pub fn new(gpu: &Arc<Gpu>, config: ModelConfig, weights: &StateDict) -> Result<Self> {
        config.validate()?;
        let params = generator_params(&config);
        let mut store = Store::new(gpu.clone());
        for spec in params.specs() {
            let values = spec.find(&weights.tensors)?;
            store.create(&spec.name, crate::graph::Ty::Dense(spec.shape()))?;
            store.write(&spec.name, &values)?;
        }
        Ok(Self {
            config,
            params,
            store,
            latest: None,
        })
    }

    /// The configuration of the networks.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Multiply-adds of the latest pictures.
    pub fn executed_macs(&self) -> u64 {
        self.latest.as_ref().map_or(0, Synthesis::executed_macs)
    }

    /// Pictures in -1..1, N x H x W x 3, at the size the generator was trained for.
    ///
    /// # Errors
    /// As [`Generator::pictures_at`].
    pub fn pictures(&mut self, map: &IdMap) -> Result<Tensor> {
        self.pictures_at(map, self.config.output())
    }

    /// Pictures of another height and width, which must be multiples of [`ModelConfig::scale`].
    ///
    /// # Errors
    /// If the size is no such multiple, an id has no channel, or the device cannot hold the plan.
    pub fn pictures_at(&mut self, map: &IdMap, size: [usize; 2]) -> Result<Tensor> {
        let mut synthesis = self.synthesis(map.n, size)?;
        let pictures = synthesis.pictures(&mut self.store, map);
        self.latest = Some(synthesis);
        pictures
    }

    /// The plan for this number and size of pictures: the latest one if it fits.
    fn synthesis(&mut self, n: usize, [h, w]: [usize; 2]) -> Result<Synthesis> {
        let scale = self.config.scale();
        if h == 0 || w == 0 || h % scale != 0 || w % scale != 0 {
            return Err(Error::Usage(format!(
                "size {w}x{h}: both sides must be multiples of {scale} for num_upsampling_layers = \"{}\"",
                self.config.upsampling
            )));
        }
        let fits = |plan: &Synthesis| plan.inputs.n() == n && plan.inputs.output() == [h, w];
        match self.latest.take().filter(fits) {
            Some(plan) => Ok(plan),
            None => {
                let latent = [h / scale, w / scale];
                let (store, config) = (&mut self.store, &self.config);
                Synthesis::new(store, config, &self.params, n, latent)
            }
        }
    }
}
