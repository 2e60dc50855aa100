//! The palette: the model's classes with colour, name and key, a search, and the classes used last.

use eframe::egui::{
    Align2, Key, Rect, Response, Role, ScrollArea, Sense, Stroke, StrokeKind, TextEdit, TextStyle,
    Ui, WidgetInfo, pos2, vec2,
};

use super::command::Command;
use super::easel::Easel;
use super::theme;
use crate::data::LabelSpace;

/// Number of latest classes that are shown.
const LATEST: usize = 6;
/// Below so many classes the list is its own overview.
const MANY: usize = 16;

/// Search and latest classes.
#[derive(Clone, Debug, Default)]
pub struct Palette {
    /// What is searched for.
    pub search: String,
    /// Whether the search field shall get the keys.
    pub focus: bool,
    latest: Vec<u8>,
}

impl Palette {
    /// Puts a class first among the latest.
    pub fn remember(&mut self, id: u8) {
        self.latest.retain(|&seen| seen != id);
        self.latest.insert(0, id);
        self.latest.truncate(LATEST);
    }

    /// The class used before.
    pub fn latest(&self) -> Option<u8> {
        self.latest.first().copied()
    }

    /// The classes that match the search, in the order of their ids.
    pub fn shown(&self, space: &LabelSpace) -> Vec<u8> {
        let wanted = self.search.trim().to_lowercase();
        let ids = 0..space.ids() as u32;
        let found = ids.filter(|&id| space.name(id).to_lowercase().contains(&wanted));
        found.map(|id| id as u8).collect()
    }
}

/// Draws the palette.
pub fn ui(ui: &mut Ui, easel: &mut Easel) {
    ui.add_space(theme::GAP / 2.0);
    search_ui(ui, easel);
    let space = easel.space.clone();
    if space.ids() > MANY && !easel.palette.latest.is_empty() {
        ui.add_space(4.0);
        latest_ui(ui, easel);
    }
    ui.add_space(4.0);
    let shown = easel.palette.shown(&space);
    if shown.is_empty() {
        ui.weak("No class of this name.");
    }
    let style = ui.spacing_mut();
    style.item_spacing.y = 1.0;
    let rows = ScrollArea::vertical().auto_shrink([false, false]);
    rows.show_rows(ui, theme::ROW, shown.len(), |ui, range| {
        for n in range {
            let id = shown[n];
            if row_ui(ui, easel, id, n).clicked() {
                easel.choose(id);
            }
        }
    });
}

fn search_ui(ui: &mut Ui, easel: &mut Easel) {
    let title = Command::Search.title(ui.ctx());
    let field = TextEdit::singleline(&mut easel.palette.search)
        .hint_text("Search classes")
        .desired_width(f32::INFINITY)
        .margin(vec2(8.0, 5.0));
    let field = ui
        .add(field)
        .accessible_name("Search classes")
        .on_hover_text(title);
    if std::mem::take(&mut easel.palette.focus) {
        field.request_focus();
    }
    // Enter takes the first match and gives the keys back.
    if field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) {
        if let Some(&id) = easel.palette.shown(&easel.space).first() {
            easel.choose(id);
        }
        easel.palette.search.clear();
    }
}

fn latest_ui(ui: &mut Ui, easel: &mut Easel) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        for id in easel.palette.latest.clone() {
            let (rect, response) = ui.allocate_exact_size(vec2(22.0, 22.0), Sense::click());
            swatch(ui, rect.shrink(1.0), easel.space.colour(u32::from(id)));
            let name = format!("Recent: {}", easel.space.name(u32::from(id)));
            label(&response, &name, false);
            if response.on_hover_text(name).clicked() {
                easel.choose(id);
            }
        }
    });
}

fn row_ui(ui: &mut Ui, easel: &Easel, id: u8, n: usize) -> Response {
    let size = vec2(ui.available_width(), theme::ROW);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let chosen = easel.hand.class == id;
    let name = easel.space.name(u32::from(id));
    let shades = theme::shades(ui.visuals());
    let widget = ui.style().interact(&response);
    let (fill, text) = match (chosen, response.hovered()) {
        (true, _) => (Some(shades.accent), shades.on_accent),
        (false, true) => (Some(widget.weak_bg_fill), widget.fg_stroke.color),
        (false, false) => (None, ui.visuals().text_color()),
    };
    if let Some(fill) = fill {
        ui.painter().rect_filled(rect, 5.0, fill);
    }
    let square =
        Rect::from_center_size(pos2(rect.left() + 16.0, rect.center().y), vec2(16.0, 16.0));
    swatch(ui, square, easel.space.colour(u32::from(id)));
    let key = Command::Class(n.min(255) as u8).key_text(ui.ctx());
    let font = TextStyle::Body.resolve(ui.style());
    let faint = if chosen {
        text
    } else {
        ui.visuals().weak_text_color()
    };
    let right = pos2(rect.right() - 10.0, rect.center().y);
    let key_rect = ui
        .painter()
        .text(right, Align2::RIGHT_CENTER, &key, font.clone(), faint);
    let left = pos2(rect.left() + 32.0, rect.center().y);
    let room = Rect::from_min_max(rect.min, pos2(key_rect.left() - 6.0, rect.max.y));
    ui.painter()
        .with_clip_rect(room.intersect(ui.clip_rect()))
        .text(left, Align2::LEFT_CENTER, &name, font, text);
    label(&response, &name, chosen);
    let ground = if easel.hand.ground == id {
        "\nThe ground: what the eraser leaves."
    } else {
        ""
    };
    let tip = if key.is_empty() {
        name
    } else {
        format!("{name} ({key})")
    };
    response.on_hover_text(format!("{tip}{ground}"))
}

/// A patch of a class's colour.
pub fn swatch(ui: &Ui, rect: Rect, [r, g, b]: [u8; 3]) {
    let colour = eframe::egui::Color32::from_rgb(r, g, b);
    let edge = Stroke::new(1.0, theme::shades(ui.visuals()).edge);
    ui.painter()
        .rect(rect, 3.0, colour, edge, StrokeKind::Inside);
}

fn label(response: &Response, name: &str, chosen: bool) {
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, name));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::clerk::landscape_space;

    #[test]
    fn a_search_finds_parts_of_names_in_any_case() {
        let space = landscape_space();
        let mut palette = Palette::default();
        assert_eq!(palette.shown(&space).len(), space.ids());
        palette.search = " OU ".into();
        let names: Vec<_> = palette
            .shown(&space)
            .iter()
            .map(|&id| space.name(u32::from(id)))
            .collect();
        assert_eq!(names, ["cloud", "mountain"]);
    }

    #[test]
    fn the_latest_classes_are_few_and_distinct() {
        let mut palette = Palette::default();
        [1, 2, 3, 2, 4, 5, 6, 7, 8]
            .into_iter()
            .for_each(|id| palette.remember(id));
        assert_eq!(palette.latest, [8, 7, 6, 5, 4, 2]);
        assert_eq!(palette.latest(), Some(8));
    }
}
