//! Training on a device: two plans an iteration over one store of weights, statistics and moments.

mod build;
mod iteration;
mod tensors;

use super::calibration::Calibration;
use super::cost::plans;
use super::encoding::Encoding;
use super::fit::{advise, refuse_beyond};
use super::footprint::{Footprint, most_texel_layers};
use super::init::initial;
use super::inputs::{Inputs, padded};
use super::net::{average, has_average};
use super::params::{Counter, ParamSpec, Params, Role};
use super::room::Room;
use super::step::{
    FINITE, FIRST, Keep, LAST, SHARE, SOUND, Training, factor_name, first_moment, hyper_name,
    second_moment,
};
use super::style::{Encoded, Style};
use super::synthesis::{Look, Synthesis};
use crate::config::LossConfig;
use crate::gpu::{Executor, Gpu, Profile, Store};
use crate::graph::Shape;
use crate::graph::plan::Plan;
use crate::graph::recompute::Recompute;
use crate::ops::Tensor;
use crate::ops::texels::LAYER_BYTES;
use crate::state::{AVERAGES, HostTensor, StateDict};
use crate::windows::IdMap;
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A batch as the device takes it.
#[derive(Clone, Copy, Debug)]
pub struct Feed<'a> {
    /// Photos in -1..1, N x H x W x 3.
    pub photos: &'a [f32],
    /// Labels and edges as symbols, at the size of the photos.
    pub map: &'a IdMap,
    /// Packed tables, in the order of [`Inputs::specs`], of each part of the batch in turn.
    pub windows: &'a [Vec<u32>],
    /// Standard normal noise that the generator's and the discriminator's step draw their styles with, N x `z_dim`
    /// each; empty without an encoder.
    pub noise: [&'a [f32]; 2],
}

/// What one iteration does.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Learning rate of the generator; none leaves its step out.
    pub generator: Option<f64>,
    /// Learning rate of the discriminator.
    pub discriminator: f64,
}

/// Losses of an iteration by their published names, weighted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses(pub Vec<(&'static str, f32)>);

/// A step's plan on the device.
struct Step {
    /// `G` or `D`, the network it changes.
    network: &'static str,
    executor: Executor,
    /// Losses, and which scalar of the plan each is.
    losses: Vec<(&'static str, usize)>,
    /// Which scalar tells whether all numbers were finite.
    verdict: usize,
    /// Which scalar tells whether losses and statistics were.
    sound: usize,
    /// Scalars of the last replay.
    scalars: Vec<f32>,
    /// Updates so far.
    updates: u64,
}

/// Networks in training.
pub struct Trainer {
    training: Training,
    params: Params,
    inputs: Inputs,
    store: Store,
    generator: Step,
    discriminator: Step,
    counters: BTreeMap<String, i64>,
    /// What both steps take on the device, and what has room beside them.
    footprint: Footprint,
    room: Room,
    /// What they compute again to take no more.
    recompute: Recompute,
    /// Multiply-adds of the last iteration.
    executed_macs: u64,
    /// Whether the generator has taken a step that the discriminator has not answered yet.
    is_halfway: bool,
    /// Whether weights change one after the other within a step.
    updates_early: bool,
    /// Whether an update ended at a gradient that is not finite, when weights before it had changed already.
    is_torn: bool,
}

impl Trainer {
    /// Changes the weights of the losses, from the next iteration on. Other settings of them stay.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn weigh(&mut self, loss: &LossConfig) -> Result<()> {
        let own = &mut self.training.loss;
        own.lambda_feat = loss.lambda_feat;
        own.lambda_vgg = loss.lambda_vgg;
        own.lambda_kld = loss.lambda_kld;
        self.write_factors()
    }

    fn write_factors(&mut self) -> Result<()> {
        for step in [&self.generator, &self.discriminator] {
            for (name, _) in &step.losses {
                let factor = self.training.factor(name);
                self.store
                    .write(&factor_name(name), &[factor, 0.0, 0.0, 0.0])?;
            }
        }
        Ok(())
    }

    /// Draws first values for everything that does not come from a file.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn initialise(&mut self, seed: u64) -> Result<()> {
        for spec in self.params.specs() {
            if let Some(values) = initial(spec, seed) {
                self.store.write(&spec.name, &spec.pack(&values)?)?;
            }
        }
        Ok(())
    }

    /// What the graphs were built from.
    pub fn training(&self) -> &Training {
        &self.training
    }

    /// The device.
    pub fn gpu(&self) -> &Arc<Gpu> {
        self.store.gpu()
    }

    /// What each part of a batch must bring.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// All tensors of the networks.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Plans of the generator's and the discriminator's step.
    pub fn plans(&self) -> [&Plan; 2] {
        [&self.generator, &self.discriminator].map(|step| step.executor.plan())
    }

    /// Bytes that are taken on the device: weights, moments, inputs, workspace, and what is read after a step. What is
    /// read after other plans over the same store, these count themselves.
    pub fn bytes(&self) -> u64 {
        let steps = [&self.generator.executor, &self.discriminator.executor];
        let own: u64 = steps.iter().map(|step| step.own_bytes()).sum();
        let outgrown = steps
            .iter()
            .flat_map(|step| step.outgrown_texels(&self.store));
        let outgrown: BTreeSet<(usize, u32)> = outgrown.collect();
        let outgrown = outgrown
            .iter()
            .map(|&(_, layers)| u64::from(layers) * LAYER_BYTES);
        self.store.bytes() + own + outgrown.sum::<u64>()
    }

    /// What the plans say that the steps take, and whatever has room beside them, by what it is for.
    pub fn footprint(&self) -> Footprint {
        self.footprint
    }

    /// What the steps compute again rather than keep: more where a limit leaves no other way.
    pub fn recompute(&self) -> Recompute {
        self.recompute
    }

    /// Multiply-adds of the last iteration.
    pub fn executed_macs(&self) -> u64 {
        self.executed_macs
    }

    /// Packed tables of a batch, as [`Feed`] takes them.
    ///
    /// # Errors
    /// If the map has another number of samples than a batch, or an id has no channel.
    pub fn tables(&self, map: &IdMap) -> Result<Vec<Vec<u32>>> {
        let mut tables = Vec::new();
        for part in map.parts(self.training.accumulate) {
            tables.extend(self.inputs.tables(&part)?);
        }
        Ok(tables)
    }

    /// The pictures of the last part of the last generator step, training mode, N x H x W x 3.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn pictures(&self) -> Result<Tensor> {
        self.generator.executor.read(&self.store, "fake")
    }

    /// An output of the last generator step, gradients of the whole batch and everything else of its last part; see [`Keep`].
    ///
    /// # Errors
    /// If it was not kept, or the device was lost.
    pub fn read_generator_step(&self, output: &str) -> Result<HostTensor> {
        self.read(&self.generator, output)
    }

    /// An output of the last discriminator step; see [`Keep`].
    ///
    /// # Errors
    /// If it was not kept, or the device was lost.
    pub fn read_discriminator_step(&self, output: &str) -> Result<HostTensor> {
        self.read(&self.discriminator, output)
    }

    fn read(&self, step: &Step, output: &str) -> Result<HostTensor> {
        let values = step.executor.read_padded(&self.store, output)?;
        let spec = output
            .strip_prefix("grad.")
            .and_then(|n| self.params.get(n));
        Ok(match spec {
            Some(spec) => HostTensor::new(spec.dims.clone(), spec.unpack(&values)),
            None => planar(&step.executor.read(&self.store, output)?),
        })
    }

    /// A plan for estimating running statistics anew, over as many pictures at once as training computes.
    ///
    /// # Errors
    /// If the device cannot hold the plan.
    pub fn calibration(&mut self) -> Result<Calibration> {
        Calibration::new(&mut self.store, &self.training, &self.params)
    }

    /// Puts the mean of all statistics taken in place of the running ones: those of the average where one is kept.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn recalibrate(&mut self, calibration: &mut Calibration) -> Result<()> {
        calibration.settle(&mut self.store)
    }

    /// A plan for pictures of `n` label maps with the weights in training or, where one is kept, their average, in
    /// evaluation mode; it changes no state.
    ///
    /// # Errors
    /// If the device cannot hold the plan.
    pub fn synthesis(&mut self, n: usize) -> Result<Synthesis> {
        let model = &self.training.model;
        let look = Look::in_training(&self.training);
        let (store, latent) = (&mut self.store, model.latent());
        Synthesis::new(store, model, &self.params, n, latent, look)
    }

    /// Pictures of label maps with the weights in training: the code path of synthesis from a checkpoint.
    ///
    /// # Errors
    /// As [`Synthesis::pictures`].
    pub fn synthesise(
        &mut self,
        synthesis: &mut Synthesis,
        map: &IdMap,
        styles: &[Style],
    ) -> Result<Tensor> {
        synthesis.pictures(&mut self.store, map, styles)
    }

    /// A plan for styles of photos with the weights in training, in evaluation mode; none without an encoder.
    ///
    /// # Errors
    /// If the device cannot hold the plan.
    pub fn encoding(&mut self) -> Result<Option<Encoding>> {
        let model = &self.training.model;
        match model.use_vae {
            true => Encoding::new(&mut self.store, model, &self.params, false).map(Some),
            false => Ok(None),
        }
    }

    /// What the encoder in training says of a photo.
    ///
    /// # Errors
    /// As [`Encoding::encode`].
    pub fn encode(&mut self, encoding: &mut Encoding, photo: &[f32]) -> Result<Encoded> {
        encoding.encode(&mut self.store, photo)
    }
}

impl Step {
    fn new(network: &'static str, executor: Executor, losses: &[&'static str]) -> Result<Self> {
        let place = |name: &str| {
            let found = executor.scalar_names().position(|scalar| scalar == name);
            found.ok_or_else(|| Error::Shape {
                op: "step",
                message: format!("its plan has no scalar `{name}`"),
            })
        };
        let loss = |&name: &&'static str| Ok((name, place(&format!("loss.{name}"))?));
        Ok(Self {
            network,
            losses: losses.iter().map(loss).collect::<Result<_>>()?,
            verdict: place(FINITE)?,
            sound: place(SOUND)?,
            executor,
            scalars: Vec::new(),
            updates: 0,
        })
    }
}

/// From N x H x W x C to N x C x H x W; a scalar loses its dimensions.
pub fn planar(tensor: &Tensor) -> HostTensor {
    let Shape { n, h, w, c } = tensor.shape();
    let mut values = Vec::with_capacity(n * h * w * c);
    for (image, channel) in (0..n).flat_map(|n| (0..c).map(move |c| (n, c))) {
        let pixels = &tensor.data()[image * h * w * c..][..h * w * c];
        values.extend(pixels.iter().skip(channel).step_by(c).map(|&v| v as f32));
    }
    match tensor.shape() == Shape::scalar() {
        true => HostTensor::new([], values),
        false => HostTensor::new([n, c, h, w], values),
    }
}
