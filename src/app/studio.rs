//! A training and what belongs to it in one window, page by page: watching it, painting with the network as it is now,
//! and the data it learns from.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Receiver;
use eframe::egui::{Button, Context, Frame, Key, Margin, Modifiers, Panel, Ui};

use super::Painter;
use super::event::Events;
use super::follow::News;
use super::home::Home;
use super::monitor::Monitor;
use super::room::Titled;
use super::stock::Stock;

/// A page of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Sheets and curves.
    Watch,
    /// Painting with the network in training.
    Paint,
    /// The data set.
    Data,
}

impl Page {
    const ALL: [(Self, &str, &str, Key); 3] = [
        (
            Self::Watch,
            "Watch",
            "Sample sheets and curves (F2)",
            Key::F2,
        ),
        (
            Self::Paint,
            "Paint",
            "Paint with the network as it is now (F3)",
            Key::F3,
        ),
        (
            Self::Data,
            "Data",
            "Classes, pictures and problems of the data set (F4)",
            Key::F4,
        ),
    ];
}

/// The window on a run that is trained here. The monitor goes first: with it go the orders, and the run ends.
pub struct Studio {
    /// Sheets and curves.
    pub monitor: Monitor,
    /// The painter, once it was asked for.
    pub painter: Option<Painter>,
    stock: Option<Stock>,
    page: Page,
    is_watched: Arc<AtomicBool>,
    /// How often training had begun when the painter last asked for a picture.
    begun: u32,
    home: Option<PathBuf>,
}

impl Studio {
    /// A window on a run that is told as [`News`]; the painter remembers what it does in a folder.
    pub fn new(window: &Context, heard: Receiver<News>, home: Option<PathBuf>) -> Self {
        Self {
            monitor: Monitor::live(window, heard),
            painter: None,
            stock: None,
            page: Page::Watch,
            is_watched: Arc::default(),
            begun: 0,
            home,
        }
    }

    /// Turns to a page.
    fn turn(&mut self, page: Page, window: &Context) {
        match page {
            Page::Watch => {}
            Page::Paint => {
                if self.painter.is_none()
                    && let Some(sitting) = self.monitor.take_sitting()
                {
                    let (events, heard) = Events::new(window.clone());
                    let worker = sitting.start(events.clone(), self.is_watched.clone());
                    let home = self.home.clone().map(Home::at);
                    self.painter = Some(Painter::new(window, worker, (events, heard), home));
                }
                if self.painter.is_none() {
                    return;
                }
            }
            Page::Data => {
                let data = &self.monitor.config().data;
                let size = self.monitor.config().model.output();
                self.stock
                    .get_or_insert_with(|| Stock::open(window, data.clone(), size));
            }
        }
        self.page = page;
        let is_watched = page == Page::Paint;
        self.is_watched.store(is_watched, Ordering::Relaxed);
    }

    fn pages_ui(&mut self, ui: &mut Ui) {
        ui.horizontal_centered(|ui| {
            for (page, name, tip, key) in Page::ALL {
                let ready = page == Page::Watch || self.monitor.is_ready();
                let chosen = self.page == page;
                let button = Button::new(name)
                    .selected(chosen)
                    .frame_when_inactive(chosen);
                let button = ui.add_enabled(ready, button).on_hover_text(tip);
                let pressed =
                    ready && ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
                if button.clicked() || pressed {
                    self.turn(page, ui.ctx());
                }
            }
        });
    }
}

impl Titled for Studio {
    fn title(&self) -> String {
        match (self.page, &self.painter) {
            (Page::Paint, Some(painter)) => painter.title(),
            _ => self.monitor.title(),
        }
    }
}

impl eframe::App for Studio {
    fn logic(&mut self, window: &Context, frame: &mut eframe::Frame) {
        self.monitor.logic(window, frame);
        if let Some(painter) = &mut self.painter {
            // The window closes without asking, as the run does; what was not saved is offered at the next start.
            painter.hear(window);
            if self.begun != self.monitor.begun() {
                // What could not be drawn while training had stopped.
                painter.easel.ask_again();
            }
        }
        self.begun = self.monitor.begun();
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        let bar = Frame::side_top_panel(ui.style()).inner_margin(Margin::symmetric(12, 0));
        Panel::top("pages")
            .exact_size(36.0)
            .frame(bar)
            .show(ui, |ui| self.pages_ui(ui));
        match (self.page, &mut self.painter, &mut self.stock) {
            (Page::Paint, Some(painter), _) => painter.ui(ui, frame),
            (Page::Data, _, Some(stock)) => stock.ui(ui),
            _ => self.monitor.ui(ui, frame),
        }
    }

    fn on_exit(&mut self) {
        if let Some(painter) = &mut self.painter {
            painter.on_exit();
        }
    }
}
