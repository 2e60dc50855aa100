//! A run from its first or any later iteration to its end.
//!
//! What happens in an iteration depends on the checkpoint before it alone, so a run that was stopped and resumed goes
//! on bit for bit as one that was not.

mod aftermath;
mod estimate;
mod parts;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};

use super::checkpoint::{Checkpoint, Origin, Progress};
use super::event::{End, Listener, Started, StepReport, TrainEvent};
use super::knob::{Change, Knob};
use super::orders::{Next, Order, Orders};
use super::report;
use super::run::RunFolder;
use super::sheet::Samples;
use super::sketch::Sketch;
use super::tensorboard::EventFile;
use crate::config::Config;
use crate::convert::Network;
use crate::data::{Batch, Batcher, LabelSpace, Loader, Position};
use crate::gpu::Gpu;
use crate::graph::half::Storage;
use crate::model::init::normal;
use crate::model::{Calibration, Feed, Losses, Schedule, Trainer};
use crate::ops::winograd::{Choices, Filtering};
use crate::picture::{self, Picture};
use crate::state::{AVERAGES, StateDict};
use crate::{Error, Result};
use aftermath::Mark;
use parts::Parts;

/// An epoch that training never reaches: its batches are those that running statistics are estimated over.
const CALIBRATION_EPOCH: u64 = u64::MAX;

/// A run in progress.
pub struct Session {
    config: Config,
    space: LabelSpace,
    run: RunFolder,
    events: Option<EventFile>,
    trainer: Trainer,
    loader: Loader,
    batcher: Arc<Batcher>,
    calibration: Option<Calibration>,
    calibrated_step: Option<u64>,
    samples: Samples,
    progress: Progress,
    origin: Origin,
    notices: Vec<String>,
    saved: Option<Mark>,
    orders: Orders,
}

impl Session {
    /// Starts a run in a new folder. The folder is made last: a run that cannot start leaves nothing behind.
    ///
    /// # Errors
    /// If the options, the data or the device cannot be used, or the folder holds anything.
    pub fn start(gpu: &Arc<Gpu>, config: Config, space: LabelSpace, root: &Path) -> Result<Self> {
        Self::start_from(gpu, config, space, &StateDict::default(), root)
    }

    /// As [`Session::start`], with networks that are there already; those that are not are drawn anew. Adam's moments and
    /// the schedule begin anew in any case.
    ///
    /// # Errors
    /// As [`Session::start`], and if a network's tensors do not fit the configuration.
    pub fn start_from(
        gpu: &Arc<Gpu>,
        config: Config,
        space: LabelSpace,
        networks: &StateDict,
        root: &Path,
    ) -> Result<Self> {
        RunFolder::refuse_used(root)?;
        let mut config = config.resolve(&space)?;
        config.refuse_idle()?;
        let gpu = &storing(gpu, &config)?;
        let parts = Parts::open(gpu, &config, &space, None)?;
        let origin = origin(gpu, parts.methods());
        let mut notices = parts.notices;
        notices.extend(tuning(gpu, &origin.methods));
        let mut trainer = parts.trainer;
        // What a limit chose stays, so that the run goes on to the same bits.
        config.train.accumulate = trainer.training().accumulate;
        trainer.initialise(config.train.seed)?;
        let is_trained =
            |trainer: &Trainer, prefix: &str| trainer.params().trained(prefix).next().is_some();
        for network in Network::ALL {
            let prefix = format!("{}.", network.letter());
            let is_there = networks
                .tensors
                .keys()
                .any(|name| name.starts_with(&prefix));
            if is_there {
                trainer.load(networks, &prefix)?;
            } else if is_trained(&trainer, &prefix) && !networks.tensors.is_empty() {
                let name = network.name();
                notices.push(format!(
                    "the checkpoint has no {name}, so one is trained from nothing"
                ));
            }
        }
        trainer.start_average()?;
        if networks
            .tensors
            .keys()
            .any(|name| name.starts_with(AVERAGES))
        {
            notices.push(
                "the moving average of the checkpoint stays behind: training starts from its newest weights".into(),
            );
        }
        if let Some(vgg) = &parts.vgg {
            vgg.load(&mut trainer)?;
        }
        let run = RunFolder::create(root, &config)?;
        Ok(Self {
            events: events(&config, &run, 0)?,
            trainer,
            loader: parts.loader,
            batcher: parts.batcher,
            calibration: parts.calibration,
            calibrated_step: None,
            samples: parts.samples,
            progress: Progress {
                census: Some(parts.census),
                vgg: parts.vgg.map(|vgg| vgg.checksum),
                ..Progress::default()
            },
            origin,
            notices,
            saved: None,
            orders: Orders::default(),
            config,
            space,
            run,
        })
    }

    /// Goes on from a checkpoint, in the folder of its run; losses told after it are taken back.
    ///
    /// # Errors
    /// If the checkpoint, the data or the device cannot be used, or the data set has other pictures than the run's.
    pub fn resume(gpu: &Arc<Gpu>, checkpoint: Checkpoint, mut run: RunFolder) -> Result<Self> {
        let Checkpoint {
            mut config,
            space,
            mut progress,
            origin: before,
            networks,
            moments,
        } = checkpoint;
        config.validate()?;
        let gpu = &as_before(&storing(gpu, &config)?, &before);
        let parts = Parts::open(gpu, &config, &space, Some(&progress))?;
        let origin = origin(gpu, parts.methods());
        let mut trainer = parts.trainer;
        config.train.accumulate = trainer.training().accumulate;
        for network in ["G.", "D.", "E."] {
            trainer.load(&networks, network)?;
        }
        trainer.load_average(&networks)?;
        // Each is as large as what is still to be put on the device.
        drop(networks);
        trainer.load_moments(&moments, &progress.adam_steps)?;
        drop(moments);
        if let Some(vgg) = &parts.vgg {
            vgg.load(&mut trainer)?;
        }
        let mut notices = parts.notices;
        if !origin.is_alike(&before) {
            notices.push(format!(
                "this run began with spadework {} on {} ({}, kernels {}): it goes on, but not to the same bits",
                before.program, before.adapter, before.driver, before.family
            ));
        }
        let changed = before.methods.differing(&origin.methods);
        if changed > 0 && origin.is_here(&before) {
            notices.push(format!(
                "{changed} of {} convolutions cannot be done as before on this adapter: the run goes on, but not to the same \
                 bits",
                origin.methods.len()
            ));
        }
        progress.census = Some(parts.census);
        progress.vgg = parts.vgg.map(|vgg| vgg.checksum);
        run.rewind(
            progress.step,
            progress.position,
            config.train.batch_size as u64,
        )?;
        run.note(&progress.changes)?;
        Ok(Self {
            events: events(&config, &run, progress.images)?,
            trainer,
            loader: parts.loader,
            batcher: parts.batcher,
            calibration: parts.calibration,
            calibrated_step: None,
            samples: parts.samples,
            saved: Some(Mark::of(&progress)),
            orders: Orders::default(),
            config,
            space,
            run,
            progress,
            origin,
            notices,
        })
    }

    /// The folder of the run.
    pub fn root(&self) -> &Path {
        self.run.root()
    }

    /// The configuration of the run.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes that are taken on the device.
    pub fn device_bytes(&self) -> u64 {
        let estimates = self.calibration.as_ref().map_or(0, Calibration::bytes);
        self.trainer.bytes() + estimates + self.samples.bytes()
    }

    /// Takes orders from now on, between iterations; that to stop also ends an estimate of statistics. Once whoever gives them is gone, the run saves and ends.
    pub fn take_orders(&mut self) -> Sender<Order> {
        self.orders.giver()
    }

    /// Draws what is wanted of the networks in training, between iterations. Others may draw it once training has ended.
    pub fn draw_for(&mut self, wanted: Receiver<Sketch>) {
        self.orders.draw_for(wanted);
    }

    /// Says whether training gives way to a window; see [`Gpu::manners`].
    pub fn manners(&self) -> Arc<AtomicBool> {
        self.trainer.gpu().manners()
    }

    /// The classes.
    pub fn space(&self) -> &LabelSpace {
        &self.space
    }

    /// Trains until all epochs are done, `limit` iterations are done in all, or `stop` is raised; then saves. After an
    /// error the last whole iteration is saved too, if the device still holds it: not if one of the next iteration's
    /// updates took place, or stopped at a gradient that is not finite when some weights had changed. Then the error says
    /// how to have the iterations since the last checkpoint again.
    ///
    /// # Errors
    /// If a loss or gradient is not finite, which names the iteration; if a file cannot be read or written.
    pub fn train(
        &mut self,
        stop: &AtomicBool,
        limit: Option<u64>,
        hear: &mut Listener,
    ) -> Result<End> {
        let trained = self.train_and_save(stop, limit, hear);
        if trained.is_err() {
            self.rescue(hear)?;
            self.end_page(hear)?;
        }
        trained.map_err(|error| self.with_way_out(error))
    }

    fn is_saved(&self) -> bool {
        self.saved == Some(Mark::of(&self.progress))
    }

    fn train_and_save(
        &mut self,
        stop: &AtomicBool,
        limit: Option<u64>,
        hear: &mut Listener,
    ) -> Result<End> {
        self.orders.begin();
        let started = self.started(limit);
        self.run.enter(&started)?;
        hear(&TrainEvent::Started(started))?;
        for notice in std::mem::take(&mut self.notices) {
            hear(&TrainEvent::Notice(notice))?;
        }
        let epochs = self.config.optim.epochs() as u64;
        let end = loop {
            if self.progress.position.epoch >= epochs {
                break End::Complete;
            }
            if stop.load(Ordering::Relaxed) {
                break End::Interrupted;
            }
            if limit.is_some_and(|limit| self.progress.step >= limit) {
                break End::Limit;
            }
            match self.orders.next(stop) {
                Next::Iterate => self.iterate(stop, hear)?,
                Next::Save if self.is_saved() => {}
                Next::Save => self.save(stop, hear)?,
                Next::Draw(sketch) => self.draw(sketch),
                Next::Tune(knob, value) => self.tune(knob, value, hear)?,
                Next::Stop => break End::Interrupted,
            }
        };
        if !self.is_saved() {
            self.draw_sheet(stop, hear)?;
            self.save(stop, hear)?;
        }
        if self.config.train.html {
            report::write(self.run.root(), false)?;
        }
        hear(&TrainEvent::Ended(end))?;
        Ok(end)
    }

    fn started(&self, limit: Option<u64>) -> Started {
        let footprint = self.trainer.footprint();
        let batches_per_epoch = self.loader.batches_per_epoch();
        let epochs = self.config.optim.epochs() as u64;
        let steps = (epochs * batches_per_epoch).min(limit.unwrap_or(u64::MAX));
        Started {
            adapter: self.origin.adapter.clone(),
            device_bytes: footprint.total(),
            memory: footprint,
            pictures: self.batcher.dataset.len(),
            batches_per_epoch,
            epochs,
            step: self.progress.step,
            images: self.progress.images,
            total_images: steps * self.config.train.batch_size as u64,
        }
    }

    fn iterate(&mut self, stop: &AtomicBool, hear: &mut Listener) -> Result<()> {
        let start = Instant::now();
        let (position, batch) = self.loader.next_batch()?;
        let (lr_g, lr_d) = self.config.optim.rates(position.epoch as usize + 1);
        let losses = self.step(position, &batch, (lr_g, lr_d))?.0;
        let losses = self.with_generator_losses(losses);
        let progress = &mut self.progress;
        progress.step += 1;
        progress.images += self.config.train.batch_size as u64;
        progress.position = self.loader.position();
        let report = StepReport {
            step: progress.step,
            epoch: position.epoch + 1,
            images: progress.images,
            epoch_images: (position.batch + 1) * self.config.train.batch_size as u64,
            lr_g,
            lr_d,
            losses,
            seconds: start.elapsed().as_secs_f64(),
        };
        if self.fires(self.config.train.print_freq) {
            self.run.log(&report)?;
            if let Some(events) = &mut self.events {
                events.scalars(report.images, &report.losses)?;
            }
        }
        hear(&TrainEvent::Step(report))?;
        if self.fires(self.config.train.display_freq) {
            self.draw_sheet(stop, hear)?;
        }
        if self.fires(self.config.train.save_latest_freq) {
            self.save(stop, hear)?;
        }
        Ok(())
    }

    /// Answers what is wanted of the networks as they are; no state changes.
    fn draw(&mut self, sketch: Sketch) {
        let step = self.progress.step;
        match sketch {
            Sketch::Picture {
                map,
                style,
                seen,
                reply,
            } => {
                let styles = style.as_slice();
                // Whoever asked may have gone.
                let _ = reply.send(match seen == Some(step) {
                    true => Ok(None),
                    false => self
                        .samples
                        .draw(&mut self.trainer, &map, styles)
                        .map(|picture| Some((step, picture))),
                });
            }
            Sketch::Style { photo, reply } => {
                let _ = reply.send(self.samples.style(&mut self.trainer, &photo));
            }
        }
    }

    /// Changes a setting from the next iteration on. What cannot be is told, and nothing changes.
    fn tune(&mut self, knob: Knob, value: f64, hear: &mut Listener) -> Result<()> {
        let from = knob.get(&self.config);
        let mut config = self.config.clone();
        knob.set(&mut config, value);
        if let Err(error) = config.validate() {
            return hear(&TrainEvent::Notice(error.to_string()));
        }
        if value == from {
            return Ok(());
        }
        self.trainer.weigh(&config.loss)?;
        self.config = config;
        let step = self.progress.step;
        let to = value;
        let change = Change {
            step,
            knob,
            from,
            to,
        };
        self.progress.changes.push(change);
        self.run.note(&self.progress.changes)?;
        hear(&TrainEvent::Changed(change))
    }

    /// Losses of an iteration, those of the generator's last step among them, as the published console shows them.
    fn with_generator_losses(
        &mut self,
        losses: Vec<(&'static str, f32)>,
    ) -> Vec<(&'static str, f32)> {
        let is_of_discriminator = |(name, _): &(&str, f32)| name.starts_with("D_");
        let (discriminator, generator): (Vec<_>, Vec<_>) =
            losses.into_iter().partition(is_of_discriminator);
        let last = &mut self.progress.generator_losses;
        if !generator.is_empty() {
            let kept = generator.iter().map(|&(name, x)| (name.to_owned(), x));
            *last = kept.collect();
        }
        let names = self.trainer.training().generator_losses();
        let shown = names.into_iter().filter_map(|name| {
            let (_, x) = last.iter().find(|(kept, _)| kept == name)?;
            Some((name, *x))
        });
        shown.chain(discriminator).collect()
    }

    fn step(&mut self, position: Position, batch: &Batch, rates: (f64, f64)) -> Result<Losses> {
        let every = self.config.optim.d_steps_per_g as u64;
        let step = self.progress.step + 1;
        let noise = ["G", "D"].map(|which| self.noise(which, step));
        let feed = Feed {
            photos: &batch.images,
            map: &batch.map,
            windows: &batch.windows,
            noise: [&noise[0], &noise[1]],
        };
        let schedule = Schedule {
            generator: position.batch.is_multiple_of(every).then_some(rates.0),
            discriminator: rates.1,
        };
        let stepped = self.trainer.step(&feed, schedule);
        stepped.map_err(|error| match error {
            Error::NonFinite(what) => Error::NonFinite(format!(
                "iteration {step}, epoch {} ({}): {what}",
                position.epoch + 1,
                batch.names.join(", ")
            )),
            error => error,
        })
    }

    /// What a step of an iteration draws its styles with: it follows from seed and iteration, so a resumed run draws
    /// the same.
    fn noise(&self, which: &str, step: u64) -> Vec<f32> {
        let Config { model, train, .. } = &self.config;
        match model.use_vae {
            true => {
                let count = train.batch_size * model.z_dim;
                normal(train.seed, &format!("noise.{which}.{step}"), count)
            }
            false => Vec::new(),
        }
    }

    /// Whether an event of this frequency, in pictures, is due.
    fn fires(&self, frequency: u64) -> bool {
        let batch = self.config.train.batch_size as u64;
        frequency > 0 && self.progress.images % frequency < batch
    }

    fn draw_sheet(&mut self, stop: &AtomicBool, hear: &mut Listener) -> Result<()> {
        if self.config.train.display_freq == 0 {
            return Ok(());
        }
        let path = self.run.sheet(self.progress.step);
        // The end of training draws one, which its last iteration may have done.
        if !path.exists() {
            self.recalibrate(stop)?;
            let rows = self.samples.rows(&mut self.trainer)?;
            picture::save(&path, &picture::sheet(&rows))?;
            self.log_pictures(&rows)?;
            if self.config.train.html {
                report::write(self.run.root(), true)?;
            }
            hear(&TrainEvent::Sheet(path))?;
        }
        Ok(())
    }

    fn log_pictures(&mut self, rows: &[[Picture; 3]]) -> Result<()> {
        let Some(events) = &mut self.events else {
            return Ok(());
        };
        let mut pictures = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            let names = ["input_label", "synthesized_image", "real_image"];
            let named = names.iter().zip(row);
            pictures.extend(named.map(|(name, picture)| (format!("sample_{i}/{name}"), picture)));
        }
        events.pictures(self.progress.images, &pictures)
    }

    fn save(&mut self, stop: &AtomicBool, hear: &mut Listener) -> Result<()> {
        if !self.recalibrate(stop)? {
            hear(&TrainEvent::Notice(format!(
                "to stop at once, iteration {} is saved with training's own running statistics, not with new estimates",
                self.progress.step
            )))?;
        }
        self.write(hear)
    }

    fn write(&mut self, hear: &mut Listener) -> Result<()> {
        self.progress.adam_steps = self.trainer.updates();
        let checkpoint = Checkpoint {
            config: self.config.clone(),
            space: self.space.clone(),
            progress: self.progress.clone(),
            origin: self.origin.clone(),
            networks: StateDict::default(),
            moments: BTreeMap::new(),
        };
        let shelf = self.run.shelf();
        let path = shelf.path(self.progress.step);
        checkpoint.save_with(&self.trainer, &path)?;
        shelf.prune(&self.config.train)?;
        self.saved = Some(Mark::of(&self.progress));
        hear(&TrainEvent::Saved(path))
    }
}

fn events(config: &Config, run: &RunFolder, images: u64) -> Result<Option<EventFile>> {
    let wanted = config.train.tf_log;
    wanted
        .then(|| EventFile::create(&run.event_files(), images))
        .transpose()
}

fn origin(gpu: &Gpu, methods: Choices) -> Origin {
    let family = format!("{:?}", gpu.family).to_lowercase();
    Origin {
        program: env!("CARGO_PKG_VERSION").into(),
        adapter: gpu.info.name.clone(),
        driver: format!("{} {}", gpu.info.driver, gpu.info.driver_info),
        family: match gpu.storage() {
            Storage::HalfMaps => format!("{family} over 16-bit maps"),
            _ => family,
        },
        methods,
    }
}

/// The device as it stores what the configuration says.
fn storing(gpu: &Arc<Gpu>, config: &Config) -> Result<Arc<Gpu>> {
    match config.train.half {
        true => gpu.with_half_maps(),
        false => Ok(gpu.clone()),
    }
}

/// The device with the methods that a run began with, whatever has been measured since. On another adapter it chooses as a
/// new run does.
fn as_before(gpu: &Arc<Gpu>, before: &Origin) -> Arc<Gpu> {
    let is_fixed = matches!(gpu.filtering, Filtering::Never | Filtering::Always(_));
    if is_fixed || !origin(gpu, Choices::default()).is_here(before) {
        return gpu.clone();
    }
    gpu.with_filtering(match before.methods.is_empty() {
        true => Filtering::Chosen,
        false => Filtering::Tuned(Arc::new(before.methods.clone())),
    })
}

/// What is told of a new run whose methods were measured.
fn tuning(gpu: &Gpu, methods: &Choices) -> Option<String> {
    let Filtering::Tuned(table) = &gpu.filtering else {
        return None;
    };
    let is_measured = |&(convolution, method): &(_, _)| table.get(&convolution) == Some(method);
    let measured = methods.iter().filter(is_measured).count();
    (measured > 0).then(|| {
        format!(
            "{measured} of {} convolutions are done as `spadework tune` measured on this adapter ({methods})",
            methods.len()
        )
    })
}
