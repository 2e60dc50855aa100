//! `spadework inspect --profile`.

use std::path::Path;

use serde::Serialize;
use spadework::bench::profile::{Part, Report, Row, iteration, picture};
use spadework::bench::{Machine, chart};
use spadework::gpu::{Clock, Gpu};
use spadework::train::{Checkpoint, write_durably};
use spadework::windows::IdMap;
use spadework::{Error, Result};

use crate::cli::bench::text::{Text, ms, table};
use crate::cli::{print, print_json};

/// Times of which the median is told.
const ROUNDS: usize = 5;
/// Characters of text for an operation and its arguments.
const LABEL: usize = 64;
/// Rows of text of a replay; JSON has all.
const MOST_ROWS: usize = 40;

#[derive(Serialize)]
struct Told {
    machine: Machine,
    reports: Vec<Report>,
}

/// Profiles a picture and an iteration with the configuration of a checkpoint.
pub fn run(
    checkpoint: &Checkpoint,
    map: &IdMap,
    file: Option<&Path>,
    json: bool,
    adapter: Option<&str>,
) -> Result<()> {
    if let Some(file) = file
        && file.extension().is_none_or(|end| end != "svg")
    {
        return Err(Error::Usage(format!(
            "--picture {}: the picture is an SVG file, so its name must end in .svg",
            file.display()
        )));
    }
    let gpu = Gpu::open(adapter)?;
    let config = &checkpoint.config;
    let mut weights = checkpoint.networks.clone();
    weights.use_average();
    let mut reports = vec![picture(&gpu, config, &weights, map, ROUNDS)?];
    drop(weights);
    let batch = together(map, config.train.batch_size);
    match iteration(&gpu, config, &batch, ROUNDS) {
        Ok(steps) => reports.extend(steps),
        // A generator can be drawn with where training it does not fit.
        Err(error @ Error::Device(_)) => eprintln!("note: no profile of training: {error}"),
        Err(error) => return Err(error),
    }
    if reports.iter().any(|report| report.clock == Clock::Waits) {
        eprintln!(
            "note: {} has no timestamps; each dispatch was submitted alone and waited for, so short ones seem longer",
            gpu.info.name
        );
    }
    if let Some(file) = file {
        write_durably(file, |out| out.write_all(chart::svg(&reports).as_bytes()))?;
    }
    let machine = Machine::here(Some(&*gpu));
    match json {
        true => print_json(&Told { machine, reports }),
        false => print(&reports.iter().fold(machine.text(), |text, report| {
            text + "\n" + &text_of(report)
        })),
    }
}

/// The same label map for each picture of a batch.
fn together(map: &IdMap, n: usize) -> IdMap {
    IdMap {
        n,
        ids: map.ids.repeat(n),
        ..*map
    }
}

fn text_of(report: &Report) -> String {
    let row = |row: &Row| {
        [
            row.label(LABEL),
            row.steps.to_string(),
            row.dispatches.to_string(),
            ms(row.ms),
            format!("{:.1}", row.share),
            format!("{:.1}", row.gflop_per_s),
            format!("{:.2}", row.gb_per_s),
        ]
    };
    let part = |part: &Part| {
        [
            format!("  {}", part.kernel),
            String::new(),
            part.dispatches.to_string(),
            ms(part.ms),
            format!("{:.1}", part.share),
            String::new(),
            String::new(),
        ]
    };
    // The kernels of an operation are worth a line where there are several.
    let parts = |row: &Row| match row.kernels.len() {
        1 => Vec::new(),
        _ => row.kernels.iter().map(part).collect(),
    };
    let shown = report.rows.iter().take(MOST_ROWS);
    let rows: Vec<_> = shown
        .flat_map(|of| std::iter::once(row(of)).chain(parts(of)))
        .collect();
    let head = [
        "operation",
        "times",
        "dispatches",
        "ms",
        "%",
        "GFLOP/s",
        "GB/s",
    ];
    let left = report.rows.get(MOST_ROWS..).unwrap_or_default();
    let rest = match left.is_empty() {
        true => String::new(),
        false => {
            let time: f64 = left.iter().map(|row| row.ms).sum();
            format!("and {} others, {} ms\n", left.len(), ms(time))
        }
    };
    format!(
        "{}, {} ms on the device, medians of {}\n\n{}{rest}",
        report.what,
        ms(report.total_ms),
        report.rounds,
        table(head, &rows)
    )
}
