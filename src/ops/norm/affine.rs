//! Learned scale and shift after a normalisation, as in the discriminator's and encoder's batch norm.

use super::*;

/// A dispatch of `out` invocations for each four channels; they share the rows.
fn over(entry: &'static str, x: Shape, out: usize) -> Dispatch {
    Dispatch::new("affine", entry)
        .items(out * x.c4())
        .param(x.c4())
        .param(x.rows())
        .param(out)
}

/// `y = x * weight + bias`, both per channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Affine {}

impl Operation for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let [x, weight, bias] = [0, 1, 2].map(|i| inputs[i].shape());
        if [weight, bias] != [Shape::vector(x.c); 2] {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("x {x}, weight {weight}, bias {bias}"),
            });
        }
        Ok(vec![inputs[0]])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let arguments = [at.grad(), at.inputs[0], at.inputs[1]];
        let grads = graph.apply_all(AffineGrad {}, &arguments)?;
        Ok(grads.into_iter().map(Some).collect())
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output};
        let x = site.input(0);
        over("affine", x, x.rows().div_ceil(ROWS))
            .bind(&[Input(0), Input(1), Input(2), Output(0)])
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let [x, weight, bias] = [0, 1, 2].map(|i| inputs[i]);
        vec![Tensor::from_fn(x.shape(), |n, h, w, c| {
            x.at(n, h, w, c) * weight.data()[c] + bias.data()[c]
        })]
    }
}

impl Cases for Affine {
    fn cases() -> Vec<Case> {
        let case = |x: Shape| {
            let vector = || CaseInput::dense(Shape::vector(x.c));
            Case {
                name: format!("{x}"),
                op: Self {}.into(),
                inputs: vec![CaseInput::dense(x), vector(), vector()],
            }
        };
        case_shapes().into_iter().map(case).collect()
    }
}

/// Derivative of [`Affine`]. Arguments: dy, x, weight; results: gradients of x, weight and bias.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AffineGrad {}

impl Operation for AffineGrad {
    fn name(&self) -> &'static str {
        "affine_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let [dy, x, weight] = [0, 1, 2].map(|i| inputs[i].shape());
        if dy != x || weight != Shape::vector(x.c) {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("dy {dy}, x {x}, weight {weight}"),
            });
        }
        Ok(vec![inputs[1], inputs[2], inputs[2]])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output, Scratch};
        let x = site.input(1);
        let tree = tree(x, false);
        let mut dispatches = vec![
            over("affine_dx", x, x.rows().div_ceil(ROWS)).bind(&[Input(0), Input(2), Output(0)]),
            over("grad_tiles", x, tree.levels[0]).bind(&[Input(0), Input(1), Scratch(0)]),
        ];
        dispatches.extend(tree.fold(Scratch(0)));
        dispatches.push(over("grad_last", x, 1).bind(&[Scratch(0), Output(1), Output(2)]));
        Kernel {
            scratch: vec![tree.scratch()],
            dispatches,
        }
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let [dy, x, weight] = [0, 1, 2].map(|i| inputs[i]);
        let channels = x.shape().c;
        let dx = Tensor::from_fn(x.shape(), |n, h, w, c| dy.at(n, h, w, c) * weight.data()[c]);
        let dw = sum_reference(&dy.zip(x, |dy, x| dy * x), channels);
        vec![dx, dw, sum_reference(dy, channels)]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        let elements = inputs[0].shape().len() as u64;
        Cost {
            macs: 2 * elements,
            adds: elements,
            bytes: 3 * inputs[0].bytes() + outputs[0].bytes(),
        }
    }
}

impl Cases for AffineGrad {
    fn cases() -> Vec<Case> {
        let case = |x: Shape| Case {
            name: format!("{x}"),
            op: Self {}.into(),
            inputs: vec![
                CaseInput::dense(x),
                CaseInput::dense(x),
                CaseInput::dense(Shape::vector(x.c)),
            ],
        };
        case_shapes().into_iter().map(case).collect()
    }
}
