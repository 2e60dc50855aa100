//! What the window remembers between starts: recent files, the theme, and layouts that were not saved.
//!
//! Every window keeps its unsaved layout in a file of its own, beside a lock that it holds while it lives: a file whose
//! lock is free belongs to a window that is gone.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::looks::Looks;
use crate::train::write_durably;
use crate::{Error, Result};

/// Number of recent files that are kept.
const RECENT: usize = 8;

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Layouts opened or saved, latest first.
    pub layouts: Vec<PathBuf>,
    /// Checkpoints and runs, latest first.
    pub models: Vec<PathBuf>,
    /// How windows look.
    #[serde(flatten)]
    pub looks: Looks,
}

/// A file that was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recent {
    /// A layout opened or saved.
    Layout(PathBuf),
    /// A checkpoint or a run.
    Model(PathBuf),
}

impl Memory {
    /// Puts a file first among those of its kind.
    pub fn recall(&mut self, recent: &Recent) {
        match recent {
            Recent::Layout(path) => recall(&mut self.layouts, path),
            Recent::Model(path) => recall(&mut self.models, path),
        }
    }

    /// Writes the memory.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::Data(format!("cannot write {}: {e}", path.display())))?;
        write_durably(path, |writer| writer.write_all(&text))
    }
}

/// Puts a path first in a list of recent ones.
fn recall(list: &mut Vec<PathBuf>, path: &Path) {
    list.retain(|seen| seen != path);
    list.insert(0, path.to_path_buf());
    list.truncate(RECENT);
}

/// The folder where the window keeps its memory.
#[derive(Debug)]
pub struct Home {
    folder: PathBuf,
    number: u32,
    /// Layouts that were put aside.
    aside: u32,
    lock: Option<File>,
}

impl Home {
    /// The user's own.
    pub fn of_user() -> Option<Self> {
        Self::folder_of_user().map(Self::at)
    }

    /// The folder of the user's own.
    pub fn folder_of_user() -> Option<PathBuf> {
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let folder = if cfg!(target_os = "windows") {
            variable("LOCALAPPDATA")?
        } else if cfg!(target_os = "macos") {
            variable("HOME")?.join("Library/Application Support")
        } else {
            let usual = || Some(variable("HOME")?.join(".local/state"));
            variable("XDG_STATE_HOME").or_else(usual)?
        };
        Some(folder.join("spadework"))
    }

    /// In a folder of choice.
    pub fn at(folder: PathBuf) -> Self {
        Self {
            folder,
            number: std::process::id(),
            aside: 0,
            lock: None,
        }
    }

    /// Where this window keeps its unsaved layout.
    pub fn recovery(&self) -> PathBuf {
        self.folder.join(format!("unsaved-{}.png", self.number))
    }

    /// A file for a layout that this window no longer shows; nobody's lock keeps it from being offered.
    pub fn aside(&mut self) -> PathBuf {
        loop {
            self.aside += 1;
            let name = format!("unsaved-{}-{}.png", self.number, self.aside);
            let path = self.folder.join(name);
            if !path.exists() {
                return path;
            }
        }
    }

    fn lock_of(recovery: &Path) -> PathBuf {
        recovery.with_extension("lock")
    }

    /// Reads the memory; a damaged one is forgotten, as nothing in it is precious.
    pub fn remember(&self) -> Memory {
        let text = std::fs::read_to_string(self.memory()).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The file of the memory.
    pub fn memory(&self) -> PathBuf {
        self.folder.join("window.json")
    }

    /// Changes what a folder remembers. Other windows do the same, so it is read, changed and written at once.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn revise(folder: &Path, change: impl FnOnce(&mut Memory)) -> Result<()> {
        let home = Self::at(folder.to_path_buf());
        home.make()?;
        let lock = File::open(folder);
        // Some systems lock no folders; then of two changes at the same moment one may be lost.
        if let Ok(lock) = &lock {
            let _ = lock.lock();
        }
        let mut memory = home.remember();
        change(&mut memory);
        memory.write(&home.memory())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn make(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder)
            .map_err(|e| Error::io("cannot create", &self.folder, e))
    }

    /// Takes this window's lock, and finds the latest layout that a window which is gone left behind.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn move_in(&mut self) -> Result<Option<PathBuf>> {
        self.make()?;
        let found = self.orphan();
        // Numbers of processes come again: what another window left, or still edits, is not ours to write over.
        while self.recovery().exists() || is_held(&Self::lock_of(&self.recovery())) {
            self.number = self.number.wrapping_add(1);
        }
        let path = Self::lock_of(&self.recovery());
        let lock = File::create(&path).map_err(|e| Error::io("cannot create", &path, e))?;
        // Some network folders know no locks; then another window may offer what this one still edits.
        let _ = lock.try_lock();
        self.lock = Some(lock);
        Ok(found)
    }

    fn orphan(&self) -> Option<PathBuf> {
        let entries = std::fs::read_dir(&self.folder).ok()?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let left = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            let ours = name.is_some_and(|n| n.starts_with("unsaved-") && n.ends_with(".png"));
            ours && !is_held(&Self::lock_of(path))
        };
        let changed = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
        paths.filter(left).max_by_key(changed)
    }

    /// Gives the lock back; an unsaved layout stays for the next start.
    pub fn move_out(&mut self) {
        if self.lock.take().is_some() {
            // Left behind, the empty file would do no harm.
            let _ = std::fs::remove_file(Self::lock_of(&self.recovery()));
        }
    }
}

/// Whether a window that lives holds a lock.
fn is_held(lock: &Path) -> bool {
    File::open(lock).is_ok_and(|lock| lock.try_lock().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_kept_and_a_damaged_one_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("state"));
        assert_eq!(home.remember(), Memory::default());
        let looks = Looks {
            dark: Some(true),
            scale: 1.5,
        };
        let mut memory = Memory {
            looks,
            ..Memory::default()
        };
        for n in 0..20 {
            recall(&mut memory.layouts, Path::new(&format!("{}.png", n % 12)));
        }
        assert_eq!(memory.layouts.len(), RECENT);
        assert_eq!(memory.layouts[0], Path::new("7.png"));
        std::fs::create_dir(dir.path().join("state")).unwrap();
        memory.write(&home.memory()).unwrap();
        assert_eq!(home.remember(), memory);
        // Two windows change what is theirs; as before there was a size.
        let path = home.memory();
        std::fs::write(
            &path,
            r#"{"layouts": ["a.png"], "models": [], "dark": false}"#,
        )
        .unwrap();
        Home::revise(home.folder(), |memory| memory.looks.scale = 2.0).unwrap();
        Home::revise(home.folder(), |memory| {
            recall(&mut memory.models, Path::new("b"))
        })
        .unwrap();
        let revised = home.remember();
        assert_eq!(revised.layouts, [Path::new("a.png")]);
        assert_eq!(revised.models, [Path::new("b")]);
        assert_eq!(
            (revised.looks.dark, revised.looks.scale),
            (Some(false), 2.0)
        );
        std::fs::write(&path, "{").unwrap();
        assert_eq!(home.remember(), Memory::default());
    }

    #[test]
    fn only_what_a_gone_window_left_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let window = |number| Home {
            number,
            ..Home::at(dir.path().to_path_buf())
        };
        let (mut first, mut second) = (window(1), window(2));
        assert_eq!(first.move_in().unwrap(), None);
        std::fs::write(first.recovery(), b"layout").unwrap();
        assert_eq!(second.move_in().unwrap(), None, "the first window lives");
        first.move_out();
        second.move_out();
        assert_eq!(window(3).move_in().unwrap(), Some(first.recovery()));
        // A process of the same number leaves what it finds alone, and so does one beside it.
        let (mut again, mut beside) = (window(1), window(1));
        assert_eq!(again.move_in().unwrap(), Some(first.recovery()));
        beside.move_in().unwrap();
        let paths = [&first, &again, &beside].map(Home::recovery);
        assert!(paths[0] != paths[1] && paths[1] != paths[2], "{paths:?}");
    }
}
