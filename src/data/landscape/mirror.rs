//! Water, the hero: it mirrors the scene, ripples row by row, darkens where one looks into it, and glitters.

use super::classes::{CLOUD, SKY, WATER};
use super::color::Rgb;
use super::light::Light;
use super::noise::{hash, smoothstep};
use super::objects::Kind;
use super::scene::Scene;

/// Shades the water of a picture whose other pixels are finished.
pub(super) fn water(scene: &Scene, light: &Light, picture: &mut [Rgb]) {
    if !scene.labels.contains(&WATER) {
        return;
    }
    let mirrored = mirror(scene, light, picture);
    for row in 0..scene.height {
        for column in 0..scene.width {
            let at = row * scene.width + column;
            if scene.labels[at] == WATER {
                picture[at] = shade(scene, light, &mirrored, row, column);
            }
        }
    }
}

/// The world upside down, as still water everywhere would show it.
///
/// What stands on the plain with its foot at row f is mirrored at f; sky is mirrored at the horizon. Where two images
/// meet the nearer one hides the other.
fn mirror(scene: &Scene, light: &Light, picture: &[Rgb]) -> Vec<Rgb> {
    let (width, height) = (scene.width, scene.height);
    let mut mirrored = vec![Rgb::default(); picture.len()];
    let mut nearest = vec![f32::MAX; picture.len()];
    let to_row = |y: f32| (y * height as f32) as isize;
    for row in scene.row(scene.horizon)..height {
        let y = 2.0 * scene.horizon - scene.y(row);
        let source = to_row(y);
        for column in 0..width {
            let at = row * width + column;
            let from = source.max(0) as usize * width + column;
            let sky = source >= 0 && matches!(scene.labels[from], SKY | CLOUD);
            mirrored[at] = if sky {
                picture[from]
            } else {
                light.sky(scene.x(column), y)
            };
        }
    }
    for row in 0..height {
        let y = scene.y(row);
        for column in 0..width {
            let from = row * width + column;
            let depth = scene.depth[from];
            if matches!(scene.labels[from], SKY | CLOUD | WATER) {
                continue;
            }
            let foot = match scene.object_at(from) {
                // A painted mountain may hang anywhere; its foot is where it ends.
                Some(ridge) if ridge.kind == Kind::Ridge => ridge.bounds[3],
                _ => scene.horizon + 1.0 / depth,
            };
            let target = to_row(2.0 * foot - y);
            if target <= row as isize || target >= height as isize {
                continue;
            }
            let at = target as usize * width + column;
            if depth < nearest[at] {
                nearest[at] = depth;
                mirrored[at] = picture[from];
            }
        }
    }
    continue_shore(scene, picture, &mut mirrored);
    mirrored
}

/// Ripples at a far shore look past it: let them see the shore and not a strip of sky.
fn continue_shore(scene: &Scene, picture: &[Rgb], mirrored: &mut [Rgb]) {
    let width = scene.width;
    let horizon = scene.row(scene.horizon);
    for column in 0..width {
        let first = (horizon..scene.height).find(|row| scene.labels[row * width + column] == WATER);
        let Some(first) = first.filter(|&row| row > horizon) else {
            continue;
        };
        let shore = picture[(first - 1) * width + column];
        for row in horizon..first {
            mirrored[row * width + column] = shore;
        }
    }
}

fn shade(scene: &Scene, light: &Light, mirrored: &[Rgb], row: usize, column: usize) -> Rgb {
    let at = row * scene.width + column;
    let (x, y) = (scene.x(column), scene.y(row));
    let u = (y - scene.horizon).max(0.002);
    let [nx, _, nz] = scene.normals[at];
    // A slope of the surface turns the mirrored ray by twice its angle; seen flat, that shifts mostly up and down.
    let reach = 0.05 + 0.7 * u;
    let (shift_x, shift_y) = (nx * reach * 0.5, nz * reach);
    let mut seen = Rgb::default();
    // A spread of slopes within the pixel draws images out vertically.
    let spread = 0.02 * u + 0.5 * scene.pixel();
    for (offset, share) in [(-1.0, 0.25), (0.0, 0.5), (1.0, 0.25)] {
        seen = seen + sample(scene, mirrored, x + shift_x, y + shift_y + offset * spread) * share;
    }
    let slant = u / (1.0 + u * u + x * x).sqrt();
    let grazing = (1.0 - slant - 0.6 * nz).clamp(0.0, 1.0);
    let fresnel = 0.13 + 0.83 * grazing * grazing * grazing;
    let deep = scene.coat[at];
    let body = Rgb(0.105, 0.170, 0.135).mix(Rgb(0.008, 0.052, 0.070), deep);
    let inside = body * (light.ambient * 0.9 + light.sun * (0.55 * light.to_sun[1]));
    let color =
        inside.mix(seen * Rgb(0.93, 0.97, 1.0), fresnel) + glitter(scene, light, at, x, y, u);
    let rise = -u;
    light.through_air(color, scene.depth[at].min(60.0) * 0.8, x, rise)
}

/// Bilinear between rows, nearest between columns, clamped to the mirror.
fn sample(scene: &Scene, mirrored: &[Rgb], x: f32, y: f32) -> Rgb {
    let edge = 0.5 * scene.aspect();
    let column = scene.column(x.clamp(-edge, edge));
    let top = scene.row(scene.horizon) as f32;
    let at = (y * scene.height as f32 - 0.5).clamp(top, (scene.height - 1) as f32);
    let row = at as usize;
    let next = (row + 1).min(scene.height - 1);
    mirrored[row * scene.width + column].mix(mirrored[next * scene.width + column], at - row as f32)
}

/// Sparks where ripples happen to face half-way to the sun or the moon.
fn glitter(scene: &Scene, light: &Light, at: usize, x: f32, y: f32, u: f32) -> Rgb {
    let [nx, _, nz] = scene.normals[at];
    let source = if light.night > 0.5 {
        light.moon_at
    } else {
        light.sun_at
    };
    let image = 2.0 * scene.horizon - source.1;
    let width = 0.035 + 0.16 * u;
    let across = (x - source.0 * (1.0 - 0.25 * u) + nx * 0.3) / width;
    // A low sun draws a path to the viewer's feet, a high one a patch.
    let along = (y - image) / (0.22 + 0.2 * u);
    let near = libm::expf(-across * across - along * along);
    let sparkle = (hash(scene.seed ^ 0x611, at as i32, 5) & 255) as f32 / 255.0;
    let crest = smoothstep(0.015, 0.075, nz + 0.03 * (sparkle - 0.5));
    let strength = near * (0.05 + 1.2 * crest) * (0.5 + 0.5 * scene.tone[at]);
    light.sun.mix(light.glow, 0.4) * strength
}
