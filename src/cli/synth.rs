//! `spadework synth`.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde::Serialize;
use spadework::config::SpadeNorm;
use spadework::gpu::Gpu;
use spadework::picture::{self, Deviation};
use spadework::{Error, Generator, Layout, Result};

use super::jobs::{Job, Learned, What};
use super::style;

/// Shown below the options.
pub const EXAMPLES: &str = "Examples:
  spadework synth map.png --out picture.png
  spadework synth runs/street street/val_label --out pictures
  spadework synth runs/street map.png --out pictures --style-seed 7 --samples 4
  spadework synth runs/street map.png --out dusk.png --style-image dusk.jpg
  spadework synth runs/street map.png --out pictures --style-image dusk.jpg --style-sample --samples 4
  spadework synth runs/street map.png --out pictures --style-mix noon.jpg dusk.jpg --samples 9";

/// Options of `synth`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint of the generator, or folder of a run for its newest one [default: the one that comes with the program]
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: Option<PathBuf>,
    /// What to draw
    #[command(flatten)]
    what: What,
    /// Folder for the pictures; for a single label map also a file ending in .png
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Size of the pictures [default: what the generator was trained for]
    #[arg(long, value_name = "WxH", value_parser = super::size)]
    size: Option<[usize; 2]>,
    /// Draw with the newest weights, not with their moving average
    #[arg(long)]
    no_ema: bool,
    /// Normalise with the statistics of the pictures drawn together, as training does, not with running ones
    #[arg(long)]
    batch_statistics: bool,
    /// Pictures to draw together; with --batch-statistics the last lot is filled up with layouts before it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    /// Store weights and maps in 16-bit floats: half of their memory
    #[arg(long)]
    half: bool,
    /// Multiply what is stored in 16 bits on the card's units for matrices (tensor cores), adding up in 32: experimental
    #[arg(long, requires = "half")]
    cooperative: bool,
    /// Draw each picture in 32 bits as well, and tell how far it is from that, in steps of 8-bit colours
    #[arg(long, requires = "half")]
    deviation: bool,
    /// Choose kernels by the built-in rule, whatever `spadework tune` measured on this adapter
    #[arg(long)]
    no_tuning: bool,
    /// Write a line of JSON for each picture
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    styles: style::Styles,
}

/// What is told of a picture.
#[derive(Serialize)]
struct Drawn<'a> {
    labels: &'a Path,
    picture: &'a Path,
    style: Option<&'a str>,
    layout_size: [usize; 2],
    picture_size: [usize; 2],
    seconds: f64,
    executed_macs: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    deviation: Option<Deviation>,
}

/// Draws every picture.
pub fn run(args: &Args, adapter: Option<&str>) -> Result<()> {
    args.styles.validate()?;
    let wide = match args.cooperative {
        true => Gpu::open_with_matrices(adapter)?,
        false => Gpu::open(adapter)?,
    };
    let gpu = match args.half {
        true => wide.with_half()?,
        false => wide.clone(),
    };
    let gpu = super::tuned(gpu, !args.no_tuning);
    let mut checkpoint = super::checkpoint(args.checkpoint.as_deref())?;
    if args.no_ema {
        checkpoint.networks.take_average();
    }
    let norm_g = checkpoint.config.model.norm_g;
    if args.batch_statistics && norm_g.kind == SpadeNorm::Instance {
        return Err(Error::Usage(format!(
            "--batch-statistics does nothing: norm_g = {norm_g} normalises each picture by itself, always; leave it out"
        )));
    }
    let learned = Learned {
        dataset_mode: checkpoint.config.data.dataset_mode,
        space: checkpoint.space.clone(),
    };
    let jobs = args.what.jobs(&args.out, &learned, args.styles.count())?;
    let mut exact = match args.deviation {
        true => Some(Generator::new(&wide, checkpoint.clone())?),
        false => None,
    };
    let mut generator = Generator::new(&gpu, checkpoint)?;
    for generator in exact.iter_mut().chain([&mut generator]) {
        generator.use_batch_statistics(args.batch_statistics);
    }
    let size = args.size.unwrap_or(generator.size());
    if generator.has_styles() && size != generator.size() {
        let [width, height] = generator.size();
        return Err(Error::Usage(format!(
            "--size: a generator with styles draws pictures of {width}x{height} only, the size it was trained for"
        )));
    }
    let styles = args.styles.resolve(&mut generator)?;
    // Of photos the other has styles of its own.
    let exact_styles = match &mut exact {
        Some(exact) => args.styles.resolve(exact)?,
        None => Vec::new(),
    };
    let stop = super::interrupt::flag()?;
    let bar = super::bar((jobs.len() * styles.len()) as u64, "drawing");
    for Lot { drawn, told } in lots(jobs.len(), args.batch.into(), args.batch_statistics) {
        let jobs = &jobs[drawn];
        let read =
            |job: &Job| Layout::read(&job.labels, job.instances.as_deref(), generator.space());
        let layouts = jobs.iter().map(read).collect::<Result<Vec<_>>>()?;
        for (i, style) in styles.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let start = Instant::now();
            let chosen = style.as_ref().map(|(style, _)| style);
            let drawn = generator.synth_together(&layouts, chosen, size)?;
            let seconds = start.elapsed().as_secs_f64() / jobs.len() as f64;
            let exact = exact.as_mut();
            let exact = exact.map(|exact| {
                let chosen = exact_styles[i].as_ref().map(|(style, _)| style);
                exact.synth_together(&layouts, chosen, size)
            });
            let exact = exact.transpose()?.unwrap_or_default();
            for (at, (job, layout)) in jobs.iter().zip(&layouts).enumerate().skip(told) {
                let picture = &drawn[at];
                let out = &job.outs[i];
                if let Some(folder) = out.parent() {
                    std::fs::create_dir_all(folder)
                        .map_err(|e| Error::io("cannot create", folder, e))?;
                }
                picture::save(out, picture)?;
                let drawn = Drawn {
                    labels: &job.labels,
                    picture: out,
                    style: style.as_ref().map(|(_, name)| name.as_str()),
                    layout_size: layout.size(),
                    picture_size: size,
                    seconds,
                    executed_macs: generator.effort().macs / jobs.len() as u64,
                    deviation: exact
                        .get(at)
                        .map(|exact| Deviation::between(picture, exact)),
                };
                bar.suspend(|| tell(&drawn, args.json))?;
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Layouts to draw together.
#[derive(Debug, PartialEq)]
struct Lot {
    drawn: Range<usize>,
    /// The first of them that were drawn in the lot before already.
    told: usize,
}

/// Layouts in lots. The last one may be smaller, unless what is drawn together matters.
fn lots(layouts: usize, batch: usize, is_filled: bool) -> Vec<Lot> {
    let lot = |start: usize| {
        let end = (start + batch).min(layouts);
        let from = match is_filled {
            true => end.saturating_sub(batch),
            false => start,
        };
        Lot {
            drawn: from..end,
            told: start - from,
        }
    };
    (0..layouts).step_by(batch).map(lot).collect()
}

fn tell(drawn: &Drawn, json: bool) -> Result<()> {
    if json {
        let line = serde_json::to_string(drawn);
        let line = line.map_err(|e| Error::Data(format!("cannot write as JSON: {e}")))?;
        return super::print(&(line + "\n"));
    }
    let [[w, h], [pw, ph]] = [drawn.layout_size, drawn.picture_size];
    let style = drawn.style.map(|name| format!("style {name}, "));
    let deviation = drawn.deviation.map(|Deviation { most, mean }| {
        format!(", {most} steps of 255 from 32 bits at most, {mean:.3} on average")
    });
    super::print(&format!(
        "{}  layout {w}x{h}, picture {pw}x{ph}, {}{:.2} s, {:.2} GMAC{}\n",
        drawn.picture.display(),
        style.unwrap_or_default(),
        drawn.seconds,
        drawn.executed_macs as f64 / 1e9,
        deviation.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lot_is_filled_up_where_it_matters() {
        let of = |layouts, batch, is_filled| -> Vec<_> {
            let lots = lots(layouts, batch, is_filled).into_iter();
            lots.map(|lot| (lot.drawn, lot.told)).collect()
        };
        assert_eq!(of(5, 2, false), [(0..2, 0), (2..4, 0), (4..5, 0)]);
        assert_eq!(of(5, 2, true), [(0..2, 0), (2..4, 0), (3..5, 1)]);
        assert_eq!(of(4, 2, true), [(0..2, 0), (2..4, 0)]);
        // There are no more.
        assert_eq!(of(3, 8, true), [(0..3, 0)]);
        assert_eq!(of(0, 8, true), []);
    }
}
