//! What a run tells: console, metrics file and window hear the same.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::knob::Change;
use crate::model::Footprint;

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq)]
pub enum TrainEvent {
    /// Training begins, or goes on after an interruption.
    Started(Started),
    /// Something done otherwise than asked for, and why.
    Notice(String),
    /// An iteration.
    Step(StepReport),
    /// A sample sheet was written.
    Sheet(PathBuf),
    /// A checkpoint was written.
    Saved(PathBuf),
    /// A setting was changed.
    Changed(Change),
    /// Nothing more follows.
    Ended(End),
}

/// What there is to do, and on what; a line of `sessions.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Name of the adapter.
    pub adapter: String,
    /// Bytes the run takes on it.
    pub device_bytes: u64,
    /// The same by what they are for.
    #[serde(default)]
    pub memory: Footprint,
    /// Training pictures.
    pub pictures: usize,
    /// Batches of an epoch.
    pub batches_per_epoch: u64,
    /// Epochs.
    pub epochs: u64,
    /// Iterations done before.
    pub step: u64,
    /// Pictures seen before.
    pub images: u64,
    /// Pictures seen at the end.
    pub total_images: u64,
}

/// One iteration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// Iterations done.
    pub step: u64,
    /// Its epoch, from 1.
    pub epoch: u64,
    /// Pictures seen.
    pub images: u64,
    /// Pictures seen in this epoch.
    #[serde(skip)]
    pub epoch_images: u64,
    /// Learning rate of the generator.
    pub lr_g: f64,
    /// Learning rate of the discriminator.
    pub lr_d: f64,
    /// Weighted losses by their published names.
    pub losses: Vec<(&'static str, f32)>,
    /// Time the iteration took, waiting for its batch included.
    pub seconds: f64,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All epochs are done.
    Complete,
    /// The given number of iterations is done.
    Limit,
    /// The user asked for it.
    Interrupted,
}

/// Hears every event of a run; an error stops it.
pub type Listener<'a> = dyn FnMut(&TrainEvent) -> crate::Result<()> + 'a;
