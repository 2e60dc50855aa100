//! One step of Adam, in place.

use super::*;
use crate::graph::Shape;
use crate::{Error, Result};

/// `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g^2`, `p -= h0 m / (sqrt(v) h1 + eps)`.
///
/// Arguments `(p, m, v, g, hyper, flag)`, results `(p, m, v)` in the same memory. With `beta1 = 0` the first moment is
/// the gradient, and `m` is neither argument nor result. `hyper` holds `h0 = lr / (1 - beta1^t)` and
/// `h1 = 1 / sqrt(1 - beta2^t)`, then two zeros (see [`Adam::hyper`]). Where `flag` is 0 nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Adam {
    /// Decay of the first moment.
    pub beta1: Real,
    /// Decay of the second moment.
    pub beta2: Real,
    /// Keeps the step finite where gradients vanish.
    pub eps: Real,
}

impl Adam {
    /// The numbers of the argument `hyper` for update `step`, counted from 1.
    ///
    /// Bias is corrected with the decays as the device has them, in single precision: a decay of 0.999 off by its
    /// rounding is off by a hundred-thousandth in what it leaves.
    pub fn hyper(&self, rate: f64, step: u64) -> [f32; 4] {
        let seen = |decay: Real| 1.0 - f64::from(decay.0).powf(step as f64);
        let first = rate / seen(self.beta1);
        let second = 1.0 / seen(self.beta2).sqrt();
        [first as f32, second as f32, 0.0, 0.0]
    }

    fn has_first_moment(&self) -> bool {
        self.beta1.0 != 0.0
    }

    /// Number of results: the parameter and its moments.
    fn states(&self) -> usize {
        2 + usize::from(self.has_first_moment())
    }
}

impl Operation for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let states = self.states();
        let tensors = &inputs[..=states];
        let settings = [Ty::Dense(Shape::vector(4)), Ty::Dense(Shape::vector(1))];
        if tensors.iter().any(|ty| *ty != inputs[0]) || inputs[states + 1..] != settings {
            let shapes: Vec<_> = inputs.iter().map(Ty::to_string).collect();
            return Err(Error::Shape {
                op: self.name(),
                message: format!(
                    "{} are not {} tensors of one shape, four settings and a flag",
                    shapes.join(", "),
                    states + 1
                ),
            });
        }
        Ok(inputs[..states].to_vec())
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let states = self.states();
        let entry = if self.has_first_moment() {
            "adam"
        } else {
            "rmsprop"
        };
        let bindings: Vec<_> = (states..states + 3)
            .map(Binding::Input)
            .chain((0..states).map(Binding::Output))
            .collect();
        Dispatch::new("adam", entry)
            .bind(&bindings)
            .items(site.output(0).vec4s())
            .real(self.beta1.0)
            .real(self.beta2.0)
            .real(self.eps.0)
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let states = self.states();
        let [g, hyper, flag] = [0, 1, 2].map(|i| inputs[states + i]);
        if flag.data()[0] == 0.0 {
            return inputs[..states].iter().map(|&x| x.clone()).collect();
        }
        let [beta1, beta2, eps] = [self.beta1, self.beta2, self.eps].map(|r| f64::from(r.0));
        let first = match self.has_first_moment() {
            true => inputs[1].zip(g, |m, g| beta1 * m + (1.0 - beta1) * g),
            false => g.clone(),
        };
        let second = inputs[states - 1].zip(g, |v, g| beta2 * v + (1.0 - beta2) * g * g);
        let step = first.zip(&second, |m, v| {
            hyper.data()[0] * m / (v.sqrt() * hyper.data()[1] + eps)
        });
        let p = inputs[0].zip(&step, |p, step| p - step);
        match self.has_first_moment() {
            true => vec![p, first, second],
            false => vec![p, second],
        }
    }

    fn aliases(&self) -> &'static [(usize, usize)] {
        &[(0, 0), (1, 1), (2, 2)][..self.states()]
    }
}

impl Cases for Adam {
    fn cases() -> Vec<Case> {
        let case = |beta1: f32, beta2: f32, flag: f64, shape: Shape| {
            let op = Self {
                beta1: Real(beta1),
                beta2: Real(beta2),
                eps: Real(1e-8),
            };
            let mut inputs = vec![CaseInput::dense(shape)];
            if op.has_first_moment() {
                inputs.push(CaseInput::dense(shape));
            }
            let hyper = Tensor::dense(Shape::vector(4), vec![0.03125, 1.5, 0.0, 0.0]);
            let flag = Tensor::dense(Shape::vector(1), vec![flag]);
            inputs.push(CaseInput::range(shape, 0.0, 1.0));
            inputs.push(CaseInput::dense(shape));
            inputs.push(CaseInput::Values(hyper));
            inputs.push(CaseInput::Values(flag));
            Case {
                name: format!("{shape}"),
                op: op.into(),
                inputs,
            }
        };
        let filters = Shape::weight(3, 3, 5, 7);
        let mut cases = vec![
            case(0.0, 0.9, 1.0, filters),
            case(0.0, 0.9, 0.0, filters),
            case(0.5, 0.999, 1.0, filters),
            case(0.5, 0.999, 0.0, filters),
            case(0.0, 0.9, 1.0, Shape::vector(1)),
            case(0.5, 0.999, 1.0, Shape::weight(1, 1, 13, 184)),
        ];
        // A bad gradient must not get through a lowered flag, not even multiplied by zero.
        let bad = Tensor::zeros(Shape::vector(5)).map(|_| f64::NAN);
        let mut lowered = case(0.5, 0.999, 0.0, Shape::vector(5));
        lowered.name = "bad gradient".into();
        lowered.inputs[3] = CaseInput::Values(bad);
        cases.push(lowered);
        cases
    }
}
