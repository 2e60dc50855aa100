//! What an iteration of training costs: a generator's step and a discriminator's.

use std::sync::Arc;

use serde::Serialize;

use super::machine::{forget_peak, peak_bytes};
use super::setting::{Setting, noise, photos};
use super::timing::{Patience, Timing, seconds};
use crate::Result;
use crate::config::Config;
use crate::gpu::Gpu;
use crate::model::init::normal;
use crate::model::vgg::vgg_params;
use crate::model::{Feed, Keep, Schedule, Trainer, Training};
use crate::state::{HostTensor, StateDict};

/// What an iteration costs.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Width and height of the pictures.
    pub picture: [usize; 2],
    /// Widths of generator and discriminator.
    pub widths: [usize; 2],
    /// Numbers that generator and discriminator learn.
    pub parameters: [usize; 2],
    /// Pictures in a batch.
    pub batch: usize,
    /// Whether the perceptual loss takes part.
    pub has_vgg: bool,
    /// Of both steps, the building of the window tables included.
    #[serde(flatten)]
    pub timing: Timing,
    /// Seconds until the first iteration: planning, allocation and first weights.
    pub setup_seconds: f64,
    /// Seconds of the first iteration, which compiles.
    pub first_seconds: f64,
    /// Billions of multiply-adds.
    pub gmac: f64,
    /// Bytes on the device as planned: weights, moments, inputs, workspace.
    pub device_bytes: u64,
    /// Most memory of the process.
    pub peak_bytes: Option<u64>,
}

/// What decides the plans of a training.
pub fn training(config: &Config, batch: usize, has_vgg: bool) -> Training {
    Training {
        model: config.model.clone(),
        loss: config.loss.clone(),
        betas: config.optim.betas(),
        ema: None,
        batch_size: batch,
        accumulate: 1,
        vgg_divisor: has_vgg.then_some(1),
    }
}

/// Trains on noise and times iterations.
///
/// # Errors
/// If the device cannot hold the plans, or was lost.
pub fn run(
    gpu: &Arc<Gpu>,
    setting: &Setting,
    batch: usize,
    has_vgg: bool,
    patience: Patience,
) -> Result<Report> {
    forget_peak();
    let mut trainer = None;
    let setup_seconds = seconds(|| {
        let training = training(&setting.config, batch, has_vgg);
        let mut made = Trainer::new(gpu, training, Keep::Losses)?;
        made.initialise(1)?;
        if has_vgg {
            made.load(&vgg_weights(), "vgg.")?;
        }
        trainer = Some(made);
        Ok(())
    })?;
    let mut trainer = trainer.expect("it was made or the error returned");
    let model = setting.model();
    let photos = photos(batch, model.output());
    let draws = batch * model.z_dim;
    let noise: [Vec<f32>; 2] = ["G", "D"].map(|step| match model.use_vae {
        true => normal(1, step, draws),
        false => Vec::new(),
    });
    let (generator, discriminator) = setting.config.optim.rates(1);
    let mut iterate = |round: usize| {
        let map = setting.batch(round * batch, batch);
        seconds(|| {
            let feed = Feed {
                photos: &photos,
                map: &map,
                windows: &trainer.inputs().tables(&map)?,
                noise: [&noise[0], &noise[1]],
            };
            let schedule = Schedule {
                generator: Some(generator),
                discriminator,
            };
            trainer.step(&feed, schedule).map(drop)
        })
    };
    let first_seconds = iterate(0)?;
    let mut taken = Vec::new();
    patience.rounds(|round| {
        taken.push(iterate(round)?);
        Ok(())
    })?;
    let [height, width] = model.output();
    Ok(Report {
        picture: [width, height],
        widths: [model.ngf, model.ndf],
        parameters: ["G.", "D."].map(|network| {
            let trained = trainer.params().trained(network);
            trained.map(|spec| spec.len()).sum()
        }),
        batch,
        has_vgg,
        timing: Timing::of(&taken).expect("there are rounds in any case"),
        setup_seconds,
        first_seconds,
        gmac: trainer.executed_macs() as f64 * 1e-9,
        device_bytes: trainer.bytes(),
        peak_bytes: peak_bytes(),
    })
}

/// Noise in place of the weights of VGG-19, small enough that features neither vanish nor grow.
fn vgg_weights() -> StateDict {
    let mut state = StateDict::default();
    for spec in vgg_params(1).specs() {
        let inputs: usize = spec.dims[1..].iter().product();
        let scale = (6.0 / inputs.max(1) as f32).sqrt();
        let values = noise(spec.len()).into_iter().map(|x| x * scale).collect();
        let tensor = HostTensor::new(spec.dims.clone(), values);
        state.tensors.insert(spec.name.clone(), tensor);
    }
    state
}
