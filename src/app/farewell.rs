//! The dialog that asks what becomes of changes before the window closes, or another layout takes the canvas.

use eframe::egui::{Align, Button, Frame, Id, Layout, Modal, Ui};

/// What came of the dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing yet.
    Open,
    /// Everything stays.
    Stay,
    /// The changes are saved first.
    Save,
    /// The changes are lost.
    Discard,
}

/// Draws the dialog for the layout of a name, and the name of another that takes its place, if the window stays.
pub fn ui(ui: &mut Ui, name: &str, successor: Option<&str>) -> Answer {
    let mut answer = Answer::Open;
    let modal = Modal::new(Id::unique("farewell")).frame(Frame::window(ui.style()));
    let modal = modal.show(ui.ctx(), |ui| {
        ui.set_width(400.0);
        ui.heading(format!("Save the changes to {name}?"));
        let end = match successor {
            Some(other) => format!("What is not saved is lost when {other} takes its place."),
            None => "What is not saved is lost when the window closes.".into(),
        };
        ui.weak(format!(
            "The layout or its style has changed since it was last saved. {end}"
        ));
        ui.add_space(12.0);
        ui.horizontal(|ui| {
            if ui.button("Don't save").clicked() {
                answer = Answer::Discard;
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let save = ui.add(Button::new("Save").selected(true));
                if save.clicked() {
                    answer = Answer::Save;
                }
                // Enter saves.
                if ui.memory(|memory| memory.focused().is_none()) {
                    save.request_focus();
                }
                if ui.button("Cancel").clicked() {
                    answer = Answer::Stay;
                }
            });
        });
    });
    match answer {
        Answer::Open if modal.should_close() => Answer::Stay,
        answer => answer,
    }
}
