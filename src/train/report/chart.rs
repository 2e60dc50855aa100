//! A curve as SVG: the mean and the range of what falls into each of its columns.

use std::fmt::Write;

use serde::Serialize;

/// Size of the drawing, in its own units.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 180.0;
/// Room for numbers on the left and below, and a little above and on the right.
const LEFT: f64 = 46.0;
const BOTTOM: f64 = 22.0;
const TOP: f64 = 8.0;
const RIGHT: f64 = 10.0;
/// More columns would not be seen.
const COLUMNS: usize = 150;
/// Lines across, about.
const TICKS: f64 = 5.0;

/// A value at a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

/// A drawing of one curve.
#[derive(Debug, Serialize)]
pub struct Chart {
    name: String,
    latest: String,
    svg: String,
}

/// Points of one column.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Column {
    x: f64,
    mean: f64,
    low: f64,
    high: f64,
}

impl Chart {
    /// A chart of points in ascending order; none without finite ones.
    pub fn new(name: &str, points: &[Point]) -> Option<Self> {
        let points: Vec<_> = points.iter().copied().filter(|p| p.y.is_finite()).collect();
        let last = points.last()?;
        Some(Self {
            name: name.to_owned(),
            latest: format!("{:.3}", last.y),
            svg: svg(&columns(&points)),
        })
    }
}

/// Charts in two columns, as a file of its own.
pub(super) fn drawing(charts: &[Chart]) -> String {
    // Room for a title above each.
    let (column, row) = (WIDTH + 10.0, HEIGHT + 24.0);
    let height = row * charts.len().div_ceil(2) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" width=\"{}\" height=\"{height}\">\
         <style>text{{font:10.5px sans-serif;fill:#667085}}.y{{text-anchor:end}}.x{{text-anchor:middle}}\
         .grid{{stroke:#c8cdd6;fill:none}}.band{{fill:#2563c9;opacity:.18}}\
         .line{{stroke:#2563c9;fill:none;stroke-width:1.6}}.dot{{fill:#2563c9}}</style>",
        2.0 * column,
        2.0 * column
    );
    for (i, chart) in charts.iter().enumerate() {
        let (x, y) = (column * (i % 2) as f64, row * (i / 2) as f64);
        let placed = format!(
            "<svg x=\"{x}\" y=\"{}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" ",
            y + 20.0
        );
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\">{} {}</text>{}",
            x + LEFT,
            y + 14.0,
            chart.name,
            chart.latest,
            chart.svg.replacen("<svg ", &placed, 1)
        );
    }
    svg + "</svg>\n"
}

fn columns(points: &[Point]) -> Vec<Column> {
    let per_column = points.len().div_ceil(COLUMNS);
    let column = |points: &[Point]| {
        let count = points.len() as f64;
        let mean = |of: fn(&Point) -> f64| points.iter().map(of).sum::<f64>() / count;
        let ys = points.iter().map(|p| p.y);
        Column {
            x: mean(|p| p.x),
            mean: mean(|p| p.y),
            low: ys.clone().fold(f64::INFINITY, f64::min),
            high: ys.fold(f64::NEG_INFINITY, f64::max),
        }
    };
    points.chunks(per_column.max(1)).map(column).collect()
}

/// From values to places of the drawing.
struct Scale {
    x: [f64; 2],
    y: [f64; 2],
}

impl Scale {
    fn of(columns: &[Column]) -> Self {
        let [first, last] = [columns[0].x, columns[columns.len() - 1].x];
        let low = columns.iter().map(|c| c.low).fold(f64::INFINITY, f64::min);
        let high = columns
            .iter()
            .map(|c| c.high)
            .fold(f64::NEG_INFINITY, f64::max);
        let room = match high > low {
            true => 0.05 * (high - low),
            false => 0.5 * high.abs().max(1.0),
        };
        Self {
            x: [first, last.max(first + 1.0)],
            y: [low - room, high + room],
        }
    }

    fn x(&self, value: f64) -> f64 {
        let share = (value - self.x[0]) / (self.x[1] - self.x[0]);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.y[0]) / (self.y[1] - self.y[0]);
        HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
    }
}

/// Round values within a range: 1, 2 or 5 times a power of ten apart.
fn ticks([low, high]: [f64; 2]) -> Vec<f64> {
    let rough = (high - low) / TICKS;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|digit| digit * power)
        .into_iter()
        .find(|&step| step >= rough);
    let step = step.unwrap_or(10.0 * power);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// A number in few characters.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        1e6.. => format!("{}M", value / 1e6),
        1e4.. => format!("{}k", value / 1e3),
        // The nearest number of four digits: steps are round, their multiples in binary are not.
        size => {
            let digits = (3 - size.log10().floor() as i32).max(0) as usize;
            let text = format!("{value:.digits$}");
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
    }
}

fn svg(columns: &[Column]) -> String {
    let scale = Scale::of(columns);
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
    let mut add = |piece: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = svg.write_fmt(piece);
    };
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for tick in ticks(scale.y) {
        let (y, text) = (scale.y(tick), short(tick));
        add(format_args!(
            "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>"
        ));
        add(format_args!(
            "<text class=\"y\" x=\"{}\" y=\"{:.1}\">{text}</text>",
            LEFT - 6.0,
            y + 3.5
        ));
    }
    for tick in ticks(scale.x) {
        let (x, text) = (scale.x(tick), short(tick));
        add(format_args!(
            "<text class=\"x\" x=\"{x:.1}\" y=\"{}\">{text}</text>",
            bottom + 15.0
        ));
    }
    let place = |x: f64, y: f64| format!("{:.1} {:.1}", scale.x(x), scale.y(y));
    let upper = columns.iter().map(|c| place(c.x, c.high));
    let lower = columns.iter().rev().map(|c| place(c.x, c.low));
    let band: Vec<_> = upper.chain(lower).collect();
    let line: Vec<_> = columns.iter().map(|c| place(c.x, c.mean)).collect();
    add(format_args!(
        "<path class=\"band\" d=\"M{}Z\"/>",
        band.join("L")
    ));
    add(format_args!(
        "<path class=\"line\" d=\"M{}\"/>",
        line.join("L")
    ));
    if let [single] = columns {
        let [x, y] = [scale.x(single.x), scale.y(single.mean)];
        add(format_args!(
            "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>"
        ));
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(count: usize, y: impl Fn(usize) -> f64) -> Vec<Point> {
        (0..count)
            .map(|i| Point {
                x: i as f64,
                y: y(i),
            })
            .collect()
    }

    #[test]
    fn columns_keep_mean_and_range() {
        let columns = columns(&points(300, |i| (i % 2) as f64));
        assert_eq!(columns.len(), 150);
        let first = Column {
            x: 0.5,
            mean: 0.5,
            low: 0.0,
            high: 1.0,
        };
        assert_eq!(columns[0], first);
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks([0.1, 3.9]), [1.0, 2.0, 3.0]);
        assert_eq!(
            ticks([-0.25, 0.31])
                .into_iter()
                .map(short)
                .collect::<Vec<_>>(),
            ["-0.2", "0", "0.2"]
        );
        let texts = [1234.0, 25000.0, 3e6, 0.0002, -1.5].map(short);
        assert_eq!(texts, ["1234", "25k", "3M", "0.0002", "-1.5"]);
    }

    #[test]
    fn curves_stay_inside() {
        for points in [
            points(1, |_| 3.0),
            points(2, |_| 0.0),
            points(500, |i| (i as f64).sin() * 1e5),
        ] {
            let columns = columns(&points);
            let scale = Scale::of(&columns);
            for column in &columns {
                let x = scale.x(column.x);
                assert!((LEFT..=WIDTH - RIGHT).contains(&x), "{x}");
                for y in [column.low, column.mean, column.high].map(|y| scale.y(y)) {
                    assert!((TOP..=HEIGHT - BOTTOM).contains(&y), "{y}");
                }
            }
            let chart = Chart::new("GAN", &points).unwrap();
            assert!(
                !chart.svg.contains("NaN") && !chart.svg.contains("inf"),
                "{}",
                chart.svg
            );
        }
        assert!(Chart::new("GAN", &points(3, |_| f64::NAN)).is_none());
    }
}
