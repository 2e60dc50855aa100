//! Measurements: what kernels, pictures, training, window tables and the start cost on the machine at hand.
//!
//! Every time is the median of several runs with the best beside it. What the adapter can do is measured in turns with
//! what is judged by it (see [`ceiling`]), so that other work on the machine slows both alike.

pub mod ceiling;
pub mod chart;
pub mod floor;
pub mod kernels;
pub mod machine;
pub mod profile;
pub mod setting;
pub mod sizes;
pub mod start;
pub mod synth;
pub mod timing;
pub mod train;
pub mod windows;
pub mod work;

pub use ceiling::{Ceilings, Rates};
pub use machine::Machine;
pub use setting::{Setting, Sizes};
pub use timing::{Patience, Timing};
pub use work::Work;
