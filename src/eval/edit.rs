//! Changes of a layout as a person makes them: one region becomes another class.

use crate::data::landscape::{
    BUILDING, CLOUD, FLOWER, GRASS, MOUNTAIN, ROAD, ROCK, SAND, SKY, SNOW, TREE, WATER, pieces,
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
    let regions = pieces(labels.len(), width, |a, b| labels[a] == labels[b]).into_iter();
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

#[cfg(test)]
mod tests {
    use super::*;

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
