//! Pooling: averages between the scales of the discriminator, maxima in the perceptual network.

use super::*;

/// Mean over 3 x 3, stride 2, padding 1, of the pixels inside the image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AvgPool3 {}

/// Pixels of a window that lie inside.
fn inside(window: usize, size: usize) -> std::ops::Range<usize> {
    (2 * window).max(1) - 1..(2 * window + 2).min(size)
}

impl Operation for AvgPool3 {
    fn name(&self) -> &'static str {
        "avg_pool3"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let x = inputs[0].shape();
        resized(self.name(), x, x.h.div_ceil(2), x.w.div_ceil(2))
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let Shape { h, w, .. } = graph.shape(at.inputs[0]);
        Ok(vec![Some(
            graph.apply(AvgPool3Grad { h, w }, &[at.grad()])?,
        )])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        over("pool", "average", site.input(0), site.output(0))
            .bind(&[Binding::Input(0), Binding::Output(0)])
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let x = inputs[0].shape();
        vec![Tensor::from_fn(outputs[0].shape(), |n, h, w, c| {
            let (rows, columns) = (inside(h, x.h), inside(w, x.w));
            let count = (rows.len() * columns.len()) as f64;
            let row_sum = |h| {
                columns
                    .clone()
                    .map(|w| inputs[0].at(n, h, w, c))
                    .sum::<f64>()
            };
            rows.map(row_sum).sum::<f64>() / count
        })]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        Cost {
            macs: 0,
            adds: 9 * outputs[0].shape().len() as u64,
            bytes: inputs[0].bytes() + outputs[0].bytes(),
        }
    }
}

impl Cases for AvgPool3 {
    fn cases() -> Vec<Case> {
        let shapes = [
            Shape::new(2, 8, 5, 3),
            Shape::new(1, 7, 4, 7),
            Shape::new(1, 3, 2, 184),
            Shape::new(2, 1, 1, 4),
        ];
        shapes.into_iter().map(|x| case(Self {}, x)).collect()
    }
}

/// Derivative of [`AvgPool3`] from a map of `h x w` pixels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AvgPool3Grad {
    /// Height of the result.
    pub h: usize,
    /// Width of the result.
    pub w: usize,
}

impl Operation for AvgPool3Grad {
    fn name(&self) -> &'static str {
        "avg_pool3_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let dy = inputs[0].shape();
        if [dy.h, dy.w] != [self.h.div_ceil(2), self.w.div_ceil(2)] {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("{dy} is not half of {}x{} pixels", self.h, self.w),
            });
        }
        resized(self.name(), dy, self.h, self.w)
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        Ok(vec![Some(graph.apply(AvgPool3 {}, &[at.grad()])?)])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        over("pool", "average_grad", site.input(0), site.output(0))
            .bind(&[Binding::Input(0), Binding::Output(0)])
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let (dy, mut dx) = (inputs[0], Tensor::zeros(outputs[0].shape()));
        let Shape { n, h, w, c } = dy.shape();
        for (i, value) in dy.data().iter().enumerate() {
            let [at_c, at_w, at_h, at_n] = [i % c, i / c % w, i / c / w % h, i / c / w / h % n];
            let (rows, columns) = (inside(at_h, self.h), inside(at_w, self.w));
            let share = value / (rows.len() * columns.len()) as f64;
            for row in rows {
                for column in columns.clone() {
                    *dx.at_mut(at_n, row, column, at_c) += share;
                }
            }
        }
        vec![dx]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        Cost {
            macs: 9 * inputs[0].shape().len() as u64,
            adds: 0,
            bytes: inputs[0].bytes() + outputs[0].bytes(),
        }
    }
}

impl Cases for AvgPool3Grad {
    fn cases() -> Vec<Case> {
        vec![
            case(Self { h: 8, w: 5 }, Shape::new(2, 4, 3, 3)),
            case(Self { h: 7, w: 4 }, Shape::new(1, 4, 2, 7)),
            case(Self { h: 3, w: 2 }, Shape::new(1, 2, 1, 184)),
            case(Self { h: 1, w: 1 }, Shape::new(2, 1, 1, 4)),
        ]
    }
}

/// Maximum of each 2 x 2 pixels; an odd last row or column is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MaxPool2 {}

/// The four pixels of a window, in the order that decides ties.
fn window(x: &Tensor, [n, h, w, c]: [usize; 4]) -> [f64; 4] {
    [0, 1, 2, 3].map(|k| x.at(n, 2 * h + k / 2, 2 * w + k % 2, c))
}

impl Operation for MaxPool2 {
    fn name(&self) -> &'static str {
        "max_pool2"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let x = inputs[0].shape();
        resized(self.name(), x, x.h / 2, x.w / 2)
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let arguments = [at.grad(), at.inputs[0], at.outputs[0]];
        Ok(vec![Some(graph.apply(MaxPool2Grad {}, &arguments)?)])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        over("pool", "largest", site.input(0), site.output(0))
            .bind(&[Binding::Input(0), Binding::Output(0)])
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        vec![Tensor::from_fn(outputs[0].shape(), |n, h, w, c| {
            let values = window(inputs[0], [n, h, w, c]);
            values.into_iter().fold(f64::NEG_INFINITY, f64::max)
        })]
    }
}

fn max_pool_shapes() -> [Shape; 4] {
    [
        Shape::new(2, 4, 6, 7),
        Shape::new(1, 5, 7, 3),
        Shape::new(1, 3, 2, 184),
        Shape::new(1, 2, 2, 1),
    ]
}

impl Cases for MaxPool2 {
    fn cases() -> Vec<Case> {
        let shapes = max_pool_shapes().into_iter();
        shapes.map(|x| case(Self {}, x)).collect()
    }
}

/// Derivative of [`MaxPool2`]: dy goes to the first of the pixels that are the maximum. Arguments: dy, x, y.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MaxPool2Grad {}

impl Operation for MaxPool2Grad {
    fn name(&self) -> &'static str {
        "max_pool2_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let [dy, x, y] = [0, 1, 2].map(|i| inputs[i].shape());
        let half = Shape {
            h: x.h / 2,
            w: x.w / 2,
            ..x
        };
        if [dy, y] != [half; 2] {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("dy {dy} and y {y} of x {x}"),
            });
        }
        Ok(vec![inputs[1]])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output};
        over("pool", "largest_grad", site.input(0), site.output(0))
            .bind(&[Input(0), Input(1), Input(2), Output(0)])
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let [dy, x, y] = [0, 1, 2].map(|i| inputs[i]);
        let shape = y.shape();
        vec![Tensor::from_fn(x.shape(), |n, h, w, c| {
            let place = [n, h / 2, w / 2, c];
            if place[1] >= shape.h || place[2] >= shape.w {
                return 0.0;
            }
            let largest = y.at(n, place[1], place[2], c);
            let values = window(x, place);
            let first = values.iter().position(|&v| v == largest);
            if first == Some(h % 2 * 2 + w % 2) {
                dy.at(n, place[1], place[2], c)
            } else {
                0.0
            }
        })]
    }
}

impl Cases for MaxPool2Grad {
    fn cases() -> Vec<Case> {
        // Small whole numbers, so that most windows have more than one maximum.
        let case = |shape: Shape| {
            let x = Tensor::from_fn(shape, |n, h, w, c| {
                ((n * 7 + h * 5 + w * 3 + c) % 4 / 2) as f64
            });
            let half = Shape {
                h: shape.h / 2,
                w: shape.w / 2,
                ..shape
            };
            let y = MaxPool2 {}.reference(&[&x], &[Ty::Dense(half)]).remove(0);
            Case {
                name: format!("{shape}"),
                op: Self {}.into(),
                inputs: vec![
                    CaseInput::dense(half),
                    CaseInput::Values(x),
                    CaseInput::Values(y),
                ],
            }
        };
        max_pool_shapes().into_iter().map(case).collect()
    }
}
