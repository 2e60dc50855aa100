//! Changes of a layout as a person makes them: one region becomes another class.

use crate::data::landscape::{
    BUILDING, CLOUD, FLOWER, GRASS, MOUNTAIN, ROAD, ROCK, SAND, SKY, SNOW, TREE, WATER,
};

/// Shares of the picture that a region may have to be worth changing.
const WORTHWHILE: std::ops::RangeInclusive<f64> = 0.02..=0.4;

/// A changed layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The labels after the change.
    pub labels: Vec<u8>,
    /// Whether a pixel changed.
    pub changed: Vec<bool>,
}

/// Gives the largest worthwhile region a class that nobody takes for the one before; nothing where there is no such
/// region. A region is what touches along sides and has one class.
pub fn change_a_region(labels: &[u8], width: usize) -> Option<Edit> {
    let total = labels.len() as f64;
    let regions = regions(labels, width).into_iter();
    let worthwhile = regions.filter(|region| WORTHWHILE.contains(&(region.len() as f64 / total)));
    // The first of equally large ones.
    let region = worthwhile.min_by_key(|region| std::cmp::Reverse(region.len()))?;
    let mut edit = Edit {
        labels: labels.to_vec(),
        changed: vec![false; labels.len()],
    };
    for at in region {
        edit.labels[at] = instead(labels[at]);
        edit.changed[at] = true;
    }
    Some(edit)
}

/// A class that may stand in the same place and looks different.
fn instead(class: u8) -> u8 {
    match class {
        SKY => CLOUD,
        CLOUD => SKY,
        MOUNTAIN | ROCK | BUILDING => TREE,
        SNOW => MOUNTAIN,
        GRASS | ROAD | FLOWER | TREE => WATER,
        WATER => GRASS,
        SAND => GRASS,
        other => other,
    }
}

/// Connected pieces of one class, in order of their first pixel.
fn regions(labels: &[u8], width: usize) -> Vec<Vec<usize>> {
    let mut seen = vec![false; labels.len()];
    let mut regions = Vec::new();
    for start in 0..labels.len() {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let mut region = vec![start];
        let mut next = 0;
        while let Some(&at) = region.get(next) {
            next += 1;
            let x = at % width;
            let around = [
                (x > 0).then(|| at - 1),
                (x + 1 < width).then(|| at + 1),
                at.checked_sub(width),
                (at + width < labels.len()).then(|| at + width),
            ];
            for other in around.into_iter().flatten() {
                if !seen[other] && labels[other] == labels[at] {
                    seen[other] = true;
                    region.push(other);
                }
            }
        }
        regions.push(region);
    }
    regions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_touch_along_sides() {
        let labels = [1, 1, 0, 0, 0, 1, 1, 0, 1];
        let mut sizes: Vec<_> = regions(&labels, 3).iter().map(Vec::len).collect();
        sizes.sort();
        assert_eq!(sizes, [1, 1, 2, 2, 3]);
    }

    #[test]
    fn the_largest_worthwhile_region_changes() {
        let mut labels = vec![SKY; 100];
        labels[60..85].fill(WATER);
        labels[85..].fill(SAND);
        let edit = change_a_region(&labels, 10).unwrap();
        assert_eq!(edit.labels[..60], labels[..60]);
        assert_eq!(edit.labels[60..85], [GRASS; 25]);
        assert_eq!(edit.changed.iter().filter(|&&changed| changed).count(), 25);
        assert_eq!(change_a_region(&[SKY; 16], 4), None);
    }

    #[test]
    fn every_class_has_another() {
        (SKY..=FLOWER).for_each(|class| assert_ne!(instead(class), class));
    }
}
