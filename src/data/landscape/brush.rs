//! Layouts as a person paints them: ellipses, straight horizons, odd stacking, missing classes, shaky borders.

use super::classes::{
    BUILDING, CLOUD, FLOWER, GRASS, MOUNTAIN, ROAD, ROCK, SAND, SKY, SNOW, TREE, WATER,
};
use super::noise::{Rng, fbm};
use super::scene::Scene;

#[derive(Clone, Copy)]
enum Shape {
    Ellipse,
    Box,
    /// Point up, base down.
    Triangle,
    /// Narrow above, wide below.
    Wedge,
}

struct Stroke {
    class: u8,
    shape: Shape,
    /// Centre and half sizes.
    at: [f32; 4],
    seed: u32,
}

impl Stroke {
    fn covers(&self, x: f32, y: f32) -> bool {
        let [cx, cy, half_width, half_height] = self.at;
        let (u, v) = ((x - cx) / half_width, (y - cy) / half_height);
        match self.shape {
            Shape::Ellipse => u * u + v * v < 1.0,
            Shape::Box => u.abs() < 1.0 && v.abs() < 1.0,
            Shape::Triangle => v.abs() < 1.0 && u.abs() < 0.5 * (v + 1.0),
            Shape::Wedge => v.abs() < 1.0 && u.abs() < 0.12 + 0.44 * (v + 1.0),
        }
    }
}

/// Paints labels, then derives everything else from them as for any painted map.
pub(super) fn generate(scene: &mut Scene, rng: &mut Rng) {
    let horizon = if rng.chance(0.08) {
        rng.range(0.05, 0.3)
    } else {
        rng.range(0.32, 0.72)
    };
    scene.horizon = horizon;
    let ground = [GRASS, GRASS, GRASS, WATER, WATER, SAND, SNOW][rng.below(7) as usize];
    let first = scene.row(horizon) * scene.width;
    scene.labels[..first].fill(SKY);
    scene.labels[first..].fill(ground);
    let mut strokes = background(rng, horizon, scene.aspect());
    strokes.extend(foreground(rng, horizon, scene.aspect()));
    if rng.chance(0.25) {
        for i in (1..strokes.len()).rev() {
            strokes.swap(i, rng.below(i as u32 + 1) as usize);
        }
    }
    let shake = if rng.chance(0.3) {
        0.0
    } else {
        rng.range(0.004, 0.03)
    };
    let mut instances = vec![0_u16; scene.labels.len()];
    for (i, stroke) in strokes.iter().enumerate() {
        paint(scene, &mut instances, stroke, i as u16 + 1, shake);
    }
    scene.derive(Some(&instances));
}

fn paint(scene: &mut Scene, instances: &mut [u16], stroke: &Stroke, id: u16, shake: f32) {
    let [cx, cy, half_width, half_height] = stroke.at;
    let edge = 0.5 * scene.aspect();
    let columns =
        scene.column((cx - half_width - shake).max(-edge))..=scene.column(cx + half_width + shake);
    for row in scene.row((cy - half_height - shake).max(0.0))..=scene.row(cy + half_height + shake)
    {
        for column in columns.clone() {
            let (x, y) = (scene.x(column), scene.y(row));
            let wobble = |k: u32| shake * 1.6 * fbm(stroke.seed ^ k, x * 11.0, y * 11.0, 3, 0.0);
            let (dx, dy) = if shake > 0.0 {
                (wobble(1), wobble(2))
            } else {
                (0.0, 0.0)
            };
            // Ground does not hang in the sky: a painter's lake ends at her horizon.
            let flat = matches!(stroke.class, WATER | SAND | ROAD | FLOWER | GRASS);
            if stroke.covers(x + dx, y + dy) && !(flat && y < scene.horizon) {
                let at = row * scene.width + column;
                scene.labels[at] = stroke.class;
                instances[at] = id;
            }
        }
    }
}

fn stroke(rng: &mut Rng, class: u8, shape: Shape, at: [f32; 4]) -> Stroke {
    Stroke {
        class,
        shape,
        at,
        seed: rng.bits(),
    }
}

/// Clouds, mountains with caps, stretches of ground.
fn background(rng: &mut Rng, horizon: f32, aspect: f32) -> Vec<Stroke> {
    let mut strokes = Vec::new();
    for _ in 0..rng.below(5) {
        let at = [
            rng.range(-0.5, 0.5) * aspect,
            rng.range(0.05, 0.9) * horizon,
            rng.range(0.05, 0.22) * aspect,
            rng.range(0.02, 0.07),
        ];
        strokes.push(stroke(rng, CLOUD, Shape::Ellipse, at));
    }
    for _ in 0..rng.below(4) {
        let tall = rng.range(0.08, 0.2) * (horizon / 0.5);
        let x = rng.range(-0.5, 0.5) * aspect;
        let wide = rng.range(0.12, 0.4) * aspect;
        let shape =
            [Shape::Triangle, Shape::Triangle, Shape::Ellipse, Shape::Box][rng.below(4) as usize];
        let class = if rng.chance(0.15) { SNOW } else { MOUNTAIN };
        strokes.push(stroke(rng, class, shape, [x, horizon - tall, wide, tall]));
        if rng.chance(0.4) {
            let cap = [x, horizon - 1.7 * tall, wide * 0.3, tall * 0.3];
            strokes.push(stroke(rng, SNOW, shape, cap));
        }
    }
    for _ in 0..rng.below(4) {
        let class = [WATER, WATER, SAND, GRASS, SNOW][rng.below(5) as usize];
        let shape = if rng.chance(0.5) {
            Shape::Box
        } else {
            Shape::Ellipse
        };
        let at = [
            rng.range(-0.4, 0.4) * aspect,
            rng.range(horizon, 1.0),
            rng.range(0.2, 0.9) * aspect,
            rng.range(0.04, 0.2),
        ];
        strokes.push(stroke(rng, class, shape, at));
    }
    strokes
}

/// Roads, flower beds and things.
fn foreground(rng: &mut Rng, horizon: f32, aspect: f32) -> Vec<Stroke> {
    let mut strokes = Vec::new();
    let room = 1.0 - horizon;
    if rng.chance(0.3) {
        let at = [
            rng.range(-0.3, 0.3) * aspect,
            horizon + 0.5 * room,
            rng.range(0.05, 0.2),
            0.55 * room,
        ];
        strokes.push(stroke(rng, ROAD, Shape::Wedge, at));
    }
    for _ in 0..rng.below(8) {
        let class = [TREE, TREE, TREE, ROCK, FLOWER, BUILDING][rng.below(6) as usize];
        let u = rng.range(0.02, 0.95) * room;
        let size = (0.05 + 0.5 * u) * rng.range(0.5, 1.3);
        let (shape, width, height) = match class {
            TREE if rng.chance(0.4) => (Shape::Triangle, 0.5, 1.0),
            TREE if rng.chance(0.2) => (Shape::Ellipse, 1.6, 0.5),
            TREE => (Shape::Ellipse, 0.55, 0.7),
            ROCK => (Shape::Ellipse, 0.4, 0.25),
            FLOWER => (Shape::Ellipse, 0.8, 0.25),
            _ => (Shape::Box, 0.5, 0.4),
        };
        let x = rng.range(-0.48, 0.48) * aspect;
        let at = [
            x,
            horizon + u - 0.7 * height * size,
            width * size * 0.6,
            height * size * 0.6,
        ];
        strokes.push(stroke(rng, class, shape, at));
    }
    strokes
}
