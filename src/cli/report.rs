//! `spadework report`.

use std::path::PathBuf;

use spadework::train::report::{self, Pictures};
use spadework::train::write_durably;
use spadework::{Error, Result};

/// Options of `report`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// HTML file to write; it needs no other file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Sample sheets in it, evenly spread over the run
    #[arg(long, value_name = "N", default_value_t = 24)]
    sheets: usize,
}

/// Writes the page.
pub fn run(args: &Args) -> Result<()> {
    if args.out.exists() {
        return Err(Error::Usage(format!(
            "{} exists and nothing is ever overwritten: choose another --out",
            args.out.display()
        )));
    }
    let page = report::page(&args.run, Pictures::Embedded(args.sheets))?;
    write_durably(&args.out, |writer| writer.write_all(page.as_bytes()))?;
    super::print(&format!("{}\n", args.out.display()))
}
