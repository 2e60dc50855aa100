//! The built-in data set: procedural landscapes with label maps, instance maps and pictures.
//!
//! [`layout`] makes a scene from a seed, [`render`] a picture of it in a [`Style`]. The same layout under many styles
//! is known exactly, which no data set of photographs offers. Seeds give the same bytes on every machine: noise is
//! hashed integers, arithmetic is + - * / and square roots in a fixed order, other functions come from `libm`.

mod brush;
mod classes;
mod color;
mod export;
mod finish;
mod layout;
mod light;
mod materials;
mod mirror;
mod noise;
mod objects;
mod pieces;
mod render;
mod scene;
mod solids;
mod style;
mod surface;
#[cfg(test)]
mod tests;
mod things;

pub use classes::*;
pub use export::{FIRST_VAL, FolderPlan, write_folder};
pub use objects::{Kind, Object};
pub(crate) use pieces::pieces;
pub use render::render;
pub use scene::{FIRST_OBJECT, MAX_SIDE, SKY_DEPTH, Scene};
pub use style::Style;

use crate::Result;
use noise::{Rng, mix64};

/// Label of pixels that nobody labelled; generated maps have none.
pub const UNKNOWN: u8 = 255;

/// The scene of a seed: one in six as a person would paint it, the others as nature stacks them.
pub fn layout(seed: u64, width: usize, height: usize) -> Result<Scene> {
    if is_brush_like(seed) {
        brush_layout(seed, width, height)
    } else {
        natural_layout(seed, width, height)
    }
}

/// Whether [`layout`] paints the scene of this seed as a person would.
pub fn is_brush_like(seed: u64) -> bool {
    mix64(seed ^ 0x4252_5553_4800).is_multiple_of(6)
}

/// A scene as nature stacks it.
pub fn natural_layout(seed: u64, width: usize, height: usize) -> Result<Scene> {
    let mut scene = Scene::new(seed, width, height)?;
    layout::generate(&mut scene, &mut Rng::new(mix64(seed)));
    surface::finish(&mut scene);
    Ok(scene)
}

/// A scene as a person paints it: ellipses, straight horizons, odd stacking, missing classes.
pub fn brush_layout(seed: u64, width: usize, height: usize) -> Result<Scene> {
    let mut scene = Scene::new(seed, width, height)?;
    brush::generate(&mut scene, &mut Rng::new(mix64(seed ^ 0xb1)));
    surface::finish(&mut scene);
    Ok(scene)
}

/// Seed of the built-in data set: pictures of different runs can be compared.
pub const DATA_SET: u64 = 0;
/// Pictures of an epoch where no number is given.
pub const PER_EPOCH: usize = 8000;
/// Held-out samples that sample sheets are taken from.
pub const ON_SHEETS: usize = 64;

/// One sample of the data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Pixels in a row.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
    /// Class id of every pixel.
    pub labels: Vec<u8>,
    /// Instance of every pixel, all below 256.
    pub instances: Vec<u16>,
    /// The picture, RGB bytes.
    pub rgb: Vec<u8>,
    /// The style it was rendered in.
    pub style: Style,
}

/// Scene and style of sample `index` of the data set `seed`: independent of each other and of the size.
pub fn sample(seed: u64, index: u64, width: usize, height: usize) -> Result<(Scene, Style)> {
    let own = mix64(mix64(seed) ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let style = Style::from_seed(mix64(own ^ 0x57));
    Ok((layout(own, width, height)?, style))
}

/// [`sample`] with its picture.
pub fn pair(seed: u64, index: u64, width: usize, height: usize) -> Result<Pair> {
    let (scene, style) = sample(seed, index, width, height)?;
    Ok(Pair {
        width,
        height,
        rgb: render(&scene, &style),
        labels: scene.labels,
        instances: scene.instances,
        style,
    })
}
