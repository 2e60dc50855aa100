//! Notes: what went wrong or is worth knowing, in the corner until it is dismissed.

use eframe::egui::{Align2, Area, Button, Context, Frame, Id, Margin, Stroke, vec2};

use super::theme;

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Worth knowing.
    Info,
    /// Something could not be done.
    Error,
}

/// A note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<A> {
    /// What it is about.
    pub kind: Kind,
    /// What it says.
    pub text: String,
    /// What can be done about it: what the button says, and means.
    pub action: Option<(&'static str, A)>,
}

/// Most notes shown at a time; older ones give way.
const MOST: usize = 4;

/// The notes on show.
#[derive(Clone, Debug)]
pub struct Notes<A>(Vec<Note<A>>);

impl<A> Default for Notes<A> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<A> Notes<A> {
    /// Says something worth knowing.
    pub fn info(&mut self, text: impl Into<String>) {
        self.add(Kind::Info, text.into(), None);
    }

    /// Says what went wrong.
    pub fn error(&mut self, text: impl Into<String>) {
        self.add(Kind::Error, text.into(), None);
    }

    /// Says something that can be acted upon.
    pub fn offer(&mut self, text: impl Into<String>, button: &'static str, action: A) {
        self.add(Kind::Info, text.into(), Some((button, action)));
    }

    fn add(&mut self, kind: Kind, text: String, action: Option<(&'static str, A)>) {
        // The same trouble again is no news.
        self.0.retain(|note| note.text != text);
        self.0.push(Note { kind, text, action });
        if self.0.len() > MOST {
            self.0.remove(0);
        }
    }

    /// The notes, oldest first.
    pub fn all(&self) -> &[Note<A>] {
        &self.0
    }

    /// Draws the notes in a lower corner of the window; returns what was chosen.
    pub fn ui(&mut self, window: &Context, corner: Align2) -> Option<A> {
        let mut gone = None;
        let mut chosen = None;
        let area = Area::new(Id::unique("notes"))
            .anchor(corner, vec2(-12.0 * corner.x().to_sign(), -48.0))
            .interactable(!self.0.is_empty());
        area.show(window, |ui| {
            ui.set_max_width(380.0);
            for (index, note) in self.0.iter().enumerate() {
                let edge = match note.kind {
                    Kind::Info => theme::shades(ui.visuals()).accent,
                    Kind::Error => ui.visuals().error_fg_color,
                };
                let frame = Frame::popup(ui.style())
                    .stroke(Stroke::new(1.0, edge))
                    .inner_margin(Margin::symmetric(12, 10))
                    .outer_margin(Margin::symmetric(0, 4));
                frame.show(ui, |ui| {
                    ui.horizontal_top(|ui| {
                        ui.vertical(|ui| {
                            ui.set_max_width(280.0);
                            ui.label(&note.text);
                            if let Some((button, _)) = &note.action
                                && ui.button(*button).clicked()
                            {
                                chosen = Some(index);
                            }
                        });
                        let close = Button::new("×").frame(false);
                        let close = ui.add(close).accessible_name("Dismiss");
                        if close.on_hover_text("Dismiss").clicked() {
                            gone = Some(index);
                        }
                    });
                });
            }
        });
        if let Some(index) = gone.or(chosen) {
            let note = self.0.remove(index);
            return chosen.and(note.action).map(|(_, action)| action);
        }
        None
    }
}
