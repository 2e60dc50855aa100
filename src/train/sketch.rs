//! Pictures that someone wants of the networks in training, drawn between two iterations as sample sheets are.

use crossbeam_channel::Sender;

use crate::model::Style;
use crate::picture::Picture;
use crate::windows::IdMap;
use crate::{Error, Result};

/// Something that is wanted of the networks in training. An answer that nobody waits for is lost.
#[derive(Clone, Debug)]
pub enum Sketch {
    /// A picture.
    Picture {
        /// The layout, at the size of the network.
        map: IdMap,
        /// The style, for networks that have any.
        style: Option<Style>,
        /// The iteration after which the same was drawn last: if there was none since, there is nothing new.
        seen: Option<u64>,
        /// Takes the picture and the iteration after which it was drawn.
        reply: Sender<Result<Option<(u64, Picture)>>>,
    },
    /// The most likely style of a photo.
    Style {
        /// The photo in -1..1, at the size of the network.
        photo: Vec<f32>,
        /// Takes the style.
        reply: Sender<Result<Style>>,
    },
}

impl Sketch {
    /// Answers that it is not drawn.
    pub fn refuse(self, error: Error) {
        // Whoever asked may have gone.
        match self {
            Self::Picture { reply, .. } => drop(reply.send(Err(error))),
            Self::Style { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}
