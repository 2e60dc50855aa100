//! The network that is measured, and the label maps it draws.

use std::path::Path;

use crate::config::{Config, ModelConfig, Preset};
use crate::data::files::{Map, read_map};
use crate::data::list::pictures;
use crate::data::{Grid, LabelSpace, batch, landscape};
use crate::model::generator::generator_params;
use crate::model::init::initial;
use crate::state::{HostTensor, StateDict};
use crate::windows::IdMap;
use crate::{Error, Result};

/// Classes of the network that is measured, those of ADE20K, besides unlabelled.
pub const CLASSES: usize = 150;
/// Built-in landscapes that stand in for label maps.
const LANDSCAPES: u64 = 4;

/// Sizes of the network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    /// Where they start from.
    pub preset: Preset,
    /// Width of the picture.
    pub crop_size: Option<usize>,
    /// Width of the generator.
    pub ngf: Option<usize>,
    /// Whether pictures have styles.
    pub use_vae: bool,
}

/// A network and label maps.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Everything a training depends on.
    pub config: Config,
    /// The label maps at the size of the picture, one at least.
    pub maps: Vec<IdMap>,
}

impl Setting {
    /// A network of these sizes, with the label maps of a folder or built-in landscapes.
    ///
    /// # Errors
    /// If the sizes do not work out, or the folder holds no label map.
    pub fn open(sizes: Sizes, maps: Option<&Path>) -> Result<Self> {
        let mut config = Config::merge(sizes.preset, Default::default(), Default::default())?;
        let model = &mut config.model;
        (model.label_nc, model.dontcare, model.edges) = (CLASSES, true, false);
        model.use_vae = sizes.use_vae;
        model.crop_size = sizes.crop_size.unwrap_or(model.crop_size);
        model.ngf = sizes.ngf.unwrap_or(model.ngf);
        model.validate()?;
        let maps = match maps {
            Some(folder) => folder_maps(folder, model)?,
            None => landscape_maps(model)?,
        };
        Ok(Self { config, maps })
    }

    /// The networks.
    pub fn model(&self) -> &ModelConfig {
        &self.config.model
    }

    /// So many label maps as one batch, from the given one on.
    pub fn batch(&self, first: usize, n: usize) -> IdMap {
        let maps = self.maps.iter().cycle().skip(first % self.maps.len());
        let [h, w] = self.model().output();
        IdMap {
            n,
            h,
            w,
            ids: maps
                .take(n)
                .flat_map(|map| map.ids.iter().copied())
                .collect(),
        }
    }

    /// A generator that has learned nothing.
    pub fn weights(&self) -> StateDict {
        let mut weights = StateDict::default();
        for spec in generator_params(self.model()).specs() {
            if let Some(values) = initial(spec, 1) {
                let tensor = HostTensor::new(spec.dims.clone(), values);
                weights.tensors.insert(spec.name.clone(), tensor);
            }
        }
        weights
    }
}

/// Label maps of a folder and its sub-folders. Their numbers need not be classes of the network: those beyond are folded
/// into them, so that as many neighbourhoods differ as before; 255 is unlabelled.
fn folder_maps(folder: &Path, model: &ModelConfig) -> Result<Vec<IdMap>> {
    let space = LabelSpace::new(model.label_nc, model.dontcare, false);
    let [height, width] = model.output();
    let read = |path: &std::path::PathBuf| match read_map(path)? {
        Map::Values(values) => {
            let ids = values.map(|value| folded(value, model.label_nc));
            Ok(batch::layout(&ids, None, &space, [width, height]))
        }
        Map::Colours(_) => Err(Error::Data(format!(
            "{}: holds colours; --maps takes label maps that hold numbers of classes",
            path.display()
        ))),
    };
    pictures(folder)?.iter().map(read).collect()
}

/// The class that stands for a number of a file.
fn folded(value: u32, classes: usize) -> u32 {
    let classes = classes as u32;
    match value {
        255 => classes,
        value => value % classes,
    }
}

fn landscape_maps(model: &ModelConfig) -> Result<Vec<IdMap>> {
    let space = LabelSpace::new(model.label_nc, model.dontcare, false);
    let [height, width] = model.output();
    let map = |seed| {
        let scene = landscape::layout(seed, width, height)?;
        let ids = scene.labels.iter().map(|&id| u32::from(id)).collect();
        let ids = Grid::new(width, height, ids);
        Ok(batch::layout(&ids, None, &space, [width, height]))
    };
    (0..LANDSCAPES).map(map).collect()
}

/// Photos of noise in -1..1, for measurements that need some: N x H x W x 3.
pub fn photos(n: usize, [h, w]: [usize; 2]) -> Vec<f32> {
    noise(n * h * w * 3)
}

/// Numbers in -1..1, quickly.
pub fn noise(count: usize) -> Vec<f32> {
    // Multiples of the golden ratio are spread evenly.
    let spread = |i: u32| i.wrapping_mul(2_654_435_769) as f32 / 2_147_483_648.0 - 1.0;
    (1..=count as u32).map(spread).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_of_any_label_set_become_classes_of_the_network() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let map = image::GrayImage::from_raw(2, 2, vec![0, 149, 151, 255]).unwrap();
        map.save(&path).unwrap();
        let sizes = Sizes {
            preset: Preset::Tiny,
            crop_size: Some(32),
            ..Sizes::default()
        };
        let setting = Setting::open(sizes, Some(dir.path())).unwrap();
        let map = &setting.maps[0];
        let corners = [0, 31, 31 * 32, 32 * 32 - 1].map(|i| map.ids[i]);
        assert_eq!(corners, [0, 149, 1, 150]);
        assert_eq!(setting.batch(3, 2).ids.len(), 2 * 32 * 32);

        std::fs::remove_file(path).unwrap();
        let error = Setting::open(sizes, Some(dir.path())).unwrap_err();
        assert!(error.to_string().contains("holds no picture"), "{error}");
    }

    #[test]
    fn sizes_that_do_not_work_out_are_refused() {
        let sizes = Sizes {
            crop_size: Some(16),
            ..Sizes::default()
        };
        let error = Setting::open(sizes, None).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
    }
}
