//! The networks of the paper, their losses, and the two steps of a training iteration.

mod blocks;
pub mod calibration;
pub mod concat;
pub mod cost;
pub mod discriminator;
pub mod encoder;
pub mod encoding;
mod fit;
pub mod footprint;
pub mod generator;
pub mod init;
pub mod inputs;
pub mod kept;
pub mod layer;
mod layer_norm;
pub mod losses;
mod misfit;
pub mod net;
pub mod params;
pub mod room;
pub mod spade;
pub mod step;
pub mod style;
pub mod synthesis;
pub mod trainer;
pub mod vgg;

pub use calibration::Calibration;
pub use encoding::Encoding;
pub use footprint::Footprint;
pub use inputs::Inputs;
pub use kept::Effort;
pub use room::Room;
pub use step::{Keep, Training};
pub use style::{Encoded, Style};
pub use synthesis::{Generator, Look, Synthesis};
pub use trainer::{Feed, Losses, Schedule, Trainer, planar};
