//! What shows the run: its progress, the sample sheet with its scrubber, and the curves.

use super::*;

impl Monitor {
    /// How far the run is, with a pin for every checkpoint.
    pub(super) fn progress_ui(&self, ui: &mut Ui) {
        let width = ui.available_width();
        let (rect, response) = ui.allocate_exact_size(vec2(width, 18.0), Sense::hover());
        let step = self.latest.as_ref().map_or(0, |latest| latest.step);
        let total = self.total_steps().unwrap_or(step).max(step).max(1);
        let at = |step: u64| rect.left() + rect.width() * step as f32 / total as f32;
        let bar = Rect::from_center_size(rect.center(), vec2(rect.width(), 6.0));
        let shades = theme::shades(ui.visuals());
        ui.painter()
            .rect_filled(bar, 3.0, ui.visuals().widgets.inactive.bg_fill);
        let done = Rect::from_min_max(bar.min, pos2(at(step), bar.max.y));
        ui.painter().rect_filled(done, 3.0, shades.accent);
        for &pin in &self.checkpoints {
            let middle = pos2(at(pin), rect.center().y);
            ui.painter().circle(
                middle,
                4.5,
                ui.visuals().panel_fill,
                Stroke::new(2.0, shades.accent),
            );
        }
        let share = 100.0 * step as f64 / total as f64;
        response.widget_info(|| WidgetInfo::labeled(Role::ProgressIndicator, true, "Progress"));
        let near = |pointer: Pos2| {
            let pins = self.checkpoints.iter().copied();
            pins.min_by_key(|&pin| (at(pin) - pointer.x).abs() as u64)
                .filter(|&pin| (at(pin) - pointer.x).abs() < 8.0)
        };
        let text = match response.hover_pos().and_then(near) {
            Some(pin) => format!("Checkpoint of iteration {pin}"),
            None if self.total_steps().is_some() => format!("{share:.1} % done"),
            None => "How far the run is shows once an epoch is over".into(),
        };
        response.on_hover_text_at_pointer(text);
    }

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
            let last = self.sheets.len() - 1;
            let mut index = self.chosen.unwrap_or(last).min(last);
            ui.label(format!("iteration {}", self.sheets[index]));
            // The rest of the line, however little.
            ui.spacing_mut().slider_width = (ui.available_width() - 8.0).max(24.0);
            let slider = Slider::new(&mut index, 0..=last).show_value(false);
            let slider = ui.add_enabled(last > 0, slider);
            let slider = slider.accessible_name("Sheet");
            if slider
                .on_hover_text("Earlier sample sheets (left and right arrow)")
                .changed()
            {
                self.choose(index);
            }
        });
    }

    pub(super) fn curves_ui(&mut self, ui: &mut Ui) {
        let room = ui.available_height();
        // In low windows, or with large writing, they are scrolled.
        let scroll = egui::ScrollArea::vertical().auto_shrink([false, false]);
        scroll.show(ui, |ui| self.curves_in(ui, room - 34.0));
    }

    /// The curves in a height, as far as they can be that low.
    fn curves_in(&mut self, ui: &mut Ui, room: f32) {
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
        let names = 44.0;
        let room = room - below - names;
        let sheet = self
            .chosen
            .and_then(|index| self.sheets.get(index).copied());
        let changes = self.changes.iter().map(|change| change.step).collect();
        let marks = Marks { sheet, changes };
        self.curves
            .losses_ui(ui, (room * 0.5).max(120.0), self.look, &marks);
        ui.add_space(8.0);
        self.curves.rates_ui(ui, (room * 0.18).max(60.0), &marks);
        ui.add_space(8.0);
        ui.strong("Pictures per second");
        self.curves.speed_ui(ui, (room * 0.16).max(60.0));
        self.knobs_ui(ui);
    }
}
