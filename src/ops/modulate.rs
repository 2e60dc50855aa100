//! The SPADE layer (paper equation 1 and figure 2, with the published code's `1 + gamma`), on label windows.
//!
//! ```text
//! y = act(norm(up(x)) * (1 + gamma) + beta)
//! ```
//!
//! gamma and beta are 3 x 3 convolutions of the hidden rows `a`, so they too take one value per distinct window (of
//! hidden windows). Per tap, hidden rows are multiplied with the weight once; each window then gathers its taps, and
//! pixels look their window up inside the normalisation. Dense gamma and beta maps never exist. Products and table
//! exist for a block of output channels at a time in a workspace of fixed size, so that even pure noise fits.

mod grad;
mod kept;

use super::gemm::{Block, Parts};
use super::norm::EpsRule;
use super::*;
use crate::graph::Shape;
use crate::graph::shape::Windows;
use crate::windows::{Header, ID_MASK, OUTSIDE, WindowTable, WindowView};
use crate::{Error, Result};

pub use grad::ModulateGrad;
pub use kept::{KeepRows, ModulateKept};

/// Which statistics normalise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stats {
    /// Of the batch: batch norm in training.
    Batch,
    /// Of each sample: instance norm.
    Instance,
    /// Given ones: batch norm in evaluation.
    Given,
}

/// The SPADE layer with its activation.
///
/// Arguments: x, hidden rows a, gamma weight and bias, beta weight and bias, the second-tier window table, and for
/// [`Stats::Given`] mean and variance. Results: y, and unless given, mean and biased variance of x.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Modulate {
    /// Which statistics normalise.
    pub stats: Stats,
    /// Guard of the division.
    pub eps: Real,
    /// How the guard enters.
    pub rule: EpsRule,
    /// Whether x has half the size of the layer: nearest upsampling without writing the upsampled map. Mean and
    /// biased variance of the upsampled map equal those of x.
    pub upsample: bool,
    /// Whether a leaky ReLU of slope 0.2 follows.
    pub leaky: bool,
}

/// What takes statistics, and where they are then.
struct MomentsKernel {
    scratch: Vec<usize>,
    dispatches: Vec<Dispatch>,
    mean: Binding,
    variance: Binding,
}

/// Widths of the blocks and sizes of the workspaces.
struct Workspace {
    /// Words for the per-tap products.
    products: usize,
    /// Words for the table of gamma and beta.
    table: usize,
    /// Words for partial sums; backward only.
    partial: usize,
    /// Width of a block, in `vec4`.
    block4: usize,
    /// Taps of a pass: all of them, unless a single column of their products is too much.
    pass: usize,
    /// Taps of the kernel.
    taps: usize,
    /// Rows of hidden channels that there could be.
    rows: usize,
}

/// Most chunks of the windows that show one of `lower` rows at one of so many taps.
fn tap_chunks(windows: usize, lower: usize, taps: usize) -> usize {
    let items = windows * taps;
    (lower * taps).min(items) + items / 64
}

/// Words that one `vec4` column of gamma and of beta takes in a pass: products, table, partial sums.
fn words_per_column(header: &Header, pass: usize, is_backward: bool) -> [usize; 3] {
    let [windows, lower] = [header[1], header[3]].map(|v| v as usize);
    let chunks = (header[7] as usize)
        .max(tap_chunks(windows, lower, pass))
        .max(windows.div_ceil(64));
    let partial = if is_backward { chunks * 8 } else { 0 };
    [pass * lower * 8, windows * 8, partial]
}

impl Workspace {
    fn new(site: &Site, table: usize, c4: usize, is_backward: bool) -> Self {
        let worst = site.inputs[table].windows().worst_header();
        let taps = worst[2] as usize;
        let shares = [3, 2, 3].map(|eighths| site.workspace_bytes / 4 * eighths / 8);
        // At least a column of one tap of the worst table, at most all columns of all taps.
        let [least, most] = [1, taps].map(|pass| words_per_column(&worst, pass, is_backward));
        let size = |i: usize| shares[i].max(least[i]).min(most[i] * c4);
        let words = [size(0), size(1), size(2)];
        let columns = |pass| {
            let present = words_per_column(&site.header(table), pass, is_backward);
            let fit = (0..3).map(|i| words[i].checked_div(present[i]).unwrap_or(c4));
            fit.min().unwrap_or(c4)
        };
        let pass = (1..=taps).rev().find(|&pass| columns(pass) > 0);
        let pass = pass.unwrap_or(1);
        let widest = columns(pass).clamp(1, c4);
        Self {
            products: words[0],
            table: words[1],
            partial: words[2],
            block4: c4.div_ceil(c4.div_ceil(widest)),
            pass,
            taps,
            rows: worst[3] as usize,
        }
    }

    /// First tap of every pass, and how many it takes.
    fn passes(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (pass, taps) = (self.pass, self.taps);
        (0..taps)
            .step_by(pass)
            .map(move |first| (first, pass.min(taps - first)))
    }

    /// Start and width of every block.
    fn blocks(&self, c4: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let width = self.block4;
        (0..c4)
            .step_by(width)
            .map(move |from| (from, width.min(c4 - from)))
    }
}

impl Modulate {
    fn layer_shape(&self, x: Shape) -> Shape {
        let factor = 1 + usize::from(self.upsample);
        Shape::new(x.n, x.h * factor, x.w * factor, x.c)
    }

    fn stat_shape(&self, x: Shape) -> Shape {
        let n = if self.stats == Stats::Instance {
            x.n
        } else {
            1
        };
        Shape::new(n, 1, 1, x.c)
    }

    /// Parameters that the pixel-wise entries share.
    fn pixel_dispatch(
        &self,
        entry: &'static str,
        x: Shape,
        items: usize,
        block: (usize, usize),
    ) -> Dispatch {
        let y = self.layer_shape(x);
        Dispatch::new("modulate", entry)
            .define("up", u32::from(self.upsample))
            .define("clamp", u32::from(self.rule == EpsRule::Max))
            .define("leaky", u32::from(self.leaky))
            .items(items)
            .params(&[block.1, block.0, x.c4(), y.h, y.w])
            .real(self.eps.0)
    }

    /// What applies a block of rows of gamma and beta to x, with both bound.
    fn apply_dispatch(
        &self,
        family: Family,
        x: Shape,
        block: (usize, usize),
        rows: Texels,
    ) -> Dispatch {
        let y = self.layer_shape(x);
        let (columns, pixels) = (family.columns(x.c4()), pixels(family));
        let items = y.n * (y.h * y.w).div_ceil(pixels) * block.1.div_ceil(columns);
        let dispatch = self
            .pixel_dispatch("apply", x, items, block)
            .define("per_sample", self.per_sample())
            .define("columns", columns as u32)
            .define("pixels", pixels as u32);
        // A pixel of x that is read four times is worth a copy, one that is read once is not.
        let of_x = Texels::array(Binding::Input(0), x.vec4s());
        match self.upsample {
            true => dispatch.bind_arrays(family, &[rows, of_x]),
            false => dispatch
                .bind_arrays(family, &[rows])
                .bind(&[Binding::Input(0)]),
        }
    }

    /// What takes the statistics of x, or `given` ones; scratch numbers begin at `scratch`.
    fn moments_kernel(&self, x: Shape, given: [Binding; 2], scratch: usize) -> MomentsKernel {
        use Binding::{Input, Output, Scratch};
        if self.stats == Stats::Given {
            let [mean, variance] = given;
            return MomentsKernel {
                scratch: Vec::new(),
                dispatches: Vec::new(),
                mean,
                variance,
            };
        }
        let per_sample = self.stats == Stats::Instance;
        let (mean, variance) = (Output(1), Output(2));
        MomentsKernel {
            scratch: vec![norm::moments_scratch(x, per_sample)],
            dispatches: norm::moments(Input(0), x, per_sample, Scratch(scratch), mean, variance),
            mean,
            variance,
        }
    }

    /// The layer's results from rows of gamma and beta and the row of each pixel.
    fn applied(
        &self,
        x: &Tensor,
        given: [Option<&Tensor>; 2],
        ids: &[u32],
        [gamma, beta]: [&[f64]; 2],
        y_shape: Shape,
    ) -> Vec<Tensor> {
        let (mean, variance) = match given {
            [Some(mean), Some(variance)] => (mean.clone(), variance.clone()),
            _ => norm::moments_reference(x, self.stats == Stats::Instance),
        };
        let half = 1 + usize::from(self.upsample);
        let mut ids = ids.iter();
        let mut window = 0;
        let y = Tensor::from_fn(y_shape, |n, h, w, c| {
            if c == 0 {
                window = ids.next().map_or(0, |&id| id as usize);
            }
            let stat = n % mean.shape().n;
            let value = x.at(n, h / half, w / half, c) - mean.at(stat, 0, 0, c);
            let variance = variance.at(stat, 0, 0, c);
            let normalised = value * self.rule.inverse_deviation(variance, self.eps);
            let at = window * y_shape.c + c;
            let v = normalised * (1.0 + gamma[at]) + beta[at];
            if self.leaky { v.max(0.2 * v) } else { v }
        });
        match self.stats {
            Stats::Given => vec![y],
            _ => vec![y, mean, variance],
        }
    }

    fn per_sample(&self) -> u32 {
        u32::from(self.stats == Stats::Instance)
    }

    /// Multiply-adds of gamma and beta with this table.
    fn table_macs(inputs: &[Ty], a: usize, header: &Header) -> u64 {
        let [taps, lower] = [header[2], header[3]].map(u64::from);
        taps * lower * inputs[a].shape().c as u64 * 2 * inputs[0].shape().c as u64
    }
}

/// Pixels that an invocation takes, with the statistics of its columns read once.
fn pixels(family: Family) -> usize {
    match family {
        Family::Tiled(_) => 4,
        Family::Subgroup(_) => 16,
    }
}

/// Sums of the taps of every window, a pass after the other: the table of gamma, and of beta where it is wanted, from
/// products in the first scratch buffer and the biases.
fn table_dispatch(
    site: &Site,
    space: &Workspace,
    block: (usize, usize),
    pass: (usize, usize),
    [header, c4]: [usize; 2],
    biases: &[Binding],
) -> Dispatch {
    let header = site.header(header);
    let (width, columns) = (block.1 * biases.len(), site.family.columns(c4));
    let products = Texels::array(Binding::Scratch(0), pass.1 * header[3] as usize * width);
    let mut arrays = vec![products.reserve(Texels::layers_of_words(space.products))];
    let is_further = pass.0 > 0;
    if !is_further {
        arrays.extend(biases.iter().map(|&bias| Texels::array(bias, c4)));
    }
    Dispatch::new("modulate", "table")
        .define("beta", u32::from(biases.len() == 2))
        .define("further", u32::from(is_further))
        .define("columns", columns as u32)
        .items(header[1] as usize * width.div_ceil(columns))
        .param(block.1)
        .param(header[2] as usize)
        .param(header[3] as usize)
        .param(block.0)
        .param(pass.0)
        .param(pass.0 + pass.1)
        .bind_arrays(site.family, &arrays)
}

/// One weight's part in a block of output channels; its products lie at `at4` of rows `stride4` wide.
fn gemm_block(
    site: &Site,
    header: &Header,
    weight: Shape,
    block: (usize, usize),
    [stride4, at4]: [usize; 2],
    space: &Workspace,
    pass: (usize, usize),
) -> Block {
    Block {
        family: site.family,
        matrices: None,
        taps: pass,
        all_taps: header[2] as usize,
        rows: header[3] as usize,
        most_rows: space.rows,
        inner4: weight.w / 4,
        c4: weight.c4(),
        from4: block.0,
        cols4: block.1,
        stride4,
        at4,
        is_batched: false,
        products_words: space.products,
    }
}

/// What computes gamma and beta of a block of channels: arguments from 1 on are hidden rows, gamma weight and bias, beta
/// weight and bias, and the window table; `table` sums up the products of a pass, which lie in the first scratch buffer.
fn rows_of_block(
    site: &Site,
    space: &Workspace,
    block: (usize, usize),
    table: impl Fn((usize, usize)) -> Dispatch,
) -> Vec<Dispatch> {
    use Binding::{Input, Scratch};
    let (weight, header) = (site.input(2), site.header(6));
    let of_pass = |pass| {
        let gemm = |at4| {
            let place = [2 * block.1, at4];
            Block {
                matrices: site.matrices([1, 2]),
                ..gemm_block(site, &header, weight, block, place, space, pass)
            }
        };
        [
            gemm(0).products([Input(1), Input(2)], Scratch(0)),
            gemm(block.1).products([Input(1), Input(4)], Scratch(0)),
            table(pass),
        ]
    };
    space.passes().flat_map(of_pass).collect()
}

impl Operation for Modulate {
    fn name(&self) -> &'static str {
        "modulate"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let [x, a, w_gamma, b_gamma, w_beta, b_beta] =
            [0, 1, 2, 3, 4, 5].map(|i| inputs[i].shape());
        let windows = inputs[6].windows();
        let y = self.layer_shape(x);
        let stats_fit = match self.stats {
            Stats::Given => {
                inputs[7..]
                    .iter()
                    .all(|ty| ty.shape() == self.stat_shape(x))
                    && inputs.len() == 9
            }
            _ => inputs.len() == 7,
        };
        let fits = w_gamma == w_beta
            && w_gamma.c == x.c
            && w_gamma.n * w_gamma.h == windows.taps
            && w_gamma.w == a.c.next_multiple_of(4)
            && [b_gamma, b_beta] == [Shape::vector(x.c); 2]
            && y.rows() == windows.pixels
            && a.rows() >= windows.channels
            && stats_fit;
        if !fits {
            let message = format!(
                "x {x}, hidden {a}, gamma {w_gamma}, beta {w_beta} with {}",
                inputs[6]
            );
            return Err(Error::Shape {
                op: self.name(),
                message,
            });
        }
        let mut results = vec![Ty::Dense(y)];
        if self.stats != Stats::Given {
            results.extend([Ty::Dense(self.stat_shape(x)); 2]);
        }
        Ok(results)
    }

    fn differentiable_outputs(&self, _: usize) -> Vec<usize> {
        vec![0]
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let [mean, variance] = match self.stats {
            Stats::Given => [at.inputs[7], at.inputs[8]],
            _ => [at.outputs[1], at.outputs[2]],
        };
        let i = at.inputs;
        let arguments = [
            at.grad(),
            at.outputs[0],
            i[0],
            mean,
            variance,
            i[1],
            i[2],
            i[3],
            i[4],
            i[6],
        ];
        let grads = graph.apply_all(
            ModulateGrad {
                forward: self.clone(),
            },
            &arguments,
        )?;
        let mut grads: Vec<_> = grads.into_iter().map(Some).collect();
        grads.resize(at.inputs.len(), None);
        Ok(grads)
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output, Scratch};
        let (x, header) = (site.input(0), site.header(6));
        let space = Workspace::new(site, 6, x.c4(), false);
        let mut scratch = vec![space.products, space.table];
        let moments = self.moments_kernel(x, [Input(7), Input(8)], 2);
        let (mean, variance) = (moments.mean, moments.variance);
        let mut dispatches = moments.dispatches;
        scratch.extend(moments.scratch);
        for block in space.blocks(x.c4()) {
            let table = |pass| {
                table_dispatch(
                    site,
                    &space,
                    block,
                    pass,
                    [6, x.c4()],
                    &[Input(3), Input(5)],
                )
                .bind(&[Input(6), Scratch(1)])
            };
            dispatches.extend(rows_of_block(site, &space, block, table));
            let rows = Texels::array(Scratch(1), header[1] as usize * 2 * block.1)
                .reserve(Texels::layers_of_words(space.table));
            dispatches.push(self.apply_dispatch(site.family, x, block, rows).bind(&[
                mean,
                variance,
                Input(6),
                Output(0),
            ]));
        }
        Kernel {
            scratch,
            dispatches,
        }
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let table = WindowView::new(inputs[6].words());
        let gamma = table_reference(inputs[1], inputs[2], inputs[3], &table);
        let beta = table_reference(inputs[1], inputs[4], inputs[5], &table);
        let given = [7, 8].map(|i| inputs.get(i).copied());
        let (ids, y) = (table.ids(), outputs[0].shape());
        self.applied(inputs[0], given, ids, [&gamma, &beta], y)
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        let worst = inputs[6].windows().worst_header();
        Cost {
            macs: Self::table_macs(inputs, 1, &worst),
            adds: inputs[0].shape().len() as u64,
            bytes: inputs.iter().chain(outputs).map(Ty::bytes).sum(),
        }
    }

    fn executed_macs(&self, inputs: &[Ty], _: &[Ty], headers: &[Option<Header>]) -> u64 {
        headers[6].map_or(0, |header| Self::table_macs(inputs, 1, &header))
    }
}

/// One row per window: `bias + sum over taps and hidden channels of a[lower][k] * w[tap][k]`.
fn table_reference(a: &Tensor, w: &Tensor, b: &Tensor, table: &WindowView) -> Vec<f64> {
    let (hidden, inner, c) = (a.shape().c, w.shape().w, w.shape().c);
    let mut rows = Vec::with_capacity(table.windows() * c);
    for window in 0..table.windows() {
        let mut row = b.data().to_vec();
        for (tap, &symbol) in table.window(window).iter().enumerate() {
            if symbol == OUTSIDE {
                continue;
            }
            for k in 0..hidden {
                let left = a.data()[(symbol & ID_MASK) as usize * hidden + k];
                let right = &w.data()[(tap * inner + k) * c..][..c];
                row.iter_mut()
                    .zip(right)
                    .for_each(|(sum, w)| *sum += left * w);
            }
        }
        rows.extend(row);
    }
    rows
}

/// Test layers: first-tier map, hidden width, channels, statistics, upsampling.
fn layers() -> Vec<(String, Modulate, Shape, usize, Ty, Vec<u32>)> {
    let mut layers = Vec::new();
    let kinds = [
        (3, Stats::Batch, false, true, EpsRule::Add),
        (3, Stats::Instance, true, true, EpsRule::Add),
        (1, Stats::Given, true, false, EpsRule::Add),
        (5, Stats::Given, false, true, EpsRule::Add),
        (3, Stats::Batch, true, false, EpsRule::Max),
    ];
    // Widths of which an invocation takes two, three and four vectors, and the last one fewer.
    let wide = [(0, 68), (1, 100), (2, 132)];
    let narrow = (0..kinds.len()).map(|kind| (kind, 5));
    for (kind, c) in narrow.chain(wide) {
        let (k, stats, upsample, leaky, rule) = kinds[kind];
        let maps = labels::test_maps(4, true).into_iter();
        for (what, map) in maps.take(if c == 5 { usize::MAX } else { 1 }) {
            let (_, lower) = labels::test_table(&map, 4, true, k, 1, k / 2);
            let table = WindowTable::build(&lower.map(), lower.windows(), None, k, 1, k / 2);
            let pixels = table.pixels();
            let windows = Windows {
                pixels,
                taps: k * k,
                channels: pixels,
            };
            let half = 1 + usize::from(upsample);
            let x = Shape::new(map.n, map.h / half, map.w / half, c);
            let layer = Modulate {
                stats,
                eps: Real(1e-5),
                rule,
                upsample,
                leaky,
            };
            let name = format!("{what}, k{k}, {c} channels");
            layers.push((name, layer, x, k, Ty::Windows(windows), table.pack()));
        }
    }
    layers
}

const TEST_HIDDEN: usize = 6;

fn test_weights(k: usize, c: usize) -> [CaseInput; 4] {
    let weight = || CaseInput::weight(k, k, TEST_HIDDEN, c);
    let bias = || CaseInput::dense(Shape::vector(c));
    [weight(), bias(), weight(), bias()]
}

impl Cases for Modulate {
    fn cases() -> Vec<Case> {
        let case = |(name, op, x, k, ty, table): (String, Self, Shape, usize, Ty, Vec<u32>)| {
            let rows = Shape::new(1, 1, ty.windows().pixels, TEST_HIDDEN);
            let mut inputs = vec![CaseInput::dense(x), CaseInput::range(rows, 0.0, 1.0)];
            inputs.extend(test_weights(k, x.c));
            inputs.push(CaseInput::Index(ty, table));
            if op.stats == Stats::Given {
                inputs.push(CaseInput::dense(Shape::vector(x.c)));
                inputs.push(CaseInput::range(Shape::vector(x.c), 0.5, 1.5));
            }
            Case {
                name,
                op: op.into(),
                inputs,
            }
        };
        layers().into_iter().map(case).collect()
    }
}
