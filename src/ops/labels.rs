//! Convolutions of a label map through its distinct windows (see [`crate::windows`]).
//!
//! A k x k convolution of a one-hot map selects one weight row per tap, so it takes one value per distinct window:
//! [`LabelRows`] computes those values, [`Lookup`] hands them to the pixels. No one-hot map ever exists, and the
//! result is the dense convolution's to rounding.

use super::*;
use crate::graph::Shape;
use crate::windows::{EDGE_BIT, ID_MASK, IdMap, OUTSIDE, WindowTable, WindowView};
use crate::{Error, Result};

fn mismatch(op: &'static str, message: String) -> Error {
    Error::Shape { op, message }
}

/// One row per distinct window: `rows[win] = act(b + sum over taps of w[tap][symbol])`.
///
/// Arguments are the weight, optionally the bias, and the window table; the result is `1 x 1 x pixels x c`, of which
/// only the first rows, as many as there are windows, carry values. The edge flag of a symbol adds the weight row of
/// the table's last channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelRows {
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl Operation for LabelRows {
    fn name(&self) -> &'static str {
        "label_rows"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let (w, windows) = (inputs[0].shape(), inputs[inputs.len() - 1].windows());
        let bias_fits = inputs.len() == 2 || inputs[1].shape() == Shape::vector(w.c);
        if w.n * w.h != windows.taps || windows.channels > w.w || !bias_fits {
            let message = format!(
                "weight {w} and bias do not fit {}",
                inputs[inputs.len() - 1]
            );
            return Err(mismatch(self.name(), message));
        }
        Ok(vec![Ty::Dense(Shape::new(1, 1, windows.pixels, w.c))])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let has_bias = at.inputs.len() == 3;
        let op = LabelRowsGrad {
            relu: self.relu,
            weight: graph.shape(at.inputs[0]),
        };
        let windows = at.inputs[at.inputs.len() - 1];
        let grads = graph.apply_all(op, &[at.grad(), at.outputs[0], windows])?;
        let mut grads: Vec<_> = grads.into_iter().map(Some).collect();
        if !has_bias {
            grads.pop();
        }
        grads.push(None);
        Ok(grads)
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let last = site.inputs.len() - 1;
        let w = site.input(0);
        let bindings: Vec<Binding> = (1..=last).map(Binding::Input).collect();
        let columns = site.family.columns(w.c4());
        Dispatch::new("labels", "rows")
            .define("relu", u32::from(self.relu))
            .define("bias", u32::from(last == 2))
            .define("columns", columns as u32)
            .bind_arrays(site.family, &[Texels::array(Binding::Input(0), w.vec4s())])
            .bind(&bindings)
            .bind(&[Binding::Output(0)])
            .items(site.header(last)[1] as usize * w.c4().div_ceil(columns))
            .param(w.c4())
            .param(w.n * w.h)
            .param(w.w)
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let table = WindowView::new(inputs[inputs.len() - 1].words());
        let (w, mut rows) = (inputs[0], Tensor::zeros(outputs[0].shape()));
        let bias = (inputs.len() == 3).then(|| inputs[1].data());
        let c = w.shape().c;
        for window in 0..table.windows() {
            let row = &mut rows.data_mut()[window * c..][..c];
            if let Some(bias) = bias {
                row.copy_from_slice(bias);
            }
            for (tap, &symbol) in table.window(window).iter().enumerate() {
                for channel in channels_of(symbol, table.channels()) {
                    let source = &w.data()[(tap * w.shape().w + channel) * c..][..c];
                    row.iter_mut().zip(source).for_each(|(y, w)| *y += w);
                }
            }
            if self.relu {
                row.iter_mut().for_each(|y| *y = y.max(0.0));
            }
        }
        vec![rows]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        let taps = inputs[inputs.len() - 1].windows().taps as u64;
        Cost {
            macs: 0,
            adds: outputs[0].shape().len() as u64 * taps,
            bytes: outputs[0].bytes() * (1 + taps),
        }
    }

    fn live_rows(&self, inputs: &[&Tensor], _: usize) -> Option<usize> {
        Some(WindowView::new(inputs[inputs.len() - 1].words()).windows())
    }
}

/// The channels a symbol switches on: its id, and the last one where it lies on an instance edge.
fn channels_of(symbol: u32, channels: usize) -> impl Iterator<Item = usize> {
    let id = (symbol != OUTSIDE).then_some((symbol & ID_MASK) as usize);
    let edge = (symbol != OUTSIDE && symbol & EDGE_BIT != 0).then_some(channels - 1);
    id.into_iter().chain(edge)
}

/// Gradients of [`LabelRows`] with respect to weight and bias, from the gradient of the rows and the rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelRowsGrad {
    /// Whether a ReLU followed.
    pub relu: bool,
    /// Shape of the weight.
    pub weight: Shape,
}

impl Operation for LabelRowsGrad {
    fn name(&self) -> &'static str {
        "label_rows_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        if inputs[0] != inputs[1] || inputs[0].shape().c != self.weight.c {
            let message = format!(
                "rows {} and {} of weight {}",
                inputs[0], inputs[1], self.weight
            );
            return Err(mismatch(self.name(), message));
        }
        Ok(vec![
            Ty::Dense(self.weight),
            Ty::Dense(Shape::vector(self.weight.c)),
        ])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output, Scratch};
        let (c4, header) = (self.weight.c4(), site.header(2));
        let worst = site.inputs[2].windows().worst_header();
        let [windows, chunks] = [header[1] as usize, header[12] as usize];
        let tiles = windows.div_ceil(64);
        let relu = u32::from(self.relu);
        let rows: &[Binding] = if self.relu { &[Input(1)] } else { &[] };
        let dispatches = vec![
            Dispatch::new("labels", "rows_chunk")
                .define("relu", relu)
                .bind(&[Input(0)])
                .bind(rows)
                .bind(&[Input(2), Scratch(0)])
                .items(chunks * c4)
                .param(c4),
            Dispatch::new("labels", "rows_weight")
                .bind(&[Scratch(0), Input(2), Output(0)])
                .items(self.weight.vec4s())
                .param(c4)
                .param(self.weight.w)
                .param(header[3] as usize),
            Dispatch::new("labels", "bias_tile")
                .define("relu", relu)
                .bind(&[Input(0)])
                .bind(rows)
                .bind(&[Scratch(0)])
                .items(tiles * c4)
                .param(c4)
                .param(windows),
            Dispatch::new("labels", "bias_sum")
                .bind(&[Scratch(0), Output(1)])
                .items(c4)
                .param(c4)
                .param(tiles),
        ];
        let worst_rows = (worst[12] as usize).max((worst[1] as usize).div_ceil(64));
        Kernel {
            scratch: vec![worst_rows * c4 * 4],
            dispatches,
        }
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let table = WindowView::new(inputs[2].words());
        let c = self.weight.c;
        let mut dw = Tensor::zeros(self.weight);
        let mut db = Tensor::zeros(Shape::vector(c));
        for window in 0..table.windows() {
            let at = window * c;
            let pass = |i: usize| !self.relu || inputs[1].data()[at + i] > 0.0;
            let masked = |i| {
                if pass(i) {
                    inputs[0].data()[at + i]
                } else {
                    0.0
                }
            };
            let row: Vec<f64> = (0..c).map(masked).collect();
            let add = |sum: &mut [f64]| sum.iter_mut().zip(&row).for_each(|(s, d)| *s += d);
            add(db.data_mut());
            for (tap, &symbol) in table.window(window).iter().enumerate() {
                for channel in channels_of(symbol, table.channels()) {
                    add(&mut dw.data_mut()[(tap * self.weight.w + channel) * c..][..c]);
                }
            }
        }
        vec![dw, db]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        let taps = inputs[2].windows().taps as u64;
        Cost {
            macs: 0,
            adds: inputs[0].shape().len() as u64 * taps,
            bytes: inputs[0].bytes() * taps + outputs[0].bytes(),
        }
    }
}

/// `y[pixel] = rows[window of the pixel]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lookup {
    /// Samples.
    pub n: usize,
    /// Height.
    pub h: usize,
    /// Width.
    pub w: usize,
}

impl Operation for Lookup {
    fn name(&self) -> &'static str {
        "lookup"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let (rows, windows) = (inputs[0].shape(), inputs[1].windows());
        let y = Shape::new(self.n, self.h, self.w, rows.c);
        if y.rows() != windows.pixels || rows.rows() != windows.pixels {
            let message = format!("rows {rows} for {y} through {}", inputs[1]);
            return Err(mismatch(self.name(), message));
        }
        Ok(vec![Ty::Dense(y)])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let drows = graph.apply(LookupGrad {}, &[at.grad(), at.inputs[1]])?;
        Ok(vec![Some(drows), None])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        Dispatch::new("labels", "lookup")
            .bind(&[Binding::Input(0), Binding::Input(1), Binding::Output(0)])
            .items(site.output(0).vec4s())
            .param(site.output(0).c4())
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let c = inputs[0].shape().c;
        let rows = WindowView::new(inputs[1].words()).ids().iter();
        let data = rows.flat_map(|&id| inputs[0].data()[id as usize * c..][..c].iter().copied());
        vec![Tensor::dense(outputs[0].shape(), data.collect())]
    }
}

/// `drows[win] = sum of dy over the window's pixels`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LookupGrad {}

impl Operation for LookupGrad {
    fn name(&self) -> &'static str {
        "lookup_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let dy = inputs[0].shape();
        Ok(vec![Ty::Dense(Shape::new(1, 1, dy.rows(), dy.c))])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output, Scratch};
        let (c4, header) = (site.input(0).c4(), site.header(1));
        let worst = site.inputs[1].windows().worst_header();
        Kernel {
            scratch: vec![worst[7] as usize * c4 * 4],
            dispatches: vec![
                Dispatch::new("labels", "lookup_chunk")
                    .bind(&[Input(0), Input(1), Scratch(0)])
                    .items(header[7] as usize * c4)
                    .param(c4),
                Dispatch::new("labels", "lookup_sum")
                    .bind(&[Scratch(0), Input(1), Output(0)])
                    .items(header[1] as usize * c4)
                    .param(c4),
            ],
        }
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let c = inputs[0].shape().c;
        let mut drows = Tensor::zeros(outputs[0].shape());
        let ids = WindowView::new(inputs[1].words()).ids();
        for (dy, &id) in inputs[0].data().chunks_exact(c).zip(ids) {
            let row = &mut drows.data_mut()[id as usize * c..][..c];
            row.iter_mut().zip(dy).for_each(|(sum, d)| *sum += d);
        }
        vec![drows]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        let bytes = inputs[0].bytes() + outputs[0].bytes();
        Cost {
            macs: 0,
            adds: inputs[0].shape().len() as u64,
            bytes,
        }
    }

    fn live_rows(&self, inputs: &[&Tensor], _: usize) -> Option<usize> {
        Some(WindowView::new(inputs[1].words()).windows())
    }
}

/// The one-hot map of a symbol map, averaged over 3 x 3 at stride 2 with places outside the image not counted: what
/// the discriminator's second scale sees, without the full-size one-hot map.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelPool {
    /// Samples.
    pub n: usize,
    /// Height of the symbol map.
    pub h: usize,
    /// Width of the symbol map.
    pub w: usize,
    /// Channels of the one-hot map, the edge channel included.
    pub channels: usize,
    /// Whether the last channel is the instance-edge flag.
    pub edges: bool,
}

impl Operation for LabelPool {
    fn name(&self) -> &'static str {
        "label_pool"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        if inputs[0] != Ty::Symbols(self.n * self.h * self.w) {
            return Err(mismatch(self.name(), format!("{} for {self:?}", inputs[0])));
        }
        let (h, w) = (self.h.div_ceil(2), self.w.div_ceil(2));
        Ok(vec![Ty::Dense(Shape::new(self.n, h, w, self.channels))])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Ok(vec![None])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        Dispatch::new("labels", "pool")
            .bind(&[Binding::Input(0), Binding::Output(0)])
            .items(site.output(0).vec4s())
            .param(site.output(0).c4())
            .param(self.h)
            .param(self.w)
            .param(if self.edges {
                self.channels - 1
            } else {
                u32::MAX as usize
            })
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let symbols = inputs[0].words();
        let within =
            |i: usize, k: usize, size: usize| (2 * i + k).checked_sub(1).filter(|&i| i < size);
        let pooled = Tensor::from_fn(outputs[0].shape(), |n, y, x, c| {
            let (mut sum, mut count) = (0.0, 0.0);
            for (ky, kx) in (0..9).map(|k| (k / 3, k % 3)) {
                if let (Some(y), Some(x)) = (within(y, ky, self.h), within(x, kx, self.w)) {
                    let symbol = symbols[(n * self.h + y) * self.w + x];
                    count += 1.0;
                    sum += channels_of(symbol, self.channels)
                        .filter(|&ch| ch == c)
                        .count() as f64;
                }
            }
            sum / count
        });
        vec![pooled]
    }
}

/// Label maps worth testing, as symbols: regions, noise, one class, with and without instance edges.
pub(crate) fn test_maps(channels: usize, edges: bool) -> Vec<(&'static str, IdMap)> {
    let labels = (channels - usize::from(edges)) as u32;
    let map = |n, h, w, f: &dyn Fn(u32) -> u32| IdMap {
        n,
        h,
        w,
        ids: (0..(n * h * w) as u32).map(f).collect(),
    };
    let scramble = |i: u32| (i + 1).wrapping_mul(0x9e37_79b9) >> 13;
    let edge = |i: u32| {
        if edges && scramble(i).is_multiple_of(5) {
            EDGE_BIT
        } else {
            0
        }
    };
    vec![
        (
            "regions",
            map(2, 8, 12, &|i| ((i % 12 / 5 + i / 48) % labels) | edge(i)),
        ),
        (
            "noise",
            map(1, 6, 4, &|i| (scramble(i) % labels) | edge(i / 2)),
        ),
        ("one class", map(1, 10, 14, &|_| labels - 1)),
    ]
}

/// The first-tier table of a map, with its type.
pub(crate) fn test_table(
    map: &IdMap,
    channels: usize,
    edges: bool,
    k: usize,
    stride: usize,
    pad: usize,
) -> (Ty, WindowTable) {
    let edge_channel = edges.then_some(channels as u32 - 1);
    let table = WindowTable::build(map, channels, edge_channel, k, stride, pad);
    let ty = Ty::Windows(crate::graph::shape::Windows {
        pixels: table.pixels(),
        taps: k * k,
        channels,
    });
    (ty, table)
}

/// Every test map under the kernels the networks use.
fn tables(channels: usize, edges: bool) -> Vec<(String, IdMap, usize, Ty, WindowTable)> {
    let mut tables = Vec::new();
    for (what, map) in test_maps(channels, edges) {
        for (k, stride, pad) in [(3, 1, 1), (4, 2, 2), (1, 1, 0), (5, 1, 2)] {
            let (ty, table) = test_table(&map, channels, edges, k, stride, pad);
            tables.push((
                format!("{what}, {channels} channels, k{k} s{stride}"),
                map.clone(),
                k,
                ty,
                table,
            ));
        }
    }
    tables
}

impl Cases for LabelRows {
    fn cases() -> Vec<Case> {
        let mut cases = Vec::new();
        // Widths beyond the first two are those of which an invocation takes several vectors, and the last one fewer.
        let widths = [
            (5, true, 7),
            (3, false, 8),
            (5, true, 68),
            (3, false, 100),
            (5, true, 132),
        ];
        for (channels, edges, c) in widths {
            let some = if c > 8 { 1 } else { usize::MAX };
            for (name, _, k, ty, table) in tables(channels, edges).into_iter().take(some) {
                let mut inputs = vec![CaseInput::weight(k, k, channels, c)];
                if c % 8 != 0 {
                    inputs.push(CaseInput::dense(Shape::vector(c)));
                }
                inputs.push(CaseInput::Index(ty, table.pack()));
                let op = Self { relu: edges }.into();
                cases.push(Case { name, op, inputs });
            }
        }
        cases
    }
}

impl Cases for LabelRowsGrad {
    fn cases() -> Vec<Case> {
        let mut cases = Vec::new();
        for (channels, relu, c) in [(5, true, 7), (3, false, 8)] {
            for (name, _, k, ty, table) in tables(channels, relu) {
                let rows = Shape::new(1, 1, table.pixels(), c);
                let weight = Shape::weight(k, k, channels, c);
                let inputs = vec![
                    CaseInput::dense(rows),
                    CaseInput::dense(rows),
                    CaseInput::Index(ty, table.pack()),
                ];
                let op = Self { relu, weight }.into();
                cases.push(Case { name, op, inputs });
            }
        }
        cases
    }
}

impl Cases for Lookup {
    fn cases() -> Vec<Case> {
        let case = |(name, _, _, ty, table): (String, IdMap, usize, Ty, WindowTable)| Case {
            name,
            op: Self {
                n: table.n,
                h: table.h,
                w: table.w,
            }
            .into(),
            inputs: vec![
                CaseInput::dense(Shape::new(1, 1, table.pixels(), 5)),
                CaseInput::Index(ty, table.pack()),
            ],
        };
        tables(4, true).into_iter().map(case).collect()
    }
}

impl Cases for LookupGrad {
    fn cases() -> Vec<Case> {
        let case = |(name, _, _, ty, table): (String, IdMap, usize, Ty, WindowTable)| Case {
            name,
            op: Self {}.into(),
            inputs: vec![
                CaseInput::dense(Shape::new(table.n, table.h, table.w, 5)),
                CaseInput::Index(ty, table.pack()),
            ],
        };
        tables(4, true).into_iter().map(case).collect()
    }
}

impl Cases for LabelPool {
    fn cases() -> Vec<Case> {
        let mut cases = Vec::new();
        for (channels, edges) in [(6, true), (9, false)] {
            for (name, mut map) in test_maps(channels, edges) {
                map = map.resize_floor(7, 9);
                let (n, h, w) = (map.n, map.h, map.w);
                cases.push(Case {
                    name: format!("{name}, {channels} channels"),
                    op: Self {
                        n,
                        h,
                        w,
                        channels,
                        edges,
                    }
                    .into(),
                    inputs: vec![CaseInput::Index(Ty::Symbols(n * h * w), map.ids)],
                });
            }
        }
        cases
    }
}
