//! `spadework export`.

use std::path::PathBuf;

use spadework::Result;
use spadework::convert;
use spadework::train::Checkpoint;

/// Options of `export`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint to take the networks of, or folder of a run for its newest one
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,
    /// Folder for the files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What the names of the files begin with
    #[arg(long, value_name = "EPOCH", default_value = "latest")]
    which_epoch: String,
    /// Write the newest weights of the generator, although the checkpoint has their moving average
    #[arg(long)]
    no_ema: bool,
}

/// Writes every network, as PyTorch loads it and as safetensors.
pub fn run(args: &Args) -> Result<()> {
    let mut checkpoint = Checkpoint::load(&args.checkpoint)?;
    if args.no_ema {
        checkpoint.networks.take_average();
    }
    let written = convert::export(checkpoint, &args.which_epoch, &args.out)?;
    let lines: String = written
        .iter()
        .map(|path| format!("{}\n", path.display()))
        .collect();
    super::print(&lines)
}
