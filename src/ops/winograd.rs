//! Convolutions of 3x3 filters with stride 1 by Winograd's minimal filtering (Lavin and Gray, 2016): tiles of 2x2 or 4x4
//! results are transformed, so that 16 products take the place of 36, or 36 that of 144.
//!
//! Models do not ask for them. The planner puts them in the place of plain convolutions where they are faster, and the
//! transformed filters, being values of their own, are computed once where nothing changes the filters.

mod choice;
mod lower;
mod rule;
mod transforms;

use super::epilogue::Epilogue;
use super::gemm::{Block, Parts};
use super::*;
use crate::graph::Shape;
use crate::{Error, Result};
pub use choice::{Choices, Convolution, Method, Pass};
pub use lower::Filtering;
pub(crate) use lower::{convolution, forward, input_grad, weight_grad};
use transforms::{Transforms, both, transforms};

/// Numbers of a transformed tile.
fn area(tile: usize) -> usize {
    (tile + 2) * (tile + 2)
}

/// Channels that an invocation transforms. Tiles of four times so many are 72 to 144 numbers, all needed at once: few GPUs
/// have registers for the latter, while lanes of a processor load vectors of four best.
fn lanes(family: Family) -> usize {
    match family {
        Family::Tiled(_) => 2,
        Family::Subgroup(_) => 4,
    }
}

/// A transform of so many rows of so many `vec4` of channels.
fn dispatch(
    entry: &'static str,
    tile: usize,
    family: Family,
    [rows, columns4]: [usize; 2],
) -> Dispatch {
    let lanes = lanes(family);
    let columns = columns4 * 4 / lanes;
    Dispatch::new("winograd", entry)
        .define("m", tile as u32)
        .define("lanes", lanes as u32)
        .items(rows * columns)
        .param(columns)
}

/// Filters ready for [`WinogradConv`]: one matrix of input by output channels for each of the `(tile + 2)^2` numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WinogradFilters {
    /// Results of a tile in each direction, two or four.
    pub tile: usize,
    /// For the filters that the gradient of a convolution's input meets: turned round, with their channels exchanged.
    /// How many input channels the convolution truly has.
    pub mirrored: Option<usize>,
}

impl Operation for WinogradFilters {
    fn name(&self) -> &'static str {
        "winograd_filters"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let w = inputs[0].shape();
        let fits_channels = |cin: usize| cin.next_multiple_of(4) == w.w;
        if [w.n, w.h] != [3, 3] || !self.mirrored.is_none_or(fits_channels) {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("filters {w}, {self:?}"),
            });
        }
        let side = self.tile + 2;
        let shape = match self.mirrored {
            None => Shape::new(side, side, w.w, w.c),
            Some(cin) => Shape::new(side, side, w.c.next_multiple_of(4), cin),
        };
        Ok(vec![Ty::Dense(shape)])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let u = site.output(0);
        let (entry, groups) = match self.mirrored {
            None => ("filters", u.w),
            Some(_) => ("mirrored", u.w / lanes(site.family)),
        };
        dispatch(entry, self.tile, site.family, [groups, u.c4()])
            .params(&[0, u.w, 0, 0, 0, 0, 0])
            .bind(&[Binding::Input(0), Binding::Output(0)])
            .into()
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let w = inputs[0];
        let g = transforms(self.tile).g;
        let Some(_) = self.mirrored else {
            return vec![both(g, false, w)];
        };
        let u = outputs[0].shape();
        let shape = Shape::new(3, 3, u.w, u.c);
        let mirrored = Tensor::from_fn(shape, |ky, kx, co, ci| match co < w.shape().c {
            true => w.at(2 - ky, 2 - kx, ci, co),
            false => 0.0,
        });
        vec![both(g, false, &mirrored)]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        Cost {
            adds: 9 * outputs[0].shape().len() as u64,
            bytes: inputs[0].bytes() + outputs[0].bytes(),
            macs: 0,
        }
    }
}

/// The tiles of an image and its results.
#[derive(Clone, Copy)]
struct Tiling {
    tile: usize,
    pad: usize,
    /// Input of the convolution.
    x: Shape,
    /// Its output.
    y: Shape,
}

impl Tiling {
    fn new(tile: usize, pad: usize, x: Shape, c: usize) -> Self {
        let [h, w] = [x.h, x.w].map(|side| (side + 2 * pad).saturating_sub(2));
        let y = Shape::new(x.n, h, w, c);
        Self { tile, pad, x, y }
    }

    fn grid(&self) -> [usize; 2] {
        [self.y.h, self.y.w].map(|side| side.div_ceil(self.tile))
    }

    fn tiles(&self) -> usize {
        self.y.n * self.grid()[0] * self.grid()[1]
    }

    /// Tiles of each round, so that all that is transformed of them fits a workspace.
    fn round(&self, workspace_bytes: usize) -> usize {
        let bytes = area(self.tile) * (self.x.c4() + self.y.c4()) * 16;
        let most = (workspace_bytes / bytes).clamp(1, self.tiles());
        self.tiles().div_ceil(self.tiles().div_ceil(most))
    }

    /// First tile and number of tiles of each round.
    fn rounds(&self, workspace_bytes: usize) -> impl Iterator<Item = (usize, usize)> {
        let (tiles, round) = (self.tiles(), self.round(workspace_bytes));
        (0..tiles)
            .step_by(round)
            .map(move |first| (first, round.min(tiles - first)))
    }

    /// Words of transformed tiles of so many channels.
    fn words(&self, tiles: usize, c4: usize) -> usize {
        area(self.tile) * tiles * c4 * 4
    }

    /// A transform of tiles of an image.
    fn transform(
        &self,
        entry: &'static str,
        family: Family,
        (image, pad): (Shape, usize),
        (first, tiles): (usize, usize),
    ) -> Dispatch {
        let [grid_h, grid_w] = self.grid();
        dispatch(entry, self.tile, family, [tiles, image.c4()])
            .params(&[first, tiles, grid_h, grid_w, image.h, image.w, pad])
    }

    /// Tiles overlap, so an element is read more than twice on average where tiles are four wide.
    fn input(&self, round: (usize, usize), family: Family, to: Binding) -> Dispatch {
        self.transform("input", family, (self.x, self.pad), round)
            .bind_arrays(family, &[Texels::array(Binding::Input(0), self.x.vec4s())])
            .bind(&[to])
    }

    /// The products of a round: `(tile + 2)^2` of them.
    fn block(&self, tiles: usize, family: Family) -> Block {
        Block {
            family,
            matrices: None,
            taps: (0, area(self.tile)),
            all_taps: area(self.tile),
            rows: tiles,
            most_rows: tiles,
            inner4: self.x.c4(),
            c4: self.y.c4(),
            from4: 0,
            cols4: self.y.c4(),
            stride4: self.y.c4(),
            at4: 0,
            is_batched: true,
            products_words: 0,
        }
    }

    /// The image in tiles, `tile + extra` numbers a side: `[i, j, tile, channel]`, zero where there is no image.
    fn tiled(&self, image: &Tensor, pad: usize, extra: usize) -> Tensor {
        let ([grid_h, grid_w], side) = (self.grid(), self.tile + extra);
        let Shape { h, w, c, .. } = image.shape();
        Tensor::from_fn(Shape::new(side, side, self.tiles(), c), |i, j, tile, c| {
            let (n, ty, tx) = (
                tile / (grid_h * grid_w),
                tile / grid_w % grid_h,
                tile % grid_w,
            );
            let at = |t: usize, i: usize, size: usize| {
                (t * self.tile + i).checked_sub(pad).filter(|&at| at < size)
            };
            match (at(ty, i, h), at(tx, j, w)) {
                (Some(y), Some(x)) => image.at(n, y, x, c),
                _ => 0.0,
            }
        })
    }

    /// Multiply-adds of the plain convolution, as the networks' costs are counted.
    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        Cost {
            macs: (9 * self.y.len() * self.x.c) as u64,
            adds: 0,
            bytes: inputs.iter().chain(outputs).map(Ty::bytes).sum(),
        }
    }
}

/// A convolution of filters that [`WinogradFilters`] transformed, with stride 1, and then its epilogue.
///
/// Arguments: x, the filters and, where there are any, the bias, the residual and the divisor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WinogradConv {
    /// Results of a tile in each direction, two or four.
    pub tile: usize,
    /// Zeros around the image.
    pub pad: usize,
    /// What happens to the sums.
    pub epilogue: Epilogue,
}

impl WinogradConv {
    fn tiling(&self, inputs: &[Ty]) -> Tiling {
        let (x, u) = (inputs[0].shape(), inputs[1].shape());
        Tiling::new(self.tile, self.pad, x, u.c)
    }

    fn has_bias(&self, inputs: usize) -> bool {
        inputs == 3 + self.epilogue.arguments()
    }
}

impl Operation for WinogradConv {
    fn name(&self) -> &'static str {
        "winograd_conv"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let (x, u) = (inputs[0].shape(), inputs[1].shape());
        let side = self.tile + 2;
        let y = self.tiling(inputs).y;
        let has_bias = self.has_bias(inputs.len());
        let count = 2 + usize::from(has_bias) + self.epilogue.arguments();
        let fits_filters = u == Shape::new(side, side, x.c.next_multiple_of(4), u.c);
        let fits = fits_filters && inputs.len() == count && y.h > 0 && y.w > 0;
        let bias_fits = !has_bias || inputs[2].shape() == Shape::vector(u.c);
        if !fits || !bias_fits || !self.epilogue.fits(inputs, y) {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("x {x} with filters {u}, {self:?}"),
            });
        }
        Ok(vec![Ty::Dense(y)])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let tiling = self.tiling(site.inputs);
        let has_bias = self.has_bias(site.inputs.len());
        let arguments = usize::from(has_bias) + self.epilogue.arguments();
        let [v, m] = [0, 1].map(Binding::Scratch);
        let output = |round| {
            let output = tiling
                .transform("output", site.family, (tiling.y, 0), round)
                .define("bias", u32::from(has_bias))
                .define("residual", u32::from(self.epilogue.residual))
                .define("divided", u32::from(self.epilogue.divided))
                .define("activation", self.epilogue.code())
                .bind(&[m])
                .bind(&[2, 3, 4].map(Binding::Input)[..arguments])
                .bind(&[Binding::Output(0)]);
            match self.epilogue.residual {
                true => output.param(self.epilogue.residual4(site.inputs) * 4 / lanes(site.family)),
                false => output,
            }
        };
        let rounds = tiling.rounds(site.workspace_bytes).flat_map(|round| {
            let block = tiling.block(round.1, site.family);
            [
                tiling.input(round, site.family, v),
                block.products([v, Binding::Input(1)], m),
                output(round),
            ]
        });
        let round = tiling.round(site.workspace_bytes);
        Kernel {
            scratch: [tiling.x, tiling.y]
                .map(|s| tiling.words(round, s.c4()))
                .into(),
            dispatches: rounds.collect(),
        }
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let (x, u) = (inputs[0], inputs[1]);
        let tiling = Tiling::new(self.tile, self.pad, x.shape(), u.shape().c);
        let Transforms { bt, at, .. } = transforms(self.tile);
        let v = both(bt, false, &tiling.tiled(x, self.pad, 2));
        let side = self.tile + 2;
        let products = Shape::new(side, side, tiling.tiles(), u.shape().c);
        let m = Tensor::from_fn(products, |i, j, tile, co| {
            let channels = 0..x.shape().c;
            channels
                .map(|ci| v.at(i, j, tile, ci) * u.at(i, j, ci, co))
                .sum()
        });
        let sums = both(at, false, &m);
        let [grid_h, grid_w] = tiling.grid();
        let mut y = Tensor::from_fn(outputs[0].shape(), |n, h, w, c| {
            let tile = (n * grid_h + h / self.tile) * grid_w + w / self.tile;
            sums.at(h % self.tile, w % self.tile, tile, c)
        });
        let bias = self.has_bias(inputs.len()).then(|| inputs[2]);
        self.epilogue.reference(&mut y, bias, inputs);
        vec![y]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        self.tiling(inputs).cost(inputs, outputs)
    }
}

/// Gradient of a 3x3 convolution of stride 1 with respect to its filters, from x and dy: the transposes of the
/// transforms, in reverse.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WinogradFiltersGrad {
    /// Results of a tile in each direction, two or four.
    pub tile: usize,
    /// Zeros around the image.
    pub pad: usize,
}

impl WinogradFiltersGrad {
    fn tiling(&self, inputs: &[Ty]) -> Tiling {
        let (x, dy) = (inputs[0].shape(), inputs[1].shape());
        Tiling::new(self.tile, self.pad, x, dy.c)
    }
}

impl Operation for WinogradFiltersGrad {
    fn name(&self) -> &'static str {
        "winograd_filters_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let tiling = self.tiling(inputs);
        if inputs[1] != Ty::Dense(tiling.y) || tiling.y.rows() == 0 {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("dy {} where {} is due", inputs[1], tiling.y),
            });
        }
        Ok(vec![Ty::Dense(Shape::weight(3, 3, tiling.x.c, tiling.y.c))])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        let tiling = self.tiling(site.inputs);
        let (c4, rows) = (tiling.y.c4(), site.output(0).w);
        let [v, d, du] = [0, 1, 2].map(Binding::Scratch);
        let du_words = area(self.tile) * rows * c4 * 4;
        let round = tiling.round(site.workspace_bytes);
        let room = Parts {
            scratch: Binding::Scratch(3),
            words: tiling
                .block(round, site.family)
                .parts_words(false, site.workspace_bytes / 4),
        };
        let rounds = tiling.rounds(site.workspace_bytes).flat_map(|round| {
            let block = tiling.block(round.1, site.family);
            let transforms = [
                tiling.input(round, site.family, v),
                tiling
                    .transform("output_grad", site.family, (tiling.y, 0), round)
                    .bind(&[Binding::Input(1), d]),
            ];
            let products = block.weight_grad([v, d], du, round.0 > 0, room);
            transforms.into_iter().chain(products)
        });
        let filters = dispatch("filters_grad", self.tile, site.family, [rows, c4])
            .params(&[0, rows, 0, 0, 0, 0, 0])
            .bind(&[du, Binding::Output(0)]);
        let [of_x, of_y] = [tiling.x, tiling.y].map(|s| tiling.words(round, s.c4()));
        let mut scratch = vec![of_x, of_y, du_words];
        if room.words > 0 {
            scratch.push(room.words);
        }
        Kernel {
            scratch,
            dispatches: rounds.chain([filters]).collect(),
        }
    }

    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor> {
        let (x, dy) = (inputs[0], inputs[1]);
        let tiling = Tiling::new(self.tile, self.pad, x.shape(), dy.shape().c);
        let Transforms { bt, g, at } = transforms(self.tile);
        let v = both(bt, false, &tiling.tiled(x, self.pad, 2));
        let d = both(at, true, &tiling.tiled(dy, 0, 0));
        let (side, dw) = (self.tile + 2, outputs[0].shape());
        let du = Tensor::from_fn(Shape::new(side, side, dw.w, dw.c), |i, j, ci, co| {
            if ci >= x.shape().c {
                return 0.0;
            }
            let tiles = 0..tiling.tiles();
            tiles
                .map(|tile| v.at(i, j, tile, ci) * d.at(i, j, tile, co))
                .sum()
        });
        vec![both(g, true, &du)]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        self.tiling(inputs).cost(inputs, outputs)
    }
}

/// Input, output channels, padding: odd sizes, parts of tiles, several samples, more tiles than a workgroup's, one pixel.
const TEST_SIZES: [(Shape, usize, usize); 7] = [
    (Shape::new(2, 5, 7, 3), 8, 1),
    (Shape::new(1, 4, 4, 36), 5, 1),
    (Shape::new(1, 8, 9, 16), 40, 1),
    (Shape::new(3, 3, 4, 7), 9, 2),
    (Shape::new(1, 6, 5, 4), 1, 0),
    (Shape::new(1, 1, 1, 1), 1, 1),
    (Shape::new(1, 29, 31, 4), 68, 1),
];

/// A case for both sizes of tiles.
fn cases_of(make: impl Fn(usize, Shape, usize, usize) -> (Op, Vec<CaseInput>)) -> Vec<Case> {
    let tiled = |tile: usize| TEST_SIZES.map(|size| (tile, size));
    let sizes = [2, 4].into_iter().flat_map(tiled);
    let case = |(tile, (x, cout, pad))| {
        let (op, inputs) = make(tile, x, cout, pad);
        let name = format!("{x} to {cout}, p{pad}, F{tile}");
        Case { name, op, inputs }
    };
    sizes.map(case).collect()
}

impl Cases for WinogradFilters {
    fn cases() -> Vec<Case> {
        let case = |mirrored: bool| {
            cases_of(move |tile, x, cout, _| {
                let mirrored = mirrored.then_some(x.c);
                let inputs = vec![CaseInput::weight(3, 3, x.c, cout)];
                (Self { tile, mirrored }.into(), inputs)
            })
        };
        [false, true].into_iter().flat_map(case).collect()
    }
}

impl Cases for WinogradConv {
    fn cases() -> Vec<Case> {
        use super::activation::Kind;
        let case = |epilogue: Epilogue, has_bias: bool| {
            cases_of(move |tile, x, cout, pad| {
                let filters = CaseInput::weight(tile + 2, tile + 2, x.c, cout);
                let mut inputs = vec![CaseInput::dense(x), filters];
                if has_bias {
                    inputs.push(CaseInput::dense(Shape::vector(cout)));
                }
                if epilogue.residual {
                    let y = Tiling::new(tile, pad, x, cout).y;
                    // Fewer samples, where there are several, repeat.
                    inputs.push(CaseInput::dense(y.with_n(1)));
                }
                if epilogue.divided {
                    inputs.push(CaseInput::range(Shape::scalar(), 0.5, 2.0));
                }
                let op = Self {
                    tile,
                    pad,
                    epilogue,
                };
                (op.into(), inputs)
            })
        };
        let all = Epilogue {
            divided: true,
            residual: true,
            activation: Some(Kind::LeakyRelu),
        };
        let [plain, joint] = [(Epilogue::default(), false), (all, true)];
        let mut cases = case(plain.0, plain.1);
        cases.extend(case(joint.0, joint.1));
        cases
    }
}

impl Cases for WinogradFiltersGrad {
    fn cases() -> Vec<Case> {
        cases_of(|tile, x, cout, pad| {
            let y = Tiling::new(tile, pad, x, cout).y;
            let inputs = vec![CaseInput::dense(x), CaseInput::dense(y)];
            (Self { tile, pad }.into(), inputs)
        })
    }
}
