//! From nothing to the first picture, phase by phase. The driver keeps compiled kernels between processes, so the first
//! start of a new version is slower than all others.

use serde::Serialize;

use super::setting::Setting;
use super::timing::{Patience, Timing, seconds};
use crate::Result;
use crate::gpu::Gpu;
use crate::model::{Generator, Style};

/// A phase.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// What happens in it.
    pub what: &'static str,
    /// How long it took the first time.
    pub first_ms: f64,
    /// Of starts after that in the same process, with a new device each.
    #[serde(flatten)]
    pub timing: Timing,
}

/// What a start costs.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Width and height of the picture.
    pub picture: [usize; 2],
    /// Width of the generator.
    pub ngf: usize,
    /// The phases in order.
    pub phases: Vec<Phase>,
    /// Sum of all up to the first picture, of the first start.
    pub first_picture_ms: f64,
}

/// What happens, in order. The last is after the first picture.
const PHASES: [&str; 4] = [
    "open the adapter",
    "weights to the device",
    "plan, compile, first picture",
    "the same picture again",
];

/// Starts several times.
///
/// # Errors
/// If there is no adapter, or it cannot hold the generator.
pub fn run(setting: &Setting, adapter: Option<&str>, patience: Patience) -> Result<Report> {
    let (model, weights) = (setting.model(), setting.weights());
    let map = setting.batch(0, 1);
    let styles: Vec<Style> = (0..u64::from(model.use_vae))
        .map(|i| Style::random(model.z_dim, i))
        .collect();
    let mut phases = [(); 4].map(|()| Vec::new());
    patience.rounds(|_| {
        let (mut gpu, mut generator) = (None, None);
        phases[0].push(seconds(|| {
            gpu = Some(Gpu::open(adapter)?);
            Ok(())
        })?);
        let Some(gpu) = gpu else { return Ok(()) };
        phases[1].push(seconds(|| {
            generator = Some(Generator::new(&gpu, model.clone(), &weights)?);
            gpu.wait()
        })?);
        let Some(mut generator) = generator else {
            return Ok(());
        };
        for phase in &mut phases[2..] {
            phase.push(seconds(|| generator.pictures(&map, &styles).map(drop))?);
        }
        Ok(())
    })?;
    let phases: Vec<Phase> = PHASES
        .into_iter()
        .zip(&phases)
        .filter_map(|(what, seconds)| {
            Some(Phase {
                what,
                first_ms: seconds.first()? * 1e3,
                timing: Timing::of(seconds.get(1..)?)?,
            })
        })
        .collect();
    let [height, width] = model.output();
    Ok(Report {
        picture: [width, height],
        ngf: model.ngf,
        first_picture_ms: phases[..3].iter().map(|phase| phase.first_ms).sum(),
        phases,
    })
}
