//! Activation functions. Their derivatives follow from the result, so the argument need not be kept.

use super::*;
use crate::graph::Shape;
use crate::{Error, Result};

/// Slope of the leaky ReLU left of zero, everywhere in this network.
pub const LEAKY_SLOPE: f64 = 0.2;

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `max(x, 0)`; slope 0 at 0.
    Relu,
    /// `x` right of zero, `0.2 x` left of it; slope 0.2 at 0.
    LeakyRelu,
    /// Hyperbolic tangent.
    Tanh,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Relu, Self::LeakyRelu, Self::Tanh];

    /// The function.
    pub fn forward(self, x: f64) -> f64 {
        match self {
            Self::Relu => x.max(0.0),
            Self::LeakyRelu if x <= 0.0 => LEAKY_SLOPE * x,
            Self::LeakyRelu => x,
            Self::Tanh => x.tanh(),
        }
    }

    /// Its slope where it takes the value `y`.
    pub fn slope(self, y: f64) -> f64 {
        match self {
            Self::Tanh => 1.0 - y * y,
            Self::Relu | Self::LeakyRelu if y > 0.0 => 1.0,
            Self::Relu => 0.0,
            Self::LeakyRelu => LEAKY_SLOPE,
        }
    }

    /// Entry points of the function and of its derivative.
    fn entries(self) -> [&'static str; 2] {
        match self {
            Self::Relu => ["relu_forward", "relu_grad"],
            Self::LeakyRelu => ["leaky_forward", "leaky_grad"],
            Self::Tanh => ["tanh_forward", "tanh_grad"],
        }
    }
}

/// `y = f(x)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Activation {
    /// Which function.
    pub kind: Kind,
}

impl Operation for Activation {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        Ok(vec![inputs[0]])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let op = ActivationGrad { kind: self.kind };
        Ok(vec![Some(graph.apply(op, &[at.grad(), at.outputs[0]])?)])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        Dispatch::new("activation", self.kind.entries()[0])
            .bind(&[Binding::Input(0), Binding::Output(0)])
            .items(site.output(0).vec4s())
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        vec![inputs[0].map(|x| self.kind.forward(x))]
    }
}

fn cases_of(op: impl Fn(Kind) -> Op, arguments: usize) -> Vec<Case> {
    let shapes = [
        Shape::new(2, 3, 5, 7),
        Shape::new(1, 1, 1, 1),
        Shape::new(1, 2, 3, 184),
    ];
    let case = |kind, shape: Shape| Case {
        name: format!("{shape}"),
        op: op(kind),
        inputs: (0..arguments).map(|_| CaseInput::kinked(shape)).collect(),
    };
    Kind::ALL
        .into_iter()
        .flat_map(|kind| shapes.map(|shape| case(kind, shape)))
        .collect()
}

impl Cases for Activation {
    fn cases() -> Vec<Case> {
        let mut cases = cases_of(|kind| Self { kind }.into(), 1);
        cases.extend(Kind::ALL.map(|kind| Case {
            name: "large values".into(),
            op: Self { kind }.into(),
            inputs: vec![CaseInput::range(Shape::new(1, 4, 4, 5), -100.0, 100.0)],
        }));
        cases
    }
}

/// Derivative of [`Activation`]. Arguments: dy and the result y; result: dx.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ActivationGrad {
    /// Which function.
    pub kind: Kind,
}

impl Operation for ActivationGrad {
    fn name(&self) -> &'static str {
        "activation_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        if inputs[0] != inputs[1] {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("dy {} of y {}", inputs[0], inputs[1]),
            });
        }
        Ok(vec![inputs[0]])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        Dispatch::new("activation", self.kind.entries()[1])
            .bind(&[Binding::Input(0), Binding::Input(1), Binding::Output(0)])
            .items(site.output(0).vec4s())
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        vec![inputs[0].zip(inputs[1], |dy, y| dy * self.kind.slope(y))]
    }
}

impl Cases for ActivationGrad {
    fn cases() -> Vec<Case> {
        let mut cases = cases_of(|kind| Self { kind }.into(), 2);
        let kinks = Tensor::dense(Shape::vector(3), vec![0.0, -0.0, 1.0]);
        cases.extend(Kind::ALL.map(|kind| Case {
            name: "at the kink".into(),
            op: Self { kind }.into(),
            inputs: vec![
                CaseInput::dense(Shape::vector(3)),
                CaseInput::Values(kinks.clone()),
            ],
        }));
        cases
    }
}
