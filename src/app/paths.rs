//! The sheet that asks for a path: written, chosen from recent ones, or in the system's dialog.
//!
//! Systems without a dialog, and people who know where their files are, can write the path.

use std::path::{Path, PathBuf};

use eframe::egui::text::CCursorRange;
use eframe::egui::{Button, Frame, Id, Key, Modal, RichText, TextEdit, Ui};

use super::event::{Event, Events};
use super::home::Memory;
use super::styling::Part;

/// What a path is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To read a layout.
    Open,
    /// To read a photograph.
    Trace,
    /// To load a generator.
    Model,
    /// To read a picture whose style is taken.
    Style(Part),
    /// To write the layout.
    Save,
    /// To write the picture.
    Export,
}

impl Wish {
    /// What it is, for titles.
    pub fn title(self) -> &'static str {
        match self {
            Self::Open => "Open a layout",
            Self::Trace => "Trace a photo",
            Self::Model => "Open a model",
            Self::Style(Part::First) => "Take the style of a picture",
            Self::Style(Part::Second) => "Mix with the style of a picture",
            Self::Save => "Save the layout",
            Self::Export => "Save the picture",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Open => "A label map: grey, indexed, or in the colours of the classes.",
            Self::Trace => "The photo lies under the canvas, as large as it.",
            Self::Model => {
                "A checkpoint (.safetensors), or the folder of a run for its newest one."
            }
            Self::Style(_) => "The model draws as if the layout had been photographed with it.",
            Self::Save => {
                "An indexed PNG in the colours of the classes; it remembers the model and the style too."
            }
            Self::Export => "A PNG of the picture.",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Open | Self::Trace | Self::Model | Self::Style(_) => "Open",
            Self::Save | Self::Export => "Save",
        }
    }

    /// Whether the path is written to.
    pub fn writes(self) -> bool {
        matches!(self, Self::Save | Self::Export)
    }
}

/// The sheet.
#[derive(Clone, Debug)]
pub struct PathSheet {
    wish: Wish,
    /// The path as written.
    pub text: String,
    exists: Option<PathBuf>,
    opened: bool,
}

/// What came of a sheet.
pub enum Answer {
    /// Nothing yet.
    Open,
    /// Nothing is wanted any more.
    Closed,
    /// A path, and whether it may take another file's place.
    Path(Wish, PathBuf, bool),
}

impl PathSheet {
    /// What the path is asked for.
    pub fn wish(&self) -> Wish {
        self.wish
    }

    /// A sheet that suggests a name beside a layout's file.
    pub fn new(wish: Wish, beside: Option<&Path>) -> Self {
        let suggestion = match (wish, beside) {
            (Wish::Save, Some(file)) => file.to_path_buf(),
            (Wish::Export, Some(file)) => file.with_extension("picture.png"),
            (Wish::Save, None) => "layout.png".into(),
            (Wish::Export, None) => "picture.png".into(),
            (Wish::Open | Wish::Trace | Wish::Model | Wish::Style(_), _) => PathBuf::new(),
        };
        Self {
            wish,
            text: suggestion.display().to_string(),
            exists: None,
            opened: false,
        }
    }

    /// Tells that the file exists: the next answer takes its place.
    pub fn refuse(&mut self, path: PathBuf) {
        self.exists = Some(path);
    }

    fn replaces(&self) -> bool {
        self.exists.as_deref() == Some(Path::new(self.text.trim()))
    }

    /// Draws the sheet.
    pub fn ui(&mut self, ui: &mut Ui, memory: &Memory, events: &Events) -> Answer {
        let mut answer = Answer::Open;
        let modal = Modal::new(Id::unique("path")).frame(Frame::window(ui.style()));
        let modal = modal.show(ui.ctx(), |ui| {
            ui.set_width(460.0);
            ui.heading(self.wish.title());
            ui.weak(self.wish.hint());
            ui.add_space(8.0);
            let field = TextEdit::singleline(&mut self.text)
                .hint_text("Path")
                .desired_width(f32::INFINITY);
            let field = ui.add(field).accessible_name("Path");
            if !std::mem::replace(&mut self.opened, true) {
                field.request_focus();
                select(ui, field.id, &self.text);
            }
            let entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
            if self.replaces() {
                ui.add_space(2.0);
                let text =
                    RichText::new("This file exists already.").color(ui.visuals().warn_fg_color);
                ui.label(text);
            }
            self.recent_ui(ui, memory);
            ui.add_space(12.0);
            let confirmed = self.buttons_ui(ui, events, &mut answer);
            if (confirmed || entered) && !self.text.trim().is_empty() {
                answer = Answer::Path(self.wish, self.text.trim().into(), self.replaces());
            }
        });
        if modal.should_close() && matches!(answer, Answer::Open) {
            answer = Answer::Closed;
        }
        answer
    }

    fn recent_ui(&mut self, ui: &mut Ui, memory: &Memory) {
        let recent = match self.wish {
            Wish::Open => &memory.layouts,
            Wish::Model => &memory.models,
            _ => return,
        };
        if recent.is_empty() {
            return;
        }
        ui.add_space(8.0);
        ui.small("Recent");
        for path in recent {
            let text = path.display().to_string();
            let button = Button::new(&text).frame(false).truncate();
            if ui.add(button).on_hover_text(&text).clicked() {
                self.text = text;
            }
        }
    }

    fn buttons_ui(&self, ui: &mut Ui, events: &Events, answer: &mut Answer) -> bool {
        ui.horizontal(|ui| {
            if ui
                .button("Browse…")
                .on_hover_text("Choose in the system's dialog")
                .clicked()
            {
                browse(self.wish, events.clone());
            }
            ui.with_layout(
                eframe::egui::Layout::right_to_left(eframe::egui::Align::Center),
                |ui| {
                    let verb = if self.replaces() {
                        "Replace"
                    } else {
                        self.wish.verb()
                    };
                    let ready = !self.text.trim().is_empty();
                    let confirmed = ui
                        .add_enabled(ready, Button::new(verb).selected(ready))
                        .clicked();
                    if ui.button("Cancel").clicked() {
                        *answer = Answer::Closed;
                    }
                    confirmed
                },
            )
            .inner
        })
        .inner
    }
}

/// Selects all of a field, so that writing begins anew.
fn select(ui: &Ui, field: Id, text: &str) {
    let mut state = TextEdit::load_state(ui.ctx(), field).unwrap_or_default();
    let all = CCursorRange::select_all_str(text);
    state.cursor.set_char_range(Some(all));
    state.store(ui.ctx(), field);
}

/// Opens the system's dialog; what is chosen there comes as an event.
fn browse(wish: Wish, events: Events) {
    let dialog = rfd::AsyncFileDialog::new().set_title(wish.title());
    let pictures = [
        "png", "jpg", "jpeg", "bmp", "webp", "tif", "tiff", "ppm", "pgm",
    ];
    let dialog = match wish {
        Wish::Model => dialog.add_filter("Checkpoints", &["safetensors"]),
        Wish::Open | Wish::Trace | Wish::Style(_) => dialog.add_filter("Pictures", &pictures),
        Wish::Save | Wish::Export => dialog.add_filter("PNG", &["png"]),
    };
    // Some systems want the dialog made here; all let another thread wait for it.
    if wish.writes() {
        let chosen = dialog.save_file();
        wait(chosen, events);
    } else {
        let chosen = dialog.pick_file();
        wait(chosen, events);
    }
}

fn wait(chosen: impl Future<Output = Option<rfd::FileHandle>> + Send + 'static, events: Events) {
    std::thread::spawn(move || {
        if let Some(file) = pollster::block_on(chosen) {
            events.send(Event::Chosen(file.path().to_path_buf()));
        }
    });
}
