//! Options of a data set.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::augment::{Geometry, Preprocess};
use super::check::suggestion;
use super::classes::{ClassTable, LabelSpace};
use super::landscape::FIRST_VAL;
use super::mode::DatasetMode;
use crate::{Error, Result};

/// Where pictures come from and how they are cut to size. Options left open follow from the data set's mode, its class
/// table and folders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Data")]
pub struct DataConfig {
    /// Which data set it is: how its files are laid out and paired, its classes, and the defaults of other options.
    #[arg(long, value_name = "MODE")]
    pub dataset_mode: DatasetMode,
    /// Folder of the data set: with `train_img`, `train_label` and, if there are any, `train_inst`, `val_img`, `val_label`,
    /// `val_inst`, or as `dataset_mode` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(skip)]
    pub dir: Option<PathBuf>,
    /// Folder of photos, instead of `dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "DIR")]
    pub image_dir: Option<PathBuf>,
    /// Folder of label maps, instead of `dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "DIR")]
    pub label_dir: Option<PathBuf>,
    /// Folder of instance maps, beside `image_dir` and `label_dir`, or for ADE20K, which has none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "DIR")]
    pub instance_dir: Option<PathBuf>,
    /// Number of built-in landscapes to train on, instead of folders, which is that of an epoch; the flag alone means 8000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "8000")]
    pub landscapes: Option<usize>,
    /// Class table: a file, or coco, ade20k, ade20k-shifted, cityscapes, facades or landscapes.
    ///
    /// Without it that of `dataset_mode`; for custom, `classes.toml` or `classes.json` in the folder of the data set.
    ///
    /// With ade20k-shifted, 0 is unlabelled and k is class k - 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// Leave out `train_img_portrait` and so on, which coco trains on as well.
    #[arg(long = "coco-no-portraits", action = clap::ArgAction::SetFalse)]
    pub coco_portraits: bool,
    /// Use the pictures named in this file only: one a line, with or without ending, whatever follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "FILE")]
    pub only: Option<PathBuf>,
    /// Use the first pictures only, in natural order of their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "N")]
    pub max_dataset_size: Option<usize>,
    /// Write `files.list` into every folder of pictures.
    #[arg(long)]
    pub cache_filelist_write: bool,
    /// Read `files.list` where there is one instead of listing a folder; coco does so anyway.
    #[arg(long)]
    pub cache_filelist_read: bool,
    /// Number of classes; without it the class table's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(skip)]
    pub label_nc: Option<usize>,
    /// Whether unlabelled pixels get a channel of their own; without it as the class table says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(skip)]
    pub dontcare: Option<bool>,
    /// Whether instance maps are used; without it where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(skip)]
    pub instances: Option<bool>,
    /// How training pictures are cut from files.
    #[arg(id = "preprocess", long = "preprocess-mode", value_name = "MODE")]
    pub preprocess: Preprocess,
    /// Side that files are resized to before a crop.
    #[arg(long, value_name = "PIXELS")]
    pub load_size: usize,
    /// Side of the crop, and the width of the picture.
    #[arg(skip)]
    pub crop_size: usize,
    /// Width by height.
    #[arg(skip)]
    pub aspect_ratio: f64,
    /// Scale short sides as the published code did: they keep their size, and long sides become load size * long / short.
    #[arg(long)]
    pub published_shortside: bool,
    /// Whether half of the training pictures are mirrored.
    #[arg(long = "no-flip", action = clap::ArgAction::SetFalse, help = "Mirror no pictures")]
    pub flip: bool,
    /// Whether every epoch has an order of its own.
    #[arg(long = "serial-batches", action = clap::ArgAction::SetFalse, help = "Train in the order of names")]
    pub shuffle: bool,
    /// Pairs kept out of training for sample sheets where there is no `val` part.
    #[arg(long, value_name = "N")]
    pub hold_out: usize,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            dataset_mode: DatasetMode::Custom,
            dir: None,
            image_dir: None,
            label_dir: None,
            instance_dir: None,
            landscapes: None,
            classes: None,
            coco_portraits: true,
            only: None,
            max_dataset_size: None,
            cache_filelist_write: false,
            cache_filelist_read: false,
            label_nc: None,
            dontcare: None,
            instances: None,
            preprocess: Preprocess::ResizeAndCrop,
            load_size: 286,
            crop_size: 256,
            aspect_ratio: 1.0,
            published_shortside: false,
            flip: true,
            shuffle: true,
            hold_out: 4,
        }
    }
}

impl DataConfig {
    /// The data set in a folder, all else as usual.
    pub fn of_dir(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: Some(dir.into()),
            ..Self::default()
        }
    }

    /// Geometry of training pictures.
    pub fn geometry(&self) -> Geometry {
        Geometry {
            preprocess: self.preprocess,
            load_size: self.load_size,
            crop_size: self.crop_size,
            aspect_ratio: self.aspect_ratio,
            published_shortside: self.published_shortside,
            flip: self.flip,
        }
    }

    /// Refuses options that contradict each other, by name.
    pub fn validate(&self) -> Result<()> {
        self.validate_source()?;
        if self
            .label_nc
            .is_some_and(|count| !(1..=254).contains(&count))
        {
            return usage(format!(
                "label_nc = {}: 8-bit label maps hold 1 to 254 classes",
                self.label_nc.unwrap_or_default()
            ));
        }
        if self.max_dataset_size == Some(0) {
            return usage("max_dataset_size must be 1 or more".into());
        }
        // The load size follows the crop size where only that is given, so that one is to blame first.
        for (name, size) in [("crop_size", self.crop_size), ("load_size", self.load_size)] {
            if !(1..=1 << 14).contains(&size) {
                return usage(format!("{name} = {size} must lie between 1 and 16384"));
            }
        }
        if !(self.aspect_ratio.is_finite() && self.aspect_ratio > 0.0) {
            return usage(format!(
                "aspect_ratio = {} must be a positive number, width by height",
                self.aspect_ratio
            ));
        }
        Ok(())
    }

    /// A data set has one source: a folder, separate folders, or the landscapes.
    fn validate_source(&self) -> Result<()> {
        let mode = self.dataset_mode;
        let separate = [
            ("image_dir", &self.image_dir),
            ("label_dir", &self.label_dir),
            ("instance_dir", &self.instance_dir),
        ];
        if mode.is_published() {
            return self.validate_published(&separate);
        }
        if self.landscapes == Some(0) {
            return usage("landscapes = 0: give the number of pictures to train on".into());
        }
        if let Some(count) = self.landscapes.filter(|&count| count as u64 > FIRST_VAL) {
            return usage(format!(
                "landscapes = {count}: from number {FIRST_VAL} on they are held out, to judge by"
            ));
        }
        let other = match (&self.dir, self.landscapes) {
            (Some(_), Some(_)) => return usage("landscapes cannot go together with dir".into()),
            (Some(_), None) => "dir",
            (None, Some(_)) => "landscapes",
            (None, None) => {
                if let Some((name, _)) = separate[..2].iter().find(|(_, path)| path.is_none()) {
                    return usage(format!(
                        "{name} is missing: a data set is dir, or image_dir and label_dir, or landscapes"
                    ));
                }
                if self.instances == Some(true) && self.instance_dir.is_none() {
                    return usage("instances = true needs instance_dir".into());
                }
                return Ok(());
            }
        };
        match separate.iter().find(|(_, path)| path.is_some()) {
            Some((name, _)) => usage(format!("{name} cannot go together with {other}")),
            None => Ok(()),
        }
    }

    /// A published data set lies in one folder; ADE20K may have instance maps elsewhere.
    fn validate_published(&self, separate: &[(&str, &Option<PathBuf>)]) -> Result<()> {
        let mode = self.dataset_mode.name();
        let ade20k = matches!(
            self.dataset_mode,
            DatasetMode::Ade20k | DatasetMode::Ade20kOutdoor
        );
        if self.dir.is_none() {
            return usage(format!(
                "dataset_mode = {mode:?} needs the folder of the data set"
            ));
        }
        if self.landscapes.is_some() {
            return usage(format!(
                "landscapes cannot go together with dataset_mode = {mode:?}"
            ));
        }
        let own = |name: &str| name == "instance_dir" && ade20k;
        let given = |(name, path): &&(&str, &Option<PathBuf>)| path.is_some() && !own(name);
        if let Some((name, _)) = separate.iter().find(given) {
            return usage(format!(
                "{name} cannot go together with dataset_mode = {mode:?}"
            ));
        }
        if ade20k && self.instances == Some(true) && self.instance_dir.is_none() {
            return usage("instances = true needs instance_dir: ADE20K has none of its own".into());
        }
        Ok(())
    }

    /// Refuses a geometry that cannot fit the model's pictures.
    pub fn check_output(&self, width: usize, height: usize) -> Result<()> {
        match self.geometry().output_size() {
            // Landscapes are drawn at the size of the network.
            _ if self.landscapes.is_some() => Ok(()),
            Some([w, h]) if [w, h] != [width, height] => usage(format!(
                "preprocess = {:?} with crop_size = {} gives {w}x{h} pictures, but the model makes {width}x{height}: \
                 set crop_size = {width}{}",
                self.preprocess_name(),
                self.crop_size,
                match width == height {
                    true => String::new(),
                    false => format!(
                        ", preprocess = \"fixed\", aspect_ratio = {}",
                        width as f64 / height as f64
                    ),
                }
            )),
            _ => Ok(()),
        }
    }

    fn preprocess_name(&self) -> String {
        use clap::ValueEnum;
        let value = self.preprocess.to_possible_value();
        value.map_or(String::new(), |value| value.get_name().to_owned())
    }

    /// Classes and channels of the data set.
    pub fn label_space(&self) -> Result<LabelSpace> {
        self.validate()?;
        let table = self.class_table()?;
        let Some(label_nc) = self.label_nc.or(table.label_nc()) else {
            return usage(format!(
                "label_nc is missing: give the number of classes with --label-nc, or a class table with --classes{}",
                suggestion(self)?
            ));
        };
        if !(1..=254).contains(&label_nc) {
            return usage(format!(
                "label_nc = {label_nc}: 8-bit label maps hold 1 to 254 classes"
            ));
        }
        Ok(LabelSpace {
            label_nc,
            dontcare: self.dontcare.unwrap_or(table.has_unlabelled()),
            instances: self.use_instances(&table),
            table,
        })
    }

    fn use_instances(&self, table: &ClassTable) -> bool {
        let present = match (&self.dir, self.dataset_mode.instances()) {
            _ if self.landscapes.is_some() => true,
            (None, _) => self.instance_dir.is_some(),
            (Some(_), Some(by_mode)) => by_mode || self.instance_dir.is_some(),
            (Some(dir), None) => {
                let there = ["train_inst", "val_inst"].map(|part| dir.join(part).is_dir());
                there.contains(&true) && table.has_instances != Some(false)
            }
        };
        self.instances.unwrap_or(present)
    }

    /// The class table the options name, else the one of the mode, else the one beside the data, else an empty one.
    pub fn class_table(&self) -> Result<ClassTable> {
        if let Some(path) = &self.classes {
            let built_in = path.to_str().and_then(ClassTable::built_in);
            return built_in.map_or_else(|| ClassTable::load(path), Ok);
        }
        if self.landscapes.is_some() {
            return Ok(ClassTable::landscapes());
        }
        if let Some(table) = self.dataset_mode.class_table() {
            return Ok(table);
        }
        let beside = |dir: &Path| {
            let candidates = ["classes.toml", "classes.json"].map(|name| dir.join(name));
            candidates.into_iter().find(|path| path.is_file())
        };
        match self.dir.as_deref().and_then(beside) {
            Some(path) => ClassTable::load(&path),
            None => Ok(ClassTable::default()),
        }
    }
}

fn usage<T>(message: String) -> Result<T> {
    Err(Error::Usage(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictions_name_the_option() {
        let dir = DataConfig::of_dir("data");
        let explicit = DataConfig {
            image_dir: Some("a".into()),
            label_dir: Some("b".into()),
            ..DataConfig::default()
        };
        assert!(dir.validate().is_ok() && explicit.validate().is_ok());
        let cases: [(DataConfig, &str); 8] = [
            (DataConfig::default(), "image_dir is missing"),
            (
                DataConfig {
                    label_dir: None,
                    ..explicit.clone()
                },
                "label_dir is missing",
            ),
            (
                DataConfig {
                    dir: dir.dir.clone(),
                    ..explicit.clone()
                },
                "image_dir cannot go together",
            ),
            (
                DataConfig {
                    instances: Some(true),
                    ..explicit.clone()
                },
                "needs instance_dir",
            ),
            (
                DataConfig {
                    label_nc: Some(0),
                    ..dir.clone()
                },
                "label_nc = 0",
            ),
            (
                DataConfig {
                    label_nc: Some(255),
                    ..dir.clone()
                },
                "label_nc = 255",
            ),
            (
                DataConfig {
                    crop_size: 0,
                    load_size: 0,
                    ..dir.clone()
                },
                "crop_size = 0",
            ),
            (
                DataConfig {
                    aspect_ratio: f64::NAN,
                    ..dir.clone()
                },
                "aspect_ratio = NaN",
            ),
        ];
        for (config, message) in cases {
            let error = config.validate().unwrap_err();
            assert!(matches!(error, Error::Usage(_)));
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn the_picture_must_fit_the_model() {
        let config = DataConfig::of_dir("data");
        assert!(config.check_output(256, 256).is_ok());
        let error = config.check_output(256, 128).unwrap_err().to_string();
        assert!(error.contains("aspect_ratio = 2"), "{error}");
        let fixed = DataConfig {
            preprocess: Preprocess::Fixed,
            aspect_ratio: 2.0,
            ..config
        };
        assert!(fixed.check_output(256, 128).is_ok());
        let landscapes = DataConfig {
            landscapes: Some(9),
            ..DataConfig::default()
        };
        assert!(landscapes.check_output(256, 128).is_ok());
    }

    #[test]
    fn the_file_form_is_stable() {
        let config: DataConfig =
            toml::from_str("dir = 'x'\npreprocess = 'scale_width_and_crop'").unwrap();
        assert_eq!(config.preprocess, Preprocess::ScaleWidthAndCrop);
        let written = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<DataConfig>(&written).unwrap(), config);
        assert!(toml::from_str::<DataConfig>("crop = 3").is_err());
    }
}
