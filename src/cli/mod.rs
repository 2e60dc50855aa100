//! The command line: what each subcommand takes, and how an error becomes an exit code.
//!
//! Results go to standard output, progress and errors to standard error. All work is done by the library.

mod check;
mod devices;
mod export;
mod inspect;
mod interrupt;
mod jobs;
mod landscapes;
mod report;
mod style;
mod synth;
mod train;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use spadework::{Error, Result};

/// Semantic image synthesis (SPADE) on any GPU: train on photographs with label maps, turn label maps into pictures.
#[derive(Parser)]
#[command(name = "spadework", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 failure, 2 wrong usage, 3 bad data, 4 no usable device, \
                        130 interrupted after saving."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every subcommand.
#[derive(clap::Args)]
struct Global {
    /// Adapter to run on: its number in `spadework devices`, or part of its name
    #[arg(long, global = true, value_name = "ADAPTER")]
    adapter: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// List adapters: limits, features, and which kernels they would run
    Devices(devices::Args),
    /// Read a data set and report everything wrong with it, and what is in it
    Check(check::Args),
    /// Train on photographs with label maps, or on built-in landscapes
    Train(Box<train::Args>),
    /// Turn label maps into pictures
    #[command(after_help = synth::EXAMPLES)]
    Synth(synth::Args),
    /// Show what a checkpoint holds
    Inspect(inspect::Args),
    /// Write a run's losses and samples as a page to hand on
    Report(report::Args),
    /// Write a checkpoint's networks for the official code and for others
    Export(export::Args),
    /// Write built-in landscapes as a data set
    Landscapes(landscapes::Args),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let adapter = cli.global.adapter.as_deref();
    let done = match cli.command {
        Command::Devices(args) => devices::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Train(args) => train::run(&args, adapter),
        Command::Synth(args) => synth::run(&args, adapter),
        Command::Inspect(args) => inspect::run(&args, adapter),
        Command::Report(args) => report::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Landscapes(args) => landscapes::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// One clear line, in red where colours are shown.
fn report(error: &Error) {
    let styled = clap::builder::Styles::styled();
    let red = styled.get_error();
    let line = format!("{red}error:{red:#} {error}\n");
    // Nobody is left to tell if this fails.
    let _ = anstream::stderr().write_all(line.as_bytes());
}

/// Prints a result. A reader that has seen enough, such as `head`, is no error.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write to", "standard output", error))
        }
        _ => Ok(()),
    }
}

/// Prints a result for programs.
fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|e| Error::Data(format!("cannot write as JSON: {e}")))?;
    print(&(text + "\n"))
}

/// A bar on standard error; nothing where that is no terminal.
fn bar(total: u64, what: &'static str) -> ProgressBar {
    let template = "{msg} {wide_bar} {pos}/{len}  {per_sec}  {eta}";
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    ProgressBar::new(total).with_style(style).with_message(what)
}

/// Parses `WxH`.
fn size(text: &str) -> Result<[usize; 2], String> {
    let sides = text.split_once('x').and_then(|(width, height)| {
        let side = |text: &str| text.parse().ok().filter(|&side: &usize| side > 0);
        Some([side(width)?, side(height)?])
    });
    sides.ok_or_else(|| format!("{text:?} is not of the form 256x256, width first"))
}
