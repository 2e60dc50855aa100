//! `spadework watch`.

use std::path::PathBuf;

use spadework::{Result, app};

/// Options of `watch`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of a run, whether it is going on or not
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

/// Opens the window.
pub fn run(args: &Args) -> Result<()> {
    app::monitor::watch(args.run.clone())
}
