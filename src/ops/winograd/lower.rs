//! Which convolutions are better done by Winograd's, and how.

use super::{Tiling, WinogradConv, WinogradFilters, WinogradFiltersGrad, area};
use crate::Result;
use crate::graph::half::Storage;
use crate::graph::plan::Target;
use crate::graph::{Graph, Shape, ValueId};
use crate::ops::conv2d::{Conv2d, Conv2dInputGrad, Conv2dWeightGrad};
use crate::ops::{Binding, Family, Texels, texels};

/// Fewer pixels do not repay the transform of the filters. With 1024 channels and two busy cores, transform included, the
/// whole takes 1.1 to 2.8 of the plain convolution's time at 8x8, and 0.7 to 0.9 at 16x16.
const FEWEST_PIXELS: usize = 256;
/// From so many pixels on larger tiles gain more than their larger filters cost: 0.3 to 0.9 of the plain time, least with
/// 128 and more channels at 64x64 and 128x128, most with 64 channels at 256x256 and 1024 at 32x32.
const PIXELS_FOR_FOUR: usize = 1024;
/// The fewer channels, the more do transforms of tiles cost of what their products spare; fewer than these were not
/// measured.
const FEWEST_CHANNELS: usize = 64;

/// Which convolutions are done by Winograd's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filtering {
    /// Those that are faster so.
    #[default]
    Chosen,
    /// None.
    Never,
    /// All that can be, in tiles of so many results a side, two or four: for tests and measurements.
    Always(usize),
}

/// The tiles for a convolution between so many channels; none if it is better done as it stands. `[kh, kw]` and the
/// stride are those of the plain convolution.
fn tile(
    target: &Target,
    [kh, kw, stride]: [usize; 3],
    [cin, cout]: [usize; 2],
    y: Shape,
) -> Option<usize> {
    if [kh, kw, stride] != [3, 3, 1] {
        return None;
    }
    match target.filtering {
        Filtering::Chosen => {}
        Filtering::Never => return None,
        Filtering::Always(tile) => return Some(tile),
    }
    let bytes_per_vector = match target.storage {
        Storage::Single | Storage::HalfState => 16,
        Storage::Half => 8,
    };
    // Filters of many channels outgrow a binding.
    let fits = |tile: usize| {
        let rows = area(tile) * cin.next_multiple_of(4);
        let columns = cout.div_ceil(4);
        let bytes = (rows * columns * bytes_per_vector) as u64;
        let fits_texels = match target.family {
            Family::Tiled(_) => true,
            Family::Subgroup(_) => {
                let layers = Texels::new(Binding::Input(1), rows, columns).layers();
                layers <= texels::LAYERS as usize
            }
        };
        bytes <= target.max_binding_bytes && fits_texels
    };
    let tiles = match target.family {
        Family::Tiled(_) => card_tiles([cin, cout], y.rows()),
        Family::Subgroup(_) => processor_tiles([cin, cout], y.rows()),
    };
    tiles.into_iter().find(|&tile| fits(tile))
}

/// Tiles that gain on adapters that run on the CPU, best first.
fn processor_tiles([cin, cout]: [usize; 2], pixels: usize) -> Vec<usize> {
    let gains = cin.min(cout) >= FEWEST_CHANNELS;
    match pixels {
        PIXELS_FOR_FOUR.. if gains => vec![4, 2],
        FEWEST_PIXELS.. if gains => vec![2],
        _ => vec![],
    }
}

/// Operations that a card does while it moves a byte: 33 of an integrated one of 2 TFLOP/s and 60 GB/s, as of many a
/// discrete one (35 of 12.7 TFLOP/s and 360 GB/s), and 14 of one of 67 TFLOP/s and 4.8 TB/s.
const OPERATIONS_PER_BYTE: f64 = 33.0;
/// Less is not worth three more dispatches and larger rounding errors.
const LEAST_GAIN: f64 = 1.2;

/// How many times faster than the plain convolution tiles of `m` are on a GPU, by arithmetic, both multiplying at the same
/// rate. A pixel takes `18 cin cout` operations plainly, its memory traffic hidden behind them; in tiles, with
/// `n = (m + 2)^2 / m^2`, it takes `2 n cin cout` and the transforms' traffic, `4 (2 n + 1) (cin + cout)` bytes. Filters
/// are read, and written and read again transformed: `4 (9 + 2 (m + 2)^2) cin cout` bytes, which many pixels share.
///
/// At 33 operations a byte tiles of four gain 1.4 between 256 channels at 64x64, 1.1 between 128 at 128x128 and nothing
/// between 64, or between 512 at 32x32; at 14 it would be 2.2, 1.9, 1.3 and 1.8. Tiles of two gain less nearly everywhere.
fn gain(m: usize, [cin, cout]: [usize; 2], pixels: usize) -> f64 {
    let [m, cin, cout, pixels] = [m, cin, cout, pixels].map(|v| v as f64);
    let tile = (m + 2.0) * (m + 2.0);
    let each = tile / (m * m);
    let operations = 2.0 * each * cin * cout * pixels;
    let of_pixels = 4.0 * (2.0 * each + 1.0) * (cin + cout) * pixels;
    let of_filters = 4.0 * (9.0 + 2.0 * tile) * cin * cout;
    let plain = 18.0 * cin * cout * pixels;
    plain / (operations + OPERATIONS_PER_BYTE * (of_pixels + of_filters))
}

/// Tiles that gain on GPUs, best first.
fn card_tiles(channels: [usize; 2], pixels: usize) -> Vec<usize> {
    let mut gains: Vec<_> = [4, 2].map(|m| (m, gain(m, channels, pixels))).into();
    gains.retain(|&(_, gain)| gain >= LEAST_GAIN);
    gains.sort_by(|a, b| b.1.total_cmp(&a.1));
    gains.into_iter().map(|(m, _)| m).collect()
}

/// The convolution in another way, where that is faster.
pub(crate) fn forward(
    conv: &Conv2d,
    graph: &mut Graph,
    inputs: &[ValueId],
    target: &Target,
) -> Result<Option<ValueId>> {
    let (x, w) = (graph.shape(inputs[0]), graph.shape(inputs[1]));
    let Conv2d { pad, epilogue, .. } = *conv;
    let y = Tiling::new(4, pad, x, w.c).y;
    let Some(tile) = tile(target, [w.n, w.h, conv.stride], [x.c, w.c], y) else {
        return Ok(None);
    };
    let filters = WinogradFilters {
        tile,
        mirrored: None,
    };
    let mut inputs = inputs.to_vec();
    inputs[1] = graph.apply(filters, &[inputs[1]])?;
    let conv = WinogradConv {
        tile,
        pad,
        epilogue,
    };
    graph.apply(conv, &inputs).map(Some)
}

/// The gradient of a convolution's input in another way, where that is faster: dy meets the filters turned round.
pub(crate) fn input_grad(
    grad: &Conv2dInputGrad,
    graph: &mut Graph,
    inputs: &[ValueId],
    target: &Target,
) -> Result<Option<ValueId>> {
    let w = graph.shape(inputs[1]);
    let geometry = [w.n, w.h, grad.stride];
    let chosen = tile(target, geometry, [w.c, grad.input.c], grad.input);
    let (Some(tile), Some(pad)) = (chosen, 2_usize.checked_sub(grad.pad)) else {
        return Ok(None);
    };
    let filters = WinogradFilters {
        tile,
        mirrored: Some(grad.input.c),
    };
    let mut inputs = inputs.to_vec();
    inputs[1] = graph.apply(filters, &[inputs[1]])?;
    let conv = WinogradConv {
        tile,
        pad,
        epilogue: grad.epilogue(),
    };
    graph.apply(conv, &inputs).map(Some)
}

/// The gradient of a convolution's filters in another way, where that is faster.
pub(crate) fn weight_grad(
    grad: &Conv2dWeightGrad,
    graph: &mut Graph,
    inputs: &[ValueId],
    target: &Target,
) -> Result<Option<ValueId>> {
    let [x, dy] = [inputs[0], inputs[1]].map(|id| graph.shape(id));
    let geometry = [grad.kh, grad.kw, grad.stride];
    let Some(tile) = tile(target, geometry, [x.c, dy.c], dy) else {
        return Ok(None);
    };
    let grad = WinogradFiltersGrad {
        tile,
        pad: grad.pad,
    };
    graph.apply(grad, inputs).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu;
    use crate::graph::Ty;
    use crate::graph::lower::lower;
    use crate::ops::epilogue::Epilogue;
    use crate::ops::{Buffering, Op, Tensor};
    use std::collections::HashMap;

    fn target(filtering: Filtering) -> Target {
        Target {
            family: Family::Subgroup(8),
            workspace_bytes: 64 << 20,
            max_binding_bytes: 128 << 20,
            filtering,
            storage: Storage::Single,
        }
    }

    fn wave(shape: Shape, seed: f64, cin: usize) -> Tensor {
        let mut at = seed;
        Tensor::from_fn(shape, |_, _, c, _| {
            at += 1.0;
            // Rows that pad the input channels of filters are zero.
            if c < cin { (at * 0.7).sin() + 0.1 } else { 0.0 }
        })
    }

    /// What a convolution and its gradients are, plain and in tiles.
    fn compare(op: impl Into<Op>, inputs: &[(&str, Shape)], cin: usize, tile: usize) {
        let op = op.into();
        let mut graph = Graph::new();
        let dense = |(name, shape): &(&str, Shape)| graph.input(name, Ty::Dense(*shape)).unwrap();
        let ids: Vec<_> = inputs.iter().map(dense).collect();
        let result = graph.apply(op.clone(), &ids).unwrap();
        graph.output("result", result);
        let values: HashMap<_, _> = inputs
            .iter()
            .zip(1..)
            .map(|((name, shape), seed)| {
                let cin = if *name == "w" { cin } else { usize::MAX };
                (name.to_string(), wave(*shape, f64::from(seed), cin))
            })
            .collect();
        let lowered = lower(&graph, &target(Filtering::Always(tile))).unwrap();
        assert!(lowered.nodes().iter().all(|node| node.op != op), "{op:?}");
        let [want, got] = [&graph, &lowered].map(|g| cpu::run(g, &values).outputs);
        let pairs = want["result"].data().iter().zip(got["result"].data());
        let error = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(error < 1e-10, "{op:?} with tiles of {tile}: {error}");
    }

    #[test]
    fn tiles_give_the_convolution_and_its_gradients() {
        let sizes = [
            (Shape::new(2, 5, 7, 3), 6, 1),
            (Shape::new(1, 4, 9, 5), 4, 0),
            (Shape::new(1, 3, 3, 4), 7, 2),
        ];
        for ((x, cout, pad), tile) in sizes.iter().flat_map(|&size| [(size, 2), (size, 4)]) {
            let (w, y) = (
                Shape::weight(3, 3, x.c, cout),
                Tiling::new(tile, pad, x, cout).y,
            );
            let (residual, divided) = (true, true);
            let conv = Conv2d {
                stride: 1,
                pad,
                epilogue: Epilogue {
                    divided,
                    residual,
                    activation: None,
                },
            };
            let (b, scalar) = (Shape::vector(cout), Shape::scalar());
            let arguments = [("x", x), ("w", w), ("b", b), ("r", y), ("s", scalar)];
            compare(conv, &arguments, x.c, tile);
            compare(Conv2d::new(1, pad), &arguments[..2], x.c, tile);
            let input = Conv2dInputGrad {
                stride: 1,
                pad,
                input: x,
                residual,
                divided,
            };
            compare(
                input,
                &[("dy", y), ("w", w), ("r", x), ("s", scalar)],
                x.c,
                tile,
            );
            let weight = Conv2dWeightGrad {
                stride: 1,
                pad,
                kh: 3,
                kw: 3,
            };
            compare(weight, &[("x", x), ("dy", y)], x.c, tile);
        }
    }

    #[test]
    fn the_choice_depends_on_shape_and_device() {
        let chosen =
            |geometry, channels, y| tile(&target(Filtering::Chosen), geometry, channels, y);
        let map = |side| Shape::new(1, side, side, 128);
        assert_eq!(chosen([3, 3, 1], [512, 512], map(32)), Some(4));
        assert_eq!(
            chosen([3, 3, 1], [1024, 1024], map(32)),
            Some(2),
            "of 144 MiB in tiles of four"
        );
        assert_eq!(chosen([3, 3, 1], [1024, 1024], map(16)), Some(2));
        assert_eq!(chosen([3, 3, 1], [1024, 1024], map(8)), None);
        assert_eq!(chosen([3, 3, 1], [64, 3], map(256)), None);
        assert_eq!(chosen([1, 1, 1], [512, 512], map(32)), None);
        assert_eq!(chosen([3, 3, 2], [512, 512], map(32)), None);
        let tiled = Target {
            family: Family::Tiled(Buffering::Double),
            ..target(Filtering::Chosen)
        };
        let chosen = |channels, y| tile(&tiled, [3, 3, 1], channels, y);
        assert_eq!(chosen([256, 256], map(64)), Some(4));
        assert_eq!(chosen([512, 512], map(32)), None, "one small map");
        assert_eq!(chosen([512, 512], map(32).with_n(8)), Some(4));
        assert_eq!(chosen([64, 64], map(256)), None);
        assert_eq!(
            chosen([1024, 1024], map(64)),
            Some(2),
            "of 144 MiB in tiles of four"
        );
        let roomy = Target {
            max_binding_bytes: 1 << 30,
            ..tiled
        };
        assert_eq!(tile(&roomy, [3, 3, 1], [1024, 1024], map(64)), Some(4));
        let never = target(Filtering::Never);
        assert_eq!(tile(&never, [3, 3, 1], [512, 512], map(32)), None);
    }
}
