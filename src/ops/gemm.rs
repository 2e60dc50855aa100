//! Products of rows with the taps of a convolution weight: the only multiplications that a SPADE layer and Winograd's
//! convolutions need.

use super::kernel::{Binding, Dispatch, Family};
use super::texels::{HEIGHT, Texels, WIDTH};

/// A block of output channels of one weight, met with `rows` rows of hidden channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// Kernels of which family.
    pub family: Family,
    /// Taps that take part: the first, and how many.
    pub taps: (usize, usize),
    /// Taps of the kernel.
    pub all_taps: usize,
    /// Rows: distinct windows, or tiles.
    pub rows: usize,
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

/// Vectors of columns that a tile of the subgroup family computes of the products, and of the rows' gradient.
const QUADS: usize = 8;
/// Rows that one of its lanes takes.
const ROWS_PER_LANE: usize = 4;
/// Vectors of rows of its tile of the weight's gradient.
const ALONG: usize = 4;

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

    fn plain(
        &self,
        entry: &'static str,
        items: usize,
        bindings: [Binding; 3],
        accumulate: bool,
    ) -> Dispatch {
        Dispatch::new("gemm", entry)
            .define("batched", u32::from(self.is_batched))
            .bind(&bindings)
            .items(items)
            .params(&[self.taps.1, self.rows, self.inner4, self.cols4])
            .params(&[self.c4, self.from4, self.stride4, self.at4])
            .params(&[usize::from(accumulate), self.taps.0])
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
    pub fn products(&self, a: Binding, w: Binding, y: Binding) -> Dispatch {
        match self.family {
            Family::Tiled => {
                let items = self.taps.1 * self.rows.div_ceil(4) * self.cols4;
                self.plain("nn", items, [a, w, y], false)
            }
            Family::Subgroup(lanes) => {
                let tiles = self.rows.div_ceil(ROWS_PER_LANE * lanes as usize);
                let counts = [tiles, self.cols4.div_ceil(QUADS), self.taps.1];
                let operands = [self.hidden(a), self.weight(w)];
                self.lanes("nn", ROWS_PER_LANE, counts, operands, y, false)
            }
        }
    }

    /// `dw[tap][k][from + j] = sum over rows of a[row][k] * d[tap][row][at + j]`; what is batched can be added to `dw`.
    pub fn weight_grad(&self, a: Binding, d: Binding, dw: Binding, accumulate: bool) -> Dispatch {
        debug_assert!(
            self.is_batched || !accumulate,
            "only what is batched is added"
        );
        match self.family {
            Family::Tiled => {
                let items = self.taps.1 * self.inner4 * self.cols4;
                self.plain("tn", items, [a, d, dw], accumulate)
            }
            Family::Subgroup(lanes) => {
                // By the weight, not the block: a variant must not depend on the content of a table.
                let wide = if self.c4 <= lanes as usize { 1 } else { 2 };
                let tiles = self.cols4.div_ceil(wide * lanes as usize);
                let counts = [tiles, self.inner4.div_ceil(ALONG), self.taps.1];
                let operands = [self.hidden(a), self.products_texels(d)];
                self.lanes("tn", wide, counts, operands, dw, accumulate)
            }
        }
    }

    /// `da[row][k] (+)= sum over taps and j of d[tap][row][at + j] * w[tap][k][from + j]`.
    pub fn row_grad(&self, d: Binding, w: Binding, da: Binding, accumulate: bool) -> Dispatch {
        match self.family {
            Family::Tiled => {
                let items = self.rows * self.inner4;
                self.plain("nt", items, [d, w, da], accumulate)
            }
            Family::Subgroup(lanes) => {
                let tiles = self.rows.div_ceil(ROWS_PER_LANE * lanes as usize);
                let counts = [tiles, self.inner4.div_ceil(QUADS), 1];
                let operands = [self.products_texels(d), self.weight(w)];
                self.lanes("nt", ROWS_PER_LANE, counts, operands, da, accumulate)
            }
        }
    }
}
