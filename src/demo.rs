//! A first look: what a generator of landscapes can do, and how one learns, as a page and sheets of pictures.
//!
//! Everything is written beside the folder and moved there at the end, so the page and what it shows are there together.
//! An interrupted look ends with a page of what there was until then.

mod page;
mod pictures;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use toml::Table;

use crate::config::Preset;
use crate::data::landscape::CLASSES;
use crate::gpu::Gpu;
use crate::train::{Checkpoint, Order, RunFolder, Session, TrainEvent, write_durably};
use crate::{Config, Error, Generator, Result};

/// How much is shown.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Layouts that are drawn in every style; every other one is as a person paints.
    pub layouts: usize,
    /// Time a network is trained for.
    pub training: Duration,
}

/// What there is to tell meanwhile.
pub enum News<'a> {
    /// Pictures drawn, and how many there will be.
    Drawn(usize, usize),
    /// The training, and the time it has gone on for.
    Training(&'a TrainEvent, Duration),
}

/// Commands that go on from here.
pub const NEXT: &str = "\
spadework paint                                             paint a layout, see the picture as the brush moves
spadework synth map.png --out pictures --samples 4          draw a label map in four styles
spadework train --preset landscapes --out runs/landscapes   train such a model yourself
spadework train DIR --out runs/mine                         train on your own photos
";

/// Shows a generator of landscapes with styles, then trains another for a while, and writes pages and pictures into a
/// new folder. `hear` is told how it goes on and ends the work with its error.
///
/// # Errors
/// If no layout is wanted, the generator draws other classes or knows no styles, the folder holds anything or cannot be written, the device
/// fails, or `stop` is raised, after which the folder holds what was done until then, if there is a picture.
pub fn show(
    gpu: &Arc<Gpu>,
    model: Checkpoint,
    extent: Extent,
    out: &Path,
    stop: &AtomicBool,
    hear: &mut dyn FnMut(News) -> Result<()>,
) -> Result<()> {
    refuse_used(out)?;
    if extent.layouts == 0 {
        return Err(Error::Usage("layouts = 0: nothing would be shown".into()));
    }
    if model.space.label_nc != CLASSES.len() || !model.config.model.use_vae {
        return Err(Error::Usage(
            "this shows built-in landscapes in many styles, but the checkpoint was trained on other classes or without \
             --use-vae: leave it out, or train one with --preset landscapes"
                .into(),
        ));
    }
    let parent = match out.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|e| Error::io("cannot create", parent, e))?;
    let scratch = tempfile::Builder::new().prefix(".demo-").tempdir_in(parent);
    let scratch = scratch.map_err(|e| Error::io("cannot write into", parent, e))?;
    // A folder in the scratch folder gets ordinary permissions; the scratch folder itself is private.
    let root = scratch.path().join("demo");
    fs::create_dir(&root).map_err(|e| Error::io("cannot create", &root, e))?;

    let trained = model.progress.step;
    let start = Instant::now();
    let mut generator = Generator::new(gpu, model)?;
    let sheets = pictures::draw(&mut generator, extent.layouts, stop, &mut |done, total| {
        hear(News::Drawn(done, total))
    })?;
    drop(generator);
    if sheets.is_empty() {
        // Interrupted before there was anything to keep.
        return Err(Error::Interrupted);
    }
    let pictures = sheets.iter().map(|sheet| sheet.drawn).sum::<usize>();
    let seconds = start.elapsed().as_secs_f64() / pictures as f64;
    for sheet in &sheets {
        sheet.save(&root)?;
    }
    let run = root.join("training");
    if !stop.load(Ordering::Relaxed) {
        train(gpu, &run, extent.training, stop, hear)?;
    }
    let facts = [
        ("adapter", gpu.info.name.clone()),
        ("iterations the model was trained for", trained.to_string()),
        ("seconds a picture", format!("{seconds:.2}")),
    ];
    let page = page::page(&root, &run, &sheets, facts)?;
    write_durably(&root.join("index.html"), |writer| {
        writer.write_all(page.as_bytes())
    })?;
    if out.exists() {
        // Empty, as checked above; anything put there since makes this fail.
        fs::remove_dir(out).map_err(|e| Error::io("cannot replace", out, e))?;
    }
    fs::rename(&root, out).map_err(|e| Error::io("cannot create", out, e))?;
    match stop.load(Ordering::Relaxed) {
        true => Err(Error::Interrupted),
        false => Ok(()),
    }
}

fn refuse_used(out: &Path) -> Result<()> {
    RunFolder::refuse_used(out).map_err(|error| match error {
        Error::Usage(_) => Error::Usage(format!(
            "{} is not empty and nothing is ever overwritten: choose another --out",
            out.display()
        )),
        error => error,
    })
}

/// Trains a small network from nothing, in the folder of a run.
fn train(
    gpu: &Arc<Gpu>,
    run: &Path,
    time: Duration,
    stop: &AtomicBool,
    hear: &mut dyn FnMut(News) -> Result<()>,
) -> Result<()> {
    let options = include_str!("../assets/demo.toml");
    let options: Table = toml::from_str(options).expect("the options of the demo are TOML");
    let config = Config::merge(Preset::Tiny, options, Table::new())?;
    let space = config.data.label_space()?;
    let mut session = Session::start(gpu, config, space, run)?;
    let orders = session.take_orders();
    let mut start = None;
    session.train(stop, None, &mut |event| {
        let elapsed = start.get_or_insert_with(Instant::now).elapsed();
        if matches!(event, TrainEvent::Step(_)) && elapsed >= time {
            // A run that ended by itself takes no more orders.
            let _ = orders.send(Order::Stop);
        }
        hear(News::Training(event, elapsed))
    })?;
    Ok(())
}
