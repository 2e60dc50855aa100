//! Losses: one number from a whole tensor.
//!
//! Sums run in two fixed phases. Means count true channels; padding lanes are never read, since
//! a hinge or a softplus of a padding zero is not zero.

mod code;

use super::*;
use crate::graph::Shape;
use crate::{Error, Result};
pub use code::{KlDivergence, KlDivergenceGrad, Reparameterise, ReparameteriseGrad};

/// What a [`MeanLoss`] averages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Term {
    /// `sign * x`.
    Linear {
        /// 1 or -1.
        sign: Real,
    },
    /// `max(0, 1 + sign * x)`; flat at the kink.
    Hinge {
        /// 1 or -1.
        sign: Real,
    },
    /// `(x - target)^2`.
    Square {
        /// Where the term is zero.
        target: Real,
    },
    /// `log(1 + exp(sign * x))`: cross entropy of a logit with target 0 (sign 1) or 1 (sign -1).
    Softplus {
        /// 1 or -1.
        sign: Real,
    },
}

impl Term {
    fn setting(&self) -> f32 {
        match self {
            Self::Linear { sign } | Self::Hinge { sign } | Self::Softplus { sign } => sign.0,
            Self::Square { target } => target.0,
        }
    }

    /// Shader entries of the term and of its slope.
    fn entries(&self) -> (&'static str, &'static str) {
        match self {
            Self::Linear { .. } => ("linear", "linear_grad"),
            Self::Hinge { .. } => ("hinge", "hinge_grad"),
            Self::Square { .. } => ("square", "square_grad"),
            Self::Softplus { .. } => ("softplus", "softplus_grad"),
        }
    }

    fn value(&self, x: f64) -> f64 {
        let s = f64::from(self.setting());
        match self {
            Self::Linear { .. } => s * x,
            Self::Hinge { .. } => (1.0 + s * x).max(0.0),
            Self::Square { .. } => (x - s).powi(2),
            Self::Softplus { .. } => (s * x).max(0.0) + (-(s * x).abs()).exp().ln_1p(),
        }
    }

    fn slope(&self, x: f64) -> f64 {
        let s = f64::from(self.setting());
        match self {
            Self::Linear { .. } => s,
            Self::Hinge { .. } => {
                if 1.0 + s * x > 0.0 {
                    s
                } else {
                    0.0
                }
            }
            Self::Square { .. } => 2.0 * (x - s),
            Self::Softplus { .. } => s / (1.0 + (-s * x).exp()),
        }
    }
}

/// The two phases of `factor * sum of terms` over all arguments' elements.
fn sum(entry: &'static str, site: &Site, factor: f32, setting: f32) -> Kernel {
    let x = site.input(0);
    let arguments = (0..site.inputs.len()).map(Binding::Input);
    let bindings: Vec<_> = arguments.chain([Binding::Scratch(0)]).collect();
    let first = elements(entry, x, factor, setting)
        .bind(&bindings)
        .workgroups(tree::workgroups(x.vec4s()));
    Kernel {
        scratch: vec![tree::scratch(x.vec4s())],
        dispatches: vec![
            first,
            tree::total(x.vec4s(), factor, Binding::Scratch(0), Binding::Output(0)),
        ],
    }
}

/// One invocation for each `vec4` of a tensor, with the parameters all entries share.
fn elements(entry: &'static str, x: Shape, factor: f32, setting: f32) -> Dispatch {
    Dispatch::new("loss", entry)
        .items(x.vec4s())
        .param(x.c4())
        .param(x.c)
        .real(factor)
        .real(setting)
}

/// All arguments, then all results.
fn everything(site: &Site) -> Vec<Binding> {
    let arguments = (0..site.inputs.len()).map(Binding::Input);
    arguments
        .chain((0..site.outputs.len()).map(Binding::Output))
        .collect()
}

fn mean(shape: Shape) -> f32 {
    (1.0 / shape.len() as f64) as f32
}

fn equal_shapes(op: &'static str, inputs: &[Ty]) -> Result<()> {
    match inputs.iter().find(|ty| **ty != inputs[0]) {
        None => Ok(()),
        Some(other) => Err(Error::Shape {
            op,
            message: format!("{other} and {} must be of one shape", inputs[0]),
        }),
    }
}

fn reads_and_writes(inputs: &[Ty], outputs: &[Ty]) -> u64 {
    inputs.iter().chain(outputs).map(Ty::bytes).sum()
}

/// A sum over every element of the first argument.
fn sum_cost(inputs: &[Ty], outputs: &[Ty]) -> Cost {
    Cost {
        adds: inputs[0].shape().len() as u64,
        bytes: reads_and_writes(inputs, outputs),
        ..Cost::default()
    }
}

fn scalar(value: f64) -> Vec<Tensor> {
    vec![Tensor::dense(Shape::scalar(), vec![value])]
}

/// `mean of term(x)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MeanLoss {
    /// What is averaged.
    pub term: Term,
}

impl Operation for MeanLoss {
    fn name(&self) -> &'static str {
        "mean_loss"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        if inputs[0].shape().is_empty() {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("{} has no elements to average", inputs[0]),
            });
        }
        Ok(vec![Ty::Dense(Shape::scalar())])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let op = MeanLossGrad {
            term: self.term.clone(),
        };
        Ok(vec![Some(graph.apply(op, &[at.grad(), at.inputs[0]])?)])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let (entry, _) = self.term.entries();
        sum(entry, site, mean(site.input(0)), self.term.setting())
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let terms = inputs[0].map(|x| self.term.value(x));
        scalar(terms.data().iter().sum::<f64>() / terms.data().len() as f64)
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        sum_cost(inputs, outputs)
    }

    fn masks_padding(&self) -> bool {
        true
    }
}

/// Every kind of term.
fn terms() -> Vec<Term> {
    let [plus, minus] = [Real(1.0), Real(-1.0)];
    vec![
        Term::Linear { sign: minus },
        Term::Hinge { sign: plus },
        Term::Hinge { sign: minus },
        Term::Square { target: Real(0.75) },
        Term::Softplus { sign: plus },
        Term::Softplus { sign: minus },
    ]
}

impl Cases for MeanLoss {
    fn cases() -> Vec<Case> {
        // On both sides of the hinge's kink, and apart from zero on average so that a mean is not all rounding.
        let case = |term: Term, shape: Shape| Case {
            name: format!("{shape}"),
            op: Self { term }.into(),
            inputs: vec![CaseInput::range(shape, -2.0, 3.0)],
        };
        let small = terms()
            .into_iter()
            .map(|term| case(term, Shape::new(2, 3, 5, 1)));
        let square = Term::Square { target: Real(0.0) };
        let shapes = [
            Shape::new(2, 3, 5, 3),
            Shape::new(1, 1, 1, 4),
            Shape::new(3, 7, 9, 5),
            Shape::new(1, 13, 11, 7),
            Shape::new(2, 9, 17, 184),
        ];
        small
            .chain(shapes.map(|shape| case(square.clone(), shape)))
            .chain([case(terms()[1].clone(), Shape::new(1, 37, 61, 6))])
            .collect()
    }
}

/// `dx = dloss * slope(x) / count`: the derivative of [`MeanLoss`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MeanLossGrad {
    /// What is averaged.
    pub term: Term,
}

impl Operation for MeanLossGrad {
    fn name(&self) -> &'static str {
        "mean_loss_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        Ok(vec![inputs[1]])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let (_, entry) = self.term.entries();
        let x = site.input(1);
        let mut bindings = everything(site);
        if matches!(self.term, Term::Linear { .. }) {
            // The slope of a line is everywhere the same.
            bindings.remove(1);
        }
        elements(entry, x, mean(x), self.term.setting())
            .bind(&bindings)
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let factor = inputs[0].data()[0] / inputs[1].data().len() as f64;
        vec![inputs[1].map(|x| factor * self.term.slope(x))]
    }

    fn masks_padding(&self) -> bool {
        true
    }
}

impl Cases for MeanLossGrad {
    fn cases() -> Vec<Case> {
        let case = |term: Term| Case {
            name: "upstream gradient".into(),
            op: Self { term }.into(),
            inputs: vec![
                CaseInput::dense(Shape::scalar()),
                CaseInput::range(Shape::new(2, 5, 3, 7), -2.0, 3.0),
            ],
        };
        terms().into_iter().map(case).collect()
    }
}

/// `mean of |x - target|`; the target is a constant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct L1 {}

impl Operation for L1 {
    fn name(&self) -> &'static str {
        "l1"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        equal_shapes(self.name(), inputs)?;
        Ok(vec![Ty::Dense(Shape::scalar())])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let dx = graph.apply(L1Grad {}, &[at.grad(), at.inputs[0], at.inputs[1]])?;
        Ok(vec![Some(dx), None])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        sum("l1", site, mean(site.input(0)), 0.0)
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let terms = inputs[0].zip(inputs[1], |x, target| (x - target).abs());
        scalar(terms.data().iter().sum::<f64>() / terms.data().len() as f64)
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        sum_cost(inputs, outputs)
    }

    fn masks_padding(&self) -> bool {
        true
    }
}

/// Arguments that are equal in every third element.
fn often_equal(shape: Shape) -> [CaseInput; 2] {
    let wave = |n, h, w, c| f64::from((n * 7 + h * 5 + w * 3 + c) as u32 % 11) - 5.0;
    let x = Tensor::from_fn(shape, wave);
    let target = Tensor::from_fn(shape, |n, h, w, c| {
        wave(n, h, w, c) - f64::from((n + h + w + c) as u32 % 3) * 0.5
    });
    [CaseInput::Values(x), CaseInput::Values(target)]
}

impl Cases for L1 {
    fn cases() -> Vec<Case> {
        let case = |shape: Shape| Case {
            name: format!("{shape}"),
            op: Self {}.into(),
            inputs: vec![CaseInput::dense(shape), CaseInput::dense(shape)],
        };
        let mut cases: Vec<_> = [
            Shape::new(1, 1, 1, 1),
            Shape::new(2, 3, 5, 7),
            Shape::new(3, 9, 8, 184),
            Shape::new(2, 33, 65, 5),
        ]
        .map(case)
        .into();
        cases.push(Case {
            name: "at the kink".into(),
            op: Self {}.into(),
            inputs: often_equal(Shape::new(2, 3, 4, 3)).into(),
        });
        cases
    }
}

/// `dx = dloss * sign(x - target) / count`, zero where they are equal: the derivative of [`L1`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct L1Grad {}

impl Operation for L1Grad {
    fn name(&self) -> &'static str {
        "l1_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        equal_shapes(self.name(), &inputs[1..])?;
        Ok(vec![inputs[1]])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let x = site.input(1);
        elements("l1_grad", x, mean(x), 0.0)
            .bind(&everything(site))
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let factor = inputs[0].data()[0] / inputs[1].data().len() as f64;
        let slope = |x: f64, target: f64| {
            if x == target {
                0.0
            } else {
                factor * (x - target).signum()
            }
        };
        vec![inputs[1].zip(inputs[2], slope)]
    }

    fn masks_padding(&self) -> bool {
        true
    }
}

impl Cases for L1Grad {
    fn cases() -> Vec<Case> {
        let [x, target] = often_equal(Shape::new(2, 3, 5, 7));
        vec![Case {
            name: "at the kink and off it".into(),
            op: Self {}.into(),
            inputs: vec![CaseInput::dense(Shape::scalar()), x, target],
        }]
    }
}
