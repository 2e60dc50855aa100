//! A profile as a picture: a bar for each operation.

use std::fmt::Write;

use super::profile::{Report, Row};

/// Bars of a replay; what is left is one more.
const BARS: usize = 24;
/// Heights of a bar and of a title, and widths, in pixels.
const BAR: usize = 20;
const TITLE: usize = 44;
const WIDTH: usize = 1100;
/// Characters there is room for to the left of a bar.
const LABEL: usize = 68;
/// Where bars begin, and how long the longest of a replay is.
const LEFT: usize = 460;
const LONGEST: f64 = 420.0;

/// One bar.
struct Bar {
    label: String,
    ms: f64,
    share: f64,
    rates: String,
}

fn bar(row: &Row) -> Bar {
    Bar {
        label: row.label(LABEL),
        ms: row.ms,
        share: row.share,
        rates: format!("{:.1} GFLOP/s, {:.1} GB/s", row.gflop_per_s, row.gb_per_s),
    }
}

fn bars(report: &Report) -> Vec<Bar> {
    let mut bars: Vec<Bar> = report.rows.iter().take(BARS).map(bar).collect();
    let rest = report.rows.get(BARS..).unwrap_or_default();
    if !rest.is_empty() {
        bars.push(Bar {
            label: format!("{} others", rest.len()),
            ms: rest.iter().map(|row| row.ms).sum(),
            share: rest.iter().map(|row| row.share).sum(),
            rates: String::new(),
        });
    }
    bars
}

/// An SVG file's text.
pub fn svg(reports: &[Report]) -> String {
    let charts: Vec<Vec<Bar>> = reports.iter().map(bars).collect();
    let height: usize = charts
        .iter()
        .map(|bars| TITLE + bars.len() * BAR)
        .sum::<usize>()
        + BAR;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let mut y = 0;
    for (report, bars) in reports.iter().zip(&charts) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "<text x=\"12\" y=\"{}\" font-size=\"15\">{}: {:.1} ms</text>",
            y + TITLE - 14,
            report.what,
            report.total_ms
        );
        y += TITLE;
        let longest = bars.iter().map(|bar| bar.ms).fold(1e-9, f64::max);
        for bar in bars {
            draw(&mut text, bar, bar.ms / longest, y);
            y += BAR;
        }
    }
    text + "</svg>\n"
}

fn draw(text: &mut String, bar: &Bar, length: f64, y: usize) {
    let length = (length * LONGEST).max(1.0);
    let baseline = y + 15;
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "<text x=\"{}\" y=\"{baseline}\" text-anchor=\"end\">{}</text>\n<rect x=\"{LEFT}\" y=\"{}\" width=\"{length:.1}\" \
         height=\"{}\" fill=\"#3a7d44\"/>\n<text x=\"{:.1}\" y=\"{baseline}\">{:.2} ms, {:.1} %  {}</text>",
        LEFT - 8,
        bar.label,
        y + 3,
        BAR - 6,
        LEFT as f64 + length + 6.0,
        bar.ms,
        bar.share,
        bar.rates
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Clock;

    #[test]
    fn what_has_no_bar_of_its_own_is_counted_together() {
        let row = |i: usize| Row {
            op: "conv2d",
            inputs: vec!["x".repeat(i * 4)],
            steps: 1,
            dispatches: 1,
            ms: 1.0,
            share: 100.0 / 30.0,
            gflop_per_s: 1.0,
            gb_per_s: 1.0,
            kernels: Vec::new(),
        };
        let report = Report {
            what: "a picture",
            clock: Clock::Waits,
            total_ms: 30.0,
            rounds: 1,
            rows: (0..30).map(row).collect(),
        };
        let text = svg(&[report.clone(), report]);
        assert_eq!(text.matches("6 others").count(), 2);
        assert_eq!(text.matches("6.00 ms, 20.0 %").count(), 2);
        assert_eq!(text.matches("<rect").count(), 1 + 2 * 25);
        assert!(text.contains('…') && text.ends_with("</svg>\n"));
    }
}
