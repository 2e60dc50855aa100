//! State that changes only while all numbers are good.
//!
//! A flag is a scalar, 1 while nothing bad was seen. Losses and gradients lower it through [`Finite`]; new state takes
//! the place of the old through [`Commit`], and averages move through [`Average`], only where it still stands.

use super::*;
use crate::graph::Shape;
use crate::{Error, Result};

const FLAG: Ty = Ty::SCALAR;

/// The new value in the memory of the old one where the flag is 1, else the old one: arguments `(old, new, flag)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Commit {}

impl Operation for Commit {
    fn name(&self) -> &'static str {
        "commit"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        if inputs[0] != inputs[1] || inputs[2] != FLAG {
            return Err(Error::Shape {
                op: self.name(),
                message: format!(
                    "{} does not replace {} under a flag of {}",
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
        Dispatch::new("state", "commit")
            .bind(&[Binding::Input(1), Binding::Input(2), Binding::Output(0)])
            .items(site.output(0).vec4s())
            .param(site.output(0).c4())
            .param(site.output(0).c)
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let stands = inputs[2].data()[0] != 0.0;
        vec![inputs[usize::from(stands)].clone()]
    }

    fn aliases(&self) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }
}

fn flag(value: f64) -> CaseInput {
    CaseInput::Values(Tensor::dense(Shape::scalar(), vec![value]))
}

impl Cases for Commit {
    fn cases() -> Vec<Case> {
        let case = |shape: Shape, value: f64| Case {
            name: format!("{shape}, flag {value}"),
            op: Self {}.into(),
            inputs: vec![
                CaseInput::dense(shape),
                CaseInput::dense(shape),
                flag(value),
            ],
        };
        let mut cases: Vec<_> = [(Shape::vector(1), 1.0), (Shape::vector(184), 0.0)]
            .into_iter()
            .chain([0.0, 1.0].map(|value| (Shape::new(3, 3, 1, 7), value)))
            .map(|(shape, value)| case(shape, value))
            .collect();
        // Not even multiplied by zero may a bad number get through.
        let mut bad = case(Shape::vector(5), 0.0);
        bad.name = "bad new state".into();
        bad.inputs[1] = CaseInput::Values(Tensor::zeros(Shape::vector(5)).map(|_| f64::NAN));
        cases.push(bad);
        cases
    }
}

/// A moving average, moved a share of the way to a new value where the flag is 1: arguments `(average, new, share,
/// flag)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Average {}

impl Operation for Average {
    fn name(&self) -> &'static str {
        "average"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        if inputs[0] != inputs[1] || inputs[2] != FLAG || inputs[3] != FLAG {
            return Err(Error::Shape {
                op: self.name(),
                message: format!(
                    "{} does not move to {} by a share of {} under a flag of {}",
                    inputs[0], inputs[1], inputs[2], inputs[3]
                ),
            });
        }
        Ok(vec![inputs[0]])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output};
        Dispatch::new("state", "average")
            .bind(&[Input(1), Input(2), Input(3), Output(0)])
            .items(site.output(0).vec4s())
            .param(site.output(0).c4())
            .param(site.output(0).c)
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let [share, flag] = [2, 3].map(|i| inputs[i].data()[0]);
        if flag == 0.0 {
            return vec![inputs[0].clone()];
        }
        vec![inputs[0].zip(inputs[1], |average, new| average + share * (new - average))]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        Cost {
            macs: outputs[0].shape().len() as u64,
            adds: 0,
            bytes: inputs[0].bytes() + inputs[1].bytes() + outputs[0].bytes(),
        }
    }

    fn aliases(&self) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }
}

impl Cases for Average {
    fn cases() -> Vec<Case> {
        let case = |shape: Shape, share: f64, up: f64| Case {
            name: format!("{shape}, share {share}, flag {up}"),
            op: Self {}.into(),
            inputs: vec![
                CaseInput::dense(shape),
                CaseInput::dense(shape),
                flag(share),
                flag(up),
            ],
        };
        let mut cases = vec![
            case(Shape::vector(1), 0.25, 1.0),
            case(Shape::new(3, 3, 8, 7), 0.0009765625, 1.0),
            case(Shape::vector(184), 0.5, 0.0),
        ];
        // Not even multiplied by zero may a bad number get through.
        let mut bad = case(Shape::vector(5), 0.5, 0.0);
        bad.name = "bad new value".into();
        bad.inputs[1] = CaseInput::Values(Tensor::zeros(Shape::vector(5)).map(|_| f64::NAN));
        cases.push(bad);
        cases
    }
}

/// The flag, lowered to 0 in place if any element of `x` is infinite or no number: arguments `(flag, x)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Finite {}

impl Operation for Finite {
    fn name(&self) -> &'static str {
        "finite"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        if inputs[0] != FLAG {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("{} is no flag", inputs[0]),
            });
        }
        Ok(vec![FLAG])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let x = site.input(1);
        let partials = tree::workgroups(x.vec4s());
        Kernel {
            scratch: vec![tree::scratch(x.vec4s())],
            dispatches: vec![
                Dispatch::new("state", "scan")
                    .bind(&[Binding::Input(1), Binding::Scratch(0)])
                    .items(x.vec4s())
                    .param(x.c4())
                    .param(x.c)
                    .workgroups(partials),
                Dispatch::new("state", "lower")
                    .bind(&[Binding::Scratch(0), Binding::Output(0)])
                    .param(partials)
                    .param(1)
                    .param(1),
            ],
        }
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let is_good = inputs[1].data().iter().all(|x| x.is_finite());
        vec![inputs[0].map(|flag| if is_good { flag } else { 0.0 })]
    }

    fn masks_padding(&self) -> bool {
        true
    }

    fn aliases(&self) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }
}

impl Cases for Finite {
    fn cases() -> Vec<Case> {
        let shape = Shape::new(2, 9, 17, 7);
        // The largest finite numbers are good ones.
        let good = |i: usize| {
            if i.is_multiple_of(2) {
                f64::from(f32::MAX)
            } else {
                1e-40
            }
        };
        let case = |name: &str, up: f64, shape: Shape, bad: Option<(usize, f64)>| {
            let mut data: Vec<f64> = (0..shape.len()).map(good).collect();
            if let Some((at, value)) = bad {
                data[at] = value;
            }
            Case {
                name: name.into(),
                op: Self {}.into(),
                inputs: vec![flag(up), CaseInput::Values(Tensor::dense(shape, data))],
            }
        };
        vec![
            case("all good", 1.0, shape, None),
            case("all good, flag down", 0.0, shape, None),
            case("NaN last", 1.0, shape, Some((shape.len() - 1, f64::NAN))),
            case("infinite", 1.0, shape, Some((1000, f64::INFINITY))),
            case(
                "negative infinite",
                1.0,
                shape,
                Some((0, f64::NEG_INFINITY)),
            ),
            case("flag down", 0.0, shape, Some((6, f64::NAN))),
            case("good scalar", 1.0, Shape::scalar(), None),
            case("bad scalar", 1.0, Shape::scalar(), Some((0, f64::NAN))),
            // Several workgroups.
            case(
                "large",
                1.0,
                Shape::new(1, 61, 53, 5),
                Some((16000, f64::NAN)),
            ),
            case("large and good", 1.0, Shape::new(1, 61, 53, 5), None),
        ]
    }
}
