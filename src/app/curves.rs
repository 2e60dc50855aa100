//! Curves of a run: series of numbers, smoothed and thinned for the screen.

use std::collections::{BTreeMap, BTreeSet};

use eframe::egui::text::LayoutJob;
use eframe::egui::{Button, Color32, Response, TextFormat, TextStyle, Ui, Vec2b, vec2};
use egui_plot::{GridMark, HoverPosition, Line, LineStyle, Plot, PlotPoints, VLine};

use super::follow::Metrics;
use super::theme;

/// Points of a curve that are drawn at most.
const DRAWN: usize = 1200;

/// Room for the dot before a name.
const KEY_DOT: f32 = 14.0;

/// Colours of the curves, told apart on dark and on light.
const COLOURS: [[u8; 3]; 8] = [
    [66, 148, 214],
    [222, 130, 48],
    [70, 168, 92],
    [206, 84, 96],
    [148, 112, 206],
    [150, 110, 84],
    [204, 104, 176],
    [130, 136, 144],
];

/// How curves are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Whether the axis is logarithmic.
    pub log: bool,
    /// Weight of the past, from 0 (none) to below 1.
    pub smoothing: f64,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            log: true,
            smoothing: 0.6,
        }
    }
}

/// Iterations that are marked on the curves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Marks {
    /// That of the sheet on show, where it is not the newest.
    pub sheet: Option<u64>,
    /// Those after which a setting was changed.
    pub changes: Vec<u64>,
}

impl Marks {
    /// Names and colours of those there are.
    fn names(&self, ui: &Ui) -> Vec<(&'static str, Color32)> {
        let visuals = ui.visuals();
        let changed = (!self.changes.is_empty()).then_some(("changed", visuals.warn_fg_color));
        let sheet = self.sheet.map(|_| ("sheet", theme::shades(visuals).accent));
        changed.into_iter().chain(sheet).collect()
    }

    fn lines(&self, ui: &Ui) -> Vec<VLine> {
        let visuals = ui.visuals();
        let line = |name: &str, step: u64, colour| {
            VLine::new(name, step as f64)
                .color(colour)
                .allow_hover(false)
        };
        let changed = |&step: &u64| {
            line("changed", step, visuals.warn_fg_color).style(LineStyle::dashed_loose())
        };
        let changes = self.changes.iter().map(changed);
        let sheet = self
            .sheet
            .map(|step| line("sheet", step, theme::shades(visuals).accent));
        changes.chain(sheet).collect()
    }
}

/// The series of a run by name.
#[derive(Clone, Debug, Default)]
pub struct Curves {
    losses: BTreeMap<String, Vec<[f64; 2]>>,
    rates: BTreeMap<String, Vec<[f64; 2]>>,
    speed: Vec<[f64; 2]>,
    drawn: BTreeMap<String, Vec<[f64; 2]>>,
    look: Option<Look>,
    /// Losses that are not to be seen.
    hidden: BTreeSet<String>,
}

impl Curves {
    /// Adds what was measured. A run that was resumed may have measured some iterations again: the later ones stay.
    pub fn add(&mut self, metrics: &[Metrics], batch: f64) {
        for line in metrics {
            let step = line.step as f64;
            let push = |series: &mut Vec<[f64; 2]>, value: f64| {
                let fresh = series.partition_point(|point| point[0] < step);
                series.truncate(fresh);
                series.push([step, value]);
            };
            for (name, value) in &line.losses {
                if let Some(value) = value {
                    push(self.losses.entry(name.clone()).or_default(), *value);
                }
            }
            push(self.rates.entry("generator".into()).or_default(), line.lr_g);
            push(
                self.rates.entry("discriminator".into()).or_default(),
                line.lr_d,
            );
            push(&mut self.speed, batch / line.seconds.max(1e-9));
        }
        self.look = None;
    }

    /// Mean of the latest speeds, in pictures per second.
    pub fn speed(&self) -> Option<f64> {
        let latest = &self.speed[self.speed.len().saturating_sub(20)..];
        // Times add up where speeds do not.
        let seconds: f64 = latest.iter().map(|point| 1.0 / point[1]).sum();
        (!latest.is_empty()).then(|| latest.len() as f64 / seconds)
    }

    /// Draws the losses, with marks.
    pub fn losses_ui(&mut self, ui: &mut Ui, height: f32, look: Look, marks: &Marks) {
        if self.look != Some(look) {
            let series = self.losses.iter();
            self.drawn = series
                .map(|(name, points)| (name.clone(), prepared(points, look)))
                .collect();
            self.look = Some(look);
        }
        let coloured = || self.drawn.iter().zip(COLOURS.into_iter().cycle());
        ui.horizontal_wrapped(|ui| {
            for ((name, _), colour) in coloured() {
                let is_hidden = self.hidden.contains(name);
                let tip = if is_hidden { "Show it" } else { "Hide it" };
                let key = key_ui(ui, name, rgb(colour), is_hidden);
                if key.on_hover_text(tip).clicked() && !self.hidden.remove(name) {
                    self.hidden.insert(name.clone());
                }
            }
            for (name, colour) in marks.names(ui) {
                key_ui(ui, name, colour, false);
            }
        });
        let lines = marks.lines(ui);
        plot(ui, "losses", height, look.log).show(ui, |plot| {
            for ((name, points), colour) in coloured() {
                if !self.hidden.contains(name) {
                    plot.line(line(name, points.clone(), colour));
                }
            }
            lines.into_iter().for_each(|line| plot.vline(line));
        });
    }

    /// Draws the learning rates below their heading.
    pub fn rates_ui(&self, ui: &mut Ui, height: f32, marks: &Marks) {
        ui.horizontal_wrapped(|ui| {
            ui.strong("Learning rates");
            for (name, colour) in self.rates.keys().zip(COLOURS) {
                key_ui(ui, name, rgb(colour), false);
            }
        });
        let lines = marks.lines(ui);
        plot(ui, "rates", height, false).show(ui, |plot| {
            for ((name, points), colour) in self.rates.iter().zip(COLOURS) {
                plot.line(line(name, thinned(points), colour));
            }
            lines.into_iter().for_each(|line| plot.vline(line));
        });
    }

    /// Draws the pictures per second.
    pub fn speed_ui(&self, ui: &mut Ui, height: f32) {
        plot(ui, "speed", height, false)
            .include_y(0.0)
            .show(ui, |plot| {
                plot.line(line(
                    "pictures per second",
                    thinned(&self.speed),
                    COLOURS[0],
                ));
            });
    }
}

/// The name of a line after a dot of its colour, above the plot, where it covers none of it.
fn key_ui(ui: &mut Ui, name: &str, colour: Color32, is_hidden: bool) -> Response {
    let text = match is_hidden {
        true => ui.visuals().weak_text_color(),
        false => ui.visuals().text_color(),
    };
    let mut job = LayoutJob::default();
    let font = TextStyle::Small.resolve(ui.style());
    job.append(name, KEY_DOT, TextFormat::simple(font, text));
    let key = ui.add(Button::new(job).frame(false));
    let left = key.rect.left_center() + vec2(KEY_DOT / 2.0 - 2.0, 0.0);
    match is_hidden {
        true => ui.painter().circle_stroke(left, 3.5, (1.0, colour)),
        false => ui.painter().circle_filled(left, 4.0, colour),
    };
    key.accessible_name(name)
}

fn rgb([r, g, b]: [u8; 3]) -> Color32 {
    Color32::from_rgb(r, g, b)
}

fn line(name: &str, points: Vec<[f64; 2]>, colour: [u8; 3]) -> Line<'static> {
    Line::new(name, PlotPoints::from(points))
        .color(rgb(colour))
        .width(1.5)
}

fn plot(ui: &Ui, name: &str, height: f32, log: bool) -> Plot<'static> {
    let value = move |y: f64| if log { 10f64.powf(y) } else { y };
    Plot::new(name)
        .height(height)
        .allow_scroll(false)
        .allow_zoom(Vec2b::new(true, false))
        .allow_drag(Vec2b::new(true, false))
        .auto_bounds(Vec2b::TRUE)
        .grid_color(ui.visuals().weak_text_color().gamma_multiply(0.5))
        .y_axis_min_width(36.0)
        .y_axis_formatter(move |mark: GridMark, _: &_| short(value(mark.value)))
        .label_formatter(move |hover| match hover {
            HoverPosition::NearDataPoint {
                plot_name,
                position,
                ..
            } => Some(format!(
                "{plot_name} {}\niteration {:.0}",
                short(value(position.y)),
                position.x
            )),
            HoverPosition::Elsewhere { .. } => None,
        })
}

/// A number in few digits.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.0e}"),
        size if size < 0.1 => format!("{value:.3}"),
        size if size < 10.0 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}

/// A series as it is drawn: smoothed, on a logarithmic axis where one is asked for, thinned.
fn prepared(points: &[[f64; 2]], look: Look) -> Vec<[f64; 2]> {
    let smooth = smoothed(points, look.smoothing);
    let positive = |&[x, y]: &[f64; 2]| (y > 0.0).then(|| [x, y.log10()]);
    match look.log {
        true => thinned(&smooth.iter().filter_map(positive).collect::<Vec<_>>()),
        false => thinned(&smooth),
    }
}

/// The mean of past values, older ones weighing less; without a pull towards zero at the start.
fn smoothed(points: &[[f64; 2]], past: f64) -> Vec<[f64; 2]> {
    let (mut sum, mut weight) = (0.0, 0.0);
    let mean = |&[x, y]: &[f64; 2]| {
        sum = past * sum + y;
        weight = past * weight + 1.0;
        [x, sum / weight]
    };
    points.iter().map(mean).collect()
}

/// The lowest and the highest point of each stretch, so that no peak is lost.
fn thinned(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    if points.len() <= DRAWN {
        return points.to_vec();
    }
    let stretch = (2 * points.len()).div_ceil(DRAWN);
    let mut thin = Vec::with_capacity(DRAWN + 2);
    for part in points.chunks(stretch) {
        let low = part.iter().min_by(|a, b| a[1].total_cmp(&b[1]));
        let high = part.iter().max_by(|a, b| a[1].total_cmp(&b[1]));
        let mut ends: Vec<_> = low.into_iter().chain(high).copied().collect();
        ends.sort_by(|a, b| a[0].total_cmp(&b[0]));
        thin.extend(ends);
    }
    thin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(step: u64, loss: f64) -> Metrics {
        Metrics {
            step,
            epoch: 1,
            images: 4 * step,
            lr_g: 1e-4,
            lr_d: 4e-4,
            losses: [("GAN".to_owned(), Some(loss))].into(),
            seconds: 0.5,
        }
    }

    #[test]
    fn a_resumed_run_replaces_what_it_repeats() {
        let mut curves = Curves::default();
        let first: Vec<_> = (1..=5).map(|step| metrics(step, 1.0)).collect();
        curves.add(&first, 4.0);
        curves.add(&[metrics(4, 2.0)], 4.0);
        assert_eq!(
            curves.losses["GAN"],
            [[1.0, 1.0], [2.0, 1.0], [3.0, 1.0], [4.0, 2.0]]
        );
        assert_eq!(curves.speed(), Some(8.0));
        assert_eq!(Curves::default().speed(), None);
    }

    #[test]
    fn smoothing_keeps_constants_and_thinning_keeps_peaks() {
        let mut points: Vec<_> = (0..100_000).map(|x| [f64::from(x), 3.0]).collect();
        assert!(
            smoothed(&points, 0.9)
                .iter()
                .all(|p| (p[1] - 3.0).abs() < 1e-9)
        );
        points[70_001][1] = 9.0;
        points[20_002][1] = -1.0;
        let thin = thinned(&points);
        assert!(thin.len() <= DRAWN + 2, "{}", thin.len());
        assert!(thin.contains(&[70_001.0, 9.0]) && thin.contains(&[20_002.0, -1.0]));
        assert!(thin.is_sorted_by(|a, b| a[0] <= b[0]));
    }

    #[test]
    fn a_logarithmic_axis_leaves_out_what_it_cannot_show() {
        let look = Look {
            log: true,
            smoothing: 0.0,
        };
        assert_eq!(
            prepared(&[[1.0, 100.0], [2.0, 0.0], [3.0, 0.1]], look),
            [[1.0, 2.0], [3.0, -1.0]]
        );
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 0.0002, 0.012, 0.5, 12.3, 250_000.0].map(short);
        assert_eq!(texts, ["0", "2e-4", "0.012", "0.50", "12", "2e5"]);
    }
}
