//! The matrices of `F(m x m, 3 x 3)`, and products with them in `f64`. `winograd.wgsl` writes them down for the device.

use crate::graph::Shape;
use crate::ops::Tensor;

/// A small matrix, row by row.
pub type Matrix = &'static [&'static [f64]];

/// The transforms for tiles of one size.
#[derive(Clone, Copy)]
pub struct Transforms {
    /// Of the input: `v = Bt x B`.
    pub bt: Matrix,
    /// Of the filters: `u = G w Gt`.
    pub g: Matrix,
    /// Of the products: `y = At m A`.
    pub at: Matrix,
}

const SIXTH: f64 = 1.0 / 6.0;

/// Points 0, 1, -1 and infinity.
const TWO: Transforms = Transforms {
    bt: &[
        &[1.0, 0.0, -1.0, 0.0],
        &[0.0, 1.0, 1.0, 0.0],
        &[0.0, -1.0, 1.0, 0.0],
        &[0.0, 1.0, 0.0, -1.0],
    ],
    g: &[
        &[1.0, 0.0, 0.0],
        &[0.5, 0.5, 0.5],
        &[0.5, -0.5, 0.5],
        &[0.0, 0.0, 1.0],
    ],
    at: &[&[1.0, 1.0, 1.0, 0.0], &[0.0, 1.0, -1.0, -1.0]],
};

/// Points 0, 1, -1, 2, -2 and infinity.
const FOUR: Transforms = Transforms {
    bt: &[
        &[4.0, 0.0, -5.0, 0.0, 1.0, 0.0],
        &[0.0, -4.0, -4.0, 1.0, 1.0, 0.0],
        &[0.0, 4.0, -4.0, -1.0, 1.0, 0.0],
        &[0.0, -2.0, -1.0, 2.0, 1.0, 0.0],
        &[0.0, 2.0, -1.0, -2.0, 1.0, 0.0],
        &[0.0, 4.0, 0.0, -5.0, 0.0, 1.0],
    ],
    g: &[
        &[0.25, 0.0, 0.0],
        &[-SIXTH, -SIXTH, -SIXTH],
        &[-SIXTH, SIXTH, -SIXTH],
        &[SIXTH / 4.0, SIXTH / 2.0, SIXTH],
        &[SIXTH / 4.0, -SIXTH / 2.0, SIXTH],
        &[0.0, 0.0, 1.0],
    ],
    at: &[
        &[1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
        &[0.0, 1.0, -1.0, 2.0, -2.0, 0.0],
        &[0.0, 1.0, 1.0, 4.0, 4.0, 0.0],
        &[0.0, 1.0, -1.0, 8.0, -8.0, 1.0],
    ],
};

/// The transforms for tiles of `m` by `m` results, two or four.
pub fn transforms(m: usize) -> Transforms {
    match m {
        2 => TWO,
        4 => FOUR,
        _ => panic!("tiles have two or four results a side, not {m}"),
    }
}

/// `matrix x matrix^T`, or with the matrix turned, for every row and channel apart: `x` holds the entries of a small
/// matrix in its first two dimensions.
pub fn both(matrix: Matrix, is_turned: bool, x: &Tensor) -> Tensor {
    let (rows, columns) = match is_turned {
        false => (matrix.len(), matrix[0].len()),
        true => (matrix[0].len(), matrix.len()),
    };
    let factor = |i: usize, j: usize| {
        if is_turned {
            matrix[j][i]
        } else {
            matrix[i][j]
        }
    };
    let shape = x.shape();
    let half = Tensor::from_fn(Shape::new(rows, columns, shape.w, shape.c), |i, j, r, c| {
        (0..columns).map(|k| factor(i, k) * x.at(k, j, r, c)).sum()
    });
    Tensor::from_fn(Shape::new(rows, rows, shape.w, shape.c), |i, j, r, c| {
        (0..columns)
            .map(|k| factor(j, k) * half.at(i, k, r, c))
            .sum()
    })
}
