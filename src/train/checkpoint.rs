//! Checkpoints: one file that holds everything a run needs to go on, and everything synthesis needs.
//!
//! A safetensors file. Tensors carry the official state-dict names behind the network's letter (`G.fc.weight`), Adam's
//! moments the same behind `adam.m.` and `adam.v.`. The header's metadata has one entry, `spadework`: JSON of all else.
//! The order of training pictures, flips and crops follows from seed and position, so these are the random state.

mod shelf;
mod shipped;

pub use shelf::Shelf;
pub use shipped::{SHIPPED, checksum};

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::knob::Change;
use super::write_durably;
use crate::config::Config;
use crate::data::{Census, LabelSpace, Position};
use crate::model::Trainer;
use crate::ops::winograd::Choices;
use crate::state::{HostTensor, StateDict, TensorFile};
use crate::{Error, Result};

/// Version of the file format. A reader refuses every other.
pub const FORMAT: u64 = 1;

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The batch that comes next.
    pub position: Position,
    /// Iterations done.
    pub step: u64,
    /// Training pictures seen, repeats included.
    pub images: u64,
    /// Adam steps taken, by network.
    pub adam_steps: BTreeMap<String, u64>,
    /// The pictures it trains on; unknown to checkpoints of before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub census: Option<Census>,
    /// Checksum of the weights its perceptual loss looks through, where it has one; unknown to checkpoints of before it
    /// was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vgg: Option<u32>,
    /// Losses of the generator's last step, which iterations without one show again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub generator_losses: Vec<(String, f32)>,
    /// Settings that were changed on the way, which the configuration has as they are now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// What computed a checkpoint. A run resumed elsewhere goes on, but not to the same bits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Version of this program.
    pub program: String,
    /// Name of the adapter; empty for networks that were imported.
    pub adapter: String,
    /// Its driver.
    pub driver: String,
    /// Kernel family.
    pub family: String,
    /// How each convolution was done that can be done in several ways, fixed when the run began; unknown to checkpoints
    /// of before it was kept, which went by the rule.
    #[serde(default, skip_serializing_if = "Choices::is_empty")]
    pub methods: Choices,
}

impl Origin {
    /// Whether another was computed on the same adapter, with kernels of the same family.
    pub fn is_here(&self, other: &Self) -> bool {
        (&self.adapter, &self.family) == (&other.adapter, &other.family)
    }

    /// Whether another was computed by the same program, too, and with the same driver.
    pub fn is_alike(&self, other: &Self) -> bool {
        (&self.program, &self.driver) == (&other.program, &other.driver) && self.is_here(other)
    }
}

/// Everything about a run at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The configuration.
    pub config: Config,
    /// The classes.
    pub space: LabelSpace,
    /// Where the run stands.
    pub progress: Progress,
    /// What computed it.
    pub origin: Origin,
    /// Parameters and buffers, names prefixed by the network: `G.`, `D.`, `E.`.
    pub networks: StateDict,
    /// Adam's moments, named `m.` or `v.` and the parameter.
    pub moments: BTreeMap<String, HostTensor>,
}

/// The entry of the header.
#[derive(Serialize, Deserialize)]
struct Metadata {
    format: u64,
    config: Config,
    space: LabelSpace,
    progress: Progress,
    origin: Origin,
}

/// Name of that entry.
const ENTRY: &str = "spadework";
/// Prefix of Adam's moments in the file.
const MOMENTS: &str = "adam.";

impl Checkpoint {
    /// Writes the file, whole or not at all; see [`write_durably`].
    ///
    /// # Errors
    /// If a tensor holds a number that is not finite, or the file cannot be written.
    pub fn save(self, path: &Path) -> Result<()> {
        self.store(path, TensorFile::write)
    }

    /// Writes what drawing needs and no more, whole or not at all: the generator, its moving average where there is one,
    /// and the encoder, kernels in eight bits. Reading it back is [`Checkpoint::load`].
    ///
    /// # Errors
    /// As [`Checkpoint::save`].
    pub fn save_compact(mut self, path: &Path) -> Result<()> {
        self.networks.use_average();
        let draws = |name: &str| name.starts_with("G.") || name.starts_with("E.");
        self.networks.tensors.retain(|name, _| draws(name));
        self.networks.counters.retain(|name, _| draws(name));
        self.moments.clear();
        self.progress.adam_steps.clear();
        self.origin.methods = Choices::default();
        self.store(path, TensorFile::write_compact)
    }

    /// Writes the file with the networks and moments of a training as well, whole or not at all. They are read one tensor
    /// at a time: of a large network another copy in main memory may be too much.
    ///
    /// # Errors
    /// As [`Checkpoint::save`], and if the device was lost.
    pub fn save_with(self, trainer: &Trainer, path: &Path) -> Result<()> {
        let mut specs = BTreeMap::new();
        for spec in trainer.saved_specs() {
            specs.insert(spec.name.clone(), spec);
        }
        for spec in trainer.moment_specs() {
            specs.insert(format!("{MOMENTS}{}", spec.name), spec);
        }
        let shapes = specs.iter();
        let shapes = shapes.map(|(name, spec)| (name.clone(), spec.dims.clone()));
        let shapes = shapes.collect();
        let mut file = self.into_file(path)?;
        file.state.counters.extend(trainer.counters().clone());
        write_durably(path, |writer| {
            file.write_with(writer, &shapes, |name| {
                let tensor = trainer.read_tensor(&specs[name]);
                let checked = tensor.and_then(|tensor| {
                    refuse_non_finite(&specs[name].name, &tensor)?;
                    Ok(tensor.data)
                });
                checked.map_err(std::io::Error::other)
            })
        })
    }

    fn store(
        self,
        path: &Path,
        write: fn(&TensorFile, &mut dyn std::io::Write) -> std::io::Result<()>,
    ) -> Result<()> {
        let mut tensors = self.networks.tensors.iter().chain(&self.moments);
        tensors.try_for_each(|(name, tensor)| refuse_non_finite(name, tensor))?;
        let file = self.into_file(path)?;
        write_durably(path, |writer| write(&file, writer))
    }

    /// As the file at a path will have it.
    fn into_file(self, path: &Path) -> Result<TensorFile> {
        let metadata = Metadata {
            format: FORMAT,
            config: self.config,
            space: self.space,
            progress: self.progress,
            origin: self.origin,
        };
        let metadata = serde_json::to_string(&metadata)
            .map_err(|e| Error::Data(format!("checkpoint {}: {e}", path.display())))?;
        let mut file = TensorFile {
            metadata: [(ENTRY.to_owned(), metadata)].into(),
            state: self.networks,
        };
        let moments = self.moments.into_iter();
        let moments = moments.map(|(name, moment)| (format!("{MOMENTS}{name}"), moment));
        file.state.tensors.extend(moments);
        Ok(file)
    }

    /// Reads a file, the newest checkpoint in the folder of a run, or [`SHIPPED`].
    ///
    /// # Errors
    /// If it cannot be read, is no checkpoint of this format, or is damaged.
    pub fn load(path: &Path) -> Result<Self> {
        if path.as_os_str() == SHIPPED {
            return Self::shipped();
        }
        if path.is_dir() {
            return Self::load(&Shelf::new(path.join("checkpoints")).newest()?);
        }
        let file = TensorFile::load(path, "checkpoint")?;
        Self::from_file(file)
            .map_err(|why| Error::Data(format!("checkpoint {}: {why}", path.display())))
    }

    fn from_file(file: TensorFile) -> Result<Self, String> {
        let metadata = file.metadata.get(ENTRY);
        let metadata = metadata.ok_or("it holds tensors, but not of this program")?;
        let metadata = parse_metadata(metadata)?;
        let mut checkpoint = Self {
            config: metadata.config,
            space: metadata.space,
            progress: metadata.progress,
            origin: metadata.origin,
            networks: StateDict {
                counters: file.state.counters,
                ..StateDict::default()
            },
            moments: BTreeMap::new(),
        };
        for (name, tensor) in file.state.tensors {
            match name.strip_prefix(MOMENTS) {
                Some(moment) => checkpoint.moments.insert(moment.to_owned(), tensor),
                None => checkpoint.networks.tensors.insert(name, tensor),
            };
        }
        Ok(checkpoint)
    }
}

fn refuse_non_finite(name: &str, tensor: &HostTensor) -> Result<()> {
    match tensor.data.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::NonFinite(format!(
            "tensor {name} holds {} at index {index}; no checkpoint was written",
            tensor.data[index]
        ))),
    }
}

fn parse_metadata(text: &str) -> Result<Metadata, String> {
    #[derive(Deserialize)]
    struct Version {
        format: u64,
    }
    let damaged = |e: serde_json::Error| format!("its metadata is damaged: {e}");
    // The version first: the rest may have changed between versions.
    let Version { format } = serde_json::from_str(text).map_err(damaged)?;
    if format != FORMAT {
        let way_out = match format > FORMAT {
            true => "update this program",
            false => "use the version that wrote it",
        };
        return Err(format!(
            "it has format {format}, but this program reads format {FORMAT}: {way_out}"
        ));
    }
    let metadata: Metadata = serde_json::from_str(text).map_err(damaged)?;
    metadata.config.validate().map_err(|e| e.to_string())?;
    Ok(metadata)
}
