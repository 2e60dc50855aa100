//! What pictures cost: of a new layout, of the same one again or in another style, and after a stroke of the brush.

use std::sync::Arc;

use serde::Serialize;

use super::machine::{forget_peak, peak_bytes};
use super::setting::Setting;
use super::timing::{Patience, Timing, median, seconds};
use crate::gpu::{Gpu, Store};
use crate::model::cost::DenseMacs;
use crate::model::{Generator, Style, Synthesis};
use crate::windows::IdMap;
use crate::{Error, Result};

/// Class that strokes paint.
const PAINT: u32 = 7;

/// How pictures are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// By the plain plan, which computes every window of a layout
    Plain,
    /// With the tables of gamma and beta kept, as `synth` and `paint` draw
    Kept,
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Ways to draw.
    pub ways: Vec<Way>,
    /// Pictures drawn together.
    pub batch: usize,
    /// How long.
    pub patience: Patience,
}

/// A kind of picture.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What was drawn.
    pub what: &'static str,
    /// From the label map to the picture in main memory, the whole batch.
    #[serde(flatten)]
    pub timing: Timing,
    /// Median of the billions of multiply-adds for one picture.
    pub gmac: f64,
    /// The same as a share of the dense network's, in percent.
    pub of_dense: f64,
    /// Median of the rows of gamma and beta that were computed.
    pub rows: usize,
}

/// What pictures cost.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Width and height of the picture.
    pub picture: [usize; 2],
    /// Width of the generator.
    pub ngf: usize,
    /// Pictures drawn together.
    pub batch: usize,
    /// Number of label maps.
    pub maps: usize,
    /// Whether pictures have styles.
    pub has_styles: bool,
    /// Billions of multiply-adds of the dense network for one picture.
    pub dense_gmac: f64,
    /// Kinds of pictures.
    pub lines: Vec<Line>,
    /// Bytes on the device of both ways together.
    pub device_bytes: u64,
    /// Most memory of the process.
    pub peak_bytes: Option<u64>,
}

/// Times of a kind of picture as they come in.
#[derive(Default)]
struct Samples {
    seconds: Vec<f64>,
    macs: Vec<f64>,
    rows: Vec<f64>,
}

impl Samples {
    fn add(&mut self, seconds: f64, macs: u64, rows: usize) {
        self.seconds.push(seconds);
        self.macs.push(macs as f64);
        self.rows.push(rows as f64);
    }

    fn line(&self, what: &'static str, batch: usize, dense_gmac: f64) -> Option<Line> {
        let gmac = median(&self.macs)? * 1e-9 / batch as f64;
        Some(Line {
            what,
            timing: Timing::of(&self.seconds)?,
            gmac,
            of_dense: 100.0 * gmac / dense_gmac,
            rows: median(&self.rows)? as usize,
        })
    }
}

/// Draws and times.
///
/// # Errors
/// If the device cannot hold the generator, or was lost.
pub fn run(gpu: &Arc<Gpu>, setting: &Setting, options: &Options) -> Result<Report> {
    forget_peak();
    let (config, batch) = (setting.model(), options.batch);
    let weights = setting.weights();
    let mut plain = None;
    let mut kept = None;
    for way in &options.ways {
        match way {
            Way::Plain => plain = Some(Synthesis::of_weights(gpu, config, &weights, batch)?),
            Way::Kept => kept = Some(Generator::new(gpu, config.clone(), &weights)?),
        }
    }
    drop(weights);
    if plain.is_none() && kept.is_none() {
        return Err(Error::Usage("no way to draw was chosen".into()));
    }
    let styles = |seed: usize| -> Vec<Style> {
        let of_picture = |i| Style::random(config.z_dim, (seed * batch + i) as u64);
        let pictures = if config.use_vae { batch } else { 0 };
        (0..pictures).map(of_picture).collect()
    };
    warm_up(&mut plain, &mut kept, setting, batch, &styles(0))?;
    let [mut whole, mut first, mut again, mut painted] = [(); 4].map(|()| Samples::default());
    let mut fresh = setting.maps.len().div_ceil(batch);
    options.patience.rounds(|round| {
        let mut map = setting.batch(round * batch, batch);
        if let Some((store, synthesis)) = &mut plain {
            let styles = styles(round);
            let taken = seconds(|| synthesis.pictures(store, &map, &styles).map(drop))?;
            whole.add(taken, synthesis.executed_macs(), 0);
        }
        let Some(generator) = &mut kept else {
            return Ok(());
        };
        let mut draw = |map: &IdMap, seed: usize, samples: &mut Samples| {
            let styles = styles(seed);
            let taken = seconds(|| generator.pictures(map, &styles).map(drop))?;
            let effort = generator.effort();
            samples.add(taken, effort.macs, effort.rows_computed);
            Ok(())
        };
        // Seen before, a layout is not new any more.
        let mut unseen = Samples::default();
        draw(&map, round, &mut unseen)?;
        if fresh > 0 {
            fresh -= 1;
            first.add(
                unseen.seconds[0],
                unseen.macs[0] as u64,
                unseen.rows[0] as usize,
            );
        }
        draw(&map, round + 1, &mut again)?;
        stroke(&mut map, round);
        draw(&map, round + 1, &mut painted)
    })?;
    let dense_gmac = DenseMacs::of(config).total() as f64 * 1e-9;
    let same = match config.use_vae {
        true => "another style",
        false => "the same layout",
    };
    let kinds = [
        ("plain plan", whole),
        ("a new layout", first),
        (same, again),
        ("a stroke", painted),
    ];
    let lines = kinds
        .iter()
        .filter_map(|(what, samples)| samples.line(what, batch, dense_gmac));
    let [height, width] = config.output();
    let plain_bytes = plain.as_ref().map_or(0, |(store, _)| store.bytes());
    Ok(Report {
        picture: [width, height],
        ngf: config.ngf,
        batch,
        maps: setting.maps.len(),
        has_styles: config.use_vae,
        dense_gmac,
        lines: lines.collect(),
        device_bytes: plain_bytes + kept.as_ref().map_or(0, Generator::device_bytes),
        peak_bytes: peak_bytes(),
    })
}

/// Draws something else, so that everything is compiled.
fn warm_up(
    plain: &mut Option<(Store, Synthesis)>,
    kept: &mut Option<Generator>,
    setting: &Setting,
    batch: usize,
    styles: &[Style],
) -> Result<()> {
    let mut blank = setting.batch(0, batch);
    blank.ids.fill(0);
    if let Some((store, synthesis)) = plain {
        synthesis.pictures(store, &blank, styles)?;
    }
    if let Some(generator) = kept {
        generator.pictures(&blank, styles)?;
    }
    Ok(())
}

/// A blob of a class in the first map, at another place each time.
fn stroke(map: &mut IdMap, at: usize) {
    let (h, w) = (map.h, map.w);
    let [y, x] = [h * (3 + at % 5) / 8, w * (2 + at % 7) / 10].map(|v| v as isize);
    let radius = (w / 25).max(1) as isize;
    for (i, id) in map.ids.iter_mut().take(h * w).enumerate() {
        let [dy, dx] = [(i / w) as isize - y, (i % w) as isize - x];
        if dy * dy + dx * dx < radius * radius {
            *id = PAINT;
        }
    }
}
