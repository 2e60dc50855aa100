//! The window that watches a run: sample sheets with a scrubber through earlier ones, curves, progress.
//!
//! It follows the folder of the run and reads only, so that a run without a window, of yesterday or of another machine
//! can be watched, and any number of windows may watch. A run that is trained here tells its steps itself and takes
//! orders.

mod reins;
mod views;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};
use eframe::egui::{
    self, Align, Align2, CentralPanel, Color32, Context, Frame, Key, Layout, Margin, Modifiers,
    Panel, Pos2, Rect, RichText, Role, Sense, Slider, Stroke, StrokeKind, TextStyle, TextureHandle,
    TextureOptions, Ui, ViewportCommand, WidgetInfo, pos2, vec2,
};

use self::reins::KEYS;
use super::curves::{Curves, Look, Marks};
use super::event::Events;
use super::follow::{Follower, Live, Metrics, News};
use super::keys;
use super::looks;
use super::notes::Notes;
use super::room::Titled;
use super::sitter::Sitting;
use super::theme;
use crate::Result;
use crate::config::Config;
use crate::train::event::{End, Started};
use crate::train::{Change, Knob, Order, TrainEvent};

/// Opens a window on the run in a folder, and returns when it is closed.
///
/// # Errors
/// If it is no folder of a run, or a window cannot be opened.
pub fn watch(root: PathBuf) -> Result<()> {
    // Refused here, before there is a window.
    drop(Follower::start(&root, Events::silent().0, false)?);
    let title = format!("{} – Spadework", root.display());
    super::show(&title, move |window| Monitor::new(window, &root))
}

/// How a run that is trained here is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gait {
    Starting,
    Running,
    Paused,
    Stopping,
    Ended(End),
    Failed,
}

impl Gait {
    fn text(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "training",
            Self::Paused => "paused",
            Self::Stopping => "saving",
            Self::Ended(End::Complete) => "complete",
            Self::Ended(_) => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// A run that is trained here.
struct Reins {
    gait: Gait,
    orders: Option<Sender<Order>>,
    /// Whether training gives way to this window.
    manners: Arc<AtomicBool>,
    /// Takes the wish to go on, once training has ended.
    start: Option<Sender<()>>,
    sitting: Option<Sitting>,
    /// Changes made in this window that can be undone.
    undo: Vec<Change>,
}

/// The window on a run.
pub struct Monitor {
    root: PathBuf,
    config: Config,
    follower: Option<Follower>,
    heard: Receiver<News>,
    curves: Curves,
    look: Look,
    latest: Option<Metrics>,
    /// What there was to do when training began or went on, and on what.
    started: Option<Started>,
    /// Last iteration of the epochs before the latest.
    epochs_end: Option<(u64, u64)>,
    checkpoints: Vec<u64>,
    changes: Vec<Change>,
    sheets: Vec<u64>,
    /// The sheet on show; none is the newest.
    chosen: Option<usize>,
    asked: Option<u64>,
    sheet: Option<(u64, TextureHandle)>,
    notes: Notes<()>,
    /// Whether the keys are listed.
    shows_keys: bool,
    /// How often training here has begun or gone on.
    begun: u32,
    /// What this window may do to the run; nothing where it only watches.
    reins: Option<Reins>,
}

impl Monitor {
    /// A window on the run in a folder.
    pub fn new(window: &Context, root: &Path) -> Self {
        let (events, heard) = Events::new(window.clone());
        let mut monitor = Self::empty(window, root, heard);
        match Follower::start(root, events, false) {
            Ok((follower, config)) => {
                monitor.follower = Some(follower);
                monitor.config = config;
            }
            Err(error) => monitor.notes.error(error.to_string()),
        }
        monitor
    }

    /// A window on a run that is trained here, and told as [`News`].
    pub fn live(window: &Context, heard: Receiver<News>) -> Self {
        let reins = Reins {
            gait: Gait::Starting,
            orders: None,
            manners: Arc::default(),
            start: None,
            sitting: None,
            undo: Vec::new(),
        };
        Self {
            reins: Some(reins),
            ..Self::empty(window, Path::new("training"), heard)
        }
    }

    fn empty(window: &Context, root: &Path, heard: Receiver<News>) -> Self {
        theme::apply(window);
        Self {
            root: root.to_path_buf(),
            config: Config::default(),
            follower: None,
            heard,
            curves: Curves::default(),
            look: Look::default(),
            latest: None,
            started: None,
            epochs_end: None,
            checkpoints: Vec::new(),
            changes: Vec::new(),
            sheets: Vec::new(),
            chosen: None,
            asked: None,
            sheet: None,
            notes: Notes::default(),
            shows_keys: false,
            begun: 0,
            reins: None,
        }
    }

    /// What is trained.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether the run is known.
    pub fn is_ready(&self) -> bool {
        self.follower.is_some()
    }

    /// How often training here has begun or gone on.
    pub fn begun(&self) -> u32 {
        self.begun
    }

    /// The network to paint with; once.
    pub fn take_sitting(&mut self) -> Option<Sitting> {
        self.reins.as_mut()?.sitting.take()
    }

    fn hear(&mut self, window: &Context) {
        while let Ok(news) = self.heard.try_recv() {
            match news {
                News::Metrics(metrics) => self.measured(&metrics),
                News::Sheets(steps) => self.sheets = steps,
                News::Checkpoints(steps) => self.checkpoints = steps,
                News::Changes(changes) => self.changes = changes,
                News::Sheet(step, image) => {
                    let texture = window.load_texture("sheet", image, TextureOptions::LINEAR);
                    self.sheet = Some((step, texture));
                }
                News::Failed(error) => self.notes.error(error),
                News::Broken(error) => {
                    self.end(Gait::Failed);
                    self.notes.error(error);
                }
                News::Session(started) => self.started = Some(started),
                News::Opening(start) => self.open(start),
                News::Live(live) => self.take(*live),
                News::Train(event) => self.told(event),
            }
        }
    }

    /// Training begins, or goes on: what it told before, its folder tells again.
    fn open(&mut self, start: Sender<()>) {
        let Some(reins) = &mut self.reins else { return };
        reins.gait = Gait::Starting;
        reins.start = Some(start);
        reins.undo.clear();
        self.curves = Curves::default();
        (self.latest, self.epochs_end) = (None, None);
        // It may still be reading.
        if let Some(follower) = self.follower.take() {
            std::thread::spawn(move || drop(follower));
        }
    }

    /// Training has ended.
    fn end(&mut self, gait: Gait) {
        if let Some(reins) = &mut self.reins {
            reins.gait = gait;
            reins.orders = None;
        }
    }

    fn take(&mut self, live: Live) {
        self.begun += 1;
        self.root = live.root;
        self.config = live.config;
        self.follower = Some(live.follower);
        if let Some(reins) = &mut self.reins {
            reins.orders = Some(live.orders);
            reins.manners = live.manners;
            reins.sitting = Some(live.sitting);
        }
    }

    fn told(&mut self, event: TrainEvent) {
        let Some(reins) = &mut self.reins else { return };
        match event {
            TrainEvent::Started(started) => {
                reins.gait = Gait::Running;
                self.started = Some(started);
            }
            TrainEvent::Ended(end) => self.end(Gait::Ended(end)),
            TrainEvent::Notice(text) => self.notes.info(text),
            TrainEvent::Step(report) => self.measured(&[Metrics::from(&report)]),
            TrainEvent::Changed(change) => {
                change.knob.set(&mut self.config, change.to);
                // An undone change leaves no other to undo.
                match reins.undo.last() {
                    Some(last) if is_reverse(last, &change) => drop(reins.undo.pop()),
                    _ => reins.undo.push(change),
                }
            }
            // The follower sees what is written.
            TrainEvent::Sheet(_) | TrainEvent::Saved(_) => {}
        }
    }

    /// Gives an order, as far as there is anyone to take it.
    fn order(&mut self, order: Order) {
        let Some(reins) = &mut self.reins else { return };
        if let Some(orders) = &reins.orders {
            // A run that has just ended takes no more orders.
            let _ = orders.send(order);
            reins.gait = match order {
                Order::Pause | Order::Step => Gait::Paused,
                Order::Resume => Gait::Running,
                Order::Stop => Gait::Stopping,
                Order::Save | Order::Tune(..) => reins.gait,
            };
        }
    }

    fn measured(&mut self, metrics: &[Metrics]) {
        self.curves
            .add(metrics, self.config.train.batch_size as f64);
        for line in metrics {
            if let Some(before) = self
                .latest
                .as_ref()
                .filter(|before| before.epoch < line.epoch)
            {
                self.epochs_end = Some((before.epoch, before.step));
            }
            self.latest = Some(line.clone());
        }
    }

    /// Iterations of the whole run, known once an epoch is over.
    fn total_steps(&self) -> Option<u64> {
        if let Some(started) = &self.started {
            return Some(started.epochs * started.batches_per_epoch);
        }
        let (epochs, step) = self.epochs_end?;
        Some(step * self.config.optim.epochs() as u64 / epochs.max(1))
    }

    /// The iteration whose sheet is to be shown.
    fn wanted(&self) -> Option<u64> {
        match self.chosen {
            Some(index) => self.sheets.get(index).copied(),
            None => self.sheets.last().copied(),
        }
    }

    /// Shows a sheet: the newest, from then on, if it is the last.
    fn choose(&mut self, index: usize) {
        let last = self.sheets.len().saturating_sub(1);
        self.chosen = (index < last).then_some(index);
    }

    fn ask_for_sheet(&mut self) {
        let wanted = self.wanted();
        if let (Some(step), Some(follower)) =
            (wanted.filter(|_| wanted != self.asked), &self.follower)
        {
            follower.show(step);
            self.asked = wanted;
        }
    }

    fn head_ui(&mut self, ui: &mut Ui) {
        // Words give way to buttons where both have no room.
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let keys = egui::Button::new("Keys").selected(self.shows_keys);
            let keys = ui.add(keys).on_hover_text("List the keys (F1)");
            self.shows_keys |= keys.clicked();
            looks::menu_ui(ui);
            self.reins_ui(ui);
            ui.add_space(theme::GAP);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| self.words_ui(ui));
        });
    }

    /// What runs, how far it is, and on what.
    fn words_ui(&self, ui: &mut Ui) {
        let name = self.root.file_name().unwrap_or(self.root.as_os_str());
        let name = RichText::new(name.to_string_lossy()).heading();
        ui.add(egui::Label::new(name).truncate())
            .on_hover_text(self.root.display().to_string());
        ui.add_space(theme::GAP / 2.0);
        ui.add(egui::Label::new(self.state()).truncate());
        /// Less than this says nothing.
        const LEAST: f32 = 60.0;
        if ui.available_width() > LEAST {
            let facts = self.facts();
            ui.add(egui::Label::new(RichText::new(&facts).weak()).truncate())
                .on_hover_text(facts);
        }
    }

    /// What is trained, and on what.
    fn facts(&self) -> String {
        let model = &self.config.model;
        let [height, width] = model.output();
        let batch = self.config.train.batch_size;
        let what = format!("{width}×{height} · ngf {} · batch {batch}", model.ngf);
        match &self.started {
            Some(started) => {
                let mib = started.device_bytes.div_ceil(1 << 20);
                format!("{} · {mib} MiB · {what}", started.adapter)
            }
            None => what,
        }
    }

    /// How far the run is, in words.
    fn state(&self) -> String {
        let gait = self
            .reins
            .as_ref()
            .map(|reins| reins.gait.text().to_owned());
        let mut parts: Vec<String> = gait.into_iter().collect();
        let Some(latest) = &self.latest else {
            parts.push("nothing measured yet".into());
            return parts.join(" · ");
        };
        let epochs = self.config.optim.epochs();
        parts.push(format!("iteration {}", latest.step));
        parts.push(format!("epoch {} of {epochs}", latest.epoch));
        if let Some(speed) = self.curves.speed() {
            parts.push(format!("{speed:.1} pictures/s"));
            let seconds = self.config.train.batch_size as f64 / speed;
            parts.push(format!("{seconds:.2} s a step"));
            if let Some(total) = self.total_steps() {
                let rest = total.saturating_sub(latest.step) as f64;
                let seconds = rest * self.config.train.batch_size as f64 / speed;
                parts.push(format!("{} left", duration(seconds)));
            }
        }
        parts.join(" · ")
    }
}

/// Whether a change takes another back.
fn is_reverse(done: &Change, change: &Change) -> bool {
    (done.knob, done.from, done.to) == (change.knob, change.to, change.from)
}

/// A sheet as large as fits, its columns named.
fn sheet_image_ui(ui: &Ui, view: Rect, texture: &TextureHandle) {
    let room = view.shrink2(vec2(16.0, 30.0));
    let size = texture.size_vec2();
    let scale = (room.width() / size.x).min(room.height() / size.y);
    let place = Rect::from_center_size(room.center(), size * scale);
    let whole = Rect::from_min_max(Pos2::ZERO, pos2(1.0, 1.0));
    let painter = ui.painter_at(view);
    painter.image(texture.id(), place, whole, Color32::WHITE);
    let edge = Stroke::new(1.0, theme::shades(ui.visuals()).edge);
    painter.rect_stroke(place, 0.0, edge, StrokeKind::Outside);
    let font = TextStyle::Small.resolve(ui.style());
    for (column, name) in ["Layout", "Picture", "Photo"].iter().enumerate() {
        let x = place.left() + place.width() * (column as f32 + 0.5) / 3.0;
        let at = pos2(x, place.top() - 8.0);
        painter.text(
            at,
            Align2::CENTER_BOTTOM,
            name,
            font.clone(),
            ui.visuals().weak_text_color(),
        );
    }
}

/// A time as a person says it.
fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, 0) => "less than a minute".into(),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

impl Titled for Monitor {
    fn title(&self) -> String {
        let name = self.root.file_name().unwrap_or(self.root.as_os_str());
        let name = name.to_string_lossy();
        match &self.reins {
            Some(reins) => format!("{name}, {}", reins.gait.text()),
            None => name.into_owned(),
        }
    }
}

impl eframe::App for Monitor {
    fn logic(&mut self, window: &Context, _: &mut eframe::Frame) {
        self.hear(window);
        if let Some(reins) = &self.reins {
            let is_visible = window.input(|input| input.viewport().visible());
            // Where the system does not say, someone may be looking.
            let is_visible = is_visible.unwrap_or(true);
            reins.manners.store(is_visible, Ordering::Relaxed);
        }
        self.ask_for_sheet();
    }

    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        self.keys(ui.ctx());
        let bar = Frame::side_top_panel(ui.style()).inner_margin(Margin::symmetric(16, 0));
        Panel::top("head")
            .exact_size(44.0)
            .frame(bar)
            .show(ui, |ui| self.head_ui(ui));
        Panel::top("progress")
            .exact_size(24.0)
            .frame(bar)
            .show(ui, |ui| self.progress_ui(ui));
        // The sheet keeps some room with large writing.
        let width = ui.ctx().content_rect().width();
        Panel::right("curves")
            .default_size((0.36 * width).clamp(230.0, 460.0))
            .size_range(230.0..=(0.55 * width).max(240.0))
            .frame(bar)
            .show(ui, |ui| self.curves_ui(ui));
        CentralPanel::default()
            .frame(Frame::NONE)
            .show(ui, |ui| self.sheet_ui(ui));
        // Below the curves are settings.
        self.notes.ui(ui.ctx(), Align2::LEFT_BOTTOM);
        if self.shows_keys {
            let is_live = self.reins.is_some();
            let parts = KEYS.iter().filter(|(_, live, _)| is_live || !live);
            self.shows_keys = keys::list_ui(ui, parts.map(|(title, _, rows)| (*title, *rows)));
        }
        self.ask_for_sheet();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_as_people_do() {
        let times = [3.0, 65.0, 3700.0, 90_000.0, 400_000.0].map(duration);
        assert_eq!(
            times,
            [
                "less than a minute",
                "1 min",
                "1 h 2 min",
                "1 d 1 h",
                "4 d 15 h"
            ]
        );
    }
}
