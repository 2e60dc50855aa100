//! Silhouettes of the things that stand in a landscape: trees, houses, rocks.
//!
//! A thing lives in a box; `u` runs from -1 to 1 across it, `v` from 0 at the top to 1 at the foot. The same
//! functions decide which pixels a generated thing covers and how any thing, painted ones included, is shaded.

use super::noise::{fract, gradient, unit};

/// A thing of its own in the scene: its class, the box it fills and how far away it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Class id.
    pub class: u8,
    /// What kind within the class.
    pub kind: Kind,
    /// Left, top, right and bottom in picture heights; x is 0 in the middle of the picture.
    pub bounds: [f32; 4],
    /// Distance in camera heights.
    pub depth: f32,
    /// Gives this thing its own shape and colours.
    pub seed: u32,
}

/// Kinds of things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A line of mountains.
    Ridge,
    /// An evergreen tree.
    Conifer,
    /// A tree that sheds its leaves.
    Crown,
    /// Many trees that cannot be told apart.
    Forest,
    /// A boulder.
    Rock,
    /// A house.
    House,
}

impl Object {
    /// Box coordinates of a point of the picture.
    pub(super) fn local(&self, x: f32, y: f32) -> (f32, f32) {
        let [x0, y0, x1, y1] = self.bounds;
        (
            (2.0 * x - x0 - x1) / (x1 - x0).max(1e-6),
            (y - y0) / (y1 - y0).max(1e-6),
        )
    }

    /// Whether the silhouette covers the point of the picture.
    pub(super) fn covers(&self, x: f32, y: f32, lobes: &[Lobe]) -> bool {
        let (u, v) = self.local(x, y);
        if !(-1.0..=1.0).contains(&u) || !(0.0..=1.0).contains(&v) {
            return false;
        }
        match self.kind {
            Kind::Conifer => is_trunk(self.kind, u, v) || conifer(self.seed, u, v),
            Kind::Crown => {
                is_trunk(self.kind, u, v) || front_lobe(self.seed, lobes, u, v).is_some()
            }
            Kind::Rock => rock(self.seed, u, v),
            Kind::House => house_part(self.seed, u, v).is_some(),
            Kind::Ridge | Kind::Forest => true,
        }
    }
}

/// Whether a point of a tree belongs to its trunk.
pub(super) fn is_trunk(kind: Kind, u: f32, v: f32) -> bool {
    match kind {
        Kind::Conifer => v > 0.91 && u.abs() < 0.11,
        Kind::Crown => v > 0.7 && u.abs() < 0.07 + 0.5 * (v - 0.94).max(0.0),
        _ => false,
    }
}

/// Tiers of branches, each wider than the one above.
pub(super) fn conifer_tiers(seed: u32) -> f32 {
    5.0 + 3.0 * unit(seed, 1, 7)
}

fn conifer(seed: u32, u: f32, v: f32) -> bool {
    if v > 0.945 {
        return false;
    }
    let t = v / 0.945;
    let tier = fract(t * conifer_tiers(seed) + 0.15 * u.abs());
    let edge = 0.1 * gradient(seed, u * 7.0, v * 23.0);
    u.abs() < t * (0.66 + 0.32 * tier) + edge * t + 0.015
}

/// One round mass of leaves: centre and radius in (u, v), with v stretched to the scale of u.
pub(super) struct Lobe {
    x: f32,
    y: f32,
    radius: f32,
}

/// Leaf masses of a crown: a ring around a core, lower ones in front.
pub(super) fn crown_lobes(seed: u32) -> Vec<Lobe> {
    // Points of a regular octagon, so that no sine is needed.
    const RING: [(f32, f32); 8] = [
        (0.0, -1.0),
        (0.7, -0.7),
        (-0.7, -0.7),
        (1.0, 0.0),
        (-1.0, 0.0),
        (0.7, 0.55),
        (-0.7, 0.55),
        (0.0, 0.6),
    ];
    let mut lobes = vec![Lobe {
        x: 0.08 * (unit(seed, 9, 9) - 0.5),
        y: -0.08,
        radius: 0.58,
    }];
    for (i, (x, y)) in RING.iter().enumerate() {
        let r = |k: i32| unit(seed, i as i32, k);
        lobes.push(Lobe {
            x: x * (0.44 + 0.16 * r(2)) + 0.16 * (r(3) - 0.5),
            y: y * (0.44 + 0.14 * r(4)) - 0.14 + 0.1 * (r(6) - 0.5),
            radius: 0.24 + 0.17 * r(5),
        });
    }
    lobes
}

/// The leaf mass in front at a point, as the offset from its centre in radii.
///
/// Twigs fray the outline: the point is shaken before it is looked up.
pub(super) fn front_lobe(seed: u32, lobes: &[Lobe], u: f32, v: f32) -> Option<(f32, f32)> {
    let shake = |k: u32| {
        0.10 * gradient(seed ^ k, u * 4.5, v * 9.0)
            + 0.06 * gradient(seed ^ k, u * 11.0 + 7.0, v * 22.0)
    };
    let (u, y) = (u + shake(21), 2.0 * v - 1.0 + shake(22));
    let mut best = None;
    let mut front = -9.0;
    for lobe in lobes {
        let (dx, dy) = ((u - lobe.x) / lobe.radius, (y - lobe.y) / lobe.radius);
        let square = dx * dx + dy * dy;
        if square < 1.0 {
            let bulge = (1.0 - square).sqrt() * lobe.radius + 0.25 * lobe.y;
            if bulge > front {
                front = bulge;
                best = Some((dx, dy));
            }
        }
    }
    best
}

fn rock(seed: u32, u: f32, v: f32) -> bool {
    let y = if v < 0.7 {
        (v - 0.7) / 0.7
    } else {
        (v - 0.7) / 0.42
    };
    let rough = 1.0
        + 0.22 * gradient(seed, u * 1.9 + 3.0, y * 1.9)
        + 0.07 * gradient(seed, u * 6.0, y * 6.0 + 9.0);
    u * u + y * y < rough * 0.84
}

/// What a point of a house belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Gable,
    Side,
    Roof,
    Window,
    Door,
    Chimney,
}

/// Lays out a house seen from a corner: a gable end, a long side, a roof with a chimney. `None` is outside.
pub(super) fn house_part(seed: u32, u: f32, v: f32) -> Option<Part> {
    const GABLE: f32 = 0.4;
    const EAVES: f32 = 0.47;
    let across = 0.5 * (if seed & 1 == 0 { u } else { -u } + 1.0);
    if (0.6..0.68).contains(&across) && v < 0.2 {
        return Some(Part::Chimney);
    }
    let top = 0.08;
    let below = (v - top) / (EAVES - top);
    if below < 0.0 {
        return None;
    }
    let slope = 0.5 * GABLE * (1.0 - below.min(1.0));
    // The roof hangs over the walls by a little.
    if v < EAVES + 0.05 && across > GABLE - slope - 0.02 && across > 0.5 * GABLE {
        let right = 1.0 - 0.5 * GABLE * (1.0 - below.min(1.1)) * 0.7;
        return (across < right).then_some(Part::Roof);
    }
    if v < EAVES && (across < slope || across > GABLE) {
        return None;
    }
    if !(0.02..=0.96).contains(&across) {
        return None;
    }
    if across < GABLE {
        let attic = (across - 0.2).abs() < 0.045 && (0.33..0.46).contains(&v);
        let door = (across - 0.2).abs() < 0.06 && v > 0.68;
        return Some(match (attic, door) {
            (true, _) => Part::Window,
            (_, true) => Part::Door,
            _ => Part::Gable,
        });
    }
    let column = fract((across - GABLE) / (0.96 - GABLE) * 3.0);
    let window = (0.3..0.72).contains(&column) && (0.6..0.82).contains(&v);
    Some(if window { Part::Window } else { Part::Side })
}
