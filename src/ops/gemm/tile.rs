//! Tiles of the tiled family's products.
//!
//! An invocation that multiplies 8 by 8 numbers loads 4 vectors from workgroup memory for 64 multiply-adds, half of what
//! such memory delivers on GPUs of today; sums and operands take about 100 of its registers.

use crate::ops::Dispatch;

/// Invocations that keep a large GPU busy: 132 multiprocessors, and on each 512 of 128 registers.
const INVOCATIONS: usize = 1 << 16;

/// What a workgroup computes: `down` by `across` invocations, and each `high` times 4 rows by `wide` vectors of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    down: usize,
    across: usize,
    high: usize,
    wide: usize,
}

impl Tile {
    const fn new([down, across]: [usize; 2], [high, wide]: [usize; 2]) -> Self {
        Self {
            down,
            across,
            high,
            wide,
        }
    }

    /// 128 by 128: reads the least.
    const LARGE: Self = Self::new([16, 16], [2, 2]);
    /// 64 by 64: four times as many workgroups.
    const MEDIUM: Self = Self::new([8, 8], [2, 2]);
    /// 128 by 16, for a few columns.
    const NARROW: Self = Self::new([32, 4], [1, 1]);
    /// 16 by 128, for a few rows.
    const FLAT: Self = Self::new([4, 32], [1, 1]);

    /// The tile for `taps` results of so many rows and vectors of columns; without taps there may be fewer rows.
    pub fn of(rows: usize, cols4: usize, taps: usize) -> Self {
        let [large, medium] = [Self::LARGE, Self::MEDIUM]
            .map(|tile| tile.tiles(rows, cols4).iter().product::<usize>());
        // A large tile is four medium ones, some of which may lie beyond the result.
        let is_full = 4 * large * 4 <= medium * 5;
        if cols4 <= Self::NARROW.width() {
            Self::NARROW
        } else if rows <= Self::FLAT.height() {
            Self::FLAT
        } else if is_full && large * taps >= Self::LARGE.workgroups() {
            Self::LARGE
        } else {
            Self::MEDIUM
        }
    }

    /// Rows.
    fn height(self) -> usize {
        self.down * self.high * 4
    }

    /// Vectors of columns.
    fn width(self) -> usize {
        self.across * self.wide
    }

    /// Tiles down and across a result.
    pub fn tiles(self, rows: usize, cols4: usize) -> [usize; 2] {
        [rows.div_ceil(self.height()), cols4.div_ceil(self.width())]
    }

    /// Workgroups that keep a large GPU busy.
    pub fn workgroups(self) -> usize {
        INVOCATIONS / (self.down * self.across)
    }

    /// Makes a dispatch one of this tile.
    pub fn define(self, dispatch: Dispatch) -> Dispatch {
        [
            ("down", self.down),
            ("across", self.across),
            ("high", self.high),
            ("wide", self.wide),
        ]
        .into_iter()
        .fold(dispatch, |dispatch, (name, value)| {
            dispatch.define(name, value as u32)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_follow_the_result() {
        for (rows, cols4, taps, tile) in [
            (4096, 128, 36, Tile::LARGE),
            (512, 128, 36, Tile::LARGE),
            // 64 tiles of 4x4 results in each direction: few, so smaller ones.
            (64, 128, 36, Tile::MEDIUM),
            // Half of each would lie beyond.
            (4096, 16, 36, Tile::MEDIUM),
            (65536, 256, 0, Tile::MEDIUM),
            (16, 256, 0, Tile::FLAT),
            (16, 4, 0, Tile::NARROW),
            (65536, 1, 0, Tile::NARROW),
        ] {
            assert_eq!(Tile::of(rows, cols4, taps), tile, "{rows} {cols4} {taps}");
        }
    }
}
