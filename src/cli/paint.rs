//! `spadework paint`.

use std::path::PathBuf;

use spadework::train::Checkpoint;
use spadework::train::checkpoint::SHIPPED;
use spadework::{Error, Result, app};

/// Options of `paint`.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Checkpoint of the generator, or folder of a run for its newest one [default: the one that comes with the program]
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: Option<PathBuf>,
    /// Measure the fastest kernels while nothing is drawn, for the next start; see `spadework tune`
    #[arg(long)]
    tune: bool,
}

/// Opens the window.
pub fn run(args: &Args, adapter: Option<&str>) -> Result<()> {
    if let Some(path) = args
        .checkpoint
        .as_deref()
        .filter(|path| !path.exists() && path.as_os_str() != SHIPPED)
    {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Error::io("cannot read", path, missing));
    }
    let shipped = Checkpoint::HAS_SHIPPED.then(|| SHIPPED.into());
    app::paint(
        args.checkpoint.clone().or(shipped),
        adapter.map(String::from),
        args.tune,
    )
}
