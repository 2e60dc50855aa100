//! `spadework train`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
#[cfg(feature = "window")]
use spadework::app;
use spadework::config::{Config, ConfigFlags, Preset};
use spadework::gpu::Gpu;
use spadework::train::event::{End, Started, StepReport};
use spadework::train::{Checkpoint, RunFolder, Session, TrainEvent};
use spadework::{Error, Result};
use toml::Table;

/// Options of `train`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of the data set: train_img, train_label, any train_inst, val_img and so on, or as --dataset-mode has it
    #[arg(value_name = "DIR", conflicts_with_all = ["image_dir", "label_dir", "landscapes"])]
    dir: Option<PathBuf>,
    /// Data set by its name: landscapes, the built-in ones, drawn as they are needed, 8000 an epoch; or a folder as DIR
    #[arg(long, value_name = "DATA", conflicts_with_all = ["dir", "image_dir", "label_dir", "landscapes"])]
    data: Option<PathBuf>,
    /// Folder of the run, which must be new, or with --resume be one
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Starting point of all other options [default: small; with a published --dataset-mode the published sizes]
    #[arg(long)]
    preset: Option<Preset>,
    /// TOML file of options; flags go before it, it goes before the preset
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Go on from the newest checkpoint in --out, as if never stopped
    #[arg(long, conflicts_with_all = ["preset", "config"])]
    resume: bool,
    /// Start with the networks of this checkpoint or run; what it lacks, Adam's moments and the schedule begin anew
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "resume")]
    from: Option<PathBuf>,
    /// Choose kernels by the built-in rule, whatever `spadework tune` measured on this adapter
    #[arg(long)]
    no_tuning: bool,
    /// Stop after this many iterations in all, and save
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// Watch in a window: samples, curves, pause, single steps
    #[cfg(feature = "window")]
    #[arg(long)]
    window: bool,
    #[command(flatten)]
    flags: ConfigFlags,
}

/// Trains.
pub fn run(args: Box<Args>, adapter: Option<&str>) -> Result<()> {
    let flags = args.flags.clone().with_dir(args.dir.as_deref())?;
    let flags = flags.with_data(args.data.as_deref())?.0;
    // Before anything slow, so that Ctrl-C is heard from the start.
    let stop = super::interrupt::flag()?;
    let mut console = Console::new();
    #[cfg(feature = "window")]
    if args.window {
        let (limit, adapter) = (args.max_steps, adapter.map(String::from));
        let mut has_begun = false;
        let open = move || {
            let session = match has_begun {
                true => resume(&args, Table::new(), adapter.as_deref()),
                false => open(&args, flags.clone(), adapter.as_deref()),
            }?;
            has_begun = true;
            Ok(session)
        };
        return ended(app::live::train(open, stop, limit, move |event| {
            console.hear(event)
        })?);
    }
    let mut session = open(&args, flags, adapter)?;
    ended(session.train(&stop, args.max_steps, &mut |event| {
        console.hear(event);
        Ok(())
    })?)
}

fn open(args: &Args, flags: Table, adapter: Option<&str>) -> Result<Session> {
    match args.resume {
        true => resume(args, flags, adapter),
        false => start(args, flags, adapter),
    }
}

fn ended(end: End) -> Result<()> {
    match end {
        End::Interrupted => Err(Error::Interrupted),
        End::Complete | End::Limit => Ok(()),
    }
}

fn start(args: &Args, flags: Table, adapter: Option<&str>) -> Result<Session> {
    RunFolder::refuse_used(&args.out)?;
    let (from_file, file) = match &args.config {
        Some(path) => Config::read_file(path)?,
        None => Default::default(),
    };
    let preset = args.preset.or(from_file);
    let Some(from) = &args.from else {
        let config = Config::merge(preset, file, flags)?;
        let space = config.data.label_space()?;
        return Session::start(&open_gpu(args, adapter)?, config, space, &args.out);
    };
    let before = Checkpoint::load(from)?;
    let config = Config::merge_from(&before.config, preset, file, flags)?;
    let space = config.data.label_space()?.naming(&before.space);
    let space =
        space.map_err(|why| Error::Usage(format!("{} and the data: {why}", from.display())))?;
    Session::start_from(
        &open_gpu(args, adapter)?,
        config,
        space,
        &before.networks,
        &args.out,
    )
}

fn resume(args: &Args, flags: Table, adapter: Option<&str>) -> Result<Session> {
    let run = RunFolder::open(&args.out)?;
    let shelf = run.shelf();
    if shelf.steps()?.is_empty() {
        return Err(Error::Data(format!(
            "{}: the run in it ended before its first checkpoint, so there is nothing to go on from: remove the folder and \
             train without --resume",
            args.out.display()
        )));
    }
    let loaded = Checkpoint::load(&shelf.newest()?);
    let mut checkpoint = match (loaded, shelf.steps()?.as_slice()) {
        (Err(Error::Data(why)), [.., before, _]) => {
            return Err(Error::Data(format!(
                "{why}; to go on from iteration {before} move that file away"
            )));
        }
        (loaded, _) => loaded?,
    };
    checkpoint.config = checkpoint.config.change(flags)?;
    Session::resume(&open_gpu(args, adapter)?, checkpoint, run)
}

fn open_gpu(args: &Args, adapter: Option<&str>) -> Result<Arc<Gpu>> {
    Ok(super::tuned(Gpu::open(adapter)?, !args.no_tuning))
}

/// Progress on standard error: a bar on a terminal, else a line now and then.
struct Console {
    bar: ProgressBar,
    /// When the last line was written, or training began, and the pictures seen then.
    last_line: (Instant, u64),
    has_line: bool,
    epochs: u64,
    total_images: u64,
}

/// Time between lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Pictures a second, and the time left at that.
fn pace(images: u64, elapsed: Duration, left: u64) -> String {
    let rate = images as f64 / elapsed.as_secs_f64().max(1e-9);
    let seconds = left as f64 / rate;
    let left = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    format!("{rate:.2} pictures/s, {:#} left", HumanDuration(left))
}

impl Console {
    fn new() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            last_line: (Instant::now(), 0),
            has_line: false,
            epochs: 0,
            total_images: 0,
        }
    }

    fn hear(&mut self, event: &TrainEvent) {
        match event {
            TrainEvent::Started(started) => self.start(started),
            TrainEvent::Notice(notice) => self.line(&format!("note: {notice}")),
            TrainEvent::Step(report) => self.step(report),
            TrainEvent::Sheet(path) => self.line(&format!("samples {}", path.display())),
            TrainEvent::Changed(change) => self.line(&change.to_string()),
            TrainEvent::Saved(path) => self.line(&format!("saved {}", path.display())),
            TrainEvent::Ended(end) => {
                self.bar.finish_and_clear();
                self.line(match end {
                    End::Complete => "training is complete",
                    End::Limit => "stopped at --max-steps; --resume goes on",
                    End::Interrupted => "stopped; --resume goes on",
                });
            }
        }
    }

    fn start(&mut self, started: &Started) {
        self.epochs = started.epochs;
        self.total_images = started.total_images;
        self.last_line = (Instant::now(), started.images);
        self.line(&format!(
            "training on {} with {} MiB: {} pictures, {} batches an epoch, {} epochs",
            started.adapter,
            started.device_bytes.div_ceil(1 << 20),
            started.pictures,
            started.batches_per_epoch,
            started.epochs
        ));
        self.line(&format!("memory: {}", started.memory));
        if started.step > 0 {
            self.line(&format!("going on after iteration {}", started.step));
        }
        let template = "{wide_bar} {pos}/{len} pictures  {per_sec}  {eta} left\n{wide_msg}";
        let style = ProgressStyle::with_template(template).expect("the template is valid");
        self.bar = ProgressBar::new(started.total_images).with_style(style);
        self.bar.set_position(started.images);
        self.bar.reset_eta();
    }

    fn step(&mut self, report: &StepReport) {
        let losses = report.losses.iter();
        let losses: Vec<_> = losses.map(|(name, x)| format!("{name} {x:.3}")).collect();
        let message = format!(
            "epoch {}/{}, iteration {}: {}",
            report.epoch,
            self.epochs,
            report.step,
            losses.join("  ")
        );
        if self.bar.is_hidden() {
            let (last, images) = self.last_line;
            if !self.has_line || last.elapsed() >= LINE_INTERVAL {
                let left = self.total_images.saturating_sub(report.images);
                let pace = pace(report.images - images, last.elapsed(), left);
                self.last_line = (Instant::now(), report.images);
                self.has_line = true;
                self.line(&format!("{message}  ({pace})"));
            }
        } else {
            self.bar.set_message(message);
            self.bar.set_position(report.images);
        }
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_the_last_line() {
        let pace = |images, seconds, left| pace(images, Duration::from_secs(seconds), left);
        assert_eq!(pace(25, 10, 3 * 3600 * 5 / 2), "2.50 pictures/s, 3h left");
        assert_eq!(pace(25, 10, 0), "2.50 pictures/s, 0s left");
        assert!(pace(0, 10, 7).starts_with("0.00 pictures/s"));
    }
}
