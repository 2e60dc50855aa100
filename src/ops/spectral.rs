//! Spectral normalisation: filters divided by their largest singular value, tracked by power iteration.
//!
//! Filters are the matrix `M` of output channels by taps and input channels. On the device they lie transposed, one
//! row of output channels for each tap and input channel (`w`, with rows of zeros where input channels are padded),
//! so the vector `v` has the very order of the rows. `unit(x) = x / max(|x|, 1e-12)`.

use super::*;
use crate::graph::Shape;
use crate::{Error, Result};

/// Rows that one invocation of a column product adds up; the shader fixes it.
const CHUNK_ROWS: usize = 32;
/// Rows of a workgroup of a row product; the shader fixes it.
const WORKGROUP_ROWS: usize = 8;
/// Columns, in groups of four, of a workgroup that adds up chunks; the shader fixes it.
const WORKGROUP_COLUMNS: usize = 8;

/// Filters seen as a matrix.
#[derive(Clone, Copy)]
struct Matrix {
    w: Shape,
    cin: usize,
}

impl Matrix {
    /// Shape of `v`: one number for each tap and true input channel.
    fn v(&self) -> Shape {
        Shape::new(self.w.n, self.w.h, 1, self.cin)
    }

    fn chunks(&self) -> usize {
        self.w.rows().div_ceil(CHUNK_ROWS)
    }

    /// A dispatch of `items` invocations.
    fn dispatch(&self, entry: &'static str, items: usize) -> Dispatch {
        Dispatch::new("spectral", entry)
            .items(items)
            .param(self.w.rows())
            .param(self.w.c4())
            .param(self.w.c)
            .param(self.cin.div_ceil(4))
            .param(self.cin)
            .param(self.chunks())
    }

    /// `to = Mt u`.
    fn rows(&self, w: Binding, u: Binding, to: Binding) -> Dispatch {
        self.dispatch("rows", self.w.rows())
            .workgroups(self.w.rows().div_ceil(WORKGROUP_ROWS))
            .bind(&[w, u, to])
    }

    /// `to = M v` in two phases.
    fn columns(&self, w: Binding, v: Binding, partial: Binding, to: Binding) -> [Dispatch; 2] {
        let items = self.chunks() * self.w.c4();
        [
            self.dispatch("columns", items).bind(&[w, v, partial]),
            self.dispatch("columns_total", self.w.c4())
                .workgroups(self.w.c4().div_ceil(WORKGROUP_COLUMNS))
                .bind(&[partial, to]),
        ]
    }

    fn unit(&self, shape: Shape, x: Binding, to: Binding) -> Dispatch {
        self.dispatch("unit", shape.vec4s())
            .workgroups(1)
            .bind(&[x, to])
    }

    /// `to = a b`, both of one shape.
    fn product(&self, shape: Shape, a: Binding, b: Binding, to: Binding) -> Dispatch {
        self.dispatch("product", shape.vec4s())
            .workgroups(1)
            .bind(&[a, b, to])
    }

    /// `Mt u` in `f64`, true input channels only.
    fn rows_reference(&self, w: &Tensor, u: &Tensor) -> Tensor {
        Tensor::from_fn(self.v(), |kh, kw, _, ci| {
            (0..self.w.c)
                .map(|co| w.at(kh, kw, ci, co) * u.at(0, 0, 0, co))
                .sum()
        })
    }

    /// `M v` in `f64`, true input channels only.
    fn columns_reference(&self, w: &Tensor, v: &Tensor) -> Tensor {
        let mut product = Tensor::zeros(Shape::vector(self.w.c));
        for kh in 0..self.w.n {
            for kw in 0..self.w.h {
                for ci in 0..self.cin {
                    let factor = v.at(kh, kw, 0, ci);
                    for co in 0..self.w.c {
                        *product.at_mut(0, 0, 0, co) += factor * w.at(kh, kw, ci, co);
                    }
                }
            }
        }
        product
    }

    /// Arithmetic of `passes` over the filters.
    fn cost(&self, passes: usize, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        let others = inputs[1..].iter().chain(outputs).map(Ty::bytes);
        Cost {
            macs: (passes * self.w.len()) as u64,
            bytes: passes as u64 * inputs[0].bytes() + others.sum::<u64>(),
            ..Cost::default()
        }
    }
}

fn unit(x: &Tensor) -> Tensor {
    let norm = x.data().iter().map(|x| x * x).sum::<f64>().sqrt();
    x.map(|x| x / norm.max(1e-12))
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    a.data().iter().zip(b.data()).map(|(a, b)| a * b).sum()
}

fn scalar(value: f64) -> Tensor {
    Tensor::dense(Shape::scalar(), vec![value])
}

fn check(op: &'static str, matrix: Matrix, u: Shape, v: Option<Shape>) -> Result<()> {
    let Matrix { w, cin } = matrix;
    let fits = cin.next_multiple_of(4) == w.w && cin > 0;
    if fits && u == Shape::vector(w.c) && v.is_none_or(|v| v == matrix.v()) {
        return Ok(());
    }
    let v = v.map_or(String::new(), |v| format!(", v {v}"));
    Err(Error::Shape {
        op,
        message: format!("filters {w} of {cin} input channels do not go with u {u}{v}"),
    })
}

/// `v' = unit(Mt u)`, `u' = unit(M v')` of filters `w` and a vector `u`: one power iteration, and the singular value
/// `sigma = u't M v'` that it finds. Results `(u', v', sigma)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PowerIteration {
    /// True input channels of the filters, which their padded shape does not tell.
    pub cin: usize,
}

impl PowerIteration {
    fn matrix(&self, w: Ty) -> Matrix {
        Matrix {
            w: w.shape(),
            cin: self.cin,
        }
    }
}

impl Operation for PowerIteration {
    fn name(&self) -> &'static str {
        "power_iteration"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let matrix = self.matrix(inputs[0]);
        check(self.name(), matrix, inputs[1].shape(), None)?;
        let sigma = Ty::Dense(Shape::scalar());
        Ok(vec![inputs[1], Ty::Dense(matrix.v()), sigma])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let matrix = self.matrix(site.inputs[0]);
        let [w, u] = [Binding::Input(0), Binding::Input(1)];
        let [next_u, next_v, sigma] = [0, 1, 2].map(Binding::Output);
        let [raw_v, partial, raw_u] = [0, 1, 2].map(Binding::Scratch);
        let [columns, columns_total] = matrix.columns(w, next_v, partial, raw_u);
        let column_words = 4 * matrix.w.c4();
        Kernel {
            scratch: vec![
                matrix.w.rows(),
                matrix.chunks() * column_words,
                column_words,
            ],
            dispatches: vec![
                matrix.rows(w, u, raw_v),
                matrix.unit(site.output(1), raw_v, next_v),
                columns,
                columns_total,
                matrix.unit(site.output(0), raw_u, next_u),
                matrix.product(site.output(0), raw_u, next_u, sigma),
            ],
        }
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let matrix = self.matrix(Ty::Dense(inputs[0].shape()));
        let v = unit(&matrix.rows_reference(inputs[0], inputs[1]));
        let raw_u = matrix.columns_reference(inputs[0], &v);
        let u = unit(&raw_u);
        let sigma = scalar(dot(&raw_u, &u));
        vec![u, v, sigma]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        self.matrix(inputs[0]).cost(2, inputs, outputs)
    }

    fn masks_padding(&self) -> bool {
        true
    }

    fn differentiable_outputs(&self, _: usize) -> Vec<usize> {
        Vec::new()
    }
}

/// Odd, few and many channels; taps from one to sixteen; more rows than a chunk, more columns than a workgroup.
const FILTERS: [[usize; 4]; 7] = [
    [3, 3, 3, 5],
    [1, 1, 1, 1],
    [4, 4, 7, 4],
    [1, 1, 184, 3],
    [3, 3, 5, 184],
    [3, 3, 12, 40],
    [1, 3, 4, 268],
];

impl Cases for PowerIteration {
    fn cases() -> Vec<Case> {
        let case = |[kh, kw, cin, cout]: [usize; 4]| Case {
            name: format!("{kh}x{kw} filters {cin} to {cout}"),
            op: Self { cin }.into(),
            inputs: vec![
                CaseInput::dense(Shape::weight(kh, kw, cin, cout)),
                CaseInput::dense(Shape::vector(cout)),
            ],
        };
        let zero = Case {
            name: "zero filters".into(),
            op: Self { cin: 5 }.into(),
            inputs: vec![
                CaseInput::Values(Tensor::zeros(Shape::weight(3, 3, 5, 6))),
                CaseInput::dense(Shape::vector(6)),
            ],
        };
        FILTERS.into_iter().map(case).chain([zero]).collect()
    }
}

/// `sigma = ut M v` of filters `w`; `u` and `v` are constants. It has no derivative of its own: [`SpectralScale`], which
/// divides by it, has it in its.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sigma {}

impl Sigma {
    /// What computes it into `sigma`, with `raw_v` for `Mt u`.
    fn dispatches(inputs: &[Ty], raw_v: Binding, sigma: Binding) -> [Dispatch; 2] {
        let matrix = matrix(inputs[0], inputs[2]);
        let [w, u, v] = [0, 1, 2].map(Binding::Input);
        [
            matrix.rows(w, u, raw_v),
            matrix.product(inputs[2].shape(), raw_v, v, sigma),
        ]
    }
}

impl Operation for Sigma {
    fn name(&self) -> &'static str {
        "sigma"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let (u, v) = (inputs[1].shape(), inputs[2].shape());
        check(self.name(), matrix(inputs[0], inputs[2]), u, Some(v))?;
        Ok(vec![Ty::Dense(Shape::scalar())])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    /// A power iteration that found the vectors found the value as well.
    fn known(&self, graph: &Graph, inputs: &[ValueId]) -> Option<ValueId> {
        let [w, u, v] = *inputs else {
            return None;
        };
        let mut nodes = graph.nodes().iter();
        let iteration = nodes.find(|node| node.outputs.starts_with(&[u, v]))?;
        let finds = matches!(iteration.op, Op::PowerIteration(_)) && iteration.inputs[0] == w;
        finds.then(|| iteration.outputs[2])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let (raw_v, sigma) = (Binding::Scratch(0), Binding::Output(0));
        Kernel {
            scratch: vec![site.input(0).rows()],
            dispatches: Self::dispatches(site.inputs, raw_v, sigma).into(),
        }
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let [w, u, v] = [inputs[0], inputs[1], inputs[2]];
        let matrix = matrix(Ty::Dense(w.shape()), Ty::Dense(v.shape()));
        vec![scalar(dot(&matrix.rows_reference(w, u), v))]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        matrix(inputs[0], inputs[2]).cost(1, inputs, outputs)
    }

    fn masks_padding(&self) -> bool {
        true
    }

    fn differentiable_outputs(&self, _: usize) -> Vec<usize> {
        Vec::new()
    }
}

impl Cases for Sigma {
    fn cases() -> Vec<Case> {
        FILTERS.into_iter().map(scale_case(Self {})).collect()
    }
}

/// Positive numbers: a sigma of random signs would be all cancellation, as no singular value is.
fn scale_case(op: impl Into<Op>) -> impl Fn([usize; 4]) -> Case {
    let op = op.into();
    move |[kh, kw, cin, cout]| Case {
        name: format!("{kh}x{kw} filters {cin} to {cout}"),
        op: op.clone(),
        inputs: vec![
            CaseInput::range(Shape::weight(kh, kw, cin, cout), -0.2, 1.0),
            CaseInput::range(Shape::vector(cout), 0.1, 1.0),
            CaseInput::range(Shape::new(kh, kw, 1, cin), 0.1, 1.0),
        ],
    }
}

/// `(w / sigma, sigma)` with `sigma = ut M v`; `u` and `v` are constants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SpectralScale {}

fn matrix(w: Ty, v: Ty) -> Matrix {
    Matrix {
        w: w.shape(),
        cin: v.shape().c,
    }
}

impl Operation for SpectralScale {
    fn name(&self) -> &'static str {
        "spectral_scale"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let (u, v) = (inputs[1].shape(), inputs[2].shape());
        check(self.name(), matrix(inputs[0], inputs[2]), u, Some(v))?;
        Ok(vec![inputs[0], Ty::Dense(Shape::scalar())])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let arguments = [
            at.grad(),
            at.inputs[0],
            at.inputs[1],
            at.inputs[2],
            at.outputs[1],
        ];
        let dw = graph.apply(SpectralScaleGrad {}, &arguments)?;
        Ok(vec![Some(dw), None, None])
    }

    fn divisor(&self) -> Option<Op> {
        Some(Sigma {}.into())
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let matrix = matrix(site.inputs[0], site.inputs[2]);
        let [scaled, sigma] = [Binding::Output(0), Binding::Output(1)];
        let [rows, product] = Sigma::dispatches(site.inputs, Binding::Scratch(0), sigma);
        let scale =
            matrix
                .dispatch("scale", matrix.w.vec4s())
                .bind(&[Binding::Input(0), sigma, scaled]);
        Kernel {
            scratch: vec![matrix.w.rows()],
            dispatches: vec![rows, product, scale],
        }
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let sigma = Sigma {}.reference(inputs, &[]).remove(0);
        vec![inputs[0].map(|w| w / sigma.data()[0]), sigma]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        matrix(inputs[0], inputs[2]).cost(2, inputs, outputs)
    }

    fn masks_padding(&self) -> bool {
        true
    }

    fn differentiable_outputs(&self, _: usize) -> Vec<usize> {
        vec![0]
    }
}

impl Cases for SpectralScale {
    fn cases() -> Vec<Case> {
        FILTERS.into_iter().map(scale_case(Self {})).collect()
    }
}

/// `(dw - <dw, w> / sigma u vt) / sigma`: the derivative of [`SpectralScale`] from `(dw, w, u, v, sigma)`, where `dw` is
/// that of the divided filters and `w` are the filters before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SpectralScaleGrad {}

impl Operation for SpectralScaleGrad {
    fn name(&self) -> &'static str {
        "spectral_scale_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let (u, v) = (inputs[2].shape(), inputs[3].shape());
        check(self.name(), matrix(inputs[0], inputs[3]), u, Some(v))?;
        Ok(vec![inputs[0]])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let matrix = matrix(site.inputs[0], site.inputs[3]);
        let [dw, w, u, v, sigma] = [0, 1, 2, 3, 4].map(Binding::Input);
        let [partial, inner] = [Binding::Scratch(0), Binding::Scratch(1)];
        let vec4s = matrix.w.vec4s();
        Kernel {
            scratch: vec![tree::scratch(vec4s), 4],
            dispatches: vec![
                matrix
                    .dispatch("inner", vec4s)
                    .workgroups(tree::workgroups(vec4s))
                    .bind(&[dw, w, partial]),
                tree::total(vec4s, 1.0, partial, inner),
                matrix.dispatch("scale_grad", vec4s / 4).bind(&[
                    dw,
                    u,
                    v,
                    sigma,
                    inner,
                    Binding::Output(0),
                ]),
            ],
        }
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let [dw, w, u, v, sigma] = inputs else {
            unreachable!("the shape rule takes five arguments")
        };
        let inner = dot(dw, w) / sigma.data()[0];
        let cin = v.shape().c;
        let outer = |kh, kw, ci, co| match ci < cin {
            true => u.at(0, 0, 0, co) * v.at(kh, kw, 0, ci),
            false => 0.0,
        };
        vec![Tensor::from_fn(dw.shape(), |kh, kw, ci, co| {
            (dw.at(kh, kw, ci, co) - inner * outer(kh, kw, ci, co)) / sigma.data()[0]
        })]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        matrix(inputs[0], inputs[3]).cost(2, inputs, outputs)
    }

    fn masks_padding(&self) -> bool {
        true
    }
}

impl Cases for SpectralScaleGrad {
    fn cases() -> Vec<Case> {
        let case = |[kh, kw, cin, cout]: [usize; 4]| {
            let w = Shape::weight(kh, kw, cin, cout);
            Case {
                name: format!("{kh}x{kw} filters {cin} to {cout}"),
                op: Self {}.into(),
                inputs: vec![
                    CaseInput::dense(w),
                    CaseInput::dense(w),
                    CaseInput::dense(Shape::vector(cout)),
                    CaseInput::dense(Shape::new(kh, kw, 1, cin)),
                    CaseInput::range(Shape::scalar(), 0.5, 2.0),
                ],
            }
        };
        FILTERS.into_iter().map(case).collect()
    }
}
