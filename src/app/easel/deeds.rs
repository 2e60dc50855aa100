//! What keys and menus ask for.

use super::*;
use crate::app::looks;

impl Easel {
    /// Does what a key or menu asks for.
    pub fn perform(&mut self, command: Command, window: &Context) {
        match command {
            Command::New => {
                let blank = Canvas::blank(self.size(), self.hand.ground);
                self.replace(Opened {
                    path: None,
                    labels: blank.labels().clone(),
                    space: self.space.clone(),
                    project: None,
                });
            }
            Command::Landscape => self.landscape(),
            Command::Open => self.ask(Wish::Open),
            Command::Trace => self.ask(Wish::Trace),
            Command::Untrace => self.traced = None,
            Command::Model => self.ask(Wish::Model),
            Command::Save => match self.file.clone() {
                Some(path) => self.save(path, true),
                None => self.ask(Wish::Save),
            },
            Command::SaveAs => self.ask(Wish::Save),
            Command::Export => self.ask(Wish::Export),
            Command::CopyPicture => self.copy(window),
            Command::Quit => window.send_viewport_cmd(ViewportCommand::Close),
            Command::Roll => self.styling.roll(Part::First),
            Command::StylePicture => self.ask_for_style(Part::First),
            Command::Styles => {
                self.shows_styles = !self.shows_styles;
                // A slider that is no longer drawn is not held either.
                self.styling.is_held = false;
            }
            Command::Undo => {
                self.hand.cancel(&mut self.canvas, &mut self.history);
                let undone = self.history.undo(&mut self.canvas);
                self.detach(undone);
            }
            Command::Redo => {
                self.hand.cancel(&mut self.canvas, &mut self.history);
                let redone = self.history.redo(&mut self.canvas);
                self.detach(redone);
            }
            Command::Ground => self.hand.ground = self.hand.class,
            Command::Take(tool) => self.hand.take(tool, &mut self.canvas, &mut self.history),
            Command::Smaller => self.resize_brush(-1),
            Command::Larger => self.resize_brush(1),
            Command::Tip => {
                self.hand.brush.tip = match self.hand.brush.tip {
                    Tip::Round => Tip::Square,
                    Tip::Square => Tip::Round,
                }
            }
            Command::Swap => {
                if let Some(id) = self.palette.latest() {
                    self.choose(id);
                }
            }
            Command::Class(n) => {
                if let Some(id) = self.palette.shown(&self.space).get(usize::from(n)) {
                    self.choose(*id);
                }
            }
            Command::Search => self.palette.focus = true,
            Command::Close => self.hand.close(&mut self.canvas, &mut self.history),
            Command::GiveUp => {
                self.hand.cancel(&mut self.canvas, &mut self.history);
            }
            Command::Fit => self.view = View::Fit,
            Command::Natural => self
                .view
                .natural(self.canvas.size(), window.pixels_per_point()),
            // The pane knows where its middle is.
            Command::ZoomIn => self.zoom = Some(1.25),
            Command::ZoomOut => self.zoom = Some(0.8),
            Command::SideBySide => self.mode = Mode::SideBySide,
            Command::Split => self.mode = Mode::Split,
            Command::Blink => self.mode = Mode::Blink,
            Command::Flip => self.flipped = !self.flipped,
            Command::Theme | Command::LargerText | Command::SmallerText | Command::NormalText => {
                looks::perform(command, window);
            }
            Command::Keys => self.dialog = Some(Dialog::Keys),
        }
    }

    /// Whether a command would do anything now.
    pub fn can(&self, command: Command) -> bool {
        match command {
            Command::Undo => self.history.can_undo(),
            Command::Redo => self.history.can_redo(),
            Command::CopyPicture => self.picture.is_some(),
            Command::Untrace => self.traced.is_some(),
            Command::Roll => self.styles().is_some(),
            Command::StylePicture => self.takes_pictures(),
            Command::Close | Command::GiveUp => *self.hand.gesture() != Gesture::None,
            Command::Flip => self.mode == Mode::Blink,
            Command::Swap => self.palette.latest().is_some(),
            _ => true,
        }
    }

    pub(super) fn size(&self) -> [usize; 2] {
        self.model.as_ref().map_or(FIRST_SIZE, |model| model.size)
    }

    pub(super) fn landscape(&mut self) {
        self.seed += 1;
        self.clerk.give(Job::Landscape(self.seed, self.size()));
    }

    fn resize_brush(&mut self, direction: i32) {
        let size = self.hand.brush.size_px as i32;
        // A tenth, so that the keys are useful for any size.
        let size = size + direction * (size / 10).max(1);
        self.hand.brush.size_px = size.clamp(1, MAX_BRUSH_PX as i32) as u32;
    }

    pub(super) fn ask(&mut self, wish: Wish) {
        let beside = self.file.as_deref();
        self.dialog = Some(Dialog::Path(PathSheet::new(wish, beside)));
    }

    fn copy(&mut self, window: &Context) {
        match &self.picture {
            Some(drawn) => {
                window.copy_image(ColorImage::clone(&drawn.image));
                self.notes.done("The picture is on the clipboard.");
            }
            None => self.notes.error(NO_PICTURE),
        }
    }

    /// A layout that came back in the place of another is not the one of its file.
    fn detach(&mut self, edit: Option<Kind>) {
        if edit == Some(Kind::Exchange) {
            self.file = None;
            self.saved = None;
            self.view = View::Fit;
        }
    }

    /// Puts another layout in the place of the canvas, which undo brings back.
    pub(super) fn exchange(&mut self, other: Canvas) {
        self.hand.cancel(&mut self.canvas, &mut self.history);
        // What was recovered and not yet copied stays where it is, for the next start.
        self.orphan = None;
        let resized = other.size() != self.canvas.size();
        self.history.begin_exchange(&mut self.canvas);
        self.canvas.exchange(other.labels().clone());
        self.history.end(&mut self.canvas);
        if resized {
            self.view = View::Fit;
        }
    }
}
