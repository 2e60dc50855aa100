//! How the window looks: neutral greys, so that pictures are judged by their own colours, and one accent.

use eframe::egui::{
    Color32, Context, CornerRadius, FontId, Margin, Shadow, Stroke, Style, TextStyle, Theme,
    Visuals, vec2,
};

/// Height of a control.
pub const ROW: f32 = 26.0;
/// Space between groups.
pub const GAP: f32 = 12.0;

/// Colours that egui has no place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shades {
    /// Around canvas and picture.
    pub backdrop: Color32,
    /// What is chosen, and what is going on.
    pub accent: Color32,
    /// Writing on the accent.
    pub on_accent: Color32,
    /// Edge of swatches and pictures.
    pub edge: Color32,
}

/// The colours that go with the style in use.
pub fn shades(visuals: &Visuals) -> Shades {
    match visuals.dark_mode {
        true => Shades {
            backdrop: Color32::from_gray(22),
            accent: Color32::from_rgb(88, 166, 150),
            on_accent: Color32::from_gray(12),
            edge: Color32::from_white_alpha(36),
        },
        false => Shades {
            backdrop: Color32::from_gray(214),
            accent: Color32::from_rgb(18, 112, 98),
            on_accent: Color32::WHITE,
            edge: Color32::from_black_alpha(52),
        },
    }
}

/// Puts the style on a window.
pub fn apply(window: &Context) {
    window.set_style_of(Theme::Dark, style(true));
    window.set_style_of(Theme::Light, style(false));
}

fn style(dark: bool) -> Style {
    let mut style = Style {
        visuals: visuals(dark),
        animation_time: 0.0,
        ..Style::default()
    };
    let sizes = [
        (TextStyle::Small, 11.0),
        (TextStyle::Body, 13.5),
        (TextStyle::Button, 13.5),
        (TextStyle::Heading, 18.0),
    ];
    for (kind, size) in sizes {
        style.text_styles.insert(kind, FontId::proportional(size));
    }
    style
        .text_styles
        .insert(TextStyle::Monospace, FontId::monospace(12.5));
    let spacing = &mut style.spacing;
    spacing.item_spacing = vec2(8.0, 4.0);
    spacing.button_padding = vec2(10.0, 4.0);
    spacing.interact_size.y = ROW;
    spacing.menu_margin = Margin::same(6);
    spacing.window_margin = Margin::same(16);
    spacing.slider_width = 120.0;
    spacing.combo_width = 160.0;
    style.interaction.tooltip_delay = 0.4;
    style
}

fn visuals(dark: bool) -> Visuals {
    let mut visuals = if dark {
        Visuals::dark()
    } else {
        Visuals::light()
    };
    let grey = |dark_level: u8, light_level: u8| {
        Color32::from_gray(if dark { dark_level } else { light_level })
    };
    let shades = shades(&visuals);
    visuals.panel_fill = grey(32, 240);
    visuals.window_fill = grey(38, 248);
    visuals.extreme_bg_color = grey(22, 255);
    visuals.faint_bg_color = grey(37, 235);
    visuals.window_stroke = Stroke::new(1.0, grey(58, 196));
    visuals.window_corner_radius = CornerRadius::same(8);
    visuals.menu_corner_radius = CornerRadius::same(6);
    visuals.popup_shadow = Shadow {
        offset: [0, 4],
        blur: 16,
        spread: 0,
        color: Color32::from_black_alpha(if dark { 110 } else { 48 }),
    };
    visuals.window_shadow = visuals.popup_shadow;
    visuals.selection.bg_fill = shades.accent;
    visuals.selection.stroke = Stroke::new(1.0, shades.on_accent);
    visuals.hyperlink_color = shades.accent;
    visuals.warn_fg_color = if dark {
        Color32::from_rgb(232, 170, 84)
    } else {
        Color32::from_rgb(150, 88, 0)
    };
    visuals.error_fg_color = if dark {
        Color32::from_rgb(240, 118, 104)
    } else {
        Color32::from_rgb(176, 32, 24)
    };
    visuals.slider_trailing_fill = true;
    let widgets = &mut visuals.widgets;
    widgets.noninteractive.bg_stroke = Stroke::new(1.0, grey(50, 212));
    widgets.noninteractive.fg_stroke = Stroke::new(1.0, grey(202, 44));
    widgets.inactive.fg_stroke = Stroke::new(1.0, grey(214, 36));
    widgets.inactive.bg_fill = grey(60, 214);
    widgets.inactive.weak_bg_fill = grey(50, 224);
    widgets.hovered.fg_stroke = Stroke::new(1.0, grey(245, 10));
    widgets.hovered.bg_fill = grey(74, 200);
    widgets.hovered.weak_bg_fill = grey(62, 212);
    widgets.hovered.bg_stroke = Stroke::NONE;
    widgets.hovered.expansion = 0.0;
    widgets.active.fg_stroke = Stroke::new(1.0, grey(255, 0));
    widgets.active.bg_fill = grey(84, 190);
    widgets.active.weak_bg_fill = grey(72, 200);
    widgets.active.bg_stroke = Stroke::new(1.0, shades.accent);
    widgets.active.expansion = 0.0;
    for state in [
        &mut widgets.noninteractive,
        &mut widgets.inactive,
        &mut widgets.hovered,
        &mut widgets.active,
        &mut widgets.open,
    ] {
        state.corner_radius = CornerRadius::same(5);
    }
    visuals
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of the web content guidelines.
    fn luminance(colour: Color32) -> f64 {
        let channel = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.040_45 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(colour.r()) + 0.7152 * channel(colour.g()) + 0.0722 * channel(colour.b())
    }

    fn contrast(a: Color32, b: Color32) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn writing_can_be_read_in_both_themes() {
        for dark in [false, true] {
            let visuals = visuals(dark);
            let shades = shades(&visuals);
            for (front, back) in [
                (visuals.text_color(), visuals.panel_fill),
                (visuals.text_color(), visuals.window_fill),
                (visuals.text_color(), shades.backdrop),
                (
                    visuals.widgets.inactive.fg_stroke.color,
                    visuals.widgets.inactive.weak_bg_fill,
                ),
                (visuals.error_fg_color, visuals.window_fill),
                (visuals.warn_fg_color, visuals.window_fill),
                (shades.on_accent, shades.accent),
                (shades.accent, visuals.panel_fill),
            ] {
                let contrast = contrast(front, back);
                assert!(
                    contrast >= 4.5,
                    "dark {dark}: {front:?} on {back:?} is {contrast:.2}"
                );
            }
        }
    }
}
