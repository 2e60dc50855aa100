//! Surfaces: normals and textures of every pixel, from labels, instances and depth alone.
//!
//! Nothing here knows about light, so one scene can be rendered in many styles without repeating the noise.

use super::classes::{
    BUILDING, CLOUD, FLOWER, GRASS, MOUNTAIN, ROAD, ROCK, SAND, SKY, SNOW, TREE, WATER,
};
use super::noise::{Crease, fbm, floor, gradient, nearest_point, slopes, smoothstep};
use super::objects::{Kind, Lobe, Object, crown_lobes};
use super::scene::{FIRST_OBJECT, HILL_DEPTH, Scene};
use super::solids;

/// What light needs to know about a pixel; see the fields of [`Scene`] with the same names.
#[derive(Clone, Copy)]
pub(super) struct Surface {
    pub normal: [f32; 3],
    pub tone: f32,
    pub coat: f32,
    pub part: u8,
}

/// Fields computed over the whole picture before the pixels.
struct Context {
    /// Clouds with soft edges, fine and wide.
    cloud: Vec<f32>,
    cloud_wide: Vec<f32>,
    /// Water with soft shores.
    water: Vec<f32>,
    /// Top of each ridge by column, smoothed; by object.
    crests: Vec<Vec<f32>>,
    lobes: Vec<Vec<Lobe>>,
}

/// Fills normals, tone, coat and part.
pub(super) fn finish(scene: &mut Scene) {
    let context = Context {
        cloud: soft_mask(scene, CLOUD, 0.007),
        cloud_wide: soft_mask(scene, CLOUD, 0.035),
        water: soft_mask(scene, WATER, 0.012),
        crests: crests(scene),
        lobes: scene.objects.iter().map(lobes).collect(),
    };
    for row in 0..scene.height {
        let y = scene.y(row);
        for column in 0..scene.width {
            let at = row * scene.width + column;
            let surface = surface(scene, &context, at, scene.x(column), y);
            let [nx, ny, nz] = surface.normal;
            let length = (nx * nx + ny * ny + nz * nz).sqrt().max(1e-6);
            scene.normals[at] = [nx / length, ny / length, nz / length];
            scene.tone[at] = surface.tone;
            scene.coat[at] = surface.coat;
            scene.part[at] = surface.part;
        }
    }
}

fn lobes(object: &Object) -> Vec<Lobe> {
    match object.kind {
        Kind::Crown => crown_lobes(object.seed),
        _ => Vec::new(),
    }
}

fn surface(scene: &Scene, context: &Context, at: usize, x: f32, y: f32) -> Surface {
    let class = scene.labels[at];
    let object = scene.object_at(at);
    match (class, object) {
        (SKY | CLOUD, _) => cloud(scene, context, at, x, y),
        (MOUNTAIN | SNOW, Some(ridge)) => {
            let index = usize::from(scene.instances[at] - FIRST_OBJECT);
            mountain(scene, &context.crests[index], ridge, class == SNOW, x, y)
        }
        (TREE, Some(tree)) => {
            let index = usize::from(scene.instances[at] - FIRST_OBJECT);
            solids::tree(scene, tree, &context.lobes[index], x, y)
        }
        (ROCK, Some(rock)) => solids::rock(scene, rock, x, y),
        (BUILDING, Some(house)) => solids::house(scene, house, x, y),
        (WATER, _) => water(scene, context.water[at], scene.depth[at], x),
        _ => ground(scene, class, scene.depth[at], x, y),
    }
}

/// The mask of a class, blurred by about `radius` picture heights.
fn soft_mask(scene: &Scene, class: u8, radius: f32) -> Vec<f32> {
    if !scene.labels.contains(&class) {
        return vec![0.0; scene.labels.len()];
    }
    let mut mask: Vec<f32> = scene
        .labels
        .iter()
        .map(|&l| if l == class { 1.0 } else { 0.0 })
        .collect();
    let reach = (radius * scene.height as f32 + 0.5) as usize;
    let mut line = Vec::new();
    for _ in 0..2 {
        for row in 0..scene.height {
            blur_line(
                &mut mask,
                row * scene.width,
                1,
                scene.width,
                reach,
                &mut line,
            );
        }
        for column in 0..scene.width {
            blur_line(
                &mut mask,
                column,
                scene.width,
                scene.height,
                reach,
                &mut line,
            );
        }
    }
    mask
}

/// Running mean over `2 * reach + 1` values of a strided line, borders repeated.
fn blur_line(
    values: &mut [f32],
    start: usize,
    stride: usize,
    count: usize,
    reach: usize,
    line: &mut Vec<f32>,
) {
    line.clear();
    line.extend((0..count).map(|i| values[start + i * stride]));
    // Masks start as 0 and 1 but the second pass has fractions: sum in f64, where they leave no drift to see.
    let get = |i: isize| f64::from(line[i.clamp(0, count as isize - 1) as usize]);
    let reach = reach as isize;
    let mut sum: f64 = (-reach..=reach).map(get).sum();
    for i in 0..count as isize {
        values[start + i as usize * stride] = (sum / (2 * reach + 1) as f64) as f32;
        sum += get(i + reach + 1) - get(i - reach);
    }
}

/// For every ridge, its highest row in each column, smoothed so that its slope is that of the mountain.
fn crests(scene: &Scene) -> Vec<Vec<f32>> {
    let mut tops: Vec<Vec<f32>> = scene
        .objects
        .iter()
        .map(|o| match o.kind {
            Kind::Ridge => vec![o.bounds[3]; scene.width],
            _ => Vec::new(),
        })
        .collect();
    for row in (0..scene.height).rev() {
        for column in 0..scene.width {
            let at = row * scene.width + column;
            let Some(index) = scene.instances[at].checked_sub(FIRST_OBJECT) else {
                continue;
            };
            if let Some(top) = tops[usize::from(index)].get_mut(column) {
                *top = scene.y(row);
            }
        }
    }
    let reach = (0.012 * scene.height as f32 + 0.5) as usize;
    let mut line = Vec::new();
    for top in tops.iter_mut().filter(|t| !t.is_empty()) {
        for _ in 0..2 {
            blur_line(top, 0, 1, scene.width, reach, &mut line);
        }
    }
    tops
}

/// Clouds swell where their mask is thick; a little of them hangs over the edge into the sky.
fn cloud(scene: &Scene, context: &Context, at: usize, x: f32, y: f32) -> Surface {
    let (fine, wide) = (context.cloud[at], context.cloud_wide[at]);
    if wide <= 0.0 && fine <= 0.0 {
        return Surface {
            normal: [0.0; 3],
            tone: 1.0,
            coat: 0.0,
            part: 0,
        };
    }
    let pixel = scene.pixel();
    let seed = scene.seed ^ 0xc10d;
    let [fluff, fx, fy] = slopes(Crease::Valleys, seed, x * 7.0, y * 10.0, 4, pixel * 10.0);
    let [swell, wx, wy] = slopes(Crease::None, seed ^ 1, x * 4.5, y * 6.5, 2, pixel * 6.5);
    let here = 0.8 * fluff + 0.6 * swell;
    let (gx, gy) = (0.035 * fx + 0.05 * wx, 0.05 * fy + 0.07 * wy);
    let (sx, sy) = slope(&context.cloud_wide, scene, at);
    let body = smoothstep(0.2, 0.8, fine + 0.16 * here);
    Surface {
        normal: [-sx * 0.12 - gx * 0.9, sy * 0.12 + gy * 0.9 + 0.12, 0.6],
        tone: 0.5 + 0.5 * smoothstep(0.1, 1.0, wide + 0.2 * here),
        coat: body * (0.55 + 0.45 * smoothstep(0.2, 0.8, wide + 0.15 * here)),
        part: 0,
    }
}

/// Central differences of a field, per picture height.
fn slope(field: &[f32], scene: &Scene, at: usize) -> (f32, f32) {
    let (column, row) = (at % scene.width, at / scene.width);
    let left = at - usize::from(column > 0);
    let right = at + usize::from(column + 1 < scene.width);
    let above = if row > 0 { at - scene.width } else { at };
    let below = if row + 1 < scene.height {
        at + scene.width
    } else {
        at
    };
    let scale = 0.5 * scene.height as f32;
    (
        (field[right] - field[left]) * scale,
        (field[below] - field[above]) * scale,
    )
}

fn mountain(scene: &Scene, crest: &[f32], ridge: &Object, snow: bool, x: f32, y: f32) -> Surface {
    let column = scene.column(x);
    let reach = 1 + scene.height / 64;
    let (left, right) = (
        column.saturating_sub(reach),
        (column + reach).min(scene.width - 1),
    );
    let tilt = (crest[right] - crest[left]) / ((right - left).max(1) as f32 * scene.pixel());
    let below = (y - crest[column]).max(0.0);
    // Nearer ranges show coarser features.
    let scale = 5.5 + ridge.depth * 0.012;
    let octaves = if snow { 4 } else { 6 };
    let pixel = scene.pixel() * scale;
    let (px, py) = (x * scale, y * scale);
    let bend = 0.35 * gradient(ridge.seed ^ 3, px * 0.7, py * 0.7);
    let [here, gx, gy] = slopes(
        Crease::Crests,
        ridge.seed ^ 2,
        px + bend,
        py * 0.62 + bend,
        octaves,
        pixel,
    );
    let (gx, gy) = (gx * 0.62, gy * 0.4);
    let flank = (tilt * 0.55).clamp(-0.9, 0.9) / (1.0 + 3.0 * below);
    let rough = if snow { 0.2 } else { 0.27 };
    let normal = [flank - gx * rough, 0.42 + gy * rough * 0.8, 0.62];
    let level =
        normal[1] / (normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2]).sqrt();
    Surface {
        normal,
        tone: 0.92 + 0.3 * here + 0.16 * fbm(ridge.seed ^ 4, px * 2.0, py * 7.0, 3, pixel * 7.0),
        coat: smoothstep(-0.1, 0.75, level + 0.25 * here),
        part: 0,
    }
}

/// Flat ground and hills: textures lie in the plain, so perspective is theirs for free.
fn ground(scene: &Scene, class: u8, depth: f32, x: f32, y: f32) -> Surface {
    let seed = scene.seed ^ 0x6704;
    let hill = y < scene.horizon + 0.9 / depth;
    let across = x * depth;
    let along = if hill { y * depth * 2.5 } else { depth };
    // A pixel covers far more ground along the view than across it.
    let pixel = scene.pixel() * depth * if hill { 1.0 } else { (0.25 * depth).max(1.0) };
    let [_, gx, gy] = slopes(
        Crease::None,
        seed ^ 7,
        across * 0.9,
        along * 0.9,
        3,
        pixel * 0.9,
    );
    let patches = fbm(seed ^ 1, across * 0.55, along * 0.4, 4, pixel * 0.55);
    let up = |strength: f32| [-gx * strength, 1.0, 0.25 + gy * strength];
    match class {
        GRASS | FLOWER => {
            let blades = blades(scene, seed ^ 2, depth, x, y);
            let tone = 1.0 + 0.42 * patches + 0.34 * blades;
            let coat = 0.78 + 0.5 * patches + 0.12 * blades;
            let grass = Surface {
                normal: up(0.36),
                tone,
                coat,
                part: 0,
            };
            if class == FLOWER {
                blossoms(scene, grass, across, y * depth, depth)
            } else {
                grass
            }
        }
        SAND => {
            let grains = fbm(seed ^ 4, across * 40.0, along * 40.0, 2, pixel * 40.0);
            let (wave, wind) = (dunes(seed ^ 3, across, along, pixel), 0.16 * patches);
            Surface {
                normal: [-gx * 0.3 - 0.12 * wave, 1.0, 0.25 + gy * 0.3 + 0.25 * wave],
                tone: 1.0 + wind + 0.09 * wave + 0.2 * grains,
                coat: 0.55 + 0.5 * patches,
                part: 0,
            }
        }
        ROAD => {
            let gravel = fbm(seed ^ 5, across * 30.0, along * 14.0, 3, pixel * 20.0);
            Surface {
                normal: up(0.35),
                tone: 1.0 + 0.15 * patches + 0.32 * gravel,
                coat: 0.42 + 0.5 * patches,
                part: 0,
            }
        }
        _ => Surface {
            normal: up(0.4),
            tone: 1.0 + 0.1 * patches,
            coat: 1.0,
            part: 0,
        },
    }
}

/// Ripples that wind leaves in sand, as far as pixels can show them.
fn dunes(seed: u32, across: f32, along: f32, pixel: f32) -> f32 {
    let bend = 1.4 * fbm(seed, across * 0.8, along * 0.8, 2, pixel * 0.8);
    let visible = 1.0 - smoothstep(0.08, 0.3, pixel * 2.2);
    libm::sinf((along * 2.2 + across * 0.7 + bend) * 9.0) * visible
}

/// Upright streaks whose size follows distance in octaves, blended, so that they do not fan out towards the viewer.
fn blades(scene: &Scene, seed: u32, depth: f32, x: f32, y: f32) -> f32 {
    let level = libm::log2f(depth.clamp(0.5, 256.0));
    let near = floor(level);
    let share = smoothstep(0.0, 1.0, level - near as f32);
    let layer = |k: i32| {
        let size = [
            0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0,
        ][(k + 1).clamp(0, 10) as usize];
        let (across, up) = (x * size * 38.0, y * size * 15.0);
        fbm(
            seed.wrapping_add(k as u32),
            across,
            up,
            3,
            scene.pixel() * size * 30.0,
        )
    };
    layer(near) * (1.0 - share) + layer(near + 1) * share
}

/// Flower heads on stems of grass; far away they blend into a tint.
fn blossoms(scene: &Scene, grass: Surface, across: f32, along: f32, depth: f32) -> Surface {
    let size = 15.0;
    let (distance, bits) = nearest_point(scene.seed ^ 0xf10, across * size, along * size * 1.5);
    let pixel = scene.pixel() * depth * size;
    let head = 1.0 - smoothstep(0.26, 0.4 + pixel, distance);
    let species = fbm(scene.seed ^ 0xf11, across * 0.35, along * 0.35, 2, 0.0);
    // Two or three kinds share a patch; the cell decides.
    let kind = ((species * 3.0 + 3.0) as u32 + bits % 2) % 5;
    let share = smoothstep(0.25, 0.7, pixel);
    Surface {
        tone: grass.tone * (1.0 - 0.25 * head),
        coat: head * (1.0 - share) + 0.45 * share,
        part: 1 + kind as u8,
        ..grass
    }
}

/// Ripples: slopes across and along the view, calmer in the distance where many share a pixel.
fn water(scene: &Scene, shore: f32, depth: f32, x: f32) -> Surface {
    let seed = scene.seed ^ 0x3a7e;
    let depth = depth.min(2.0 * HILL_DEPTH);
    let (across, along) = (x * depth, depth);
    let pixel = scene.pixel() * depth;
    let ripple = |k: u32, f: f32| {
        let stretch = pixel * f * (0.12 * depth).max(1.0);
        fbm(seed ^ k, across * f * 0.45, along * f, 3, stretch)
    };
    let (long, short) = (ripple(1, 1.3), ripple(2, 4.6));
    // Gusts roughen parts of the surface and leave others smooth.
    let gust = 0.55 + 0.6 * fbm(seed ^ 3, across * 0.16, along * 0.1, 3, pixel * 0.16);
    let sideways = ripple(4, 3.1);
    Surface {
        normal: [
            0.12 * sideways * gust,
            1.0,
            (0.15 * long + 0.10 * short) * gust,
        ],
        tone: gust,
        coat: smoothstep(0.5, 1.0, shore),
        part: 0,
    }
}
