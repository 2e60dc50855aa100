//! How the cost of pictures and of training grows with their size and with how many there are at once.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::setting::{Setting, Sizes};
use super::synth::{self, Options, Way};
use super::timing::{Patience, Timing};
use super::train;
use crate::gpu::Gpu;
use crate::{Error, Result};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Grid {
    /// The network, but for the size of its pictures.
    pub sizes: Sizes,
    /// Widths of the pictures.
    pub crop_sizes: Vec<usize>,
    /// Numbers of pictures at once.
    pub batches: Vec<usize>,
}

/// What something costs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Of all pictures at once.
    #[serde(flatten)]
    pub timing: Timing,
    /// The median by pictures and their pixels, in nanoseconds.
    pub ns_per_pixel: f64,
    /// Billions of multiply-adds of all pictures.
    pub gmac: f64,
    /// Bytes on the device as planned.
    pub device_bytes: u64,
    /// Most memory of the process.
    pub peak_bytes: Option<u64>,
}

/// What pictures of one size cost, so many at once.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Width and height of the pictures.
    pub picture: [usize; 2],
    /// How many at once.
    pub batch: usize,
    /// To draw them by the plain plan.
    pub synthesis: Fit,
    /// An iteration of training, without the perceptual loss.
    pub training: Fit,
}

/// A cost, or why there is none.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// What was measured.
    Cost(Cost),
    /// The device cannot hold it.
    TooLarge(String),
}

impl Fit {
    fn of(measured: Result<Cost>) -> Result<Self> {
        match measured {
            Ok(cost) => Ok(Self::Cost(cost)),
            Err(Error::Device(why)) => Ok(Self::TooLarge(why)),
            Err(error) => Err(error),
        }
    }

    /// The cost, where there is one.
    pub fn cost(&self) -> Option<&Cost> {
        match self {
            Self::Cost(cost) => Some(cost),
            Self::TooLarge(_) => None,
        }
    }
}

/// Measures each size with each number of pictures, and tells of each line as it is known.
///
/// # Errors
/// If a size does not work out or the maps cannot be read, that of `hear`, or if the device was lost.
pub fn run(
    gpu: &Arc<Gpu>,
    grid: &Grid,
    maps: Option<&Path>,
    patience: Patience,
    mut hear: impl FnMut(&Line) -> Result<()>,
) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for &crop_size in &grid.crop_sizes {
        let sizes = Sizes {
            crop_size: Some(crop_size),
            ..grid.sizes
        };
        let setting = Setting::open(sizes, maps)?;
        for &batch in &grid.batches {
            let line = measure(gpu, &setting, batch, patience)?;
            hear(&line)?;
            lines.push(line);
        }
    }
    Ok(lines)
}

fn measure(gpu: &Arc<Gpu>, setting: &Setting, batch: usize, patience: Patience) -> Result<Line> {
    let [height, width] = setting.model().output();
    let cost = |timing: Timing, gmac, device_bytes, peak_bytes| Cost {
        timing,
        ns_per_pixel: timing.seconds() * 1e9 / (batch * height * width) as f64,
        gmac,
        device_bytes,
        peak_bytes,
    };
    let options = Options {
        ways: vec![Way::Plain],
        batch,
        patience,
    };
    let drawn = synth::run(gpu, setting, &options).map(|report| {
        let line = &report.lines[0];
        let gmac = line.gmac * batch as f64;
        cost(line.timing, gmac, report.device_bytes, report.peak_bytes)
    });
    let trained = train::run(gpu, setting, batch, false, patience).map(|report| {
        cost(
            report.timing,
            report.gmac,
            report.device_bytes,
            report.peak_bytes,
        )
    });
    let line = Line {
        picture: [width, height],
        batch,
        synthesis: Fit::of(drawn)?,
        training: Fit::of(trained)?,
    };
    gpu.wait()?;
    Ok(line)
}
