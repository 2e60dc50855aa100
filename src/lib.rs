//! Semantic image synthesis with spatially-adaptive normalisation (SPADE, arXiv 1903.07291) on any vendor's GPU.
//!
//! [`Generator`] draws pictures of a [`Layout`] with a trained checkpoint; [`train`] makes checkpoints. Below them, from
//! the top: [`model`] has the networks and their training steps as [`graph`]s of [`ops`], and [`gpu`] runs those.

#[cfg(feature = "window")]
pub mod app;
pub mod bench;
pub mod config;
pub mod convert;
pub mod cpu;
pub mod data;
pub mod demo;
pub mod error;
pub mod eval;
pub mod gpu;
pub mod graph;
pub mod model;
#[doc = include_str!("moving.md")]
pub mod moving {}
pub mod ops;
pub mod picture;
pub mod state;
pub mod synth;
pub mod train;
pub mod tune;
#[doc = include_str!("variants.md")]
pub mod variants {}
pub mod windows;

pub use config::Config;
pub use error::{Error, Result};
pub use model::Style;
pub use synth::{Generator, Layout};
