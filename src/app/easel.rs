//! The state of the painter and everything it can do, without drawing.
//!
//! The panels show this state and call these functions; keys and menus come as [`Command`]s, news from the threads as
//! [`Event`]s. Nothing here waits.

mod deeds;
mod files;
mod news;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use eframe::egui::{ColorImage, Context, TextureHandle, ViewportCommand};

use super::canvas::Canvas;
use super::clerk::{Clerk, Job, landscape_space};
use super::command::Command;
use super::event::{Event, Model, Opened};
use super::history::{History, Kind};
use super::home::{Home, Memory};
use super::mapping::Mapping;
use super::notes::Notes;
use super::palette::Palette;
use super::paths::{PathSheet, Wish};
use super::raster::{MAX_BRUSH_PX, Tip};
use super::sheet;
use super::styling::{Ability, Origin, Part, Styling, Wanted};
use super::tools::{Gesture, Hand};
use super::view::View;
use super::worker::{self, Drawn, Request, Sight, Task, Worker};
use crate::data::{Grid, LabelSpace};

/// How canvas and picture share the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Side by side.
    SideBySide,
    /// One over the other, with a line between that can be moved.
    Split,
    /// One in the place of the other.
    Blink,
}

/// A photograph under the canvas.
pub struct Traced {
    /// Its file.
    pub path: PathBuf,
    /// The photograph.
    pub image: Arc<ColorImage>,
    /// The same on the window's device, once it was drawn.
    pub texture: Option<TextureHandle>,
}

/// What a note can offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Opens the layout that was not saved.
    Recover(PathBuf),
    /// Puts a picture under the canvas.
    Trace(PathBuf),
    /// Takes the style of a picture.
    Style(PathBuf),
}

/// The dialog on show.
pub enum Dialog {
    /// Asks for a path.
    Path(PathSheet),
    /// Asks what foreign values mean.
    Mapping(Box<Mapping>),
    /// Lists the keys.
    Keys,
    /// Asks what becomes of changes before the window closes, or another layout takes the canvas.
    Unsaved,
}

/// How far the end of the layout on the canvas is: by closing the window, or by another layout in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parting {
    /// It stays.
    #[default]
    Staying,
    /// It ends once it is saved.
    Saving,
    /// The window may close.
    Gone,
}

/// What is told where a picture is wanted too early.
const NO_PICTURE: &str = "There is no picture yet: open a model first.";
/// Size of the canvas before there is a model.
const FIRST_SIZE: [usize; 2] = [256, 256];

/// The painter.
pub struct Easel {
    /// The classes in use.
    pub space: Arc<LabelSpace>,
    /// The label map.
    pub canvas: Canvas,
    /// Undo and redo.
    pub history: History,
    /// Tool, brush and class.
    pub hand: Hand,
    /// Search and latest classes.
    pub palette: Palette,
    /// Zoom and position.
    pub view: View,
    /// A zoom that was asked for by key, until a pane takes it.
    pub zoom: Option<f32>,
    /// How the window is shared.
    pub mode: Mode,
    /// Place of the line between, as a share of the width.
    pub split: f32,
    /// Whether the picture is shown in the canvas's place.
    pub flipped: bool,
    /// Whether the classes have other colours than when the canvas was last shown.
    pub recoloured: bool,
    /// The style in use.
    pub styling: Styling,
    /// Whether styles are shown, where the model has any.
    pub shows_styles: bool,
    /// The photograph under the canvas.
    pub traced: Option<Traced>,
    /// How much of the canvas covers it.
    pub cover: f32,
    /// Whether borders are outlined, for models with instance maps.
    pub outlines: bool,
    /// The generator.
    pub model: Option<Model>,
    /// The checkpoint being loaded.
    pub loading: Option<PathBuf>,
    /// The latest picture.
    pub picture: Option<Drawn>,
    /// Notes on show.
    pub notes: Notes<Offer>,
    /// Dialog on show.
    pub dialog: Option<Dialog>,
    /// What is remembered.
    pub memory: Memory,
    /// File of the layout.
    pub file: Option<PathBuf>,
    /// How far its end is.
    pub parting: Parting,
    /// The layout that takes its place then; without any the window closes.
    pub next: Option<Box<Opened>>,
    /// What the file holds.
    saved: Option<Sight>,
    /// What the copy for a crash holds.
    autosaved: Option<Sight>,
    changed: Option<Instant>,
    /// The copy of a window that is gone, until this window's own holds the same.
    orphan: Option<PathBuf>,
    /// A project that waits for its checkpoint.
    waiting: Option<Box<Opened>>,
    asked: Option<Sight>,
    /// Where the picture is to be written once it is drawn.
    exporting: Option<(PathBuf, bool)>,
    /// What could not be drawn.
    undrawable: Option<Sight>,
    seed: u64,
    /// Whether the layout of a first look is still to come.
    greeting: bool,
    home: Option<Home>,
    worker: Worker,
    clerk: Clerk,
}

impl Easel {
    /// A blank canvas with the classes of the landscapes, until there is a model.
    pub fn new(worker: Worker, clerk: Clerk, home: Option<Home>) -> Self {
        let space = Arc::new(landscape_space());
        let canvas = Canvas::blank(FIRST_SIZE, 0);
        let memory = home.as_ref().map(Home::remember).unwrap_or_default();
        let mut easel = Self {
            hand: Hand::new(canvas.size(), 0),
            canvas,
            space,
            history: History::default(),
            palette: Palette::default(),
            view: View::Fit,
            zoom: None,
            mode: Mode::SideBySide,
            split: 0.5,
            flipped: false,
            recoloured: false,
            styling: Styling::default(),
            shows_styles: true,
            traced: None,
            cover: 0.6,
            outlines: true,
            model: None,
            loading: None,
            picture: None,
            notes: Notes::default(),
            dialog: None,
            memory,
            file: None,
            parting: Parting::Staying,
            next: None,
            saved: None,
            autosaved: None,
            changed: None,
            orphan: None,
            waiting: None,
            asked: None,
            exporting: None,
            undrawable: None,
            seed: 1,
            greeting: false,
            home,
            worker,
            clerk,
        };
        easel.settle();
        easel.move_in();
        easel
    }

    fn move_in(&mut self) {
        match self.home.as_mut().map(Home::move_in) {
            Some(Ok(Some(path))) => self.notes.offer(
                "A layout was not saved when the window was last closed.",
                "Open it",
                Offer::Recover(path),
            ),
            Some(Err(error)) => self
                .notes
                .error(format!("{error}; unsaved work will not survive a crash")),
            Some(Ok(None)) | None => {}
        }
    }

    /// Whether layout or style differ from what the file holds.
    pub fn is_unsaved(&self) -> bool {
        self.saved != Some(self.sight())
    }

    /// Takes things as they are for saved: nothing in them is anybody's work.
    fn settle(&mut self) {
        self.saved = Some(self.sight());
        self.autosaved = self.saved;
    }

    /// What the picture shall show.
    fn sight(&self) -> Sight {
        Sight {
            layout: self.canvas.revision(),
            style: self.styling.revision(),
            outlines: self.outlines,
        }
    }

    /// Whether the picture shows an older layout or another style.
    pub fn is_behind(&self) -> bool {
        let shown = self.picture.as_ref().map(|drawn| drawn.sight);
        let sight = Some(self.sight());
        self.model.is_some() && shown != sight && self.undrawable != sight
    }

    /// What the model can do with styles; nothing without any.
    pub fn styles(&self) -> Option<Ability> {
        self.model.as_ref()?.styles
    }

    /// Whether the model takes the styles of pictures.
    fn takes_pictures(&self) -> bool {
        self.styles().is_some_and(|styles| styles.has_encoder)
    }

    /// Asks for a picture whose style is to be taken.
    pub fn ask_for_style(&mut self, part: Part) {
        self.ask(Wish::Style(part));
    }

    /// Takes the style of a picture.
    pub(super) fn encode(&mut self, path: PathBuf, part: Part) {
        self.styling.encoding = Some(part);
        self.worker.give(Task::Encode(Wanted { path, part }));
    }

    /// Whether the model was trained with instance maps.
    pub fn has_outlines(&self) -> bool {
        self.model
            .as_ref()
            .is_some_and(|model| model.space.instances)
    }

    /// Name of the layout, marked while it is not saved; or the dialog on show.
    pub fn title(&self) -> String {
        match &self.dialog {
            Some(Dialog::Path(sheet)) => sheet.wish().title().into(),
            Some(Dialog::Mapping(_)) => "Classes of the layout".into(),
            Some(Dialog::Keys) => "Keyboard".into(),
            Some(Dialog::Unsaved) => "Save the changes?".into(),
            None if self.is_unsaved() => format!("• {}", self.name()),
            None => self.name(),
        }
    }

    /// Name of the layout.
    pub fn name(&self) -> String {
        self.file.as_deref().map_or("untitled".into(), name_of)
    }

    /// Name of the layout that takes this one's place once its changes are saved or given up.
    pub fn successor(&self) -> Option<String> {
        let next = self.next.as_ref()?;
        let name = next.path.as_deref().map(name_of);
        Some(name.unwrap_or("a new layout".into()))
    }

    /// Asks for another generator.
    pub fn load(&mut self, path: PathBuf) {
        self.worker.give(Task::Load(path.clone()));
        self.loading = Some(path);
    }

    /// Reads a layout.
    pub fn open(&mut self, path: PathBuf) {
        self.clerk.give(Job::Open(path, self.space.clone()));
    }

    /// Opens a dropped file by what it is.
    pub fn drop_file(&mut self, path: PathBuf) {
        let end = path
            .extension()
            .and_then(|end| end.to_str())
            .unwrap_or_default();
        match end.to_ascii_lowercase().as_str() {
            "safetensors" => self.load(path),
            "jpg" | "jpeg" if self.takes_pictures() => {
                let name = name_of(&path);
                let text = format!("The picture is drawn in the style of {name}.");
                let offer = Offer::Trace(path.clone());
                self.notes.offer(text, "Trace it instead", offer);
                self.encode(path, Part::First);
            }
            "jpg" | "jpeg" => self.clerk.give(Job::Trace(path)),
            _ if path.is_dir() => self.load(path),
            _ => self.open(path),
        }
    }

    /// Chooses a class.
    pub fn choose(&mut self, id: u8) {
        if id != self.hand.class {
            self.palette.remember(self.hand.class);
            self.hand.class = id;
        }
    }

    /// Forgets what could not be drawn: it is asked for again.
    pub fn ask_again(&mut self) {
        self.asked = None;
        self.undrawable = None;
    }

    /// Asks for the picture of the canvas as it is, unless it was asked for.
    pub fn ask_for_picture(&mut self) {
        let sight = self.sight();
        if let (Some(drawn), Some(_)) = (&self.picture, self.styles())
            && drawn.sight.style == sight.style
        {
            self.styling.keep(&drawn.thumb);
        }
        if self.model.is_none() || self.asked == Some(sight) {
            return;
        }
        self.asked = Some(sight);
        let style = self
            .styles()
            .map(|styles| self.styling.recipe().style(styles.z_dim));
        match style.transpose() {
            Ok(style) => self.worker.draw(Request {
                sight,
                labels: Arc::new(self.canvas.labels().clone()),
                style,
            }),
            Err(error) => {
                self.undrawable = Some(sight);
                self.notes.error(error.to_string());
            }
        }
    }

    /// Colours of every value a pixel may have.
    pub fn colours(&self) -> Vec<[u8; 3]> {
        let ids = 0..self.space.ids() as u32;
        ids.map(|id| self.space.colour(id)).collect()
    }

    /// The canvas as it is, for who must not hold it.
    pub fn labels(&self) -> &Grid<u8> {
        self.canvas.labels()
    }
}

/// The name of a file, as notes say it.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// A picture for the window, of a part of the canvas.
pub fn region(labels: &Grid<u8>, area: super::canvas::Area, colours: &[[u8; 3]]) -> ColorImage {
    let pixels = area.pixels(labels);
    let colour = |&id: &u8| colours.get(usize::from(id)).copied().unwrap_or_default();
    let picture = Grid::new(area.width(), area.height(), pixels.map(colour).collect());
    worker::image(&picture)
}
