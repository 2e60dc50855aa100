//! Lists of items by row, cut into chunks of bounded length.

/// Most items of a chunk: one workgroup sums a chunk, so that a window that fills the image does not fall to one.
pub const CHUNK: usize = 64;

/// Items sorted by row, each row cut into chunks of at most [`CHUNK`] items. An empty row has no chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// First chunk of each row, and the number of chunks.
    pub row_chunk: Vec<u32>,
    /// First item of each chunk, and the number of items.
    pub chunk_start: Vec<u32>,
    /// The items, row after row.
    pub items: Vec<u32>,
}

impl Groups {
    /// Sorts entries of (row, item) by row; items of a row keep their order.
    pub(super) fn collect(
        rows: usize,
        entries: impl Iterator<Item = (usize, u32)> + Clone,
    ) -> Self {
        // next[r + 1] counts row r, then becomes the place of its next item.
        let mut next = vec![0u32; rows + 1];
        entries.clone().for_each(|(row, _)| next[row + 1] += 1);
        let mut row_chunk = Vec::with_capacity(rows + 1);
        let mut chunk_start = Vec::new();
        let mut total = 0;
        for count in &mut next[1..] {
            row_chunk.push(chunk_start.len() as u32);
            let start = total;
            total += std::mem::replace(count, start);
            chunk_start.extend((start..total).step_by(CHUNK));
        }
        row_chunk.push(chunk_start.len() as u32);
        chunk_start.push(total);
        let mut items = vec![0; total as usize];
        entries.for_each(|(row, item)| {
            let place = &mut next[row + 1];
            items[*place as usize] = item;
            *place += 1;
        });
        Self {
            row_chunk,
            chunk_start,
            items,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.row_chunk.len() - 1
    }

    /// Number of chunks.
    pub fn chunks(&self) -> usize {
        self.chunk_start.len() - 1
    }
}
