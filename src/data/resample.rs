//! Resizing of 8-bit files exactly as Pillow does it, which the published models were trained with.
//!
//! Label and instance maps take the nearest pixel centre; photos go through a bicubic filter (a = -0.5, widened when
//! shrinking) in fixed point, rows before columns, rounded to 8 bits in between.

use super::Grid;

/// Fraction bits of the filter weights: 8 bits of pixel and 2 of headroom leave 22 of 32.
const PRECISION: u32 = 22;

/// Source index of each target pixel along one axis.
///
/// The position is summed up in floating point as Pillow does, which decides where it falls on a pixel border:
/// 44 pixels drawn to 286 differ in 18 places from the exact quotient.
pub fn nearest_sources(to: usize, from: usize) -> Vec<usize> {
    let step = from as f64 / to as f64;
    let mut at = step * 0.5;
    let mut source = || {
        let index = (at as usize).min(from - 1);
        at += step;
        index
    };
    (0..to).map(|_| source()).collect()
}

/// Resizes a map of ids; no id is ever blended.
pub fn nearest<T: Copy>(source: &Grid<T>, width: usize, height: usize) -> Grid<T> {
    let columns = nearest_sources(width, source.width);
    let rows = nearest_sources(height, source.height);
    let pick = |y: usize| columns.iter().map(move |&x| source.row(y)[x]);
    Grid::new(width, height, rows.into_iter().flat_map(pick).collect())
}

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// Left edge.
    pub x: usize,
    /// Top edge.
    pub y: usize,
    /// Width.
    pub width: usize,
    /// Height.
    pub height: usize,
}

/// Resizes a photo.
pub fn bicubic(source: &Grid<[u8; 3]>, width: usize, height: usize) -> Grid<[u8; 3]> {
    let whole = Rect {
        x: 0,
        y: 0,
        width,
        height,
    };
    bicubic_part(source, width, height, whole)
}

/// The part of a resized photo, without computing the rest.
pub fn bicubic_part(
    source: &Grid<[u8; 3]>,
    width: usize,
    height: usize,
    part: Rect,
) -> Grid<[u8; 3]> {
    let columns = filters(source.width, width, part.x, part.width);
    let rows = filters(source.height, height, part.y, part.height);
    let first = rows.iter().map(|filter| filter.first).min().unwrap_or(0);
    let end = rows.iter().map(Filter::end).max().unwrap_or(0);
    let mut narrow = Vec::with_capacity(part.width * (end - first));
    for y in first..end {
        let row = source.row(y);
        narrow.extend(columns.iter().map(|filter| filter.apply(|i| row[i])));
    }
    let narrow = Grid::new(part.width, end - first, narrow);
    let mut data = Vec::with_capacity(part.width * part.height);
    for filter in &rows {
        data.extend((0..part.width).map(|x| filter.apply(|y| narrow.row(y - first)[x])));
    }
    Grid::new(part.width, part.height, data)
}

/// The weights of one target pixel along one axis.
struct Filter {
    first: usize,
    weights: Vec<i32>,
}

impl Filter {
    fn end(&self) -> usize {
        self.first + self.weights.len()
    }

    #[inline]
    fn apply(&self, pixel: impl Fn(usize) -> [u8; 3]) -> [u8; 3] {
        if self.weights.len() == 1 {
            return pixel(self.first);
        }
        let mut sum = [1i32 << (PRECISION - 1); 3];
        for (i, &weight) in self.weights.iter().enumerate() {
            let value = pixel(self.first + i);
            for (sum, value) in sum.iter_mut().zip(value) {
                *sum += i32::from(value) * weight;
            }
        }
        sum.map(|sum| (sum >> PRECISION).clamp(0, 255) as u8)
    }
}

/// Filters of `count` target pixels from `start` on; an axis that keeps its size is not filtered.
fn filters(from: usize, to: usize, start: usize, count: usize) -> Vec<Filter> {
    (start..start + count)
        .map(|target| {
            if from == to {
                let weights = vec![1 << PRECISION];
                return Filter {
                    first: target,
                    weights,
                };
            }
            filter(from, to, target)
        })
        .collect()
}

fn filter(from: usize, to: usize, target: usize) -> Filter {
    let scale = from as f64 / to as f64;
    let filter_scale = scale.max(1.0);
    let support = 2.0 * filter_scale;
    let centre = (target as f64 + 0.5) * scale;
    let first = (centre - support + 0.5).max(0.0) as usize;
    let end = ((centre + support + 0.5) as usize).min(from);
    let inverse = 1.0 / filter_scale;
    let weights: Vec<f64> = (first..end)
        .map(|tap| cubic((tap as f64 - centre + 0.5) * inverse))
        .collect();
    let sum: f64 = weights.iter().sum();
    let fixed = |weight: &f64| (weight / sum * f64::from(1 << PRECISION)).round() as i32;
    Filter {
        first,
        weights: weights.iter().map(fixed).collect(),
    }
}

/// Keys' cubic with a = -0.5.
fn cubic(t: f64) -> f64 {
    let t = t.abs();
    if t < 1.0 {
        (1.5 * t - 2.5) * t * t + 1.0
    } else if t < 2.0 {
        ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fixture;

    fn photo() -> Grid<[u8; 3]> {
        let (shape, bytes) = fixture::bytes("pillow.image");
        Grid::new(shape[1], shape[0], bytes.as_chunks().0.to_vec())
    }

    const SIZES: [[usize; 2]; 4] = [[24, 24], [106, 74], [53, 20], [31, 45]];

    #[test]
    fn bicubic_equals_pillow() {
        for [width, height] in SIZES {
            let (_, want) = fixture::bytes(&format!("pillow.bicubic.{width}x{height}"));
            let got = bicubic(&photo(), width, height);
            assert_eq!(got.data.as_flattened(), want, "{width}x{height}");
        }
    }

    #[test]
    fn a_part_equals_the_cut_of_the_whole() {
        let whole = bicubic(&photo(), 106, 74);
        let part = Rect {
            x: 31,
            y: 7,
            width: 20,
            height: 60,
        };
        let got = bicubic_part(&photo(), 106, 74, part);
        for y in 0..part.height {
            assert_eq!(
                got.row(y),
                &whole.row(y + part.y)[part.x..part.x + part.width]
            );
        }
    }

    #[test]
    fn nearest_equals_pillow() {
        let (shape, label) = fixture::bytes("pillow.label");
        let source = Grid::new(shape[1], shape[0], label);
        for [width, height] in SIZES {
            let (_, want) = fixture::bytes(&format!("pillow.nearest.{width}x{height}"));
            assert_eq!(
                nearest(&source, width, height).data,
                want,
                "{width}x{height}"
            );
        }
    }

    #[test]
    fn nearest_sums_its_position_as_pillow_does() {
        // Targets where Pillow 13.0 takes the pixel before the exact quotient.
        let exact = |i: usize, to: usize, from: usize| (2 * i + 1) * from / (2 * to);
        let differing = |to: usize, from: usize| -> Vec<usize> {
            let sources = nearest_sources(to, from);
            (0..to)
                .filter(|&i| sources[i] + 1 == exact(i, to, from))
                .collect()
        };
        assert_eq!(differing(286, 44)[..4], [19, 71, 84, 97]);
        assert_eq!(differing(286, 44).len(), 18);
        assert_eq!(differing(96, 128)[..5], [4, 16, 19, 22, 25]);
        assert_eq!(nearest_sources(3, 3), [0, 1, 2]);
    }
}
