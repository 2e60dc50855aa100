//! What the window tables of a label map cost on one core: all that a picture of a training batch brings.

use serde::Serialize;

use super::setting::Setting;
use super::timing::{Patience, Timing, seconds};
use crate::Result;
use crate::model::Inputs;
use crate::windows::WindowView;

/// What tables cost.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Width and height of the label maps.
    pub map: [usize; 2],
    /// Number of label maps.
    pub maps: usize,
    /// All tables of one label map.
    #[serde(flatten)]
    pub timing: Timing,
    /// The median for as many pixels as a map of 256x256 has.
    pub ms_per_65536_pixels: f64,
    /// Each size, with the mean share of windows among pixels in percent: of labels, and of those.
    pub levels: Vec<Level>,
}

/// Windows at one size.
#[derive(Clone, Debug, Serialize)]
pub struct Level {
    /// Height and width.
    pub size: [usize; 2],
    /// Share of pixels with a window of labels of their own.
    pub labels: f64,
    /// Share of pixels with a window of those of their own.
    pub windows: f64,
}

/// Builds the tables of training and times it.
///
/// # Errors
/// If an id has no channel.
pub fn run(setting: &Setting, patience: Patience) -> Result<Report> {
    let inputs = Inputs::training(setting.model(), 1);
    let mut taken = Vec::new();
    patience.rounds(|round| {
        let map = setting.batch(round, 1);
        taken.push(seconds(|| inputs.tables(&map).map(drop))?);
        Ok(())
    })?;
    let timing = Timing::of(&taken).expect("there are rounds in any case");
    let [height, width] = inputs.output();
    Ok(Report {
        map: [width, height],
        maps: setting.maps.len(),
        ms_per_65536_pixels: timing.median_ms * 65536.0 / (width * height) as f64,
        timing,
        levels: levels(setting, &inputs)?,
    })
}

fn levels(setting: &Setting, inputs: &Inputs) -> Result<Vec<Level>> {
    let sizes = setting.model().levels();
    let mut shares = vec![[0.0; 2]; sizes.len()];
    for map in &setting.maps {
        let tables = inputs.tables(map)?;
        // The tables of a size are those of labels and those of their windows, size after size.
        for (share, pair) in shares.iter_mut().zip(tables.chunks_exact(2)) {
            for (share, words) in share.iter_mut().zip(pair) {
                let view = WindowView::new(words);
                *share += 100.0 * view.windows() as f64 / view.pixels() as f64;
            }
        }
    }
    let count = setting.maps.len() as f64;
    let level = |(size, [labels, windows]): ([usize; 2], [f64; 2])| Level {
        size,
        labels: labels / count,
        windows: windows / count,
    };
    Ok(sizes.into_iter().zip(shares).map(level).collect())
}
