//! From items of a data set to batches with their window tables.
//!
//! What a batch shows depends on the seed, the epoch and its place in it alone: not on threads, timing, or where a
//! run was resumed.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::augment::{Geometry, View, instance_edges, normalise};
use super::{DataConfig, Dataset, Grid, Item, LabelSpace, Phase};
use crate::windows::{IdMap, WindowSpec, build_tables};
use crate::{Error, Result};

/// Photos, labels and window tables, ready for the device.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Number of pictures.
    pub n: usize,
    /// Height.
    pub h: usize,
    /// Width.
    pub w: usize,
    /// Photos in -1..1, N x H x W x 3.
    pub images: Vec<f32>,
    /// Label ids, N x H x W.
    pub labels: Vec<u32>,
    /// Instance edges, N x H x W, where instance maps are used.
    pub edges: Option<Vec<u8>>,
    /// Labels and edges as symbols.
    pub map: IdMap,
    /// Packed window tables in the order of their specs, of each part of the batch in turn.
    pub windows: Vec<Vec<u32>>,
    /// Names of the items.
    pub names: Vec<String>,
}

/// Makes batches of a data set.
#[derive(Clone, Debug)]
pub struct Batcher {
    /// Where items come from.
    pub dataset: Dataset,
    /// How training pictures are cut.
    pub geometry: Geometry,
    /// Width of the network's pictures.
    pub width: usize,
    /// Height of the network's pictures.
    pub height: usize,
    /// Pictures per training batch.
    pub batch_size: usize,
    /// Parts of a training batch that have tables of their own.
    pub parts: usize,
    /// Decides order, crops and flips.
    pub seed: u64,
    /// Whether every epoch has an order of its own.
    pub shuffle: bool,
    /// Tables every batch comes with.
    pub windows: Vec<WindowSpec>,
}

impl Batcher {
    /// Opens a part of the data set the options describe, for pictures of the given width and height.
    pub fn open(
        config: &DataConfig,
        phase: Phase,
        space: &LabelSpace,
        [width, height]: [usize; 2],
        batch_size: usize,
        seed: u64,
    ) -> Result<Self> {
        if phase == Phase::Train {
            config.check_output(width, height)?;
        }
        Ok(Self {
            dataset: Dataset::open(config, phase, space)?,
            geometry: config.geometry(),
            width,
            height,
            batch_size,
            parts: 1,
            seed,
            shuffle: config.shuffle,
            windows: Vec::new(),
        })
    }

    /// Number of training batches of an epoch; an incomplete last batch is dropped.
    pub fn batches_per_epoch(&self) -> usize {
        self.dataset.len() / self.batch_size.max(1)
    }

    /// Refuses batches that can never be filled.
    pub fn validate(&self) -> Result<()> {
        if self.batches_per_epoch() > 0 {
            return Ok(());
        }
        let (batch, pictures) = (self.batch_size, self.dataset.len());
        Err(Error::Usage(format!(
            "a batch of {batch} cannot be filled: the data set has {pictures} pictures; lower the batch size or add pictures"
        )))
    }

    /// Order of the items in an epoch.
    pub fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.dataset.len()).collect();
        if self.shuffle {
            order.shuffle(&mut self.rng(epoch, u64::MAX));
        }
        order
    }

    /// A training batch: the given one of an epoch in this order.
    pub fn train(&self, epoch: u64, batch: usize, order: &[usize]) -> Result<Batch> {
        let items = &order[batch * self.batch_size..][..self.batch_size];
        self.collect(items, self.parts, |item, index| {
            let size = [item.photo.width, item.photo.height];
            let view = match self.dataset {
                Dataset::Folder(_) => self.geometry.draw(size, &mut self.rng(epoch, index as u64)),
                // Drawn at the size of the network: neither light nor perspective survives a mirror.
                Dataset::Landscapes(_) => View::whole(self.width, self.height),
            };
            if [view.width, view.height] == [self.width, self.height] {
                return Ok(view);
            }
            Err(Error::Data(format!(
                "{}: {}x{} becomes {}x{}, but the model makes {}x{}; choose a preprocess mode with a fixed size",
                item.name, size[0], size[1], view.width, view.height, self.width, self.height
            )))
        })
    }

    /// Items for evaluation: whole, resized to the network's size, in the given order.
    pub fn eval(&self, items: &[usize]) -> Result<Batch> {
        self.collect(items, 1, |_, _| Ok(View::whole(self.width, self.height)))
    }

    fn collect(
        &self,
        items: &[usize],
        parts: usize,
        view: impl Fn(&Item, usize) -> Result<View>,
    ) -> Result<Batch> {
        let space = self.dataset.space();
        let [n, h, w] = [items.len(), self.height, self.width];
        let mut images = Vec::with_capacity(n * h * w * 3);
        let mut labels = Vec::with_capacity(n * h * w);
        let mut edges = space.instances.then(|| Vec::with_capacity(n * h * w));
        let mut names = Vec::with_capacity(n);
        for &index in items {
            let item = self.dataset.load(index, [w, h])?;
            let view = view(&item, index)?;
            normalise(&view.photo(&item.photo), &mut images);
            labels.extend(view.ids(&item.labels, space.outside_id()).data);
            if let (Some(edges), Some(instances)) = (&mut edges, &item.instances) {
                edges.extend(instance_edges(&view.ids(instances, 0)));
            }
            names.push(item.name);
        }
        let map = IdMap::from_labels([n, h, w], &labels, edges.as_deref());
        let (channels, edge) = (space.channels(), space.edge_channel());
        let windows = map
            .parts(parts)
            .flat_map(|part| build_tables(&part, channels, edge, &self.windows))
            .collect();
        Ok(Batch {
            n,
            h,
            w,
            images,
            labels,
            edges,
            map,
            windows,
            names,
        })
    }

    /// The generator of one purpose: an item of an epoch, or its order.
    fn rng(&self, epoch: u64, item: u64) -> ChaCha8Rng {
        let mut seed = [0; 32];
        for (bytes, value) in seed.chunks_exact_mut(8).zip([self.seed, epoch, item]) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
        ChaCha8Rng::from_seed(seed)
    }
}

/// Symbols of a label map, with or without instances, at the network's size: the input of synthesis.
pub fn layout(
    labels: &Grid<u32>,
    instances: Option<&Grid<u32>>,
    space: &LabelSpace,
    [width, height]: [usize; 2],
) -> IdMap {
    let view = View::whole(width, height);
    let labels = view.ids(labels, space.outside_id());
    let edges = instances
        .filter(|_| space.instances)
        .map(|map| instance_edges(&view.ids(map, 0)));
    IdMap::from_labels([1, height, width], &labels.data, edges.as_deref())
}

/// A photo at the network's size, in -1..1: the input of the encoder.
pub fn photo(photo: &Grid<[u8; 3]>, [width, height]: [usize; 2]) -> Vec<f32> {
    let mut values = Vec::with_capacity(width * height * 3);
    normalise(&View::whole(width, height).photo(photo), &mut values);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windows::EDGE_BIT;

    #[test]
    fn a_layout_marks_edges_only_where_the_space_has_them() {
        let labels = Grid::new(2, 1, vec![3, 1]);
        let instances = Grid::new(2, 1, vec![7, 8]);
        let symbols = |instances: Option<&Grid<u32>>, with_edges: bool| {
            let space = LabelSpace::new(4, false, with_edges);
            layout(&labels, instances, &space, [4, 2]).ids
        };
        assert_eq!(symbols(None, true), [3, 3, 1, 1].repeat(2));
        assert_eq!(symbols(Some(&instances), false), [3, 3, 1, 1].repeat(2));
        let marked = [3, 3 | EDGE_BIT, 1 | EDGE_BIT, 1];
        assert_eq!(symbols(Some(&instances), true), marked.repeat(2));
    }
}
