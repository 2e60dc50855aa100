//! `spadework check`.

use std::path::PathBuf;

use spadework::data::{DataConfig, check};
use spadework::{Error, Result};

/// Options of `check`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder with train_img, train_label and, if there are any, train_inst, val_img, val_label, val_inst
    #[arg(value_name = "DIR", required_unless_present = "image_dir")]
    dir: Option<PathBuf>,
    /// Folder of photos, instead of DIR
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "dir",
        requires = "label_dir"
    )]
    image_dir: Option<PathBuf>,
    /// Folder of label maps, instead of DIR
    #[arg(long, value_name = "DIR", requires = "image_dir")]
    label_dir: Option<PathBuf>,
    /// Folder of instance maps, instead of DIR
    #[arg(long, value_name = "DIR", requires = "image_dir")]
    instance_dir: Option<PathBuf>,
    /// Class table [default: classes.toml or classes.json in DIR]
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// Number of classes [default: the class table's]
    #[arg(long, value_name = "N")]
    label_nc: Option<usize>,
    /// Unlabelled pixels have a channel of their own [default: as the class table says]
    #[arg(long = "contain-dontcare-label")]
    dontcare: bool,
    /// Leave instance maps out
    #[arg(long)]
    no_instance: bool,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Prints the report; bad data if anything is wrong.
pub fn run(args: &Args) -> Result<()> {
    let config = DataConfig {
        dir: args.dir.clone(),
        image_dir: args.image_dir.clone(),
        label_dir: args.label_dir.clone(),
        instance_dir: args.instance_dir.clone(),
        classes: args.classes.clone(),
        label_nc: args.label_nc,
        dontcare: args.dontcare.then_some(true),
        instances: args.no_instance.then_some(false),
        ..DataConfig::default()
    };
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
