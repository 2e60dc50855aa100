//! What the worker and the clerk tell, and what follows from a model that was loaded.

use super::*;
use crate::app::event::Purpose;
use crate::app::home::Recent;

impl Easel {
    /// Does what a note offered.
    pub fn accept(&mut self, offer: Offer) {
        match offer {
            Offer::Recover(path) => self.open(path),
            Offer::Trace(path) => self.clerk.give(Job::Trace(path)),
            Offer::Style(path) => self.encode(path, Part::First),
        }
    }

    /// Hears what the threads tell.
    pub fn hear(&mut self, event: Event) {
        match event {
            Event::Model(model) => self.adopt(*model),
            Event::NoModel { path, error } => {
                self.loading = None;
                if self.model.is_none() {
                    self.exporting = None;
                }
                self.notes
                    .error(format!("{} cannot be used: {error}", path.display()));
                if let Some(opened) = self.waiting.take() {
                    self.show(*opened);
                }
            }
            Event::Drawn(drawn) => {
                self.picture = Some(drawn);
                self.export();
            }
            Event::NotDrawn { sight, error } => {
                self.undrawable = Some(sight);
                self.notes.error(error);
            }
            Event::Encoded { wanted, style } => {
                self.styling.encoding = None;
                let origin = Origin::of_picture(&wanted.path, &style);
                self.styling.put(wanted.part, origin);
            }
            Event::NotEncoded(error) => {
                self.styling.encoding = None;
                self.notes.error(error);
            }
            Event::NoMap(path) => {
                let text = format!(
                    "{} is no label map: too many of its values are no classes.",
                    name_of(&path)
                );
                match self.takes_pictures() {
                    true => self.notes.offer(text, "Take its style", Offer::Style(path)),
                    false => self.notes.offer(text, "Trace it", Offer::Trace(path)),
                }
            }
            // Whoever was faster than the layout of a first look keeps what they painted.
            Event::Opened(opened) => {
                let greets = opened.path.is_none() && std::mem::take(&mut self.greeting);
                if !(greets && self.history.can_undo()) {
                    self.replace(*opened);
                }
            }
            Event::Foreign(mapping) => self.dialog = Some(Dialog::Mapping(mapping)),
            Event::Traced { path, image } => {
                let texture = None;
                self.traced = Some(Traced {
                    path,
                    image,
                    texture,
                });
            }
            Event::Saved { path, purpose } => self.saved(path, purpose),
            Event::Exists { path } => match &mut self.dialog {
                Some(Dialog::Path(sheet)) => sheet.refuse(path),
                _ => self
                    .notes
                    .error(format!("{} exists already", path.display())),
            },
            Event::Chosen(path) => {
                if let Some(Dialog::Path(sheet)) = &mut self.dialog {
                    sheet.text = path.display().to_string();
                }
            }
            Event::Notice(text) => self.notes.info(text),
            Event::Failed(error) => {
                if self.parting == Parting::Saving {
                    self.parting = Parting::Staying;
                    self.next = None;
                }
                self.notes.error(error);
            }
        }
    }

    pub(super) fn adopt(&mut self, model: Model) {
        self.loading = None;
        self.picture = None;
        self.asked = None;
        self.recall(Recent::Model(model.path.clone()));
        let untouched = !self.history.can_undo() && self.file.is_none();
        let size = model.size;
        let waiting = self.waiting.take();
        let waiting = waiting.map(|opened| (self.would_lose(true), opened));
        // While the model of before is still known: what is lost is kept with it.
        self.change_space(model.space.clone());
        self.model = Some(model);
        self.styling.adopt();
        match waiting {
            // Painted on while the model was loaded.
            Some((true, opened)) => return self.replace(*opened),
            Some((false, opened)) => return self.show(*opened),
            None => {}
        }
        if untouched {
            // A first look: a picture at once where the model knows landscapes, else a sheet of its first class.
            self.canvas = Canvas::blank(size, self.hand.ground);
            self.hand = Hand::new(size, self.hand.ground);
            self.settle();
            self.view = View::Fit;
            if self.knows_landscapes() {
                self.greeting = true;
                self.landscape();
            }
        }
    }

    pub(super) fn knows_landscapes(&self) -> bool {
        let known = |name: &str| (0..self.space.ids() as u32).any(|id| self.space.name(id) == name);
        let classes = crate::data::landscape::CLASSES;
        classes.iter().all(|class| known(class.name))
    }

    /// Changes to other classes; a canvas of the old ones is translated, and its history ends.
    pub(super) fn change_space(&mut self, space: Arc<LabelSpace>) {
        if *space == *self.space {
            return;
        }
        let ground = space.dontcare_id().unwrap_or(0) as u8;
        let (labels, lost) = sheet::translate(self.canvas.labels(), &self.space, &space, ground);
        let is_lossy = self.would_lose(false) && !lost.is_empty();
        let aside = is_lossy.then(|| self.put_aside()).flatten();
        let aside = aside.map(|path| {
            let text = lost_text(&lost, &space, ground) + " The layout as it was is kept.";
            (path, text)
        });
        if aside.is_none() && (self.is_unsaved() || self.file.is_some()) {
            self.tell_lost(&lost, &space, ground);
        }
        self.canvas.exchange(labels);
        self.history = History::default();
        self.hand = Hand::new(self.canvas.size(), ground);
        self.palette = Palette::default();
        self.space = space;
        self.recoloured = true;
        if let Some((path, text)) = aside {
            // What is left of it here is nobody's work.
            self.file = None;
            self.settle();
            self.notes
                .offer(text, "Bring it back", Offer::Recover(path));
        }
    }

    /// Keeps the layout as it is in a file of its own, if there is a place for it.
    fn put_aside(&mut self) -> Option<PathBuf> {
        let path = self.home.as_mut()?.aside();
        self.write(path.clone(), Purpose::Aside, true);
        Some(path)
    }

    pub(super) fn tell_lost(&mut self, lost: &[String], space: &LabelSpace, ground: u8) {
        if !lost.is_empty() {
            self.notes.info(lost_text(lost, space, ground));
        }
    }
}

/// What became of classes that a model lacks.
fn lost_text(lost: &[String], space: &LabelSpace, ground: u8) -> String {
    let ground = space.name(u32::from(ground));
    let lost = lost.join(", ");
    format!("This model has no {lost}: painted as {ground}.")
}
