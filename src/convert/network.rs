//! The networks of the method, and how to tell whose tensors a file holds.

use crate::state::StateDict;

/// A network of the method. State dictionaries name its tensors without its letter, checkpoints with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// Draws.
    Generator,
    /// Judges, in training.
    Discriminator,
    /// Turns a picture into a style.
    Encoder,
}

impl Network {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Generator, Self::Discriminator, Self::Encoder];

    /// The letter of file names and, with a dot, of names in checkpoints.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Generator => "G",
            Self::Discriminator => "D",
            Self::Encoder => "E",
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::Discriminator => "discriminator",
            Self::Encoder => "encoder",
        }
    }

    /// Which network's tensors these are.
    pub fn of(state: &StateDict) -> Option<Self> {
        let has = |start: &str| state.tensors.keys().any(|name| name.starts_with(start));
        if has("head_0.") && has("fc.") && has("conv_img.") {
            Some(Self::Generator)
        } else if has("discriminator_0.") {
            Some(Self::Discriminator)
        } else if has("layer1.") && has("fc_mu.") {
            Some(Self::Encoder)
        } else {
            None
        }
    }
}
