//! Which convolutions are better done by Winograd's: a rule of shape and adapter, from measurements on processors and from
//! arithmetic on cards.

use super::choice::Convolution;
use crate::ops::Family;

/// Fewer pixels do not repay the transform of the filters. With 1024 channels and two busy cores, transform included, the
/// whole takes 1.1 to 2.8 of the plain convolution's time at 8x8, and 0.7 to 0.9 at 16x16.
const FEWEST_PIXELS: usize = 256;
/// From so many pixels on larger tiles gain more than their larger filters cost: 0.3 to 0.9 of the plain time, least with
/// 128 and more channels at 64x64 and 128x128, most with 64 channels at 256x256 and 1024 at 32x32.
const PIXELS_FOR_FOUR: usize = 1024;
/// The fewer channels, the more do transforms of tiles cost of what their products spare; fewer than these were not
/// measured.
const FEWEST_CHANNELS: usize = 64;

/// Tiles that gain, best first.
pub(super) fn tiles(family: Family, convolution: &Convolution) -> Vec<usize> {
    let (channels, pixels) = (convolution.channels, convolution.pixels());
    match family {
        Family::Tiled(_) => card_tiles(channels, pixels),
        Family::Subgroup(_) => processor_tiles(channels, pixels),
    }
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
