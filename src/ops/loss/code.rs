//! Losses and draws of a code given as mean and log-variance.

use super::{elements, equal_shapes, everything, scalar, sum, sum_cost};
use crate::Result;
use crate::graph::Shape;
use crate::ops::*;

/// `-1/2 sum of (1 + logvar - mu^2 - exp(logvar))`: divergence of a normal distribution from the standard one.
///
/// A sum over batch and dimensions, not a mean.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KlDivergence {}

impl Operation for KlDivergence {
    fn name(&self) -> &'static str {
        "kl_divergence"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        equal_shapes(self.name(), inputs)?;
        Ok(vec![Ty::Dense(Shape::scalar())])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let arguments = [at.grad(), at.inputs[0], at.inputs[1]];
        let grads = graph.apply_all(KlDivergenceGrad {}, &arguments)?;
        Ok(grads.into_iter().map(Some).collect())
    }

    fn kernel(&self, site: &Site) -> Kernel {
        sum("kl", site, 1.0, 0.0)
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let term = |mu: f64, logvar: f64| -0.5 * (1.0 + logvar - mu * mu - logvar.exp());
        scalar(inputs[0].zip(inputs[1], term).data().iter().sum())
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        sum_cost(inputs, outputs)
    }

    fn masks_padding(&self) -> bool {
        true
    }
}

impl Cases for KlDivergence {
    fn cases() -> Vec<Case> {
        let case = |(n, c)| Case {
            name: format!("{n} codes of {c}"),
            op: Self {}.into(),
            inputs: vec![
                CaseInput::range(Shape::new(n, 1, 1, c), -2.0, 2.0),
                CaseInput::range(Shape::new(n, 1, 1, c), -2.0, 2.0),
            ],
        };
        [(2, 256), (3, 5), (1, 1)].into_iter().map(case).collect()
    }
}

/// `dmu = d * mu`, `dlogvar = d * (exp(logvar) - 1) / 2`: the derivative of [`KlDivergence`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KlDivergenceGrad {}

impl Operation for KlDivergenceGrad {
    fn name(&self) -> &'static str {
        "kl_divergence_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        equal_shapes(self.name(), &inputs[1..])?;
        Ok(inputs[1..].to_vec())
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        elements("kl_grad", site.input(1), 1.0, 0.0)
            .bind(&everything(site))
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let upstream = inputs[0].data()[0];
        vec![
            inputs[1].map(|mu| upstream * mu),
            inputs[2].map(|logvar| upstream * 0.5 * logvar.exp_m1()),
        ]
    }

    fn masks_padding(&self) -> bool {
        true
    }
}

impl Cases for KlDivergenceGrad {
    fn cases() -> Vec<Case> {
        let code = Shape::new(3, 1, 1, 7);
        vec![Case {
            name: "upstream gradient".into(),
            op: Self {}.into(),
            inputs: vec![
                CaseInput::dense(Shape::scalar()),
                CaseInput::dense(code),
                CaseInput::range(code, -2.0, 2.0),
            ],
        }]
    }
}

/// `z = mu + eps * exp(logvar / 2)`: a draw whose noise `eps` is a constant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reparameterise {}

impl Operation for Reparameterise {
    fn name(&self) -> &'static str {
        "reparameterise"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        equal_shapes(self.name(), inputs)?;
        Ok(vec![inputs[0]])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let arguments = [at.grad(), at.inputs[1], at.inputs[2]];
        let dlogvar = graph.apply(ReparameteriseGrad {}, &arguments)?;
        Ok(vec![Some(at.grad()), Some(dlogvar), None])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        elements("reparameterise", site.input(0), 1.0, 0.0)
            .bind(&everything(site))
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let deviation = inputs[1].map(|logvar| (0.5 * logvar).exp());
        let noise = inputs[2].zip(&deviation, |eps, deviation| eps * deviation);
        vec![inputs[0].zip(&noise, |mu, noise| mu + noise)]
    }
}

fn three(shape: Shape) -> Vec<CaseInput> {
    [(); 3].map(|()| CaseInput::range(shape, -2.0, 2.0)).into()
}

impl Cases for Reparameterise {
    fn cases() -> Vec<Case> {
        let case = |(n, c)| Case {
            name: format!("{n} codes of {c}"),
            op: Self {}.into(),
            inputs: three(Shape::new(n, 1, 1, c)),
        };
        [(2, 256), (3, 5)].into_iter().map(case).collect()
    }
}

/// `dlogvar = dz * eps * exp(logvar / 2) / 2`: the derivative of [`Reparameterise`] with respect to `logvar`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ReparameteriseGrad {}

impl Operation for ReparameteriseGrad {
    fn name(&self) -> &'static str {
        "reparameterise_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        equal_shapes(self.name(), inputs)?;
        Ok(vec![inputs[0]])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        elements("reparameterise_grad", site.input(0), 1.0, 0.0)
            .bind(&everything(site))
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let slope = inputs[1].map(|logvar| 0.5 * (0.5 * logvar).exp());
        let noise = inputs[2].zip(&slope, |eps, slope| eps * slope);
        vec![inputs[0].zip(&noise, |dz, noise| dz * noise)]
    }
}

impl Cases for ReparameteriseGrad {
    fn cases() -> Vec<Case> {
        vec![Case {
            name: "three codes".into(),
            op: Self {}.into(),
            inputs: three(Shape::new(3, 1, 1, 7)),
        }]
    }
}
