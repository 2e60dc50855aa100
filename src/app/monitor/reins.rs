//! What a person may do to a run that is trained here: its buttons, keys and settings.

use super::*;

/// A title, whether the group belongs to a run that is trained here, and what each key does.
type KeyGroup = (&'static str, bool, &'static [(&'static str, &'static str)]);

/// Keys by group.
pub(super) const KEYS: [KeyGroup; 3] = [
    (
        "Training",
        true,
        &[
            ("Pause, go on, or start again", "P"),
            ("One iteration", "."),
            ("Save now", "S"),
            ("Undo the latest change of a setting", "Ctrl+Z"),
            ("Watch, paint, data", "F2, F3, F4"),
        ],
    ),
    (
        "Sample sheets",
        false,
        &[
            ("Earlier and later", "Left, Right"),
            ("Always the newest", "End"),
        ],
    ),
    (
        "Window",
        false,
        &[
            ("Light or dark", "F9"),
            ("Larger, smaller and normal text", "Ctrl+ +, −, 0"),
            ("This list", "F1"),
            ("Close; a run that is trained here saves and ends", "Ctrl+Q"),
        ],
    ),
];

impl Monitor {
    /// Takes the latest change back.
    pub(super) fn undo(&mut self) {
        let last = self.reins.as_ref().and_then(|reins| reins.undo.last());
        if let Some(&Change { knob, from, .. }) = last {
            self.order(Order::Tune(knob, from));
        }
    }

    /// The settings that can be changed while the run goes on.
    pub(super) fn knobs_ui(&mut self, ui: &mut Ui) {
        let Some(reins) = &self.reins else { return };
        let ready = reins.orders.is_some() && reins.gait != Gait::Stopping;
        let undoable = ready && !reins.undo.is_empty();
        let mut tuned = None;
        let mut undo = false;
        ui.add_space(8.0);
        ui.horizontal(|ui| {
            ui.strong("Settings");
            // The window's font has no arrow.
            let last = self
                .changes
                .last()
                .map(|change| change.to_string().replace('→', "to"));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                undo = ui
                    .add_enabled(undoable, egui::Button::new("Undo change"))
                    .on_hover_text("Take the latest change back (Ctrl+Z)")
                    .clicked();
                let last = last.unwrap_or("changed from the next iteration on".into());
                ui.add(egui::Label::new(RichText::new(last).weak().small()).truncate());
            });
        });
        ui.horizontal_wrapped(|ui| {
            for knob in Knob::of(&self.config) {
                let value = knob.get(&self.config);
                tuned = knob_ui(ui, knob, value, ready)
                    .map(|to| (knob, to))
                    .or(tuned);
            }
        });
        ui.add_space(8.0);
        if let Some((knob, value)) = tuned {
            self.order(Order::Tune(knob, value));
        }
        if undo {
            self.undo();
        }
    }

    pub(super) fn keys(&mut self, window: &Context) {
        if window.text_edit_focused() {
            return;
        }
        if window.input_mut(|input| input.consume_key(Modifiers::COMMAND, Key::Z)) {
            self.undo();
        }
        if window.input_mut(|input| input.consume_key(Modifiers::COMMAND, Key::Q)) {
            window.send_viewport_cmd(ViewportCommand::Close);
        }
        let pressed = |key| window.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        let last = self.sheets.len().saturating_sub(1);
        let index = self.chosen.unwrap_or(last);
        if pressed(Key::ArrowLeft) {
            self.choose(index.saturating_sub(1));
        }
        if pressed(Key::ArrowRight) {
            self.choose(index + 1);
        }
        if pressed(Key::End) {
            self.chosen = None;
        }
        if pressed(Key::F1) {
            self.shows_keys = !self.shows_keys;
        }
        let paused = self
            .reins
            .as_ref()
            .is_some_and(|reins| reins.gait == Gait::Paused);
        if self.can_start() && pressed(Key::P) {
            self.start();
        }
        for (key, order) in [
            (Key::P, if paused { Order::Resume } else { Order::Pause }),
            (Key::Period, Order::Step),
            (Key::S, Order::Save),
        ] {
            if pressed(key) {
                self.order(order);
            }
        }
    }

    /// Whether training has ended and can go on from its newest checkpoint.
    fn can_start(&self) -> bool {
        let gait = self.reins.as_ref().map(|reins| reins.gait);
        matches!(gait, Some(Gait::Ended(End::Interrupted) | Gait::Failed))
    }

    /// Lets training go on from its newest checkpoint.
    fn start(&mut self) {
        if let Some(reins) = &mut self.reins
            && let Some(start) = reins.start.take()
        {
            // Who takes the wish lives as long as this.
            let _ = start.try_send(());
            reins.gait = Gait::Starting;
        }
    }

    /// Pause, step, save, stop; and start, once it has stopped.
    pub(super) fn reins_ui(&mut self, ui: &mut Ui) {
        if self.can_start() {
            let tip = "Go on from the newest checkpoint, as if never stopped (P)";
            let start = egui::Button::new("Start").selected(true);
            if ui.add(start).on_hover_text(tip).clicked() {
                self.start();
            }
            return;
        }
        let Some(reins) = &self.reins else { return };
        let ready = reins.orders.is_some() && reins.gait != Gait::Stopping;
        let paused = reins.gait == Gait::Paused;
        let mut given = None;
        for (name, tip, order) in [
            (
                "Stop",
                "Save and end the run; it can be resumed",
                Order::Stop,
            ),
            ("Save now", "Write a checkpoint (S)", Order::Save),
            ("Step", "One iteration, then pause (.)", Order::Step),
            match paused {
                true => ("Resume", "Go on (P)", Order::Resume),
                false => ("Pause", "Wait after this iteration (P)", Order::Pause),
            },
        ] {
            if ui
                .add_enabled(ready, egui::Button::new(name))
                .on_hover_text(tip)
                .clicked()
            {
                given = Some(order);
            }
        }
        if let Some(order) = given {
            self.order(order);
        }
    }
}

/// A field for a setting; its new value once it is entered.
fn knob_ui(ui: &mut Ui, knob: Knob, value: f64, ready: bool) -> Option<f64> {
    let name = match knob {
        Knob::Lr => "Rate",
        Knob::LambdaFeat => "Features",
        Knob::LambdaVgg => "VGG",
        Knob::LambdaKld => "KLD",
    };
    let tip = match knob {
        Knob::Lr => "Learning rate: lr",
        Knob::LambdaFeat => "Weight of feature matching: lambda_feat",
        Knob::LambdaVgg => "Weight of the perceptual loss: lambda_vgg",
        Knob::LambdaKld => "Weight of the divergence of styles: lambda_kld",
    };
    ui.label(name);
    // While it is dragged the run goes on as it is; what was entered counts.
    let id = egui::Id::unique(("knob", knob.name()));
    let mut entered = ui.data(|data| data.get_temp(id)).unwrap_or(value);
    let field = egui::DragValue::new(&mut entered)
        .range(0.0..=f64::MAX)
        .speed((value * 0.01).max(1e-7))
        .max_decimals(9)
        .custom_formatter(|value, _| format!("{value}"));
    let field = ui.add_enabled(ready, field);
    let field = field.accessible_name(knob.name()).on_hover_text(tip);
    if field.dragged() || field.has_focus() {
        ui.data_mut(|data| data.insert_temp(id, entered));
        return None;
    }
    ui.data_mut(|data| data.remove_temp::<f64>(id));
    let is_done = field.drag_stopped() || field.lost_focus() || field.changed();
    (is_done && entered != value).then_some(entered)
}
