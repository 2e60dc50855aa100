//! Training on a device: two plans an iteration over one store of weights, statistics and moments.

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
    FINITE, Keep, SHARE, SOUND, Training, factor_name, first_moment, hyper_name, second_moment,
};
use super::style::{Encoded, Style};
use super::synthesis::{Look, Synthesis};
use crate::config::LossConfig;
use crate::gpu::{Executor, Gpu, Profile, Store};
use crate::graph::Shape;
use crate::graph::plan::Plan;
use crate::graph::recompute::Recompute;
use crate::ops::Tensor;
use crate::ops::adam::Adam;
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
    /// Packed tables, in the order of [`Inputs::specs`].
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
    /// Whether the generator has taken a step that the discriminator has not answered yet.
    is_halfway: bool,
    /// Whether weights change one after the other within a step.
    updates_early: bool,
    /// Whether an update ended at a gradient that is not finite, when weights before it had changed already.
    is_torn: bool,
}

impl Trainer {
    /// Builds and compiles both steps. Nothing has a value yet: [`Trainer::initialise`] or [`Trainer::load`] follows.
    ///
    /// # Errors
    /// If a setting is not supported, or the device cannot hold the plans; then the message says what would fit.
    pub fn new(gpu: &Arc<Gpu>, training: Training, keep: Keep) -> Result<Self> {
        Self::within(gpu, training, keep, Room::default())
    }

    /// As [`Trainer::new`], with room for more, and within so many bytes of the device. Where all of it would take more,
    /// the steps compute more again rather than keep it ([`Recompute`]).
    ///
    /// # Errors
    /// As [`Trainer::new`], and if it takes more even so; then nothing has been allocated.
    pub fn within(gpu: &Arc<Gpu>, training: Training, keep: Keep, room: Room) -> Result<Self> {
        let built = Self::build(gpu, training.clone(), keep, room);
        built.map_err(|error| advise(error, &training, &gpu.target(), room))
    }

    fn build(gpu: &Arc<Gpu>, training: Training, keep: Keep, room: Room) -> Result<Self> {
        let params = training.params();
        let mut recompute = Recompute::default();
        let beside = room.plans(&training, &params, &gpu.target())?;
        let plan = |recompute| -> Result<_> {
            let plans = plans(&training, &params, keep, &gpu.target(), recompute)?;
            let footprint = Footprint::of(&[&plans[0], &plans[1]], &beside);
            Ok((plans, footprint))
        };
        let (mut steps, mut footprint) = plan(recompute)?;
        if refuse_beyond(room.limit, &footprint).is_err() {
            recompute = Recompute::Layers;
            (steps, footprint) = plan(recompute)?;
            refuse_beyond(room.limit, &footprint)?;
        }
        let mut store = Store::new(gpu.clone());
        store.texels(&most_texel_layers(steps.iter().chain(&beside)))?;
        let [generator, discriminator] = steps;
        let mut step = |network, plan, losses: Vec<_>| {
            Step::new(network, Executor::new(plan, &mut store)?, &losses)
        };
        let generator = step("G", generator, training.generator_losses())?;
        let discriminator = step("D", discriminator, training.discriminator_losses())?;
        store.write(FINITE, &[1.0, 0.0, 0.0, 0.0])?;
        let zero = |counter: &Counter| (counter.name.clone(), 0);
        let mut trainer = Self {
            inputs: training.inputs(),
            counters: params.counters().iter().map(zero).collect(),
            training,
            params,
            store,
            generator,
            discriminator,
            footprint,
            room,
            recompute,
            is_halfway: false,
            updates_early: keep.updates_early(),
            is_torn: false,
        };
        trainer.write_factors()?;
        Ok(trainer)
    }

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

    /// What a batch must bring.
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

    /// Multiply-adds of the last step of each network.
    pub fn executed_macs(&self) -> u64 {
        let steps = [&self.generator, &self.discriminator];
        steps.iter().map(|step| step.executor.executed_macs()).sum()
    }

    /// One iteration: the generator's step, then the discriminator's.
    ///
    /// # Errors
    /// If a loss or gradient is not finite. A loss stops the step in question before it changes anything, and so does a
    /// gradient where they are kept ([`Keep`]). Otherwise weights whose gradients came before have changed: the message
    /// says so, and this trainer takes no step any more. If the batch does not fit, or the device was lost.
    pub fn step(&mut self, feed: &Feed, schedule: Schedule) -> Result<Losses> {
        self.refuse_torn()?;
        // All of it is refused or accepted before anything runs, so a wrong batch changes nothing.
        self.upload(feed)?;
        if schedule.generator.is_some() {
            self.upload_noise("G", feed.noise[0])?;
        }
        self.upload_noise("D", feed.noise[1])?;
        let start = Instant::now();
        let adam = self.training.optimiser();
        if let Some(rate) = schedule.generator {
            if let Some(decay) = self.training.ema {
                let share = share(decay, self.generator.updates);
                self.store.write(SHARE, &[share, 0.0, 0.0, 0.0])?;
            }
            self.generator.submit(&mut self.store, &adam, rate)?;
        }
        let rate = schedule.discriminator;
        self.discriminator.submit(&mut self.store, &adam, rate)?;
        let mut losses = Losses::default();
        if schedule.generator.is_some() {
            self.settle(false, &mut losses)?;
            self.is_halfway = true;
        }
        self.settle(true, &mut losses)?;
        self.is_halfway = false;
        self.fit_slices(start.elapsed(), schedule.generator.is_some());
        Ok(losses)
    }

    /// One iteration, telling where the time of the device goes in the generator's and in the discriminator's step;
    /// `rates` are their learning rates.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub fn profile(&mut self, feed: &Feed, rates: (f64, f64)) -> Result<[Profile; 2]> {
        self.refuse_torn()?;
        self.upload(feed)?;
        self.upload_noise("G", feed.noise[0])?;
        self.upload_noise("D", feed.noise[1])?;
        let adam = self.training.optimiser();
        let [first, second] = [&mut self.generator, &mut self.discriminator];
        let profiles = [
            first.profile(&mut self.store, &adam, rates.0)?,
            second.profile(&mut self.store, &adam, rates.1)?,
        ];
        let mut losses = Losses::default();
        self.settle(false, &mut losses)?;
        self.settle(true, &mut losses)?;
        Ok(profiles)
    }

    /// Whether the state is that between two iterations: not if the last one failed after the generator's step or in the
    /// middle of an update.
    pub fn is_between_iterations(&self) -> bool {
        !self.is_halfway && !self.is_torn
    }

    fn refuse_torn(&self) -> Result<()> {
        match self.is_torn {
            false => Ok(()),
            true => Err(Error::NonFinite(
                "an update before stopped at a gradient that is not finite, with some weights changed and others not: \
                 load a checkpoint into a new trainer"
                    .into(),
            )),
        }
    }

    /// Fits the submissions to the speed of the iteration just done.
    fn fit_slices(&mut self, elapsed: Duration, with_generator: bool) {
        let [generator, discriminator] = [&mut self.generator, &mut self.discriminator];
        let mut macs = discriminator.executor.executed_macs();
        if with_generator {
            macs += generator.executor.executed_macs();
        }
        let rate = macs as f64 / elapsed.as_secs_f64().max(1e-6);
        generator.executor.fit_slices(rate);
        discriminator.executor.fit_slices(rate);
    }

    /// Reads a step's losses and verdict, and counts it if it took place.
    fn settle(&mut self, is_discriminator: bool, losses: &mut Losses) -> Result<()> {
        let step = match is_discriminator {
            false => &mut self.generator,
            true => &mut self.discriminator,
        };
        step.executor.read_scalars(&mut step.scalars)?;
        let is_finite = step.scalars[step.verdict] == 1.0;
        let weighted = |&(name, i): &(&'static str, usize)| {
            let value: f32 = step.scalars[i];
            (name, self.training.factor(name) * value)
        };
        let own = step.losses.iter().map(weighted);
        if !is_finite {
            let list: Vec<_> = own.map(|(name, v)| format!("{name} {v}")).collect();
            self.store.write(FINITE, &[1.0, 0.0, 0.0, 0.0])?;
            let name = ["generator", "discriminator"][usize::from(is_discriminator)];
            let is_sound = step.scalars[step.sound] == 1.0;
            let what = ["loss or statistic", "gradient"][usize::from(is_sound)];
            self.is_torn |= is_sound && self.updates_early;
            let since = match self.is_torn {
                false => {
                    "the update was not made, and weights, moments and statistics are as they were before it"
                }
                true => {
                    "the update stopped there, and weights whose gradients came before it have changed, so that nothing \
                     is saved of it"
                }
            };
            return Err(Error::NonFinite(format!(
                "update {} of the {name}: a {what} is not finite ({}); {since}",
                step.updates + 1,
                list.join(", ")
            )));
        }
        losses.0.extend(own);
        step.updates += 1;
        for counter in self.params.counters() {
            if counter.advances {
                *self.counters.entry(counter.name.clone()).or_default() += 1;
            }
        }
        Ok(())
    }

    fn upload(&mut self, feed: &Feed) -> Result<()> {
        let [h, w] = self.inputs.output();
        let n = self.inputs.n();
        if [feed.map.n, feed.map.h, feed.map.w] != [n, h, w] || feed.photos.len() != n * h * w * 3 {
            return Err(Error::Data(format!(
                "a batch of {} label maps of {}x{} pixels and {} numbers of photos, where the model takes {n} pictures \
                 of {w}x{h}",
                feed.map.n,
                feed.map.w,
                feed.map.h,
                feed.photos.len()
            )));
        }
        self.inputs.upload(&mut self.store, feed.windows)?;
        if self.training.model.num_d > 1 {
            let symbols = self.inputs.symbols_name();
            self.store.write_index(&symbols, &feed.map.ids)?;
        }
        let photos = padded(feed.photos, 3);
        self.store.write(&self.inputs.photos_name(), &photos)
    }

    /// Noise for the styles of a step, where there are any.
    fn upload_noise(&mut self, step: &str, noise: &[f32]) -> Result<()> {
        if !self.training.model.use_vae {
            return Ok(());
        }
        let shape = self.inputs.styles_shape();
        if noise.len() != shape.len() {
            return Err(Error::Data(format!(
                "{} numbers of noise for the step of {step}, where {} styles have {} coordinates",
                noise.len(),
                shape.n,
                shape.c
            )));
        }
        let rows = padded(noise, shape.c);
        self.store.write(&self.inputs.noise_name(step), &rows)
    }

    /// The pictures of the last generator step, training mode, N x H x W x 3.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn pictures(&self) -> Result<Tensor> {
        self.generator.executor.read(&self.store, "fake")
    }

    /// An output of the last generator step; see [`Keep`].
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

    /// Finds room for sample sheets within the limit, if there is one and no room has been kept for them.
    ///
    /// # Errors
    /// If there is not enough left. Then nothing has changed.
    pub fn make_room_for_sheets(&mut self) -> Result<()> {
        if self.room.sheets || self.room.limit.is_none() {
            return Ok(());
        }
        let room = Room {
            sheets: true,
            ..self.room
        };
        let beside = room.plans(&self.training, &self.params, &self.store.gpu().target())?;
        let steps = self.plans();
        let mut footprint = Footprint::of(&steps, &beside);
        let most = most_texel_layers(steps.into_iter().chain(&beside));
        // The steps hold the textures that are too small for what is new.
        let outgrown = most.iter().enumerate().map(|(i, &layers)| {
            let have = self.store.texel_layers(i);
            u64::from(if layers > have { have } else { 0 }) * LAYER_BYTES
        });
        footprint.sheets += outgrown.sum::<u64>();
        refuse_beyond(room.limit, &footprint).map_err(|error| {
            Error::Device(format!(
                "{error}: there is no room to draw with the networks in training; a larger memory_limit has, and \
                 display_freq above 0 keeps it from the start, at the price of layers computed again (both may change \
                 with --resume)"
            ))
        })?;
        self.store.texels(&most)?;
        (self.room, self.footprint) = (room, footprint);
        Ok(())
    }

    /// A plan for estimating running statistics anew, over batches as large as training's.
    ///
    /// # Errors
    /// If the device cannot hold the plan.
    pub fn calibration(&mut self) -> Result<Calibration> {
        Calibration::new(&mut self.store, &self.training, &self.params)
    }

    /// Takes the statistics of a batch; nothing changes yet.
    ///
    /// # Errors
    /// If the batch does not fit, or the device was lost.
    pub fn observe(&mut self, calibration: &mut Calibration, feed: &Feed) -> Result<()> {
        self.upload(feed)?;
        self.upload_noise("G", feed.noise[0])?;
        calibration.observe(&mut self.store)
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

/// Share of the newest weights in their moving average after so many updates.
///
/// The decay comes into force gradually: the first weights are noise, and a decay of 0.999 would show them for
/// thousands of updates.
fn share(decay: f64, updates: u64) -> f32 {
    let t = updates as f64;
    (1.0 - decay.min((1.0 + t) / (10.0 + t))) as f32
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

    fn submit(&mut self, store: &mut Store, adam: &Adam, rate: f64) -> Result<()> {
        let hyper = adam.hyper(rate, self.updates + 1);
        store.write(&hyper_name(self.network), &hyper)?;
        self.executor.replay(store)
    }

    fn profile(&mut self, store: &mut Store, adam: &Adam, rate: f64) -> Result<Profile> {
        let hyper = adam.hyper(rate, self.updates + 1);
        store.write(&hyper_name(self.network), &hyper)?;
        self.executor.profile(store)
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
