//! What a run needs, from its configuration: data, networks and plans.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::convert::read_selected_weights;
use crate::data::{Batcher, Census, LabelSpace, Loader, Phase, Position};
use crate::gpu::Gpu;
use crate::graph::recompute::Recompute;
use crate::model::vgg::vgg_params;
use crate::model::{Calibration, Keep, Room, Trainer, Training};
use crate::ops::winograd::Choices;
use crate::state::StateDict;
use crate::train::checkpoint::Progress;
use crate::train::sheet::Samples;
use crate::{Error, Result};

/// What a configuration asks for, opened and planned.
pub(super) struct Parts {
    pub trainer: Trainer,
    pub loader: Loader,
    pub batcher: Arc<Batcher>,
    pub calibration: Option<Calibration>,
    pub samples: Samples,
    pub census: Census,
    pub vgg: Option<Vgg>,
    pub notices: Vec<String>,
}

impl Parts {
    pub fn open(
        gpu: &Arc<Gpu>,
        config: &Config,
        space: &LabelSpace,
        before: Option<&Progress>,
    ) -> Result<Self> {
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
        let census = batcher.dataset.census();
        refuse_other_pictures(before.and_then(|before| before.census), census)?;
        let per_epoch = batcher.batches_per_epoch() as u64;
        let from = before.map_or_else(Position::default, |before| before.position);
        if from.batch >= per_epoch {
            return Err(Error::Data(format!(
                "the checkpoint stands after batch {} of an epoch, but the data set has {per_epoch}: it is not the \
                 one the run began with",
                from.batch
            )));
        }
        let mut samples = Samples::open(config, space)?;
        let mut notices = Vec::new();
        let vgg = open_vgg(config)?;
        match (before, &vgg) {
            (Some(before), Some(vgg)) => vgg.refuse_other(before.vgg)?,
            (None, None) if config.loss.vgg_loss => notices.push(
                "training goes without the perceptual loss, so pictures will be less sharp: --vgg-weights FILE gives it \
                 VGG-19 weights, --no-vgg-loss silences this"
                    .into(),
            ),
            _ => {}
        }
        let training = Training {
            model: config.model.clone(),
            loss: config.loss.clone(),
            betas: config.optim.betas(),
            ema: config.optim.ema,
            batch_size: train.batch_size,
            accumulate: train.accumulate,
            vgg_divisor: vgg.as_ref().map(|_| 1),
        };
        let room = Room {
            limit: train.memory_limit,
            sheets: train.display_freq > 0,
            estimates: train.recalibrate > 0,
        };
        let mut trainer = Trainer::within(gpu, training, Keep::Losses, room)?;
        if trainer.recompute() != Recompute::default() {
            notices.push(
                "to stay within memory_limit, SPADE layers are computed again for the backward pass: the numbers are the \
                 same, an iteration takes longer"
                    .into(),
            );
        }
        let parts = trainer.training().accumulate;
        if parts != train.accumulate {
            notices.push(format!(
                "to stay within memory_limit, a batch is computed in {parts} parts (accumulate = {parts}): the numbers are \
                 the same to rounding, an iteration takes longer"
            ));
        }
        let calibration = match train.recalibrate {
            0 => None,
            _ => Some(trainer.calibration()?).filter(Calibration::has_norms),
        };
        if train.recalibrate > 0 && calibration.is_none() {
            notices.push(format!(
                "recalibrate = {} does nothing: the generator's norms keep no running statistics",
                train.recalibrate
            ));
        }
        if room.sheets {
            samples.prepare(&mut trainer)?;
        }
        batcher.windows = trainer.inputs().specs().to_vec();
        batcher.parts = trainer.training().accumulate;
        let batcher = Arc::new(batcher);
        let loader = Loader::start(batcher.clone(), from, workers(train.workers))?;
        Ok(Self {
            trainer,
            loader,
            batcher,
            calibration,
            samples,
            census,
            vgg,
            notices,
        })
    }

    /// How each convolution of its plans is done.
    pub fn methods(&self) -> Choices {
        let plans = self.trainer.plans().into_iter().chain(self.samples.plan());
        plans.flat_map(|plan| plan.methods.iter()).collect()
    }
}

/// A run goes on with the pictures it began with: their order follows from their number and names.
fn refuse_other_pictures(before: Option<Census>, now: Census) -> Result<()> {
    let way_out = "bring those back, or start a new run with the networks of this one (--from)";
    match before {
        Some(before) if before.pictures != now.pictures => Err(Error::Data(format!(
            "the data set has {} pictures to train on, but this run began with {}: {way_out}",
            now.pictures, before.pictures
        ))),
        Some(before) if before != now => Err(Error::Data(format!(
            "the {} pictures of the data set have other names than those this run began with: {way_out}",
            now.pictures
        ))),
        _ => Ok(()),
    }
}

/// Threads that prepare batches; the device's own driver needs processors too.
fn workers(wanted: usize) -> usize {
    match wanted {
        0 => std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2).min(8)),
        wanted => wanted,
    }
}

/// The convolutions of VGG-19, the network of the perceptual loss.
pub(super) struct Vgg {
    path: PathBuf,
    state: StateDict,
    /// Of the weights alone: which file holds them, and in what container, does not matter.
    pub checksum: u32,
}

/// Reads them from torchvision's `.pth` file, whose classifier is not read, or from safetensors.
fn open_vgg(config: &Config) -> Result<Option<Vgg>> {
    let Some(path) = config.loss.perceptual() else {
        return Ok(None);
    };
    let file = read_selected_weights(path, |name| name.starts_with("features."))?;
    let mut state = StateDict::default();
    state.extend_prefixed("vgg.", file);
    let mut sum = crc32fast::Hasher::new();
    // Before anything is planned: a wrong file is the most likely mistake.
    for spec in vgg_params(1).specs() {
        let tensor = spec.look_up(&state.tensors).map_err(|e| of_vgg(path, &e))?;
        sum.update(bytemuck::cast_slice(&tensor.data));
    }
    Ok(Some(Vgg {
        path: path.clone(),
        state,
        checksum: sum.finalize(),
    }))
}

impl Vgg {
    /// A run goes on with the weights it began with: others would make another loss of the same name.
    fn refuse_other(&self, before: Option<u32>) -> Result<()> {
        match before {
            Some(before) if before != self.checksum => Err(Error::Data(format!(
                "VGG weights {}: not the ones this run began with: bring those back with --vgg-weights, or start a new \
                 run with the networks of this one (--from)",
                self.path.display()
            ))),
            _ => Ok(()),
        }
    }

    pub fn load(&self, trainer: &mut Trainer) -> Result<()> {
        let loaded = trainer.load(&self.state, "vgg.");
        loaded.map_err(|e| of_vgg(&self.path, &e))
    }
}

fn of_vgg(path: &Path, error: &Error) -> Error {
    Error::Data(format!("VGG weights {}: {error}", path.display()))
}
