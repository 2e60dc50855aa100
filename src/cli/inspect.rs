//! `spadework inspect`.

mod profile;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;
use spadework::config::Config;
use spadework::data::{Grid, LabelSpace, batch, landscape};
use spadework::gpu;
use spadework::graph::half::Storage;
use spadework::graph::plan::Target;
use spadework::model::cost::{DenseMacs, Memory, executed_macs};
use spadework::ops::winograd::Filtering;
use spadework::ops::{Buffering, Family};
use spadework::train::Checkpoint;
use spadework::train::checkpoint::{Origin, Progress};
use spadework::windows::IdMap;
use spadework::{Error, Layout, Result};

/// Options of `inspect`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint to look into, or folder of a run for its newest one
    #[arg(value_name = "CHECKPOINT")]
    path: PathBuf,
    /// Label map to count the generator's multiply-adds on [default: a built-in landscape]
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Its instance map
    #[arg(long, value_name = "FILE", requires = "labels")]
    instances: Option<PathBuf>,
    /// Tell where the time of a picture and of an iteration of training goes, by operation and shape
    #[arg(long)]
    profile: bool,
    /// Draw the profile as an SVG file
    #[arg(long, value_name = "FILE", requires = "profile")]
    picture: Option<PathBuf>,
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
    /// Of the generator for one label map, computed with them.
    executed_macs: Option<u64>,
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
    let checkpoint = Checkpoint::load(&args.path)?;
    let map = label_map(args, &checkpoint)?;
    if args.profile {
        return profile::run(
            &checkpoint,
            &map,
            args.picture.as_deref(),
            args.json,
            adapter,
        );
    }
    let report = describe(checkpoint, &map, adapter)?;
    match args.json {
        true => super::print_json(&report),
        false => super::print(&text(&report)),
    }
}

/// The label map to count on, at the size of the network.
fn label_map(args: &Args, checkpoint: &Checkpoint) -> Result<IdMap> {
    let space = &checkpoint.space;
    let [height, width] = checkpoint.config.model.output();
    let layout = match &args.labels {
        Some(path) => Layout::read(path, args.instances.as_deref(), space)?,
        None => {
            let scene = landscape::layout(0, width, height)?;
            let classes = space.label_nc as u32;
            let labels = scene.labels.iter().map(|&id| u32::from(id) % classes);
            let instances = scene.instances.iter().map(|&id| u32::from(id));
            Layout {
                labels: Grid::new(width, height, labels.collect()),
                instances: Some(Grid::new(width, height, instances.collect())),
            }
        }
    };
    let instances = layout.instances.as_ref();
    Ok(batch::layout(
        &layout.labels,
        instances,
        space,
        [width, height],
    ))
}

/// What to plan for when drawing, and when training with maps in 16-bit floats or without: the adapter, or an ordinary one
/// where there is none.
fn targets(adapter: Option<&str>, half: bool) -> Result<[Target; 2]> {
    match (gpu::choose_adapter(adapter), adapter) {
        (Ok(adapter), _) => Ok([false, half].map(|half| gpu::target_of(&adapter, half))),
        (Err(Error::Device(_)), None) => Ok([false, half].map(|half| Target {
            family: Family::Tiled(Buffering::Double),
            workspace_bytes: gpu::WORKSPACE_BYTES,
            max_binding_bytes: 1 << 30,
            filtering: Filtering::default(),
            storage: match half {
                true => Storage::HalfMaps,
                false => Storage::Single,
            },
            matrices: None,
        })),
        (Err(error), _) => Err(error),
    }
}

fn describe(checkpoint: Checkpoint, map: &IdMap, adapter: Option<&str>) -> Result<Report> {
    let [target, training] = targets(adapter, checkpoint.config.train.half)?;
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
    let memory = Memory::of(&checkpoint.config, &target, &training);
    Ok(Report {
        dense_macs: DenseMacs::of(&checkpoint.config.model),
        executed_macs: executed_macs(&checkpoint.config.model, map, &target).ok(),
        refusal: memory.as_ref().err().map(Error::to_string),
        memory: memory.ok(),
        config: checkpoint.config,
        classes: checkpoint.space,
        progress: checkpoint.progress,
        origin: checkpoint.origin,
        tensors,
        totals,
        optimiser_bytes: moments.map(|m| size_of_val(m.data.as_slice())).sum(),
    })
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
        methods,
    } = &report.origin;
    line(match adapter.is_empty() {
        true => format!("imported by spadework {program}\n"),
        false => {
            format!("written by spadework {program} on {adapter} ({driver}), kernels: {family}\n")
        }
    });
    if !methods.is_empty() {
        line(format!("convolutions of the run: {methods}\n"));
    }
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
            "memory: {} MiB to synthesise and {} more at most for tables kept, {} MiB to train in batches of {} without \
             the perceptual loss ({})",
            mib(memory.synthesis_bytes),
            mib(memory.tables_bytes),
            mib(memory.training_bytes),
            report.config.train.batch_size,
            memory.training
        )),
        None => line(format!(
            "memory: {}",
            report.refusal.as_deref().unwrap_or_default()
        )),
    }
    let macs = &report.dense_macs;
    line(format!(
        "dense network: {:.2} GMAC a picture, {:.0} % of them convolutions of the label map",
        macs.total() as f64 / 1e9,
        100.0 * macs.of_labels() as f64 / macs.total() as f64
    ));
    if let Some(executed) = report.executed_macs {
        line(format!(
            "executed: {:.2} GMAC, {:.1} % of the dense network's, each distinct window of the label map once",
            executed as f64 / 1e9,
            100.0 * executed as f64 / macs.total() as f64
        ));
    }
    out
}
