//! A run from its first or any later iteration to its end.
//!
//! What happens in an iteration depends on the checkpoint before it alone, so a run that was stopped and resumed goes
//! on bit for bit as one that was not.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::checkpoint::{Checkpoint, Origin, Progress};
use super::event::{End, Listener, Started, StepReport, TrainEvent};
use super::run::RunFolder;
use super::sheet::Samples;
use crate::config::Config;
use crate::data::{Batch, Batcher, LabelSpace, Loader, Phase, Position};
use crate::gpu::Gpu;
use crate::model::{Feed, Keep, Losses, Schedule, Trainer, Training};
use crate::picture;
use crate::state::TensorFile;
use crate::{Error, Result};

/// A run in progress.
pub struct Session {
    config: Config,
    space: LabelSpace,
    run: RunFolder,
    trainer: Trainer,
    loader: Loader,
    samples: Samples,
    progress: Progress,
    origin: Origin,
    pictures: usize,
    notices: Vec<String>,
    saved_step: Option<u64>,
}

impl Session {
    /// Starts a run in a new folder. The folder is made last: a run that cannot start leaves nothing behind.
    ///
    /// # Errors
    /// If the options, the data or the device cannot be used, or the folder holds anything.
    pub fn start(gpu: &Arc<Gpu>, config: Config, space: LabelSpace, root: &Path) -> Result<Self> {
        RunFolder::refuse_used(root)?;
        let config = config.resolve(&space)?;
        let parts = Parts::open(gpu, &config, &space, Position::default())?;
        let mut trainer = parts.trainer;
        trainer.initialise(config.train.seed)?;
        load_vgg(&mut trainer, parts.vgg.as_ref(), &config)?;
        let run = RunFolder::create(root, &config)?;
        Ok(Self {
            trainer,
            loader: parts.loader,
            samples: parts.samples,
            progress: Progress::default(),
            origin: origin(gpu),
            pictures: parts.pictures,
            notices: parts.notices,
            saved_step: None,
            config,
            space,
            run,
        })
    }

    /// Goes on from a checkpoint, in the folder of its run.
    ///
    /// # Errors
    /// If the checkpoint, the data or the device cannot be used.
    pub fn resume(gpu: &Arc<Gpu>, checkpoint: Checkpoint, run: RunFolder) -> Result<Self> {
        let Checkpoint {
            config,
            space,
            progress,
            origin: before,
            networks,
            moments,
        } = checkpoint;
        config.validate()?;
        let parts = Parts::open(gpu, &config, &space, progress.position)?;
        let mut trainer = parts.trainer;
        trainer.load(&networks, "G.")?;
        trainer.load(&networks, "D.")?;
        trainer.load_moments(&moments, &progress.adam_steps)?;
        load_vgg(&mut trainer, parts.vgg.as_ref(), &config)?;
        let origin = origin(gpu);
        let mut notices = parts.notices;
        if origin != before {
            notices.push(format!(
                "this run began with spadework {} on {} ({}, kernels {}): it goes on, but not to the same bits",
                before.program, before.adapter, before.driver, before.family
            ));
        }
        Ok(Self {
            trainer,
            loader: parts.loader,
            samples: parts.samples,
            saved_step: Some(progress.step),
            pictures: parts.pictures,
            config,
            space,
            run,
            progress,
            origin,
            notices,
        })
    }

    /// Trains until all epochs are done, `limit` iterations are done in all, or `stop` is raised; then saves.
    ///
    /// # Errors
    /// If a loss or gradient is not finite, which names the iteration; if a file cannot be read or written.
    pub fn train(
        &mut self,
        stop: &AtomicBool,
        limit: Option<u64>,
        hear: &mut Listener,
    ) -> Result<End> {
        hear(&TrainEvent::Started(self.started()))?;
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
            self.iterate(hear)?;
        };
        if self.saved_step != Some(self.progress.step) {
            self.draw_sheet(hear)?;
            self.save(hear)?;
        }
        hear(&TrainEvent::Ended(end))?;
        Ok(end)
    }

    fn started(&self) -> Started {
        let batches_per_epoch = self.loader.batches_per_epoch();
        let epochs = self.config.optim.epochs() as u64;
        Started {
            adapter: self.origin.adapter.clone(),
            device_bytes: self.trainer.bytes(),
            pictures: self.pictures,
            batches_per_epoch,
            epochs,
            step: self.progress.step,
            images: self.progress.images,
            total_images: epochs * batches_per_epoch * self.config.train.batch_size as u64,
        }
    }

    fn iterate(&mut self, hear: &mut Listener) -> Result<()> {
        let start = Instant::now();
        let (position, batch) = self.loader.next_batch()?;
        let (lr_g, lr_d) = self.config.optim.rates(position.epoch as usize + 1);
        let losses = self.step(position, &batch, (lr_g, lr_d))?;
        let progress = &mut self.progress;
        progress.step += 1;
        progress.images += self.config.train.batch_size as u64;
        progress.position = self.loader.position();
        let report = StepReport {
            step: progress.step,
            epoch: position.epoch + 1,
            images: progress.images,
            lr_g,
            lr_d,
            losses: losses.0,
            seconds: start.elapsed().as_secs_f64(),
        };
        if self.fires(self.config.train.print_freq) {
            self.run.log(&report)?;
        }
        hear(&TrainEvent::Step(report))?;
        if self.fires(self.config.train.display_freq) {
            self.draw_sheet(hear)?;
        }
        if self.fires(self.config.train.save_latest_freq) {
            self.save(hear)?;
        }
        Ok(())
    }

    fn step(&mut self, position: Position, batch: &Batch, rates: (f64, f64)) -> Result<Losses> {
        let every = self.config.optim.d_steps_per_g as u64;
        let feed = Feed {
            photos: &batch.images,
            map: &batch.map,
            windows: &batch.windows,
        };
        let schedule = Schedule {
            generator: position.batch.is_multiple_of(every).then_some(rates.0),
            discriminator: rates.1,
        };
        let step = self.progress.step + 1;
        let stepped = self.trainer.step(&feed, schedule);
        stepped.map_err(|error| match error {
            Error::NonFinite(what) => Error::NonFinite(format!(
                "iteration {step}, epoch {} ({}): {what}; {}",
                position.epoch + 1,
                batch.names.join(", "),
                match self.saved_step {
                    Some(saved) => format!("--resume goes back to iteration {saved}"),
                    None => "no checkpoint had been written yet".into(),
                }
            )),
            error => error,
        })
    }

    /// Whether an event of this frequency, in pictures, is due.
    fn fires(&self, frequency: u64) -> bool {
        let batch = self.config.train.batch_size as u64;
        frequency > 0 && self.progress.images % frequency < batch
    }

    fn draw_sheet(&mut self, hear: &mut Listener) -> Result<()> {
        if self.config.train.display_freq == 0 {
            return Ok(());
        }
        let path = self.run.sheet(self.progress.step);
        // Resumed after a crash, a run draws some sheets again; they are the same.
        if !path.exists() {
            picture::save(&path, &self.samples.sheet(&mut self.trainer)?)?;
            hear(&TrainEvent::Sheet(path))?;
        }
        Ok(())
    }

    fn save(&mut self, hear: &mut Listener) -> Result<()> {
        self.progress.adam_steps = self.trainer.updates();
        let checkpoint = Checkpoint {
            config: self.config.clone(),
            space: self.space.clone(),
            progress: self.progress.clone(),
            origin: self.origin.clone(),
            networks: self.trainer.weights()?,
            moments: self.trainer.moments()?,
        };
        let shelf = self.run.shelf();
        let path = shelf.path(self.progress.step);
        checkpoint.save(&path)?;
        shelf.prune(&self.config.train)?;
        self.saved_step = Some(self.progress.step);
        hear(&TrainEvent::Saved(path))
    }
}

/// What a configuration asks for, opened and planned.
struct Parts {
    trainer: Trainer,
    loader: Loader,
    samples: Samples,
    pictures: usize,
    vgg: Option<TensorFile>,
    notices: Vec<String>,
}

impl Parts {
    fn open(gpu: &Arc<Gpu>, config: &Config, space: &LabelSpace, from: Position) -> Result<Self> {
        let [height, width] = config.model.output();
        let train = &config.train;
        let size = [width, height];
        let mut batcher = Batcher::open(
            &config.data,
            Phase::Train,
            space,
            size,
            train.batch_size,
            train.seed,
        )?;
        batcher.validate()?;
        let per_epoch = batcher.batches_per_epoch() as u64;
        if from.batch >= per_epoch {
            return Err(Error::Data(format!(
                "the checkpoint stands after batch {} of an epoch, but the data set has {per_epoch}: it is not the \
                 one the run began with",
                from.batch
            )));
        }
        let samples = Samples::open(config, space)?;
        let mut notices = Vec::new();
        let vgg = open_vgg(config, &mut notices)?;
        let training = Training {
            model: config.model.clone(),
            loss: config.loss.clone(),
            betas: config.optim.betas(),
            batch_size: train.batch_size,
            vgg_divisor: vgg.as_ref().map(|_| 1),
        };
        let trainer = Trainer::new(gpu, training, Keep::Losses)?;
        batcher.windows = trainer.inputs().specs().to_vec();
        let pictures = batcher.dataset.len();
        let loader = Loader::start(Arc::new(batcher), from, workers(train.workers))?;
        Ok(Self {
            trainer,
            loader,
            samples,
            pictures,
            vgg,
            notices,
        })
    }
}

/// Threads that prepare batches; the device's own driver needs processors too.
fn workers(wanted: usize) -> usize {
    match wanted {
        0 => std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2).min(8)),
        wanted => wanted,
    }
}

fn open_vgg(config: &Config, notices: &mut Vec<String>) -> Result<Option<TensorFile>> {
    let Some(path) = config.loss.perceptual() else {
        if config.loss.vgg_loss {
            notices.push(
                "training goes without the perceptual loss, so pictures will be less sharp: --vgg-weights FILE \
                 gives it VGG-19 weights, --no-vgg-loss silences this"
                    .into(),
            );
        }
        return Ok(None);
    };
    let mut file = TensorFile::load(path, "VGG weights")?;
    let tensors = std::mem::take(&mut file.state.tensors);
    file.state.tensors = tensors
        .into_iter()
        .map(|(name, tensor)| (format!("vgg.{name}"), tensor))
        .collect();
    Ok(Some(file))
}

fn load_vgg(trainer: &mut Trainer, vgg: Option<&TensorFile>, config: &Config) -> Result<()> {
    let (Some(file), Some(path)) = (vgg, config.loss.perceptual()) else {
        return Ok(());
    };
    let loaded = trainer.load(&file.state, "vgg.");
    loaded.map_err(|e| Error::Data(format!("VGG weights {}: {e}", path.display())))
}

fn origin(gpu: &Gpu) -> Origin {
    Origin {
        program: env!("CARGO_PKG_VERSION").into(),
        adapter: gpu.info.name.clone(),
        driver: format!("{} {}", gpu.info.driver, gpu.info.driver_info),
        family: format!("{:?}", gpu.family).to_lowercase(),
    }
}
