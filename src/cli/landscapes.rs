//! `spadework landscapes`.

use std::path::PathBuf;

use spadework::Result;
use spadework::data::landscape::{FolderPlan, write_folder};

/// Options of `landscapes`.
#[derive(clap::Args)]
pub struct Args {
    /// New folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Pictures to train on
    #[arg(long, value_name = "N", default_value_t = 1000)]
    count: usize,
    /// Pictures to judge by
    #[arg(long, value_name = "N", default_value_t = 20)]
    val: usize,
    /// Size of the pictures
    #[arg(long, value_name = "WxH", default_value = "256x256", value_parser = super::size)]
    size: [usize; 2],
    /// Seed of the pictures
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// Writes the data set.
pub fn run(args: &Args) -> Result<()> {
    let [width, height] = args.size;
    let plan = FolderPlan {
        train: args.count,
        val: args.val,
        width,
        height,
        seed: args.seed,
    };
    let stop = super::interrupt::flag()?;
    let bar = super::bar((args.count + args.val) as u64, "drawing");
    write_folder(&args.out, plan, super::interrupt::follow(&bar, stop))?;
    bar.finish_and_clear();
    Ok(())
}
