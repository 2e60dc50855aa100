//! Data sets: from a folder of photos and label maps to batches.

pub mod augment;
pub mod batch;
pub mod check;
pub mod classes;
pub mod config;
pub mod dataset;
pub mod files;
pub mod folder;
pub mod landscape;
mod layout;
pub mod list;
pub mod loader;
pub mod mode;
pub mod resample;
mod select;

pub use augment::{Geometry, Preprocess, View};
pub use batch::{Batch, Batcher};
pub use check::{Report, check};
pub use classes::{Class, ClassTable, LabelSpace};
pub use config::DataConfig;
pub use dataset::{Census, Dataset, Item};
pub use folder::Folder;
pub use layout::Phase;
pub use loader::{Loader, Position};
pub use mode::DatasetMode;

#[cfg(test)]
mod fixture;

/// A rectangle of pixels, row by row: ids, edges or colours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid<T> {
    /// Width.
    pub width: usize,
    /// Height.
    pub height: usize,
    /// The pixels.
    pub data: Vec<T>,
}

impl<T> Grid<T> {
    /// Pixels of a rectangle, row by row.
    pub fn new(width: usize, height: usize, data: Vec<T>) -> Self {
        assert_eq!(data.len(), width * height, "pixels of {width}x{height}");
        Self {
            width,
            height,
            data,
        }
    }

    /// One row.
    pub fn row(&self, y: usize) -> &[T] {
        &self.data[y * self.width..][..self.width]
    }

    /// The same pixels with other values.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Grid<U> {
        Grid::new(
            self.width,
            self.height,
            self.data.into_iter().map(f).collect(),
        )
    }
}
