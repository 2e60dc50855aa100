//! A scene: what stands where, and the geometry that light needs.
//!
//! Coordinates are in picture heights: x is 0 in the middle, y is 0 at the top. The camera stands one unit above a
//! plain, so a point of the plain `u` below the horizon is 1 / u away, and things scale with 1 / depth. Because
//! nothing is measured in pixels, a seed gives the same scene at every resolution.

use super::classes::{CLASSES, MOUNTAIN, ROCK, SNOW, TREE, is_ground};
use super::objects::{Kind, Object};
use super::pieces::pieces;
use super::{classes, noise, surface};
use crate::{Error, Result};

/// Longest side of a scene, in pixels.
pub const MAX_SIDE: usize = 8192;

/// Instance ids below this are class ids of regions; ids from here on are `objects`, in order.
pub const FIRST_OBJECT: u16 = 16;

/// Most objects of a scene, so that an instance id fits 8 bits.
pub(super) const MAX_OBJECTS: usize = 240;

/// Depth of the sky: beyond everything.
pub const SKY_DEPTH: f32 = 1e5;

/// Depth of hills and of ground painted above the horizon.
pub(super) const HILL_DEPTH: f32 = 60.0;

/// A layout with its geometry, ready to be rendered in any style. Every map is row-major, one value per pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Pixels in a row.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
    /// Class id of every pixel.
    pub labels: Vec<u8>,
    /// Instance of every pixel: the class id in regions such as sky or grass, [`FIRST_OBJECT`] + index in `objects`
    /// for things and for each line of mountains. Below 256 throughout.
    pub instances: Vec<u16>,
    /// Distance from the camera in camera heights; [`SKY_DEPTH`] for sky and clouds.
    pub depth: Vec<f32>,
    /// Direction a surface faces: right, up, towards the viewer.
    pub normals: Vec<[f32; 3]>,
    /// Row of the horizon in picture heights.
    pub horizon: f32,
    /// The things of the scene.
    pub objects: Vec<Object>,
    pub(super) seed: u32,
    /// Brightness of the texture, around 1.
    pub(super) tone: Vec<f32>,
    /// By class: opacity of clouds, readiness to hold snow, depth of water.
    pub(super) coat: Vec<f32>,
    /// By class: part of a house, colour of a blossom, material of a tree.
    pub(super) part: Vec<u8>,
}

impl Scene {
    /// An empty sky; fails on sizes nobody can mean.
    pub(super) fn new(seed: u64, width: usize, height: usize) -> Result<Self> {
        check_size(width, height)?;
        let n = width * height;
        Ok(Self {
            width,
            height,
            labels: vec![classes::SKY; n],
            instances: vec![u16::from(classes::SKY); n],
            depth: vec![SKY_DEPTH; n],
            normals: vec![[0.0; 3]; n],
            horizon: 0.5,
            objects: Vec::new(),
            seed: (noise::mix64(seed ^ 0x4c41_594f_5554) >> 32) as u32,
            tone: vec![1.0; n],
            coat: vec![0.0; n],
            part: vec![0; n],
        })
    }

    /// Geometry for a label map that a person or a network made: the same rules as for generated layouts.
    ///
    /// `instances` keeps touching things apart; without it every connected piece is a thing of its own. Labels of no
    /// class are refused.
    pub fn from_labels(
        seed: u64,
        width: usize,
        height: usize,
        labels: &[u8],
        instances: Option<&[u16]>,
    ) -> Result<Self> {
        let mut scene = Self::new(seed, width, height)?;
        let n = width * height;
        if labels.len() != n || instances.is_some_and(|i| i.len() != n) {
            return Err(Error::Usage(format!(
                "a {width}x{height} landscape needs {n} labels and as many instances, got {} and {}",
                labels.len(),
                instances.map_or(n, <[u16]>::len),
            )));
        }
        if let Some(at) = labels.iter().position(|&l| usize::from(l) >= CLASSES.len()) {
            return Err(Error::Data(format!(
                "label {} at column {}, row {} is no landscape class: ids are 0 to {}",
                labels[at],
                at % width,
                at / width,
                CLASSES.len() - 1
            )));
        }
        scene.labels.copy_from_slice(labels);
        scene.horizon = guess_horizon(&scene);
        scene.derive(instances);
        surface::finish(&mut scene);
        Ok(scene)
    }

    pub(super) fn aspect(&self) -> f32 {
        self.width as f32 / self.height as f32
    }

    /// Size of a pixel in picture heights.
    pub(super) fn pixel(&self) -> f32 {
        1.0 / self.height as f32
    }

    pub(super) fn x(&self, column: usize) -> f32 {
        (column as f32 + 0.5) * self.pixel() - 0.5 * self.aspect()
    }

    pub(super) fn y(&self, row: usize) -> f32 {
        (row as f32 + 0.5) * self.pixel()
    }

    /// Column of the picture at `x`, clamped to it.
    pub(super) fn column(&self, x: f32) -> usize {
        (((x + 0.5 * self.aspect()) * self.height as f32) as usize).min(self.width - 1)
    }

    /// Row of the picture at `y`, clamped to it.
    pub(super) fn row(&self, y: f32) -> usize {
        ((y * self.height as f32) as usize).min(self.height - 1)
    }

    pub(super) fn set(&mut self, at: usize, class: u8, instance: u16, depth: f32) {
        self.labels[at] = class;
        self.instances[at] = instance;
        self.depth[at] = depth;
    }

    /// Distance of the plain at a height of the picture.
    pub(super) fn plain_depth(&self, y: f32) -> f32 {
        1.0 / (y - self.horizon).max(1.0 / 400.0)
    }

    /// The thing a pixel belongs to.
    pub(super) fn object_at(&self, at: usize) -> Option<&Object> {
        let index = self.instances[at].checked_sub(FIRST_OBJECT)?;
        self.objects.get(usize::from(index))
    }

    pub(super) fn add_object(&mut self, object: Object) -> Option<u16> {
        if self.objects.len() >= MAX_OBJECTS {
            return None;
        }
        self.objects.push(object);
        Some(FIRST_OBJECT + self.objects.len() as u16 - 1)
    }

    /// Objects, instances and depth from labels and the horizon alone.
    pub(super) fn derive(&mut self, instances: Option<&[u16]>) {
        for row in 0..self.height {
            let y = self.y(row);
            for at in row * self.width..(row + 1) * self.width {
                let class = self.labels[at];
                let depth = match class {
                    classes::SKY | classes::CLOUD => SKY_DEPTH,
                    _ if y > self.horizon + 1.0 / HILL_DEPTH => self.plain_depth(y),
                    _ => HILL_DEPTH,
                };
                self.set(at, class, u16::from(class), depth);
            }
        }
        let group = |at: usize| thing_group(self.labels[at]);
        let key = |at: usize| (group(at), instances.map(|i| i[at]));
        let pieces = pieces(self.labels.len(), self.width, |a, b| key(a) == key(b));
        for piece in pieces {
            if thing_group(self.labels[piece[0]]).is_some() {
                self.claim(&piece);
            }
        }
    }

    /// Makes one connected piece of the label map a thing, where it is one.
    fn claim(&mut self, piece: &[usize]) {
        let class = self.labels[piece[0]];
        let mountain = piece.iter().any(|&at| self.labels[at] == MOUNTAIN);
        let mut bounds = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
        let half = 0.5 * self.pixel();
        for &at in piece {
            let (x, y) = (self.x(at % self.width), self.y(at / self.width));
            bounds = [
                bounds[0].min(x - half),
                bounds[1].min(y - half),
                bounds[2].max(x + half),
                bounds[3].max(y + half),
            ];
        }
        let [x0, y0, x1, y1] = bounds;
        let stands = self.plain_depth(y1);
        let (kind, depth) = match class {
            MOUNTAIN | SNOW if mountain || y0 < self.horizon - 0.02 => {
                (Kind::Ridge, stands.clamp(15.0, 200.0))
            }
            MOUNTAIN | SNOW => return,
            ROCK => (Kind::Rock, stands.min(HILL_DEPTH)),
            TREE if x1 - x0 > 1.4 * (y1 - y0) => (Kind::Forest, stands.min(HILL_DEPTH)),
            TREE if y1 - y0 > 1.6 * (x1 - x0) => (Kind::Conifer, stands.min(HILL_DEPTH)),
            TREE => (Kind::Crown, stands.min(HILL_DEPTH)),
            _ => (Kind::House, stands.min(HILL_DEPTH)),
        };
        let seed = noise::hash(self.seed, self.objects.len() as i32, 77);
        let class = if kind == Kind::Ridge { MOUNTAIN } else { class };
        let object = Object {
            class,
            kind,
            bounds,
            depth,
            seed,
        };
        if let Some(instance) = self.add_object(object) {
            for &at in piece {
                self.set(at, self.labels[at], instance, depth);
            }
        }
    }
}

/// Refuses sizes nobody can mean.
pub(super) fn check_size(width: usize, height: usize) -> Result<()> {
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        return Err(Error::Usage(format!(
            "a landscape of {width}x{height} pixels cannot be made: both sides must lie in 1..={MAX_SIDE}"
        )));
    }
    Ok(())
}

/// Classes that form things; mountain and snow form one thing together.
fn thing_group(class: u8) -> Option<u8> {
    match class {
        MOUNTAIN | SNOW => Some(MOUNTAIN),
        TREE | ROCK | classes::BUILDING => Some(class),
        _ => None,
    }
}

/// The highest row of which a fair part is ground; water is flat, so it lies below the horizon at any rate.
fn guess_horizon(scene: &Scene) -> f32 {
    let mut ground_from = None;
    let mut water_from = None;
    for row in 0..scene.height {
        let labels = &scene.labels[row * scene.width..(row + 1) * scene.width];
        let ground = labels.iter().filter(|&&l| is_ground(l)).count();
        let water = labels.iter().filter(|&&l| l == classes::WATER).count();
        if ground * 4 >= scene.width {
            ground_from = ground_from.or(Some(row));
        }
        if water * 50 >= scene.width {
            water_from = water_from.or(Some(row));
        }
    }
    let edge = |row: usize| row as f32 * scene.pixel();
    match (ground_from, water_from) {
        (Some(g), Some(w)) => edge(g.min(w)),
        (Some(row), None) | (None, Some(row)) => edge(row),
        (None, None) => 0.55,
    }
}
