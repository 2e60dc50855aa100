//! `spadework synth`.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde::Serialize;
use spadework::data::folder::pictures;
use spadework::gpu::Gpu;
use spadework::train::Checkpoint;
use spadework::{Error, Generator, Layout, Result, picture};

use super::style;

/// Shown below the options.
pub const EXAMPLES: &str = "Examples:
  spadework synth runs/street street/val_label --out pictures
  spadework synth runs/street map.png --out pictures --style-seed 7 --samples 4
  spadework synth runs/street map.png --out dusk.png --style-image dusk.jpg
  spadework synth runs/street map.png --out pictures --style-image dusk.jpg --style-sample --samples 4
  spadework synth runs/street map.png --out pictures --style-mix noon.jpg dusk.jpg --samples 9";

/// Options of `synth`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint of the generator, or folder of a run for its newest one
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,
    /// Label map, or folder of label maps
    #[arg(value_name = "LABELS")]
    labels: PathBuf,
    /// Instance map, or folder of instance maps with the names of the label maps
    #[arg(long, value_name = "PATH")]
    instances: Option<PathBuf>,
    /// Draw without instance maps although the generator was trained with them
    #[arg(long, conflicts_with = "instances")]
    no_instance: bool,
    /// Folder for the pictures; for a single label map also a file ending in .png
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Size of the pictures [default: what the generator was trained for]
    #[arg(long, value_name = "WxH", value_parser = super::size)]
    size: Option<[usize; 2]>,
    /// Draw with the newest weights, not with their moving average
    #[arg(long)]
    no_ema: bool,
    /// Normalise with the statistics of the pictures drawn together, as training does, not with running ones
    #[arg(long)]
    batch_statistics: bool,
    /// Pictures to draw together
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    /// Write a line of JSON for each picture
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    styles: style::Styles,
}

/// One layout to draw.
struct Job {
    labels: PathBuf,
    instances: Option<PathBuf>,
    /// The picture of each style.
    outs: Vec<PathBuf>,
}

/// What is told of a picture.
#[derive(Serialize)]
struct Drawn<'a> {
    labels: &'a Path,
    picture: &'a Path,
    style: Option<&'a str>,
    layout_size: [usize; 2],
    picture_size: [usize; 2],
    seconds: f64,
    executed_macs: u64,
}

/// Draws every picture.
pub fn run(args: &Args, adapter: Option<&str>) -> Result<()> {
    args.styles.validate()?;
    let jobs = jobs(args)?;
    let gpu = Gpu::open(adapter)?;
    let mut checkpoint = Checkpoint::load(&args.checkpoint)?;
    if args.no_ema {
        checkpoint.networks.take_average();
    }
    let mut generator = Generator::new(&gpu, checkpoint)?;
    generator.use_batch_statistics(args.batch_statistics);
    if generator.space().instances && args.instances.is_none() && !args.no_instance {
        return Err(Error::Usage(
            "this generator was trained with instance maps: give --instances, or --no-instance to go without".into(),
        ));
    }
    let size = args.size.unwrap_or(generator.size());
    if generator.has_styles() && size != generator.size() {
        let [width, height] = generator.size();
        return Err(Error::Usage(format!(
            "--size: a generator with styles draws pictures of {width}x{height} only, the size it was trained for"
        )));
    }
    let styles = args.styles.resolve(&mut generator)?;
    let stop = super::interrupt::flag()?;
    let bar = super::bar((jobs.len() * styles.len()) as u64, "drawing");
    for jobs in jobs.chunks(args.batch.into()) {
        let read =
            |job: &Job| Layout::read(&job.labels, job.instances.as_deref(), generator.space());
        let layouts = jobs.iter().map(read).collect::<Result<Vec<_>>>()?;
        for (i, style) in styles.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let start = Instant::now();
            let chosen = style.as_ref().map(|(style, _)| style);
            let drawn = generator.synth_together(&layouts, chosen, size)?;
            let seconds = start.elapsed().as_secs_f64() / jobs.len() as f64;
            for ((job, layout), picture) in jobs.iter().zip(&layouts).zip(&drawn) {
                let out = &job.outs[i];
                if let Some(folder) = out.parent() {
                    std::fs::create_dir_all(folder)
                        .map_err(|e| Error::io("cannot create", folder, e))?;
                }
                picture::save(out, picture)?;
                let drawn = Drawn {
                    labels: &job.labels,
                    picture: out,
                    style: style.as_ref().map(|(_, name)| name.as_str()),
                    layout_size: layout.size(),
                    picture_size: size,
                    seconds,
                    executed_macs: generator.executed_macs() / jobs.len() as u64,
                };
                bar.suspend(|| tell(&drawn, args.json))?;
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn tell(drawn: &Drawn, json: bool) -> Result<()> {
    if json {
        let line = serde_json::to_string(drawn);
        let line = line.map_err(|e| Error::Data(format!("cannot write as JSON: {e}")))?;
        return super::print(&(line + "\n"));
    }
    let [[w, h], [pw, ph]] = [drawn.layout_size, drawn.picture_size];
    let style = drawn.style.map(|name| format!("style {name}, "));
    super::print(&format!(
        "{}  layout {w}x{h}, picture {pw}x{ph}, {}{:.2} s, {:.2} GMAC\n",
        drawn.picture.display(),
        style.unwrap_or_default(),
        drawn.seconds,
        drawn.executed_macs as f64 / 1e9
    ))
}

/// Lists what to draw, and refuses to overwrite before anything is drawn.
fn jobs(args: &Args) -> Result<Vec<Job>> {
    let jobs = match args.labels.is_dir() {
        true => folder_jobs(args)?,
        false => vec![single_job(args)?],
    };
    match jobs
        .iter()
        .flat_map(|job| &job.outs)
        .find(|out| out.exists())
    {
        Some(out) => Err(Error::Usage(format!(
            "{} exists and nothing is ever overwritten: choose another --out",
            out.display()
        ))),
        None => Ok(jobs),
    }
}

fn single_job(args: &Args) -> Result<Job> {
    let labels = &args.labels;
    let is_file = args.out.extension().is_some_and(|end| end == "png");
    let name = labels
        .file_name()
        .ok_or_else(|| Error::Usage(format!("{} is no label map", labels.display())))?;
    let out = match is_file {
        true => args.out.clone(),
        false => args.out.join(name).with_extension("png"),
    };
    Ok(Job {
        labels: labels.clone(),
        instances: args.instances.clone(),
        outs: numbered(out, args.styles.count()),
    })
}

/// Names for several pictures of one layout: `street.png`, or `street-00.png`, `street-01.png` and so on.
fn numbered(out: PathBuf, count: usize) -> Vec<PathBuf> {
    if count == 1 {
        return vec![out];
    }
    let digits = (count - 1).to_string().len().max(2);
    let name = |i| {
        let mut name = out.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-{i:0digits$}.png"));
        out.with_file_name(name)
    };
    (0..count).map(name).collect()
}

fn folder_jobs(args: &Args) -> Result<Vec<Job>> {
    let inside = |file: &Path, folder: &Path| {
        let name = file.strip_prefix(folder).unwrap_or(file);
        name.with_extension("")
    };
    let maps: std::collections::BTreeMap<PathBuf, PathBuf> = match &args.instances {
        Some(folder) => {
            let files = pictures(folder)?.into_iter();
            files.map(|file| (inside(&file, folder), file)).collect()
        }
        None => Default::default(),
    };
    let job = |labels: PathBuf| {
        let name = inside(&labels, &args.labels);
        let instances = maps.get(&name).cloned();
        if let (Some(folder), None) = (&args.instances, &instances) {
            return Err(Error::Data(format!(
                "{} has no instance map in {}",
                labels.display(),
                folder.display()
            )));
        }
        let mut file = name.into_os_string();
        file.push(".png");
        Ok(Job {
            labels,
            instances,
            outs: numbered(args.out.join(file), args.styles.count()),
        })
    };
    pictures(&args.labels)?.into_iter().map(job).collect()
}
