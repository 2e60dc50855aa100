//! What the painter opens and saves, and the copy of unsaved work that survives a crash.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Dialog, Easel, NO_PICTURE, Parting};
use crate::app::canvas::Canvas;
use crate::app::clerk::Job;
use crate::app::event::{Opened, Purpose};
use crate::app::home::{Home, Recent};
use crate::app::paths::Wish;
use crate::app::sheet::{self, Project};
use crate::app::styling::Recipe;
use crate::data::LabelSpace;

/// Time between changes and the copy that survives a crash.
const AUTOSAVE: Duration = Duration::from_secs(3);

impl Easel {
    /// Does what a path was asked for.
    pub fn grant(&mut self, wish: Wish, path: PathBuf, replace: bool) {
        match wish {
            Wish::Open => self.open(path),
            Wish::Trace => self.clerk.give(Job::Trace(path)),
            Wish::Model => self.load(path),
            Wish::Style(part) => self.encode(path, part),
            Wish::Save => self.save(path, replace),
            Wish::Export if self.model.is_none() && self.loading.is_none() => {
                self.notes.error(NO_PICTURE);
            }
            Wish::Export => {
                self.exporting = Some((path, replace));
                self.export();
            }
        }
    }

    /// Writes the picture that is to be saved, once it shows the canvas as it is.
    pub(super) fn export(&mut self) {
        if self.is_behind() || self.model.is_none() {
            return;
        }
        if let (Some(drawn), Some((path, replace))) = (&self.picture, self.exporting.take()) {
            self.clerk.give(Job::Export {
                path,
                picture: drawn.picture.clone(),
                replace,
            });
        }
    }

    /// Opens a label map, now that every value of it has a class.
    pub fn mapped(&mut self) {
        if let Some(Dialog::Mapping(mapping)) = self.dialog.take() {
            self.replace(Opened {
                labels: mapping.labels(),
                path: None,
                space: mapping.space,
                project: None,
            });
        }
    }

    pub(super) fn save(&mut self, path: PathBuf, replace: bool) {
        self.write(path, Purpose::Layout(self.sight()), replace);
    }

    pub(super) fn write(&mut self, path: PathBuf, purpose: Purpose, replace: bool) {
        let mut project = Project::new(LabelSpace::clone(&self.space));
        project.checkpoint = self.model.as_ref().map(|model| model.path.clone());
        project.traced = self.traced.as_ref().map(|traced| traced.path.clone());
        project.style = self.styles().map(|_| self.styling.recipe().clone());
        project.outlines = self.outlines;
        self.clerk.give(Job::Save {
            path,
            labels: Arc::new(self.canvas.labels().clone()),
            project: Box::new(project),
            purpose,
            replace,
        });
    }

    /// Puts another layout in the place of the canvas, once changes that it would lose are saved or given up.
    pub(super) fn replace(&mut self, opened: Opened) {
        if self.would_lose(opened.project.is_some()) {
            self.parting = Parting::Staying;
            self.next = Some(Box::new(opened));
            self.dialog = Some(Dialog::Unsaved);
        } else {
            self.load_and_show(Box::new(opened));
        }
    }

    /// Whether a layout in the place of the canvas would lose changes. A style outlives the layout it was chosen for,
    /// unless it belongs to that layout's file, or the other brings one.
    pub(super) fn would_lose(&self, brings_style: bool) -> bool {
        match self.saved {
            Some(saved) if self.file.is_none() && !brings_style => {
                saved.layout != self.sight().layout
            }
            _ => self.is_unsaved(),
        }
    }

    fn load_and_show(&mut self, opened: Box<Opened>) {
        let wanted = opened
            .project
            .as_ref()
            .and_then(|project| project.checkpoint.clone());
        let current = self.model.as_ref().map(|model| &model.path);
        match wanted {
            Some(wanted) if Some(&wanted) != current => {
                self.load(wanted);
                self.waiting = Some(opened);
            }
            _ => self.show(*opened),
        }
    }

    /// Shows a layout that was read.
    pub(super) fn show(&mut self, opened: Opened) {
        let Opened {
            path,
            labels,
            space,
            project,
        } = opened;
        if self.model.is_none() && path.is_some() {
            self.change_space(space.clone());
        }
        let (labels, is_whole) = if *space == *self.space {
            (labels, true)
        } else {
            let ground = self.hand.ground;
            let (labels, lost) = sheet::translate(&labels, &space, &self.space, ground);
            let space = self.space.clone();
            self.tell_lost(&lost, &space, ground);
            (labels, lost.is_empty())
        };
        let nothing_to_lose = !self.is_unsaved();
        self.exchange(Canvas::new(labels));
        let recovery = self.recovery();
        let orphan = path
            .as_ref()
            .is_some_and(|path| path.parent() == recovery.as_deref().and_then(Path::parent));
        if let Some(project) = project {
            if let Some(traced) = project.traced {
                self.clerk.give(Job::Trace(traced));
            }
            if let Some(recipe) = project.style {
                self.restore(recipe);
            }
            self.outlines = project.outlines;
        }
        match path {
            // What was recovered is still unsaved, and lives on as this window's own.
            Some(path) if orphan => {
                self.file = None;
                self.saved = None;
                self.autosaved = None;
                // A copy of half of it does not stand for it.
                self.orphan = is_whole.then_some(path);
            }
            Some(path) => {
                self.recall(Recent::Layout(path.clone()));
                self.file = Some(path);
                self.saved = Some(self.sight());
            }
            None => {
                self.file = None;
                let layout = self.sight().layout;
                match &mut self.saved {
                    Some(saved) if !nothing_to_lose => saved.layout = layout,
                    _ => self.settle(),
                }
            }
        }
    }

    /// Takes the style of a project, if the model has such styles.
    fn restore(&mut self, recipe: Recipe) {
        let styles = self.styles().map(|styles| recipe.style(styles.z_dim));
        match styles {
            Some(Ok(_)) => self.styling.set(recipe),
            Some(Err(error)) => {
                let error = format!("The style of the file cannot be used: {error}.");
                self.notes.error(error);
            }
            None => self
                .notes
                .info("The file has a style, but this model has none: it is left out."),
        }
    }

    pub(super) fn saved(&mut self, path: PathBuf, purpose: Purpose) {
        match purpose {
            Purpose::Layout(sight) => {
                self.close_sheet(Wish::Save);
                self.saved = Some(sight);
                self.recall(Recent::Layout(path.clone()));
                self.notes.done(format!("Saved {}.", path.display()));
                if self.is_next(&path) {
                    // What was read of it before is not what it holds now.
                    self.stay();
                }
                self.file = Some(path);
                self.drop_recovery();
                // What changed while it was written is copied again.
                self.autosaved = self.saved;
                if self.parting == Parting::Saving {
                    self.part();
                }
            }
            Purpose::Picture => {
                self.close_sheet(Wish::Export);
                self.notes.done(format!("Saved {}.", path.display()));
            }
            // A copy of what was there before the recovered layout does not stand for it.
            Purpose::Autosave(sight) if self.autosaved == Some(sight) => self.drop_orphan(),
            Purpose::Autosave(_) | Purpose::Aside => {}
        }
    }

    /// Whether what is to take the place of the canvas was read from this file.
    fn is_next(&self, file: &Path) -> bool {
        let next = self.next.as_ref().and_then(|next| next.path.as_ref());
        // However the path is written.
        let same = |next: &PathBuf| match (next.canonicalize(), file.canonicalize()) {
            (Ok(next), Ok(file)) => next == file,
            _ => next == file,
        };
        next.is_some_and(same)
    }

    /// Goes on with what waited for the layout to be saved or given up. What changed meanwhile is asked about again.
    fn part(&mut self) {
        self.parting = Parting::Staying;
        match self.next.take() {
            Some(opened) => self.replace(*opened),
            None if self.may_leave() => self.parting = Parting::Gone,
            None => {}
        }
    }

    /// Closes the sheet that asked for the path of what was written, if it is still there.
    fn close_sheet(&mut self, wish: Wish) {
        if matches!(&self.dialog, Some(Dialog::Path(sheet)) if sheet.wish() == wish) {
            self.dialog = None;
        }
    }

    /// Remembers a file as the latest.
    pub(super) fn recall(&mut self, recent: Recent) {
        self.memory.recall(&recent);
        if let Some(home) = &self.home {
            let folder = home.folder().to_path_buf();
            self.clerk.give(Job::Recall(folder, recent));
        }
    }

    fn drop_recovery(&mut self) {
        if let Some(home) = &self.home {
            self.clerk.give(Job::Remove(home.recovery()));
        }
        self.drop_orphan();
    }

    fn drop_orphan(&mut self) {
        if let Some(orphan) = self.orphan.take() {
            self.clerk.give(Job::Remove(orphan));
        }
    }

    /// Writes the copy that survives a crash when it is due; says how long until then.
    pub fn autosave(&mut self, now: Instant) -> Option<Duration> {
        let sight = self.sight();
        if self.home.is_none() || self.autosaved == Some(sight) || !self.is_unsaved() {
            self.changed = None;
            return None;
        }
        let due = *self.changed.get_or_insert(now) + AUTOSAVE;
        if due > now {
            return Some(due - now);
        }
        self.autosaved = Some(sight);
        self.changed = None;
        if let Some(home) = &self.home {
            self.write(home.recovery(), Purpose::Autosave(self.sight()), true);
        }
        None
    }

    /// Where the copy that survives a crash is written, if anywhere.
    pub fn recovery(&self) -> Option<PathBuf> {
        self.home.as_ref().map(Home::recovery)
    }

    /// Whether the window may close now. If not, the changes that would be lost are asked about.
    pub fn may_leave(&mut self) -> bool {
        if self.parting == Parting::Gone || !self.is_unsaved() {
            return true;
        }
        self.parting = Parting::Staying;
        self.next = None;
        self.dialog = Some(Dialog::Unsaved);
        false
    }

    /// Saves the changes, then goes on.
    pub fn save_and_part(&mut self) {
        self.dialog = None;
        self.parting = Parting::Saving;
        match self.file.clone() {
            Some(path) => self.save(path, true),
            None => self.ask(Wish::Save),
        }
    }

    /// Goes on without the changes.
    pub fn part_unsaved(&mut self) {
        self.dialog = None;
        self.settle();
        self.part();
    }

    /// Closes the dialog, whatever it was for; a picture that waits to be written is not wanted any more.
    pub fn stay(&mut self) {
        self.dialog = None;
        self.exporting = None;
        self.next = None;
        self.parting = Parting::Staying;
    }

    /// Leaves nothing behind but what is not saved.
    pub fn leave(&mut self) {
        self.hand.cancel(&mut self.canvas, &mut self.history);
        match &self.home {
            Some(home) if self.is_unsaved() => {
                self.write(home.recovery(), Purpose::Autosave(self.sight()), true);
            }
            Some(_) => self.drop_recovery(),
            None => {}
        }
        if let Some(home) = &mut self.home {
            home.move_out();
        }
    }
}
