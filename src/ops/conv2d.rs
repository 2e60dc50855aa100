//! Convolution with zero padding, and its two derivatives.
//!
//! One layout serves all three: `w[ky][kx][cin padded to 4][cout]`, so that a weight exists once on the device.
//! Which kernel runs with which tile is in `plan`. What follows a convolution pixel by pixel can ride in its epilogue;
//! models write the plain operations, and the planner's rewriting joins them.

mod plan;

use super::activation::{ActivationGrad, Kind};
use super::elementwise::FoldSamples;
use super::epilogue::Epilogue;
use super::*;
use crate::graph::Shape;
use crate::windows::output_size;
use crate::{Error, Result};
use plan::Direction;

/// `y[n, i, j, o] = b[o] + sum over ky, kx, c of x[n, stride i + ky - pad, stride j + kx - pad, c] w[ky, kx, c, o]`,
/// and then its epilogue.
///
/// Arguments: x, w and, where there are any, the bias, the residual and the divisor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Pixels from one window to the next.
    pub stride: usize,
    /// Zeros around the image.
    pub pad: usize,
    /// What happens to the sums.
    pub epilogue: Epilogue,
}

/// Everything about a convolution but its numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    /// Input of the forward convolution.
    pub x: Shape,
    /// Its output.
    pub y: Shape,
    /// Its weight.
    pub w: Shape,
    /// Pixels from one window to the next.
    pub stride: usize,
    /// Zeros around the image.
    pub pad: usize,
}

impl Geometry {
    /// Calls `f(output pixel, input pixel, tap)` with flat indices for every tap inside the image.
    fn for_taps(&self, mut f: impl FnMut(usize, usize, usize)) {
        let Self { x, y, w, .. } = *self;
        let source = |at: usize, tap: usize, size: usize| {
            (at * self.stride + tap)
                .checked_sub(self.pad)
                .filter(|&i| i < size)
        };
        for to in 0..y.rows() {
            let (n, i, j) = (to / (y.h * y.w), to / y.w % y.h, to % y.w);
            for tap in 0..w.n * w.h {
                let (row, column) = (source(i, tap / w.h, x.h), source(j, tap % w.h, x.w));
                if let (Some(row), Some(column)) = (row, column) {
                    f(to, (n * x.h + row) * x.w + column, tap);
                }
            }
        }
    }

    fn cost(&self, bytes: u64) -> Cost {
        let taps = self.w.n * self.w.h;
        Cost {
            macs: (self.y.len() * taps * self.x.c) as u64,
            adds: 0,
            bytes,
        }
    }
}

fn bytes_of(inputs: &[Ty], outputs: &[Ty]) -> u64 {
    inputs.iter().chain(outputs).map(Ty::bytes).sum()
}

impl Conv2d {
    /// A convolution and nothing more.
    pub const fn new(stride: usize, pad: usize) -> Self {
        Self {
            stride,
            pad,
            epilogue: Epilogue {
                divided: false,
                residual: false,
                activation: None,
            },
        }
    }

    fn has_bias(&self, inputs: usize) -> bool {
        inputs == 3 + self.epilogue.arguments()
    }

    fn output(&self, x: Shape, w: Shape) -> Shape {
        let size = |size, k| output_size(size, k, self.stride, self.pad);
        Shape::new(x.n, size(x.h, w.n), size(x.w, w.h), w.c)
    }

    fn geometry(&self, x: Shape, w: Shape) -> Geometry {
        Geometry {
            x,
            y: self.output(x, w),
            w,
            stride: self.stride,
            pad: self.pad,
        }
    }
}

impl Operation for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let (x, w) = (inputs[0].shape(), inputs[1].shape());
        let fits_channels = w.w == x.c.next_multiple_of(4);
        let fits_window = x.h + 2 * self.pad >= w.n && x.w + 2 * self.pad >= w.h;
        let has_bias = self.has_bias(inputs.len());
        let bias_fits = !has_bias || inputs[2].shape() == Shape::vector(w.c);
        let count = 2 + usize::from(has_bias) + self.epilogue.arguments();
        let fits = fits_channels && fits_window && bias_fits && self.stride > 0;
        if !fits || inputs.len() != count || !self.epilogue.fits(inputs, self.output(x, w)) {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("x {x} with weight {w}, {self:?}, bias {has_bias}"),
            });
        }
        Ok(vec![Ty::Dense(self.output(x, w))])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let (x, w) = (graph.shape(at.inputs[0]), graph.shape(at.inputs[1]));
        if self.epilogue.divided {
            return Err(no_grad(self.name()));
        }
        let (stride, pad) = (self.stride, self.pad);
        let dy = match self.epilogue.activation {
            Some(kind) => graph.apply(ActivationGrad { kind }, &[at.grad(), at.outputs[0]])?,
            None => at.grad(),
        };
        let input = Conv2dInputGrad {
            stride,
            pad,
            input: x,
            residual: false,
            divided: false,
        };
        let weight = Conv2dWeightGrad {
            stride,
            pad,
            kh: w.n,
            kw: w.h,
        };
        let mut grads = vec![None; at.inputs.len()];
        if at.wants[0] {
            grads[0] = Some(graph.apply(input, &[dy, at.inputs[1]])?);
        }
        if at.wants[1] {
            grads[1] = Some(graph.apply(weight, &[at.inputs[0], dy])?);
        }
        if self.has_bias(at.inputs.len()) && at.wants[2] {
            grads[2] = Some(graph.apply(reduce::SumRows {}, &[dy])?);
        }
        if let (true, Some(&residual)) = (self.epilogue.residual, at.inputs.last()) {
            let n = graph.shape(residual).n;
            grads[at.inputs.len() - 1] = Some(match graph.shape(dy).n == n {
                true => dy,
                false => graph.apply(FoldSamples { n }, &[dy])?,
            });
        }
        Ok(grads)
    }

    fn absorb(&self, result: Ty, next: &Op, argument: usize, other: Option<Ty>) -> Option<Op> {
        let epilogue = self.epilogue.then(next, argument, result, other)?;
        Some(Self { epilogue, ..*self }.into())
    }

    fn divide(&self, argument: usize) -> Option<Op> {
        let epilogue = Epilogue {
            divided: true,
            ..self.epilogue
        };
        let is_new = argument == 1 && !self.epilogue.divided;
        is_new.then_some(Self { epilogue, ..*self }.into())
    }

    fn lower(
        &self,
        graph: &mut Graph,
        inputs: &[ValueId],
        at: &Lowering,
    ) -> Result<Option<ValueId>> {
        winograd::forward(self, graph, inputs, at)
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let has_bias = self.has_bias(site.inputs.len());
        let residual4 = self.epilogue.residual4(site.inputs);
        let geometry = self.geometry(site.input(0), site.input(1));
        let (direction, family) = (Direction::Forward, site.family);
        let dispatch = geometry.through(direction, has_bias, self.epilogue, residual4, family);
        dispatch.into()
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let geometry = self.geometry(inputs[0].shape(), inputs[1].shape());
        let (cin, cout, rows) = (geometry.x.c, geometry.y.c, geometry.w.w);
        let mut y = Tensor::zeros(outputs[0].shape());
        geometry.for_taps(|to, from, tap| {
            let sum = &mut y.data_mut()[to * cout..][..cout];
            for (c, &x) in inputs[0].data()[from * cin..][..cin].iter().enumerate() {
                let w = &inputs[1].data()[(tap * rows + c) * cout..][..cout];
                sum.iter_mut().zip(w).for_each(|(sum, w)| *sum += x * w);
            }
        });
        let bias = self.has_bias(inputs.len()).then(|| inputs[2]);
        self.epilogue.reference(&mut y, bias, inputs);
        vec![y]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        self.geometry(inputs[0].shape(), inputs[1].shape())
            .cost(bytes_of(inputs, outputs))
    }
}

/// Gradient of [`Conv2d`] with respect to x, from dy and the weight, and what else is to be added to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv2dInputGrad {
    /// Pixels from one window to the next.
    pub stride: usize,
    /// Zeros around the image.
    pub pad: usize,
    /// Shape of x.
    pub input: Shape,
    /// Whether a third argument is added to the gradient.
    pub residual: bool,
    /// Whether the gradient is divided by the last argument, a scalar, before that; see [`Epilogue::divided`].
    pub divided: bool,
}

impl Conv2dInputGrad {
    pub(super) fn epilogue(&self) -> Epilogue {
        Epilogue {
            divided: self.divided,
            residual: self.residual,
            activation: None,
        }
    }

    fn geometry(&self, dy: Shape, w: Shape) -> Geometry {
        Geometry {
            x: self.input,
            y: dy,
            w,
            stride: self.stride,
            pad: self.pad,
        }
    }
}

impl Operation for Conv2dInputGrad {
    fn name(&self) -> &'static str {
        "conv2d_input_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let forward = Conv2d::new(self.stride, self.pad);
        let expected = forward.shape(&[Ty::Dense(self.input), inputs[1]])?;
        let epilogue = self.epilogue();
        let fits = inputs.len() == 2 + epilogue.arguments() && epilogue.fits(inputs, self.input);
        if expected[0] != inputs[0] || !fits {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("dy {} where {} is due", inputs[0], expected[0]),
            });
        }
        Ok(vec![Ty::Dense(self.input)])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn absorb(&self, result: Ty, next: &Op, argument: usize, other: Option<Ty>) -> Option<Op> {
        let epilogue = self.epilogue().then(next, argument, result, other)?;
        let joined = Self {
            residual: epilogue.residual,
            ..self.clone()
        };
        epilogue.activation.is_none().then_some(joined.into())
    }

    fn divide(&self, argument: usize) -> Option<Op> {
        let divided = Self {
            divided: true,
            ..self.clone()
        };
        (argument == 1 && !self.divided).then_some(divided.into())
    }

    fn lower(
        &self,
        graph: &mut Graph,
        inputs: &[ValueId],
        at: &Lowering,
    ) -> Result<Option<ValueId>> {
        winograd::input_grad(self, graph, inputs, at)
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let epilogue = self.epilogue();
        let residual4 = epilogue.residual4(site.inputs);
        let geometry = self.geometry(site.input(0), site.input(1));
        let (direction, family) = (Direction::InputGrad, site.family);
        let dispatch = geometry.through(direction, false, epilogue, residual4, family);
        dispatch.into()
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let geometry = self.geometry(inputs[0].shape(), inputs[1].shape());
        let (cin, cout, rows) = (geometry.x.c, geometry.y.c, geometry.w.w);
        let mut dx = Tensor::zeros(self.input);
        geometry.for_taps(|to, from, tap| {
            let dy = &inputs[0].data()[to * cout..][..cout];
            for (c, sum) in dx.data_mut()[from * cin..][..cin].iter_mut().enumerate() {
                let w = &inputs[1].data()[(tap * rows + c) * cout..][..cout];
                *sum += dy.iter().zip(w).map(|(d, w)| d * w).sum::<f64>();
            }
        });
        self.epilogue().reference(&mut dx, None, inputs);
        vec![dx]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        self.geometry(inputs[0].shape(), inputs[1].shape())
            .cost(bytes_of(inputs, outputs))
    }
}

/// Gradient of [`Conv2d`] with respect to the weight, from x and dy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv2dWeightGrad {
    /// Pixels from one window to the next.
    pub stride: usize,
    /// Zeros around the image.
    pub pad: usize,
    /// Kernel rows.
    pub kh: usize,
    /// Kernel columns.
    pub kw: usize,
}

impl Conv2dWeightGrad {
    fn geometry(&self, x: Shape, dy: Shape) -> Geometry {
        Geometry {
            x,
            y: dy,
            w: Shape::weight(self.kh, self.kw, x.c, dy.c),
            stride: self.stride,
            pad: self.pad,
        }
    }
}

impl Operation for Conv2dWeightGrad {
    fn name(&self) -> &'static str {
        "conv2d_weight_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let geometry = self.geometry(inputs[0].shape(), inputs[1].shape());
        let forward = Conv2d::new(self.stride, self.pad);
        let expected = forward.shape(&[inputs[0], Ty::Dense(geometry.w)])?;
        if expected[0] != inputs[1] {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("dy {} where {} is due", inputs[1], expected[0]),
            });
        }
        Ok(vec![Ty::Dense(geometry.w)])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn lower(
        &self,
        graph: &mut Graph,
        inputs: &[ValueId],
        at: &Lowering,
    ) -> Result<Option<ValueId>> {
        winograd::weight_grad(self, graph, inputs, at)
    }

    fn kernel(&self, site: &Site) -> Kernel {
        self.geometry(site.input(0), site.input(1))
            .weight_grad(site.family, site.workspace_bytes)
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let geometry = self.geometry(inputs[0].shape(), inputs[1].shape());
        let (cin, cout, rows) = (geometry.x.c, geometry.y.c, geometry.w.w);
        let mut dw = Tensor::zeros(outputs[0].shape());
        geometry.for_taps(|to, from, tap| {
            let dy = &inputs[1].data()[to * cout..][..cout];
            for (c, &x) in inputs[0].data()[from * cin..][..cin].iter().enumerate() {
                let sum = &mut dw.data_mut()[(tap * rows + c) * cout..][..cout];
                sum.iter_mut().zip(dy).for_each(|(sum, d)| *sum += x * d);
            }
        });
        vec![dw]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        self.geometry(inputs[0].shape(), inputs[1].shape())
            .cost(bytes_of(inputs, outputs))
    }
}

/// Input shape, kernel, stride, padding, output channels, whether there is a bias.
type TestGeometry = (Shape, [usize; 2], usize, usize, usize, bool);

const TEST_GEOMETRIES: [TestGeometry; 18] = [
    (Shape::new(2, 5, 7, 3), [3, 3], 1, 1, 8, true),
    (Shape::new(1, 4, 4, 184), [3, 3], 1, 1, 5, false),
    (Shape::new(2, 3, 6, 7), [1, 1], 1, 0, 9, false),
    (Shape::new(2, 9, 8, 5), [4, 4], 2, 2, 6, true),
    (Shape::new(1, 5, 6, 12), [4, 4], 1, 2, 1, true),
    (Shape::new(1, 8, 7, 4), [3, 3], 2, 1, 8, false),
    (Shape::new(1, 6, 5, 4), [5, 5], 1, 2, 4, true),
    (Shape::new(3, 1, 1, 6), [1, 1], 1, 0, 10, true),
    (Shape::new(2, 4, 4, 8), [4, 4], 1, 0, 6, true),
    (Shape::new(1, 17, 11, 20), [3, 3], 1, 1, 68, false),
    (Shape::new(1, 9, 13, 36), [3, 3], 1, 1, 3, true),
    (Shape::new(1, 10, 10, 1), [2, 2], 2, 0, 1, false),
    // More than one tile in every direction, blocks of 64 channels, partial sums.
    (Shape::new(2, 31, 29, 4), [3, 3], 1, 1, 68, false),
    (Shape::new(1, 9, 8, 64), [3, 3], 1, 1, 64, true),
    (Shape::new(3, 2, 2, 16), [3, 3], 1, 1, 40, true),
    (Shape::new(1, 7, 8, 3), [2, 3], 3, 0, 5, true),
    (Shape::new(1, 1, 1, 1), [3, 3], 1, 1, 1, false),
    // The largest tiles of the tiled family.
    (Shape::new(1, 65, 64, 18), [3, 3], 1, 1, 18, true),
];

fn test_cases(
    geometries: &[TestGeometry],
    make: impl Fn(TestGeometry, Shape) -> (Op, Vec<CaseInput>),
) -> Vec<Case> {
    let case = |geometry: TestGeometry| {
        let (x, [kh, kw], stride, pad, cout, _) = geometry;
        let y = Conv2d::new(stride, pad).output(x, Shape::weight(kh, kw, x.c, cout));
        let (op, inputs) = make(geometry, y);
        let name = format!("{x} to {cout}, {kh}x{kw} s{stride} p{pad}");
        Case { name, op, inputs }
    };
    geometries.iter().copied().map(case).collect()
}

fn divided_cases(
    geometries: &[TestGeometry],
    make: impl Fn(TestGeometry, Shape) -> (Op, Vec<CaseInput>),
) -> Vec<Case> {
    let mut cases = test_cases(geometries, make);
    cases
        .iter_mut()
        .for_each(|case| case.name.push_str(", divided"));
    cases
}

fn forward_case(
    (x, [kh, kw], stride, pad, cout, bias): TestGeometry,
    y: Shape,
    epilogue: Epilogue,
) -> (Op, Vec<CaseInput>) {
    let mut inputs = vec![CaseInput::dense(x), CaseInput::weight(kh, kw, x.c, cout)];
    if bias {
        inputs.push(CaseInput::dense(Shape::vector(cout)));
    }
    if epilogue.residual {
        // Fewer samples, where there are several, repeat.
        inputs.push(CaseInput::dense(y.with_n(1)));
    }
    if epilogue.divided {
        inputs.push(CaseInput::range(Shape::scalar(), 0.5, 2.0));
    }
    let conv = Conv2d {
        stride,
        pad,
        epilogue,
    };
    (conv.into(), inputs)
}

impl Cases for Conv2d {
    fn cases() -> Vec<Case> {
        let plain = |geometry, y| forward_case(geometry, y, Epilogue::default());
        let mut cases = test_cases(&TEST_GEOMETRIES, plain);
        let activations = [
            None,
            Some(Kind::Relu),
            Some(Kind::LeakyRelu),
            Some(Kind::Tanh),
        ];
        for (i, activation) in activations.into_iter().enumerate() {
            let joined = |geometry, y| {
                let residual = activation.is_none() || i % 2 == 1;
                let epilogue = Epilogue {
                    divided: false,
                    residual,
                    activation,
                };
                forward_case(geometry, y, epilogue)
            };
            cases.extend(test_cases(&TEST_GEOMETRIES[..5], joined));
        }
        for residual in [false, true] {
            let epilogue = Epilogue {
                divided: true,
                residual,
                activation: residual.then_some(Kind::LeakyRelu),
            };
            let divided = |geometry, y| forward_case(geometry, y, epilogue);
            cases.extend(divided_cases(&TEST_GEOMETRIES[..3], divided));
        }
        cases
    }
}

impl Cases for Conv2dInputGrad {
    fn cases() -> Vec<Case> {
        let case = |(input, [kh, kw], stride, pad, cout, residual): TestGeometry, y| {
            let mut inputs = vec![
                CaseInput::dense(y),
                CaseInput::weight(kh, kw, input.c, cout),
            ];
            if residual {
                inputs.push(CaseInput::dense(input));
            }
            let grad = Self {
                stride,
                pad,
                input,
                residual,
                divided: false,
            };
            (grad.into(), inputs)
        };
        let divided = |geometry, y| {
            let (grad, mut inputs): (Op, Vec<CaseInput>) = case(geometry, y);
            inputs.push(CaseInput::range(Shape::scalar(), 0.5, 2.0));
            (grad.divide(1).expect("a gradient may be divided"), inputs)
        };
        let mut cases = test_cases(&TEST_GEOMETRIES, case);
        cases.extend(divided_cases(&TEST_GEOMETRIES[..5], divided));
        cases
    }
}

impl Cases for Conv2dWeightGrad {
    fn cases() -> Vec<Case> {
        test_cases(&TEST_GEOMETRIES, |(x, [kh, kw], stride, pad, _, _), y| {
            let inputs = vec![CaseInput::dense(x), CaseInput::dense(y)];
            (
                Self {
                    stride,
                    pad,
                    kh,
                    kw,
                }
                .into(),
                inputs,
            )
        })
    }
}
