//! Resizing maps.

mod pool;

use super::*;
use crate::graph::Shape;
use crate::{Error, Result};
pub use pool::{AvgPool3, AvgPool3Grad, MaxPool2, MaxPool2Grad};

/// A dispatch over the pixels of `y`, made from the pixels of `x`.
fn over(shader: &'static str, entry: &'static str, x: Shape, y: Shape) -> Dispatch {
    Dispatch::new(shader, entry)
        .items(y.vec4s())
        .param(y.c4())
        .param(y.h)
        .param(y.w)
        .param(x.h)
        .param(x.w)
}

/// A kernel of one dispatch from the only argument to the only result.
fn map(entry: &'static str, site: &Site) -> Kernel {
    over("resample", entry, site.input(0), site.output(0))
        .bind(&[Binding::Input(0), Binding::Output(0)])
        .into()
}

fn resized(op: &'static str, x: Shape, h: usize, w: usize) -> Result<Vec<Ty>> {
    if x.is_empty() || h == 0 || w == 0 {
        return Err(Error::Shape {
            op,
            message: format!("{x} cannot become {h}x{w} pixels"),
        });
    }
    Ok(vec![Ty::Dense(Shape { h, w, ..x })])
}

/// A case with one argument.
fn case(op: impl Into<Op>, x: Shape) -> Case {
    Case {
        name: format!("{x}"),
        op: op.into(),
        inputs: vec![CaseInput::dense(x)],
    }
}

/// A cost of one addition for each element of `ty`.
fn adds_of(ty: &Ty, inputs: &[Ty], outputs: &[Ty]) -> Cost {
    Cost {
        macs: 0,
        adds: ty.shape().len() as u64,
        bytes: inputs.iter().chain(outputs).map(Ty::bytes).sum(),
    }
}

/// Nearest upsampling by two: `y[h, w] = x[h / 2, w / 2]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Upsample2 {}

impl Operation for Upsample2 {
    fn name(&self) -> &'static str {
        "upsample2"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let x = inputs[0].shape();
        resized(self.name(), x, 2 * x.h, 2 * x.w)
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        Ok(vec![Some(graph.apply(Downsum2 {}, &[at.grad()])?)])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let (x, y) = (site.input(0), site.output(0));
        over("resample", "upsample2", y, x)
            .bind(&[Binding::Input(0), Binding::Output(0)])
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let y = outputs[0].shape();
        vec![Tensor::from_fn(y, |n, h, w, c| {
            inputs[0].at(n, h / 2, w / 2, c)
        })]
    }
}

impl Cases for Upsample2 {
    fn cases() -> Vec<Case> {
        let shapes = [
            Shape::new(2, 3, 5, 7),
            Shape::new(1, 1, 1, 1),
            Shape::new(1, 2, 3, 184),
        ];
        shapes.into_iter().map(|x| case(Self {}, x)).collect()
    }
}

/// Sum of each 2 x 2 pixels: the derivative of [`Upsample2`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Downsum2 {}

impl Operation for Downsum2 {
    fn name(&self) -> &'static str {
        "downsum2"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let x = inputs[0].shape();
        if !x.h.is_multiple_of(2) || !x.w.is_multiple_of(2) {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("{x} has an odd side"),
            });
        }
        resized(self.name(), x, x.h / 2, x.w / 2)
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        Ok(vec![Some(graph.apply(Upsample2 {}, &[at.grad()])?)])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        map("downsum2", site)
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        vec![Tensor::from_fn(outputs[0].shape(), |n, h, w, c| {
            let at = |k: usize| inputs[0].at(n, 2 * h + k / 2, 2 * w + k % 2, c);
            (0..4).map(at).sum()
        })]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        adds_of(&inputs[0], inputs, outputs)
    }
}

impl Cases for Downsum2 {
    fn cases() -> Vec<Case> {
        let shapes = [
            Shape::new(2, 6, 10, 7),
            Shape::new(1, 2, 2, 1),
            Shape::new(1, 4, 6, 184),
        ];
        shapes.into_iter().map(|x| case(Self {}, x)).collect()
    }
}

/// The pixel that nearest resizing reads: `floor(place * in_size / out_size)`, without half-pixel shift.
const fn nearest_source(place: usize, in_size: usize, out_size: usize) -> usize {
    place * in_size / out_size
}

/// Nearest resizing by the rule of SPADE's layout: `y[h, w] = x[floor(h in_h / out_h), floor(w in_w / out_w)]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NearestResize {
    /// Height of the result.
    pub h: usize,
    /// Width of the result.
    pub w: usize,
}

impl Operation for NearestResize {
    fn name(&self) -> &'static str {
        "nearest_resize"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        resized(self.name(), inputs[0].shape(), self.h, self.w)
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let Shape { h, w, .. } = graph.shape(at.inputs[0]);
        let dx = graph.apply(NearestResizeGrad { h, w }, &[at.grad()])?;
        Ok(vec![Some(dx)])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        map("nearest", site)
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let x = inputs[0].shape();
        vec![Tensor::from_fn(outputs[0].shape(), |n, h, w, c| {
            let source_h = nearest_source(h, x.h, self.h);
            inputs[0].at(n, source_h, nearest_source(w, x.w, self.w), c)
        })]
    }
}

impl Cases for NearestResize {
    fn cases() -> Vec<Case> {
        vec![
            case(Self { h: 3, w: 2 }, Shape::new(2, 7, 5, 7)),
            case(Self { h: 7, w: 9 }, Shape::new(1, 5, 6, 184)),
            case(Self { h: 5, w: 3 }, Shape::new(1, 2, 8, 1)),
            case(Self { h: 1, w: 1 }, Shape::new(2, 3, 3, 4)),
        ]
    }
}

/// Derivative of [`NearestResize`]: every pixel of a map of `h x w` sums the pixels of dy that read it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NearestResizeGrad {
    /// Height of the result.
    pub h: usize,
    /// Width of the result.
    pub w: usize,
}

impl Operation for NearestResizeGrad {
    fn name(&self) -> &'static str {
        "nearest_resize_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        resized(self.name(), inputs[0].shape(), self.h, self.w)
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let Shape { h, w, .. } = graph.shape(at.inputs[0]);
        Ok(vec![Some(
            graph.apply(NearestResize { h, w }, &[at.grad()])?,
        )])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        map("nearest_grad", site)
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let (dy, mut dx) = (inputs[0], Tensor::zeros(outputs[0].shape()));
        let Shape { n, h, w, c } = dy.shape();
        for (i, value) in dy.data().iter().enumerate() {
            let [at_c, at_w, at_h, at_n] = [i % c, i / c % w, i / c / w % h, i / c / w / h % n];
            let source_h = nearest_source(at_h, self.h, h);
            *dx.at_mut(at_n, source_h, nearest_source(at_w, self.w, w), at_c) += value;
        }
        vec![dx]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        adds_of(&inputs[0], inputs, outputs)
    }
}

impl Cases for NearestResizeGrad {
    fn cases() -> Vec<Case> {
        vec![
            case(Self { h: 7, w: 5 }, Shape::new(2, 3, 2, 7)),
            case(Self { h: 5, w: 6 }, Shape::new(1, 7, 9, 184)),
            case(Self { h: 2, w: 8 }, Shape::new(1, 5, 3, 1)),
            case(Self { h: 3, w: 3 }, Shape::new(2, 1, 1, 4)),
        ]
    }
}

/// Bilinear resizing with pixel centres at halves, without antialiasing: how the encoder takes in a picture.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bilinear {
    /// Height of the result.
    pub h: usize,
    /// Width of the result.
    pub w: usize,
}

/// Both pixels that a place reads, and the share of the second.
fn bilinear_tap(place: usize, in_size: usize, out_size: usize) -> (usize, usize, f64) {
    let scale = in_size as f64 / out_size as f64;
    let position = ((place as f64 + 0.5) * scale - 0.5).max(0.0);
    let low = (position as usize).min(in_size - 1);
    (low, (low + 1).min(in_size - 1), position - low as f64)
}

impl Operation for Bilinear {
    fn name(&self) -> &'static str {
        "bilinear"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        resized(self.name(), inputs[0].shape(), self.h, self.w)
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        map("bilinear", site)
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let x = inputs[0].shape();
        vec![Tensor::from_fn(outputs[0].shape(), |n, h, w, c| {
            let (top, bottom, down) = bilinear_tap(h, x.h, self.h);
            let (left, right, across) = bilinear_tap(w, x.w, self.w);
            let row = |h| {
                let (a, b) = (inputs[0].at(n, h, left, c), inputs[0].at(n, h, right, c));
                a + (b - a) * across
            };
            row(top) + (row(bottom) - row(top)) * down
        })]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        Cost {
            macs: 4 * outputs[0].shape().len() as u64,
            adds: 0,
            bytes: inputs[0].bytes() + outputs[0].bytes(),
        }
    }
}

impl Cases for Bilinear {
    fn cases() -> Vec<Case> {
        vec![
            case(Self { h: 8, w: 11 }, Shape::new(2, 5, 4, 3)),
            case(Self { h: 3, w: 9 }, Shape::new(1, 7, 5, 7)),
            case(Self { h: 4, w: 4 }, Shape::new(1, 1, 1, 184)),
        ]
    }
}
