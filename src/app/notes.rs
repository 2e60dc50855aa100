//! Notes: what went wrong or is worth knowing, in the corner until it is dismissed; what was done as asked, for a while.

use std::time::Duration;

use eframe::egui::{Align2, Area, Button, Context, Frame, Id, Margin, Stroke, vec2};

use super::theme;

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What was asked for is done: read at a glance, and then in the way.
    Done,
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
    /// When it was first on show, by the window's clock.
    seen: Option<Duration>,
}

/// Most notes shown at a time; older ones give way.
const MOST: usize = 4;

/// How long a note of what is done stays.
const STAY: Duration = Duration::from_secs(5);

/// The notes on show.
#[derive(Clone, Debug)]
pub struct Notes<A>(Vec<Note<A>>);

impl<A> Default for Notes<A> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<A> Notes<A> {
    /// Says that what was asked for is done.
    pub fn done(&mut self, text: impl Into<String>) {
        self.add(Kind::Done, text.into(), None);
    }

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
        self.0.push(Note {
            kind,
            text,
            action,
            seen: None,
        });
        if self.0.len() > MOST {
            self.0.remove(0);
        }
    }

    /// The notes, oldest first.
    pub fn all(&self) -> &[Note<A>] {
        &self.0
    }

    /// Takes away what has been on show for long enough, and has the window drawn when the next one has.
    fn clear(&mut self, window: &Context) {
        let now = window.input(|input| Duration::from_secs_f64(input.time.max(0.0)));
        let age = |note: &mut Note<A>| now.saturating_sub(*note.seen.get_or_insert(now));
        self.0
            .retain_mut(|note| note.kind != Kind::Done || age(note) < STAY);
        let left = self.0.iter_mut().filter(|note| note.kind == Kind::Done);
        if let Some(left) = left.map(|note| STAY - age(note)).min() {
            window.request_repaint_after(left);
        }
    }

    /// Draws the notes in a lower corner of the window; returns what was chosen.
    pub fn ui(&mut self, window: &Context, corner: Align2) -> Option<A> {
        self.clear(window);
        let mut gone = None;
        let mut chosen = None;
        let area = Area::new(Id::unique("notes"))
            .anchor(corner, vec2(-12.0 * corner.x().to_sign(), -48.0))
            .interactable(!self.0.is_empty());
        area.show(window, |ui| {
            ui.set_max_width(380.0);
            for (index, note) in self.0.iter().enumerate() {
                let edge = match note.kind {
                    Kind::Done | Kind::Info => theme::shades(ui.visuals()).accent,
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

#[cfg(test)]
mod tests {
    use super::*;
    use eframe::egui::RawInput;

    #[test]
    fn what_is_done_is_told_for_a_while() {
        let mut notes = Notes::<()>::default();
        notes.done("saved");
        notes.error("damaged");
        let window = Context::default();
        let mut at = |time: f64| {
            let input = RawInput {
                time: Some(time),
                ..Default::default()
            };
            let mut output = window.run_ui(input, |ui| {
                notes.ui(ui.ctx(), Align2::RIGHT_BOTTOM);
            });
            output.textures_delta.clear();
            let texts = notes.all().iter().map(|note| note.text.clone());
            texts.collect::<Vec<_>>()
        };
        // Its time begins when it is seen.
        assert_eq!(at(100.0), ["saved", "damaged"]);
        assert_eq!(at(104.0), ["saved", "damaged"]);
        assert_eq!(at(105.5), ["damaged"]);
        assert_eq!(at(900.0), ["damaged"]);
    }
}
