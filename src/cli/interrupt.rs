//! Ctrl-C: the first asks for a clean stop, the second stops at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::ProgressBar;
use spadework::{Error, Result};

/// Exit code of an interrupted program.
const INTERRUPTED: i32 = 130;

/// A flag that the first Ctrl-C raises.
pub fn flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = flag.clone();
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
    })
    .map_err(|e| Error::Usage(format!("cannot listen for Ctrl-C: {e}")))?;
    Ok(flag)
}

/// Moves a bar along with work that hears how much is done, until Ctrl-C.
pub fn follow(
    bar: &ProgressBar,
    stop: Arc<AtomicBool>,
) -> impl Fn(usize, usize) -> Result<()> + Sync {
    move |done, _| {
        bar.set_position(done as u64);
        match stop.load(Ordering::Relaxed) {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }
}
