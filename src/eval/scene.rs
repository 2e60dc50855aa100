//! Built-in landscapes as questions with known answers.

use crate::data::Grid;
use crate::data::landscape::{self, DATA_SET, FIRST_VAL, ON_SHEETS, Scene, Style};
use crate::picture::Picture;
use crate::{Layout, Result};

/// A scene and its picture in one style.
pub struct Truth {
    /// The scene.
    pub scene: Scene,
    /// Its style.
    pub style: Style,
    /// Its picture.
    pub picture: Picture,
}

impl Truth {
    /// Picture `index` of the training set, at a width and height.
    ///
    /// # Errors
    /// If the size cannot be drawn.
    pub fn training(index: u64, size: [usize; 2]) -> Result<Self> {
        Self::of(index, size)
    }

    /// Picture `index` of those that no training and no sample sheet shows.
    ///
    /// # Errors
    /// If the size cannot be drawn.
    pub fn held_out(index: u64, size: [usize; 2]) -> Result<Self> {
        Self::of(FIRST_VAL + ON_SHEETS as u64 + index, size)
    }

    fn of(index: u64, [width, height]: [usize; 2]) -> Result<Self> {
        let (scene, style) = landscape::sample(DATA_SET, index, width, height)?;
        let picture = draw(&scene, &style);
        Ok(Self {
            scene,
            style,
            picture,
        })
    }

    /// The scene in another style.
    pub fn in_style(&self, style: &Style) -> Picture {
        draw(&self.scene, style)
    }

    /// The place that labels alone describe, in the same style.
    ///
    /// # Errors
    /// If a label is none.
    pub fn of_labels(&self, labels: &[u8]) -> Result<Picture> {
        let Scene { width, height, .. } = self.scene;
        let scene = Scene::from_labels(0, width, height, labels, None)?;
        Ok(draw(&scene, &self.style))
    }

    /// What a generator is given.
    pub fn layout(&self) -> Layout {
        layout_of(&self.scene, &self.scene.labels)
    }
}

/// Labels with the instances of a scene, as a generator takes them.
pub fn layout_of(scene: &Scene, labels: &[u8]) -> Layout {
    let Scene { width, height, .. } = *scene;
    let instances = scene.instances.iter().map(|&id| u32::from(id));
    Layout {
        labels: Grid::new(
            width,
            height,
            labels.iter().map(|&l| u32::from(l)).collect(),
        ),
        instances: Some(Grid::new(width, height, instances.collect())),
    }
}

fn draw(scene: &Scene, style: &Style) -> Picture {
    let bytes = landscape::render(scene, style);
    Grid::new(scene.width, scene.height, bytes.as_chunks().0.to_vec())
}
