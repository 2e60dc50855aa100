//! What is around every window, whatever is in it: its title, and how it looks.

use std::path::Path;

use eframe::egui::{Context, Ui, ViewportCommand};

use super::looks::{self, Mirror};

/// What has a window of its own.
pub trait Titled {
    /// What is in the window, for its title.
    fn title(&self) -> String;
}

/// A window around something.
pub struct Room<A> {
    /// What is in it.
    pub inside: A,
    title: String,
    mirror: Mirror,
}

impl<A: Titled> Room<A> {
    /// A window around something. It looks as a folder remembers, and remembers there what changes.
    pub fn new(window: &Context, home: Option<&Path>, inside: A) -> Self {
        Self {
            inside,
            title: String::new(),
            mirror: Mirror::new(window, home),
        }
    }

    fn tell_title(&mut self, window: &Context) {
        let title = format!("{} – Spadework", self.inside.title());
        if title != self.title {
            window.send_viewport_cmd(ViewportCommand::Title(title.clone()));
            self.title = title;
        }
    }
}

impl<A: eframe::App + Titled> eframe::App for Room<A> {
    fn logic(&mut self, window: &Context, frame: &mut eframe::Frame) {
        self.inside.logic(window, frame);
        // A hidden window still has a title.
        self.tell_title(window);
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        looks::take_keys(ui.ctx());
        self.inside.ui(ui, frame);
        self.tell_title(ui.ctx());
        self.mirror.look(ui.ctx());
    }

    fn on_exit(&mut self) {
        self.inside.on_exit();
    }
}
