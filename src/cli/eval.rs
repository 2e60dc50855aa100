//! `spadework eval`.

use std::fmt::Write;
use std::path::PathBuf;

use spadework::eval::{Compared, Evaluation, Likeness, Questions, Sheets, evaluate};
use spadework::gpu::Gpu;
use spadework::picture;
use spadework::{Error, Generator, Result};

/// Options of `eval`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint of a generator of built-in landscapes, or folder of a run [default: the one that comes with the program]
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: Option<PathBuf>,
    /// Held-out scenes to judge by
    #[arg(long, value_name = "N", default_value_t = 32)]
    scenes: usize,
    /// Random styles of each layout, whose diversity is measured
    #[arg(long, value_name = "N", default_value_t = 4)]
    seeds: usize,
    /// New folder for sheets of pictures
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Rows of each sheet
    #[arg(long, value_name = "N", default_value_t = 6, requires = "out")]
    rows: usize,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Evaluates a generator.
pub fn run(args: &Args, adapter: Option<&str>) -> Result<()> {
    let checkpoint = super::checkpoint(args.checkpoint.as_deref())?;
    let questions = Questions {
        scenes: args.scenes,
        seeds: args.seeds,
        rows: args.out.as_ref().map_or(0, |_| args.rows),
        trained: checkpoint.config.data.landscapes.unwrap_or(0),
    };
    let mut generator = Generator::new(&Gpu::open(adapter)?, checkpoint)?;
    let stop = super::interrupt::flag()?;
    if let Some(out) = &args.out {
        std::fs::create_dir(out).map_err(|e| Error::io("cannot create the new folder", out, e))?;
    }
    let bar = super::bar(args.scenes as u64, "judging");
    let progress = super::interrupt::follow(&bar, stop);
    let (evaluation, sheets) = evaluate(&mut generator, questions, progress).inspect_err(|_| {
        // Nothing was put into the new folder, so it goes again; if it cannot, the error that matters is the other.
        let _ = args.out.as_ref().map(std::fs::remove_dir);
    })?;
    bar.finish_and_clear();
    if let Some(out) = &args.out {
        for (name, rows) in named(&sheets)
            .into_iter()
            .filter(|(_, rows)| !rows.is_empty())
        {
            picture::save(&out.join(name), &picture::sheet(rows))?;
        }
    }
    match args.json {
        true => super::print_json(&evaluation),
        false => super::print(&text(&evaluation)),
    }
}

fn named(sheets: &Sheets) -> [(&'static str, &Vec<Vec<picture::Picture>>); 5] {
    [
        ("reconstruction.png", &sheets.reconstruction),
        ("transfer.png", &sheets.transfer),
        ("diversity.png", &sheets.diversity),
        ("edit.png", &sheets.edit),
        ("walk.png", &sheets.walk),
    ]
}

fn text(evaluation: &Evaluation) -> String {
    let [width, height] = evaluation.size;
    let scenes = evaluation.scenes;
    let mut text =
        format!("{scenes} held-out landscapes at {width}x{height}; colours in 8-bit steps\n");
    compare(
        &mut text,
        "scenes in their own styles",
        &evaluation.reconstruction,
    );
    match &evaluation.transfer {
        Some(transfer) => compare(&mut text, "scenes in the styles of others", transfer),
        None => text += "\nwithout an encoder no style is taken from a picture\n",
    }
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:32} {value}");
    };
    line("", String::new());
    if let Some(diversity) = evaluation.diversity {
        let (drawn, real) = (diversity.generator, diversity.truth);
        line(
            "random styles of a layout",
            format!("{drawn:.1} apart, the truth {real:.1}"),
        );
    }
    if let Some(edit) = evaluation.edit {
        let ratio = |inside: f64, outside: f64| inside / outside.max(1e-9);
        line(
            "another class in a region",
            format!(
                "{:.1} inside, {:.1} outside: {:.1} times; the truth {:.1} times",
                edit.inside,
                edit.outside,
                ratio(edit.inside, edit.outside),
                ratio(edit.truth_inside, edit.truth_outside)
            ),
        );
    }
    if let Some(walk) = &evaluation.walk {
        let steps: Vec<_> = walk.brightness.iter().map(|b| format!("{b:.0}")).collect();
        let share = walk.monotone * 100.0;
        let steps = steps.join(" ");
        line(
            "brightness from dusk to noon",
            format!("{steps}; {share:.0} % of layouts brighten at every step"),
        );
    }
    text
}

fn compare(text: &mut String, title: &str, compared: &Compared) {
    let _ = writeln!(
        text,
        "\n{title:32} {:>8} {:>8} {:>14}",
        "L1", "SSIM", "class colours"
    );
    let rows = [
        ("generator", compared.generator),
        ("class means", compared.class_means),
        ("nearest training picture", compared.nearest),
    ];
    for (
        name,
        Likeness {
            l1,
            ssim,
            class_colour,
        },
    ) in rows
    {
        let _ = writeln!(text, "  {name:30} {l1:8.2} {ssim:8.3} {class_colour:14.2}");
    }
}
