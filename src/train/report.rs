//! The page of a run: loss curves and sample sheets in one HTML file that needs nothing from elsewhere.
//!
//! While training, the page lies in the folder of the run, shows its pictures from there and loads itself anew, until
//! there was no news for long: nobody tells it of a training that was killed. A page to hand on holds its pictures.

mod chart;

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::{Deserialize, Serialize};

use super::run::METRICS;
use super::run::{sheet_name, sheet_steps};
use super::write_durably;
use crate::{Error, Result};
pub use chart::Chart;
use chart::Point;

/// Where the pictures of a page are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pictures {
    /// In the folder of the run, where the page is; all of them.
    Linked {
        /// Whether there will be more.
        is_training: bool,
    },
    /// In the page, at most this many, evenly spread, the newest among them.
    Embedded(usize),
}

/// Name of the page in the folder of a run.
pub const PAGE: &str = "index.html";

/// What a line of `metrics.jsonl` says of interest.
#[derive(Deserialize)]
struct Line {
    step: u64,
    epoch: u64,
    images: u64,
    lr_g: f64,
    lr_d: f64,
    seconds: f64,
    losses: serde_json::Map<String, serde_json::Value>,
}

/// A sample sheet.
#[derive(Serialize)]
pub struct Sheet {
    /// Its iteration.
    pub step: u64,
    /// Address of the picture.
    pub source: String,
}

/// What the template shows.
#[derive(Serialize)]
struct Page {
    name: String,
    news: Option<News>,
    /// Figures by what they are of.
    facts: Vec<[String; 2]>,
    charts: Vec<Chart>,
    sheets: Vec<Sheet>,
    config: String,
}

/// When a page was written, and how long it hopes for another.
#[derive(Serialize)]
struct News {
    /// Seconds since 1970.
    written: u64,
    /// Seconds.
    patience: u64,
}

impl News {
    /// Pages are written with sheets, so the time between the newest two tells how long the next may take: three times
    /// that, and ten minutes for all that is no iteration.
    fn after(lines: &[Line], sheets: &[Sheet]) -> Self {
        let step = |i: usize| sheets.get(i).map_or(0, |sheet| sheet.step);
        let between = step(0).saturating_sub(step(1)) as f64 * seconds(lines);
        let written = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            written: written.unwrap_or_default().as_secs(),
            patience: 600 + (3.0 * between) as u64,
        }
    }
}

/// Writes the page in the folder of a run, in place of an older one.
///
/// # Errors
/// As [`page`], and if it cannot be written.
pub fn write(root: &Path, is_training: bool) -> Result<()> {
    let text = page(root, Pictures::Linked { is_training })?;
    write_durably(&root.join(PAGE), |writer| writer.write_all(text.as_bytes()))
}

/// The page of a run.
///
/// # Errors
/// If the folder is none of a run, or a file in it cannot be read.
pub fn page(root: &Path, pictures: Pictures) -> Result<String> {
    let config = root.join("config.toml");
    let config = fs::read_to_string(&config).map_err(|e| Error::io("cannot read", &config, e))?;
    let lines = lines(&root.join(METRICS))?;
    let name = root.canonicalize().ok();
    let name = name.as_deref().unwrap_or(root).file_name();
    let sheets = sheets(root, pictures)?;
    let is_training = pictures == Pictures::Linked { is_training: true };
    let page = Page {
        name: name.map_or("run".into(), |name| name.to_string_lossy().into_owned()),
        news: is_training.then(|| News::after(&lines, &sheets)),
        facts: facts(&lines),
        charts: charts(&lines),
        sheets,
        config,
    };
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let text = environment.render_str(include_str!("../../assets/report.html"), Serde(&page));
    Ok(text.expect("the template fits the page"))
}

/// Lines of metrics. A line that a crash cut off, or that is of another version, is left out; a run that went on from an
/// earlier iteration begins anew after that one.
fn lines(path: &Path) -> Result<Vec<Line>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("cannot read", path, error)),
    };
    let mut lines: Vec<Line> = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(|e| Error::io("cannot read", path, e))?;
        if let Ok(line) = serde_json::from_slice::<Line>(&line) {
            let later = lines.partition_point(|earlier| earlier.step < line.step);
            lines.truncate(later);
            lines.push(line);
        }
    }
    Ok(lines)
}

fn facts(lines: &[Line]) -> Vec<[String; 2]> {
    let Some(last) = lines.last() else {
        return Vec::new();
    };
    let seconds = seconds(lines);
    [
        ("iterations", last.step.to_string()),
        ("pictures seen", last.images.to_string()),
        ("epoch", last.epoch.to_string()),
        ("seconds an iteration", format!("{seconds:.2}")),
        (
            "learning rates G, D",
            format!("{}, {}", last.lr_g, last.lr_d),
        ),
    ]
    .map(|(what, figure)| [what.to_owned(), figure])
    .into()
}

/// Mean time of an iteration.
fn seconds(lines: &[Line]) -> f64 {
    lines.iter().map(|line| line.seconds).sum::<f64>() / lines.len().max(1) as f64
}

/// The curves of a run's losses.
///
/// # Errors
/// If they cannot be read.
pub fn curves(root: &Path) -> Result<Vec<Chart>> {
    Ok(charts(&lines(&root.join(METRICS))?))
}

/// The curves of a run's losses as one drawing that needs no page.
///
/// # Errors
/// If they cannot be read.
pub fn drawing(root: &Path) -> Result<String> {
    Ok(chart::drawing(&curves(root)?))
}

/// A chart for each loss, those of the discriminator last.
fn charts(lines: &[Line]) -> Vec<Chart> {
    let mut names: Vec<&String> = Vec::new();
    for name in lines.iter().flat_map(|line| line.losses.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.sort_by_key(|name| name.starts_with("D_"));
    let chart = |name: &String| {
        let point = |line: &Line| {
            let y = line.losses.get(name)?.as_f64()?;
            Some(Point {
                x: line.images as f64,
                y,
            })
        };
        let points: Vec<_> = lines.iter().filter_map(point).collect();
        Chart::new(name, &points)
    };
    names.into_iter().filter_map(chart).collect()
}

/// Sample sheets of a run, the newest first.
///
/// # Errors
/// If they cannot be listed or read.
pub fn sheets(root: &Path, pictures: Pictures) -> Result<Vec<Sheet>> {
    let mut steps = sheet_steps(root)?;
    steps.sort_unstable_by_key(|&step| std::cmp::Reverse(step));
    let name = |step: u64| format!("samples/{}", sheet_name(step));
    let sheet = |step| {
        let source = match pictures {
            Pictures::Linked { .. } => name(step),
            Pictures::Embedded(_) => embedded(&root.join(name(step)))?,
        };
        Ok(Sheet { step, source })
    };
    let steps = match pictures {
        Pictures::Linked { .. } => steps,
        Pictures::Embedded(most) => spread(&steps, most),
    };
    steps.into_iter().map(sheet).collect()
}

/// At most this many, evenly spread, first and last among them.
fn spread(steps: &[u64], most: usize) -> Vec<u64> {
    let count = steps.len().min(most);
    let place = |i: usize| i * (steps.len() - 1) / (count - 1).max(1);
    (0..count).map(|i| steps[place(i)]).collect()
}

/// A picture as an address that holds it.
///
/// # Errors
/// If it cannot be read.
pub fn embedded(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|e| Error::io("cannot read", path, e))?;
    Ok(format!("data:image/png;base64,{}", base64(&bytes)))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| chunk.get(i).map_or(0, |&byte| u32::from(byte));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = word >> (18 - 6 * digit) & 63;
            text.push(match digit <= chunk.len() {
                true => char::from(DIGITS[index as usize]),
                false => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        // Test vectors of RFC 4648.
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in cases {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn few_sheets_are_spread_over_all() {
        let steps: Vec<u64> = (0..100).rev().collect();
        assert_eq!(spread(&steps, 4), [99, 66, 33, 0]);
        assert_eq!(spread(&steps, 1), [99]);
        assert_eq!(spread(&steps[..2], 9), [99, 98]);
        assert!(spread(&[], 3).is_empty() && spread(&steps, 0).is_empty());
    }

    fn run() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("samples")).unwrap();
        fs::write(dir.path().join("config.toml"), "note = \"a < b & c\"").unwrap();
        dir
    }

    fn metrics(step: u64, loss: u64) -> String {
        format!(
            "{{\"step\":{step},\"epoch\":1,\"images\":{},\"lr_g\":1e-4,\"lr_d\":4e-4,\"seconds\":0.5,\
             \"losses\":{{\"GAN\":{loss},\"D_real\":null}}}}\n",
            4 * step
        )
    }

    #[test]
    fn the_last_line_of_an_iteration_counts() {
        let dir = run();
        let path = dir.path().join("metrics.jsonl");
        let written = [(1, 1), (2, 2), (3, 3), (2, 5), (3, 6)];
        let text: String = written.map(|(step, loss)| metrics(step, loss)).concat();
        fs::write(&path, text).unwrap();
        let read = lines(&path).unwrap();
        let read: Vec<_> = read
            .iter()
            .map(|l| (l.step, l.losses["GAN"].as_u64()))
            .collect();
        assert_eq!(read, [(1, Some(1)), (2, Some(5)), (3, Some(6))]);
    }

    #[test]
    fn a_page_hopes_for_news_as_long_as_a_sheet_may_take() {
        let line = |step: u64| serde_json::from_str::<Line>(&metrics(step, 1)).unwrap();
        let sheet = |step| Sheet {
            step,
            source: String::new(),
        };
        let patience = |sheets: &[Sheet]| News::after(&[line(1), line(2)], sheets).patience;
        // Half a second each.
        assert_eq!(patience(&[sheet(5000), sheet(3000)]), 600 + 3000);
        assert_eq!(patience(&[sheet(100)]), 600 + 150);
        assert_eq!(News::after(&[], &[]).patience, 600);
    }

    #[test]
    fn pages_need_nothing_from_elsewhere() {
        let dir = run();
        let empty = page(dir.path(), Pictures::Embedded(3)).unwrap();
        assert!(
            empty.contains("No losses yet") && empty.contains("a &lt; b &amp; c"),
            "{empty}"
        );
        let line = |step: u64| metrics(step, step);
        let text = [line(1), line(2), "{\"step\":".into()].concat();
        fs::write(dir.path().join("metrics.jsonl"), text).unwrap();
        for step in [1, 2] {
            let name = format!("samples/step-{step:08}.png");
            fs::write(dir.path().join(name), b"foobar").unwrap();
        }
        let handed_on = page(dir.path(), Pictures::Embedded(1)).unwrap();
        assert!(handed_on.contains("data:image/png;base64,Zm9vYmFy"));
        assert!(!handed_on.contains("step-00000001") && !handed_on.contains("reload()"));
        let linked = page(dir.path(), Pictures::Linked { is_training: true }).unwrap();
        assert!(linked.contains("samples/step-00000001.png") && linked.contains("reload()"));
        for page in [handed_on, linked] {
            assert!(page.contains("<svg") && page.contains(">GAN<"), "{page}");
            assert!(!page.contains("http://") && !page.contains("https://"));
        }
        let none = page(&dir.path().join("samples"), Pictures::Embedded(1)).unwrap_err();
        assert!(none.to_string().contains("config.toml"), "{none}");
    }
}
