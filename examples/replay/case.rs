//! A case and its replay.

use super::settings::Settings;
use safetensors::{Dtype, SafeTensors};
use spadework::data::Grid;
use spadework::data::augment::instance_edges;
use spadework::gpu::Gpu;
use spadework::model::{Feed, Generator, Keep, Schedule, Style, Trainer, Training, planar};
use spadework::state::{HostTensor, StateDict};
use spadework::windows::IdMap;
use spadework::{Error, Result};
use std::sync::Arc;

/// A recorded case.
pub struct Case<'a> {
    pub settings: Settings,
    tensors: SafeTensors<'a>,
}

impl<'a> Case<'a> {
    /// Reads the bytes of a case file.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let broken = |e| Error::Data(format!("no safetensors file: {e}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        let config = header.metadata().as_ref().and_then(|m| m.get("config"));
        let config = config.ok_or_else(|| Error::Data("the metadata has no `config`".into()))?;
        Ok(Self {
            settings: Settings::parse(config)?,
            tensors: SafeTensors::deserialize(bytes).map_err(broken)?,
        })
    }

    /// Runs the case and returns its answers by name.
    pub fn replay(&self, gpu: &Arc<Gpu>) -> Result<StateDict> {
        let init = self.state("init.")?;
        let mut answers = StateDict::default();
        if !self.has("step0.in.label") {
            let prefix = if self.has("in.label") { "" } else { "eval." };
            self.evaluate(gpu, &init, prefix, &mut answers)?;
            return Ok(answers);
        }
        let trained = self.train(gpu, init, &mut answers)?;
        if self.has("eval.in.label") {
            self.evaluate(gpu, &trained, "eval.", &mut answers)?;
        }
        answers.extend_prefixed("out.final.", trained);
        Ok(answers)
    }

    /// All iterations; returns the networks after them.
    fn train(&self, gpu: &Arc<Gpu>, init: StateDict, answers: &mut StateDict) -> Result<StateDict> {
        let training = self.training()?;
        let optim = &self.settings.optim;
        let mut trainer = Trainer::new(gpu, training, Keep::Everything)?;
        trainer.load(&init, "")?;
        let steps = (0..).take_while(|i| self.has(&format!("step{i}.in.label")));
        let last = steps.clone().count() - 1;
        let (rate_g, rate_d) = optim.rates(1);
        for i in steps {
            let has_generator_step = i % optim.d_steps_per_g == 0;
            let schedule = Schedule {
                generator: has_generator_step.then_some(rate_g),
                discriminator: rate_d,
            };
            self.iterate(&mut trainer, i, schedule, answers)?;
            if i == last {
                let fake = trainer.read_discriminator_step("fake")?;
                answers.tensors.insert(format!("out.step{i}.fake_D"), fake);
            }
        }
        trainer.weights()
    }

    /// What decides the graphs of its iterations.
    pub fn training(&self) -> Result<Training> {
        let Settings {
            model, loss, optim, ..
        } = &self.settings;
        Ok(Training {
            model: model.clone(),
            loss: loss.clone(),
            betas: optim.betas(),
            ema: None,
            batch_size: self.map("step0.")?.n,
            accumulate: 1,
            vgg_divisor: loss.vgg_loss.then_some(self.settings.vgg_divisor),
        })
    }

    fn iterate(
        &self,
        trainer: &mut Trainer,
        i: usize,
        schedule: Schedule,
        answers: &mut StateDict,
    ) -> Result<()> {
        let step = format!("step{i}.");
        let map = self.map(&step)?;
        let windows = trainer.inputs().tables(&map)?;
        let has_noise = self.settings.model.use_vae;
        let noise = |name: &str| match has_noise {
            true => self.numbers(&format!("{step}in.{name}")),
            false => Ok(Vec::new()),
        };
        let of_generator = match schedule.generator {
            Some(_) => noise("eps_G")?,
            None => Vec::new(),
        };
        let of_discriminator = noise("eps_D")?;
        let feed = Feed {
            photos: &self.photos(&step)?,
            map: &map,
            windows: &windows,
            noise: [&of_generator, &of_discriminator],
        };
        let losses = trainer.step(&feed, schedule)?;
        let mut answer =
            |name: String, tensor| answers.tensors.insert(format!("out.{step}{name}"), tensor);
        for (name, value) in losses.0 {
            answer(format!("loss.{name}"), HostTensor::new([], vec![value]));
        }
        let [generator, discriminator] = trainer.plans().map(|plan| {
            let names = plan.outputs.iter().map(|(name, ..)| name.clone());
            names.collect::<Vec<_>>()
        });
        // Features and gradients are recorded for the first iteration only.
        let is_wanted = |name: &&String| {
            name.starts_with("pred_")
                || i == 0 && (name.starts_with("feat_") || name.starts_with("grad."))
        };
        if schedule.generator.is_some() {
            answer("fake_G".into(), trainer.read_generator_step("fake")?);
            for name in generator
                .iter()
                .filter(|name| *name == "mu" || *name == "logvar")
            {
                let mut code = trainer.read_generator_step(name)?;
                code.shape.truncate(2);
                answer(name.clone(), code);
            }
            for name in generator.iter().filter(is_wanted) {
                answer(name.clone(), trainer.read_generator_step(name)?);
            }
        }
        for name in discriminator.iter().filter(is_wanted) {
            answer(name.clone(), trainer.read_discriminator_step(name)?);
        }
        Ok(())
    }

    /// Pictures of `{prefix}in.label` in evaluation mode.
    fn evaluate(
        &self,
        gpu: &Arc<Gpu>,
        state: &StateDict,
        prefix: &str,
        answers: &mut StateDict,
    ) -> Result<()> {
        let map = self.map(prefix)?;
        let mut generator = Generator::new(gpu, self.settings.model.clone(), state)?;
        let styles = match self.settings.model.use_vae {
            true => self.styles(&mut generator, prefix, answers)?,
            false => Vec::new(),
        };
        let fake = planar(&generator.pictures(&map, &styles)?);
        answers.tensors.insert(format!("out.{prefix}fake"), fake);
        Ok(())
    }

    /// The styles `{prefix}in.z`. Where there are none, those of the photos `{prefix}in.image`, drawn with the noise
    /// `{prefix}in.eps` or, without it, the most likely ones.
    fn styles(
        &self,
        generator: &mut Generator,
        prefix: &str,
        answers: &mut StateDict,
    ) -> Result<Vec<Style>> {
        let z_dim = self.settings.model.z_dim;
        let (image, eps) = (format!("{prefix}in.image"), format!("{prefix}in.eps"));
        let z = format!("{prefix}in.z");
        if self.has(&z) || !self.has(&image) {
            let (_, z) = self.get::<f32>(&z, Dtype::F32)?;
            return z.chunks(z_dim).map(|z| Style::new(z.to_vec())).collect();
        }
        let [h, w] = self.settings.model.output();
        let photos = self.photos(prefix)?;
        let mut noise = vec![0.0; photos.len() / (h * w * 3) * z_dim];
        if self.has(&eps) {
            noise = self.numbers(&eps)?;
        }
        let [mut mu, mut logvar] = [Vec::new(), Vec::new()];
        let mut styles = Vec::new();
        for (photo, noise) in photos.chunks(h * w * 3).zip(noise.chunks(z_dim)) {
            let encoded = generator.encode(photo)?;
            let axes = encoded.mu.iter().zip(&encoded.logvar).zip(noise);
            let drawn = axes.map(|((mu, logvar), noise)| mu + noise * (0.5 * logvar).exp());
            styles.push(Style::new(drawn.collect())?);
            mu.extend(encoded.mu);
            logvar.extend(encoded.logvar);
        }
        for (name, code) in [("mu", mu), ("logvar", logvar)] {
            let code = HostTensor::new([styles.len(), z_dim], code);
            answers.tensors.insert(format!("out.{prefix}{name}"), code);
        }
        Ok(styles)
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.tensor(name).is_ok()
    }

    /// Dimensions and numbers of a tensor.
    fn get<T: bytemuck::Pod>(&self, name: &str, dtype: Dtype) -> Result<(Vec<usize>, Vec<T>)> {
        let tensor = self
            .tensors
            .tensor(name)
            .map_err(|e| Error::Data(format!("tensor {name}: {e}")))?;
        if tensor.dtype() != dtype {
            let found = tensor.dtype();
            return Err(Error::Data(format!(
                "tensor {name} is {found:?}, expected {dtype:?}"
            )));
        }
        let numbers = bytemuck::pod_collect_to_vec(tensor.data());
        Ok((tensor.shape().to_vec(), numbers))
    }

    /// Numbers of a tensor.
    pub fn numbers(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.get(name, Dtype::F32)?.1)
    }

    /// All tensors behind a prefix.
    pub fn state(&self, prefix: &str) -> Result<StateDict> {
        let mut state = StateDict::default();
        for name in self.tensors.names() {
            let Some(short) = name.strip_prefix(prefix) else {
                continue;
            };
            if short.ends_with("num_batches_tracked") {
                let (_, count) = self.get::<i64>(name, Dtype::I64)?;
                state.counters.insert(short.into(), count[0]);
            } else {
                let (dims, numbers) = self.get(name, Dtype::F32)?;
                let tensor = HostTensor::new(dims, numbers);
                state.tensors.insert(short.into(), tensor);
            }
        }
        Ok(state)
    }

    /// The label map of a step, joined with its instance edges.
    pub fn map(&self, prefix: &str) -> Result<IdMap> {
        let (dims, labels) = self.get::<u32>(&format!("{prefix}in.label"), Dtype::I32)?;
        let &[n, 1, h, w] = dims.as_slice() else {
            return Err(Error::Data(format!(
                "tensor {prefix}in.label is {dims:?}, expected N x 1 x H x W"
            )));
        };
        let mut edges = None;
        if self.settings.model.edges {
            let name = format!("{prefix}in.instance");
            let (instance_dims, instances) = self.get::<u32>(&name, Dtype::I32)?;
            if instance_dims != dims {
                return Err(Error::Data(format!(
                    "tensor {name} is {instance_dims:?}, the labels are {dims:?}"
                )));
            }
            let of_image = |ids: &[u32]| instance_edges(&Grid::new(w, h, ids.to_vec()));
            edges = Some(
                instances
                    .chunks(h * w)
                    .flat_map(of_image)
                    .collect::<Vec<_>>(),
            );
        }
        Ok(IdMap::from_labels([n, h, w], &labels, edges.as_deref()))
    }

    /// The photos of a step, N x H x W x 3.
    pub fn photos(&self, prefix: &str) -> Result<Vec<f32>> {
        let name = format!("{prefix}in.image");
        let (dims, planes) = self.get::<f32>(&name, Dtype::F32)?;
        let &[n, 3, h, w] = dims.as_slice() else {
            return Err(Error::Data(format!(
                "tensor {name} is {dims:?}, expected N x 3 x H x W"
            )));
        };
        let pixel = |i: usize| {
            let (image, at) = (i / (h * w), i % (h * w));
            (0..3).map(move |c| (image * 3 + c) * h * w + at)
        };
        Ok((0..n * h * w).flat_map(pixel).map(|i| planes[i]).collect())
    }
}
