//! From the shapes of a convolution to its dispatches. Everything here depends on shapes and the family alone, so a
//! run on another day adds the same numbers in the same order.

use super::Geometry;
use crate::ops::epilogue::Epilogue;
use crate::ops::{Binding, Dispatch, Family, Kernel, Texels};

/// Workgroups that keep a large GPU busy, and those that keep a few processor cores evenly loaded.
const GPU_WORKGROUPS: usize = 512;
const CPU_WORKGROUPS: usize = 16;
/// Fewer pixels for each are not worth a partial sum of the weight's gradient.
const LEAST_SHARE: usize = 256;

/// Which way values travel through the weight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    Forward,
    InputGrad,
}

impl Geometry {
    /// The convolution of `src` (the first argument) with the weight (the second) into the first result. Bias,
    /// residual and divisor, as far as there are any, are the next arguments; `residual4` counts the vectors of the latter.
    pub(super) fn through(
        &self,
        direction: Direction,
        bias: bool,
        epilogue: Epilogue,
        residual4: usize,
        family: Family,
    ) -> Dispatch {
        let (entry, src, dst) = match direction {
            Direction::Forward => ("forward", self.x, self.y),
            Direction::InputGrad => ("input_grad", self.y, self.x),
        };
        let step = match direction {
            Direction::Forward => 1,
            Direction::InputGrad => self.stride,
        };
        let phase_pixels = dst.n * dst.h.div_ceil(step) * dst.w.div_ceil(step);
        let (shader, lanes, width, pixels) = through_tile(family, phase_pixels, dst.c4());
        let tiles = phase_pixels.div_ceil(pixels * lanes.unwrap_or(256 / width));
        let workgroups = tiles * step * step * dst.c4().div_ceil(width);
        let source = Texels::new(Binding::Input(0), src.rows(), src.c4());
        let weight = Texels::new(Binding::Input(1), self.w.rows(), self.w.c4());
        let dispatch = Dispatch::new(shader, entry)
            .define("bias", u32::from(bias))
            .define("residual", u32::from(epilogue.residual))
            .define("divided", u32::from(epilogue.divided))
            .define("activation", epilogue.code())
            .define("pixels", pixels as u32);
        let dispatch = match lanes {
            None => dispatch
                .define("columns", width as u32)
                .define("doubled", family.doubled())
                .bind(&[Binding::Input(0), Binding::Input(1)]),
            Some(lanes) => dispatch
                .define("quads", width as u32)
                .define("lanes", lanes as u32)
                .bind_texels(source)
                .bind_texels(weight),
        };
        let dispatch = dispatch
            .bind(&[2, 3, 4].map(Binding::Input)[..usize::from(bias) + epilogue.arguments()])
            .bind(&[Binding::Output(0)])
            .workgroups(workgroups)
            .param(workgroups)
            .params(&[tiles, dst.n, self.stride, self.pad, self.w.n, self.w.h])
            .params(&[src.h, src.w, src.c4(), dst.h, dst.w, dst.c4()])
            .params(&[self.w.w, self.w.c4()]);
        let dispatch = match lanes {
            None => dispatch,
            Some(_) => dispatch.params(&source.strides()).params(&weight.strides()),
        };
        match epilogue.residual {
            true => dispatch.param(residual4),
            false => dispatch,
        }
    }

    /// The gradient of the weight, the first result, from `x` and `dy`.
    pub(super) fn weight_grad(&self, family: Family, workspace_bytes: usize) -> Kernel {
        let rows4 = self.w.n * self.w.h * self.x.c4();
        let tile = WeightTile::new(family, self.y.c4());
        let row_tiles = rows4.div_ceil(tile.rows4);
        let column_tiles = self.y.c4().div_ceil(tile.columns);
        let (wanted, least) = match family {
            Family::Tiled(_) => (GPU_WORKGROUPS, LEAST_SHARE),
            Family::Subgroup(_) => (CPU_WORKGROUPS, LEAST_SHARE / 4),
        };
        let pixels = self.y.rows();
        let parts = wanted
            .div_ceil(row_tiles * column_tiles)
            .min(pixels.div_ceil(least))
            .min(workspace_bytes / (self.w.vec4s() * 16).max(1))
            .max(1);
        let share = pixels.div_ceil(parts).next_multiple_of(tile.chunk).max(1);
        let parts = pixels.div_ceil(share).max(1);
        let workgroups = row_tiles * column_tiles * parts;
        let (input, gradient) = (
            Texels::new(Binding::Input(0), self.x.rows(), self.x.c4()),
            Texels::new(Binding::Input(1), pixels, self.y.c4()),
        );
        let dispatch = tile.dispatch(input, gradient);
        let is_texels = !dispatch.texels.is_empty();
        let target = if parts == 1 {
            Binding::Output(0)
        } else {
            Binding::Scratch(0)
        };
        let mut dispatch = dispatch
            .bind(&[target])
            .workgroups(workgroups)
            .params(&[workgroups, row_tiles, column_tiles, share, pixels])
            .params(&[self.stride, self.pad, self.w.h])
            .params(&[self.x.h, self.x.w, self.x.c4()])
            .params(&[self.y.h, self.y.w, self.y.c4(), rows4]);
        if is_texels {
            dispatch = dispatch
                .params(&input.strides())
                .params(&gradient.strides())
                .real(1.0 / self.y.h as f32)
                .real(1.0 / self.y.w as f32);
        }
        if parts == 1 {
            return dispatch.into();
        }
        let panel = self.w.vec4s();
        let sum = Dispatch::new("reduce", "sum")
            .bind(&[target, Binding::Output(0)])
            .items(panel)
            .params(&[panel, panel * parts, 0]);
        Kernel {
            scratch: vec![parts * panel * 4],
            dispatches: vec![dispatch, sum],
        }
    }
}

/// Shader, lanes of the subgroup family, vectors of output channels of a tile, and pixels of an invocation.
fn through_tile(
    family: Family,
    pixels: usize,
    c4: usize,
) -> (&'static str, Option<usize>, usize, usize) {
    match family {
        // Wider and taller tiles read less, but their code does not fit the decoded instruction cache.
        Family::Subgroup(lanes) => {
            let (quads, per_lane) = match c4 {
                1 => (1, 8),
                2..=4 => (4, 8),
                _ if pixels <= 2 * lanes as usize => (8, 2),
                _ => (8, 4),
            };
            ("conv2d_subgroup", Some(lanes as usize), quads, per_lane)
        }
        Family::Tiled(_) => {
            let (columns, per_invocation) = match c4 {
                1..=4 => (4, 2),
                _ if pixels <= 4096 => (16, 4),
                _ => (16, 8),
            };
            ("conv2d_tiled", None, columns, per_invocation)
        }
    }
}

/// What one workgroup computes of a weight's gradient.
struct WeightTile {
    family: Family,
    /// Vectors of rows.
    rows4: usize,
    /// Vectors of output channels.
    columns: usize,
    /// Pixels it takes at a time.
    chunk: usize,
    /// Subgroup family: loads across the lanes, and vectors shuffled to all of them.
    across: usize,
    along: usize,
    /// Subgroup family: rows rather than columns lie across the lanes.
    is_swapped: bool,
}

impl WeightTile {
    fn new(family: Family, c4: usize) -> Self {
        let tile = |rows4, columns, chunk| Self {
            family,
            rows4,
            columns,
            chunk,
            across: 0,
            along: 0,
            is_swapped: false,
        };
        match family {
            Family::Tiled(_) if c4 <= 4 => tile(64, 4, 8),
            Family::Tiled(_) => tile(32, 16, 16),
            Family::Subgroup(lanes) if c4 < lanes as usize => {
                let along = if c4 == 1 { 1 } else { 4 };
                Self {
                    across: 2,
                    along,
                    is_swapped: true,
                    ..tile(2 * lanes as usize, along, 4)
                }
            }
            Family::Subgroup(lanes) => Self {
                across: 2,
                along: 4,
                ..tile(4, 2 * lanes as usize, 4)
            },
        }
    }

    fn dispatch(&self, x: Texels, d: Texels) -> Dispatch {
        match self.family {
            Family::Tiled(_) => Dispatch::new("conv2d_weight_tiled", "weight_grad")
                .define("columns", self.columns as u32)
                .define("vectors", (self.rows4 * self.columns / 256) as u32)
                .define("chunk", self.chunk as u32)
                .define("doubled", self.family.doubled())
                .bind(&[x.source, d.source]),
            Family::Subgroup(lanes) => Dispatch::new("conv2d_weight_subgroup", "weight_grad")
                .define("across", self.across as u32)
                .define("along", self.along as u32)
                .define("swapped", u32::from(self.is_swapped))
                .define("lanes", lanes)
                .bind_texels(x)
                .bind_texels(d),
        }
    }
}
