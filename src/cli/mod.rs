//! The command line: what each subcommand takes, and how an error becomes an exit code.
//!
//! Results go to standard output, progress and errors to standard error. All work is done by the library.

mod bench;
mod check;
mod demo;
mod devices;
mod eval;
mod export;
mod import;
mod inspect;
mod interrupt;
mod jobs;
mod landscapes;
#[cfg(feature = "window")]
mod paint;
mod report;
mod style;
mod synth;
mod train;
mod tune;
#[cfg(feature = "window")]
mod watch;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use spadework::gpu::Gpu;
use spadework::train::Checkpoint;
use spadework::{Error, Result};

/// Semantic image synthesis (SPADE) on any GPU: train on photographs with label maps, turn label maps into pictures.
#[derive(Parser)]
#[command(name = "spadework", version, max_term_width = 100)]
#[command(
    after_help = "Without a command the painter opens, with the model that comes with the program.\n\n\
                        Exit codes: 0 done, 1 failure, 2 wrong usage, 3 bad data, 4 no usable device, \
                        130 interrupted after saving."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
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
    /// A first look: landscapes in many styles, and a network that learns, as a page of pictures
    Demo(demo::Args),
    /// List adapters: limits, features, and which kernels they would run
    Devices(devices::Args),
    /// Read a data set and report everything wrong with it, and what is in it
    Check(check::Args),
    /// Train on photographs with label maps, or on built-in landscapes
    Train(Box<train::Args>),
    /// Turn label maps into pictures
    #[command(after_help = synth::EXAMPLES, allow_missing_positional = true)]
    Synth(synth::Args),
    /// Judge a generator of the built-in landscapes by pictures whose truth is known
    Eval(eval::Args),
    /// Open a window: paint a label map, watch the picture
    #[cfg(feature = "window")]
    Paint(paint::Args),
    /// Open a window on the folder of a run: sample sheets, curves, progress; reads only
    #[cfg(feature = "window")]
    Watch(watch::Args),
    /// Measure which kernels are fastest on this adapter, for everything that draws or trains from then on
    #[command(after_help = tune::HOW)]
    Tune(tune::Args),
    /// Measure speed and memory on this machine
    Bench(Box<bench::Args>),
    /// Show what a checkpoint holds
    Inspect(inspect::Args),
    /// Write a run's losses and samples as a page to hand on
    Report(report::Args),
    /// Make a checkpoint of the official code's files
    Import(Box<import::Args>),
    /// Write a checkpoint's networks for the official code and for others
    Export(export::Args),
    /// Write built-in landscapes as a data set
    Landscapes(landscapes::Args),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let adapter = cli.global.adapter.as_deref();
    let Some(command) = cli.command.or_else(alone) else {
        // What clap says where a subcommand must be given.
        let help = Cli::command().render_help().ansi().to_string();
        let _ = anstream::stderr().write_all(help.as_bytes());
        return ExitCode::from(2);
    };
    let done = match command {
        Command::Demo(args) => demo::run(&args, adapter),
        Command::Devices(args) => devices::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Train(args) => train::run(args, adapter),
        Command::Synth(args) => synth::run(&args, adapter),
        Command::Eval(args) => eval::run(&args, adapter),
        #[cfg(feature = "window")]
        Command::Paint(args) => paint::run(&args, adapter),
        #[cfg(feature = "window")]
        Command::Watch(args) => watch::run(&args),
        Command::Tune(args) => tune::run(&args, adapter),
        Command::Bench(args) => bench::run(&args, adapter),
        Command::Inspect(args) => inspect::run(&args, adapter),
        Command::Report(args) => report::run(&args),
        Command::Import(args) => import::run(&args),
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

/// What the program does without a subcommand: it paints with the model that comes with it, where there is a display.
fn alone() -> Option<Command> {
    #[cfg(feature = "window")]
    if Checkpoint::HAS_SHIPPED && has_display() {
        return Some(Command::Paint(paint::Args::default()));
    }
    None
}

/// Whether windows can be shown. Only free desktops leave it open.
#[cfg(feature = "window")]
fn has_display() -> bool {
    let names = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(any(windows, target_os = "macos")) || ["WAYLAND_DISPLAY", "DISPLAY"].into_iter().any(names)
}

/// The checkpoint that was named, or the model that comes with the program.
fn checkpoint(named: Option<&Path>) -> Result<Checkpoint> {
    named.map_or_else(Checkpoint::shipped, Checkpoint::load)
}

/// The device with what was measured on it, unless that is not wanted. What cannot be used is told.
fn tuned(gpu: Arc<Gpu>, is_wanted: bool) -> Arc<Gpu> {
    if !is_wanted {
        return gpu;
    }
    let (gpu, notice) = spadework::tune::tuned(gpu);
    if let Some(notice) = notice {
        note(&notice);
    }
    gpu
}

/// Tells something beside the results.
fn note(text: &str) {
    // Nobody is left to tell if this fails.
    let _ = anstream::stderr().write_all(format!("note: {text}\n").as_bytes());
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

/// The widest texture of most devices, and more than any network here fills.
const MAX_SIDE: usize = 16384;

/// Parses `WxH`.
fn size(text: &str) -> Result<[usize; 2], String> {
    // One number is both sides of a square.
    let sides = text.split_once('x').or(Some((text, text)));
    let sides = sides.and_then(|(width, height)| {
        let side = |text: &str| {
            text.parse()
                .ok()
                .filter(|side| (1..=MAX_SIDE).contains(side))
        };
        Some([side(width)?, side(height)?])
    });
    sides.ok_or_else(|| {
        format!(
            "{text:?} is not of the form 512x256, width first, or 256 for a square, with sides of up to {MAX_SIDE} pixels"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{Cli, CommandFactory, size};

    #[test]
    fn sizes_are_two_sides_or_that_of_a_square() {
        assert_eq!(size("512x256"), Ok([512, 256]));
        assert_eq!(size("256"), Ok([256, 256]));
        for text in ["", "x", "256x", "0", "256x256x3", "-1", "1000000"] {
            let error = size(text).unwrap_err();
            assert!(error.contains("for a square"), "{text}: {error}");
        }
    }

    /// Common options, those of training, of testing, and of the pix2pixHD generator, as the official code defines them.
    const OFFICIAL: [&str; 4] = [
        "name gpu_ids checkpoints_dir model norm_G norm_D norm_E phase batchSize preprocess_mode load_size crop_size \
         aspect_ratio label_nc contain_dontcare_label output_nc dataroot dataset_mode serial_batches no_flip nThreads \
         max_dataset_size load_from_opt_file cache_filelist_write cache_filelist_read display_winsize netG ngf init_type \
         init_variance z_dim no_instance nef use_vae num_upsampling_layers no_pairing_check coco_no_portraits label_dir \
         image_dir instance_dir",
        "display_freq print_freq save_latest_freq save_epoch_freq no_html debug tf_log continue_train which_epoch niter \
         niter_decay optimizer beta1 beta2 no_TTUR lr D_steps_per_G ndf lambda_feat lambda_vgg lambda_kld \
         no_ganFeat_loss no_vgg_loss gan_mode netD netD_subarch num_D n_layers_D",
        "results_dir which_epoch how_many",
        "resnet_n_downsample resnet_n_blocks resnet_kernel_size resnet_initial_kernel_size",
    ];

    /// Rows of the tables of options: official name, counterpart, what differs.
    fn rows() -> Vec<[&'static str; 3]> {
        let cells = |line: &'static str| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            cells.try_into().ok()
        };
        let lines = include_str!("../moving.md").lines();
        lines
            .filter(|line| line.starts_with("| `--"))
            .filter_map(cells)
            .collect()
    }

    #[test]
    fn every_official_option_has_a_counterpart_or_a_reason() {
        let cli = Cli::command();
        for [official, here, differs] in rows() {
            if here == "none" {
                assert!(differs.len() > 10, "{official}: no reason");
                continue;
            }
            let words: Vec<_> = here.trim_matches('`').split(' ').collect();
            let [command, argument] = words[..] else {
                panic!("{official}: {here}");
            };
            let command = cli
                .find_subcommand(command)
                .unwrap_or_else(|| panic!("{official}: {command}"));
            let is_there = match argument.strip_prefix("--") {
                Some(flag) => command
                    .get_arguments()
                    .chain(cli.get_arguments())
                    .any(|a| a.get_long() == Some(flag)),
                None => command
                    .get_positionals()
                    .any(|a| a.get_id().as_str().eq_ignore_ascii_case(argument)),
            };
            assert!(is_there, "{official}: there is no {here}");
        }
    }

    #[test]
    fn flags_named_in_the_text_exist() {
        let cli = Cli::command();
        let commands = || cli.get_subcommands();
        let words = include_str!("../moving.md")
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        let flags = words.filter_map(|word| word.strip_prefix("--"));
        // Not the rules of tables.
        for flag in flags.filter(|flag| flag.starts_with(char::is_alphabetic)) {
            let is_here = commands().any(|command| {
                let mut arguments = command.get_arguments();
                arguments.any(|a| {
                    let aliases = a.get_all_aliases().unwrap_or_default();
                    a.get_long() == Some(flag) || aliases.contains(&flag)
                })
            });
            let is_global = cli.get_arguments().any(|a| a.get_long() == Some(flag));
            let is_official = OFFICIAL
                .iter()
                .any(|names| names.split_whitespace().any(|name| name == flag));
            assert!(is_here || is_global || is_official, "--{flag}");
        }
    }

    #[test]
    fn no_official_option_is_left_out() {
        let names = rows()
            .into_iter()
            .map(|[official, ..]| official.trim_matches('`').trim_start_matches("--"));
        let official = OFFICIAL.iter().flat_map(|names| names.split_whitespace());
        assert_eq!(names.collect::<Vec<_>>(), official.collect::<Vec<_>>());
    }
}
