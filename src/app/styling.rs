//! The style that is painted in: where it comes from, how strong it is, what it is mixed with, and those used before.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eframe::egui::{ColorImage, TextureHandle};
use serde::{Deserialize, Serialize};

use crate::{Result, Style};

/// Styles that are kept to return to.
const KEPT: usize = 24;
/// Seeds that dice show: few enough to be said and written down.
const SEEDS: u64 = 10_000;
/// Most that a style is strengthened: further from the middle than training's own styles lie, pictures fall apart.
pub const STRONGEST: f32 = 1.5;

/// What the generator in use can do with styles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ability {
    /// Coordinates of a style.
    pub z_dim: usize,
    /// Whether it can take styles from pictures.
    pub has_encoder: bool,
}

/// Where a style comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Chance.
    Seed(u64),
    /// A picture, or a mix that was used before; the coordinates restore it even where the picture is gone.
    Place {
        /// What it is called.
        name: String,
        /// Where it lies.
        coordinates: Vec<f32>,
    },
}

impl Origin {
    /// What a person calls it.
    pub fn name(&self) -> String {
        match self {
            Self::Seed(seed) => format!("seed {seed}"),
            Self::Place { name, .. } => name.clone(),
        }
    }

    /// The style of a picture, called by its file's name.
    pub fn of_picture(path: &Path, style: &Style) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str());
        Self::Place {
            name: name.to_string_lossy().into_owned(),
            coordinates: style.coordinates().to_vec(),
        }
    }

    fn style(&self, z_dim: usize) -> Result<Style> {
        match self {
            Self::Seed(seed) => Ok(Style::random(z_dim, *seed)),
            Self::Place { coordinates, .. } => Style::new(coordinates.clone()),
        }
    }
}

/// Which of the two styles of a mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The style itself.
    First,
    /// What it is mixed with.
    Second,
}

/// How a style is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The style.
    pub first: Origin,
    /// What it is mixed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<Origin>,
    /// Share of the second.
    pub share: f32,
    /// Distance from the style in the middle of all; 1 leaves the style as it is.
    pub strength: f32,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            first: Origin::Seed(0),
            second: None,
            share: 0.5,
            strength: 1.0,
        }
    }
}

impl Recipe {
    /// The style it makes for a generator.
    ///
    /// # Errors
    /// If a coordinate is not finite, or a style belongs to a generator with others.
    pub fn style(&self, z_dim: usize) -> Result<Style> {
        let middle = Style::new(vec![0.0; z_dim])?;
        let first = self.first.style(z_dim)?;
        let mixed = match &self.second {
            Some(second) => first.mix(&second.style(z_dim)?, self.share)?,
            None => first,
        };
        middle.mix(&mixed, self.strength)
    }

    /// What a person calls it.
    pub fn name(&self) -> String {
        let mut name = self.first.name();
        if let Some(second) = &self.second {
            name += &format!(" + {:.0} % {}", 100.0 * self.share, second.name());
        }
        if self.strength != 1.0 {
            name += &format!(", strength {:.0} %", 100.0 * self.strength);
        }
        name
    }

    /// Whether it means the same for every generator with as many coordinates.
    fn is_chance(&self) -> bool {
        let origins = [Some(&self.first), self.second.as_ref()];
        let mut origins = origins.into_iter().flatten();
        origins.all(|origin| matches!(origin, Origin::Seed(_)))
    }

    /// The same style as an ingredient of another.
    fn origin(&self, z_dim: usize) -> Result<Origin> {
        match (&self.second, self.strength) {
            (None, 1.0) => Ok(self.first.clone()),
            _ => Ok(Origin::Place {
                name: self.name(),
                coordinates: self.style(z_dim)?.coordinates().to_vec(),
            }),
        }
    }
}

/// A style used before, and a picture in it.
pub struct Used {
    /// The style.
    pub recipe: Recipe,
    /// A small picture.
    pub thumb: Arc<ColorImage>,
    /// The same on the window's device, once it was drawn.
    pub texture: Option<TextureHandle>,
    /// Whether the device has an older picture.
    pub is_stale: bool,
}

/// The style in use and those before.
#[derive(Default)]
pub struct Styling {
    recipe: Recipe,
    revision: u64,
    /// Styles used before, latest first.
    pub used: Vec<Used>,
    /// Whether a slider is held: what it passes is no style to return to.
    pub is_held: bool,
    /// The part that waits for the style of a picture.
    pub encoding: Option<Part>,
}

impl Styling {
    /// The style in use.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Grows with every change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Takes another style.
    pub fn set(&mut self, recipe: Recipe) {
        if recipe != self.recipe {
            self.recipe = recipe;
            self.revision += 1;
        }
    }

    /// Changes the style.
    pub fn change(&mut self, change: impl FnOnce(&mut Recipe)) {
        let mut recipe = self.recipe.clone();
        change(&mut recipe);
        self.set(recipe);
    }

    /// Puts an origin in its part.
    pub fn put(&mut self, part: Part, origin: Origin) {
        self.change(|recipe| match part {
            Part::First => recipe.first = origin,
            Part::Second => recipe.second = Some(origin),
        });
    }

    /// A style by chance.
    pub fn roll(&mut self, part: Part) {
        self.put(part, Origin::Seed(RandomState::new().hash_one(0) % SEEDS));
    }

    /// Mixes with a style used before.
    ///
    /// # Errors
    /// If it belongs to another generator.
    pub fn mix_with(&mut self, number: usize, z_dim: usize) -> Result<()> {
        if let Some(used) = self.used.get(number) {
            let origin = used.recipe.origin(z_dim)?;
            self.put(Part::Second, origin);
        }
        Ok(())
    }

    /// Keeps the style in use, unless it is still being chosen, with the latest picture in it.
    pub fn keep(&mut self, thumb: &Arc<ColorImage>) {
        let mut used = self.used.iter_mut();
        if let Some(used) = used.find(|used| used.recipe == self.recipe) {
            if !Arc::ptr_eq(&used.thumb, thumb) {
                used.thumb = thumb.clone();
                used.is_stale = true;
            }
            return;
        }
        if self.is_held {
            return;
        }
        let used = Used {
            recipe: self.recipe.clone(),
            thumb: thumb.clone(),
            texture: None,
            is_stale: false,
        };
        self.used.insert(0, used);
        self.used.truncate(KEPT);
    }

    /// Gets used to another generator, to which pictures of before say nothing.
    pub fn adopt(&mut self) {
        self.used.clear();
        self.encoding = None;
        if !self.recipe.is_chance() {
            self.set(Recipe::default());
        }
    }
}

/// A picture whose style is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its file.
    pub path: PathBuf,
    /// What for.
    pub part: Part,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(values: &[f32]) -> Origin {
        Origin::Place {
            name: "dusk.jpg".into(),
            coordinates: values.to_vec(),
        }
    }

    #[test]
    fn a_recipe_mixes_and_strengthens() {
        let mut recipe = Recipe::default();
        assert_eq!(recipe.style(5).unwrap(), Style::random(5, 0));
        recipe = Recipe {
            first: place(&[1.0, 0.0]),
            second: Some(place(&[0.0, 4.0])),
            share: 0.25,
            strength: 0.5,
        };
        assert_eq!(recipe.style(2).unwrap().coordinates(), [0.375, 0.5]);
        assert_eq!(recipe.name(), "dusk.jpg + 25 % dusk.jpg, strength 50 %");
        recipe.strength = 0.0;
        assert_eq!(recipe.style(2).unwrap().coordinates(), [0.0, 0.0]);
        let error = recipe.style(3).unwrap_err().to_string();
        assert!(error.contains("different generators"), "{error}");
        recipe.first = place(&[f32::NAN, 0.0]);
        assert!(recipe.style(2).is_err());
    }

    #[test]
    fn a_recipe_is_restored_to_the_bit() {
        let coordinates = Style::random(64, 7).coordinates().to_vec();
        let recipe = Recipe {
            first: place(&coordinates),
            second: Some(Origin::Seed(u64::MAX)),
            share: 0.1,
            strength: 1.0 / 3.0,
        };
        let text = serde_json::to_string(&recipe).unwrap();
        let again: Recipe = serde_json::from_str(&text).unwrap();
        assert_eq!(again, recipe);
        assert_eq!(again.style(64).unwrap(), recipe.style(64).unwrap());
    }

    #[test]
    fn what_was_used_is_kept_once_and_mixed_as_it_was() {
        let thumb = Arc::new(ColorImage::default());
        let mut styling = Styling {
            is_held: true,
            ..Styling::default()
        };
        styling.keep(&thumb);
        assert!(styling.used.is_empty(), "a slider is held");
        styling.is_held = false;
        for seed in [1, 2, 1, 3] {
            styling.put(Part::First, Origin::Seed(seed));
            styling.keep(&thumb);
        }
        let names = |styling: &Styling| -> Vec<_> {
            styling.used.iter().map(|used| used.recipe.name()).collect()
        };
        assert_eq!(names(&styling), ["seed 3", "seed 2", "seed 1"]);
        styling.mix_with(1, 4).unwrap();
        assert_eq!(styling.recipe().second, Some(Origin::Seed(2)));
        styling.keep(&thumb);
        styling.set(Recipe::default());
        styling.mix_with(0, 4).unwrap();
        let want = Recipe {
            first: Origin::Seed(3),
            second: Some(Origin::Seed(2)),
            ..Recipe::default()
        };
        let Some(Origin::Place { coordinates, .. }) = &styling.recipe().second else {
            panic!("a mix is a place")
        };
        assert_eq!(coordinates, want.style(4).unwrap().coordinates());
        styling.adopt();
        assert!(styling.used.is_empty() && *styling.recipe() == Recipe::default());
    }
}
