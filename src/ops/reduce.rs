//! Sums over pixels, in fixed trees.
//!
//! Each level of a tree has fewer tiles than the one before; tile `t` of `T` adds rows `t, t + T, t + 2T, ...`. The
//! number of tiles depends on the shape alone, so the same numbers always add up in the same order. Since a tile is
//! written where its first row was, and nobody else reads that row, all levels share one scratch buffer.

use super::*;
use crate::graph::Shape;
use crate::{Error, Result};

/// Rows a tile adds at most: few enough to keep a large GPU busy, enough that partial sums are a small part of the
/// traffic.
const FOLD: usize = 64;

/// A tree that sums the rows of each group.
pub(crate) struct Tree {
    /// Independent sums.
    pub groups: usize,
    /// Rows of a group.
    pub rows: usize,
    /// Width of a row of partial results, in `vec4`.
    pub cols: usize,
    /// Tiles of a group on each level, finest first. Each number divides the one before, so the rows of a tile are
    /// known from its number on every level: all those that equal it modulo the tiles.
    pub levels: Vec<usize>,
}

impl Tree {
    pub(crate) fn new(groups: usize, rows: usize, cols: usize) -> Self {
        let mut finest = 1;
        while finest * FOLD * FOLD < rows {
            finest *= FOLD;
        }
        let coarsest = rows.div_ceil(finest * FOLD);
        let mut levels = Vec::new();
        while finest >= 1 {
            levels.push(finest * coarsest);
            finest /= FOLD;
        }
        Self {
            groups,
            rows,
            cols,
            levels,
        }
    }

    /// Words of the scratch buffer.
    pub(crate) fn scratch(&self) -> usize {
        self.groups * self.levels[0] * self.cols * 4
    }

    /// One level of the tree over sums of `from` rows a group to `to` rows a group.
    fn level(&self, entry: &'static str, from: usize, to: usize, stride: usize) -> Dispatch {
        Dispatch::new("reduce", entry)
            .items(self.groups * to * self.cols)
            .param(to * self.cols)
            .param(from * self.cols)
            .param(stride * self.cols)
    }

    /// Folds partial sums, written by the finest level, into the first row of each group.
    pub(crate) fn fold(&self, partial: Binding) -> Vec<Dispatch> {
        let mut ends = self.levels.clone();
        if ends.last() != Some(&1) {
            ends.push(1);
        }
        let level = |pair: &[usize]| {
            self.level("fold", pair[0], pair[1], self.levels[0])
                .bind(&[partial])
        };
        ends.windows(2).map(level).collect()
    }

    /// Sums the rows of `x` into `y`, one row per group.
    pub(crate) fn sum(&self, x: Binding, partial: Binding, y: Binding) -> Vec<Dispatch> {
        let finest = self.levels[0];
        if finest == 1 {
            let only = self.level("sum", self.rows, 1, self.rows);
            return vec![only.bind(&[x, y])];
        }
        let first = self.level("sum", self.rows, finest, self.rows);
        let middle = self.levels.windows(2).map(|pair| {
            self.level("fold", pair[0], pair[1], finest)
                .bind(&[partial])
        });
        let coarsest = self.levels[self.levels.len() - 1];
        let last = self.level("sum", coarsest, 1, finest);
        std::iter::once(first.bind(&[x, partial]))
            .chain(middle)
            .chain([last.bind(&[partial, y])])
            .collect()
    }
}

/// `y[c] = sum of x over samples and pixels`: the gradient of a bias.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SumRows {}

impl Operation for SumRows {
    fn name(&self) -> &'static str {
        "sum_rows"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let x = inputs[0].shape();
        if x.is_empty() {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("{x} has no rows to sum"),
            });
        }
        Ok(vec![Ty::Dense(Shape::vector(x.c))])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let x = site.input(0);
        let tree = Tree::new(1, x.rows(), x.c4());
        Kernel {
            scratch: vec![tree.scratch()],
            dispatches: tree.sum(Binding::Input(0), Binding::Scratch(0), Binding::Output(0)),
        }
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        vec![sum_reference(inputs[0], outputs[0].shape().c)]
    }

    fn cost(&self, inputs: &[Ty], _: &[Ty]) -> Cost {
        Cost {
            macs: 0,
            adds: inputs[0].shape().len() as u64,
            bytes: inputs[0].bytes(),
        }
    }
}

/// Sum of all rows.
pub(crate) fn sum_reference(x: &Tensor, c: usize) -> Tensor {
    let mut sum = Tensor::zeros(Shape::vector(c));
    for row in x.data().chunks_exact(c) {
        let terms = sum.data_mut().iter_mut().zip(row);
        terms.for_each(|(sum, x)| *sum += x);
    }
    sum
}

impl Cases for SumRows {
    fn cases() -> Vec<Case> {
        let case = |shape: Shape| Case {
            name: format!("{shape}"),
            op: Self {}.into(),
            inputs: vec![CaseInput::dense(shape)],
        };
        [
            Shape::new(1, 1, 1, 1),
            Shape::new(2, 3, 5, 7),
            Shape::new(1, 8, 8, 4),
            Shape::new(3, 5, 13, 184),
            // Two and three levels, with remainders.
            Shape::new(1, 37, 29, 3),
            Shape::new(2, 47, 53, 5),
        ]
        .into_iter()
        .map(case)
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_divides_the_one_before() {
        for rows in [
            1, 63, 64, 65, 4096, 4097, 65536, 262_144, 262_145, 9_000_001,
        ] {
            let tree = Tree::new(1, rows, 1);
            assert!(rows <= tree.levels[0] * FOLD, "{rows}: {:?}", tree.levels);
            assert!(tree.levels[0] <= rows, "{rows}: {:?}", tree.levels);
            for pair in tree.levels.windows(2) {
                assert_eq!(pair[0], pair[1] * FOLD, "{rows}");
            }
            assert!(tree.levels[tree.levels.len() - 1] <= FOLD, "{rows}");
        }
    }
}
