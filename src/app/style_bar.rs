//! The bar of styles below the panes: where the style comes from, its strength, a second one to mix with, and a strip of
//! those used before.

use eframe::egui::{
    Align2, Button, Color32, DragValue, Grid, Label, Rect, Response, Role, ScrollArea, Sense,
    Slider, Stroke, StrokeKind, TextureOptions, Ui, WidgetInfo, pos2, vec2,
};

use super::command::Command;
use super::easel::Easel;
use super::styling::{Ability, Origin, Part, STRONGEST};
use super::{icons, theme};

/// Side of a small picture.
const THUMB: f32 = 58.0;
/// Width of a window with room for the names of sliders.
const WIDE: f32 = 900.0;
/// Height of the bar where there are styles, and where there are none.
const HEIGHTS: [f32; 2] = [78.0, 30.0];

/// Height of the bar; nothing where there is no model to speak of, or it is hidden.
pub fn height(easel: &Easel) -> Option<f32> {
    let model = easel.model.as_ref().filter(|_| easel.shows_styles)?;
    Some(HEIGHTS[usize::from(model.styles.is_none())])
}

/// Draws the bar.
pub fn ui(ui: &mut Ui, easel: &mut Easel) {
    ui.horizontal_centered(|ui| match easel.styles() {
        Some(ability) => {
            ui.vertical(|ui| {
                ui.add_space(9.0);
                recipe_ui(ui, easel, ability);
            });
            ui.add_space(theme::GAP);
            strip_ui(ui, easel, ability);
        }
        None => {
            ui.weak("This model has no styles: it was trained without an encoder (--use-vae).");
        }
    });
}

fn recipe_ui(ui: &mut Ui, easel: &mut Easel, ability: Ability) {
    let mut is_held = false;
    let is_wide = ui.ctx().content_rect().width() > WIDE;
    if !is_wide {
        ui.spacing_mut().slider_width = 72.0;
    }
    let grid = Grid::new("style").spacing(vec2(8.0, 6.0));
    grid.show(ui, |ui| {
        ui.strong("Style");
        part_ui(ui, easel, ability, Part::First);
        let mut strength = easel.styling.recipe().strength;
        let slider = percent(&mut strength, STRONGEST, is_wide.then_some("Strength"));
        let slider = ui
            .add(slider)
            .accessible_name("Strength")
            .on_hover_text("How far from the most ordinary style; 100 % leaves the style as it is");
        is_held |= slider.dragged();
        if slider.changed() {
            easel.styling.change(|recipe| recipe.strength = strength);
        }
        ui.end_row();

        ui.label("Mix");
        part_ui(ui, easel, ability, Part::Second);
        let is_mixed = easel.styling.recipe().second.is_some();
        let mut share = easel.styling.recipe().share;
        let slider = percent(&mut share, 1.0, is_wide.then_some("Share"));
        let slider = ui
            .add_enabled(is_mixed, slider)
            .accessible_name("Share")
            .on_hover_text("How much of the second style; at 0 % the first alone")
            .on_disabled_hover_text("Choose a second style to mix with");
        is_held |= slider.dragged();
        if slider.changed() {
            easel.styling.change(|recipe| recipe.share = share);
        }
        ui.end_row();
    });
    easel.styling.is_held = is_held;
}

fn percent<'a>(value: &'a mut f32, most: f32, name: Option<&str>) -> Slider<'a> {
    Slider::new(value, 0.0..=most)
        .custom_formatter(|value, _| format!("{:.0} %", 100.0 * value))
        .custom_parser(|text| Some(text.trim_end_matches('%').trim().parse::<f64>().ok()? / 100.0))
        .text(name.unwrap_or_default())
}

/// Dice, what was chosen, and a picture to choose.
fn part_ui(ui: &mut Ui, easel: &mut Easel, ability: Ability, part: Part) {
    let [dice, picture, seed] = match part {
        Part::First => ["Random style", "Style from a picture", "Style seed"],
        Part::Second => ["Random style to mix with", "Mix with a picture", "Mix seed"],
    };
    let (rect, response) = ui.allocate_exact_size(vec2(theme::ROW, theme::ROW), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, dice));
    let widget = ui.style().interact(&response);
    ui.painter().rect_filled(rect, 5.0, widget.weak_bg_fill);
    icons::dice(ui.painter(), rect.shrink(5.0), widget.fg_stroke.color);
    let tip = match part {
        Part::First => Command::Roll.title(ui.ctx()),
        Part::Second => dice.into(),
    };
    if response.on_hover_text(tip).clicked() {
        easel.styling.roll(part);
    }
    ui.allocate_ui(vec2(112.0, theme::ROW), |ui| {
        ui.set_width(112.0);
        origin_ui(ui, easel, part, seed);
    });
    let button = ui
        .add_enabled(ability.has_encoder, Button::new("Picture…"))
        .accessible_name(picture);
    let button = button
        .on_hover_text("Take the style of a picture; one can also be dropped on the window")
        .on_disabled_hover_text("This checkpoint holds no encoder, which takes styles of pictures");
    if button.clicked() {
        easel.ask_for_style(part);
    }
}

fn origin_ui(ui: &mut Ui, easel: &mut Easel, part: Part, seed_name: &str) {
    let recipe = easel.styling.recipe();
    let origin = match part {
        Part::First => Some(recipe.first.clone()),
        Part::Second => recipe.second.clone(),
    };
    if easel.styling.encoding == Some(part) {
        ui.weak("reading…");
        return;
    }
    match origin {
        None => {
            ui.weak("not mixed");
        }
        Some(Origin::Seed(mut seed)) => {
            let field = DragValue::new(&mut seed).prefix("seed ").speed(0.1);
            let field = ui.add_sized(vec2(84.0, theme::ROW - 2.0), field);
            let field = field.accessible_name(seed_name);
            if field
                .on_hover_text("The same number is the same style")
                .changed()
            {
                easel.styling.put(part, Origin::Seed(seed));
            }
        }
        Some(origin @ Origin::Place { .. }) => {
            let name = origin.name();
            ui.allocate_ui(vec2(84.0, theme::ROW), |ui| {
                ui.set_width(84.0);
                ui.add(Label::new(&name).truncate()).on_hover_text(&name);
            });
        }
    }
    if part == Part::Second && easel.styling.recipe().second.is_some() {
        let close = Button::new("×").frame(false);
        let close = ui.add(close).accessible_name("Stop mixing");
        if close.on_hover_text("Stop mixing").clicked() {
            easel.styling.change(|recipe| recipe.second = None);
        }
    }
}

fn strip_ui(ui: &mut Ui, easel: &mut Easel, ability: Ability) {
    if easel.styling.used.is_empty() {
        ui.weak("Styles that were used show up here, to return to.");
        return;
    }
    let mut chosen = None;
    let mut mixed = None;
    ScrollArea::horizontal().show(ui, |ui| {
        ui.horizontal_centered(|ui| {
            ui.spacing_mut().item_spacing.x = 6.0;
            // Room for the edge of the first one.
            ui.add_space(2.0);
            for number in 0..easel.styling.used.len() {
                let response = thumb_ui(ui, easel, number);
                if response.secondary_clicked()
                    || (response.clicked() && ui.input(|input| input.modifiers.shift))
                {
                    mixed = Some(number);
                } else if response.clicked() {
                    chosen = Some(number);
                }
            }
        });
    });
    if let Some(number) = chosen {
        let recipe = easel.styling.used[number].recipe.clone();
        easel.styling.set(recipe);
    }
    if let Some(Err(error)) = mixed.map(|number| easel.styling.mix_with(number, ability.z_dim)) {
        easel.notes.error(error.to_string());
    }
}

fn thumb_ui(ui: &mut Ui, easel: &mut Easel, number: usize) -> Response {
    let is_chosen = easel.styling.used[number].recipe == *easel.styling.recipe();
    let used = &mut easel.styling.used[number];
    let (rect, response) = ui.allocate_exact_size(vec2(THUMB, THUMB), Sense::click());
    let name = used.recipe.name();
    response.widget_info(|| {
        WidgetInfo::selected(Role::Button, true, is_chosen, format!("Style: {name}"))
    });
    let texture = used.texture.get_or_insert_with(|| {
        let image = used.thumb.clone();
        ui.ctx()
            .load_texture("style", image, TextureOptions::LINEAR)
    });
    if std::mem::take(&mut used.is_stale) {
        texture.set(used.thumb.clone(), TextureOptions::LINEAR);
    }
    let size = texture.size_vec2();
    let place =
        Align2::CENTER_CENTER.align_size_within_rect(size * (THUMB / size.max_elem()), rect);
    let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
    ui.painter()
        .image(texture.id(), place, whole, Color32::WHITE);
    let shades = theme::shades(ui.visuals());
    let edge = match (is_chosen, response.hovered() || response.has_focus()) {
        (true, _) => Stroke::new(2.0, shades.accent),
        (false, true) => Stroke::new(1.0, ui.visuals().text_color()),
        (false, false) => Stroke::new(1.0, shades.edge),
    };
    ui.painter()
        .rect_stroke(place, 2.0, edge, StrokeKind::Outside);
    response.on_hover_text(format!(
        "{name}\nClick to return to it, right-click or Shift-click to mix with it."
    ))
}
