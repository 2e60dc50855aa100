//! State dictionaries of the official code made into a checkpoint.
//!
//! Shapes tell most of a configuration. What they leave open is a data set's: how many of the label map's channels are
//! classes, and how large pictures are. It comes from a published data set's name or from options, and is never guessed.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::shapes::{self, GeneratorFacts};
use super::{Network, modernise, read_weights};
use crate::config::{Config, LayerNorm, ModelConfig, Upsampling};
use crate::data::{ClassTable, DataConfig, DatasetMode, LabelSpace};
use crate::model::discriminator::discriminator_params;
use crate::model::encoder::encoder_params;
use crate::model::generator::generator_params;
use crate::state::StateDict;
use crate::train::Checkpoint;
use crate::train::checkpoint::Origin;
use crate::{Error, Result};

/// What shapes do not tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The published data set that decides all the rest.
    pub dataset_mode: Option<DatasetMode>,
    /// Class table: a file, or the name of a built-in one.
    pub classes: Option<PathBuf>,
    /// Number of classes.
    pub label_nc: Option<usize>,
    /// Whether unlabelled pixels have a channel.
    pub dontcare: Option<bool>,
    /// Whether instance edges have one.
    pub edges: Option<bool>,
    /// Doublings.
    pub upsampling: Option<Upsampling>,
    /// Width of pictures.
    pub crop_size: Option<usize>,
    /// Width by height of pictures.
    pub aspect_ratio: Option<f64>,
    /// Norms of the discriminator: shapes do not tell the groups of a group norm.
    pub norm_d: Option<LayerNorm>,
    /// Norms of the encoder, alike.
    pub norm_e: Option<LayerNorm>,
}

/// Reads a generator and, if they are there, a discriminator and an encoder, from files in any order.
///
/// # Errors
/// If a file cannot be used, or tensors do not belong to one model, which names the tensor, both shapes and the likely
/// option; if something is open, which lists all that is and the options that decide it.
pub fn import(files: &[PathBuf], known: &Known) -> Result<Checkpoint> {
    let networks = read(files)?;
    let find = |network| networks.iter().find(|(_, found, _)| *found == network);
    let Some((path, _, generator)) = find(Network::Generator) else {
        return Err(Error::Usage(
            "no file holds a generator: give its file, such as latest_net_G.pth, as well".into(),
        ));
    };
    let mut shape = ModelConfig::default();
    let facts = shapes::of_generator(generator, &mut shape).map_err(|e| inside(path, &e))?;
    if let (Some((path, ..)), false) = (find(Network::Encoder), shape.use_vae) {
        return Err(Error::Data(format!(
            "{}: the generator takes no styles (its tensor fc.weight is a convolution), so it has no use for an encoder: \
             leave this file out",
            path.display()
        )));
    }
    for (option, given, network) in [
        ("--norm-d", known.norm_d, Network::Discriminator),
        ("--norm-e", known.norm_e, Network::Encoder),
    ] {
        if given.is_some() && find(network).is_none() {
            return Err(Error::Usage(format!(
                "{option} says how a network normalises that none of the files holds: give its file too, or leave the \
                 option out"
            )));
        }
    }
    for (path, network, state) in &networks {
        let told = match network {
            Network::Generator => Ok(()),
            Network::Discriminator => shapes::of_discriminator(state, &mut shape, known.norm_d),
            Network::Encoder => shapes::of_encoder(state, &mut shape, known.norm_e),
        };
        told.map_err(|e| of_file(path, e))?;
    }
    // Widths that none has are the file's fault, not that of an option; numbers of groups are an option.
    let plausible = ModelConfig {
        label_nc: 1,
        norm_d: LayerNorm::default(),
        norm_e: LayerNorm::default(),
        ..shape.clone()
    };
    plausible.validate().map_err(|e| inside(path, &e))?;
    let completed = known.complete(shape, facts);
    let (config, space) = completed.map_err(|e| of_file(path, e))?;
    let mut state = StateDict::default();
    for (path, network, tensors) in networks {
        let tensors = fitting(&config, network, tensors).map_err(|e| inside(&path, &e))?;
        state.tensors.extend(tensors.tensors);
        state.counters.extend(tensors.counters);
    }
    Ok(Checkpoint {
        config,
        space,
        progress: Default::default(),
        origin: Origin {
            program: env!("CARGO_PKG_VERSION").into(),
            ..Origin::default()
        },
        networks: state,
        moments: Default::default(),
    })
}

/// The files' networks, brought to the layout of today; each network once.
fn read(files: &[PathBuf]) -> Result<Vec<(PathBuf, Network, StateDict)>> {
    let mut networks: Vec<(PathBuf, Network, StateDict)> = Vec::new();
    for path in files {
        let mut state = read_weights(path)?;
        modernise(&mut state).map_err(|e| inside(path, &e))?;
        let network = Network::of(&state).ok_or_else(|| {
            Error::Data(format!(
                "{}: its tensors are of no generator, discriminator or encoder of this method: {}",
                path.display(),
                some_names(&state)
            ))
        })?;
        if let Some((other, ..)) = networks.iter().find(|(_, found, _)| *found == network) {
            return Err(Error::Usage(format!(
                "{} and {} both hold a {}: give one",
                other.display(),
                path.display(),
                network.name()
            )));
        }
        networks.push((path.clone(), network, state));
    }
    Ok(networks)
}

fn some_names(state: &StateDict) -> String {
    let names: Vec<_> = state.tensors.keys().take(3).map(String::as_str).collect();
    match names.is_empty() {
        true => "it holds none".into(),
        false => format!("it begins with {}", names.join(", ")),
    }
}

/// What is wrong with a file names it; what is wrong with options does without.
fn of_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Data(_) => inside(path, &error),
        error => error,
    }
}

fn inside(path: &Path, error: &Error) -> Error {
    Error::Data(format!("{}: {error}", path.display()))
}

/// A network's tensors under the names of a checkpoint: all that the configuration asks for and no more.
fn fitting(config: &Config, network: Network, tensors: StateDict) -> Result<StateDict> {
    let prefix = format!("{}.", network.letter());
    let mut state = StateDict::default();
    state.extend_prefixed(&prefix, tensors);
    let params = match network {
        Network::Generator => generator_params(&config.model),
        Network::Discriminator => discriminator_params(&config.model),
        Network::Encoder => encoder_params(&config.model),
    };
    for spec in params.specs() {
        spec.look_up(&state.tensors)?;
    }
    if let Some(name) = state.tensors.keys().find(|name| params.get(name).is_none()) {
        return Err(Error::Data(format!(
            "tensor {name} is there, but the {} that the other shapes tell of has none of this name",
            network.name()
        )));
    }
    state
        .counters
        .retain(|name, _| params.counters().iter().any(|c| c.name == *name));
    Ok(state)
}

impl Known {
    /// The configuration of a model of these shapes.
    fn complete(&self, shape: ModelConfig, facts: GeneratorFacts) -> Result<(Config, LabelSpace)> {
        let table = self.class_table()?;
        let [dontcare, edges] = self.decide(&table, facts)?;
        let label_nc = facts.semantic_nc - usize::from(dontcare) - usize::from(edges);
        let mut config = Config::merge(None, Table::new(), self.layer())?;
        let model = &mut config.model;
        *model = ModelConfig {
            upsampling: match facts.has_last_block {
                true => Upsampling::Most,
                false => model.upsampling,
            },
            crop_size: model.crop_size,
            aspect_ratio: model.aspect_ratio,
            ..shape
        };
        let space = LabelSpace {
            label_nc,
            dontcare,
            instances: edges,
            table,
        };
        let config = config.resolve(&space)?;
        self.check_size(&config.model, facts)?;
        Ok((config, space))
    }

    /// Options as a layer of a configuration.
    fn layer(&self) -> Table {
        let mut data = Table::new();
        let mut model = Table::new();
        if let Some(mode) = self.dataset_mode {
            data.insert("dataset_mode".into(), mode.name().into());
        }
        if let Some(upsampling) = self.upsampling {
            let name = upsampling.to_string();
            model.insert("num_upsampling_layers".into(), name.into());
        }
        if let Some(size) = self.crop_size {
            model.insert("crop_size".into(), Value::Integer(size as i64));
        }
        if let Some(ratio) = self.aspect_ratio {
            model.insert("aspect_ratio".into(), Value::Float(ratio));
        }
        [("data", data), ("model", model)]
            .map(|(name, section)| (name.to_owned(), Value::Table(section)))
            .into_iter()
            .collect()
    }

    fn class_table(&self) -> Result<ClassTable> {
        let data = DataConfig {
            dataset_mode: self.dataset_mode.unwrap_or_default(),
            classes: self.classes.clone(),
            ..DataConfig::default()
        };
        data.class_table()
    }

    /// Whether unlabelled pixels and instance edges have channels; everything else that is open is told along with it.
    fn decide(&self, table: &ClassTable, facts: GeneratorFacts) -> Result<[bool; 2]> {
        let label_nc = self.label_nc.or(table.label_nc());
        let by_table = table.label_nc().map(|_| table.has_unlabelled());
        let wanted = [
            self.dontcare.or(by_table),
            self.edges
                .or(self.dataset_mode.and_then(DatasetMode::instances)),
        ];
        let fits = |split: &[bool; 2]| {
            let classes = facts
                .semantic_nc
                .checked_sub(split.iter().filter(|&&has| has).count());
            let agrees =
                |(has, wanted): (&bool, Option<bool>)| wanted.is_none_or(|wanted| wanted == *has);
            split.iter().zip(wanted).all(agrees)
                && classes
                    .is_some_and(|classes| classes > 0 && label_nc.is_none_or(|n| n == classes))
        };
        let splits = [[false; 2], [true, false], [false, true], [true; 2]];
        let fitting: Vec<_> = splits.into_iter().filter(fits).collect();
        let mut open = self.open_sizes(facts);
        match fitting[..] {
            [] => return Err(self.contradiction(label_nc, wanted, facts)),
            [split] if open.is_empty() => return Ok(split),
            [_] => {}
            _ => open.insert(0, open_channels(label_nc, facts)),
        }
        Err(Error::Usage(format!(
            "the shapes of this generator leave open {}; a published one is decided by --dataset-mode coco, ade20k, \
             cityscapes or facades",
            open.join("; ")
        )))
    }

    fn open_sizes(&self, facts: GeneratorFacts) -> Vec<String> {
        if self.dataset_mode.is_some_and(DatasetMode::is_published) {
            return Vec::new();
        }
        let mut open = Vec::new();
        if self.upsampling.is_none() && !facts.has_last_block {
            open.push("how often it doubles (--num-upsampling-layers normal or more)".into());
        }
        let sizes = [
            (
                self.crop_size.is_none(),
                "width of its pictures",
                "--crop-size PIXELS",
            ),
            (
                self.aspect_ratio.is_none(),
                "width by height of them",
                "--aspect-ratio RATIO",
            ),
        ];
        let sizes = sizes.into_iter().filter(|(is_open, ..)| *is_open);
        open.extend(sizes.map(|(_, what, flag)| format!("the {what} ({flag})")));
        open
    }

    fn contradiction(
        &self,
        label_nc: Option<usize>,
        [dontcare, edges]: [Option<bool>; 2],
        facts: GeneratorFacts,
    ) -> Error {
        let told = |value: Option<bool>, what: &str| match value {
            Some(true) => format!(" + 1 of {what}"),
            Some(false) => String::new(),
            None => format!(" + 0 or 1 of {what}"),
        };
        let source = match self.dataset_mode.filter(|mode| mode.is_published()) {
            Some(mode) => format!("dataset_mode {}", mode.name()),
            None => "what you give".into(),
        };
        Error::Data(format!(
            "its label maps have {} channels, but {source} means {} classes{}{}: another data set, or another label_nc, \
             contain_dontcare_label or no_instance",
            facts.semantic_nc,
            label_nc.unwrap_or_default(),
            told(dontcare, "unlabelled pixels"),
            told(edges, "instance edges")
        ))
    }

    /// A generator with styles has the size of its first grid in its weights; its last block tells how often it doubles.
    fn check_size(&self, model: &ModelConfig, facts: GeneratorFacts) -> Result<()> {
        if facts.has_last_block
            && self
                .upsampling
                .is_some_and(|given| given != Upsampling::Most)
        {
            return Err(Error::Data(format!(
                "it has tensors up_4, so num_upsampling_layers is most, not {}",
                self.upsampling.unwrap_or_default()
            )));
        }
        let [h, w] = model.latent();
        match facts.latent_cells {
            Some(cells) if cells != h * w => Err(Error::Data(format!(
                "tensor G.fc.weight makes a first grid of {cells} cells, but {w}x{h} follow from crop_size = {}, \
                 aspect_ratio = {} and num_upsampling_layers = {:?}: give another of them",
                model.crop_size,
                model.aspect_ratio,
                model.upsampling.to_string()
            ))),
            _ => Ok(()),
        }
    }
}

fn open_channels(label_nc: Option<usize>, facts: GeneratorFacts) -> String {
    let channels = facts.semantic_nc;
    match label_nc {
        Some(label_nc) => format!(
            "whether the last of its {channels} channels, beyond {label_nc} classes, is of unlabelled pixels (--no-instance) \
             or of instance edges (--contain-dontcare-label=false)"
        ),
        None => format!(
            "how many of its {channels} channels are classes (--label-nc N, or --classes TABLE), and whether unlabelled \
             pixels and instance edges have one (--contain-dontcare-label, --no-instance)"
        ),
    }
}
