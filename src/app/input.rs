//! What pointer and keys did in a frame, in the order they did it: a frame may hold the end of a stroke and the key that
//! undoes it.

use eframe::egui::{Context, Event, Popup};

use super::command::{Command, keys};

/// Something that was done.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// A key's command.
    Command(Command),
    /// What the pointer did.
    Pointer(Event),
}

/// What was done in a frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Acts {
    /// In order.
    pub acts: Vec<Act>,
    /// Whether a menu was open when the frame began: what the pointer does then closes it.
    pub in_menu: bool,
}

impl Acts {
    /// Takes the keys of commands out of the input, and notes what the pointer did between them. While someone writes,
    /// letters are letters. Keys that end a gesture belong to the focused control unless there is one: `gesture`, or one
    /// that begins in this frame.
    pub fn take(window: &Context, gesture: bool) -> Self {
        let in_menu = Popup::is_any_open(window);
        let writing = window.text_edit_focused();
        let keys = keys();
        let mut gesture = gesture;
        let mut acts = Vec::new();
        window.input_mut(|input| {
            input.events.retain(|event| {
                gesture |= matches!(event, Event::PointerButton { pressed: true, .. });
                let command = match event {
                    _ if in_menu => None,
                    // Systems turn this combination into an event of its own.
                    Event::Copy if !writing => {
                        acts.push(Act::Command(Command::CopyPicture));
                        return true;
                    }
                    Event::Key {
                        key,
                        pressed: true,
                        modifiers,
                        ..
                    } => keys.iter().find(|(command, shortcut)| {
                        *key == shortcut.logical_key
                            && modifiers.matches_logically(shortcut.modifiers)
                            && (gesture || !matches!(command, Command::Close | Command::GiveUp))
                            && (!writing
                                || (shortcut.modifiers.any()
                                    && !shortcut.conflicts_with_text_editing()))
                    }),
                    _ => None,
                };
                match (command, event) {
                    (Some((command, _)), _) => acts.push(Act::Command(*command)),
                    (None, Event::PointerButton { .. } | Event::PointerMoved(_)) => {
                        acts.push(Act::Pointer(event.clone()));
                    }
                    (None, _) => {}
                }
                command.is_none()
            });
        });
        Self { acts, in_menu }
    }

    /// What the pointer did, and no keys: they belong to a dialog.
    pub fn of_pointer(window: &Context) -> Self {
        let is_pointer =
            |event: &&Event| matches!(event, Event::PointerButton { .. } | Event::PointerMoved(_));
        let acts = window.input(|input| {
            let events = input.events.iter().filter(is_pointer);
            events.cloned().map(Act::Pointer).collect()
        });
        let in_menu = false;
        Self { acts, in_menu }
    }
}
