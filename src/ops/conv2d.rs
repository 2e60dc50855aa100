//! Convolution with zero padding, and its two derivatives.
//!
//! One layout serves all three: `w[ky][kx][cin padded to 4][cout]`, so that a weight exists once on the device.
//! Which kernel runs with which tile is in `plan`.

mod plan;

use super::*;
use crate::graph::Shape;
use crate::windows::output_size;
use crate::{Error, Result};
use plan::Direction;

/// `y[n, i, j, o] = b[o] + sum over ky, kx, c of x[n, stride i + ky - pad, stride j + kx - pad, c] w[ky, kx, c, o]`.
///
/// Arguments: x, w and, where there is one, the bias.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Pixels from one window to the next.
    pub stride: usize,
    /// Zeros around the image.
    pub pad: usize,
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
        let bias_fits = inputs.len() == 2 || inputs[2].shape() == Shape::vector(w.c);
        if !fits_channels || !fits_window || !bias_fits || self.stride == 0 {
            return Err(Error::Shape {
                op: self.name(),
                message: format!(
                    "x {x} with weight {w}, {self:?}, bias {}",
                    inputs.len() == 3
                ),
            });
        }
        Ok(vec![Ty::Dense(self.output(x, w))])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let (x, w) = (graph.shape(at.inputs[0]), graph.shape(at.inputs[1]));
        let (stride, pad, dy) = (self.stride, self.pad, at.grad());
        let input = Conv2dInputGrad {
            stride,
            pad,
            input: x,
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
        if at.wants.get(2) == Some(&true) {
            grads[2] = Some(graph.apply(reduce::SumRows {}, &[dy])?);
        }
        Ok(grads)
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let has_bias = site.inputs.len() == 3;
        self.geometry(site.input(0), site.input(1))
            .through(Direction::Forward, has_bias, site.family)
            .into()
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
        if let Some(bias) = inputs.get(2) {
            for row in y.data_mut().chunks_exact_mut(cout) {
                row.iter_mut()
                    .zip(bias.data())
                    .for_each(|(sum, b)| *sum += b);
            }
        }
        vec![y]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        self.geometry(inputs[0].shape(), inputs[1].shape())
            .cost(bytes_of(inputs, outputs))
    }
}

/// Gradient of [`Conv2d`] with respect to x, from dy and the weight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv2dInputGrad {
    /// Pixels from one window to the next.
    pub stride: usize,
    /// Zeros around the image.
    pub pad: usize,
    /// Shape of x.
    pub input: Shape,
}

impl Conv2dInputGrad {
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
        let forward = Conv2d {
            stride: self.stride,
            pad: self.pad,
        };
        let expected = forward.shape(&[Ty::Dense(self.input), inputs[1]])?;
        if expected[0] != inputs[0] {
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

    fn kernel(&self, site: &Site) -> Kernel {
        self.geometry(site.input(0), site.input(1))
            .through(Direction::InputGrad, false, site.family)
            .into()
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
        let forward = Conv2d {
            stride: self.stride,
            pad: self.pad,
        };
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

const TEST_GEOMETRIES: [TestGeometry; 17] = [
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
];

fn test_cases(make: impl Fn(TestGeometry, Shape) -> (Op, Vec<CaseInput>)) -> Vec<Case> {
    let case = |geometry: TestGeometry| {
        let (x, [kh, kw], stride, pad, cout, _) = geometry;
        let y = Conv2d { stride, pad }.output(x, Shape::weight(kh, kw, x.c, cout));
        let (op, inputs) = make(geometry, y);
        let name = format!("{x} to {cout}, {kh}x{kw} s{stride} p{pad}");
        Case { name, op, inputs }
    };
    TEST_GEOMETRIES.into_iter().map(case).collect()
}

impl Cases for Conv2d {
    fn cases() -> Vec<Case> {
        test_cases(|(x, [kh, kw], stride, pad, cout, bias), _| {
            let mut inputs = vec![CaseInput::dense(x), CaseInput::weight(kh, kw, x.c, cout)];
            if bias {
                inputs.push(CaseInput::dense(Shape::vector(cout)));
            }
            (Self { stride, pad }.into(), inputs)
        })
    }
}

impl Cases for Conv2dInputGrad {
    fn cases() -> Vec<Case> {
        test_cases(|(input, [kh, kw], stride, pad, cout, _), y| {
            let inputs = vec![
                CaseInput::dense(y),
                CaseInput::weight(kh, kw, input.c, cout),
            ];
            (Self { stride, pad, input }.into(), inputs)
        })
    }
}

impl Cases for Conv2dWeightGrad {
    fn cases() -> Vec<Case> {
        test_cases(|(x, [kh, kw], stride, pad, _, _), y| {
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
