//! Published data sets: what `dataset_mode` stands for.
//!
//! A mode is a layout of files (see the `layout` module), a class table, and defaults. Defaults of a mode go before the
//! built-in ones; presets, files and flags go before both. A published mode without a preset is therefore what the
//! published code makes of the same option.

use serde::{Deserialize, Serialize};
use toml::Table;

use super::classes::ClassTable;

/// The data sets whose files are found and read without further options.
///
/// `P` is `train` or `val`; every folder may have sub-folders. Photos may be of any kind the program reads.
///
/// | mode | photos | label maps | instance maps | belong together by |
/// |---|---|---|---|---|
/// | `custom` | `P_img/` | `P_label/` | `P_inst/`, if there are any | path inside the folder |
/// | `coco` | `P_img/` | `P_label/` | `P_inst/` | path; `train_img_portrait/` and so on as well |
/// | `ade20k` | `*_P_*.jpg` | `*_P_*.png` | in `instance_dir`, if given | name, in any folders |
/// | `ade20k_outdoor` | as `ade20k` | | | scenes out of doors by `sceneCategories.txt` |
/// | `cityscapes` | `leftImg8bit/P/` | `gtFine/P/*_labelIds.png` | `gtFine/P/*_instanceIds.png` | city, sequence, frame |
/// | `facades` | `P_img/` | `P_label/` | none | path |
/// | `flickr` | `P_img/` | `P_label/` | none | path |
///
/// | mode | classes | unlabelled | defaults that differ |
/// |---|---|---|---|
/// | `custom` | by class table or `label_nc` | 255, if the table or an option says so | |
/// | `coco`, `flickr` | 182 | 255 | |
/// | `ade20k`, `ade20k_outdoor` | 150 | see below | |
/// | `cityscapes` | 35 | none | `fixed` to 512x256, `more` upsamplings, batches of 16, load size equals crop size |
/// | `facades` | 13 | none | |
///
/// **ADE20K ids.** The files hold 0 for unknown and 1 to 150 for classes. The published network takes these numbers as
/// they are: channel 0 is unknown, channel k is class k. Its authors meant class k to be channel k - 1 and unknown to be
/// channel 150: `classes = "ade20k-shifted"`.
///
/// **Flickr landscapes** are photos with label maps made by a COCO-Stuff segmenter; the published set was never
/// released. Let a segmenter write its ids (0 to 181, 255 where it is unsure) as grey PNGs beside your photos.
///
/// **Options of the published code.** `dataset_mode`, `preprocess_mode`, `load_size`, `crop_size`, `aspect_ratio`,
/// `label_nc`, `contain_dontcare_label`, `no_instance`, `no_flip`, `serial_batches`, `max_dataset_size`, `label_dir`,
/// `image_dir`, `instance_dir`, `coco_no_portraits`, `cache_filelist_write` and `cache_filelist_read` are flags of the same
/// names, with hyphens. `dataroot` is the folder that comes first on the line; `nThreads` is `--workers` or
/// `--n-threads`; `phase` and `how_many` are `--phase` and `--how-many` of `synth`. `no_pairing_check` has no counterpart:
/// files are paired by name, so that there is nothing to skip, and the published code checked every pair it loaded in
/// spite of it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum DatasetMode {
    /// Your own: train_img, train_label and so on, or the folders that options name.
    #[default]
    Custom,
    /// COCO-Stuff: train_img, train_label, train_inst; 182 classes.
    Coco,
    /// ADE20K scene parsing: *_train_*.jpg and .png anywhere; 150 classes.
    #[value(name = "ade20k")]
    Ade20k,
    /// The scenes of ADE20K that sceneCategories.txt places out of doors.
    #[value(name = "ade20k_outdoor")]
    Ade20kOutdoor,
    /// Cityscapes: leftImg8bit and gtFine; 35 classes, 512x256.
    Cityscapes,
    /// CMP Facades: train_img, train_label; 13 classes.
    Facades,
    /// Landscape photos with label maps of a COCO-Stuff segmenter: train_img, train_label; 182 classes.
    Flickr,
}

impl DatasetMode {
    /// Every mode.
    pub const ALL: [Self; 7] = [
        Self::Custom,
        Self::Coco,
        Self::Ade20k,
        Self::Ade20kOutdoor,
        Self::Cityscapes,
        Self::Facades,
        Self::Flickr,
    ];

    /// Its name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::Coco => "coco",
            Self::Ade20k => "ade20k",
            Self::Ade20kOutdoor => "ade20k_outdoor",
            Self::Cityscapes => "cityscapes",
            Self::Facades => "facades",
            Self::Flickr => "flickr",
        }
    }

    /// Whether it stands for a published data set, with its own classes and sizes.
    pub fn is_published(self) -> bool {
        self != Self::Custom
    }

    /// Options that it sets, as a layer of [`Config::merge`](crate::Config::merge).
    pub(crate) fn defaults(self) -> Table {
        let text = match self {
            Self::Cityscapes => include_str!("../../assets/cityscapes.toml"),
            _ => "",
        };
        toml::from_str(text).expect("defaults of data sets are TOML")
    }

    /// Load size by crop size, as published.
    pub(crate) fn load_by_crop(self) -> (usize, usize) {
        match self {
            Self::Cityscapes => (1, 1),
            _ => (286, 256),
        }
    }

    /// Its class table; your own data has none but what options or a file beside it say.
    pub fn class_table(self) -> Option<ClassTable> {
        ClassTable::built_in(match self {
            Self::Custom => return None,
            Self::Coco | Self::Flickr => "coco",
            Self::Ade20k | Self::Ade20kOutdoor => "ade20k",
            Self::Cityscapes => "cityscapes",
            Self::Facades => "facades",
        })
    }

    /// Whether it uses instance maps; your own data does where there are any.
    pub fn instances(self) -> Option<bool> {
        match self {
            Self::Custom => None,
            Self::Coco | Self::Cityscapes => Some(true),
            Self::Ade20k | Self::Ade20kOutdoor | Self::Facades | Self::Flickr => Some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_tables_agree_with_the_published_networks() {
        for (mode, label_nc, ids, channels) in [
            (DatasetMode::Coco, 182, 183, 184),
            (DatasetMode::Flickr, 182, 183, 183),
            (DatasetMode::Ade20k, 150, 151, 151),
            (DatasetMode::Ade20kOutdoor, 150, 151, 151),
            (DatasetMode::Cityscapes, 35, 35, 36),
            (DatasetMode::Facades, 13, 13, 13),
        ] {
            let config = crate::data::DataConfig {
                dataset_mode: mode,
                ..crate::data::DataConfig::of_dir("data")
            };
            let space = config.label_space().unwrap();
            let got = (space.label_nc, space.ids(), space.channels());
            assert_eq!(got, (label_nc, ids, channels), "{mode:?}");
            let named = (0..label_nc as u32).filter(|&id| space.table.get(id).is_some());
            assert_eq!(named.count(), label_nc, "{mode:?} names every class");
        }
        assert!(DatasetMode::Custom.class_table().is_none());
    }

    #[test]
    fn names_are_those_of_files_and_flags() {
        use clap::ValueEnum;
        for mode in DatasetMode::ALL {
            let value = toml::Value::try_from(mode).unwrap();
            assert_eq!(value.as_str(), Some(mode.name()));
            let flag = mode.to_possible_value().unwrap();
            assert_eq!(flag.get_name(), mode.name());
        }
    }
}
