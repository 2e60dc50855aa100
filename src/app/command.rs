//! Everything a key or a menu entry can do, with its name and keys: menus, tooltips and the keyboard sheet read this.

use eframe::egui::{Context, Key, KeyboardShortcut, Modifiers};

use super::tools::Tool;

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// A canvas of the ground class.
    New,
    /// A built-in layout.
    Landscape,
    /// A layout from a file.
    Open,
    /// A photograph under the canvas.
    Trace,
    /// Takes the photograph away.
    Untrace,
    /// Another generator.
    Model,
    /// Writes the layout to its file.
    Save,
    /// Writes the layout to another file.
    SaveAs,
    /// Writes the picture to a file.
    Export,
    /// Puts the picture on the clipboard.
    CopyPicture,
    /// Ends the program.
    Quit,
    /// A style by chance.
    Roll,
    /// The style of a picture.
    StylePicture,
    /// Shows or hides the styles.
    Styles,
    /// Undoes the latest edit.
    Undo,
    /// Redoes what was undone.
    Redo,
    /// Makes the chosen class the ground.
    Ground,
    /// Takes a tool.
    Take(Tool),
    /// A smaller brush.
    Smaller,
    /// A larger brush.
    Larger,
    /// Round or square.
    Tip,
    /// The class chosen before.
    Swap,
    /// The n-th class of the palette.
    Class(u8),
    /// Writes into the search field.
    Search,
    /// Closes a polygon.
    Close,
    /// Gives up a gesture.
    GiveUp,
    /// Shows all of the canvas.
    Fit,
    /// One pixel on one pixel.
    Natural,
    /// Larger.
    ZoomIn,
    /// Smaller.
    ZoomOut,
    /// Canvas and picture side by side.
    SideBySide,
    /// One over the other with a line between.
    Split,
    /// One in the place of the other.
    Blink,
    /// Changes between them.
    Flip,
    /// Light or dark.
    Theme,
    /// Larger writing.
    LargerText,
    /// Smaller writing.
    SmallerText,
    /// Writing as large as the system's.
    NormalText,
    /// The keyboard sheet.
    Keys,
}

/// A group of commands: a menu, and a part of the keyboard sheet.
pub struct Section {
    /// Its title.
    pub title: &'static str,
    /// Its commands; none is a line between groups.
    pub commands: &'static [Option<Command>],
}

/// Every command but the classes, in the order of the menus.
pub const SECTIONS: [Section; 6] = [
    Section {
        title: "File",
        commands: &[
            Some(Command::New),
            Some(Command::Landscape),
            Some(Command::Open),
            Some(Command::Trace),
            Some(Command::Untrace),
            None,
            Some(Command::Model),
            None,
            Some(Command::Save),
            Some(Command::SaveAs),
            Some(Command::Export),
            None,
            Some(Command::Quit),
        ],
    },
    Section {
        title: "Edit",
        commands: &[
            Some(Command::Undo),
            Some(Command::Redo),
            None,
            Some(Command::CopyPicture),
            None,
            Some(Command::Swap),
            Some(Command::Search),
            Some(Command::Ground),
        ],
    },
    Section {
        title: "Tools",
        commands: &[
            Some(Command::Take(Tool::Brush)),
            Some(Command::Take(Tool::Line)),
            Some(Command::Take(Tool::Rectangle)),
            Some(Command::Take(Tool::Polygon)),
            Some(Command::Take(Tool::Fill)),
            Some(Command::Take(Tool::Eraser)),
            Some(Command::Take(Tool::Eyedropper)),
            Some(Command::Take(Tool::Hand)),
            None,
            Some(Command::Larger),
            Some(Command::Smaller),
            Some(Command::Tip),
            None,
            Some(Command::Close),
            Some(Command::GiveUp),
        ],
    },
    Section {
        title: "Style",
        commands: &[
            Some(Command::Roll),
            Some(Command::StylePicture),
            None,
            Some(Command::Styles),
        ],
    },
    Section {
        title: "View",
        commands: &[
            Some(Command::SideBySide),
            Some(Command::Split),
            Some(Command::Blink),
            Some(Command::Flip),
            None,
            Some(Command::Fit),
            Some(Command::Natural),
            Some(Command::ZoomIn),
            Some(Command::ZoomOut),
            None,
            Some(Command::Theme),
            Some(Command::LargerText),
            Some(Command::SmallerText),
            Some(Command::NormalText),
        ],
    },
    Section {
        title: "Help",
        commands: &[Some(Command::Keys)],
    },
];

const DIGITS: [Key; 10] = [
    Key::Num1,
    Key::Num2,
    Key::Num3,
    Key::Num4,
    Key::Num5,
    Key::Num6,
    Key::Num7,
    Key::Num8,
    Key::Num9,
    Key::Num0,
];

const SHIFT_COMMAND: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

impl Command {
    /// What a person calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Landscape => "New landscape",
            Self::Open => "Open layout…",
            Self::Trace => "Trace a photo…",
            Self::Untrace => "Remove the photo",
            Self::Model => "Open model…",
            Self::Save => "Save layout",
            Self::SaveAs => "Save layout as…",
            Self::Export => "Save picture…",
            Self::CopyPicture => "Copy picture",
            Self::Quit => "Quit",
            Self::Roll => "Random style",
            Self::StylePicture => "Style of a picture…",
            Self::Styles => "Show styles",
            Self::Undo => "Undo",
            Self::Redo => "Redo",
            Self::Ground => "Use class as ground",
            Self::Take(tool) => tool.name(),
            Self::Smaller => "Smaller brush",
            Self::Larger => "Larger brush",
            Self::Tip => "Round or square brush",
            Self::Swap => "Previous class",
            Self::Class(_) => "Choose a class",
            Self::Search => "Search classes",
            Self::Close => "Close polygon",
            Self::GiveUp => "Give up",
            Self::Fit => "Fit",
            Self::Natural => "Actual size",
            Self::ZoomIn => "Zoom in",
            Self::ZoomOut => "Zoom out",
            Self::SideBySide => "Side by side",
            Self::Split => "Split",
            Self::Blink => "Blink",
            Self::Flip => "Show the other",
            Self::Theme => "Light or dark",
            Self::LargerText => "Larger text",
            Self::SmallerText => "Smaller text",
            Self::NormalText => "Normal text",
            Self::Keys => "Keyboard",
        }
    }

    /// Its key, as far as it has one.
    pub fn key(self) -> Option<KeyboardShortcut> {
        let (modifiers, key) = match self {
            Self::New => (Modifiers::COMMAND, Key::N),
            Self::Landscape => (Modifiers::COMMAND, Key::L),
            Self::Open => (Modifiers::COMMAND, Key::O),
            Self::Trace => (Modifiers::COMMAND, Key::T),
            Self::Model => (Modifiers::COMMAND, Key::M),
            Self::Save => (Modifiers::COMMAND, Key::S),
            Self::SaveAs => (SHIFT_COMMAND, Key::S),
            Self::Export => (Modifiers::COMMAND, Key::E),
            Self::CopyPicture => (Modifiers::COMMAND, Key::C),
            Self::Quit => (Modifiers::COMMAND, Key::Q),
            Self::Roll => (Modifiers::NONE, Key::D),
            Self::StylePicture => (Modifiers::COMMAND, Key::D),
            Self::Styles => (Modifiers::NONE, Key::F8),
            Self::Undo => (Modifiers::COMMAND, Key::Z),
            Self::Redo => (SHIFT_COMMAND, Key::Z),
            Self::Take(Tool::Brush) => (Modifiers::NONE, Key::B),
            Self::Take(Tool::Line) => (Modifiers::NONE, Key::L),
            Self::Take(Tool::Rectangle) => (Modifiers::NONE, Key::R),
            Self::Take(Tool::Polygon) => (Modifiers::NONE, Key::P),
            Self::Take(Tool::Fill) => (Modifiers::NONE, Key::G),
            Self::Take(Tool::Eraser) => (Modifiers::NONE, Key::E),
            Self::Take(Tool::Eyedropper) => (Modifiers::NONE, Key::I),
            Self::Take(Tool::Hand) => (Modifiers::NONE, Key::H),
            Self::Smaller => (Modifiers::NONE, Key::OpenBracket),
            Self::Larger => (Modifiers::NONE, Key::CloseBracket),
            Self::Tip => (Modifiers::NONE, Key::Q),
            Self::Swap => (Modifiers::NONE, Key::X),
            Self::Class(n) => (Modifiers::NONE, *DIGITS.get(usize::from(n))?),
            Self::Search => (Modifiers::NONE, Key::Slash),
            Self::Close => (Modifiers::NONE, Key::Enter),
            Self::GiveUp => (Modifiers::NONE, Key::Escape),
            Self::Fit => (Modifiers::NONE, Key::F),
            Self::Natural => (Modifiers::NONE, Key::N),
            Self::ZoomIn => (Modifiers::NONE, Key::Plus),
            Self::ZoomOut => (Modifiers::NONE, Key::Minus),
            Self::SideBySide => (Modifiers::NONE, Key::F5),
            Self::Split => (Modifiers::NONE, Key::F6),
            Self::Blink => (Modifiers::NONE, Key::F7),
            Self::Flip => (Modifiers::NONE, Key::V),
            Self::Theme => (Modifiers::NONE, Key::F9),
            Self::LargerText => (Modifiers::COMMAND, Key::Plus),
            Self::SmallerText => (Modifiers::COMMAND, Key::Minus),
            Self::NormalText => (Modifiers::COMMAND, Key::Num0),
            Self::Keys => (Modifiers::NONE, Key::F1),
            Self::Untrace | Self::Ground => return None,
        };
        Some(KeyboardShortcut::new(modifiers, key))
    }

    /// Its key in writing; empty without one.
    pub fn key_text(self, window: &Context) -> String {
        let text = self.key().map(|key| window.format_shortcut(&key));
        let mut text = text.unwrap_or_default();
        // As they stand on the key.
        for (name, symbol) in [
            ("OpenBracket", "["),
            ("CloseBracket", "]"),
            ("Slash", "/"),
            ("Plus", "+"),
            ("Minus", "−"),
        ] {
            if let Some(modifiers) = text.strip_suffix(name) {
                text = format!("{modifiers}{symbol}");
            }
        }
        text
    }

    /// Name and key, for tooltips.
    pub fn title(self, window: &Context) -> String {
        match self.key_text(window) {
            key if key.is_empty() => self.name().into(),
            key => format!("{} ({key})", self.name()),
        }
    }
}

/// Every command with a key.
fn all() -> impl Iterator<Item = Command> {
    let listed = SECTIONS.iter().flat_map(|section| section.commands);
    let classes = (0..DIGITS.len() as u8).map(Command::Class);
    listed.copied().flatten().chain(classes)
}

/// Every key with its command, those of more modifiers first: Ctrl-Shift-Z is also a Ctrl-Z.
pub fn keys() -> Vec<(Command, KeyboardShortcut)> {
    let mut keys: Vec<_> = all().filter_map(|c| Some((c, c.key()?))).collect();
    keys.push((
        Command::Redo,
        KeyboardShortcut::new(Modifiers::COMMAND, Key::Y),
    ));
    keys.sort_by_key(|(_, key)| !key.modifiers.shift);
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_does_two_things() {
        let keys: Vec<_> = all().filter_map(|c| Some((c, c.key()?))).collect();
        assert!(keys.len() > 40);
        for (i, (first, key)) in keys.iter().enumerate() {
            for (second, other) in &keys[i + 1..] {
                assert_ne!(key, other, "{first:?} and {second:?}");
            }
        }
    }

    #[test]
    fn names_are_unique_and_every_tool_is_listed() {
        let listed: Vec<_> = SECTIONS
            .iter()
            .flat_map(|section| section.commands.iter().flatten())
            .collect();
        for (i, first) in listed.iter().enumerate() {
            assert!(
                listed[i + 1..]
                    .iter()
                    .all(|other| other.name() != first.name())
            );
        }
        for tool in Tool::ALL {
            assert!(listed.contains(&&Command::Take(tool)));
        }
    }
}
