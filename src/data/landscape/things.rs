//! Trees, houses and rocks of a generated layout: where they stand, and their pixels.

use super::classes::{BUILDING, FLOWER, GRASS, ROCK, SAND, TREE, WATER};
use super::layout::rows;
use super::noise::Rng;
use super::objects::{Kind, Object, crown_lobes};
use super::scene::Scene;

/// Trees in groves, houses and rocks, drawn from far to near.
pub(super) fn place(scene: &mut Scene, rng: &mut Rng) {
    let mut planned = Vec::new();
    let count = 4 + rng.below(23);
    let conifers = rng.unit();
    let groves: Vec<(f32, f32)> = (0..1 + rng.below(3))
        .map(|_| {
            let u = rng.unit();
            (rng.range(-0.5, 0.5) * scene.aspect(), 0.03 + 0.32 * u * u)
        })
        .collect();
    // Water and roads refuse trees, so some tries are spare.
    for _ in 0..2 * count {
        if planned.len() >= count as usize {
            break;
        }
        let (gx, gu) = groves[rng.below(groves.len() as u32) as usize];
        let spread = 0.05 + 0.6 * gu;
        let (x, u) = if rng.chance(0.7) {
            (gx + rng.range(-spread, spread), gu * rng.range(0.75, 1.3))
        } else {
            (
                rng.range(-0.5, 0.5) * scene.aspect(),
                rng.range(0.025, 0.22),
            )
        };
        let kind = if rng.chance(conifers) {
            Kind::Conifer
        } else {
            Kind::Crown
        };
        plan(scene, rng, &mut planned, kind, x, u);
    }
    if rng.chance(0.3) {
        // A tall tree close by frames the view.
        let side = if rng.chance(0.5) { 1.0 } else { -1.0 };
        let kind = if rng.chance(0.6) {
            Kind::Conifer
        } else {
            Kind::Crown
        };
        let (x, u) = (
            side * rng.range(0.33, 0.5) * scene.aspect(),
            rng.range(0.34, 0.5),
        );
        plan(scene, rng, &mut planned, kind, x, u);
    }
    for (kind, most, far) in [(Kind::House, 3, 0.26), (Kind::Rock, 5, 0.45)] {
        for _ in 0..rng.below(most) {
            let (x, u) = (
                rng.range(-0.46, 0.46) * scene.aspect(),
                rng.range(0.05, far),
            );
            plan(scene, rng, &mut planned, kind, x, u);
        }
    }
    planned.sort_by(|a, b| b.depth.total_cmp(&a.depth));
    for object in planned {
        draw(scene, object);
    }
}

/// Adds a thing with its foot at (x, u) where the ground allows it.
fn plan(scene: &Scene, rng: &mut Rng, planned: &mut Vec<Object>, kind: Kind, x: f32, u: f32) {
    let foot = scene.horizon + u;
    let seed = rng.bits();
    let (height, ratio, class) = match kind {
        Kind::Conifer => (rng.range(0.8, 1.7), rng.range(0.36, 0.5), TREE),
        Kind::House => (rng.range(0.65, 0.95), rng.range(1.2, 1.6), BUILDING),
        Kind::Rock => (rng.range(0.12, 0.34), rng.range(1.4, 2.1), ROCK),
        _ => (rng.range(0.7, 1.4), rng.range(0.75, 1.0), TREE),
    };
    let under = scene.labels[scene.row(foot) * scene.width + scene.column(x)];
    let stands = match kind {
        Kind::Rock => matches!(under, GRASS | SAND | WATER | FLOWER),
        Kind::House => matches!(under, GRASS | FLOWER),
        _ => matches!(under, GRASS | FLOWER),
    };
    if !stands || foot > 1.08 {
        return;
    }
    let tall = height * u;
    let half = 0.5 * tall * ratio;
    planned.push(Object {
        class,
        kind,
        bounds: [x - half, foot - tall, x + half, foot],
        depth: 1.0 / u,
        seed,
    });
}

fn draw(scene: &mut Scene, object: Object) {
    let [x0, y0, x1, y1] = object.bounds;
    let edge = 0.5 * scene.aspect();
    if x1 <= -edge || x0 >= edge {
        return;
    }
    let lobes = match object.kind {
        Kind::Crown => crown_lobes(object.seed),
        _ => Vec::new(),
    };
    let (class, depth) = (object.class, object.depth);
    let Some(instance) = scene.add_object(object.clone()) else {
        return;
    };
    let mut drawn = false;
    for row in rows(scene, y0, y1) {
        for column in scene.column(x0.max(-edge))..=scene.column(x1) {
            if object.covers(scene.x(column), scene.y(row), &lobes) {
                scene.set(row * scene.width + column, class, instance, depth);
                drawn = true;
            }
        }
    }
    if !drawn {
        scene.objects.pop();
    }
}
