//! How far two pictures are apart. Colours count in 8-bit steps, 0 to 255.

use crate::picture::Picture;

/// Mean absolute difference over pixels and channels, in 8-bit steps.
///
/// # Panics
/// If the pictures have different sizes.
pub fn l1(a: &Picture, b: &Picture) -> f64 {
    l1_where(a, b, |_| true).unwrap_or(0.0)
}

/// [`l1`] over the pixels of a region; nothing where it is empty.
///
/// # Panics
/// If the pictures have different sizes.
pub fn l1_where(a: &Picture, b: &Picture, is_inside: impl Fn(usize) -> bool) -> Option<f64> {
    assert_eq!(
        [a.width, a.height],
        [b.width, b.height],
        "sizes of pictures"
    );
    let inside = (0..a.data.len()).filter(|&at| is_inside(at));
    let differences = inside.map(|at| {
        let pairs = a.data[at].iter().zip(&b.data[at]);
        pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / 3.0
    });
    mean(differences)
}

/// Mean colour of each class in a picture; nothing for classes with fewer pixels than asked for.
pub fn class_means(
    picture: &Picture,
    labels: &[u8],
    classes: usize,
    fewest: usize,
) -> Vec<Option<[f64; 3]>> {
    let mut sums = vec![([0.0; 3], 0usize); classes];
    for (colour, &label) in picture.data.iter().zip(labels) {
        let (sum, count) = &mut sums[usize::from(label)];
        (0..3).for_each(|c| sum[c] += f64::from(colour[c]));
        *count += 1;
    }
    let mean = |(sum, count): ([f64; 3], usize)| {
        (count >= fewest.max(1)).then(|| sum.map(|s| s / count as f64))
    };
    sums.into_iter().map(mean).collect()
}

/// Mean over classes of the absolute difference of their mean colours, in 8-bit steps. Classes that cover less than a
/// thousandth of the picture do not count; nothing where none counts.
pub fn class_colour_error(a: &Picture, b: &Picture, labels: &[u8], classes: usize) -> Option<f64> {
    let fewest = labels.len().div_ceil(1000);
    let [a, b] = [a, b].map(|picture| class_means(picture, labels, classes, fewest));
    let errors = a.into_iter().zip(b).filter_map(|(a, b)| {
        let (a, b) = (a?, b?);
        Some((0..3).map(|c| (a[c] - b[c]).abs()).sum::<f64>() / 3.0)
    });
    mean(errors)
}

/// Mean of red, green and blue, in 8-bit steps.
pub fn brightness(picture: &Picture) -> f64 {
    let values = picture.data.as_flattened().iter();
    mean(values.map(|&value| f64::from(value))).unwrap_or(0.0)
}

/// Mean of some numbers; nothing of none.
pub fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0);
    values.for_each(|value| {
        sum += value;
        count += 1;
    });
    (count > 0).then(|| sum / f64::from(count))
}

/// Half the side of the window of [`ssim`].
const RADIUS: usize = 5;

/// Structural similarity of the luma of two pictures: Wang et al. 2004, equation 13, with their Gaussian window of 11
/// by 11 pixels and deviation 1.5, averaged over the pixels around which the window fits. 1 is the same picture.
///
/// # Panics
/// If the pictures have different sizes.
pub fn ssim(a: &Picture, b: &Picture) -> f64 {
    assert_eq!(
        [a.width, a.height],
        [b.width, b.height],
        "sizes of pictures"
    );
    let [c1, c2] = [0.01 * 255.0, 0.03 * 255.0].map(|c: f64| c * c);
    let [a_luma, b_luma] = [a, b].map(luma);
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).collect::<Vec<_>>();
    let blurred = |values: &[f64]| blur(values, a.width, a.height);
    let [a_mean, b_mean] = [&a_luma, &b_luma].map(|luma| blurred(luma));
    let aa = blurred(&product(&a_luma, &a_luma));
    let bb = blurred(&product(&b_luma, &b_luma));
    let ab = blurred(&product(&a_luma, &b_luma));
    let similarity = (0..ab.len()).map(|i| {
        let (m, n) = (a_mean[i], b_mean[i]);
        let covariance = ab[i] - m * n;
        let variances = aa[i] - m * m + bb[i] - n * n;
        (2.0 * m * n + c1) * (2.0 * covariance + c2) / ((m * m + n * n + c1) * (variances + c2))
    });
    // Pictures smaller than the window have no place for it: only equal ones are known to be similar.
    mean(similarity).unwrap_or(f64::from(u8::from(a == b)))
}

/// ITU-R BT.601.
fn luma(picture: &Picture) -> Vec<f64> {
    let weigh =
        |&[r, g, b]: &[u8; 3]| 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
    picture.data.iter().map(weigh).collect()
}

/// Gaussian means around every pixel that is at least [`RADIUS`] from the border.
fn blur(values: &[f64], width: usize, height: usize) -> Vec<f64> {
    let side = 2 * RADIUS + 1;
    if width < side || height < side {
        return Vec::new();
    }
    let weight = |i: usize| {
        let x = i as f64 - RADIUS as f64;
        libm::exp(-x * x / (2.0 * 1.5 * 1.5))
    };
    let total: f64 = (0..side).map(weight).sum();
    let weights: Vec<f64> = (0..side).map(|i| weight(i) / total).collect();
    let sum = |at: usize, step: usize, from: &[f64]| -> f64 {
        let terms = weights.iter().enumerate();
        terms.map(|(i, weight)| weight * from[at + i * step]).sum()
    };
    let inner = width + 1 - side;
    let rows: Vec<f64> = (0..height)
        .flat_map(|y| (0..inner).map(move |x| y * width + x))
        .map(|at| sum(at, 1, values))
        .collect();
    (0..(height + 1 - side) * inner)
        .map(|at| sum(at, inner, &rows))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Grid;

    fn picture(width: usize, height: usize, value: impl Fn(usize) -> [u8; 3]) -> Picture {
        Grid::new(width, height, (0..width * height).map(value).collect())
    }

    #[test]
    fn differences_are_means_over_channels() {
        let a = picture(2, 1, |_| [10, 20, 30]);
        let b = picture(2, 1, |at| [[10, 20, 30], [13, 14, 30]][at]);
        assert_eq!(l1(&a, &b), 1.5);
        assert_eq!(l1_where(&a, &b, |at| at == 1), Some(3.0));
        assert_eq!(l1_where(&a, &b, |_| false), None);
        assert_eq!(brightness(&a), 20.0);
    }

    #[test]
    fn classes_are_compared_by_their_means() {
        let a = picture(2, 2, |at| [at as u8 * 10; 3]);
        let b = picture(2, 2, |at| [[10; 3], [0; 3], [26; 3], [30; 3]][at]);
        // Class 0 has the same mean, class 1 is 3 apart, class 2 has no pixels.
        assert_eq!(class_colour_error(&a, &b, &[0, 0, 1, 1], 3), Some(1.5));
        assert_eq!(
            class_means(&a, &[0, 0, 1, 2], 3, 2),
            [Some([5.0; 3]), None, None]
        );
    }

    #[test]
    fn similarity_is_that_of_the_definition() {
        let noise = |at: usize| [((at * at * 31 + at * 17) % 256) as u8; 3];
        let a = picture(13, 12, noise);
        assert!((ssim(&a, &a) - 1.0).abs() < 1e-12);
        // Two flat pictures differ in luminance only, by equation 6.
        let flat = |value: u8| picture(11, 11, |_| [value; 3]);
        let want = (2.0 * 100.0 * 150.0 + 6.5025) / (100.0 * 100.0 + 150.0 * 150.0 + 6.5025);
        assert!((ssim(&flat(100), &flat(150)) - want).abs() < 1e-9);
        // A negative has the opposite structure.
        let negative = picture(13, 12, |at| noise(at).map(|v| 255 - v));
        assert!(ssim(&a, &negative) < 0.0);
        let small = picture(4, 4, noise);
        assert_eq!(ssim(&small, &small), 1.0);
    }
}
