//! What takes most of the window: the sample sheet with its scrubber, and the curves.

use super::*;

impl Monitor {
    pub(super) fn sheet_ui(&mut self, ui: &mut Ui) {
        let area = ui.available_rect_before_wrap();
        ui.painter()
            .rect_filled(area, 0.0, theme::shades(ui.visuals()).backdrop);
        let (view, scrubber) = area.split_top_bottom_at_y(area.bottom() - 44.0);
        match &self.sheet {
            Some((_, texture)) => sheet_image_ui(ui, view, texture),
            None => {
                let font = TextStyle::Body.resolve(ui.style());
                let text = match self.sheets.is_empty() {
                    true => "No sample sheet yet",
                    false => "Reading the sample sheet",
                };
                let colour = ui.visuals().weak_text_color();
                ui.painter()
                    .text(view.center(), Align2::CENTER_CENTER, text, font, colour);
            }
        }
        if !self.sheets.is_empty() {
            let scrubber = scrubber.shrink2(vec2(16.0, 8.0));
            ui.scope_builder(egui::UiBuilder::new().max_rect(scrubber), |ui| {
                self.scrubber_ui(ui)
            });
        }
    }

    pub(super) fn scrubber_ui(&mut self, ui: &mut Ui) {
        ui.horizontal_centered(|ui| {
            let last = self.sheets.len() - 1;
            let mut index = self.chosen.unwrap_or(last);
            ui.spacing_mut().slider_width = (ui.available_width() - 250.0).max(60.0);
            let sheets = self.sheets.clone();
            let slider = Slider::new(&mut index, 0..=last)
                .show_value(false)
                .text("Sheet");
            let slider = ui.add_enabled(last > 0, slider);
            if slider
                .on_hover_text("Earlier sample sheets (left and right arrow)")
                .changed()
            {
                self.choose(index);
            }
            ui.label(format!("iteration {}", sheets[index.min(last)]));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let newest = self.chosen.is_none();
                let button = egui::Button::new("Newest").selected(newest);
                if ui
                    .add(button)
                    .on_hover_text("Show every new sheet as it comes (End)")
                    .clicked()
                {
                    self.chosen = None;
                }
            });
        });
    }

    pub(super) fn curves_ui(&mut self, ui: &mut Ui) {
        ui.add_space(8.0);
        ui.horizontal(|ui| {
            ui.strong("Losses");
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.spacing_mut().slider_width = 80.0;
                let slider = Slider::new(&mut self.look.smoothing, 0.0..=0.99)
                    .show_value(false)
                    .text("Smoothing");
                ui.add(slider)
                    .on_hover_text("Mean of the values before, older ones weighing less");
                ui.checkbox(&mut self.look.log, "Log")
                    .on_hover_text("Logarithmic axis");
            });
        });
        // Below the curves are the settings, where there are any.
        let below = if self.reins.is_some() { 76.0 } else { 0.0 };
        let room = ui.available_height() - below;
        let sheet = self
            .chosen
            .and_then(|index| self.sheets.get(index).copied());
        let changes = self.changes.iter().map(|change| change.step).collect();
        let marks = Marks { sheet, changes };
        self.curves
            .losses_ui(ui, (room * 0.5).max(120.0), self.look, &marks);
        ui.add_space(8.0);
        ui.strong("Learning rates");
        self.curves.rates_ui(ui, (room * 0.18).max(60.0), &marks);
        ui.add_space(8.0);
        ui.strong("Pictures per second");
        self.curves.speed_ui(ui, (room * 0.16).max(60.0));
        self.knobs_ui(ui);
    }
}
