//! The keyboard sheet: every command with its key.

use eframe::egui::{Align, Frame, Id, Layout, Modal, ScrollArea, Ui, vec2};

use super::command::SECTIONS;

/// What pointer and keys do beside commands.
const POINTER: [(&str, &str); 5] = [
    ("Zoom", "Wheel"),
    ("Move the view", "Middle button, or Space"),
    ("Choose the class below", "Right button, or Alt"),
    ("Straight stroke", "Shift"),
    ("Class of the palette", "1 … 0"),
];

/// Width of a column.
const COLUMN: f32 = 270.0;
/// Space between columns.
const GAP: f32 = 28.0;

/// Draws the sheet; false once it is closed.
pub fn ui(ui: &mut Ui) -> bool {
    let mut open = true;
    let modal = Modal::new(Id::unique("keys")).frame(Frame::window(ui.style()));
    let modal = modal.show(ui.ctx(), |ui| {
        // In small windows, or with large writing, it is scrolled.
        let room = ui.ctx().content_rect().size() - vec2(64.0, 110.0);
        let columns = 3.0 * COLUMN + 2.0 * GAP + 12.0;
        ui.set_max_size(vec2(room.x.min(columns), room.y + 60.0));
        ui.horizontal(|ui| {
            ui.heading("Keyboard");
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if ui.button("Close").clicked() {
                    open = false;
                }
            });
        });
        ui.add_space(8.0);
        // Where they do not all fit, two columns do, beside the scroll bar.
        let width = ((room.x - GAP) / 2.0 - 10.0).clamp(120.0, COLUMN);
        let scroll = ScrollArea::both().max_width(room.x).max_height(room.y);
        scroll.show(ui, |ui| {
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = GAP;
                for titles in [
                    &["File", "Edit"][..],
                    &["Tools", "Style"],
                    &["View", "Help"],
                ] {
                    ui.vertical(|ui| column_ui(ui, titles, width));
                }
            })
        });
    });
    open && !modal.should_close()
}

/// Draws a sheet of groups of keys; false once it is closed.
pub fn list_ui<'a>(
    ui: &mut Ui,
    groups: impl Iterator<Item = (&'a str, &'a [(&'a str, &'a str)])>,
) -> bool {
    let mut open = true;
    let modal = Modal::new(Id::unique("keys")).frame(Frame::window(ui.style()));
    let modal = modal.show(ui.ctx(), |ui| {
        let room = ui.ctx().content_rect().size() - vec2(64.0, 110.0);
        ui.set_width(room.x.min(440.0));
        ui.set_max_height(room.y + 60.0);
        ui.horizontal(|ui| {
            ui.heading("Keyboard");
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                open &= !ui.button("Close").clicked();
            });
        });
        ui.add_space(8.0);
        let scroll = ScrollArea::vertical().max_height(room.y);
        scroll.show(ui, |ui| {
            // The scroll bar lies beside the keys.
            ui.set_max_width(ui.available_width() - 12.0);
            ui.spacing_mut().item_spacing = vec2(8.0, 3.0);
            ui.spacing_mut().interact_size.y = 18.0;
            for (title, rows) in groups {
                ui.strong(title);
                rows.iter().for_each(|(what, key)| row_ui(ui, what, key));
                ui.add_space(8.0);
            }
        });
    });
    open && !modal.should_close()
}

fn column_ui(ui: &mut Ui, titles: &[&str], width: f32) {
    ui.spacing_mut().item_spacing = vec2(8.0, 3.0);
    // Rows of writing, not of controls.
    ui.spacing_mut().interact_size.y = 18.0;
    ui.set_width(width);
    for section in SECTIONS
        .iter()
        .filter(|section| titles.contains(&section.title))
    {
        ui.strong(section.title);
        for command in section.commands.iter().flatten() {
            let key = command.key_text(ui.ctx());
            if !key.is_empty() {
                row_ui(ui, command.name(), &key);
            }
        }
        ui.add_space(8.0);
    }
    if titles.contains(&"Help") {
        ui.strong("Besides");
        for (what, how) in POINTER {
            row_ui(ui, what, how);
        }
    }
}

fn row_ui(ui: &mut Ui, what: &str, key: &str) {
    ui.horizontal(|ui| {
        ui.label(what);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| ui.weak(key));
    });
}
