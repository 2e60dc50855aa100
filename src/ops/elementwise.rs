//! Element-wise arithmetic.

use super::*;
use crate::graph::Shape;
use crate::{Error, Result};

/// `y = a + b`; `b` may have fewer samples than `a`, it then repeats: sample `i` of `a` meets `i mod n_b` of `b`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Add {}

impl Operation for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let (a, b) = (inputs[0].shape(), inputs[1].shape());
        if a.with_n(b.n) != b || b.n == 0 || !a.n.is_multiple_of(b.n) {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("{b} does not repeat to {a}"),
            });
        }
        Ok(vec![inputs[0]])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let (a, b) = (graph.shape(at.inputs[0]), graph.shape(at.inputs[1]));
        let db = if a == b || !at.wants[1] {
            at.grad()
        } else {
            graph.apply(FoldSamples { n: b.n }, &[at.grad()])?
        };
        Ok(vec![Some(at.grad()), Some(db)])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        Dispatch::new("elementwise", "add")
            .bind(&[Binding::Input(0), Binding::Input(1), Binding::Output(0)])
            .items(site.output(0).vec4s())
            .param(site.input(1).vec4s())
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let repeat = inputs[1].data().iter().cycle();
        let data = inputs[0].data().iter().zip(repeat).map(|(a, b)| a + b);
        vec![Tensor::dense(inputs[0].shape(), data.collect())]
    }
}

impl Cases for Add {
    fn cases() -> Vec<Case> {
        let shapes = [
            (Shape::new(2, 3, 5, 7), 2),
            (Shape::new(4, 3, 2, 5), 2),
            (Shape::new(3, 1, 9, 184), 1),
        ];
        let case = |(shape, n): (Shape, usize)| Case {
            name: format!("{shape} + {n} samples"),
            op: Self {}.into(),
            inputs: vec![CaseInput::dense(shape), CaseInput::dense(shape.with_n(n))],
        };
        shapes.into_iter().map(case).collect()
    }
}

/// `y = up(a) + b` with nearest upsampling of `a` by two: the shortcut of a block whose input is upsampled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AddUpsampled {}

impl Operation for AddUpsampled {
    fn name(&self) -> &'static str {
        "add_upsampled"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let (a, b) = (inputs[0].shape(), inputs[1].shape());
        if Shape::new(a.n, 2 * a.h, 2 * a.w, a.c) != b {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("{b} is not twice {a}"),
            });
        }
        Ok(vec![inputs[1]])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let da = match at.wants[0] {
            true => Some(graph.apply(resample::Downsum2 {}, &[at.grad()])?),
            false => None,
        };
        Ok(vec![da, Some(at.grad())])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let y = site.output(0);
        Dispatch::new("elementwise", "add_upsampled")
            .bind(&[Binding::Input(0), Binding::Input(1), Binding::Output(0)])
            .items(y.vec4s())
            .param(y.c4())
            .param(y.w)
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let [a, b] = [inputs[0], inputs[1]];
        let sum = |n, h, w, c| a.at(n, h / 2, w / 2, c) + b.at(n, h, w, c);
        vec![Tensor::from_fn(outputs[0].shape(), sum)]
    }
}

impl Cases for AddUpsampled {
    fn cases() -> Vec<Case> {
        let case = |a: Shape| Case {
            name: format!("{a}"),
            op: Self {}.into(),
            inputs: vec![
                CaseInput::dense(a),
                CaseInput::dense(Shape::new(a.n, 2 * a.h, 2 * a.w, a.c)),
            ],
        };
        vec![case(Shape::new(2, 3, 5, 7)), case(Shape::new(1, 1, 4, 184))]
    }
}

/// `y[i] = sum of x[j] over j = i modulo n`: the derivative of repeating samples.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FoldSamples {
    /// Samples of the result.
    pub n: usize,
}

impl Operation for FoldSamples {
    fn name(&self) -> &'static str {
        "fold_samples"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let x = inputs[0].shape();
        if self.n == 0 || !x.n.is_multiple_of(self.n) {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("{} samples do not divide {x}", self.n),
            });
        }
        Ok(vec![Ty::Dense(x.with_n(self.n))])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        Dispatch::new("elementwise", "fold_samples")
            .bind(&[Binding::Input(0), Binding::Output(0)])
            .items(site.output(0).vec4s())
            .param(site.input(0).n / self.n)
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let mut sum = Tensor::zeros(outputs[0].shape());
        let count = sum.data().len();
        for (i, x) in inputs[0].data().iter().enumerate() {
            sum.data_mut()[i % count] += x;
        }
        vec![sum]
    }
}

impl Cases for FoldSamples {
    fn cases() -> Vec<Case> {
        let case = |(shape, n)| Case {
            name: format!("{shape} to {n}"),
            op: Self { n }.into(),
            inputs: vec![CaseInput::dense(shape)],
        };
        [(Shape::new(4, 3, 5, 7), 2), (Shape::new(3, 2, 2, 4), 1)]
            .into_iter()
            .map(case)
            .collect()
    }
}

/// `y = factor * x`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scale {
    /// The factor.
    pub factor: Real,
}

impl Operation for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        Ok(vec![inputs[0]])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        Ok(vec![Some(graph.apply(self.clone(), &[at.grad()])?)])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        Dispatch::new("elementwise", "scale")
            .bind(&[Binding::Input(0), Binding::Output(0)])
            .items(site.output(0).vec4s())
            .real(self.factor.0)
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        vec![inputs[0].map(|x| x * f64::from(self.factor.0))]
    }
}

impl Cases for Scale {
    fn cases() -> Vec<Case> {
        vec![Case {
            name: "tenfold".into(),
            op: Self { factor: Real(10.0) }.into(),
            inputs: vec![CaseInput::dense(Shape::new(2, 3, 5, 7))],
        }]
    }
}
