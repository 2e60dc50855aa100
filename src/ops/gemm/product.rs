//! A product alone, as an operation: models ask for none, but what is measured and tested should be what they run.

use super::{Block, Parts};
use crate::graph::Shape;
use crate::ops::*;
use crate::{Error, Result};

/// Which of the products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Of rows with the weight: from `a [1, 1 or taps, rows, inner]` and `w [1, taps, inner, c]` to `[1, taps, rows, c]`.
    Rows,
    /// Gradient of the weight, from `a` and `d [1, taps, rows, c]`.
    WeightGrad,
    /// Gradient of the rows, `[1, 1, rows, inner]`, from `d` and `w`: a sum over taps.
    RowGrad,
}

/// Rows by the taps of a weight, or one of its gradients, as a SPADE layer has them and Winograd's convolutions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Product {
    /// Which.
    pub kind: Kind,
    /// Whether each tap has rows of its own.
    pub is_batched: bool,
}

/// Sizes of a product.
#[derive(Clone, Copy)]
struct Sizes {
    taps: usize,
    rows: usize,
    inner: usize,
    c: usize,
}

impl Product {
    fn sizes(&self, inputs: &[Ty]) -> Sizes {
        let [left, right] = [0, 1].map(|i| inputs[i].shape());
        let rows = left.w;
        let (inner, c) = match self.kind {
            Kind::Rows | Kind::WeightGrad => (left.c, right.c),
            Kind::RowGrad => (right.w, left.c),
        };
        let taps = right.h;
        Sizes {
            taps,
            rows,
            inner,
            c,
        }
    }

    /// Shapes of rows, weight and products.
    fn shapes(&self, sizes: Sizes) -> [Shape; 3] {
        let Sizes {
            taps,
            rows,
            inner,
            c,
        } = sizes;
        let of_rows = if self.is_batched { taps } else { 1 };
        [
            Shape::new(1, of_rows, rows, inner),
            Shape::weight(1, taps, inner, c),
            Shape::new(1, taps, rows, c),
        ]
    }

    /// Numbers among [`Product::shapes`] of both arguments and the result.
    fn roles(&self) -> [usize; 3] {
        match self.kind {
            Kind::Rows => [0, 1, 2],
            Kind::WeightGrad => [0, 2, 1],
            Kind::RowGrad => [2, 1, 0],
        }
    }
}

impl Operation for Product {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Rows => "product",
            Kind::WeightGrad => "product_weight_grad",
            Kind::RowGrad => "product_row_grad",
        }
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let shapes = self.shapes(self.sizes(inputs));
        let [left, right, result] = self.roles().map(|role| Ty::Dense(shapes[role]));
        let is_summed = self.kind == Kind::RowGrad && self.is_batched;
        if inputs != [left, right] || is_summed {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("{} with {}, {self:?}", inputs[0], inputs[1]),
            });
        }
        Ok(vec![result])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output, Scratch};
        let Sizes {
            taps,
            rows,
            inner,
            c,
        } = self.sizes(site.inputs);
        let c4 = c.div_ceil(4);
        let block = Block {
            family: site.family,
            matrices: site.matrices([0, 1]),
            taps: (0, taps),
            all_taps: taps,
            rows,
            most_rows: rows,
            inner4: inner.div_ceil(4),
            c4,
            from4: 0,
            cols4: c4,
            stride4: c4,
            at4: 0,
            is_batched: self.is_batched,
            products_words: taps * rows * c4 * 4,
        };
        let words = match self.kind {
            Kind::Rows => 0,
            kind => block.parts_words(kind == Kind::RowGrad, site.workspace_bytes / 4),
        };
        let room = Parts {
            scratch: Scratch(0),
            words,
        };
        let operands = [Input(0), Input(1)];
        let dispatches = match self.kind {
            Kind::Rows => vec![block.products(operands, Output(0))],
            Kind::WeightGrad => block.weight_grad(operands, Output(0), false, room),
            Kind::RowGrad => block.row_grad(operands, Output(0), false, room),
        };
        Kernel {
            scratch: [words].into_iter().filter(|&words| words > 0).collect(),
            dispatches,
        }
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let types = [0, 1].map(|i| Ty::Dense(inputs[i].shape()));
        let sizes = self.sizes(&types);
        let Sizes {
            taps,
            rows,
            inner,
            c,
        } = sizes;
        let [left, right] = [inputs[0].data(), inputs[1].data()];
        let mut result = Tensor::zeros(outputs[0].shape());
        let lines = inner.next_multiple_of(4);
        let all = (0..taps).flat_map(|tap| (0..rows).map(move |row| (tap, row)));
        for ((tap, row), k) in all.flat_map(|at| (0..inner).map(move |k| (at, k))) {
            let of_a = (if self.is_batched { tap * rows } else { 0 } + row) * inner + k;
            let of_w = (tap * lines + k) * c;
            let of_d = (tap * rows + row) * c;
            let y = result.data_mut();
            match self.kind {
                Kind::Rows => add(&mut y[of_d..][..c], left[of_a], &right[of_w..][..c]),
                Kind::WeightGrad => add(&mut y[of_w..][..c], left[of_a], &right[of_d..][..c]),
                Kind::RowGrad => {
                    let pairs = left[of_d..][..c].iter().zip(&right[of_w..][..c]);
                    y[of_a] += pairs.map(|(d, w)| d * w).sum::<f64>();
                }
            }
        }
        vec![result]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        let sizes = self.sizes(inputs);
        Cost {
            macs: (sizes.taps * sizes.rows * sizes.inner * sizes.c) as u64,
            adds: 0,
            bytes: inputs.iter().chain(outputs).map(Ty::bytes).sum(),
        }
    }
}

/// `to += factor * from`.
fn add(to: &mut [f64], factor: f64, from: &[f64]) {
    to.iter_mut()
        .zip(from)
        .for_each(|(to, from)| *to += factor * from);
}

/// Taps, rows, inner channels, channels: single numbers, tiles of every shape with remainders in every direction, terms in
/// several parts.
const TEST_SIZES: [[usize; 4]; 8] = [
    [1, 1, 1, 1],
    [9, 16, 20, 132],
    [3, 130, 36, 14],
    [2, 65, 68, 100],
    [4, 63, 9, 68],
    [9, 100, 132, 36],
    [1, 1100, 5, 7],
    [1, 700, 24, 260],
];
/// So many taps that tiles are large: of the products, and of the weight's gradient. Only what has rows for each tap is done
/// so.
const LARGE_SIZES: [[usize; 4]; 2] = [[256, 124, 12, 124], [256, 9, 124, 124]];

impl Product {
    /// The product of these sizes and its arguments.
    pub fn sized(self, [taps, rows, inner, c]: [usize; 4]) -> (Op, [Shape; 2]) {
        let inner = match self.kind {
            Kind::RowGrad => inner.next_multiple_of(4),
            _ => inner,
        };
        let sizes = Sizes {
            taps,
            rows,
            inner,
            c,
        };
        let shapes = self.shapes(sizes);
        let [left, right, _] = self.roles().map(|role| shapes[role]);
        (self.into(), [left, right])
    }
}

impl Cases for Product {
    fn cases() -> Vec<Case> {
        let kinds = [
            (Kind::Rows, false),
            (Kind::Rows, true),
            (Kind::WeightGrad, false),
            (Kind::WeightGrad, true),
            (Kind::RowGrad, false),
        ];
        let case = |(kind, is_batched), size: [usize; 4]| {
            let (op, shapes) = Self { kind, is_batched }.sized(size);
            let input = |(i, shape): (usize, Shape)| match (kind, i) {
                (Kind::Rows | Kind::RowGrad, 1) => CaseInput::Weight {
                    shape,
                    cin: if kind == Kind::Rows { size[2] } else { shape.w },
                },
                _ => CaseInput::dense(shape),
            };
            Case {
                name: format!("{size:?}"),
                op,
                inputs: shapes.into_iter().enumerate().map(input).collect(),
            }
        };
        let of_kind = |kind| TEST_SIZES.map(|size| case(kind, size));
        let mut cases: Vec<Case> = kinds.into_iter().flat_map(of_kind).collect();
        let large = [Kind::Rows, Kind::WeightGrad].into_iter().zip(LARGE_SIZES);
        cases.extend(large.map(|(kind, size)| case((kind, true), size)));
        cases
    }
}
