//! The SPADE layer with its table of gamma and beta kept: [`KeepRows`] computes rows of the table that are not there
//! yet, [`ModulateKept`] applies rows that are. Out of training the table depends on label windows and weights alone,
//! so it outlives the picture, the style and an edit of the layout.
//!
//! A kept table is `1 x 2 x rows x c`: the rows of gamma, then those of beta. Which window lies in which row is the
//! host's to know.

use super::*;

/// Writes gamma and beta of listed windows into rows of a kept table.
///
/// Arguments: the kept table, hidden rows a, gamma weight and bias, beta weight and bias, the table of the windows
/// (second tier), and the kept row of each of its windows. Result: the kept table, in place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeepRows {}

fn check(op: &'static str, fits: bool, inputs: &[Ty]) -> Result<()> {
    if fits {
        return Ok(());
    }
    let types: Vec<_> = inputs.iter().map(Ty::to_string).collect();
    let message = format!("{} do not fit", types.join(", "));
    Err(Error::Shape { op, message })
}

/// Rows of a kept table.
fn kept_rows(table: Shape) -> usize {
    table.w
}

impl Operation for KeepRows {
    fn name(&self) -> &'static str {
        "keep_rows"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let [table, a, w_gamma, b_gamma, w_beta, b_beta] =
            [0, 1, 2, 3, 4, 5].map(|i| inputs[i].shape());
        let windows = inputs[6].windows();
        let fits = w_gamma == w_beta
            && [table.n, table.h, table.c] == [1, 2, w_gamma.c]
            && w_gamma.n * w_gamma.h == windows.taps
            && w_gamma.w == a.c.next_multiple_of(4)
            && [b_gamma, b_beta] == [Shape::vector(w_gamma.c); 2]
            && a.rows() >= windows.channels
            && inputs[7] == Ty::Symbols(windows.pixels);
        check(self.name(), fits, inputs)?;
        Ok(vec![inputs[0]])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output};
        let table = site.input(0);
        let space = Workspace::new(site, 6, table.c4(), false);
        let mut dispatches = Vec::new();
        for block in space.blocks(table.c4()) {
            let table = |pass| {
                let biases = [Input(3), Input(5)];
                table_dispatch(site, &space, block, pass, [6, table.c4()], &biases)
                    .define("keep", 1)
                    .params(&[table.c4(), kept_rows(table)])
                    .bind(&[Input(6), Input(7), Output(0)])
            };
            dispatches.extend(rows_of_block(site, &space, block, table));
        }
        Kernel {
            scratch: vec![space.products],
            dispatches,
        }
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let windows = WindowView::new(inputs[6].words());
        let mut table = inputs[0].clone();
        let Shape { w: rows, c, .. } = table.shape();
        for (part, weight) in [2, 4].into_iter().enumerate() {
            let values = table_reference(inputs[1], inputs[weight], inputs[weight + 1], &windows);
            let targets = inputs[7].words().iter();
            for (values, &row) in values.chunks_exact(c).zip(targets) {
                let at = (part * rows + row as usize) * c;
                table.data_mut()[at..at + c].copy_from_slice(values);
            }
        }
        vec![table]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        let worst = inputs[6].windows().worst_header();
        Cost {
            macs: Self::macs(inputs, &worst),
            adds: 0,
            bytes: inputs.iter().chain(outputs).map(Ty::bytes).sum(),
        }
    }

    fn executed_macs(&self, inputs: &[Ty], _: &[Ty], headers: &[Option<Header>]) -> u64 {
        headers[6].map_or(0, |header| Self::macs(inputs, &header))
    }

    fn aliases(&self) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }
}

impl KeepRows {
    fn macs(inputs: &[Ty], header: &Header) -> u64 {
        let [taps, lower] = [header[2], header[3]].map(u64::from);
        taps * lower * inputs[1].shape().c as u64 * 2 * inputs[0].shape().c as u64
    }
}

/// The SPADE layer with its activation, gamma and beta taken from a kept table.
///
/// Arguments: x, the kept table, its row for each pixel of y, and for [`Stats::Given`] mean and variance. Results: as
/// of [`Modulate`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModulateKept {
    /// What happens to x.
    pub layer: Modulate,
}

impl Operation for ModulateKept {
    fn name(&self) -> &'static str {
        "modulate_kept"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let [x, table] = [0, 1].map(|i| inputs[i].shape());
        let y = self.layer.layer_shape(x);
        let stat = Ty::Dense(self.layer.stat_shape(x));
        let given = match self.layer.stats {
            Stats::Given => 2,
            _ => 0,
        };
        let fits = [table.n, table.h, table.c] == [1, 2, x.c]
            && inputs[2] == Ty::Symbols(y.rows())
            && inputs[3..] == vec![stat; given];
        check(self.name(), fits, inputs)?;
        let mut results = vec![Ty::Dense(y)];
        results.extend(vec![stat; 2 - given]);
        Ok(results)
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::Input;
        let (x, table) = (site.input(0), site.input(1));
        let MomentsKernel {
            scratch,
            mut dispatches,
            mean,
            variance,
        } = self.layer.moments_kernel(x, [Input(3), Input(4)], 0);
        let rows = Texels::array(Input(1), table.vec4s());
        dispatches.push(
            self.layer
                .apply_dispatch(site.family, x, (0, x.c4()), rows)
                .param(kept_rows(table))
                .define("keep", 1)
                .bind(&[mean, variance, Input(2), Binding::Output(0)]),
        );
        Kernel {
            scratch,
            dispatches,
        }
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let (table, ids) = (inputs[1], inputs[2].words());
        let Shape { w: rows, c, .. } = table.shape();
        let (gamma, beta) = table.data().split_at(rows * c);
        let given = [3, 4].map(|i| inputs.get(i).copied());
        let y = outputs[0].shape();
        self.layer.applied(inputs[0], given, ids, [gamma, beta], y)
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        Cost {
            macs: 0,
            adds: inputs[0].shape().len() as u64,
            bytes: inputs.iter().chain(outputs).map(Ty::bytes).sum(),
        }
    }
}

/// More rows than there are windows, so that one out of place is noticed.
const SPARE_ROWS: usize = 5;

/// Rows of a kept table for so many windows, in an order of their own.
fn test_rows(windows: usize) -> (usize, Vec<u32>) {
    let rows = windows + SPARE_ROWS;
    // A step that shares no factor with the number of rows visits each of them once.
    let gcd = |mut a: usize, mut b: usize| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let step = (rows / 2 + 1..).find(|&step| gcd(step, rows) == 1);
    let step = step.unwrap_or(1);
    let row = |window| (window * step % rows) as u32;
    (rows, (0..windows).map(row).collect())
}

impl Cases for KeepRows {
    fn cases() -> Vec<Case> {
        let case = |(name, _, x, k, ty, words): (String, Modulate, Shape, usize, Ty, Vec<u32>)| {
            let hidden = Shape::new(1, 1, ty.windows().pixels, TEST_HIDDEN);
            let (rows, mut targets) = test_rows(WindowView::new(&words).windows());
            // What lies behind the last window is not read.
            targets.resize(ty.windows().pixels, u32::MAX);
            let targets_ty = Ty::Symbols(ty.windows().pixels);
            let mut inputs = vec![CaseInput::dense(Shape::new(1, 2, rows, x.c))];
            inputs.push(CaseInput::range(hidden, 0.0, 1.0));
            inputs.extend(test_weights(k, x.c));
            inputs.push(CaseInput::Index(ty, words));
            inputs.push(CaseInput::Index(targets_ty, targets));
            Case {
                name,
                op: Self {}.into(),
                inputs,
            }
        };
        layers().into_iter().map(case).collect()
    }
}

impl Cases for ModulateKept {
    fn cases() -> Vec<Case> {
        let case =
            |(name, layer, x, _, ty, words): (String, Modulate, Shape, usize, Ty, Vec<u32>)| {
                let windows = WindowView::new(&words);
                let (rows, row_of) = test_rows(windows.windows());
                let ids = windows.ids().iter().map(|&id| row_of[id as usize]);
                let mut inputs = vec![
                    CaseInput::dense(x),
                    CaseInput::dense(Shape::new(1, 2, rows, x.c)),
                    CaseInput::Index(Ty::Symbols(ty.windows().pixels), ids.collect()),
                ];
                if layer.stats == Stats::Given {
                    inputs.push(CaseInput::dense(Shape::vector(x.c)));
                    inputs.push(CaseInput::range(Shape::vector(x.c), 0.5, 1.5));
                }
                Case {
                    name,
                    op: Self { layer }.into(),
                    inputs,
                }
            };
        layers().into_iter().map(case).collect()
    }
}
