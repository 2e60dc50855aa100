//! What needs no network: pictures that any generator must beat.

use rayon::prelude::*;

use super::measures::class_means;
use super::scene::Truth;
use crate::Result;
use crate::data::Grid;
use crate::picture::Picture;

/// Training pictures that the baselines know, at most.
const KNOWN: usize = 256;
/// Side of the grid on which layouts are compared.
const GRID: usize = 32;

/// The baselines of a training set.
pub struct Baselines {
    colours: Vec<[u8; 3]>,
    known: Vec<(Vec<u8>, Picture)>,
}

impl Baselines {
    /// Of the first pictures of the built-in training set.
    ///
    /// # Errors
    /// If pictures of this size cannot be drawn.
    pub fn new(trained: usize, size: [usize; 2], classes: usize) -> Result<Self> {
        let known = (0..trained.clamp(1, KNOWN) as u64).into_par_iter();
        let known: Vec<Truth> = known
            .map(|index| Truth::training(index, size))
            .collect::<Result<_>>()?;
        Ok(Self {
            colours: colours(&known, classes),
            known: known
                .into_iter()
                .map(|truth| (coarse(&truth.scene.labels, size), truth.picture))
                .collect(),
        })
    }

    /// Every class in its mean colour over the training set.
    pub fn class_means(&self, labels: &[u8], [width, height]: [usize; 2]) -> Picture {
        let colour = |&label: &u8| self.colours[usize::from(label)];
        Grid::new(width, height, labels.iter().map(colour).collect())
    }

    /// The training picture whose layout agrees with this one in most places.
    pub fn nearest(&self, labels: &[u8], size: [usize; 2]) -> &Picture {
        let wanted = coarse(labels, size);
        let agreement = |known: &[u8]| known.iter().zip(&wanted).filter(|(a, b)| a == b).count();
        // The first of equals, so that the answer does not depend on their order of discovery.
        let mut best = (0, &self.known[0].1);
        for (labels, picture) in &self.known {
            let agreement = agreement(labels);
            if agreement > best.0 {
                best = (agreement, picture);
            }
        }
        best.1
    }
}

/// Mean colour of each class over all of its pixels; black for classes that never occur.
fn colours(known: &[Truth], classes: usize) -> Vec<[u8; 3]> {
    let mut sums = vec![([0.0; 3], 0.0); classes];
    for truth in known {
        let labels = &truth.scene.labels;
        let means = class_means(&truth.picture, labels, classes, 1);
        for (class, (sum, total)) in sums.iter_mut().enumerate() {
            let Some(colour) = means[class] else { continue };
            let count = labels.iter().filter(|&&l| usize::from(l) == class).count() as f64;
            (0..3).for_each(|c| sum[c] += colour[c] * count);
            *total += count;
        }
    }
    let mean =
        |(sum, total): ([f64; 3], f64)| sum.map(|s| (s / f64::max(total, 1.0)).round() as u8);
    sums.into_iter().map(mean).collect()
}

/// Labels at the middles of a grid's cells.
fn coarse(labels: &[u8], [width, height]: [usize; 2]) -> Vec<u8> {
    let place = |cell: usize, side: usize| (2 * cell + 1) * side / (2 * GRID);
    (0..GRID * GRID)
        .map(|at| labels[place(at / GRID, height) * width + place(at % GRID, width)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::landscape::CLASSES;
    use crate::eval::measures::l1;

    #[test]
    fn a_training_picture_is_nearest_to_itself() {
        let size = [48, 40];
        let baselines = Baselines::new(6, size, CLASSES.len()).unwrap();
        let truth = Truth::training(4, size).unwrap();
        assert_eq!(baselines.nearest(&truth.scene.labels, size), &truth.picture);
        let filled = baselines.class_means(&truth.scene.labels, size);
        let error = l1(&filled, &truth.picture);
        assert!((1.0..100.0).contains(&error), "{error}");
    }
}
