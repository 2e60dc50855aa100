//! Surfaces of things: trees, woods, rocks and houses, shaded by the box they fill.

use super::noise::{Crease, billow, fbm, fract, gradient, slopes, smoothstep, unit};
use super::objects::{self, Kind, Lobe, Object, Part, conifer_tiers, front_lobe, house_part};
use super::scene::Scene;
use super::surface::Surface;

/// Materials of trees, in `part`.
pub(super) const TRUNK: u8 = 1;
pub(super) const NEEDLES: u8 = 2;
pub(super) const LEAVES: u8 = 3;

/// Parts of houses, in `part`.
pub(super) const WALL: u8 = 0;
pub(super) const ROOF: u8 = 1;
pub(super) const WINDOW: u8 = 2;
pub(super) const DOOR: u8 = 3;
pub(super) const LIT_WINDOW: u8 = 4;
pub(super) const CHIMNEY: u8 = 5;

pub(super) fn tree(scene: &Scene, tree: &Object, lobes: &[Lobe], x: f32, y: f32) -> Surface {
    let (u, v) = tree.local(x, y);
    if objects::is_trunk(tree.kind, u, v)
        && !(tree.kind == Kind::Crown && front_lobe(tree.seed, lobes, u, v).is_some())
    {
        return Surface {
            normal: [u * 6.0, 0.1, 0.6],
            tone: 0.9 + 0.3 * gradient(tree.seed, u * 30.0, v * 8.0),
            coat: 0.1,
            part: TRUNK,
        };
    }
    let tall = (tree.bounds[3] - tree.bounds[1]).max(1e-4);
    let pixel = scene.pixel() / tall;
    let wide = (tree.bounds[2] - tree.bounds[0]) / tall;
    let (lx, ly) = (u * wide * 0.5, v);
    match tree.kind {
        Kind::Conifer => {
            let tier = fract(v / 0.945 * conifer_tiers(tree.seed) + 0.15 * u.abs());
            let needles = fbm(tree.seed ^ 1, lx * 26.0, ly * 15.0, 3, pixel * 26.0);
            Surface {
                normal: [
                    u / (0.25 + v) * 0.9 + needles * 0.5,
                    0.75 - 0.7 * tier + needles * 0.5,
                    0.6,
                ],
                tone: 1.05 - 0.5 * tier * tier + 0.6 * needles,
                coat: 0.75 - 0.5 * tier + 0.5 * needles,
                part: NEEDLES,
            }
        }
        Kind::Crown => {
            let leaves = billow(tree.seed ^ 1, lx * 19.0, ly * 19.0, 4, pixel * 19.0);
            let clumps = gradient(tree.seed ^ 2, lx * 6.5, ly * 6.5);
            let (dx, dy) = front_lobe(tree.seed, lobes, u, v).unwrap_or((u, 2.0 * v - 1.2));
            let bulge = (1.0 - dx * dx - dy * dy).max(0.0).sqrt();
            let above = 0.5 - (2.0 * v - 0.8) * 0.6;
            Surface {
                normal: [
                    dx * 0.4 + u * 0.6 + leaves * 0.4 + clumps * 0.3,
                    0.2 - dy * 0.4 + 0.55 * above + leaves * 0.4 + clumps * 0.3,
                    0.25 + 0.5 * bulge,
                ],
                tone: (0.72 + 0.22 * bulge + 0.5 * leaves + 0.22 * clumps)
                    * (0.7 + 0.45 * above.clamp(-0.3, 1.0)),
                coat: 0.45 + 0.45 * leaves + 0.25 * above,
                part: LEAVES,
            }
        }
        _ => wood(scene, tree, x, y),
    }
}

/// A wood: crowns side by side, each lit like a ball.
fn wood(scene: &Scene, wood: &Object, x: f32, y: f32) -> Surface {
    let size = (0.42 / wood.depth).clamp(0.012, 0.05);
    let (px, py) = (x / size, y / size * 0.8);
    let footprint = scene.pixel() / size;
    let [puff, gx, gy] = slopes(
        Crease::Valleys,
        wood.seed,
        px * 0.5,
        py * 0.6,
        5,
        footprint * 0.6,
    );
    let evergreen = unit(wood.seed, 3, 3) < 0.5;
    Surface {
        normal: [-gx * 0.1, 0.6 + gy * 0.1, 0.5],
        tone: 1.0 + 0.55 * puff,
        coat: 0.45 + 0.5 * puff,
        part: if evergreen { NEEDLES } else { LEAVES },
    }
}

pub(super) fn rock(scene: &Scene, rock: &Object, x: f32, y: f32) -> Surface {
    let (u, v) = rock.local(x, y);
    let tall = (rock.bounds[3] - rock.bounds[1]).max(1e-4);
    let wide = 0.5 * (rock.bounds[2] - rock.bounds[0]) / tall;
    let pixel = scene.pixel() / tall * 3.0;
    let (px, py) = (u * wide * 3.0, v * 3.0);
    let [here, gx, gy] = slopes(Crease::Crests, rock.seed ^ 1, px, py, 5, pixel);
    let normal = [u * 0.9 - gx * 0.13, 1.0 - v * 0.95 + gy * 0.13, 0.55];
    Surface {
        normal,
        tone: (0.95 + 0.22 * here) * (1.0 - 0.45 * smoothstep(0.75, 1.0, v)),
        coat: 1.05 - 1.1 * v - 0.3 * u.abs() + 0.2 * here,
        part: 0,
    }
}

pub(super) fn house(scene: &Scene, house: &Object, x: f32, y: f32) -> Surface {
    let (u, v) = house.local(x, y);
    let tall = (house.bounds[3] - house.bounds[1]).max(1e-4);
    let pixel = scene.pixel() / tall;
    let facing = if house.seed & 1 == 0 { 1.0 } else { -1.0 };
    let part =
        house_part(house.seed, u, v).unwrap_or(if v < 0.47 { Part::Roof } else { Part::Side });
    let rows_seen = 1.0 - smoothstep(0.25, 0.5, pixel * 16.0);
    let rows = fract(v * 16.0) - 0.5;
    let stain = 0.12 * fbm(house.seed ^ 1, u * 5.0, v * 5.0, 3, pixel * 5.0);
    let under_eaves =
        1.0 - 0.3 * (1.0 - smoothstep(0.5, 0.6, v)) * if part == Part::Side { 1.0 } else { 0.0 };
    let wall = |nx: f32| Surface {
        normal: [nx, 0.05, 0.75],
        tone: (1.0 + stain + 0.08 * rows * rows_seen) * under_eaves,
        coat: 0.0,
        part: WALL,
    };
    match part {
        Part::Gable => wall(-0.65 * facing),
        Part::Side => wall(0.5 * facing),
        Part::Roof => Surface {
            normal: [0.3 * facing, 0.75, 0.55],
            tone: 1.0 + stain + 0.3 * rows * rows_seen,
            coat: 1.0,
            part: ROOF,
        },
        Part::Chimney => Surface {
            part: CHIMNEY,
            ..wall(0.4 * facing)
        },
        Part::Door => Surface {
            part: DOOR,
            ..wall(-0.65 * facing)
        },
        Part::Window => {
            let lit = unit(house.seed, (u * 4.0 + 8.0) as i32, 5) < 0.75;
            Surface {
                part: if lit { LIT_WINDOW } else { WINDOW },
                ..wall(0.5 * facing)
            }
        }
    }
}
