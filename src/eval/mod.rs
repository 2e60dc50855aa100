//! How good pictures are, where the truth is known: the built-in landscapes, of which every layout exists in every
//! style. Nothing that is asked here was shown in training.
//!
//! Each measure stands beside what it takes no network to reach ([`Baselines`]) and, where it makes sense, beside the
//! truth. Colours count in 8-bit steps.

mod answer;
mod baseline;
mod edit;
mod examiner;
pub mod measures;
mod scene;

pub use answer::{Compared, Diversity, Edited, Evaluation, Likeness, Walk};
pub use baseline::Baselines;
pub use edit::{Edit, change_a_region};
pub use scene::{Truth, layout_of};

use crate::data::landscape::CLASSES;
use crate::picture::Picture;
use crate::{Error, Generator, Result};
use examiner::Examiner;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Questions {
    /// Held-out scenes.
    pub scenes: usize,
    /// Random styles of each layout whose diversity is measured.
    pub seeds: usize,
    /// Rows of each sheet.
    pub rows: usize,
    /// Number of landscapes the generator was trained on, from which the baselines are made.
    pub trained: usize,
}

/// Rows of pictures to look at.
#[derive(Default)]
pub struct Sheets {
    /// Layout, truth, generator, class means, nearest training picture.
    pub reconstruction: Vec<Vec<Picture>>,
    /// Picture of the style, layout, generator, truth.
    pub transfer: Vec<Vec<Picture>>,
    /// Layout, and random styles.
    pub diversity: Vec<Vec<Picture>>,
    /// Layout and picture before, layout and picture after.
    pub edit: Vec<Vec<Picture>>,
    /// Dusk to noon.
    pub walk: Vec<Vec<Picture>>,
}

/// Asks a generator of landscapes. `progress` hears (done, scenes) and ends the work with its error.
///
/// # Errors
/// If the generator draws other classes or a size that landscapes cannot have, or the device fails.
pub fn evaluate(
    generator: &mut Generator,
    questions: Questions,
    mut progress: impl FnMut(usize, usize) -> Result<()>,
) -> Result<(Evaluation, Sheets)> {
    if generator.space().label_nc != CLASSES.len() {
        return Err(Error::Usage(format!(
            "this generator draws {} classes, and the built-in landscapes, whose truth is known, have {}",
            generator.space().label_nc,
            CLASSES.len()
        )));
    }
    if questions.scenes < 2 {
        return Err(Error::Usage(
            "a style is taken from one scene to another: ask for at least two scenes".into(),
        ));
    }
    let size = generator.size();
    let mut examiner = Examiner::new(generator, questions)?;
    let mut truth = Truth::held_out(0, size)?;
    for index in 0..questions.scenes {
        let next = Truth::held_out((index + 1) as u64, size)?;
        examiner.ask(index, &truth, &next)?;
        progress(index + 1, questions.scenes)?;
        truth = next;
    }
    Ok(examiner.finish())
}
