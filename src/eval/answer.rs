//! The answers: means over scenes, beside those of the baselines and of the truth.

use serde::Serialize;

use super::measures::mean;

/// How a picture compares with the truth.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Likeness {
    /// [`l1`](super::measures::l1).
    pub l1: f64,
    /// [`ssim`](super::measures::ssim).
    pub ssim: f64,
    /// [`class_colour_error`](super::measures::class_colour_error).
    pub class_colour: f64,
}

/// A generator's likeness to the truth, and that of the baselines.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Compared {
    /// Of the generator.
    pub generator: Likeness,
    /// Of every class in its mean colour.
    pub class_means: Likeness,
    /// Of the training picture with the most similar layout.
    pub nearest: Likeness,
}

/// How much pictures of one layout vary: mean [`l1`](super::measures::l1) of two of them.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Diversity {
    /// In random styles of the generator.
    pub generator: f64,
    /// In random styles of the landscapes.
    pub truth: f64,
}

/// What another class of one region changes: mean [`l1`](super::measures::l1) inside of the region and outside.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Edited {
    /// Scenes with a region worth changing.
    pub scenes: usize,
    /// Of the generator, inside.
    pub inside: f64,
    /// Of the generator, outside.
    pub outside: f64,
    /// Of the truth, inside.
    pub truth_inside: f64,
    /// Of the truth, outside: reflections change with what they mirror.
    pub truth_outside: f64,
}

/// A walk between the styles of a dusk and a noon.
#[derive(Clone, Debug, Serialize)]
pub struct Walk {
    /// Mean brightness of the pictures at each step.
    pub brightness: Vec<f64>,
    /// Share of layouts that brighten with every step.
    pub monotone: f64,
}

/// The answers.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Held-out scenes.
    pub scenes: usize,
    /// Width and height.
    pub size: [usize; 2],
    /// Scenes drawn from their layouts, in the styles of their own pictures where the generator has an encoder.
    pub reconstruction: Compared,
    /// Scenes in the styles of other scenes' pictures.
    pub transfer: Option<Compared>,
    /// Of random styles.
    pub diversity: Option<Diversity>,
    /// Of changed layouts.
    pub edit: Option<Edited>,
    /// From dusk to noon.
    pub walk: Option<Walk>,
}

/// Steps of a [`Walk`].
pub(super) const STEPS: usize = 6;
/// Likenesses of one question in all scenes: generator, class means, nearest.
pub(super) type Likenesses = [Vec<Likeness>; 3];

#[derive(Default)]
pub(super) struct Answers {
    pub reconstruction: Likenesses,
    pub transfer: Likenesses,
    /// Of the generator and of the truth.
    pub diversity: [Vec<f64>; 2],
    pub edits: Vec<[f64; 4]>,
    pub walks: Vec<Vec<f64>>,
}

impl Answers {
    pub(super) fn summary(self, scenes: usize, size: [usize; 2]) -> Evaluation {
        let [drawn, real] = self.diversity.map(|values| mean(values.into_iter()));
        let diversity = drawn.zip(real);
        Evaluation {
            scenes,
            size,
            reconstruction: compared(&self.reconstruction),
            transfer: (!self.transfer[0].is_empty()).then(|| compared(&self.transfer)),
            diversity: diversity.map(|(generator, truth)| Diversity { generator, truth }),
            edit: edited(&self.edits),
            walk: walked(&self.walks),
        }
    }
}

fn compared(likenesses: &Likenesses) -> Compared {
    let mean_of = |likenesses: &Vec<Likeness>, of: fn(&Likeness) -> f64| {
        mean(likenesses.iter().map(of)).unwrap_or(0.0)
    };
    let [generator, class_means, nearest] = likenesses.each_ref().map(|of| Likeness {
        l1: mean_of(of, |l| l.l1),
        ssim: mean_of(of, |l| l.ssim),
        class_colour: mean_of(of, |l| l.class_colour),
    });
    Compared {
        generator,
        class_means,
        nearest,
    }
}

fn edited(edits: &[[f64; 4]]) -> Option<Edited> {
    let of = |i: usize| mean(edits.iter().map(|edit| edit[i]));
    Some(Edited {
        scenes: edits.len(),
        inside: of(0)?,
        outside: of(1)?,
        truth_inside: of(2)?,
        truth_outside: of(3)?,
    })
}

fn walked(walks: &[Vec<f64>]) -> Option<Walk> {
    let brightens = |walk: &Vec<f64>| f64::from(u8::from(walk.is_sorted_by(|a, b| a < b)));
    Some(Walk {
        brightness: (0..STEPS)
            .map(|step| mean(walks.iter().map(|walk| walk[step])))
            .collect::<Option<_>>()?,
        monotone: mean(walks.iter().map(brightens))?,
    })
}
