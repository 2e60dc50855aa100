//! The folder of a run's checkpoints: names, the newest, and which may go.

use std::path::{Path, PathBuf};

use crate::config::TrainConfig;
use crate::{Error, Result};

/// A folder of checkpoints named by iteration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    /// The shelf in this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Path of the checkpoint of an iteration.
    pub fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:08}.safetensors"))
    }

    /// Iterations that have a checkpoint, ascending.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn steps(&self) -> Result<Vec<u64>> {
        let failed = |e| Error::io("cannot list checkpoints in", &self.folder, e);
        let mut steps = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            steps.extend(name.to_str().and_then(step_of));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// The newest checkpoint.
    ///
    /// # Errors
    /// If there is none.
    pub fn newest(&self) -> Result<PathBuf> {
        match self.steps()?.last() {
            Some(&step) => Ok(self.path(step)),
            None => Err(Error::Data(format!(
                "{} holds no checkpoint (step-*.safetensors)",
                self.folder.display()
            ))),
        }
    }

    /// Removes checkpoints that are neither among the newest nor every k-th.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn prune(&self, config: &TrainConfig) -> Result<()> {
        let steps = self.steps()?;
        let old = steps.len().saturating_sub(config.keep_last);
        for &step in steps[..old].iter().filter(|&&step| !stays(config, step)) {
            let path = self.path(step);
            std::fs::remove_file(&path)
                .map_err(|e| Error::io("cannot remove old checkpoint", &path, e))?;
        }
        Ok(())
    }
}

fn step_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("step-")?.strip_suffix(".safetensors")?;
    let plain = digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Whether a checkpoint is one of those kept for good: the k-th, 2k-th, ... of the regular ones.
fn stays(config: &TrainConfig, step: u64) -> bool {
    let batch = config.batch_size as u64;
    let images = step * batch;
    let regular = images % config.save_latest_freq < batch;
    let number = images / config.save_latest_freq;
    config.keep_every > 0 && regular && number > 0 && number.is_multiple_of(config.keep_every)
}

impl AsRef<Path> for Shelf {
    fn as_ref(&self) -> &Path {
        &self.folder
    }
}
