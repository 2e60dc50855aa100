//! Measurements as tables of text.

use serde::{Serialize, Serializer};
use spadework::bench::{Machine, Timing, floor, kernels, sizes, start, synth, train, windows};

/// What can be read.
pub trait Text {
    /// Lines of text, the last one ended.
    fn text(&self) -> String;
}

/// Columns as wide as their widest cell: the first to the left, all others to the right.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let widest = |i: usize| {
        let cells = rows.iter().map(|row| row[i].chars().count());
        cells.chain([head[i].chars().count()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(widest);
    let line = |cells: &[String; N]| {
        let mut line = String::new();
        for (i, (cell, width)) in cells.iter().zip(widths).enumerate() {
            line += &match i {
                0 => format!("{cell:width$}"),
                _ => format!("  {cell:>width$}"),
            };
        }
        line.trim_end().to_owned() + "\n"
    };
    let head = line(&head.map(String::from));
    rows.iter().fold(head, |text, row| text + &line(row))
}

/// A time, with as many digits as mean something.
pub fn ms(ms: f64) -> String {
    match ms {
        ms if ms >= 100.0 => format!("{ms:.0}"),
        ms if ms >= 1.0 => format!("{ms:.2}"),
        ms => format!("{ms:.4}"),
    }
}

fn timing(timing: &Timing) -> [String; 3] {
    [
        ms(timing.median_ms),
        ms(timing.best_ms),
        timing.runs.to_string(),
    ]
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// Memory on the device, and of the process where the system tells.
fn memory(device: u64, process: Option<u64>) -> String {
    let process = process.map_or_else(|| "unknown on this system".into(), mib);
    format!(
        "memory: {} on the device as planned; the process at most {process}\n",
        mib(device)
    )
}

impl Text for Machine {
    fn text(&self) -> String {
        let mut text = format!("{}\n", self.program);
        if let Some(adapter) = &self.adapter {
            text += &format!(
                "{}, {} through {}, driver {}, kernels: {}\n",
                adapter.name, adapter.kind, adapter.backend, adapter.driver, adapter.kernels
            );
        }
        let memory = self
            .memory_bytes
            .map(|bytes| format!(", {} memory", mib(bytes)));
        text + &format!(
            "{}, {} cores{}, {}\n",
            self.processor,
            self.cores,
            memory.unwrap_or_default(),
            self.system
        )
    }
}

/// Lines of operations. Columns have fixed widths, so that lines told one by one stand below each other.
pub fn kernels(lines: &[kernels::Line]) -> String {
    let mut text = format!(
        "{:22} {:>10} {:>10} {:>6} {:>9} {:>8} {:>7} {:>7}  {}\n",
        "operation",
        "ms",
        "best",
        "runs",
        "GFLOP/s",
        "GB/s",
        "% arith",
        "% mem",
        "of what, with which kernels"
    );
    for line in lines {
        let [median, best, runs] = timing(&line.timing);
        text += &format!(
            "{:22} {median:>10} {best:>10} {runs:>6} {:>9.1} {:>8.2} {:>7.1} {:>7.1}  {}: {}\n",
            line.op,
            line.gflop_per_s,
            line.gb_per_s,
            line.of_arithmetic,
            line.of_memory,
            line.inputs.join(" "),
            line.variant
        );
    }
    text
}

impl Text for Vec<kernels::Line> {
    fn text(&self) -> String {
        kernels(self)
    }
}

/// What each size costs.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Grown(pub Vec<sizes::Line>);

impl Text for Grown {
    fn text(&self) -> String {
        let lines = self.0.iter().map(growth);
        lines.fold(growth_head(), |text, line| text + &line)
    }
}

/// Columns of the lines of [`growth`], whose widths are fixed.
pub fn growth_head() -> String {
    format!(
        "{:>9} {:>5}  {:>10} {:>8} {:>8} {:>10}  {:>10} {:>8} {:>8} {:>10}\n",
        "picture",
        "batch",
        "drawn, ms",
        "ns/pixel",
        "GMAC",
        "device",
        "iter., ms",
        "ns/pixel",
        "GMAC",
        "device"
    )
}

/// What pictures of a size cost: to draw them, and an iteration of training.
pub fn growth(line: &sizes::Line) -> String {
    let [width, height] = line.picture;
    let [drawn, trained] = [&line.synthesis, &line.training].map(|fit| match fit.cost() {
        Some(cost) => format!(
            "{:>10} {:>8.0} {:>8.1} {:>10}",
            ms(cost.timing.median_ms),
            cost.ns_per_pixel,
            cost.gmac,
            mib(cost.device_bytes)
        ),
        None => format!("{:>10} {:>8} {:>8} {:>10}", "too large", "", "", ""),
    });
    let why = [&line.synthesis, &line.training]
        .into_iter()
        .find_map(|fit| match fit {
            sizes::Fit::TooLarge(why) => Some(format!("{:>9} {:>5}  {why}\n", "", "")),
            sizes::Fit::Cost(_) => None,
        });
    format!(
        "{:>9} {:>5}  {}\n{}",
        format!("{width}x{height}"),
        line.batch,
        format!("{drawn}  {trained}").trim_end(),
        why.unwrap_or_default()
    )
}

/// What pictures cost, and whether memory is told.
pub struct Drawn {
    /// What they cost.
    pub report: synth::Report,
    /// Whether memory is told.
    pub memory: bool,
}

impl Serialize for Drawn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.report.serialize(serializer)
    }
}

impl Text for Drawn {
    fn text(&self) -> String {
        let report = &self.report;
        let [width, height] = report.picture;
        let mut text = format!(
            "pictures of {width}x{height}, ngf {}, {} at a time, {} label maps; dense network {:.2} GMAC a picture\n\n",
            report.ngf, report.batch, report.maps, report.dense_gmac
        );
        let row = |line: &synth::Line| {
            let [median, best, runs] = timing(&line.timing);
            [
                line.what.to_owned(),
                median,
                best,
                runs,
                format!("{:.2}", line.gmac),
                format!("{:.1}", line.of_dense),
                line.rows.to_string(),
            ]
        };
        let rows: Vec<_> = report.lines.iter().map(row).collect();
        let head = [
            "picture",
            "ms",
            "best",
            "runs",
            "GMAC",
            "% of dense",
            "rows",
        ];
        text += &table(head, &rows);
        if self.memory {
            text += &memory(report.device_bytes, report.peak_bytes);
        }
        text
    }
}

/// What iterations cost, and whether memory is told.
pub struct Trained {
    /// What they cost.
    pub reports: Vec<train::Report>,
    /// Whether memory is told.
    pub memory: bool,
}

impl Serialize for Trained {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.reports.serialize(serializer)
    }
}

impl Text for Trained {
    fn text(&self) -> String {
        let row = |report: &train::Report| {
            let [median, best, runs] = timing(&report.timing);
            [
                match report.has_vgg {
                    true => "with the perceptual loss".to_owned(),
                    false => "without the perceptual loss".to_owned(),
                },
                median,
                best,
                runs,
                format!("{:.1}", report.gmac),
                format!("{:.2}", report.setup_seconds),
                format!("{:.2}", report.first_seconds),
            ]
        };
        let rows: Vec<_> = self.reports.iter().map(row).collect();
        let mut text = String::new();
        if let Some(first) = self.reports.first() {
            let ([width, height], [ngf, ndf]) = (first.picture, first.widths);
            text += &format!(
                "pictures of {width}x{height}, ngf {ngf}, ndf {ndf}, batches of {}\n\n",
                first.batch
            );
        }
        let head = [
            "iteration",
            "ms",
            "best",
            "runs",
            "GMAC",
            "set-up, s",
            "first, s",
        ];
        text += &table(head, &rows);
        for report in self.reports.iter().filter(|_| self.memory) {
            text += &memory(report.device_bytes, report.peak_bytes);
        }
        text
    }
}

impl Text for windows::Report {
    fn text(&self) -> String {
        let [width, height] = self.map;
        let [median, best, runs] = timing(&self.timing);
        let mut text = format!(
            "all tables of a label map of {width}x{height}, {} label maps, one core\n\n{median} ms, best {best}, {runs} \
             runs; {:.2} ms for 65536 pixels\n\n",
            self.maps, self.ms_per_65536_pixels
        );
        let row = |level: &windows::Level| {
            let [height, width] = level.size;
            [
                format!("{width}x{height}"),
                format!("{:.1}", level.labels),
                format!("{:.1}", level.windows),
            ]
        };
        let rows: Vec<_> = self.levels.iter().map(row).collect();
        let head = ["size", "% label windows", "% windows of those"];
        text += &table(head, &rows);
        text
    }
}

impl Text for start::Report {
    fn text(&self) -> String {
        let [width, height] = self.picture;
        let row = |phase: &start::Phase| {
            let [median, best, runs] = timing(&phase.timing);
            [
                phase.what.to_owned(),
                ms(phase.first_ms),
                median,
                best,
                runs,
            ]
        };
        let rows: Vec<_> = self.phases.iter().map(row).collect();
        let head = ["phase", "first, ms", "later, ms", "best", "runs"];
        format!(
            "pictures of {width}x{height}, ngf {}\n\n{}{} ms to the first picture, the first time\n",
            self.ngf,
            table(head, &rows),
            ms(self.first_picture_ms)
        )
    }
}

impl Text for floor::Report {
    fn text(&self) -> String {
        let [width, height] = self.picture;
        let mut text = format!(
            "pictures of {width}x{height}, batches of {}\n\n",
            self.batch
        );
        for card in &self.cards {
            text += &format!(
                "{}: {:.1} GFLOP/s, {:.1} GB/s\n",
                card.name, card.rates.gflop_per_s, card.rates.gb_per_s
            );
        }
        let rows = self.lines.iter().flat_map(|line| {
            line.floors.iter().map(|floor| {
                [
                    format!("{}, {}", line.what, floor.card),
                    line.steps.to_string(),
                    format!("{:.2}", line.work.flops * 1e-9),
                    format!("{:.2}", line.work.bytes * 1e-9),
                    ms(floor.arithmetic_ms),
                    ms(floor.memory_ms),
                    ms(floor.both_ms),
                ]
            })
        });
        let rows: Vec<_> = rows.collect();
        let head = [
            "floor of",
            "steps",
            "GFLOP",
            "GB",
            "arithmetic, ms",
            "memory, ms",
            "both, ms",
        ];
        text + "\n" + &table(head, &rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["a".into(), "1".into()], ["longer".into(), "100".into()]];
        let text = table(["what", "ms"], &rows);
        assert_eq!(text, "what     ms\na         1\nlonger  100\n");
        assert_eq!(
            [ms(1234.5), ms(12.345), ms(0.01234)],
            ["1234", "12.35", "0.0123"]
        );
    }
}
