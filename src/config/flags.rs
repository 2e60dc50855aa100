//! Configuration flags of the command line, kept as the table of those that were given.

use std::path::Path;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use toml::{Table, Value};

use super::{Config, LossConfig, ModelConfig, OptimConfig, TrainConfig};
use crate::Error;
use crate::data::DataConfig;
use crate::data::landscape::PER_EPOCH;

/// The options of [`Config`] that the command line gave, as a layer for [`Config::merge`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigFlags(pub Table);

impl Args for ConfigFlags {
    fn augment_args(command: Command) -> Command {
        // The variant for updates makes no option required and gives none a default, so that presets and files show
        // through where no flag is given.
        let command = DataConfig::augment_args_for_update(command);
        let command = ModelConfig::augment_args_for_update(command);
        let command = LossConfig::augment_args_for_update(command);
        let command = OptimConfig::augment_args_for_update(command);
        TrainConfig::augment_args_for_update(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The same flags where only the data set matters: all are taken, so that a line for training can be tried out, but help
/// shows those that say which files a data set has and how to read them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataFlags(pub ConfigFlags);

/// Ids of the flags that [`DataFlags`] shows.
const OF_DATA: [&str; 13] = [
    "dataset_mode",
    "image_dir",
    "label_dir",
    "instance_dir",
    "classes",
    "label_nc",
    "dontcare",
    "edges",
    "coco_portraits",
    "only",
    "max_dataset_size",
    "cache_filelist_write",
    "cache_filelist_read",
];

impl Args for DataFlags {
    fn augment_args(command: Command) -> Command {
        let all = ConfigFlags::augment_args(Command::new("all"));
        let shown = |arg: &Arg| OF_DATA.contains(&arg.get_id().as_str());
        let args = all.get_arguments();
        command.args(args.map(|arg| arg.clone().hide(!shown(arg)).help_heading("Data")))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for DataFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        ConfigFlags::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl ConfigFlags {
    /// Adds the data set by its name: `landscapes` are the built-in ones, [`PER_EPOCH`] of them; all else is a folder.
    ///
    /// # Errors
    /// As [`ConfigFlags::with_dir`].
    pub fn with_data(self, name: Option<&Path>) -> crate::Result<Self> {
        match name {
            Some(name) if name.as_os_str() == "landscapes" => {
                Ok(self.with("landscapes", PER_EPOCH as i64))
            }
            name => self.with_dir(name),
        }
    }

    /// Adds the folder of the data set, which is no flag.
    ///
    /// # Errors
    /// If its name is no valid Unicode.
    pub fn with_dir(self, dir: Option<&Path>) -> crate::Result<Self> {
        let Some(dir) = dir else { return Ok(self) };
        let name = dir.to_str().ok_or_else(|| {
            let dir = dir.display();
            Error::Usage(format!("{dir} is no valid Unicode, as options must be"))
        })?;
        Ok(self.with("dir", name))
    }

    fn with(mut self, option: &str, value: impl Into<Value>) -> Self {
        let data = self.0.entry("data");
        let data = data.or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(data) = data {
            data.insert(option.into(), value.into());
        }
        self
    }
}

impl FromArgMatches for ConfigFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let mut config = Config::default();
        config.data.update_from_arg_matches(matches)?;
        config.model.update_from_arg_matches(matches)?;
        config.loss.update_from_arg_matches(matches)?;
        config.optim.update_from_arg_matches(matches)?;
        config.train.update_from_arg_matches(matches)?;
        // Files of options hold whole numbers of 63 bits.
        let table = Table::try_from(&config);
        let mut table = table
            .map_err(|error| clap::Error::raw(ErrorKind::ValueValidation, format!("{error}\n")))?;
        // A flag of the model says it for the data set too.
        if let Some(Value::Table(data)) = table.get_mut("data") {
            for (_, name) in super::SHARED {
                data.remove(name);
            }
        }
        keep_given(&mut table, matches);
        self.0 = table;
        Ok(())
    }
}

fn keep_given(table: &mut Table, matches: &ArgMatches) {
    let given = |name: &str| {
        let known = matches.try_contains_id(name).is_ok();
        known && matches.value_source(name) == Some(ValueSource::CommandLine)
    };
    table.retain(|name, value| match value {
        Value::Table(section) => {
            keep_given(section, matches);
            !section.is_empty()
        }
        _ => given(name),
    });
}

#[cfg(test)]
mod tests {
    use super::super::{NormG, Preset};
    use super::*;

    fn flags(line: &str) -> Result<Table, clap::Error> {
        let command = ConfigFlags::augment_args(Command::new("train"));
        let matches = command.try_get_matches_from(line.split_whitespace())?;
        Ok(ConfigFlags::from_arg_matches(&matches)?.0)
    }

    #[test]
    fn numbers_out_of_all_bounds_are_refused() {
        let error = flags("train --crop-size 18446744073709551615").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ValueValidation);
        let table = flags("train --crop-size 9223372036854775807").unwrap();
        let config = Config::merge(None, Table::new(), table).unwrap();
        assert!(config.data.load_size > 1 << 55);
    }

    #[test]
    fn only_given_flags_remain() {
        assert_eq!(flags("train").unwrap(), Table::new());
        let table = flags("train --ngf 24 --no-flip --no-instance --init-type kaiming").unwrap();
        let want = "[data]\nflip = false\n[model]\nngf = 24\nedges = false\n[model.init]\ninit_type = \"kaiming\"";
        assert_eq!(table, toml::from_str(want).unwrap());
    }

    #[test]
    fn data_sets_have_names_or_folders() {
        let named = |name: &str| {
            ConfigFlags::default()
                .with_data(Some(name.as_ref()))
                .unwrap()
                .0
        };
        // What the flag alone means.
        assert_eq!(named("landscapes"), flags("train --landscapes").unwrap());
        assert_eq!(
            named("./landscapes")["data"]["dir"].as_str(),
            Some("./landscapes")
        );
        assert_eq!(
            ConfigFlags::default().with_data(None).unwrap().0,
            Table::new()
        );
    }

    #[test]
    fn flags_reach_the_configuration() {
        let line = "train --norm-g spadeinstance5x5 --num-upsampling-layers most --lr 1e-3 --label-nc 7 \
                    --contain-dontcare-label --crop-size 512 --preprocess-mode crop --no-ttur --seed 9 --label-dir x";
        let config = Config::merge(Preset::Tiny, Table::new(), flags(line).unwrap()).unwrap();
        let norm: NormG = "spadeinstance5x5".parse().unwrap();
        assert_eq!((config.model.norm_g, config.optim.lr), (norm, 1e-3));
        assert_eq!(config.model.levels().len(), 8);
        assert_eq!(config.data.label_nc, Some(7));
        assert_eq!(config.data.dontcare, Some(true));
        assert_eq!((config.data.crop_size, config.data.load_size), (512, 572));
        assert_eq!(config.data.label_dir.as_deref(), Some("x".as_ref()));
        assert!(!config.optim.ttur && config.train.seed == 9);
        assert!(flags("train --norm-g spadebatch4x4").is_err());
        assert!(flags("train --seed 9223372036854775808").is_err());
    }
}
