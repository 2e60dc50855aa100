//! Normalisation without parameters: batch norm, instance norm and group norm.
//!
//! Statistics are (count, mean, M2) per tile, merged in the fixed tree of [`super::reduce`]; never the sum of squares
//! minus the square of the sum, which loses every digit of the variance where the mean is large.

mod affine;
mod group;
mod running;

use super::reduce::{Tree, sum_reference};
use super::*;
use crate::graph::Shape;
use crate::{Error, Result};
pub use affine::{Affine, AffineGrad};
pub use group::{GroupNorm, GroupNormGrad};
pub use running::{NormGiven, NormGivenGrad, RunningUpdate};

/// Rows that one invocation of a map handles: what does not depend on the row is read and computed once for them.
const ROWS: usize = 8;

/// How eps guards the division.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EpsRule {
    /// `1 / sqrt(var + eps)`.
    Add,
    /// `1 / sqrt(max(var, eps))`: the published models' batch norm across devices.
    Max,
}

impl EpsRule {
    /// The factor that brings the variance to one.
    pub fn inverse_deviation(self, variance: f64, eps: Real) -> f64 {
        1.0 / self.guarded(variance, eps).sqrt()
    }

    fn guarded(self, variance: f64, eps: Real) -> f64 {
        match self {
            Self::Add => variance + f64::from(eps.0),
            Self::Max => variance.max(f64::from(eps.0)),
        }
    }
}

/// `y = (x - mean) / deviation` with the statistics of x itself. Results: y, mean and biased variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Norm {
    /// Statistics of each sample (instance norm) rather than of the batch.
    pub per_sample: bool,
    /// Guard of the division.
    pub eps: Real,
    /// How the guard enters.
    pub rule: EpsRule,
}

/// Shape of mean and variance.
fn stat_shape(x: Shape, per_sample: bool) -> Shape {
    Shape::new(if per_sample { x.n } else { 1 }, 1, 1, x.c)
}

/// Groups of pixels with statistics of their own, and the pixels of one.
fn groups(x: Shape, per_sample: bool) -> (usize, usize) {
    let groups = stat_shape(x, per_sample).n;
    (groups, x.rows() / groups.max(1))
}

/// The tree over the pixels of each group, with two rows of channels per tile.
fn tree(x: Shape, per_sample: bool) -> Tree {
    let (groups, pixels) = groups(x, per_sample);
    Tree::new(groups, pixels, 2 * x.c4())
}

/// A dispatch of `out` invocations for each group and four channels; they share the rows.
fn over_rows(entry: &'static str, tree: &Tree, out: usize) -> Dispatch {
    let c4 = tree.cols / 2;
    Dispatch::new("norm", entry)
        .items(tree.groups * out * c4)
        .param(c4)
        .param(tree.rows)
        .param(out)
}

/// The first level of a tree, from rows to the finest tiles.
fn tiles(entry: &'static str, tree: &Tree) -> Dispatch {
    over_rows(entry, tree, tree.levels[0]).param(tree.levels[0])
}

/// A level of a tree from `tiles` to `out` tiles a group.
fn merge(entry: &'static str, tree: &Tree, tiles: usize, out: usize) -> Dispatch {
    over_rows(entry, tree, out)
        .param(tree.levels[0])
        .param(tiles)
}

/// A map over all rows, [`ROWS`] of them per invocation.
fn map(entry: &'static str, x: Shape, norm: &Norm) -> Dispatch {
    map_over(entry, x, norm, tree(x, norm.per_sample).levels[0])
}

/// [`map`] with sums that lie `stride` tiles apart from one group of pixels to the next.
fn map_over(entry: &'static str, x: Shape, norm: &Norm, stride: usize) -> Dispatch {
    let tree = tree(x, norm.per_sample);
    over_rows(entry, &tree, tree.rows.div_ceil(ROWS))
        .define("clamp", u32::from(norm.rule == EpsRule::Max))
        .real(norm.eps.0)
        .param(stride)
}

/// Words of the scratch buffer of [`moments`].
pub(crate) fn moments_scratch(x: Shape, per_sample: bool) -> usize {
    tree(x, per_sample).scratch()
}

/// Mean and biased variance of `x`.
pub(crate) fn moments(
    x: Binding,
    shape: Shape,
    per_sample: bool,
    partial: Binding,
    mean: Binding,
    variance: Binding,
) -> Vec<Dispatch> {
    let tree = tree(shape, per_sample);
    let coarsest = tree.levels[tree.levels.len() - 1];
    let first = tiles("tiles", &tree).bind(&[x, partial]);
    let folds = tree
        .levels
        .windows(2)
        .map(|pair| merge("fold", &tree, pair[0], pair[1]).bind(&[partial]));
    let last = merge("last", &tree, coarsest, 1).bind(&[partial, mean, variance]);
    std::iter::once(first).chain(folds).chain([last]).collect()
}

/// Mean and biased variance, by the definition.
pub(crate) fn moments_reference(x: &Tensor, per_sample: bool) -> (Tensor, Tensor) {
    let shape = x.shape();
    let stats = stat_shape(shape, per_sample);
    let count = groups(shape, per_sample).1 as f64;
    let sum = |f: &dyn Fn(usize, usize, f64) -> f64| {
        let mut sum = Tensor::zeros(stats);
        for (i, &value) in x.data().iter().enumerate() {
            let (sample, c) = (i / (shape.h * shape.w * shape.c), i % shape.c);
            let stat = sample % stats.n;
            *sum.at_mut(stat, 0, 0, c) += f(stat, c, value) / count;
        }
        sum
    };
    let mean = sum(&|_, _, x| x);
    let variance = sum(&|n, c, x| (x - mean.at(n, 0, 0, c)).powi(2));
    (mean, variance)
}

/// Words of the scratch buffer of [`norm_grad`].
pub(crate) fn norm_grad_scratch(x: Shape, per_sample: bool) -> usize {
    tree(x, per_sample).scratch()
}

/// The derivative: `dx` from the gradient `d` of the normalised map and `[x, mean, variance]`.
pub(crate) fn norm_grad(
    norm: &Norm,
    shape: Shape,
    d: Binding,
    [x, mean, variance]: [Binding; 3],
    partial: Binding,
    dx: Binding,
) -> Vec<Dispatch> {
    let tree = tree(shape, norm.per_sample);
    let first = tiles("grad_tiles", &tree).bind(&[d, x, mean, partial]);
    let last = map("grad_apply", shape, norm).bind(&[d, x, mean, variance, partial, dx]);
    let folds = tree.fold(partial);
    std::iter::once(first).chain(folds).chain([last]).collect()
}

/// `(x - mean) / deviation`, by the definition.
fn apply_reference(norm: &Norm, x: &Tensor, mean: &Tensor, variance: &Tensor) -> Tensor {
    Tensor::from_fn(x.shape(), |n, h, w, c| {
        let stat = n % mean.shape().n;
        let inverse = norm
            .rule
            .inverse_deviation(variance.at(stat, 0, 0, c), norm.eps);
        (x.at(n, h, w, c) - mean.at(stat, 0, 0, c)) * inverse
    })
}

/// [`norm_grad`] by the definition: `dx = (d - mean(d) - (x - mean) * mean(d (x - mean)) / v) / sqrt(v)`, where `v` is
/// the guarded variance; the last term is absent where the guard replaced the variance.
pub(crate) fn norm_grad_reference(
    norm: &Norm,
    d: &Tensor,
    x: &Tensor,
    mean: &Tensor,
    variance: &Tensor,
) -> Tensor {
    let off = Tensor::from_fn(x.shape(), |n, h, w, c| {
        x.at(n, h, w, c) - mean.at(n % mean.shape().n, 0, 0, c)
    });
    let mean_d = moments_reference(d, norm.per_sample).0;
    let mean_product = moments_reference(&d.zip(&off, |d, x| d * x), norm.per_sample).0;
    Tensor::from_fn(x.shape(), |n, h, w, c| {
        let stat = n % mean.shape().n;
        let raw = variance.at(stat, 0, 0, c);
        let v = norm.rule.guarded(raw, norm.eps);
        let is_clamped = norm.rule == EpsRule::Max && raw < f64::from(norm.eps.0);
        let slope = if is_clamped {
            0.0
        } else {
            mean_product.at(stat, 0, 0, c) / v
        };
        let d = d.at(n, h, w, c) - mean_d.at(stat, 0, 0, c);
        (d - off.at(n, h, w, c) * slope) / v.sqrt()
    })
}

/// `d / deviation`, by the definition.
pub(crate) fn given_grad_reference(
    d: &Tensor,
    variance: &Tensor,
    rule: EpsRule,
    eps: Real,
) -> Tensor {
    Tensor::from_fn(d.shape(), |n, h, w, c| {
        let v = variance.at(n % variance.shape().n, 0, 0, c);
        d.at(n, h, w, c) * rule.inverse_deviation(v, eps)
    })
}

impl Operation for Norm {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let x = inputs[0].shape();
        if x.is_empty() {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("{x} has no pixels to take statistics of"),
            });
        }
        let stats = Ty::Dense(stat_shape(x, self.per_sample));
        Ok(vec![inputs[0], stats, stats])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let arguments = [at.grad(), at.inputs[0], at.outputs[1], at.outputs[2]];
        let dx = graph.apply(NormGrad { forward: *self }, &arguments)?;
        Ok(vec![Some(dx)])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output, Scratch};
        let x = site.input(0);
        let mut dispatches = moments(
            Input(0),
            x,
            self.per_sample,
            Scratch(0),
            Output(1),
            Output(2),
        );
        let bindings = [Input(0), Output(1), Output(2), Output(0)];
        dispatches.push(map("apply", x, self).bind(&bindings));
        Kernel {
            scratch: vec![moments_scratch(x, self.per_sample)],
            dispatches,
        }
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let (mean, variance) = moments_reference(inputs[0], self.per_sample);
        let y = apply_reference(self, inputs[0], &mean, &variance);
        vec![y, mean, variance]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        Cost {
            macs: 3 * inputs[0].shape().len() as u64,
            adds: 0,
            bytes: 2 * inputs[0].bytes() + outputs[0].bytes(),
        }
    }

    fn differentiable_outputs(&self, _: usize) -> Vec<usize> {
        vec![0]
    }
}

/// Shapes that walk one, two and three levels of the tree, with remainders.
fn case_shapes() -> [Shape; 6] {
    [
        Shape::new(1, 1, 1, 4),
        Shape::new(2, 3, 5, 7),
        Shape::new(3, 13, 6, 1),
        Shape::new(1, 5, 3, 184),
        Shape::new(1, 23, 29, 5),
        Shape::new(2, 67, 63, 3),
    ]
}

fn norms() -> impl Iterator<Item = Norm> {
    let all = [
        (false, EpsRule::Add),
        (true, EpsRule::Add),
        (false, EpsRule::Max),
    ];
    all.into_iter().map(|(per_sample, rule)| Norm {
        per_sample,
        eps: Real(1e-5),
        rule,
    })
}

/// Values whose channel 1 varies so little that eps matters.
fn nearly_constant(shape: Shape) -> Tensor {
    Tensor::from_fn(shape, |n, h, w, c| {
        let wave = ((5 * n + 3 * h + 7 * w + 2 * c) as f64).sin();
        let value = if c == 1 { 1e-3 * wave } else { wave };
        f64::from(value as f32)
    })
}

impl Cases for Norm {
    fn cases() -> Vec<Case> {
        let case = |norm: Norm, shape: Shape| Case {
            name: format!("{shape}"),
            op: norm.into(),
            inputs: vec![CaseInput::dense(shape)],
        };
        let mut cases: Vec<_> = norms()
            .flat_map(|norm| case_shapes().map(|shape| case(norm, shape)))
            .collect();
        cases.extend(norms().map(|norm| Case {
            name: "nearly constant channel".into(),
            op: norm.into(),
            inputs: vec![CaseInput::Values(nearly_constant(Shape::new(2, 3, 4, 5)))],
        }));
        cases
    }
}

/// Derivative of [`Norm`]. Arguments: dy, x, mean, variance; result: dx.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NormGrad {
    /// The normalisation.
    pub forward: Norm,
}

impl Operation for NormGrad {
    fn name(&self) -> &'static str {
        "norm_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let [dy, x, mean, variance] = [0, 1, 2, 3].map(|i| inputs[i].shape());
        if dy != x || [mean, variance] != [stat_shape(x, self.forward.per_sample); 2] {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("dy {dy}, x {x}, mean {mean}, variance {variance}"),
            });
        }
        Ok(vec![inputs[1]])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output, Scratch};
        let x = site.input(1);
        let statistics = [Input(1), Input(2), Input(3)];
        Kernel {
            scratch: vec![norm_grad_scratch(x, self.forward.per_sample)],
            dispatches: norm_grad(
                &self.forward,
                x,
                Input(0),
                statistics,
                Scratch(0),
                Output(0),
            ),
        }
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let [dy, x, mean, variance] = [0, 1, 2, 3].map(|i| inputs[i]);
        vec![norm_grad_reference(&self.forward, dy, x, mean, variance)]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        Cost {
            macs: 4 * inputs[0].shape().len() as u64,
            adds: 0,
            bytes: 4 * inputs[0].bytes() + outputs[0].bytes(),
        }
    }
}

impl Cases for NormGrad {
    fn cases() -> Vec<Case> {
        let case = |forward: Norm, x: CaseInput, shape: Shape, low: f64| {
            let stats = stat_shape(shape, forward.per_sample);
            Case {
                name: format!("{shape} from {low}"),
                op: Self { forward }.into(),
                inputs: vec![
                    CaseInput::dense(shape),
                    x,
                    CaseInput::range(stats, -0.5, 0.5),
                    CaseInput::range(stats, low, 1.0),
                ],
            }
        };
        norms()
            .flat_map(|norm| {
                case_shapes().map(|shape| case(norm, CaseInput::dense(shape), shape, 0.1))
            })
            .chain(norms().map(|norm| {
                let shape = Shape::new(2, 3, 4, 5);
                case(norm, CaseInput::Values(nearly_constant(shape)), shape, 0.0)
            }))
            .collect()
    }
}
