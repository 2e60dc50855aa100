//! Products on units of a GPU that multiply small matrices, a subgroup at a time: cooperative matrices.
//!
//! Such units take 16-bit operands, whose products they add up in 32 bits. So they serve where both operands are stored in 16
//! bits anyway, and round nothing that was not rounded before: SPADE layers' hidden rows and filters. Winograd's tiles are in
//! 32 bits and stay there. Numbers of a tile of four are sums of the image's by factors that add up to a hundred, and what is
//! left of them after the way back may be smaller than their rounding to 16 bits.
//!
//! Only drawing stores rows and filters so, so there are no gradients here. On real units the kernel has not run yet; tests run
//! it with units emulated.

use super::Block;
use crate::ops::{Binding, Dispatch};

/// Rows and columns of a workgroup's share of the result.
const EDGE: usize = 64;
/// Terms of the sums that a workgroup takes at a time.
const DEPTH: usize = 32;
/// Invocations of a workgroup.
const INVOCATIONS: u32 = 128;

/// Small square matrices that an adapter multiplies: 16-bit floats, added up in 32 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Matrices {
    side: u32,
    /// Lanes of the subgroups that stand in for such units; zero where there are units.
    emulated: u32,
}

impl Matrices {
    /// Those of this side, on units for them.
    ///
    /// # Panics
    /// Unless the side is 8 or 16.
    pub fn new(side: u32) -> Self {
        assert!([8, 16].contains(&side), "matrices of {side} by {side}");
        Self { side, emulated: 0 }
    }

    /// The same without such units, in plain arithmetic: what subgroups of so many lanes would do, loads and stores of the
    /// matrices and their product aside. For tests.
    ///
    /// # Panics
    /// Unless the side is one of [`Matrices::new`], and lanes share a matrix and a workgroup evenly.
    pub fn emulated(side: u32, lanes: u32) -> Self {
        let shares = [side * side, INVOCATIONS].map(|whole| whole.is_multiple_of(lanes));
        assert!(shares == [true; 2], "{lanes} lanes");
        Self {
            emulated: lanes,
            ..Self::new(side)
        }
    }

    /// Rows and columns.
    pub fn side(self) -> u32 {
        self.side
    }

    /// `y[tap][row][at + j] = sum over k of a[row][k] * w[tap][k][from + j]`.
    pub(super) fn products(self, block: &Block, operands: [Binding; 2], y: Binding) -> Dispatch {
        let row_tiles = block.rows.div_ceil(EDGE);
        let column_tiles = block.cols4.div_ceil(EDGE / 4);
        let workgroups = row_tiles * column_tiles * block.taps.1;
        let steps = (block.inner4 * 4).div_ceil(DEPTH);
        Dispatch::new("gemm_cooperative", "nn")
            .define("side", self.side)
            .define("emulated", self.emulated)
            .define("depth", DEPTH as u32)
            .bind(&operands)
            .bind(&[y])
            .workgroups(workgroups)
            .params(&[workgroups, column_tiles, row_tiles, steps])
            .params(&[block.rows, block.inner4, block.cols4])
            .params(&[block.c4, block.from4, block.stride4, block.at4])
            .params(&[block.taps.0, block.tap_rows()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "24 lanes")]
    fn lanes_share_a_matrix_evenly() {
        Matrices::emulated(8, 24);
    }
}
