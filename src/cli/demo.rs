//! `spadework demo`.

#[cfg(feature = "window")]
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar};
use spadework::demo::{Extent, NEXT, News, show};
use spadework::gpu::{Gpu, adapters};
use spadework::train::TrainEvent;
use spadework::train::event::StepReport;
use spadework::{Error, Result};

/// Options of `demo`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint of a generator of landscapes with styles [default: the one that comes with the program]
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: Option<PathBuf>,
    /// New folder for the page and the pictures [default: runs/demo, or numbered where that is taken]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Layouts to draw in every style
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=64))]
    layouts: u16,
    /// Time to train for
    #[arg(long, value_name = "SECONDS", default_value_t = 45, value_parser = clap::value_parser!(u16).range(1..=3600))]
    seconds: u16,
    /// Open the painter's window afterwards, as at a terminal on a machine with a display
    #[cfg(feature = "window")]
    #[arg(long, overrides_with = "no_window")]
    window: bool,
    /// Open no window
    #[cfg(feature = "window")]
    #[arg(long)]
    no_window: bool,
}

#[cfg(feature = "window")]
impl Args {
    fn opens_window(&self) -> bool {
        let is_watched = || std::io::stdout().is_terminal() && super::has_display();
        self.window || (!self.no_window && is_watched())
    }
}

/// Shows what there is.
pub fn run(args: &Args, adapter: Option<&str>) -> Result<()> {
    let start = Instant::now();
    let stop = super::interrupt::flag()?;
    let model = super::checkpoint(args.checkpoint.as_deref())?;
    let gpu = Gpu::open(adapter)?;
    let found: Vec<_> = adapters().iter().map(|a| a.get_info().name).collect();
    super::print(&format!(
        "adapters: {}\nusing {}\n",
        found.join("; "),
        gpu.info.name
    ))?;
    let out = args.out.clone().unwrap_or_else(free_folder);
    let extent = Extent {
        layouts: args.layouts.into(),
        training: Duration::from_secs(args.seconds.into()),
    };
    let mut console = Console::new(extent.training);
    let shown = show(&gpu, model, extent, &out, &stop, &mut |news| {
        console.hear(&news);
        Ok(())
    });
    console.bar.finish_and_clear();
    let page = out.join("index.html");
    if matches!(shown, Err(Error::Interrupted)) && page.exists() {
        super::print(&format!(
            "\nWhat was done until then:\n  {}\n",
            page.display()
        ))?;
    }
    shown?;
    let seconds = start.elapsed().as_secs();
    super::print(&format!(
        "\nDone in {seconds} seconds. Open this page:\n  {}\nThe same as single pictures: *.png beside it.\n\nWhat to do \
         next:\n{}",
        page.display(),
        NEXT.lines()
            .map(|line| format!("  {line}\n"))
            .collect::<String>()
    ))?;
    #[cfg(feature = "window")]
    if args.opens_window() {
        let checkpoint = args.checkpoint.clone();
        let shipped = || spadework::train::checkpoint::SHIPPED.into();
        let painted = spadework::app::paint(
            checkpoint.or_else(|| Some(shipped())),
            adapter.map(String::from),
            false,
        );
        return match painted {
            // Nobody asked for the window: the look itself is done.
            Err(error) if !args.window => {
                eprintln!("note: {error}");
                Ok(())
            }
            painted => painted,
        };
    }
    Ok(())
}

/// The first name that nothing has.
fn free_folder() -> PathBuf {
    let first = Path::new("runs/demo");
    let numbered = (2..).map(|n| PathBuf::from(format!("runs/demo-{n}")));
    let mut names = std::iter::once(first.to_path_buf()).chain(numbered);
    names
        .find(|name| !name.exists())
        .expect("numbers do not end")
}

/// Progress on standard error: a bar on a terminal, else a line now and then.
struct Console {
    bar: ProgressBar,
    start: Instant,
    last_line: Option<Instant>,
    training: Duration,
}

/// Time between lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

impl Console {
    fn new(training: Duration) -> Self {
        Self {
            bar: super::bar(1, "drawing"),
            start: Instant::now(),
            last_line: None,
            training,
        }
    }

    fn hear(&mut self, news: &News) {
        match news {
            News::Drawn(done, total) => {
                self.bar.set_length(*total as u64);
                self.bar.set_position(*done as u64);
                let rate = *done as f64 / self.start.elapsed().as_secs_f64();
                let left = Duration::from_secs_f64((total - done) as f64 / rate);
                let left = HumanDuration(left);
                self.line(done == total, || {
                    format!(
                        "drawing: {done} of {total} pictures, {rate:.1} a second, {left:#} left"
                    )
                });
            }
            News::Training(TrainEvent::Started(_), _) => {
                self.bar.finish_and_clear();
                self.bar = super::bar(self.training.as_secs(), "training");
                self.last_line = None;
            }
            News::Training(TrainEvent::Step(report), elapsed) => self.step(report, *elapsed),
            News::Training(..) => {}
        }
    }

    fn step(&mut self, report: &StepReport, elapsed: Duration) {
        self.bar
            .set_position(elapsed.as_secs().min(self.training.as_secs()));
        let left = HumanDuration(self.training.saturating_sub(elapsed));
        let rate = report.step as f64 / elapsed.as_secs_f64().max(1e-9);
        self.line(elapsed >= self.training, || {
            let losses = report.losses.iter();
            let losses: Vec<_> = losses.map(|(name, x)| format!("{name} {x:.3}")).collect();
            let losses = losses.join("  ");
            format!(
                "training: iteration {}, {rate:.1} a second, {left:#} left: {losses}",
                report.step
            )
        });
    }

    fn line(&mut self, is_last: bool, text: impl FnOnce() -> String) {
        let is_due = self
            .last_line
            .is_none_or(|last| last.elapsed() >= LINE_INTERVAL);
        if is_due || is_last {
            self.last_line = Some(Instant::now());
            let text = text();
            self.bar.suspend(|| eprintln!("{text}"));
        }
    }
}
