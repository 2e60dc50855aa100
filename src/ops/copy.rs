//! Taking values apart and putting them together along one axis, and giving them another shape.

use super::*;
use crate::graph::Shape;
use crate::{Error, Result};

/// An axis of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Axis {
    /// Samples.
    N,
    /// Columns; of a weight, its input channels.
    W,
    /// Channels.
    C,
}

impl Axis {
    const ALL: [Self; 3] = [Self::N, Self::W, Self::C];

    /// Extent of a shape along this axis.
    pub const fn of(self, shape: Shape) -> usize {
        match self {
            Self::N => shape.n,
            Self::W => shape.w,
            Self::C => shape.c,
        }
    }

    /// The shape with another extent along this axis.
    pub const fn set(self, shape: Shape, extent: usize) -> Shape {
        match self {
            Self::N => Shape { n: extent, ..shape },
            Self::W => Shape { w: extent, ..shape },
            Self::C => Shape { c: extent, ..shape },
        }
    }

    /// Position `at` of the axis, and the others, as `(n, h, w, c)`.
    fn replace(self, place: [usize; 4], at: usize) -> [usize; 4] {
        let [n, h, w, c] = place;
        match self {
            Self::N => [at, h, w, c],
            Self::W => [n, h, at, c],
            Self::C => [n, h, w, at],
        }
    }

    /// The entry for whole `vec4`s, or along channels that for single numbers.
    fn entry(self, whole: &'static str, single: &'static str) -> &'static str {
        match self {
            Self::N | Self::W => whole,
            Self::C => single,
        }
    }

    /// `vec4`s of one step along the axis; along channels, of a pixel.
    fn inner(self, y: Shape) -> usize {
        match self {
            Self::N => y.h * y.w * y.c4(),
            Self::W | Self::C => y.c4(),
        }
    }
}

/// A dispatch over a result, with the parameters both operations share.
fn over(entry: &'static str, axis: Axis, y: Shape) -> Dispatch {
    Dispatch::new("copy", entry)
        .items(y.vec4s())
        .param(axis.inner(y))
        .param(axis.of(y))
}

/// A value computed from the position along an axis and the whole position.
fn along(axis: Axis, y: Shape, f: impl Fn(usize, [usize; 4]) -> f64) -> Tensor {
    Tensor::from_fn(y, |n, h, w, c| {
        let at = match axis {
            Axis::N => n,
            Axis::W => w,
            Axis::C => c,
        };
        f(at, [n, h, w, c])
    })
}

/// `y[to + i] = x[from + i]` for `i < len` along an axis, zero elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CopyRange {
    /// Along which axis.
    pub axis: Axis,
    /// Start in x.
    pub from: usize,
    /// Start in y.
    pub to: usize,
    /// Length of the range.
    pub len: usize,
    /// Extent of y.
    pub out_len: usize,
}

impl CopyRange {
    /// Takes `len` from `from` on.
    pub const fn slice(axis: Axis, from: usize, len: usize) -> Self {
        Self {
            axis,
            from,
            to: 0,
            len,
            out_len: len,
        }
    }
}

impl Operation for CopyRange {
    fn name(&self) -> &'static str {
        "copy_range"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let x = inputs[0].shape();
        let (source, target) = (self.from + self.len, self.to + self.len);
        if source > self.axis.of(x) || target > self.out_len {
            return Err(Error::Shape {
                op: self.name(),
                message: format!(
                    "{}..{source} of {x} to {}..{target} of {} along {:?}",
                    self.from, self.to, self.out_len, self.axis
                ),
            });
        }
        Ok(vec![Ty::Dense(self.axis.set(x, self.out_len))])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let back = Self {
            from: self.to,
            to: self.from,
            out_len: self.axis.of(graph.shape(at.inputs[0])),
            ..self.clone()
        };
        Ok(vec![Some(graph.apply(back, &[at.grad()])?)])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        over(
            self.axis.entry("range", "range_c"),
            self.axis,
            site.output(0),
        )
        .bind(&[Binding::Input(0), Binding::Output(0)])
        .param(self.axis.of(site.input(0)))
        .param(self.from)
        .param(self.to)
        .param(self.len)
        .into()
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let y = along(self.axis, outputs[0].shape(), |at, place| {
            if !(self.to..self.to + self.len).contains(&at) {
                return 0.0;
            }
            let [n, h, w, c] = self.axis.replace(place, at - self.to + self.from);
            inputs[0].at(n, h, w, c)
        });
        vec![y]
    }
}

impl Cases for CopyRange {
    fn cases() -> Vec<Case> {
        let case = |x: Shape, op: Self| Case {
            name: format!("{x}"),
            op: op.into(),
            inputs: vec![CaseInput::dense(x)],
        };
        let mut cases: Vec<_> = Axis::ALL
            .into_iter()
            .map(|axis| {
                let op = Self {
                    axis,
                    from: 1,
                    to: 2,
                    len: 3,
                    out_len: 7,
                };
                case(Shape::new(4, 3, 5, 6), op)
            })
            .collect();
        cases.extend([
            case(Shape::new(2, 3, 5, 7), CopyRange::slice(Axis::C, 3, 4)),
            case(Shape::new(1, 2, 3, 184), CopyRange::slice(Axis::C, 181, 3)),
            case(Shape::new(4, 1, 3, 1), CopyRange::slice(Axis::N, 2, 2)),
            // Splitting the image rows from a weight of label and image channels.
            case(
                Shape::weight(2, 2, 7, 5),
                Self {
                    axis: Axis::W,
                    from: 4,
                    to: 0,
                    len: 3,
                    out_len: 4,
                },
            ),
        ]);
        cases
    }
}

/// `y = a, then b` along an axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Concat {
    /// Along which axis.
    pub axis: Axis,
}

impl Operation for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let (a, b) = (inputs[0].shape(), inputs[1].shape());
        let (a_len, b_len) = (self.axis.of(a), self.axis.of(b));
        if self.axis.set(b, a_len) != a {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("{a} and {b} differ in more than {:?}", self.axis),
            });
        }
        Ok(vec![Ty::Dense(self.axis.set(a, a_len + b_len))])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let mut from = 0;
        let mut grads = Vec::new();
        for (&input, &wanted) in at.inputs.iter().zip(at.wants) {
            let len = self.axis.of(graph.shape(input));
            let slice = CopyRange::slice(self.axis, from, len);
            grads.push(match wanted {
                true => Some(graph.apply(slice, &[at.grad()])?),
                false => None,
            });
            from += len;
        }
        Ok(grads)
    }

    fn kernel(&self, site: &Site) -> Kernel {
        over(
            self.axis.entry("concat", "concat_c"),
            self.axis,
            site.output(0),
        )
        .bind(&[Binding::Input(0), Binding::Input(1), Binding::Output(0)])
        .param(self.axis.of(site.input(0)))
        .into()
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let a_len = self.axis.of(inputs[0].shape());
        let y = along(self.axis, outputs[0].shape(), |at, place| {
            let (source, at) = match at.checked_sub(a_len) {
                None => (inputs[0], at),
                Some(at) => (inputs[1], at),
            };
            let [n, h, w, c] = self.axis.replace(place, at);
            source.at(n, h, w, c)
        });
        vec![y]
    }
}

impl Cases for Concat {
    fn cases() -> Vec<Case> {
        let case = |a: Shape, b: Shape, axis| Case {
            name: format!("{a} {b}"),
            op: Self { axis }.into(),
            inputs: vec![CaseInput::dense(a), CaseInput::dense(b)],
        };
        let x = Shape::new(2, 3, 5, 7);
        vec![
            case(x, Shape { n: 3, ..x }, Axis::N),
            case(x, Shape { w: 2, ..x }, Axis::W),
            case(x, Shape { c: 3, ..x }, Axis::C),
            case(Shape { c: 4, ..x }, Shape { c: 1, ..x }, Axis::C),
            case(Shape { c: 184, ..x }, Shape { c: 3, ..x }, Axis::C),
            case(Shape { c: 3, ..x }, Shape { c: 3, ..x }, Axis::C),
        ]
    }
}

/// The same numbers in the same order, each sample as `h x w x c`.
///
/// Channels are padded, so both channel counts must be multiples of four for the order to be the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reshape {
    /// Height of the result.
    pub h: usize,
    /// Width of the result.
    pub w: usize,
    /// Channels of the result.
    pub c: usize,
}

impl Operation for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let x = inputs[0].shape();
        let y = Shape::new(x.n, self.h, self.w, self.c);
        if x.len() != y.len() || !x.c.is_multiple_of(4) || !y.c.is_multiple_of(4) {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("{x} does not lie in memory as {y}"),
            });
        }
        Ok(vec![Ty::Dense(y)])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let Shape { h, w, c, .. } = graph.shape(at.inputs[0]);
        Ok(vec![Some(graph.apply(Self { h, w, c }, &[at.grad()])?)])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        // All of the value as the one step of an axis of samples.
        let len = site.output(0).vec4s();
        Dispatch::new("copy", "range")
            .items(len)
            .params(&[len, 1, 1, 0, 0, 1])
            .bind(&[Binding::Input(0), Binding::Output(0)])
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        vec![Tensor::dense(outputs[0].shape(), inputs[0].data().to_vec())]
    }
}

impl Cases for Reshape {
    fn cases() -> Vec<Case> {
        let case = |x: Shape, [h, w, c]: [usize; 3]| Case {
            name: format!("{x}"),
            op: Self { h, w, c }.into(),
            inputs: vec![CaseInput::dense(x)],
        };
        vec![
            case(Shape::new(2, 1, 1, 96), [2, 3, 16]),
            case(Shape::new(3, 5, 2, 8), [1, 1, 80]),
        ]
    }
}
