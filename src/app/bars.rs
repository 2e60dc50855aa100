//! The bars around the panes: menus above, tools at the left, options of the tool, and the status below.

use eframe::egui::{
    Align, Button, Layout, MenuBar, Rect, Response, RichText, Role, ScrollArea, Sense, Slider, Ui,
    WidgetInfo, scroll_area::ScrollBarVisibility, vec2,
};

use super::command::{Command, SECTIONS};
use super::easel::{Easel, Mode};
use super::palette::swatch;
use super::raster::{MAX_BRUSH_PX, Point, Tip, pixel};
use super::tools::Tool;
use super::{icons, theme};

/// Side of a tool's button, in one column and in two.
const SIDES: [f32; 2] = [34.0, 30.0];
/// Space between them.
const TOOL_GAP: f32 = 3.0;

/// Menus, and the model in use.
pub fn menu_ui(ui: &mut Ui, easel: &mut Easel) {
    MenuBar::new().ui(ui, |ui| {
        for section in &SECTIONS {
            ui.menu_button(section.title, |ui| {
                ui.set_min_width(220.0);
                for command in section.commands {
                    match command {
                        Some(command) => entry_ui(ui, easel, *command),
                        None => {
                            ui.separator();
                        }
                    }
                    match command {
                        Some(Command::Open) => recent_ui(ui, easel, Kind::Layout),
                        Some(Command::Model) => recent_ui(ui, easel, Kind::Model),
                        _ => {}
                    }
                }
            });
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let text = match (&easel.model, &easel.loading) {
                (_, Some(path)) => format!("loading {}", path.display()),
                (Some(model), None) => {
                    let [w, h] = model.size;
                    let name = model.path.file_stem().unwrap_or_default().to_string_lossy();
                    format!("{name} · {w}×{h} · {}", model.adapter)
                }
                (None, None) => "no model".into(),
            };
            let button = Button::new(RichText::new(text).weak())
                .frame(false)
                .truncate();
            if ui
                .add(button)
                .on_hover_text(Command::Model.title(ui.ctx()))
                .clicked()
            {
                easel.perform(Command::Model, ui.ctx());
            }
        });
    });
}

fn entry_ui(ui: &mut Ui, easel: &mut Easel, command: Command) {
    let chosen = match command {
        Command::Take(tool) => easel.hand.tool == tool,
        Command::SideBySide => easel.mode == Mode::SideBySide,
        Command::Split => easel.mode == Mode::Split,
        Command::Blink => easel.mode == Mode::Blink,
        Command::Styles => easel.shows_styles,
        _ => false,
    };
    let button = Button::new(command.name())
        .shortcut_text(command.key_text(ui.ctx()))
        .selected(chosen);
    if ui.add_enabled(easel.can(command), button).clicked() {
        easel.perform(command, ui.ctx());
        ui.close();
    }
}

/// What was opened before.
#[derive(Clone, Copy)]
enum Kind {
    Layout,
    Model,
}

/// The files used last, in a menu of their own.
fn recent_ui(ui: &mut Ui, easel: &mut Easel, kind: Kind) {
    let (title, files) = match kind {
        Kind::Layout => ("Recent layouts", &easel.memory.layouts),
        Kind::Model => ("Recent models", &easel.memory.models),
    };
    let files = files.clone();
    ui.add_enabled_ui(!files.is_empty(), |ui| {
        ui.menu_button(title, |ui| {
            ui.set_max_width(360.0);
            for path in files {
                let whole = path.display().to_string();
                let entry = Button::new(&whole).truncate();
                if ui.add(entry).on_hover_text(whole).clicked() {
                    match kind {
                        Kind::Layout => easel.open(path),
                        Kind::Model => easel.load(path),
                    }
                    ui.close();
                }
            }
        });
    });
}

/// Columns of tools that a height needs.
fn tool_columns(height: f32) -> usize {
    let rows = (Tool::ALL.len() + 1) as f32;
    let one = rows * (SIDES[0] + TOOL_GAP) + 2.0 * theme::GAP;
    if height < one { 2 } else { 1 }
}

/// Width of the bar of tools in a height.
pub fn tools_width(height: f32) -> f32 {
    let columns = tool_columns(height);
    columns as f32 * (SIDES[columns - 1] + TOOL_GAP) - TOOL_GAP + 14.0
}

/// The tools, one below the other; in low windows in pairs.
pub fn tools_ui(ui: &mut Ui, easel: &mut Easel) {
    let columns = tool_columns(ui.available_height());
    let side = SIDES[columns - 1];
    let hidden = ScrollBarVisibility::AlwaysHidden;
    let scroll = ScrollArea::vertical().scroll_bar_visibility(hidden);
    scroll.show(ui, |ui| {
        ui.add_space(theme::GAP / 2.0);
        ui.spacing_mut().item_spacing = vec2(TOOL_GAP, TOOL_GAP);
        for row in Tool::ALL.chunks(columns) {
            ui.horizontal(|ui| row.iter().for_each(|&tool| tool_ui(ui, easel, side, tool)));
        }
        ui.add_space(theme::GAP / columns as f32);
        inks_ui(ui, easel);
    });
}

fn tool_ui(ui: &mut Ui, easel: &mut Easel, side: f32, tool: Tool) {
    let (rect, response) = ui.allocate_exact_size(vec2(side, side), Sense::click());
    let chosen = easel.hand.tool == tool;
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, tool.name()));
    let shades = theme::shades(ui.visuals());
    let widget = ui.style().interact(&response);
    let colour = match (chosen, response.hovered() || response.has_focus()) {
        (true, _) => {
            ui.painter().rect_filled(rect, 6.0, shades.accent);
            shades.on_accent
        }
        (false, true) => {
            ui.painter().rect_filled(rect, 6.0, widget.weak_bg_fill);
            widget.fg_stroke.color
        }
        (false, false) => ui.visuals().text_color(),
    };
    icons::tool(ui.painter(), rect.shrink(7.0), tool, colour);
    let command = Command::Take(tool);
    let tip = format!("{}\n{}", command.title(ui.ctx()), tool.hint());
    if response.on_hover_text(tip).clicked() {
        easel.perform(command, ui.ctx());
    }
}

/// The class in use over the ground.
fn inks_ui(ui: &mut Ui, easel: &mut Easel) {
    let (rect, response) = ui.allocate_exact_size(vec2(SIDES[0], SIDES[0]), Sense::click());
    let names = [easel.hand.class, easel.hand.ground].map(|id| easel.space.name(u32::from(id)));
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, "Ground"));
    let square =
        |corner: f32| Rect::from_min_size(rect.min + vec2(corner, corner), vec2(20.0, 20.0));
    swatch(
        ui,
        square(13.0),
        easel.space.colour(u32::from(easel.hand.ground)),
    );
    swatch(
        ui,
        square(1.0),
        easel.space.colour(u32::from(easel.hand.class)),
    );
    let [class, ground] = names;
    let tip = format!(
        "Painting {class} on {ground}.\nClick to make {class} the ground, which the eraser leaves."
    );
    if response.on_hover_text(tip).clicked() {
        easel.perform(Command::Ground, ui.ctx());
    }
}

/// A bar of options less wide than this, as with large text, goes without the labels of its sliders, which become short.
const NARROW: f32 = 760.0;
/// Length of a short slider.
const SHORT: f32 = 64.0;

/// Options of the tool and of the view.
pub fn options_ui(ui: &mut Ui, easel: &mut Easel) {
    let is_narrow = ui.available_width() < NARROW;
    if is_narrow {
        ui.spacing_mut().slider_width = SHORT;
    }
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        view_ui(ui, easel, is_narrow);
        // In what room that leaves, even if it is too little.
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            let hidden = ScrollBarVisibility::AlwaysHidden;
            let scroll = ScrollArea::horizontal().scroll_bar_visibility(hidden);
            scroll.show(ui, |ui| {
                ui.horizontal_centered(|ui| tool_options_ui(ui, easel, is_narrow));
            });
        });
    });
}

fn tool_options_ui(ui: &mut Ui, easel: &mut Easel, is_narrow: bool) {
    if !is_narrow || !easel.hand.tool.uses_brush() {
        ui.strong(easel.hand.tool.name());
    }
    if easel.hand.tool.uses_brush() {
        ui.add_space(theme::GAP / 2.0);
        brush_ui(ui, easel, is_narrow);
    } else {
        ui.weak(easel.hand.tool.hint());
    }
}

/// How canvas and picture are shown, from the right to the left.
fn view_ui(ui: &mut Ui, easel: &mut Easel, is_narrow: bool) {
    for (mode, command) in [
        (Mode::Blink, Command::Blink),
        (Mode::Split, Command::Split),
        (Mode::SideBySide, Command::SideBySide),
    ] {
        let chosen = easel.mode == mode;
        let button = Button::new(command.name())
            .selected(chosen)
            .frame_when_inactive(chosen);
        if ui
            .add(button)
            .on_hover_text(command.title(ui.ctx()))
            .clicked()
        {
            easel.perform(command, ui.ctx());
        }
    }
    if easel.has_outlines() {
        ui.checkbox(&mut easel.outlines, "Outlines").on_hover_text(
            "Mark the borders between classes, as the instance maps of the training did",
        );
    }
    if easel.traced.is_some() {
        let slider = Slider::new(&mut easel.cover, 0.0..=1.0).show_value(false);
        labelled(ui, slider, "Cover", is_narrow)
            .on_hover_text("How much of the photo the layout covers");
    }
}

/// A slider with its label, which is not drawn where there is no room.
fn labelled(ui: &mut Ui, slider: Slider, name: &'static str, is_narrow: bool) -> Response {
    match is_narrow {
        true => ui.add(slider).accessible_name(name),
        false => ui.add(slider.text(name)),
    }
}

fn brush_ui(ui: &mut Ui, easel: &mut Easel, is_narrow: bool) {
    let brush = &mut easel.hand.brush;
    let larger = Command::Larger.key_text(ui.ctx());
    let smaller = Command::Smaller.key_text(ui.ctx());
    let side = easel.canvas.size().into_iter().max().unwrap_or(1) as u32;
    let most = side.clamp(8, MAX_BRUSH_PX);
    let slider = Slider::new(&mut brush.size_px, 1..=most)
        .logarithmic(true)
        .suffix(" px");
    labelled(ui, slider, "Size", is_narrow)
        .on_hover_text(format!("Size of the brush ({smaller} {larger})"));
    ui.add_space(theme::GAP / 2.0);
    let key = Command::Tip.key_text(ui.ctx());
    for (tip, name) in [(Tip::Round, "Round"), (Tip::Square, "Square")] {
        let chosen = brush.tip == tip;
        let button = Button::new(name)
            .selected(chosen)
            .frame_when_inactive(chosen);
        if ui
            .add(button)
            .on_hover_text(format!("{name} brush ({key})"))
            .clicked()
        {
            brush.tip = tip;
        }
    }
}

/// What is under the pointer, and how things stand.
pub fn status_ui(ui: &mut Ui, easel: &Easel, pointer: Option<Point>) {
    ui.horizontal_centered(|ui| {
        let under = pointer.and_then(|at| Some((pixel(at), easel.canvas.get(pixel(at))?)));
        match under {
            Some(([x, y], id)) => {
                let (rect, _) = ui.allocate_exact_size(vec2(12.0, 12.0), Sense::hover());
                swatch(ui, rect, easel.space.colour(u32::from(id)));
                ui.label(easel.space.name(u32::from(id)));
                ui.weak(format!("{x}, {y}"));
            }
            None => {
                ui.weak(easel.hand.tool.hint());
            }
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let [w, h] = easel.canvas.size();
            ui.weak(format!("{w}×{h}"));
            let state = match &easel.picture {
                _ if easel.model.is_none() => String::new(),
                Some(drawn) if !easel.is_behind() => format!("drawn in {:.2} s", drawn.seconds),
                _ => "drawing".into(),
            };
            let effort = easel.picture.as_ref().and_then(|drawn| drawn.effort);
            let state = ui.weak(state);
            if let Some(effort) = effort {
                state.on_hover_text(format!(
                    "{} neighbourhoods of classes were new; those seen before are kept",
                    effort.rows_computed
                ));
            }
            if easel.is_unsaved() {
                ui.weak("not saved");
            }
        });
    });
}
