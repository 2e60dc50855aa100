//! One configuration: what flags, the TOML file and a checkpoint say is the same [`Config`].
//!
//! Sources are merged as tables, later ones over earlier ones: built-in defaults, the data set's mode, preset, file,
//! flags. Options that the model and the data set share (classes, crop size, aspect ratio) are said once, in either
//! section, and hold for both.
//! Names are the official option names where there is one.

mod bytes;
mod flags;
mod idle;
mod model;
mod norm;
mod preset;
mod training;

pub use bytes::Bytes;
pub use flags::{ConfigFlags, DataFlags};
pub use model::{
    ENCODER_LAYERS, InitConfig, InitType, ModelConfig, NetG, SpectralInit, Upsampling,
};
pub use norm::{LayerNorm, NormG, NormKind, SpadeNorm};
pub use preset::Preset;
pub use training::{GanMode, LossConfig, OptimConfig, TrainConfig};

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::data::{DataConfig, DatasetMode, LabelSpace};
use crate::{Error, Result};

/// Everything a training run depends on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The networks.
    pub model: ModelConfig,
    /// What they minimise.
    pub loss: LossConfig,
    /// How fast they learn, and how long.
    pub optim: OptimConfig,
    /// Batches, saving, samples.
    pub train: TrainConfig,
    /// Pictures.
    pub data: DataConfig,
}

/// Options that the sections `model` and `data` share, by their names in both.
const SHARED: [(&str, &str); 5] = [
    ("label_nc", "label_nc"),
    ("dontcare", "dontcare"),
    ("edges", "instances"),
    ("crop_size", "crop_size"),
    ("aspect_ratio", "aspect_ratio"),
];

/// What may change when a run goes on: how long, how watched, in how much memory, and where its files lie now.
const CHANGEABLE: [(&str, &str); 23] = [
    ("optim", "niter"),
    ("optim", "niter_decay"),
    ("train", "display_freq"),
    ("train", "samples"),
    ("train", "print_freq"),
    ("train", "save_latest_freq"),
    ("train", "keep_last"),
    ("train", "keep_every"),
    ("train", "tf_log"),
    ("train", "html"),
    ("train", "recalibrate"),
    ("train", "workers"),
    ("train", "memory_limit"),
    ("train", "accumulate"),
    ("train", "half"),
    ("loss", "vgg_weights"),
    ("data", "dir"),
    ("data", "image_dir"),
    ("data", "label_dir"),
    ("data", "instance_dir"),
    ("data", "only"),
    ("data", "cache_filelist_write"),
    ("data", "cache_filelist_read"),
];

impl Config {
    /// Merges a preset, a TOML file's content and flags. They go over the defaults of the data set's mode.
    ///
    /// Without a preset, your own data (`custom`) gets the default one; a published data set gets none, which leaves what
    /// the published code makes of the same options.
    ///
    /// # Errors
    /// If the file or the flags hold an unknown option or a value it cannot have.
    pub fn merge(preset: impl Into<Option<Preset>>, file: Table, flags: Table) -> Result<Self> {
        let mode = dataset_mode(&flags).or(dataset_mode(&file));
        let mode = mode.unwrap_or_default();
        let preset = match preset.into() {
            None if mode.is_published() => Table::new(),
            preset => preset.unwrap_or_default().table(),
        };
        let mut merged = share(mode.defaults())?;
        for layer in [preset, file, flags] {
            overlay(&mut merged, share(layer)?);
        }
        let fixed = merged.get("data").and_then(|data| data.get("load_size"));
        let load_size_given = fixed.is_some();
        let mut config: Self = Value::Table(merged)
            .try_into()
            .map_err(|error: toml::de::Error| Error::Usage(one_line(&error.to_string())))?;
        if !load_size_given {
            let (load, crop) = mode.load_by_crop();
            config.data.load_size = config.model.crop_size.saturating_mul(load).div_ceil(crop);
        }
        Ok(config)
    }

    /// As [`Config::merge`], for a run that starts from the networks of another: its networks and the way its pictures are
    /// cut go before the preset, file and flags go before them.
    ///
    /// # Errors
    /// As [`Config::merge`].
    pub fn merge_from(
        before: &Self,
        preset: impl Into<Option<Preset>>,
        file: Table,
        flags: Table,
    ) -> Result<Self> {
        let mut layer = Table::try_from(before).expect("a configuration is a table");
        layer.retain(|section, _| section == "model" || section == "data");
        let given = [&file, &flags].map(|layer| share(layer.clone()));
        let resized = given.into_iter().flatten().any(|layer| {
            let data = layer.get("data").and_then(Value::as_table);
            data.is_some_and(|data| data.contains_key("crop_size"))
        });
        if let Some(Value::Table(data)) = layer.get_mut("data") {
            // The load size follows the crop size unless it is given as well.
            data.retain(|name, _| match name {
                "load_size" => !resized,
                "preprocess" | "published_shortside" => true,
                name => SHARED.iter().any(|(_, shared)| *shared == name),
            });
        }
        overlay(&mut layer, share(file)?);
        Self::merge(preset, layer, flags)
    }

    /// Changes a run that goes on by flags.
    ///
    /// # Errors
    /// If a flag changes what cannot change in the middle of a run; the message names it.
    pub fn change(&self, flags: Table) -> Result<Self> {
        let before = Table::try_from(self).expect("a configuration is a table");
        let mut after = before.clone();
        overlay(&mut after, share(flags)?);
        for (section, options) in &after {
            for (name, value) in options.as_table().into_iter().flatten() {
                let old = before.get(section).and_then(|table| table.get(name));
                if old != Some(value) && !CHANGEABLE.contains(&(section.as_str(), name.as_str())) {
                    return usage(format!(
                        "{name} = {value} cannot change in the middle of a run: resume without it, or start a new run"
                    ));
                }
            }
        }
        let config: Self = Value::Table(after)
            .try_into()
            .map_err(|error: toml::de::Error| Error::Usage(one_line(&error.to_string())))?;
        if let (None, Some(path)) = (self.loss.perceptual(), config.loss.perceptual()) {
            return usage(format!(
                "vgg_weights = {} would switch the perceptual loss on in the middle of a run: resume without it, or start \
                 a new run with the networks of this one (--from)",
                path.display()
            ));
        }
        config.validate()?;
        let [was, parts] = [self, &config].map(|config| config.train.accumulate);
        if was != parts && config.model.norms_over_pictures() {
            return usage(format!(
                "accumulate = {parts} cannot change in the middle of this run: a norm takes its moments over the pictures \
                 of a part, so it would be another training; resume without it, or start a new run"
            ));
        }
        Ok(config)
    }

    /// Reads a TOML file for [`Config::merge`], with the preset it names, if any.
    ///
    /// # Errors
    /// If the file cannot be read or is not TOML.
    pub fn read_file(path: &Path) -> Result<(Option<Preset>, Table)> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::io("cannot read configuration", path, source))?;
        let broken = |error: String| {
            let message = format!("configuration {}: {}", path.display(), one_line(&error));
            Error::Usage(message)
        };
        let mut table: Table = toml::from_str(&text).map_err(|e| broken(e.to_string()))?;
        let preset = match table.remove("preset") {
            Some(Value::String(name)) => Some(name.parse().map_err(broken)?),
            Some(other) => return Err(broken(format!("preset = {other} must be a name"))),
            None => None,
        };
        // Checked here already, so that the message can name the file.
        Config::merge(None, table.clone(), Table::new())
            .map_err(|error| broken(error.to_string()))?;
        Ok((preset, table))
    }

    /// Takes classes and instance maps over from a data set, and refuses options that contradict each other.
    ///
    /// # Errors
    /// If an option cannot be used; the message names it and the way out.
    pub fn resolve(mut self, space: &LabelSpace) -> Result<Self> {
        self.model.label_nc = space.label_nc;
        self.model.dontcare = space.dontcare;
        self.model.edges = space.instances;
        self.data.label_nc = Some(space.label_nc);
        self.data.dontcare = Some(space.dontcare);
        self.data.instances = Some(space.instances);
        self.validate()?;
        Ok(self)
    }

    /// Refuses values out of range and options that contradict each other.
    ///
    /// # Errors
    /// Names the option and the way out.
    pub fn validate(&self) -> Result<()> {
        self.model.validate()?;
        self.loss.validate()?;
        self.optim.validate()?;
        self.train.validate()?;
        self.model
            .check_pictures(self.train.batch_size / self.train.accumulate)?;
        Ok(())
    }

    /// As a TOML file.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration is a table of plain values")
    }
}

/// The mode that a layer names. What is none is refused with the rest of the layer.
fn dataset_mode(layer: &Table) -> Option<DatasetMode> {
    let mode = layer.get("data")?.get("dataset_mode")?;
    mode.clone().try_into().ok()
}

/// Copies shared options given in one section to the other.
fn share(mut layer: Table) -> Result<Table> {
    for (in_model, in_data) in SHARED {
        let get = |section: &str, key: &str| layer.get(section)?.as_table()?.get(key).cloned();
        let (section, key, value) = match (get("model", in_model), get("data", in_data)) {
            (Some(one), Some(other)) if !same(&one, &other) => {
                return usage(format!(
                    "model.{in_model} = {one} contradicts data.{in_data} = {other}: say it once"
                ));
            }
            (Some(value), None) => ("data", in_data, value),
            (None, Some(value)) => ("model", in_model, value),
            _ => continue,
        };
        let section = layer
            .entry(section)
            .or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(section) = section {
            section.insert(key.into(), value);
        }
    }
    Ok(layer)
}

/// Whether two values mean the same; `2` and `2.0` do.
fn same(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| {
        value
            .as_float()
            .or(value.as_integer().map(|integer| integer as f64))
    };
    one == other || (number(one).is_some() && number(one) == number(other))
}

fn overlay(base: &mut Table, layer: Table) {
    for (key, value) in layer {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(layer)) => overlay(base, layer),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Parsers draw pictures over several lines; a message is one line.
fn one_line(message: &str) -> String {
    let lines: Vec<_> = message.lines().map(str::trim).collect();
    lines.join(" ").trim().to_owned()
}

fn usage<T>(message: String) -> Result<T> {
    Err(Error::Usage(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn later_sources_win() {
        let file = table("[model]\nngf = 24\ncrop_size = 96\n[optim]\nlr = 1e-3");
        let flags = table("[model]\nngf = 40");
        let config = Config::merge(Preset::Tiny, file, flags).unwrap();
        assert_eq!((config.model.ngf, config.optim.lr), (40, 1e-3));
        assert_eq!((config.data.crop_size, config.data.load_size), (96, 108));
        assert_eq!(
            config.train.batch_size,
            Config::merge(Preset::Tiny, Table::new(), Table::new())
                .unwrap()
                .train
                .batch_size
        );
    }

    #[test]
    fn shared_options_are_said_once() {
        let config = |text: &str| Config::merge(Preset::Tiny, table(text), Table::new());
        let data = config("[data]\nlabel_nc = 5\ninstances = true\naspect_ratio = 2").unwrap();
        assert_eq!((data.model.label_nc, data.model.edges), (5, true));
        assert_eq!(data.model.aspect_ratio, 2.0);
        let model = config("[model]\nlabel_nc = 5\ndontcare = true").unwrap();
        assert_eq!(model.data.label_nc, Some(5));
        assert_eq!(model.data.dontcare, Some(true));
        let error = config("[model]\nlabel_nc = 5\n[data]\nlabel_nc = 6").unwrap_err();
        assert!(error.to_string().contains("say it once"), "{error}");
    }

    #[test]
    fn a_run_keeps_what_it_is() {
        let config = Config::merge(Preset::Tiny, table("[model]\nlabel_nc = 3"), Table::new());
        let config = config
            .unwrap()
            .resolve(&LabelSpace::new(3, false, false))
            .unwrap();
        assert_eq!(config.change(Table::new()).unwrap(), config);
        let longer = config
            .change(table("[optim]\nniter = 7\n[model]\nngf = 16"))
            .unwrap();
        assert_eq!(longer.optim.niter, 7);
        for (text, name) in [
            ("[model]\nngf = 24", "ngf"),
            ("[optim]\nlr = 1.0", "lr"),
            ("[data]\nflip = false", "flip"),
            ("[model]\ncrop_size = 32", "crop_size"),
        ] {
            let error = config.change(table(text)).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_run_keeps_its_perceptual_loss() {
        let config = |text: &str| {
            let base = table("[model]\nlabel_nc = 3");
            Config::merge(Preset::Tiny, base, table(text)).unwrap()
        };
        let weights = |file: &str| table(&format!("[loss]\nvgg_weights = \"{file}\""));
        let with = config("[loss]\nvgg_weights = \"a.pth\"");
        let moved = with.change(weights("b.pth")).unwrap();
        assert_eq!(moved.loss.perceptual(), Some(&"b.pth".into()));
        let off = with.change(table("[loss]\nvgg_loss = false")).unwrap_err();
        assert!(off.to_string().contains("vgg_loss"), "{off}");
        let on = config("").change(weights("a.pth")).unwrap_err();
        assert!(on.to_string().contains("vgg_weights = a.pth"), "{on}");
        assert_eq!(on.exit_code(), 2);
    }

    #[test]
    fn unknown_options_are_named() {
        for text in ["[model]\nngff = 3", "[modell]\nngf = 3", "ngf = 3"] {
            let error = Config::merge(Preset::Tiny, table(text), Table::new()).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let unknown = text.split(' ').next().unwrap();
            let name = unknown.trim_start_matches("[model]\n");
            let name = name.trim_start_matches('[').split(']').next().unwrap();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn every_configuration_survives_its_file() {
        for preset in Preset::ALL {
            let mut config = Config::merge(preset, Table::new(), Table::new()).unwrap();
            config.model.norm_g = "spadeinstance5x5".parse().unwrap();
            config.optim.beta1 = Some(0.25);
            let config = config.resolve(&LabelSpace::new(11, true, false)).unwrap();
            assert_eq!(config, toml::from_str(&config.to_toml()).unwrap());
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(config, serde_json::from_str(&json).unwrap());
        }
    }

    #[test]
    fn a_single_value_cannot_be_normalised() {
        let text = "[model]\nlabel_nc = 3\ncrop_size = 32\n[train]\nbatch_size = 1";
        let mut config = Config::merge(Preset::Tiny, table(text), Table::new()).unwrap();
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains("batch_size"), "{error}");
        config.model.norm_g.kind = SpadeNorm::Instance;
        assert!(config.validate().is_ok());
        config.model.enc_size = 64;
        assert!(config.validate().is_ok(), "nothing is encoded");
        config.model.use_vae = true;
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains("enc_size"), "{error}");
    }
}
