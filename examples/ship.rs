//! Makes the model that comes with the program, and what is written beside it, from the folder of a run:
//!
//! `cargo run --release --example ship -- runs/landscapes`
//!
//! Writes `assets/shipped`: the model and its checksum, its measures, the curves of its training, a page that tells all
//! of it, and the strip of pictures in the README. Figures come from the run and from the pictures; nothing is written by hand.

use std::fs;
use std::path::Path;

use serde_json::Value;
use spadework::data::landscape::{self, Style};
use spadework::eval::{Evaluation, Questions, Truth, evaluate, layout_of};
use spadework::gpu::Gpu;
use spadework::picture::{self, Picture};
use spadework::train::checkpoint::checksum;
use spadework::train::{Checkpoint, report};
use spadework::{Error, Generator, Result};

/// Held-out scenes that the model is judged by.
const SCENES: usize = 32;
/// Of those, whose pictures are compared with the ones of the checkpoint in full precision.
const COMPARED: u64 = 16;

fn main() -> Result<()> {
    let Some(run) = std::env::args().nth(1) else {
        return Err(Error::Usage("name the folder of a run".into()));
    };
    let run = Path::new(&run);
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/shipped"));
    fs::create_dir_all(folder).map_err(|e| Error::io("cannot create", folder, e))?;
    let gpu = Gpu::open(None)?;
    let full = Checkpoint::load(run)?;
    let path = folder.join("landscapes.safetensors");
    full.clone().save_compact(&path)?;
    let compact = Checkpoint::load(&path)?;
    let bytes = fs::read(&path).map_err(|e| Error::io("cannot read", &path, e))?;
    let sum = checksum(&bytes);
    write(&folder.join("landscapes.crc32"), &(sum + "\n"))?;
    let facts = Facts {
        bytes: bytes.len(),
        hours: hours(run, full.progress.step)?,
        epochs: full.config.optim.epochs(),
    };
    let told = compact.clone();
    let mut generator = Generator::new(&gpu, compact)?;
    let apart = apart(&mut Generator::new(&gpu, full)?, &mut generator)?;
    strip(&mut generator, &folder.join("strip.png"))?;
    let questions = Questions {
        scenes: SCENES,
        seeds: 4,
        rows: 0,
        trained: told.config.data.landscapes.unwrap_or(0),
    };
    let (evaluation, _) = evaluate(&mut generator, questions, |done, total| {
        eprintln!("judging: {done} of {total}");
        Ok(())
    })?;
    let measures = serde_json::to_string_pretty(&evaluation).expect("measures are plain numbers");
    write(&folder.join("measures.json"), &(measures + "\n"))?;
    write(&folder.join("training.svg"), &report::drawing(run)?)?;
    write(
        &folder.join("README.md"),
        &page(&told, &facts, apart, &evaluation),
    )
}

struct Facts {
    bytes: usize,
    hours: f64,
    epochs: usize,
}

/// Time the iterations took, from those that were written down.
fn hours(run: &Path, step: u64) -> Result<f64> {
    let path = run.join("metrics.jsonl");
    let text = fs::read_to_string(&path).map_err(|e| Error::io("cannot read", &path, e))?;
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let seconds: Vec<f64> = lines.filter_map(|line| line["seconds"].as_f64()).collect();
    Ok(seconds.iter().sum::<f64>() / seconds.len() as f64 * step as f64 / 3600.0)
}

/// Largest and mean difference of pictures in full precision and in eight bits, in 8-bit steps.
fn apart(full: &mut Generator, compact: &mut Generator) -> Result<(u8, f64)> {
    let (mut most, mut sum, mut count) = (0, 0.0, 0.0);
    for index in 0..COMPARED {
        let truth = Truth::held_out(index, full.size())?;
        let [a, b] = [&mut *full, &mut *compact].map(|generator| {
            let style = generator.encode(&truth.picture)?.mean();
            generator.synth_in_style(&truth.layout(), &style)
        });
        let (a, b) = (a?, b?);
        for (a, b) in a.data.as_flattened().iter().zip(b.data.as_flattened()) {
            most = most.max(a.abs_diff(*b));
            sum += f64::from(a.abs_diff(*b));
            count += 1.0;
        }
    }
    Ok((most, sum / count))
}

/// Two layouts in five styles, which are taken from pictures of a third.
fn strip(generator: &mut Generator, path: &Path) -> Result<()> {
    let [width, height] = generator.size();
    let giver = landscape::natural_layout(FIRST - 1, width, height)?;
    let scenes = [
        landscape::natural_layout(FIRST + 2, width, height)?,
        landscape::brush_layout(FIRST + 1, width, height)?,
    ];
    let mut rows = Vec::new();
    for scene in scenes {
        let layout = layout_of(&scene, &scene.labels);
        let map = picture::of_labels(width, height, &layout.labels.data, generator.space());
        let mut row = vec![map];
        for name in ["noon", "dusk", "night", "autumn", "winter"] {
            let style = Style::named(name).expect("a style with a name");
            let bytes = landscape::render(&giver, &style);
            let shown = Picture::new(width, height, bytes.as_chunks().0.to_vec());
            let style = generator.encode(&shown)?.mean();
            row.push(generator.synth_in_style(&layout, &style)?);
        }
        rows.push(row);
    }
    picture::save(path, &picture::sheet(&rows))
}

/// Where the layouts of the strip begin: far from the seeds of training, as those of `spadework demo`.
const FIRST: u64 = 1 << 40;

fn page(
    model: &Checkpoint,
    facts: &Facts,
    (most, mean): (u8, f64),
    measures: &Evaluation,
) -> String {
    let Checkpoint {
        config,
        progress,
        origin,
        ..
    } = model;
    let done = match progress.position.epoch as usize >= facts.epochs {
        true => "all of its epochs".to_owned(),
        false => format!(
            "{:.1} of its {} epochs",
            progress.images as f64 / per_epoch(config),
            facts.epochs
        ),
    };
    let side = config.model.crop_size;
    let mut text = format!(
        "# The model that comes with the program\n\n\
         Written by `cargo run --release --example ship -- RUN`, which also made every other file here.\n\n\
         ![two layouts in five styles](strip.png)\n\n\
         It draws the twelve classes of the built-in landscapes at {side}x{side} in any style. This \
         command trains it, and the line above then ships it:\n\n\
         ```sh\nspadework train --preset landscapes --out runs/landscapes\n```\n\n\
         | | |\n|---|---|\n\
         | file | {:.1} MB: generator (moving average) and encoder, kernels in eight bits with a step for each output channel |\n\
         | trained | {} iterations, {} pictures, {done}; seed {} |\n\
         | on | {}, {} |\n\
         | time | {:.1} hours of iterations |\n\
         | eight bits change pictures by | {mean:.2} of 255 steps in the mean, {most} at most |\n\n\
         ![losses by pictures seen](training.svg)\n\n\
         ## Measures\n\n\
         {SCENES} held-out scenes, colours in 8-bit steps, by `spadework eval`; all of them are in `measures.json`.\n\n\
         | | generator | every class in its mean colour | nearest training picture |\n|---|---|---|---|\n",
        facts.bytes as f64 / 1e6,
        progress.step,
        progress.images,
        config.train.seed,
        origin.adapter,
        origin.driver,
        facts.hours,
    );
    let mut compared = vec![("own style", &measures.reconstruction)];
    compared.extend(
        measures
            .transfer
            .as_ref()
            .map(|transfer| ("style of another picture", transfer)),
    );
    for (name, compared) in compared {
        let [a, b, c] = [compared.generator, compared.class_means, compared.nearest];
        text += &format!("| {name}: L1 | {:.1} | {:.1} | {:.1} |\n", a.l1, b.l1, c.l1);
        text += &format!(
            "| {name}: SSIM | {:.2} | {:.2} | {:.2} |\n",
            a.ssim, b.ssim, c.ssim
        );
    }
    text += "\n";
    if let Some(edit) = measures.edit {
        text += &format!(
            "- Another class for a region changes it {:.1} times as much as the rest.\n",
            edit.inside / edit.outside.max(1e-9)
        );
    }
    if let Some(walk) = &measures.walk {
        let steps: Vec<_> = walk.brightness.iter().map(|b| format!("{b:.0}")).collect();
        text += &format!(
            "- From dusk to noon the mean brightness goes {}; {:.0} % of layouts brighten at every step.\n",
            steps.join(", "),
            100.0 * walk.monotone
        );
    }
    if let Some(diversity) = measures.diversity {
        text += &format!(
            "- Random styles of a layout are {:.1} apart, those of the landscapes {:.1}.\n",
            diversity.generator, diversity.truth
        );
    }
    text
}

fn per_epoch(config: &spadework::Config) -> f64 {
    config.data.landscapes.unwrap_or(1) as f64
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|e| Error::io("cannot write", path, e))
}
