//! What the threads behind the window tell it, and how it is woken.

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, unbounded};
use eframe::egui::{self, ColorImage};

use super::mapping::Mapping;
use super::sheet::Project;
use super::styling::{Ability, Wanted};
use super::worker::{Drawn, Sight};
use crate::Style;
use crate::data::{Grid, LabelSpace};

/// A generator that is ready.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its checkpoint.
    pub path: PathBuf,
    /// Its classes.
    pub space: Arc<LabelSpace>,
    /// Width and height of its pictures.
    pub size: [usize; 2],
    /// What it can do with styles; nothing without any.
    pub styles: Option<Ability>,
    /// Iterations it was trained for.
    pub step: u64,
    /// Name of the adapter it runs on.
    pub adapter: String,
}

/// A layout that was read.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The file; none for built-in layouts.
    pub path: Option<PathBuf>,
    /// Class of every pixel.
    pub labels: Grid<u8>,
    /// The classes the ids mean.
    pub space: Arc<LabelSpace>,
    /// The project, if the file holds one.
    pub project: Option<Project>,
}

/// What a file was written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The layout in its style, at the user's wish.
    Layout(Sight),
    /// The picture.
    Picture,
    /// The layout in its style, in case of a crash.
    Autosave(Sight),
    /// The layout of a model with other classes.
    Aside,
}

/// Something that happened behind the window.
#[derive(Clone)]
pub enum Event {
    /// A generator is ready.
    Model(Box<Model>),
    /// A checkpoint cannot be used; the generator of before stays.
    NoModel {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// A picture is drawn.
    Drawn(Drawn),
    /// A picture could not be drawn.
    NotDrawn {
        /// What it was to show.
        sight: Sight,
        /// Why not.
        error: String,
    },
    /// The style of a picture was found.
    Encoded {
        /// The picture.
        wanted: Wanted,
        /// Its most likely style.
        style: Style,
    },
    /// A picture has no style that can be used.
    NotEncoded(String),
    /// A file to be opened is no label map.
    NoMap(PathBuf),
    /// A layout was read.
    Opened(Box<Opened>),
    /// A label map was read that has values of no class.
    Foreign(Box<Mapping>),
    /// A photograph to trace was read.
    Traced {
        /// Its file.
        path: PathBuf,
        /// The photograph.
        image: Arc<ColorImage>,
    },
    /// A file was written.
    Saved {
        /// The file.
        path: PathBuf,
        /// What for.
        purpose: Purpose,
    },
    /// A file was not written, since another has its name.
    Exists {
        /// That file.
        path: PathBuf,
    },
    /// A file was chosen in the system's dialog.
    Chosen(PathBuf),
    /// Worth telling.
    Notice(String),
    /// Something could not be done.
    Failed(String),
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Model(model) => f.debug_tuple("Model").field(model).finish(),
            Self::NoModel { error, .. } => f.debug_tuple("NoModel").field(error).finish(),
            Self::Drawn(drawn) => f.debug_tuple("Drawn").field(&drawn.sight).finish(),
            Self::NotDrawn { error, .. } => f.debug_tuple("NotDrawn").field(error).finish(),
            Self::Encoded { wanted, .. } => f.debug_tuple("Encoded").field(wanted).finish(),
            Self::NotEncoded(error) => f.debug_tuple("NotEncoded").field(error).finish(),
            Self::NoMap(path) => f.debug_tuple("NoMap").field(path).finish(),
            Self::Opened(opened) => f.debug_tuple("Opened").field(&opened.path).finish(),
            Self::Foreign(mapping) => f.debug_tuple("Foreign").field(&mapping.path).finish(),
            Self::Traced { path, .. } => f.debug_tuple("Traced").field(path).finish(),
            Self::Saved { path, purpose, .. } => {
                f.debug_tuple("Saved").field(path).field(purpose).finish()
            }
            Self::Exists { path } => f.debug_tuple("Exists").field(path).finish(),
            Self::Chosen(path) => f.debug_tuple("Chosen").field(path).finish(),
            Self::Notice(text) => f.debug_tuple("Notice").field(text).finish(),
            Self::Failed(text) => f.debug_tuple("Failed").field(text).finish(),
        }
    }
}

/// Sends events and wakes the window.
pub struct Events<E = Event> {
    sender: Sender<E>,
    window: Option<egui::Context>,
}

impl<E> Clone for Events<E> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            window: self.window.clone(),
        }
    }
}

impl<E> Events<E> {
    /// Events for a window.
    pub fn new(window: egui::Context) -> (Self, Receiver<E>) {
        let (sender, receiver) = unbounded();
        let window = Some(window);
        (Self { sender, window }, receiver)
    }

    /// Events without a window.
    pub fn silent() -> (Self, Receiver<E>) {
        let (sender, receiver) = unbounded();
        let window = None;
        (Self { sender, window }, receiver)
    }

    /// Closes the window, as its user would.
    pub fn close_window(&self) {
        if let Some(window) = &self.window {
            window.send_viewport_cmd(egui::ViewportCommand::Close);
            window.request_repaint();
        }
    }

    /// Tells an event.
    pub fn send(&self, event: E) {
        // A window that has been closed needs no more news.
        if self.sender.send(event).is_ok()
            && let Some(window) = &self.window
        {
            window.request_repaint();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eframe::egui::{RawInput, ViewportCommand, ViewportId};

    #[test]
    fn a_window_that_is_closed_is_asked_to_close() {
        let window = egui::Context::default();
        let (events, _heard) = Events::<()>::new(window.clone());
        let asked = |window: &egui::Context| {
            let mut output = window.run_ui(RawInput::default(), |_| {});
            output.textures_delta.clear();
            let commands = &output.viewport_output[&ViewportId::ROOT].commands;
            commands.contains(&ViewportCommand::Close)
        };
        assert!(!asked(&window));
        events.close_window();
        assert!(asked(&window));
    }
}
