//! Batch norm in evaluation, and the running statistics it uses.

use super::*;

/// `y = (x - mean) / sqrt(var + eps)` with given statistics, which are constants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NormGiven {
    /// Guard of the division.
    pub eps: Real,
}

/// The normalisation that statistics of this shape belong to.
fn norm_by(x: Shape, stats: Shape, eps: Real) -> Norm {
    Norm {
        per_sample: stats != stat_shape(x, false),
        eps,
        rule: EpsRule::Add,
    }
}

/// Whether statistics of this shape belong to `x`, for the batch or for each sample.
fn are_stats(x: Shape, stats: Shape) -> bool {
    stats == stat_shape(x, false) || stats == stat_shape(x, true)
}

impl Operation for NormGiven {
    fn name(&self) -> &'static str {
        "norm_given"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let [x, mean, variance] = [0, 1, 2].map(|i| inputs[i].shape());
        if mean != variance || !are_stats(x, mean) {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("x {x}, mean {mean}, variance {variance}"),
            });
        }
        Ok(vec![inputs[0]])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let op = NormGivenGrad { eps: self.eps };
        let dx = graph.apply(op, &[at.grad(), at.inputs[2]])?;
        Ok(vec![Some(dx), None, None])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output};
        let x = site.input(0);
        map("apply", x, &norm_by(x, site.input(1), self.eps))
            .bind(&[Input(0), Input(1), Input(2), Output(0)])
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let [x, mean, variance] = [0, 1, 2].map(|i| inputs[i]);
        let norm = norm_by(x.shape(), mean.shape(), self.eps);
        vec![apply_reference(&norm, x, mean, variance)]
    }
}

fn given_cases(op: impl Into<Op> + Clone, arguments_before_variance: usize) -> Vec<Case> {
    let case = |x: Shape, per_sample| {
        let stats = stat_shape(x, per_sample);
        let mut inputs = vec![CaseInput::dense(x)];
        inputs.extend((1..arguments_before_variance).map(|_| CaseInput::dense(stats)));
        inputs.push(CaseInput::range(stats, 0.0, 2.0));
        Case {
            name: format!("{x} by {stats}"),
            op: op.clone().into(),
            inputs,
        }
    };
    vec![
        case(Shape::new(2, 3, 5, 7), false),
        case(Shape::new(3, 2, 5, 3), true),
        case(Shape::new(1, 4, 3, 184), false),
        case(Shape::new(2, 1, 1, 1), true),
    ]
}

impl Cases for NormGiven {
    fn cases() -> Vec<Case> {
        given_cases(Self { eps: Real(1e-2) }, 2)
    }
}

/// Derivative of [`NormGiven`]. Arguments: dy and variance; result: dx.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NormGivenGrad {
    /// Guard of the division.
    pub eps: Real,
}

impl Operation for NormGivenGrad {
    fn name(&self) -> &'static str {
        "norm_given_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let (dy, variance) = (inputs[0].shape(), inputs[1].shape());
        if !are_stats(dy, variance) {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("dy {dy}, variance {variance}"),
            });
        }
        Ok(vec![inputs[0]])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output};
        let dy = site.input(0);
        map("given_grad", dy, &norm_by(dy, site.input(1), self.eps))
            .bind(&[Input(0), Input(1), Output(0)])
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let (dy, variance) = (inputs[0], inputs[1]);
        vec![given_grad_reference(dy, variance, EpsRule::Add, self.eps)]
    }
}

impl Cases for NormGivenGrad {
    fn cases() -> Vec<Case> {
        given_cases(Self { eps: Real(1e-2) }, 1)
    }
}

/// `running' = (1 - momentum) * running + momentum * factor * statistic`.
///
/// The factor makes the biased variance unbiased: n / (n - 1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunningUpdate {
    /// Share of the new statistic.
    pub momentum: Real,
    /// Factor of the new statistic.
    pub factor: Real,
}

impl RunningUpdate {
    /// Weights of the running and of the new statistic.
    fn weights(&self) -> [f64; 2] {
        let momentum = f64::from(self.momentum.0);
        [1.0 - momentum, momentum * f64::from(self.factor.0)]
    }
}

impl Operation for RunningUpdate {
    fn name(&self) -> &'static str {
        "running_update"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        if inputs[0] != inputs[1] {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("running {}, new {}", inputs[0], inputs[1]),
            });
        }
        Ok(vec![inputs[0]])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output};
        let [keep, take] = self.weights();
        Dispatch::new("running", "running_update")
            .bind(&[Input(0), Input(1), Output(0)])
            .items(site.output(0).vec4s())
            .real(keep as f32)
            .real(take as f32)
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let [keep, take] = self.weights();
        vec![inputs[0].zip(inputs[1], |running, new| keep * running + take * new)]
    }
}

impl Cases for RunningUpdate {
    fn cases() -> Vec<Case> {
        let case = |c: usize, factor: f32| Case {
            name: format!("{c} channels"),
            op: Self {
                momentum: Real(0.1),
                factor: Real(factor),
            }
            .into(),
            inputs: vec![
                CaseInput::dense(Shape::vector(c)),
                CaseInput::dense(Shape::vector(c)),
            ],
        };
        vec![case(1, 1.0), case(7, 4.0 / 3.0), case(184, 1.0)]
    }
}
