//! Training runs: schedule, events, samples, checkpoints.

pub mod checkpoint;
mod durable;
pub mod event;
mod knob;
mod orders;
pub mod report;
pub mod run;
pub mod session;
pub mod sheet;
mod sketch;
pub mod tensorboard;

pub use checkpoint::Checkpoint;
pub use durable::write_durably;
pub use event::TrainEvent;
pub use knob::{Change, Knob};
pub use orders::Order;
pub use run::RunFolder;
pub use session::Session;
pub use sketch::Sketch;
