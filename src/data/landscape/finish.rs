//! The darkroom: exposure, grade, vignette, tone curve, grain, bytes.

use std::sync::OnceLock;

use super::color::Rgb;
use super::light::Light;
use super::noise::{hash, smoothstep};
use super::scene::Scene;
use super::style::Style;

/// Turns linear light into RGB bytes.
pub(super) fn develop(scene: &Scene, style: &Style, light: &Light, picture: &[Rgb]) -> Vec<u8> {
    let encode = encoding();
    // A night is exposed longer, though never to daylight.
    let exposure = 0.86 + 0.1 * style.time_of_day + 0.4 * light.night + 0.2 * light.lamps;
    let (warm, cool) = (style.grade.max(0.0), (-style.grade).max(0.0));
    let balance = Rgb(
        1.0 + 0.07 * warm - 0.07 * cool,
        1.0,
        1.0 - 0.11 * warm + 0.06 * cool,
    );
    let shadows = Rgb(0.0, 0.004, 0.012) * cool + Rgb(0.014, 0.008, 0.002) * warm;
    let vividness = 1.2 - 0.18 * style.grade.abs();
    let mut bytes = Vec::with_capacity(3 * picture.len());
    for (at, &color) in picture.iter().enumerate() {
        let (column, row) = (at % scene.width, at / scene.width);
        let (dx, dy) = (scene.x(column) / scene.aspect(), scene.y(row) - 0.5);
        let corner = dx * dx + dy * dy;
        let vignette = 1.0 - 0.42 * corner * smoothstep(0.0, 0.5, corner);
        let graded = color * balance * (exposure * vignette) + shadows;
        let grey = graded.luminance();
        let vivid = Rgb(grey, grey, grey).mix(graded, vividness);
        let vivid = vivid.mix(
            Rgb(0.75, 0.95, 1.45) * grey,
            0.4 * light.night * smoothstep(0.8, 0.2, grey),
        );
        let grain = grain(scene.seed, at);
        let toned = vivid.map(|c| curve(c.max(0.0)));
        for channel in [toned.0, toned.1, toned.2] {
            let value = lookup(encode, channel) + grain;
            bytes.push((value * 255.0 + 0.5).clamp(0.0, 255.0) as u8);
        }
    }
    bytes
}

/// A film-like curve: a short toe, then a long shoulder that keeps snow and clouds from burning out.
fn curve(x: f32) -> f32 {
    1.09 * x * (0.2 + 1.45 * x) / (0.31 + 0.93 * x + 1.45 * x * x)
}

/// Film grain: nearly normal, sigma 0.01, from four uniform bytes.
fn grain(seed: u32, at: usize) -> f32 {
    let bits = hash(seed ^ 0x9a1, at as i32, 3);
    let sum = (bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24);
    // Four uniform bytes sum to 510 with a deviation of 147.8.
    (sum as f32 - 510.0) * (0.01 / 147.8)
}

const STEPS: usize = 4096;

/// The sRGB curve, tabulated: a power per channel would cost more than all the light.
fn encoding() -> &'static [f32] {
    static TABLE: OnceLock<Vec<f32>> = OnceLock::new();
    TABLE.get_or_init(|| {
        (0..=STEPS)
            .map(|i| {
                let x = i as f32 / STEPS as f32;
                if x <= 0.003_130_8 {
                    12.92 * x
                } else {
                    1.055 * libm::powf(x, 1.0 / 2.4) - 0.055
                }
            })
            .collect()
    })
}

fn lookup(table: &[f32], x: f32) -> f32 {
    let at = x.clamp(0.0, 1.0) * STEPS as f32;
    let step = (at as usize).min(STEPS - 1);
    let share = at - step as f32;
    table[step] * (1.0 - share) + table[step + 1] * share
}
