//! The data set of a run: how much of it each class covers, what is wrong with it, and its pictures with their layouts.
//!
//! A thread reads it, and another the pictures on show; the window waits for neither.

use crossbeam_channel::Receiver;
use eframe::egui::{
    self, Align, Button, CentralPanel, Color32, ColorImage, Context, Frame, Layout, Margin, Panel,
    ProgressBar, Rect, RichText, ScrollArea, Sense, TextureHandle, TextureOptions, Ui, pos2, vec2,
};

use super::event::Events;
use super::palette::swatch;
use super::theme;
use super::worker::{self, Slot};
use crate::Result;
use crate::data::check::{self, Report, Share};
use crate::data::dataset::Dataset;
use crate::data::{DataConfig, LabelSpace, Phase};
use crate::picture;

/// Pictures of a page.
const PAGE: usize = 8;
/// Landscapes whose classes are counted: they are made alike without end.
const COUNTED: usize = 64;

/// A picture with its layout, as they are shown.
struct Pair {
    name: String,
    layout: ColorImage,
    photo: ColorImage,
}

/// A picture on show: its name, layout and photo on the window's device; or why there is none.
type Shown = Result<(String, [TextureHandle; 2]), String>;

/// What the threads tell.
enum News {
    Opened(LabelSpace, usize),
    Progress(usize, usize),
    Checked(Box<Report>),
    Counted(Vec<Share>, usize),
    Page(Vec<Result<Pair, String>>),
    Failed(String),
}

/// What is known of the classes.
enum Classes {
    Reading(usize, usize),
    Known(Vec<Share>, String),
    Unknown,
}

/// The data set of a run.
pub struct Stock {
    /// Nothing until the data set is open.
    space: Option<LabelSpace>,
    heard: Receiver<News>,
    classes: Classes,
    problems: Vec<String>,
    pages: Slot<usize>,
    pictures: usize,
    /// The page that is wanted.
    page: usize,
    shown: Option<Vec<Shown>>,
}

impl Stock {
    /// Begins to read the data set that options describe; pictures of built-in landscapes are as large as the network's.
    pub fn open(window: &Context, data: DataConfig, [height, width]: [usize; 2]) -> Self {
        let (events, heard) = Events::new(window.clone());
        let pages = Slot::default();
        let wanted = pages.taker();
        pages.put(0);
        let reader = (data.clone(), events.clone());
        std::thread::spawn(move || {
            let (data, events) = reader;
            if let Err(error) = read(&data, [width, height], &wanted, &events) {
                events.send(News::Failed(error.to_string()));
            }
        });
        std::thread::spawn(move || survey(&data, &events));
        Self {
            space: None,
            heard,
            classes: Classes::Reading(0, 0),
            problems: Vec::new(),
            pages,
            pictures: 0,
            page: 0,
            shown: None,
        }
    }

    fn hear(&mut self, window: &Context) {
        while let Ok(news) = self.heard.try_recv() {
            match news {
                News::Opened(space, pictures) => {
                    (self.space, self.pictures) = (Some(space), pictures);
                }
                News::Progress(done, total) => self.classes = Classes::Reading(done, total),
                News::Checked(report) => {
                    let report = *report;
                    self.problems = report.problems.iter().map(ToString::to_string).collect();
                    let absent = match report.absent.as_slice() {
                        [] => String::new(),
                        absent => format!(", never {}", absent.join(", ")),
                    };
                    let pairs: usize = report.parts.iter().map(|part| part.pairs).sum();
                    let about = format!("{pairs} pictures{absent}");
                    self.classes = Classes::Known(report.classes, about);
                }
                News::Counted(classes, counted) => {
                    let about = format!("of the first {counted} landscapes; all are made alike");
                    self.classes = Classes::Known(classes, about);
                }
                News::Page(pairs) => {
                    let textures = |pair: Pair| {
                        let sharp = TextureOptions::NEAREST;
                        let layout = window.load_texture("layout", pair.layout, sharp);
                        let photo =
                            window.load_texture("photo", pair.photo, TextureOptions::LINEAR);
                        (pair.name, [layout, photo])
                    };
                    let pairs = pairs.into_iter().map(|pair| pair.map(textures));
                    self.shown = Some(pairs.collect());
                }
                News::Failed(error) => {
                    self.problems.push(error);
                    if matches!(self.classes, Classes::Reading(..)) {
                        self.classes = Classes::Unknown;
                    }
                }
            }
        }
    }

    /// Draws the page.
    pub fn ui(&mut self, ui: &mut Ui) {
        self.hear(ui.ctx());
        let side = Frame::side_top_panel(ui.style()).inner_margin(Margin::symmetric(16, 10));
        Panel::right("classes")
            .default_size(340.0)
            .size_range(260.0..=520.0)
            .frame(side)
            .show(ui, |ui| self.classes_ui(ui));
        let backdrop = theme::shades(ui.visuals()).backdrop;
        let middle = Frame::NONE
            .fill(backdrop)
            .inner_margin(Margin::symmetric(16, 10));
        CentralPanel::default()
            .frame(middle)
            .show(ui, |ui| self.pictures_ui(ui));
    }

    fn classes_ui(&self, ui: &mut Ui) {
        ui.strong("Classes");
        match &self.classes {
            Classes::Reading(done, total) => {
                ui.weak("reading the data set");
                let share = *done as f32 / (*total).max(1) as f32;
                ui.add(ProgressBar::new(share).desired_height(6.0));
            }
            Classes::Known(shares, about) => {
                ui.weak(about);
                ui.add_space(4.0);
                let room = ui.available_height();
                let height = if self.problems.is_empty() {
                    room - 60.0
                } else {
                    room * 0.6
                };
                ScrollArea::vertical()
                    .max_height(height.max(80.0))
                    .auto_shrink([false, true])
                    .show(ui, |ui| {
                        let most = shares.iter().map(|share| share.percent).fold(0.0, f64::max);
                        shares
                            .iter()
                            .for_each(|share| self.share_ui(ui, share, most));
                    });
            }
            Classes::Unknown => {
                ui.weak("unknown");
            }
        }
        ui.add_space(theme::GAP);
        ui.strong("Problems");
        if self.problems.is_empty() {
            ui.weak(match self.classes {
                Classes::Reading(..) => "none so far",
                _ => "none",
            });
        }
        ScrollArea::vertical()
            .id_salt("problems")
            .auto_shrink([false, true])
            .show(ui, |ui| {
                for problem in &self.problems {
                    ui.label(RichText::new(problem).color(ui.visuals().error_fg_color));
                }
            });
    }

    fn share_ui(&self, ui: &mut Ui, share: &Share, most: f64) {
        let size = vec2(ui.available_width(), 22.0);
        let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
        let square =
            Rect::from_center_size(pos2(rect.left() + 8.0, rect.center().y), vec2(12.0, 12.0));
        if let Some(space) = &self.space {
            swatch(ui, square, space.colour(share.id));
        }
        let font = egui::TextStyle::Body.resolve(ui.style());
        let visuals = ui.visuals();
        let text = |x: f32, align, text: String, colour| {
            ui.painter()
                .text(pos2(x, rect.center().y), align, text, font.clone(), colour)
        };
        text(
            rect.left() + 22.0,
            egui::Align2::LEFT_CENTER,
            share.name.clone(),
            visuals.text_color(),
        );
        let percent = format!("{:.1} %", share.percent);
        text(
            rect.right() - 4.0,
            egui::Align2::RIGHT_CENTER,
            percent,
            visuals.weak_text_color(),
        );
        let (left, right) = (rect.left() + rect.width() * 0.42, rect.right() - 60.0);
        let bar = Rect::from_min_max(
            pos2(left, rect.center().y - 3.0),
            pos2(right, rect.center().y + 3.0),
        );
        ui.painter()
            .rect_filled(bar, 3.0, visuals.widgets.inactive.bg_fill);
        let width = bar.width() * (share.percent / most.max(1e-9)) as f32;
        let filled = Rect::from_min_size(bar.min, vec2(width.max(2.0), bar.height()));
        ui.painter()
            .rect_filled(filled, 3.0, theme::shades(visuals).accent);
        response.on_hover_text(format!("{}: in {} label maps", share.name, share.maps));
    }

    fn pictures_ui(&mut self, ui: &mut Ui) {
        let last = self.pictures.saturating_sub(1) / PAGE;
        ui.horizontal(|ui| {
            ui.strong("Training pictures");
            ui.weak(format!("{} in all", self.pictures));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let page = self.page;
                let mut turn = |ui: &mut Ui, name, tip, ready, page: usize| {
                    let button = ui.add_enabled(ready, Button::new(name));
                    if button.on_hover_text(tip).clicked() {
                        self.page = page;
                        self.pages.put(page);
                    }
                };
                turn(ui, "Next", "Later pictures", page < last, page + 1);
                turn(
                    ui,
                    "Back",
                    "Earlier pictures",
                    page > 0,
                    page.saturating_sub(1),
                );
                ui.weak(format!("page {} of {}", page + 1, last + 1));
            });
        });
        ui.add_space(8.0);
        let Some(pairs) = &self.shown else {
            ui.weak("reading pictures");
            return;
        };
        // Three gaps, and the scroll bar.
        let width = ((ui.available_width() - 4.0 * 12.0) / 4.0).max(60.0);
        ScrollArea::vertical()
            .auto_shrink([false, false])
            .show(ui, |ui| {
                for row in pairs.chunks(4) {
                    ui.horizontal_top(|ui| {
                        ui.spacing_mut().item_spacing = vec2(12.0, 4.0);
                        for pair in row {
                            ui.vertical(|ui| {
                                ui.set_width(width);
                                pair_ui(ui, width, pair);
                            });
                        }
                    });
                    ui.add_space(8.0);
                }
            });
    }
}

/// A photo over its layout, or why there is none.
fn pair_ui(ui: &mut Ui, width: f32, pair: &Shown) {
    match pair {
        Ok((name, [layout, photo])) => {
            let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
            for texture in [photo, layout] {
                let size = texture.size_vec2();
                let (rect, _) = ui.allocate_exact_size(size * (width / size.x), Sense::hover());
                ui.painter()
                    .image(texture.id(), rect, whole, Color32::WHITE);
            }
            ui.add(egui::Label::new(RichText::new(name).small().weak()).truncate());
        }
        Err(error) => {
            ui.label(RichText::new(error).color(ui.visuals().error_fg_color));
        }
    }
}

/// Reads pages of pictures as they are wanted.
fn read(
    data: &DataConfig,
    size: [usize; 2],
    wanted: &Receiver<usize>,
    events: &Events<News>,
) -> Result<()> {
    let space = data.label_space()?;
    let dataset = Dataset::open(data, Phase::Train, &space)?;
    events.send(News::Opened(space.clone(), dataset.len()));
    for page in wanted {
        let from = page * PAGE;
        let numbers = from..(from + PAGE).min(dataset.len());
        let pairs = numbers.map(|number| {
            let item = dataset.load(number, size).map_err(|e| e.to_string())?;
            let (w, h) = (item.labels.width, item.labels.height);
            Ok(Pair {
                name: item.name,
                layout: worker::thumb(&picture::of_labels(w, h, &item.labels.data, &space)),
                photo: worker::thumb(&item.photo),
            })
        });
        events.send(News::Page(pairs.collect()));
    }
    Ok(())
}

/// Reads all of a data set, as `spadework check` does.
fn survey(data: &DataConfig, events: &Events<News>) {
    let surveyed = match data.landscapes {
        Some(count) => count_landscapes(data, count.min(COUNTED), events),
        None => {
            let progress = |done: usize, total: usize| {
                // Enough to be seen moving.
                if done.is_multiple_of(total.div_ceil(100).max(1)) {
                    events.send(News::Progress(done, total));
                }
            };
            check::check(data, &progress).map(|report| News::Checked(Box::new(report)))
        }
    };
    match surveyed {
        Ok(news) => events.send(news),
        Err(error) => events.send(News::Failed(error.to_string())),
    }
}

fn count_landscapes(data: &DataConfig, count: usize, events: &Events<News>) -> Result<News> {
    let space = data.label_space()?;
    let dataset = Dataset::open(data, Phase::Train, &space)?;
    let mut pixels = vec![(0u64, 0usize); space.ids()];
    /// Shares need no more.
    const SIDE: usize = 64;
    for number in 0..count {
        let mut own = vec![0u64; space.ids()];
        for &id in &dataset.load(number, [SIDE, SIDE])?.labels.data {
            own[id as usize] += 1;
        }
        for (sum, own) in pixels.iter_mut().zip(own) {
            *sum = (sum.0 + own, sum.1 + usize::from(own > 0));
        }
        events.send(News::Progress(number + 1, count));
    }
    let all: u64 = pixels.iter().map(|sum| sum.0).sum();
    let share = |(id, (pixels, maps)): (u32, (u64, usize))| Share {
        id,
        name: space.name(id),
        pixels,
        percent: 100.0 * pixels as f64 / all.max(1) as f64,
        maps,
    };
    let mut shares: Vec<_> = (0..).zip(pixels).map(share).collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.pixels));
    Ok(News::Counted(shares, count))
}
