//! Gradients of the SPADE layer.

use super::*;

/// Gradients of [`Modulate`].
///
/// Arguments: dy, y, x, mean, variance, hidden rows a, gamma weight and bias, beta weight, window table. Results:
/// gradients of x, a, gamma weight and bias, beta weight and bias. gamma is computed again rather than kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModulateGrad {
    /// The layer.
    pub forward: Modulate,
}

impl ModulateGrad {
    /// The dispatches of one block of output channels. Scratch: products, table, partial sums, gradient of norm(x).
    fn block(&self, site: &Site, space: &Workspace, block: (usize, usize)) -> Vec<Dispatch> {
        use Binding::{Input, Output, Scratch};
        let (x, weight, header) = (site.input(2), site.input(6), site.header(9));
        let forward = &self.forward;
        let width = 2 * block.1;
        let given = forward.stats == Stats::Given;
        let (windows, tiles) = (header[1] as usize, (header[1] as usize).div_ceil(64));
        let y: &[Binding] = if forward.leaky { &[Input(1)] } else { &[] };
        let variance: &[Binding] = if given { &[Input(4)] } else { &[] };
        let d_normalised = if given { Output(0) } else { Scratch(3) };
        let columns = site.family.columns(x.c4());
        let steps = block.1.div_ceil(columns);
        let gamma = Texels::array(Scratch(1), windows * block.1)
            .reserve(Texels::layers_of_words(space.table));
        let mut dispatches = Vec::new();
        for pass in space.passes() {
            let gamma = gemm_block(site, &header, weight, block, [block.1, 0], space, pass);
            dispatches.extend([
                gamma.products([Input(5), Input(6)], Scratch(0)),
                table_dispatch(site, space, block, pass, [9, weight.c4()], &[Input(7)])
                    .bind(&[Input(9), Scratch(1)]),
            ]);
        }
        dispatches.extend([
            forward
                .pixel_dispatch("spread", x, x.rows() * steps, block)
                .define("columns", columns as u32)
                .define("given", u32::from(given))
                .bind_arrays(site.family, &[gamma])
                .bind(&[Input(0)])
                .bind(y)
                .bind(variance)
                .bind(&[Input(9), d_normalised]),
            forward
                .pixel_dispatch("chunk", x, header[7] as usize * steps, block)
                .define("columns", columns as u32)
                .define("per_sample", forward.per_sample())
                .bind(&[Input(0)])
                .bind(y)
                .bind(&[Input(2), Input(3), Input(4), Input(9), Scratch(2)]),
            Dispatch::new("labels", "lookup_sum")
                .bind(&[Scratch(2), Input(9), Scratch(1)])
                .items(windows * width)
                .param(width),
            Dispatch::new("labels", "bias_tile")
                .define("relu", 0)
                .bind(&[Scratch(1), Scratch(2)])
                .items(tiles * width)
                .param(width)
                .param(windows),
            Dispatch::new("modulate", "bias")
                .bind(&[Scratch(2), Output(3), Output(5)])
                .items(width)
                .param(block.1)
                .param(tiles)
                .param(block.0),
        ]);
        // By then nobody reads the partial sums of pixels and windows.
        let room = Parts {
            scratch: Scratch(2),
            words: space.partial,
        };
        for pass in space.passes() {
            let gemm = |at4| gemm_block(site, &header, weight, block, [width, at4], space, pass);
            let lower = header[3] as usize;
            let chunks = tap_chunks(windows, lower, pass.1).min(header[12] as usize);
            let is_first = block.0 == 0 && pass.0 == 0;
            dispatches.extend(taps(
                site,
                space,
                block.1,
                [pass.0 * lower, pass.1 * lower],
                chunks,
            ));
            let (a, d) = (Input(5), Scratch(0));
            for (at4, w, dw, is_further) in [
                (0, Input(6), Output(2), !is_first),
                (block.1, Input(8), Output(4), true),
            ] {
                dispatches.extend(gemm(at4).weight_grad([a, d], dw, false, room));
                dispatches.extend(gemm(at4).row_grad([d, w], Output(1), is_further, room));
            }
        }
        dispatches
    }
}

/// Gradients of the products in the first scratch buffer, from those of the windows' rows in the second: `rows` says
/// which, and how many.
fn taps(
    site: &Site,
    space: &Workspace,
    cols4: usize,
    rows: [usize; 2],
    chunks: usize,
) -> Vec<Dispatch> {
    use Binding::{Input, Scratch};
    let (width, windows) = (2 * cols4, site.header(9)[1] as usize);
    let columns = site.family.columns(site.input(6).c4());
    let dispatch = |entry, items: usize, arrays: &[Texels], to| {
        Dispatch::new("modulate", entry)
            .define("columns", columns as u32)
            .bind_arrays(site.family, arrays)
            .bind(&[Input(9), to])
            .items(items * width.div_ceil(columns))
            .param(cols4)
            .params(&rows)
    };
    let of_windows =
        Texels::array(Scratch(1), windows * width).reserve(Texels::layers_of_words(space.table));
    match site.family {
        Family::Subgroup(_) => vec![dispatch("taps", rows[1], &[of_windows], Scratch(0))],
        Family::Tiled(_) => {
            let of_chunks = Texels::array(Scratch(2), chunks * width);
            vec![
                dispatch("taps_chunk", chunks, &[of_windows], Scratch(2)),
                dispatch("taps_sum", rows[1], &[of_chunks], Scratch(0)),
            ]
        }
    }
}

impl Operation for ModulateGrad {
    fn name(&self) -> &'static str {
        "modulate_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let y = self.forward.layer_shape(inputs[2].shape());
        if [inputs[0], inputs[1]] != [Ty::Dense(y); 2] {
            let message = format!("dy {} and y {} for y {y}", inputs[0], inputs[1]);
            return Err(Error::Shape {
                op: self.name(),
                message,
            });
        }
        Ok([2, 5, 6, 7, 8, 7].map(|i| inputs[i]).to_vec())
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output, Scratch};
        let x = site.input(2);
        let space = Workspace::new(site, 9, x.c4(), true);
        let mut scratch = vec![space.products, space.table, space.partial];
        let mut dispatches: Vec<_> = space
            .blocks(x.c4())
            .flat_map(|block| self.block(site, &space, block))
            .collect();
        if self.forward.stats != Stats::Given {
            let rule = norm::Norm {
                per_sample: self.forward.stats == Stats::Instance,
                eps: self.forward.eps,
                rule: self.forward.rule,
            };
            scratch.extend([x.vec4s() * 4, norm::norm_grad_scratch(x, rule.per_sample)]);
            let statistics = [Input(2), Input(3), Input(4)];
            dispatches.extend(norm::norm_grad(
                &rule,
                x,
                Scratch(3),
                statistics,
                Scratch(4),
                Output(0),
            ));
        }
        Kernel {
            scratch,
            dispatches,
        }
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let [dy, y, x, mean, variance, a, w_gamma, b_gamma, w_beta] =
            [0, 1, 2, 3, 4, 5, 6, 7, 8].map(|i| inputs[i]);
        let forward = &self.forward;
        let table = WindowView::new(inputs[9].words());
        let gamma = table_reference(a, w_gamma, b_gamma, &table);
        let c_count = x.shape().c;
        let half = 1 + usize::from(forward.upsample);
        let mut d_normalised = Tensor::zeros(x.shape());
        let mut d_rows = [vec![0.0; gamma.len()], vec![0.0; gamma.len()]];
        let y_shape = y.shape();
        for (pixel, &window) in table.ids().iter().enumerate() {
            let (n, h, w) = (
                pixel / (y_shape.h * y_shape.w),
                pixel / y_shape.w % y_shape.h,
                pixel % y_shape.w,
            );
            for c in 0..c_count {
                let slope = if forward.leaky && y.at(n, h, w, c) <= 0.0 {
                    0.2
                } else {
                    1.0
                };
                let d = dy.at(n, h, w, c) * slope;
                let stat = n % mean.shape().n;
                let value = x.at(n, h / half, w / half, c) - mean.at(stat, 0, 0, c);
                let inverse = forward
                    .rule
                    .inverse_deviation(variance.at(stat, 0, 0, c), forward.eps);
                let at = window as usize * c_count + c;
                *d_normalised.at_mut(n, h / half, w / half, c) += d * (1.0 + gamma[at]);
                d_rows[0][at] += d * value * inverse;
                d_rows[1][at] += d;
            }
        }
        let dx = match forward.stats {
            Stats::Given => {
                norm::given_grad_reference(&d_normalised, variance, forward.rule, forward.eps)
            }
            stats => {
                let rule = norm::Norm {
                    per_sample: stats == Stats::Instance,
                    eps: forward.eps,
                    rule: forward.rule,
                };
                norm::norm_grad_reference(&rule, &d_normalised, x, mean, variance)
            }
        };
        let mut da = Tensor::zeros(a.shape());
        let [d_gamma, d_beta] = [(w_gamma, &d_rows[0]), (w_beta, &d_rows[1])]
            .map(|(w, d)| weight_reference(a, w, d, &table, &mut da));
        let [(dwg, dbg), (dwb, dbb)] = [d_gamma, d_beta];
        vec![dx, da, dwg, dbg, dwb, dbb]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        let inputs_of_forward: Vec<Ty> = vec![inputs[2], inputs[5]];
        let worst = inputs[9].windows().worst_header();
        // gamma once more (half of the products), then gradients of both weights and of the rows.
        let macs = Modulate::table_macs(&inputs_of_forward, 1, &worst);
        Cost {
            macs: macs / 2 + 2 * macs,
            adds: inputs[0].shape().len() as u64,
            bytes: inputs.iter().chain(outputs).map(Ty::bytes).sum(),
        }
    }

    fn executed_macs(&self, inputs: &[Ty], _: &[Ty], headers: &[Option<Header>]) -> u64 {
        let inputs_of_forward: Vec<Ty> = vec![inputs[2], inputs[5]];
        let macs = headers[9].map_or(0, |h| Modulate::table_macs(&inputs_of_forward, 1, &h));
        macs / 2 + 2 * macs
    }

    fn live_rows(&self, inputs: &[&Tensor], output: usize) -> Option<usize> {
        (output == 1).then(|| WindowView::new(inputs[9].words()).channels())
    }
}

/// Gradients of a weight and its bias from those of the window rows; adds the gradient of the hidden rows to `da`.
fn weight_reference(
    a: &Tensor,
    w: &Tensor,
    d_rows: &[f64],
    table: &WindowView,
    da: &mut Tensor,
) -> (Tensor, Tensor) {
    let (hidden, inner, c) = (a.shape().c, w.shape().w, w.shape().c);
    let mut dw = Tensor::zeros(w.shape());
    let mut db = Tensor::zeros(Shape::vector(c));
    for (window, d_row) in d_rows.chunks_exact(c).enumerate() {
        db.data_mut()
            .iter_mut()
            .zip(d_row)
            .for_each(|(sum, d)| *sum += d);
        for (tap, &symbol) in table.window(window).iter().enumerate() {
            if symbol == OUTSIDE {
                continue;
            }
            for k in 0..hidden {
                let row = (symbol & ID_MASK) as usize * hidden + k;
                let (at, left) = ((tap * inner + k) * c, a.data()[row]);
                let mut sum = 0.0;
                for (i, d) in d_row.iter().enumerate() {
                    dw.data_mut()[at + i] += left * d;
                    sum += w.data()[at + i] * d;
                }
                da.data_mut()[row] += sum;
            }
        }
    }
    (dw, db)
}

impl Cases for ModulateGrad {
    fn cases() -> Vec<Case> {
        let case =
            |(name, forward, x, k, ty, table): (String, Modulate, Shape, usize, Ty, Vec<u32>)| {
                let rows = Shape::new(1, 1, ty.windows().pixels, TEST_HIDDEN);
                let y = CaseInput::dense(forward.layer_shape(x));
                let dy = CaseInput::dense(forward.layer_shape(x));
                let stat = forward.stat_shape(x);
                let mut inputs = vec![
                    dy,
                    y,
                    CaseInput::dense(x),
                    CaseInput::range(stat, -0.1, 0.1),
                ];
                inputs.extend([
                    CaseInput::range(stat, 0.2, 0.5),
                    CaseInput::range(rows, 0.0, 1.0),
                ]);
                let [w_gamma, b_gamma, w_beta, _] = test_weights(k, x.c);
                inputs.extend([w_gamma, b_gamma, w_beta, CaseInput::Index(ty, table)]);
                Case {
                    name,
                    op: Self { forward }.into(),
                    inputs,
                }
            };
        layers().into_iter().map(case).collect()
    }
}
