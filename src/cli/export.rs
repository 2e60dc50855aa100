//! `spadework export`.

use std::path::PathBuf;

use spadework::convert;
use spadework::train::Checkpoint;
use spadework::{Error, Result};

/// Options of `export`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint to take the networks of, or folder of a run for its newest one
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,
    /// Folder for the files; with --compact the one file
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// What the names of the files begin with
    #[arg(long, value_name = "EPOCH", default_value = "latest")]
    which_epoch: String,
    /// Write the newest weights of the generator, although the checkpoint has their moving average
    #[arg(long)]
    no_ema: bool,
    /// Write one small file that draws instead: generator and encoder, kernels in eight bits
    #[arg(long, conflicts_with = "which_epoch")]
    compact: bool,
}

/// Writes every network, as PyTorch loads it and as safetensors; or one file that draws.
pub fn run(args: &Args) -> Result<()> {
    let mut checkpoint = Checkpoint::load(&args.checkpoint)?;
    if args.no_ema {
        checkpoint.networks.take_average();
    }
    if args.compact {
        if args.out.exists() {
            return Err(Error::Usage(format!(
                "{} exists and nothing is ever overwritten: choose another --out",
                args.out.display()
            )));
        }
        checkpoint.save_compact(&args.out)?;
        return super::print(&format!("{}\n", args.out.display()));
    }
    let written = convert::export(checkpoint, &args.which_epoch, &args.out)?;
    let lines: String = written
        .iter()
        .map(|path| format!("{}\n", path.display()))
        .collect();
    super::print(&lines)
}
