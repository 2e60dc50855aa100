//! `spadework paint`.

use std::path::PathBuf;

use spadework::{Error, Result, app};

/// Options of `paint`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint of the generator, or folder of a run for its newest one; can also be opened in the window
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: Option<PathBuf>,
}

/// Opens the window.
pub fn run(args: &Args, adapter: Option<&str>) -> Result<()> {
    if let Some(path) = args.checkpoint.as_deref().filter(|path| !path.exists()) {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Error::io("cannot read", path, missing));
    }
    app::paint(args.checkpoint.clone(), adapter.map(String::from))
}
