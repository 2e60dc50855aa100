//! `spadework check`.

use std::path::PathBuf;

use spadework::config::{Config, DataFlags};
use spadework::data::check;
use spadework::{Error, Result};

/// Options of `check`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of the data set: train_img, train_label, any train_inst, val_img and so on, or as --dataset-mode has it
    #[arg(value_name = "DIR", required_unless_present_any = ["image_dir", "config"])]
    dir: Option<PathBuf>,
    /// TOML file of options, as for training; flags go before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: DataFlags,
}

/// Prints the report; bad data if anything is wrong.
pub fn run(args: &Args) -> Result<()> {
    let flags = args.flags.0.clone().with_dir(args.dir.as_deref())?.0;
    let (preset, file) = match &args.config {
        Some(path) => Config::read_file(path)?,
        None => Default::default(),
    };
    let config = Config::merge(preset, file, flags)?.data;
    let bar = super::bar(0, "checking");
    let report = check::check(&config, &|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let report = report?;
    match args.json {
        true => super::print_json(&report)?,
        false => super::print(&report.to_string())?,
    }
    match report.problems.len() {
        0 => Ok(()),
        count => Err(Error::Data(format!("{count} problems in the data set"))),
    }
}
