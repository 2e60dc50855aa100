//! `spadework inspect`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;
use spadework::config::Config;
use spadework::data::LabelSpace;
use spadework::gpu;
use spadework::graph::plan::Target;
use spadework::model::cost::{DenseMacs, Memory};
use spadework::ops::Family;
use spadework::train::Checkpoint;
use spadework::train::checkpoint::{Origin, Progress};
use spadework::{Error, Result};

/// Options of `inspect`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint to look into, or folder of a run for its newest one
    #[arg(value_name = "CHECKPOINT")]
    path: PathBuf,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// What is told of a checkpoint.
#[derive(Serialize)]
struct Report {
    config: Config,
    classes: LabelSpace,
    progress: Progress,
    origin: Origin,
    tensors: Vec<Tensor>,
    /// Numbers of each network, buffers included.
    totals: BTreeMap<String, usize>,
    optimiser_bytes: usize,
    /// Of the generator for one picture, computed without window tables.
    dense_macs: DenseMacs,
    memory: Option<Memory>,
    /// Why there is no figure for the memory.
    refusal: Option<String>,
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    shape: Vec<usize>,
    count: usize,
}

/// Prints configuration, progress and tensors.
pub fn run(args: &Args, adapter: Option<&str>) -> Result<()> {
    let report = describe(Checkpoint::load(&args.path)?, target(adapter)?);
    match args.json {
        true => super::print_json(&report),
        false => super::print(&text(&report)),
    }
}

/// What to plan for: the adapter, or an ordinary one where there is none.
fn target(adapter: Option<&str>) -> Result<Target> {
    match (gpu::choose_adapter(adapter), adapter) {
        (Ok(adapter), _) => Ok(gpu::target_of(&adapter)),
        (Err(Error::Device(_)), None) => Ok(Target {
            family: Family::Tiled,
            workspace_bytes: gpu::WORKSPACE_BYTES,
            max_binding_bytes: 1 << 30,
        }),
        (Err(error), _) => Err(error),
    }
}

fn describe(checkpoint: Checkpoint, target: Target) -> Report {
    let tensors = checkpoint.networks.tensors.into_iter();
    let tensors: Vec<_> = tensors
        .map(|(name, tensor)| Tensor {
            name,
            count: tensor.data.len(),
            shape: tensor.shape,
        })
        .collect();
    let mut totals = BTreeMap::new();
    for tensor in &tensors {
        let network = tensor.name.split('.').next().unwrap_or_default();
        *totals.entry(network.to_owned()).or_default() += tensor.count;
    }
    let moments = checkpoint.moments.values();
    let memory = Memory::of(&checkpoint.config, &target);
    Report {
        dense_macs: DenseMacs::of(&checkpoint.config.model),
        refusal: memory.as_ref().err().map(Error::to_string),
        memory: memory.ok(),
        config: checkpoint.config,
        classes: checkpoint.space,
        progress: checkpoint.progress,
        origin: checkpoint.origin,
        tensors,
        totals,
        optimiser_bytes: moments.map(|m| size_of_val(m.data.as_slice())).sum(),
    }
}

fn text(report: &Report) -> String {
    let mut out = report.config.to_toml();
    let Progress {
        position,
        step,
        images,
        ..
    } = &report.progress;
    let (epoch, batch) = (position.epoch + 1, position.batch);
    let mut line = |text: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{text}");
    };
    line(format!(
        "\niteration {step}, {images} pictures, epoch {epoch} after {batch} batches"
    ));
    let Origin {
        program,
        adapter,
        driver,
        family,
    } = &report.origin;
    line(match adapter.is_empty() {
        true => format!("imported by spadework {program}\n"),
        false => {
            format!("written by spadework {program} on {adapter} ({driver}), kernels: {family}\n")
        }
    });
    let width = report.tensors.iter().map(|t| t.name.len()).max();
    let width = width.unwrap_or_default();
    for Tensor { name, shape, count } in &report.tensors {
        let shape: Vec<_> = shape.iter().map(usize::to_string).collect();
        line(format!("{name:width$}  {count:>10}  {}", shape.join("x")));
    }
    line(String::new());
    for (network, count) in &report.totals {
        line(format!("{network}: {count} numbers"));
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    line(format!(
        "optimiser: {} MiB",
        mib(report.optimiser_bytes as u64)
    ));
    match &report.memory {
        Some(memory) => line(format!(
            "memory: {} MiB to synthesise, {} MiB to train in batches of {} without the perceptual loss",
            mib(memory.synthesis_bytes),
            mib(memory.training_bytes),
            report.config.train.batch_size
        )),
        None => line(format!(
            "memory: {}",
            report.refusal.as_deref().unwrap_or_default()
        )),
    }
    let macs = &report.dense_macs;
    let labels = macs.fc + macs.shared + macs.modulation;
    line(format!(
        "dense network: {:.2} GMAC a picture, {:.0} % of them convolutions of the label map; synth tells how many are \
         executed",
        macs.total() as f64 / 1e9,
        100.0 * labels as f64 / macs.total() as f64
    ));
    out
}
