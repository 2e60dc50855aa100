//! How every window looks: light or dark, and how large its writing is.
//!
//! The window's own context is where it stands, so that every page shows the same, whichever changed it. What is
//! remembered is put on it at the start, and what changes is remembered.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use eframe::egui::{Button, Context, Key, Modifiers, ThemePreference, Ui, gui_zoom};
use serde::{Deserialize, Serialize};

use super::command::Command;
use super::home::Home;
use super::worker::Slot;

/// Sizes of writing that are remembered: with any other the way back could not be read.
const SCALES: std::ops::RangeInclusive<f32> = 0.5..=3.0;

/// How a window looks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Looks {
    /// Whether it is dark; without it as the system.
    pub dark: Option<bool>,
    /// Size of the writing, 1 being that of the system.
    pub scale: f32,
}

impl Default for Looks {
    fn default() -> Self {
        Self {
            dark: None,
            scale: 1.0,
        }
    }
}

impl Looks {
    /// How a window looks now.
    pub fn of(window: &Context) -> Self {
        let dark = match window.options(|options| options.theme_preference) {
            ThemePreference::System => None,
            ThemePreference::Dark => Some(true),
            ThemePreference::Light => Some(false),
        };
        let scale = window.zoom_factor();
        Self { dark, scale }
    }

    /// Puts them on a window.
    pub fn put_on(self, window: &Context) {
        window.set_theme(match self.dark {
            None => ThemePreference::System,
            Some(true) => ThemePreference::Dark,
            Some(false) => ThemePreference::Light,
        });
        if self.scale.is_finite() {
            window.set_zoom_factor(self.scale.clamp(*SCALES.start(), *SCALES.end()));
        }
    }
}

/// Commands that change the looks, as the menus list them.
pub const COMMANDS: [Command; 4] = [
    Command::Theme,
    Command::LargerText,
    Command::SmallerText,
    Command::NormalText,
];

/// Does a command that changes the looks; says whether it is one.
pub fn perform(command: Command, window: &Context) -> bool {
    match command {
        Command::Theme => window.set_theme(match window.global_style().visuals.dark_mode {
            true => ThemePreference::Light,
            false => ThemePreference::Dark,
        }),
        Command::LargerText => gui_zoom::zoom_in(window),
        Command::SmallerText => gui_zoom::zoom_out(window),
        Command::NormalText => window.set_zoom_factor(1.0),
        _ => return false,
    }
    true
}

/// Takes the key that changes the theme; those of the writing are the toolkit's own.
pub fn take_keys(window: &Context) {
    if window.input_mut(|input| input.consume_key(Modifiers::NONE, Key::F9)) {
        perform(Command::Theme, window);
    }
}

/// A menu of these commands, for windows without menus of their own.
pub fn menu_ui(ui: &mut Ui) {
    ui.menu_button("View", |ui| {
        ui.set_min_width(200.0);
        for command in COMMANDS {
            let key = command.key_text(ui.ctx());
            let entry = ui.add(Button::new(command.name()).shortcut_text(key));
            if entry.clicked() {
                perform(command, ui.ctx());
                ui.close();
            }
        }
    });
}

/// Remembers how a window looks, on a thread of its own.
pub struct Mirror {
    seen: Looks,
    changed: Option<Slot<Looks>>,
    thread: Option<JoinHandle<()>>,
}

impl Mirror {
    /// Puts on a window what is remembered in a folder. Without one nothing is remembered.
    pub fn new(window: &Context, home: Option<&Path>) -> Self {
        let looks = home.map(|home| Home::at(home.to_path_buf()).remember().looks);
        let looks = looks.unwrap_or_default();
        looks.put_on(window);
        let mut mirror = Self {
            seen: looks,
            changed: None,
            thread: None,
        };
        if let Some(home) = home {
            mirror.start(home.to_path_buf());
        }
        mirror
    }

    fn start(&mut self, home: PathBuf) {
        let slot = Slot::default();
        let changed = slot.taker();
        self.changed = Some(slot);
        self.thread = Some(std::thread::spawn(move || {
            for looks in changed {
                if let Err(error) = Home::revise(&home, |memory| memory.looks = looks) {
                    tracing::warn!("the looks of the window are not remembered: {error}");
                }
            }
        }));
    }

    /// Looks at the window.
    pub fn look(&mut self, window: &Context) {
        let looks = Looks::of(window);
        if looks != self.seen {
            self.seen = looks;
            if let Some(changed) = &self.changed {
                changed.put(looks);
            }
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.changed = None;
        // What was changed last is remembered before the program ends.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
