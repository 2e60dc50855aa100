//! Gradients of a batch that is computed in parts: their sum, and the flag that lets the last part change state.

use super::*;
use crate::graph::Shape;
use crate::{Error, Result};

const FLAG: Ty = Ty::SCALAR;

/// The sum over parts, in place: arguments `(sum, x, first)`, result `x` where `first` is 1, else `sum + x`.
///
/// The first part takes the place of whatever the sum held, be it no number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Accumulate {}

impl Operation for Accumulate {
    fn name(&self) -> &'static str {
        "accumulate"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        if inputs[0] != inputs[1] || inputs[2] != FLAG {
            return Err(Error::Shape {
                op: self.name(),
                message: format!(
                    "{} cannot be added to {} with a flag of {}",
                    inputs[1], inputs[0], inputs[2]
                ),
            });
        }
        Ok(vec![inputs[0]])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        Dispatch::new("accumulate", "accumulate")
            .bind(&[Binding::Input(1), Binding::Input(2), Binding::Output(0)])
            .items(site.output(0).vec4s())
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        vec![match inputs[2].data()[0] != 0.0 {
            true => inputs[1].clone(),
            false => inputs[0].zip(inputs[1], |sum, x| sum + x),
        }]
    }

    fn aliases(&self) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }
}

fn flag(value: f64) -> CaseInput {
    CaseInput::Values(Tensor::dense(Shape::scalar(), vec![value]))
}

impl Cases for Accumulate {
    fn cases() -> Vec<Case> {
        let case = |shape: Shape, first: f64| Case {
            name: format!("{shape}, first {first}"),
            op: Self {}.into(),
            inputs: vec![
                CaseInput::dense(shape),
                CaseInput::dense(shape),
                flag(first),
            ],
        };
        let mut cases = vec![
            case(Shape::vector(1), 0.0),
            case(Shape::vector(184), 1.0),
            case(Shape::weight(3, 3, 5, 7), 0.0),
            case(Shape::weight(3, 3, 5, 7), 1.0),
        ];
        // What an iteration that failed left behind must not get into the next one.
        let mut bad = case(Shape::vector(5), 1.0);
        bad.name = "bad sum".into();
        bad.inputs[0] = CaseInput::Values(Tensor::zeros(Shape::vector(5)).map(|_| f64::NAN));
        cases.push(bad);
        cases
    }
}

/// A flag that is 1 where both of two are: arguments `(a, b)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Both {}

impl Operation for Both {
    fn name(&self) -> &'static str {
        "both"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        if inputs != [FLAG, FLAG] {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("{} and {} are not two flags", inputs[0], inputs[1]),
            });
        }
        Ok(vec![FLAG])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        Dispatch::new("accumulate", "both")
            .bind(&[Binding::Input(0), Binding::Input(1), Binding::Output(0)])
            .items(site.output(0).vec4s())
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        vec![inputs[0].zip(inputs[1], |a, b| a * b)]
    }
}

impl Cases for Both {
    fn cases() -> Vec<Case> {
        let case = |[a, b]: [f64; 2]| Case {
            name: format!("{a} and {b}"),
            op: Self {}.into(),
            inputs: vec![flag(a), flag(b)],
        };
        let flags = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
        flags.into_iter().map(case).collect()
    }
}
