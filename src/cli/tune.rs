//! `spadework tune`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use spadework::bench::{Setting, Sizes, train};
use spadework::config::{Config, Preset};
use spadework::gpu::Gpu;
use spadework::model::cost::{synthesis_plan, training_plans};
use spadework::ops::winograd::{Choices, Method};
use spadework::tune::{Cache, FOLDER, Measured, Tuner, Turn};
use spadework::{Error, Result};

/// Shown below the options.
pub const HOW: &str = "\
All methods compute the same and are tested; results differ in rounding only. Only the ranking is
measured: the built-in rule stays where nothing is clearly faster. The ranking is kept in the user's
folder for caches, or in the one that the variable SPADEWORK_CACHE names, a file for each adapter.
`paint`, and `synth` and new runs of `train` unless told --no-tuning, go by it; a run that is resumed stays
with the choices it began with. Ctrl-C stops and keeps what was measured.";

/// Options of `tune`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint of the network to measure, or folder of a run [default: the one that comes with the program]
    #[arg(value_name = "CHECKPOINT", conflicts_with = "preset")]
    checkpoint: Option<PathBuf>,
    /// Measure the network of a preset of `train`, which needs no checkpoint
    #[arg(long, hide_possible_values = true)]
    preset: Option<Preset>,
    /// Width of its picture [default: the preset's]
    #[arg(long, value_name = "PIXELS", requires = "preset")]
    crop_size: Option<usize>,
    /// Width of its generator [default: the preset's]
    #[arg(long, value_name = "CHANNELS", requires = "preset")]
    ngf: Option<usize>,
    /// Measure training as well as drawing
    #[arg(long, conflicts_with = "half")]
    training: bool,
    /// Measure training with the perceptual loss
    #[arg(long, requires = "training")]
    vgg: bool,
    /// Pictures of training that are computed together [default: the checkpoint's or the preset's]
    #[arg(long, value_name = "N", requires = "training", value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: Option<u16>,
    /// Measure drawing with weights and maps in 16-bit floats, as `synth --half` draws
    #[arg(long)]
    half: bool,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// What is told of it all.
#[derive(Serialize)]
struct Report<'a> {
    adapter: &'a str,
    /// The file that remembers it; none where none could be written.
    file: Option<PathBuf>,
    convolutions: &'a [Measured],
}

/// Measures, and remembers.
pub fn run(args: &Args, adapter: Option<&str>) -> Result<()> {
    let stop = super::interrupt::flag()?;
    let config = config(args)?;
    let mut gpu = Gpu::open(adapter)?;
    if args.half {
        gpu = gpu.with_half()?;
    }
    let target = gpu.target();
    let mut plans = vec![synthesis_plan(&config.model, &target)?];
    if args.training {
        let together = config.train.batch_size / config.train.accumulate;
        let batch = args.batch.map_or(together, usize::from);
        let training = train::training(&config, batch, args.vgg);
        plans.extend(training_plans(&training, &target)?);
    }
    let mut tuner = Tuner::new(&gpu, &plans);
    drop(plans);
    let mut measured = Vec::new();
    let ended = measure(&mut tuner, &stop, args.json, &mut measured);
    // What was measured before an end that came early holds too.
    let file = remember(&gpu, &measured);
    if args.json {
        super::print_json(&Report {
            adapter: &gpu.info.name,
            file,
            convolutions: &measured,
        })?;
    } else {
        super::print(&summary(&measured, file.as_deref()))?;
    }
    ended
}

fn config(args: &Args) -> Result<Config> {
    match args.preset {
        Some(preset) => {
            let sizes = Sizes {
                preset,
                crop_size: args.crop_size,
                ngf: args.ngf,
                use_vae: false,
            };
            Ok(Setting::open(sizes, None)?.config)
        }
        None => Ok(super::checkpoint(args.checkpoint.as_deref())?.config),
    }
}

/// Measures until nothing is left, telling each as it is done.
fn measure(
    tuner: &mut Tuner,
    stop: &AtomicBool,
    json: bool,
    measured: &mut Vec<Measured>,
) -> Result<()> {
    let bar = super::bar(tuner.left() as u64, "measuring");
    if !json {
        super::print(&head())?;
    }
    let ended = loop {
        if stop.load(Ordering::Relaxed) {
            break Err(Error::Interrupted);
        }
        match tuner.turn() {
            Ok(Turn::Taken) => {}
            Ok(Turn::Measured(one)) => {
                if !json {
                    bar.suspend(|| super::print(&row(&one)))?;
                }
                measured.push(one);
                bar.inc(1);
            }
            Ok(Turn::Done) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    bar.finish_and_clear();
    ended
}

/// Keeps it on disk, and tells where that is; a notice where it cannot be.
fn remember(gpu: &Gpu, measured: &[Measured]) -> Option<PathBuf> {
    if measured.is_empty() {
        return None;
    }
    let Some(cache) = Cache::of_user(gpu) else {
        super::note(&format!(
            "nothing is remembered, because this system tells of no folder for caches: let {FOLDER} name one"
        ));
        return None;
    };
    if let Err(notice) = cache.read() {
        super::note(&notice);
    }
    let choices: Choices = measured.iter().map(|m| (m.convolution, m.best)).collect();
    match cache.add(&choices) {
        Ok(()) => Some(cache.path().to_path_buf()),
        Err(error) => {
            super::note(&format!(
                "nothing is remembered: {error}; let {FOLDER} name a folder that can be written"
            ));
            None
        }
    }
}

/// A line of a table that grows: columns are as wide as what networks have.
fn line(cells: [&str; 8]) -> String {
    let [what, map, channels, rule, rule_ms, best, best_ms, gain] = cells;
    let line = format!(
        "{what:<18} {map:>12} {channels:>14}  {rule:<13} {rule_ms:>9}  {best:<13} {best_ms:>9} {gain:>7}"
    );
    line.trim_end().to_owned() + "\n"
}

fn head() -> String {
    line([
        "convolution",
        "map",
        "channels",
        "by the rule",
        "ms",
        "fastest",
        "ms",
        "gain",
    ])
}

fn row(measured: &Measured) -> String {
    let Measured {
        convolution,
        rule,
        best,
        ..
    } = measured;
    let ([n, h, w], [from, to]) = (convolution.map, convolution.channels);
    let ms = |method: Method| {
        let seconds = measured.seconds_of(method);
        seconds.map_or_else(|| "-".into(), |s| super::bench::text::ms(s * 1e3))
    };
    let gain = measured.gain();
    line([
        &convolution.pass.to_string(),
        &format!("{n}x{h}x{w}"),
        &format!("{from} to {to}"),
        &rule.to_string(),
        &ms(*rule),
        &best.to_string(),
        &ms(*best),
        &gain.map_or_else(|| "-".into(), |gain| format!("{gain:.2}")),
    ])
}

fn summary(measured: &[Measured], file: Option<&std::path::Path>) -> String {
    let changed = measured.iter().filter(|m| m.best != m.rule).count();
    let count = measured.len();
    let kept = file.map_or_else(String::new, |file| format!(", kept in {}", file.display()));
    format!(
        "{changed} of {count} convolutions are faster by another method than the rule's{kept}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use spadework::ops::winograd::{Convolution, Pass};

    #[test]
    fn rows_fit_below_their_heads() {
        let measured = Measured {
            convolution: Convolution {
                pass: Pass::WeightGrad,
                map: [16, 256, 512],
                channels: [1024, 1024],
            },
            rule: Method::TilesOfFour,
            best: Method::Plain,
            seconds: vec![(Method::Plain, 0.5), (Method::TilesOfFour, 1.0)],
        };
        let (head, row) = (head(), row(&measured));
        assert!(row.ends_with(" 2.00\n"), "{row}");
        assert_eq!(head.len(), row.len(), "{head}{row}");
        let words: Vec<&str> = row.split("  ").filter(|word| !word.is_empty()).collect();
        let cells = ["tiles of four", "1000", "plain", "500"];
        assert!(
            cells
                .iter()
                .all(|cell| words.iter().any(|word| word.trim() == *cell)),
            "{row}"
        );
        let summary = summary(&[measured], None);
        assert!(summary.starts_with("1 of 1 convolutions"), "{summary}");
    }
}
