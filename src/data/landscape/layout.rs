//! Layouts as nature stacks them: sky and clouds, ridges, hills, a plain with water and a road, things in front.

use super::classes::{CLOUD, FLOWER, GRASS, MOUNTAIN, ROAD, SAND, SNOW, TREE, WATER};
use super::noise::{Rng, billow, fbm, gradient, ridged, smoothstep};
use super::objects::{Kind, Object};
use super::scene::{SKY_DEPTH, Scene};
use super::things;

/// Where water lies on the plain.
enum Water {
    None,
    /// Between two shorelines across the picture, given as distances below the horizon.
    Band {
        far: f32,
        near: f32,
    },
    /// Closed all around: centre, half width, half height.
    Lake {
        x: f32,
        u: f32,
        width: f32,
        height: f32,
    },
    /// Wound around a line towards the horizon, half width on the ground.
    River(Path, f32),
}

/// A line that winds towards a point of the horizon.
struct Path {
    end: f32,
    foot: f32,
    bend: f32,
    seed: u32,
}

impl Path {
    fn new(rng: &mut Rng, aspect: f32) -> Self {
        Self {
            end: rng.range(-0.3, 0.3) * aspect,
            foot: rng.range(-0.35, 0.35) * aspect,
            bend: rng.range(0.1, 0.28),
            seed: rng.bits(),
        }
    }

    /// Middle of the line at `u` below the horizon. Bends are even in the logarithm of distance, so they stay visible.
    fn x(&self, u: f32) -> f32 {
        let share = (u / 0.5).min(1.0);
        let winding = gradient(self.seed, 1.4 * libm::log2f(u.max(1e-4)), 0.5);
        self.end + (self.foot - self.end) * share + self.bend * winding * (0.25 + share)
    }
}

/// Draws a whole scene; everything but the surface.
pub(super) fn generate(scene: &mut Scene, rng: &mut Rng) {
    scene.horizon = rng.range(0.38, 0.58);
    let seed = scene.seed;
    clouds(scene, rng);
    let sea = rng.chance(0.17);
    // One snow line for all ranges: a bare peak behind a white foothill looks wrong.
    let snow_line = scene.horizon
        - if rng.chance(0.6) {
            rng.range(0.07, 0.2)
        } else {
            9.0
        };
    for ridge in 0..[0, 1, 1, 2, 2, 3][rng.below(6) as usize] {
        mountains(scene, rng, ridge, snow_line);
    }
    let water = water(scene, rng, sea);
    plain(scene, rng, &water);
    let layers = if sea { rng.below(2) } else { 1 + rng.below(2) };
    for layer in 0..layers {
        hills(scene, rng, layer, sea);
    }
    if rng.chance(0.55) {
        road(scene, rng);
    }
    if rng.chance(0.6) {
        flowers(scene, seed.wrapping_add(50), rng.range(-0.05, 0.22));
    }
    for _ in 0..rng.below(3) {
        let u = rng.range(0.018, 0.07);
        let coverage = rng.range(-0.2, 0.2);
        forest(scene, rng.bits(), coverage, |_| u, 1.0 / u);
    }
    things::place(scene, rng);
}

/// Rows that start at `from` and end before `to`, as picture heights.
pub(super) fn rows(scene: &Scene, from: f32, to: f32) -> std::ops::Range<usize> {
    let limit = |y: f32| ((y * scene.height as f32 + 0.5).max(0.0) as usize).min(scene.height);
    limit(from)..limit(to)
}

fn clouds(scene: &mut Scene, rng: &mut Rng) {
    let kind = rng.unit();
    let (stretch, puff) = if kind < 0.7 { (1.3, 0.26) } else { (3.4, 0.1) };
    let threshold = rng.range(-0.06, 0.34);
    let seed = rng.bits();
    if rng.chance(0.1) {
        return;
    }
    for row in rows(scene, 0.0, scene.horizon - 0.015) {
        let rise = scene.horizon - scene.y(row);
        // Clouds lie on a ceiling, so they shrink and flatten towards the horizon.
        let scale = 1.0 / (rise + 0.28);
        let low = 0.25 * (1.0 - smoothstep(0.02, 0.16, rise));
        for column in 0..scene.width {
            let (cx, cy) = (scene.x(column) * scale * 1.15, scale * stretch * 1.6);
            let pixel = scene.pixel() * scale * 1.15;
            let density = fbm(seed, cx, cy, 2, pixel)
                + puff * billow(seed ^ 9, cx * 2.1, cy * 2.1, 3, pixel * 2.1);
            if density > threshold + low {
                scene.set(
                    row * scene.width + column,
                    CLOUD,
                    u16::from(CLOUD),
                    SKY_DEPTH,
                );
            }
        }
    }
}

fn mountains(scene: &mut Scene, rng: &mut Rng, order: u32, snow_line: f32) {
    let seed = rng.bits();
    let nearness = order as f32;
    let height = rng.range(0.14, 0.33) * scene.horizon / 0.45 * (1.0 - 0.3 * nearness);
    let frequency = rng.range(0.9, 1.9) * (1.0 + 0.25 * nearness);
    let soft = rng.chance(0.3);
    let (peak_x, peak) = (
        rng.range(-0.4, 0.4) * scene.aspect(),
        rng.range(-0.4, 0.6).max(0.0),
    );

    let depth = 320.0 / (1.0 + 0.8 * nearness);
    let horizon = scene.horizon;
    let foot = horizon + 1.0 / depth;
    let object = Object {
        class: MOUNTAIN,
        kind: Kind::Ridge,
        bounds: [
            -0.5 * scene.aspect(),
            horizon - height,
            0.5 * scene.aspect(),
            foot,
        ],
        depth,
        seed,
    };
    let Some(instance) = scene.add_object(object) else {
        return;
    };
    let pixel = scene.pixel();
    for column in 0..scene.width {
        let x = scene.x(column);
        let crest = if soft {
            0.5 + 0.8 * fbm(seed, x * frequency * 1.3, 0.3, 5, pixel * frequency)
        } else {
            0.42 + 0.52 * ridged(seed, x * frequency, 0.3, 6, pixel * frequency)
        };
        let crest = crest * (0.85 + 0.75 * gradient(seed ^ 6, x * 1.3, 0.4));
        let slope = (1.0 - (x - peak_x).abs() / 0.42).max(0.0);
        let rise =
            height * (crest.max(0.03) * (1.0 - 0.6 * peak) + peak * slope * (0.75 + 0.3 * crest));
        let line = snow_line + 0.06 * fbm(seed ^ 5, x * 9.0, 0.7, 5, pixel * 9.0);
        for row in rows(scene, horizon - rise, foot) {
            let class = if scene.y(row) < line { SNOW } else { MOUNTAIN };
            scene.set(row * scene.width + column, class, instance, depth);
        }
    }
}

fn water(scene: &Scene, rng: &mut Rng, sea: bool) -> Water {
    let room = 1.0 - scene.horizon;
    let kind = if sea { 0.0 } else { rng.unit() };
    let near = if rng.chance(0.3) {
        2.0
    } else {
        rng.range(0.55, 0.95) * room
    };
    match kind {
        _ if sea => Water::Band { far: -1.0, near },
        k if k < 0.36 => Water::Band {
            far: rng.range(0.02, 0.24) * room,
            near,
        },
        k if k < 0.60 => Water::Lake {
            x: rng.range(-0.3, 0.3) * scene.aspect(),
            u: rng.range(0.2, 0.6) * room,
            width: rng.range(0.22, 0.6) * scene.aspect(),
            height: rng.range(0.1, 0.24) * room,
        },
        k if k < 0.82 => Water::River(Path::new(rng, scene.aspect()), rng.range(0.25, 0.6)),
        _ => Water::None,
    }
}

impl Water {
    /// How far points of a column are inside the water, in picture heights; negative on land.
    fn inside(&self, seed: u32, x: f32, pixel: f32) -> impl Fn(f32) -> f32 {
        let wave = |k: u32, f: f32| fbm(seed.wrapping_add(k), x * f, 0.4, 5, pixel * f);
        let (from, to) = match self {
            Self::Band { far, near } => (
                far * (1.0 + 0.6 * wave(1, 2.3)),
                near + 0.13 * wave(2, 1.7) + 0.02 * wave(3, 9.0),
            ),
            _ => (0.0, 0.0),
        };
        move |u| match self {
            Self::None => -9.0,
            Self::Band { .. } => (u - from).min(to - u),
            Self::Lake {
                x: middle,
                u: centre,
                width,
                height,
            } => {
                let (dx, du) = ((x - middle) / width, (u - centre) / height);
                let rough = 0.24 * fbm(seed, x * 3.0, u * 7.0, 4, pixel * 7.0);
                (1.0 + rough - (dx * dx + du * du).sqrt()) * height
            }
            Self::River(path, half) => {
                let edge = 1.0 + 0.35 * gradient(seed, 3.0 * libm::log2f(u.max(1e-4)), x * 0.3);
                (half * u * edge - (x - path.x(u)).abs()) * 0.5
            }
        }
    }
}

fn plain(scene: &mut Scene, rng: &mut Rng, water: &Water) {
    let seed = rng.bits();
    let beach = if rng.chance(0.25) {
        rng.range(0.2, 0.5)
    } else {
        rng.range(0.03, 0.12)
    };
    for column in 0..scene.width {
        let x = scene.x(column);
        let inside = water.inside(seed, x, scene.pixel());
        let rim = beach * (0.75 + 0.8 * gradient(seed ^ 8, x * 3.1, 0.0));
        for row in rows(scene, scene.horizon, 1.0) {
            let y = scene.y(row);
            let u = (y - scene.horizon).max(1e-4);
            let class = match inside(u) {
                i if i > 0.0 => WATER,
                i if i > -rim * (u + 0.02) => SAND,
                _ => GRASS,
            };
            let (at, depth) = (row * scene.width + column, scene.plain_depth(y));
            // Mountains stand on the plain, before what lies behind their foot.
            if depth < scene.depth[at] {
                scene.set(at, class, u16::from(class), depth);
            }
        }
    }
}

fn hills(scene: &mut Scene, rng: &mut Rng, layer: u32, sea: bool) {
    let seed = rng.bits();
    let depth = 75.0 / (1.0 + 0.7 * layer as f32);
    let height = rng.range(0.02, 0.085) / (1.0 + layer as f32);
    // Headlands leave gaps for the sea.
    let base = if sea { rng.range(-0.35, 0.05) } else { 0.55 };
    let frequency = rng.range(1.1, 2.2);
    let pixel = scene.pixel();
    let rise = move |x: f32| {
        let swell = fbm(seed, x * frequency, 0.2, 4, pixel * frequency);
        height * (base + if sea { 1.6 * swell } else { 0.8 * swell })
    };
    let foot = scene.horizon + 1.0 / depth;
    for column in 0..scene.width {
        let up = rise(scene.x(column));
        if up <= 0.0 {
            continue;
        }
        // A hill that runs out must meet the plain at the horizon, not end in a step.
        let end = foot.min(scene.horizon + up);
        for row in rows(scene, scene.horizon - up, end) {
            scene.set(row * scene.width + column, GRASS, u16::from(GRASS), depth);
        }
    }
    if rng.chance(0.6) {
        let coverage = rng.range(-0.1, 0.25);
        let sink = rng.range(-0.4, 0.6);
        forest(
            scene,
            seed ^ 0xf0,
            coverage,
            move |x| -rise(x) * (1.0 - sink).min(1.0),
            depth * 0.98,
        );
    }
}

/// A wood along a line: `base` gives its foot below the horizon. It grows on grass only.
fn forest(scene: &mut Scene, seed: u32, coverage: f32, base: impl Fn(f32) -> f32, depth: f32) {
    let half = 0.5 * scene.aspect();
    let foot = scene.horizon + base(0.0);
    let object = Object {
        class: TREE,
        kind: Kind::Forest,
        bounds: [-half, foot - 1.2 / depth, half, foot],
        depth,
        seed,
    };
    let Some(instance) = scene.add_object(object) else {
        return;
    };
    let tree = 0.8 / depth;
    let mut drawn = false;
    for column in 0..scene.width {
        let x = scene.x(column);
        let dense = fbm(seed, x * 3.3, 0.6, 2, 0.0) - coverage;
        let foot = scene.horizon + base(x);
        let root = scene.row(foot) * scene.width + column;
        if dense < 0.0 || !matches!(scene.labels[root], GRASS | FLOWER) {
            continue;
        }
        let bump = 0.8
            + 0.5 * gradient(seed ^ 3, x / tree * 0.9, 0.5)
            + 0.3 * gradient(seed ^ 4, x / tree * 2.1, 0.5);
        let top = foot - tree * bump.max(0.2) * (0.15 + 4.0 * dense).min(1.3);
        for row in rows(scene, top, foot + 0.3 * tree) {
            let at = row * scene.width + column;
            if !matches!(scene.labels[at], WATER | SAND) {
                scene.set(at, TREE, instance, depth);
                drawn = true;
            }
        }
    }
    if !drawn {
        scene.objects.pop();
    }
}

fn road(scene: &mut Scene, rng: &mut Rng) {
    let path = Path::new(rng, scene.aspect());
    let half = rng.range(0.09, 0.2);
    for row in rows(scene, scene.horizon, 1.0) {
        let u = (scene.y(row) - scene.horizon).max(1e-4);
        let middle = path.x(u);
        let edge = half * u * (1.0 + 0.15 * gradient(path.seed ^ 1, 9.0 * libm::log2f(u), 0.5))
            + 0.5 * scene.pixel();
        for column in 0..scene.width {
            let at = row * scene.width + column;
            if (scene.x(column) - middle).abs() < edge
                && scene.labels[at] == GRASS
                && scene.depth[at] < 70.0
            {
                scene.set(at, ROAD, u16::from(ROAD), scene.depth[at]);
            }
        }
    }
}

fn flowers(scene: &mut Scene, seed: u32, threshold: f32) {
    for at in 0..scene.labels.len() {
        let depth = scene.depth[at];
        if scene.labels[at] != GRASS || depth > 22.0 {
            continue;
        }
        let x = scene.x(at % scene.width) * depth;
        if fbm(seed, x * 0.9, depth * 0.55, 4, scene.pixel() * depth) > threshold + 0.1 {
            scene.set(at, FLOWER, u16::from(FLOWER), depth);
        }
    }
}
