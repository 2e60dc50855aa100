//! The label canvas: one class id per pixel, and what changed since someone last looked.
//!
//! Labels are ids: shapes cover whole pixels, nothing is smoothed or blended. Shapes may reach outside; what lies there
//! is cut off.

use std::ops::Range;

use crate::data::Grid;

/// A rectangle of pixels, its end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Column behind the last.
    pub right: usize,
    /// Row behind the last.
    pub bottom: usize,
}

impl Area {
    /// All of a grid.
    pub fn whole<T>(grid: &Grid<T>) -> Self {
        Self {
            left: 0,
            top: 0,
            right: grid.width,
            bottom: grid.height,
        }
    }

    /// Number of columns.
    pub fn width(self) -> usize {
        self.right - self.left
    }

    /// Number of rows.
    pub fn height(self) -> usize {
        self.bottom - self.top
    }

    /// The smallest rectangle around both.
    pub fn join(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// The pixels of a grid inside, row by row.
    pub fn pixels<T>(self, grid: &Grid<T>) -> impl Iterator<Item = &T> {
        (self.top..self.bottom).flat_map(move |y| &grid.row(y)[self.left..self.right])
    }
}

/// Changed pixels, as every onlooker keeps them for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage(Option<Area>);

impl Damage {
    /// Adds a rectangle.
    pub fn add(&mut self, area: Area) {
        self.0 = Some(self.0.map_or(area, |seen| seen.join(area)));
    }

    /// What has changed, which is then forgotten.
    pub fn take(&mut self) -> Option<Area> {
        self.0.take()
    }
}

/// A label map being painted.
#[derive(Clone, Debug)]
pub struct Canvas {
    labels: Grid<u8>,
    revision: u64,
    /// What the stroke in progress has touched; history takes it.
    pub(super) touched: Damage,
    /// What the picture of the canvas does not show yet; the pane takes it.
    pub(super) unseen: Damage,
}

impl Canvas {
    /// A canvas that shows these labels.
    pub fn new(labels: Grid<u8>) -> Self {
        let mut canvas = Self {
            labels,
            revision: 0,
            touched: Damage::default(),
            unseen: Damage::default(),
        };
        canvas.unseen.add(Area::whole(&canvas.labels));
        canvas
    }

    /// A canvas of one class.
    pub fn blank([width, height]: [usize; 2], id: u8) -> Self {
        Self::new(Grid::new(width, height, vec![id; width * height]))
    }

    /// The class of every pixel.
    pub fn labels(&self) -> &Grid<u8> {
        &self.labels
    }

    /// Width and height.
    pub fn size(&self) -> [usize; 2] {
        [self.labels.width, self.labels.height]
    }

    /// Grows with every change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Class of a pixel, none outside.
    pub fn get(&self, [x, y]: [i32; 2]) -> Option<u8> {
        let [width, height] = self.size();
        let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
        (x < width && y < height).then(|| self.labels.row(y)[x])
    }

    /// Paints a piece of a row.
    pub fn span(&mut self, y: i32, columns: Range<i32>, id: u8) {
        let [width, height] = self.size();
        let left = columns.start.clamp(0, width as i32) as usize;
        let right = columns.end.clamp(0, width as i32) as usize;
        if y < 0 || y >= height as i32 || left >= right {
            return;
        }
        let y = y as usize;
        self.labels.data[y * width..][left..right].fill(id);
        self.change(Area {
            left,
            top: y,
            right,
            bottom: y + 1,
        });
    }

    /// Puts other pixels into a rectangle.
    pub fn replace(&mut self, area: Area, pixels: &[u8]) {
        let width = self.labels.width;
        let rows = pixels.chunks_exact(area.width().max(1));
        for (y, row) in (area.top..area.bottom).zip(rows) {
            self.labels.data[y * width + area.left..][..row.len()].copy_from_slice(row);
        }
        self.change(area);
    }

    /// Puts another label map in the place of all, of whatever size.
    pub fn exchange(&mut self, labels: Grid<u8>) {
        self.labels = labels;
        self.change(Area::whole(&self.labels));
    }

    fn change(&mut self, area: Area) {
        self.revision += 1;
        self.touched.add(area);
        self.unseen.add(area);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_cut_off_at_the_edges() {
        let mut canvas = Canvas::blank([4, 2], 0);
        canvas.unseen.take();
        canvas.span(0, -3..2, 1);
        canvas.span(1, 3..9, 2);
        canvas.span(-1, 0..4, 3);
        canvas.span(2, 0..4, 3);
        canvas.span(1, 7..9, 3);
        assert_eq!(canvas.labels().data, [1, 1, 0, 0, 0, 0, 0, 2]);
        let whole = Area::whole(canvas.labels());
        assert_eq!(canvas.unseen.take(), Some(whole));
        assert_eq!(canvas.unseen.take(), None);
        assert_eq!(
            [[0, 0], [3, 1], [4, 0], [0, -1]].map(|p| canvas.get(p)),
            [Some(1), Some(2), None, None]
        );
    }

    #[test]
    fn every_change_is_a_new_revision() {
        let mut canvas = Canvas::blank([2, 2], 0);
        let first = canvas.revision();
        canvas.span(0, 5..9, 1);
        assert_eq!(canvas.revision(), first, "nothing was painted");
        canvas.span(0, 0..1, 1);
        assert_ne!(canvas.revision(), first);
    }
}
