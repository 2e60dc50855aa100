//! A part of a data set, wherever its pictures come from.

use serde::{Deserialize, Serialize};

use super::classes::LabelSpace;
use super::config::DataConfig;
use super::folder::Folder;
use super::layout::Phase;
use super::{Grid, landscape};
use crate::Result;

/// What tells one list of pictures from another: their number, and a checksum of their names in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// Number of pictures.
    pub pictures: u64,
    /// CRC-32 of their names, each behind its length as 64 bits, the lowest first.
    pub names: u32,
}

/// A picture of a data set as its files have it, ids checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What messages and file names call it.
    pub name: String,
    /// The photo.
    pub photo: Grid<[u8; 3]>,
    /// Label ids, as large as the photo.
    pub labels: Grid<u32>,
    /// Instance numbers, as large as the photo, where such are used.
    pub instances: Option<Grid<u32>>,
}

/// A part of a data set.
#[derive(Clone, Debug)]
pub enum Dataset {
    /// Files in folders.
    Folder(Folder),
    /// The built-in landscapes.
    Landscapes(Landscapes),
}

impl Dataset {
    /// Opens the part the options describe.
    pub fn open(config: &DataConfig, phase: Phase, space: &LabelSpace) -> Result<Self> {
        config.validate()?;
        Ok(match config.landscapes {
            Some(count) => Self::Landscapes(Landscapes::new(count, phase, space)),
            None => Self::Folder(Folder::open(config, phase, space)?),
        })
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        match self {
            Self::Folder(folder) => folder.pairs().len(),
            Self::Landscapes(landscapes) => landscapes.count,
        }
    }

    /// What the pictures are, without a look into their files. Landscapes have numbers for names.
    pub fn census(&self) -> Census {
        let mut sum = crc32fast::Hasher::new();
        if let Self::Folder(folder) = self {
            for pair in folder.pairs() {
                sum.update(&(pair.name.len() as u64).to_le_bytes());
                sum.update(pair.name.as_bytes());
            }
        }
        Census {
            pictures: self.len() as u64,
            names: sum.finalize(),
        }
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Classes and channels.
    pub fn space(&self) -> &LabelSpace {
        match self {
            Self::Folder(folder) => folder.space(),
            Self::Landscapes(landscapes) => &landscapes.space,
        }
    }

    /// Reads a picture; landscapes are drawn at the given width and height.
    pub fn load(&self, index: usize, size: [usize; 2]) -> Result<Item> {
        match self {
            Self::Folder(folder) => folder.load(index),
            Self::Landscapes(landscapes) => landscapes.load(index, size),
        }
    }
}

/// A range of the built-in landscapes.
#[derive(Clone, Debug)]
pub struct Landscapes {
    first: u64,
    count: usize,
    space: LabelSpace,
}

impl Landscapes {
    fn new(count: usize, phase: Phase, space: &LabelSpace) -> Self {
        let (first, count) = match phase {
            Phase::Train => (0, count),
            Phase::Val => (landscape::FIRST_VAL, landscape::ON_SHEETS),
        };
        Self {
            first,
            count,
            space: space.clone(),
        }
    }

    fn load(&self, index: usize, [width, height]: [usize; 2]) -> Result<Item> {
        let pair = landscape::pair(
            landscape::DATA_SET,
            self.first + index as u64,
            width,
            height,
        )?;
        let labels = pair.labels.into_iter().map(u32::from).collect();
        let instances = pair.instances.into_iter().map(u32::from).collect();
        Ok(Item {
            name: format!("landscape {index}"),
            photo: Grid::new(width, height, pair.rgb.as_chunks().0.to_vec()),
            labels: Grid::new(width, height, labels),
            instances: self
                .space
                .instances
                .then(|| Grid::new(width, height, instances)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::landscape::{FolderPlan, write_folder};
    use crate::data::{Batch, Batcher, Preprocess};

    #[test]
    fn landscapes_come_at_the_size_of_the_network() {
        let config = DataConfig {
            landscapes: Some(3),
            crop_size: 48,
            ..DataConfig::default()
        };
        let space = config.label_space().unwrap();
        assert_eq!(
            (space.label_nc, space.dontcare, space.instances),
            (12, false, true)
        );
        let open = |phase| Dataset::open(&config, phase, &space).unwrap();
        assert_eq!((open(Phase::Train).len(), open(Phase::Val).len()), (3, 64));
        let batcher = Batcher::open(&config, Phase::Train, &space, [48, 32], 2, 1).unwrap();
        let batch = batcher.train(0, 0, &[2, 1, 0]).unwrap();
        assert_eq!(
            (batch.w, batch.h, batch.images.len()),
            (48, 32, 2 * 48 * 32 * 3)
        );
        assert!(batch.labels.iter().all(|&id| id < 12) && batch.edges.is_some());
        assert_ne!(
            open(Phase::Val).load(0, [48, 32]).unwrap(),
            open(Phase::Train).load(0, [48, 32]).unwrap()
        );
    }

    #[test]
    fn a_folder_of_landscapes_shows_the_same_pictures() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("set");
        let plan = FolderPlan {
            train: 5,
            val: 1,
            width: 64,
            height: 32,
            seed: landscape::DATA_SET,
        };
        write_folder(&out, plan, |_, _| Ok(())).unwrap();
        let folder = DataConfig {
            preprocess: Preprocess::None,
            flip: false,
            ..DataConfig::of_dir(&out)
        };
        let drawn = DataConfig {
            landscapes: Some(5),
            ..DataConfig::default()
        };
        let batches = [folder, drawn].map(|config| {
            let space = config.label_space().unwrap();
            let batcher = Batcher::open(&config, Phase::Train, &space, [64, 32], 2, 7).unwrap();
            let epoch = |epoch: u64| {
                let order = batcher.order(epoch);
                [0, 1].map(|i| {
                    let names = Vec::new();
                    Batch {
                        names,
                        ..batcher.train(epoch, i, &order).unwrap()
                    }
                })
            };
            [epoch(0), epoch(1)]
        });
        assert!(batches[0] == batches[1]);
        assert!(
            batches[0][0] != batches[0][1],
            "epochs have orders of their own"
        );
    }
}
