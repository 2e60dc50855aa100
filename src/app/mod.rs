//! The window: paint a label map, watch the picture; or watch a network learn.
//!
//! State and what can be done with it are plain structs ([`easel`]); panels show them. A [`worker`] with a device of
//! its own draws pictures and a [`clerk`] reads and writes files; the window sends them requests, hears events and
//! waits for neither. It repaints on input and events only.

pub mod bars;
pub mod canvas;
pub mod clerk;
pub mod command;
pub mod curves;
pub mod easel;
pub mod event;
pub mod farewell;
pub mod follow;
pub mod history;
pub mod home;
pub mod icons;
mod idle;
pub mod input;
pub mod keys;
pub mod live;
pub mod looks;
pub mod mapping;
pub mod monitor;
pub mod notes;
pub mod palette;
pub mod panes;
pub mod paths;
pub mod raster;
pub mod room;
pub mod sheet;
pub mod sitter;
pub mod stock;
pub mod studio;
pub mod style_bar;
pub mod styling;
pub mod theme;
pub mod tools;
pub mod view;
pub mod worker;

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use crossbeam_channel::Receiver;
use eframe::egui::{
    self, Align2, CentralPanel, Context, Frame, Margin, Panel, Ui, ViewportBuilder,
    ViewportCommand, vec2,
};
use winit::event_loop::EventLoop;

use crate::{Error, Result};
use clerk::Clerk;
use easel::{Dialog, Easel, Parting};
use event::{Event, Events};
use home::Home;
use input::Acts;
use panes::Panes;
use paths::Answer;
use room::{Room, Titled};
use tools::Gesture;
use worker::Worker;

/// Opens the painter and returns when its window is closed. If so wanted it measures which kernels are the fastest while
/// nothing is drawn.
///
/// # Errors
/// If there is no display, or no adapter can show a window on it.
pub fn paint(checkpoint: Option<PathBuf>, adapter: Option<String>, measures: bool) -> Result<()> {
    show("Spadework", move |window| {
        let (events, heard) = Events::new(window.clone());
        let worker = Worker::measuring(adapter, measures, events.clone());
        let mut app = Painter::new(window, worker, (events, heard), Home::of_user());
        if let Some(checkpoint) = checkpoint {
            app.easel.load(checkpoint);
        }
        app
    })
}

/// Shows a window of our size until it is closed.
fn show<A: eframe::App + Titled + 'static>(
    title: &str,
    make: impl FnOnce(&Context) -> A + 'static,
) -> Result<()> {
    let no_window = |error: &dyn std::fmt::Display| {
        Error::Device(format!(
            "cannot open a window: {error}; the commands without a window work on machines without a display"
        ))
    };
    let events = EventLoop::with_user_event()
        .build()
        .map_err(|e| no_window(&e))?;
    let viewport = ViewportBuilder::default()
        .with_title(title)
        .with_app_id("spadework")
        .with_inner_size(vec2(1280.0, 720.0))
        .with_min_inner_size(vec2(800.0, 500.0));
    let options = eframe::NativeOptions {
        viewport,
        ..Default::default()
    };
    let home = Home::folder_of_user();
    // What went wrong before there is a window is told to the log alone.
    let is_open = Rc::new(Cell::new(false));
    let opened = is_open.clone();
    let make = Box::new(move |made: &eframe::CreationContext<'_>| {
        opened.set(true);
        theme::apply(&made.egui_ctx);
        let app: Box<dyn eframe::App> = Box::new(Room::new(
            &made.egui_ctx,
            home.as_deref(),
            make(&made.egui_ctx),
        ));
        Ok(app)
    });
    let mut app = eframe::create_native(title, options, make, &events);
    events.run_app(&mut app).map_err(|e| no_window(&e))?;
    match is_open.get() {
        true => Ok(()),
        false => Err(no_window(
            &"no adapter draws on this display (`spadework devices` lists those there are)",
        )),
    }
}

/// The painter's window.
pub struct Painter {
    /// Its state.
    pub easel: Easel,
    panes: Panes,
    events: Events,
    heard: Receiver<Event>,
    /// Whether the window was told to close.
    is_leaving: bool,
}

impl Painter {
    /// A painter with a worker, the events it is told, and a place for its memory.
    pub fn new(
        window: &Context,
        worker: Worker,
        (events, heard): (Events, Receiver<Event>),
        home: Option<Home>,
    ) -> Self {
        theme::apply(window);
        let clerk = Clerk::start(events.clone());
        Self {
            easel: Easel::new(worker, clerk, home),
            panes: Panes::default(),
            events,
            heard,
            is_leaving: false,
        }
    }

    /// Asks before changes are lost.
    fn part(&mut self, window: &Context) {
        let wants = window.input(|input| input.viewport().close_requested());
        if wants && !self.easel.may_leave() {
            window.send_viewport_cmd(ViewportCommand::CancelClose);
        }
        if self.easel.parting == Parting::Gone && !std::mem::replace(&mut self.is_leaving, true) {
            window.send_viewport_cmd(ViewportCommand::Close);
        }
    }

    /// Hears what the threads tell, and keeps the copy for a crash as things are.
    pub fn hear(&mut self, window: &Context) {
        while let Ok(event) = self.heard.try_recv() {
            self.easel.hear(event);
        }
        if let Some(rest) = self.easel.autosave(Instant::now()) {
            window.request_repaint_after(rest);
        }
    }

    fn acts(&self, window: &Context) -> Acts {
        let gesture = *self.easel.hand.gesture() != Gesture::None;
        match self.easel.dialog {
            None => Acts::take(window, gesture),
            Some(_) => Acts::of_pointer(window),
        }
    }

    fn drops(&mut self, window: &Context) {
        let dropped = window.input(|input| input.raw.dropped_files.clone());
        for file in dropped {
            self.easel.drop_file(file.path().to_path_buf());
        }
    }

    fn panels_ui(&mut self, ui: &mut Ui, acts: Acts) {
        let bar =
            |x: i8, y: i8| Frame::side_top_panel(ui.style()).inner_margin(Margin::symmetric(x, y));
        let (menu, options, status) = (bar(8, 4), bar(14, 0), bar(14, 0));
        let (tools, palette) = (bar(7, 0), bar(10, 0));
        Panel::top("menu")
            .frame(menu)
            .show(ui, |ui| bars::menu_ui(ui, &mut self.easel));
        Panel::top("options")
            .exact_size(40.0)
            .frame(options)
            .show(ui, |ui| bars::options_ui(ui, &mut self.easel));
        Panel::bottom("status")
            .exact_size(28.0)
            .frame(status)
            .show(ui, |ui| {
                bars::status_ui(ui, &self.easel, self.panes.pointer)
            });
        if let Some(height) = style_bar::height(&self.easel) {
            Panel::bottom("styles")
                .exact_size(height)
                .resizable(false)
                .frame(options)
                .show(ui, |ui| style_bar::ui(ui, &mut self.easel));
        }
        let width = bars::tools_width(ui.available_height());
        Panel::left("tools")
            .exact_size(width)
            .resizable(false)
            .frame(tools)
            .show(ui, |ui| bars::tools_ui(ui, &mut self.easel));
        Panel::right("palette")
            .default_size(216.0)
            .size_range(160.0..=360.0)
            .frame(palette)
            .show(ui, |ui| palette::ui(ui, &mut self.easel));
        CentralPanel::default().frame(Frame::NONE).show(ui, |ui| {
            panes::ui(ui, &mut self.easel, &mut self.panes, acts)
        });
    }

    fn dialog_ui(&mut self, ui: &mut Ui) {
        let easel = &mut self.easel;
        let answer = match &mut easel.dialog {
            None => return,
            Some(Dialog::Keys) => match keys::ui(ui) {
                true => Answer::Open,
                false => Answer::Closed,
            },
            Some(Dialog::Mapping(mapping)) => match mapping.ui(ui) {
                mapping::Answer::Open => Answer::Open,
                mapping::Answer::Closed => Answer::Closed,
                mapping::Answer::Mapped => return easel.mapped(),
            },
            Some(Dialog::Unsaved) => {
                return match farewell::ui(ui, &easel.name(), easel.successor().as_deref()) {
                    farewell::Answer::Open => {}
                    farewell::Answer::Stay => easel.stay(),
                    farewell::Answer::Save => easel.save_and_part(),
                    farewell::Answer::Discard => {
                        easel.part_unsaved();
                        ui.ctx().request_repaint();
                    }
                };
            }
            Some(Dialog::Path(sheet)) => sheet.ui(ui, &easel.memory, &self.events),
        };
        match answer {
            Answer::Open => {}
            Answer::Closed => easel.stay(),
            Answer::Path(wish, path, replace) => {
                // A sheet that saves stays until the file is written, or must be named otherwise.
                if !wish.writes() {
                    easel.dialog = None;
                }
                easel.grant(wish, path, replace);
            }
        }
    }
}

impl Titled for Painter {
    fn title(&self) -> String {
        self.easel.title()
    }
}

impl eframe::App for Painter {
    fn logic(&mut self, window: &egui::Context, _: &mut eframe::Frame) {
        self.hear(window);
        self.part(window);
    }

    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        self.drops(ui.ctx());
        let acts = self.acts(ui.ctx());
        self.panels_ui(ui, acts);
        self.dialog_ui(ui);
        if let Some(offer) = self.easel.notes.ui(ui.ctx(), Align2::RIGHT_BOTTOM) {
            self.easel.accept(offer);
        }
        self.easel.ask_for_picture();
        self.hear(ui.ctx());
    }

    fn on_exit(&mut self) {
        self.easel.leave();
    }
}
