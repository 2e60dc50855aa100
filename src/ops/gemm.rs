//! Products of rows with the taps of a convolution weight: the only multiplications that a SPADE layer and Winograd's
//! convolutions need.

mod cooperative;
mod product;
mod tile;

use super::kernel::{Binding, Dispatch, Family};
use super::texels::{HEIGHT, Texels, WIDTH};
pub use cooperative::Matrices;
pub use product::{Kind, Product};
use tile::Tile;

/// A block of output channels of one weight, met with `rows` rows of hidden channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// Kernels of which family.
    pub family: Family,
    /// Units for the product with 16-bit rows, if it is done on such.
    pub matrices: Option<Matrices>,
    /// Taps that take part: the first, and how many.
    pub taps: (usize, usize),
    /// Taps of the kernel.
    pub all_taps: usize,
    /// Rows: distinct windows, or tiles.
    pub rows: usize,
    /// Rows there are at most, whatever the content of the window table.
    pub most_rows: usize,
    /// Input channels, in `vec4`.
    pub inner4: usize,
    /// Output channels of the weight, in `vec4`.
    pub c4: usize,
    /// First output channel of the block, in `vec4`.
    pub from4: usize,
    /// Output channels of the block, in `vec4`.
    pub cols4: usize,
    /// Width of a row of the per-tap products, in `vec4`.
    pub stride4: usize,
    /// Where in such a row this weight's block begins, in `vec4`.
    pub at4: usize,
    /// Whether products and the weight's gradient have rows of their own for each tap.
    pub is_batched: bool,
    /// Words of the workspace that holds the per-tap products, whatever the content of the window table.
    pub products_words: usize,
}

/// Where the tiled family leaves sums of parts of a product, and how many words there are for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    /// The memory.
    pub scratch: Binding,
    /// Its size.
    pub words: usize,
}

/// Vectors of columns that a tile of the subgroup family computes of the products, and of the rows' gradient.
const QUADS: usize = 8;
/// Rows that one of its lanes takes.
const ROWS_PER_LANE: usize = 4;
/// Vectors of rows of its tile of the weight's gradient.
const ALONG: usize = 4;

/// Terms of the sums that the tiled family takes through workgroup memory at a time.
const DEPTH: usize = 8;
/// Fewer steps are not worth a part of their own: its sums are written and read once more.
const LEAST_STEPS: usize = 8;

/// A result of the tiled family: so many rows of so many vectors for each of `taps` taps, sums of `steps` steps.
#[derive(Clone, Copy)]
struct Extent {
    entry: &'static str,
    rows: usize,
    /// Rows there are at most.
    most_rows: usize,
    cols4: usize,
    /// Columns there are at most.
    most4: usize,
    taps: usize,
    steps: usize,
}

impl Extent {
    /// Vectors of the result.
    fn items(&self) -> usize {
        self.taps * self.rows * self.cols4
    }
}

/// Where the rows of a result lie.
#[derive(Clone, Copy)]
struct Lines {
    result: Binding,
    first_row: usize,
    stride4: usize,
    from4: usize,
    accumulate: bool,
}

impl Block {
    fn weight(&self, binding: Binding) -> Texels {
        Texels::new(binding, self.all_taps * self.inner4 * 4, self.c4)
    }

    fn hidden(&self, binding: Binding) -> Texels {
        let taps = if self.is_batched { self.taps.1 } else { 1 };
        Texels::new(binding, taps * self.rows, self.inner4)
    }

    fn products_texels(&self, binding: Binding) -> Texels {
        // However wide its blocks are, a matrix that fits the workspace wastes at most one layer for each column block.
        let full = (self.products_words / 4).div_ceil(WIDTH * HEIGHT);
        Texels::new(binding, self.taps.1 * self.rows, self.stride4)
            .reserve(full + (2 * self.c4).div_ceil(WIDTH) + 1)
    }

    /// Rows of hidden channels from those of one tap to those of the next.
    fn tap_rows(&self) -> usize {
        if self.is_batched { self.rows } else { 0 }
    }

    /// A dispatch of the tiled family; its last bindings, results, are still to come.
    fn tiled(
        &self,
        extent: &Extent,
        [parts, share]: [usize; 2],
        operands: [Binding; 2],
        accumulate: bool,
    ) -> Dispatch {
        let tile = self.tile(extent);
        let [row_tiles, column_tiles] = tile.tiles(extent.rows, extent.cols4);
        let workgroups = row_tiles * column_tiles * extent.taps * parts;
        tile.define(Dispatch::new("gemm_tiled", extent.entry))
            .define("depth", DEPTH as u32)
            .define("doubled", self.family.doubled())
            .bind(&operands)
            .workgroups(workgroups)
            .params(&[workgroups, column_tiles, row_tiles, extent.taps])
            .params(&[parts, share, extent.steps])
            .params(&[self.rows, self.inner4, self.cols4])
            .params(&[self.c4, self.from4, self.stride4, self.at4])
            .params(&[usize::from(accumulate), self.taps.0, self.tap_rows()])
    }

    /// The tile for a result. It depends on what is known before any window table is: variants are made then.
    fn tile(&self, extent: &Extent) -> Tile {
        // Tables of one picture have some hundred rows however many there could be, so large tiles would be few.
        let taps = if self.is_batched { extent.taps } else { 0 };
        Tile::of(extent.most_rows, extent.most4, taps)
    }

    /// Into how many parts the terms of a result are split, so that there are workgroups enough and the sums of the parts
    /// fit so many words; and the steps of a part.
    fn parts(&self, extent: &Extent, words: usize) -> [usize; 2] {
        let tile = self.tile(extent);
        let [row_tiles, column_tiles] = tile.tiles(extent.rows, extent.cols4);
        let tiles = row_tiles * column_tiles * extent.taps;
        let parts = (tile.workgroups() / tiles.max(1))
            .min(extent.steps / LEAST_STEPS)
            .min(words / (4 * extent.items()).max(1))
            .max(1);
        let share = extent.steps.div_ceil(parts).max(1);
        [extent.steps.div_ceil(share).max(1), share]
    }

    /// Words that [`Block::weight_grad`] needs for sums of parts, or [`Block::row_grad`] `of_rows`: at most `words`.
    pub fn parts_words(&self, of_rows: bool, words: usize) -> usize {
        let extent = match of_rows {
            false => self.weight_extent(),
            true => self.row_extent(),
        };
        match (self.family, self.parts(&extent, words)) {
            (Family::Subgroup(_), _) => 0,
            // Something is bound in any case.
            (Family::Tiled(_), [1, _]) => 4,
            (Family::Tiled(_), [parts, _]) => parts * extent.items() * 4,
        }
    }

    fn weight_extent(&self) -> Extent {
        Extent {
            entry: "tn",
            rows: self.inner4 * 4,
            most_rows: self.inner4 * 4,
            cols4: self.cols4,
            most4: self.c4,
            taps: self.taps.1,
            steps: self.rows.div_ceil(DEPTH),
        }
    }

    fn row_extent(&self) -> Extent {
        Extent {
            entry: "nt",
            rows: self.rows,
            most_rows: self.most_rows,
            cols4: self.inner4,
            most4: self.inner4,
            taps: 1,
            steps: self.taps.1 * self.cols4.div_ceil(DEPTH / 4),
        }
    }

    /// The dispatches of a result of the tiled family whose terms several workgroups may share.
    fn shared(
        &self,
        extent: &Extent,
        operands: [Binding; 2],
        lines: &Lines,
        room: Parts,
    ) -> Vec<Dispatch> {
        let [parts, share] = self.parts(extent, room.words);
        let items = extent.items();
        let product = self
            .tiled(extent, [parts, share], operands, lines.accumulate)
            .bind(&[lines.result, room.scratch]);
        let sum = Dispatch::new("gemm_parts", "sum").bind(&[room.scratch, lines.result]);
        // Without parts nothing is left to add, but with another window table there may be.
        let sum = sum
            .items(if parts > 1 { items } else { 0 })
            .params(&[parts, extent.cols4, lines.first_row])
            .params(&[lines.stride4, lines.from4])
            .params(&[usize::from(lines.accumulate)]);
        vec![product, sum]
    }

    /// A dispatch of the subgroup family with `tiles` times `quads` workgroups for each of `layers` taps.
    fn lanes(
        &self,
        entry: &'static str,
        wide: usize,
        [tiles, quads, layers]: [usize; 3],
        operands: [Texels; 2],
        result: Binding,
        accumulate: bool,
    ) -> Dispatch {
        let Family::Subgroup(lanes) = self.family else {
            panic!("texels are read by the subgroup family alone");
        };
        let workgroups = tiles * quads * layers;
        Dispatch::new("gemm_subgroup", entry)
            .define("lanes", lanes)
            .define("wide", wide as u32)
            .define("batched", u32::from(self.is_batched))
            .bind_texels(operands[0])
            .bind_texels(operands[1])
            .bind(&[result])
            .workgroups(workgroups)
            .params(&[workgroups, tiles, quads, self.taps.1, self.rows])
            .params(&[self.inner4, self.cols4, self.c4, self.from4])
            .params(&[self.stride4, self.at4, usize::from(accumulate), self.taps.0])
            .params(&operands[0].strides())
            .params(&operands[1].strides())
    }

    /// `y[tap][row][at + j] = sum over k of a[row][k] * w[tap][k][from + j]`.
    pub fn products(&self, [a, w]: [Binding; 2], y: Binding) -> Dispatch {
        if let Some(matrices) = self.matrices {
            return matrices.products(self, [a, w], y);
        }
        match self.family {
            Family::Tiled(_) => {
                let steps = (self.inner4 * 4).div_ceil(DEPTH);
                let extent = Extent {
                    entry: "nn",
                    rows: self.rows,
                    most_rows: self.most_rows,
                    cols4: self.cols4,
                    most4: self.c4,
                    taps: self.taps.1,
                    steps,
                };
                self.tiled(&extent, [1, steps], [a, w], false).bind(&[y])
            }
            Family::Subgroup(lanes) => {
                let tiles = self.rows.div_ceil(ROWS_PER_LANE * lanes as usize);
                let counts = [tiles, self.cols4.div_ceil(QUADS), self.taps.1];
                let operands = [self.hidden(a), self.weight(w)];
                self.lanes("nn", ROWS_PER_LANE, counts, operands, y, false)
            }
        }
    }

    /// `dw[tap][k][from + j] (+)= sum over rows of a[row][k] * d[tap][row][at + j]`; only what is batched is added to
    /// `dw`.
    pub fn weight_grad(
        &self,
        [a, d]: [Binding; 2],
        dw: Binding,
        accumulate: bool,
        room: Parts,
    ) -> Vec<Dispatch> {
        debug_assert!(
            self.is_batched || !accumulate,
            "only what is batched is added"
        );
        match self.family {
            Family::Tiled(_) => {
                let lines = Lines {
                    result: dw,
                    first_row: self.taps.0 * self.inner4 * 4,
                    stride4: self.c4,
                    from4: self.from4,
                    accumulate,
                };
                self.shared(&self.weight_extent(), [a, d], &lines, room)
            }
            Family::Subgroup(lanes) => {
                // By the weight, not the block: a variant must not depend on the content of a table.
                let wide = if self.c4 <= lanes as usize { 1 } else { 2 };
                let tiles = self.cols4.div_ceil(wide * lanes as usize);
                let counts = [tiles, self.inner4.div_ceil(ALONG), self.taps.1];
                let operands = [self.hidden(a), self.products_texels(d)];
                vec![self.lanes("tn", wide, counts, operands, dw, accumulate)]
            }
        }
    }

    /// `da[row][k] (+)= sum over taps and j of d[tap][row][at + j] * w[tap][k][from + j]`.
    pub fn row_grad(
        &self,
        [d, w]: [Binding; 2],
        da: Binding,
        accumulate: bool,
        room: Parts,
    ) -> Vec<Dispatch> {
        match self.family {
            Family::Tiled(_) => {
                let lines = Lines {
                    result: da,
                    first_row: 0,
                    stride4: self.inner4,
                    from4: 0,
                    accumulate,
                };
                self.shared(&self.row_extent(), [d, w], &lines, room)
            }
            Family::Subgroup(lanes) => {
                let tiles = self.rows.div_ceil(ROWS_PER_LANE * lanes as usize);
                let counts = [tiles, self.inner4.div_ceil(QUADS), 1];
                let operands = [self.products_texels(d), self.weight(w)];
                vec![self.lanes("nt", ROWS_PER_LANE, counts, operands, da, accumulate)]
            }
        }
    }
}
