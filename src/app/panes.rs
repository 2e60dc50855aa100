//! Canvas and picture: two panes over one view. The pointer paints in either; both show where it is.

use eframe::egui::{
    Align2, Color32, Context, CursorIcon, Event, Id, Key, Modifiers, Painter, PointerButton, Pos2,
    Rect, Response, Role, Sense, Shape, Stroke, StrokeKind, TextStyle, TextureHandle,
    TextureOptions, Ui, Vec2, WidgetInfo, pos2, vec2,
};

use super::canvas::Area;
use super::easel::{Easel, Mode, region};
use super::input::{Act, Acts};
use super::raster::{self, Point, Tip};
use super::theme;
use super::tools::{Gesture, Tool};
use super::view::View;
use super::worker::Drawn;

/// Height of the line above a pane.
const CAPTION: f32 = 26.0;
/// Space between two panes.
const GUTTER: f32 = 2.0;
/// Room on both sides of the split line that takes it.
const GRIP: f32 = 6.0;

/// What the panes keep between frames.
#[derive(Default)]
pub struct Panes {
    canvas: Option<TextureHandle>,
    picture: Option<(u64, TextureHandle)>,
    /// Place of the canvas under the pointer.
    pub pointer: Option<Point>,
    /// The pane a gesture began in.
    pressed: Option<Id>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Layout,
    Picture,
}

/// A pane in a frame.
struct Spot {
    side: Side,
    title: &'static str,
    caption: Rect,
    pane: Rect,
    response: Response,
    /// A control in it, which a press belongs to.
    control: Option<Rect>,
}

impl Spot {
    fn new(
        ui: &Ui,
        easel: &Easel,
        (caption, pane): (Rect, Rect),
        title: &'static str,
        side: Side,
    ) -> Self {
        let id = Id::unique(("pane", side == Side::Picture));
        let response = ui.interact(pane, id, Sense::click_and_drag());
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("{title} pane")));
        let control = match (easel.mode, side) {
            (Mode::Split, _) => Some(grip(easel, pane)),
            (_, Side::Picture) if easel.model.is_none() => Some(open_button(pane)),
            _ => None,
        };
        Self {
            side,
            title,
            caption,
            pane,
            response,
            control,
        }
    }

    /// Whether a press at a place of the screen is one on the canvas.
    fn takes(&self, window: &Context, at: Pos2) -> bool {
        let is_free = self.control.is_none_or(|control| !control.contains(at));
        let is_top = window.layer_id_at(at) == Some(self.response.layer_id);
        self.pane.contains(at) && is_free && is_top
    }
}

/// Does what pointer and keys did, then draws the panes as they are now.
pub fn ui(ui: &mut Ui, easel: &mut Easel, panes: &mut Panes, acts: Acts) {
    let area = ui.available_rect_before_wrap();
    ui.painter()
        .rect_filled(area, 0.0, theme::shades(ui.visuals()).backdrop);
    let spots = spots(ui, easel, area);
    panes.pointer = None;
    for spot in &spots {
        panes.look(ui, easel, spot);
    }
    panes.act(ui, easel, &spots, acts);
    panes.upload(ui.ctx(), easel);
    for spot in &spots {
        panes.pane_ui(ui, easel, spot);
    }
    if let (Mode::Split, [spot]) = (easel.mode, spots.as_slice()) {
        split_ui(ui, easel, panes, spot.pane);
    }
}

fn spots(ui: &Ui, easel: &Easel, area: Rect) -> Vec<Spot> {
    let spot = |area, title, side| Spot::new(ui, easel, caption_below(area), title, side);
    match easel.mode {
        Mode::SideBySide => {
            let [first, second] = halves(area, easel.canvas.size());
            vec![
                spot(first, "Layout", Side::Layout),
                spot(second, "Picture", Side::Picture),
            ]
        }
        Mode::Split => vec![spot(area, "Layout | Picture", Side::Layout)],
        Mode::Blink if easel.flipped => vec![spot(area, "Picture", Side::Picture)],
        Mode::Blink => vec![spot(area, "Layout", Side::Layout)],
    }
}

/// Two halves of an area, beside or below each other, whichever shows the canvas larger.
fn halves(area: Rect, canvas: [usize; 2]) -> [Rect; 2] {
    let (left, right) = area.split_left_right_at_x(area.center().x);
    let (top, bottom) = area.split_top_bottom_at_y(area.center().y);
    let larger = |pane: Rect| View::Fit.scale(caption_below(pane).1, canvas);
    let half = vec2(GUTTER / 2.0, GUTTER / 2.0);
    if larger(left) >= larger(top) {
        [
            Rect::from_min_max(left.min, left.max - vec2(half.x, 0.0)),
            Rect::from_min_max(right.min + vec2(half.x, 0.0), right.max),
        ]
    } else {
        [
            Rect::from_min_max(top.min, top.max - vec2(0.0, half.y)),
            Rect::from_min_max(bottom.min + vec2(0.0, half.y), bottom.max),
        ]
    }
}

/// The caption of a pane, and what is left below.
fn caption_below(area: Rect) -> (Rect, Rect) {
    area.split_top_bottom_at_y(area.top() + CAPTION)
}

impl Panes {
    /// Brings what has changed to the window's device.
    fn upload(&mut self, window: &Context, easel: &mut Easel) {
        let crisp = TextureOptions {
            minification: eframe::egui::TextureFilter::Linear,
            ..TextureOptions::NEAREST
        };
        let labels = easel.canvas.labels();
        let size = easel.canvas.size();
        let whole = Area::whole(labels);
        let fresh = self
            .canvas
            .as_ref()
            .is_none_or(|texture| texture.size() != size);
        let colours = easel.colours();
        let changed = easel.canvas.unseen.take();
        if fresh || easel.recoloured {
            let image = region(easel.canvas.labels(), whole, &colours);
            match &mut self.canvas {
                Some(texture) => texture.set(image, crisp),
                None => self.canvas = Some(window.load_texture("layout", image, crisp)),
            }
            easel.recoloured = false;
        } else if let Some(area) = changed
            && let Some(texture) = &mut self.canvas
        {
            let image = region(easel.canvas.labels(), area, &colours);
            texture.set_partial([area.left, area.top], image, crisp);
        }
        self.upload_picture(window, easel.picture.as_ref());
        if let Some(traced) = &mut easel.traced
            && traced.texture.is_none()
        {
            let image = traced.image.clone();
            traced.texture = Some(window.load_texture("photo", image, TextureOptions::LINEAR));
        }
    }

    fn upload_picture(&mut self, window: &Context, drawn: Option<&Drawn>) {
        let Some(drawn) = drawn else {
            self.picture = None;
            return;
        };
        match &mut self.picture {
            Some((number, _)) if *number == drawn.number => {}
            Some((number, texture)) => {
                texture.set(drawn.image.clone(), TextureOptions::LINEAR);
                *number = drawn.number;
            }
            None => {
                let texture =
                    window.load_texture("picture", drawn.image.clone(), TextureOptions::LINEAR);
                self.picture = Some((drawn.number, texture));
            }
        }
    }

    fn pane_ui(&self, ui: &mut Ui, easel: &mut Easel, spot: &Spot) {
        let Spot { side, pane, .. } = *spot;
        caption_ui(ui, easel, spot);
        let painter = ui.painter_at(pane);
        let place = easel.view.place(pane, easel.canvas.size());
        match side {
            Side::Layout => self.layout_ui(&painter, easel, place),
            Side::Picture if self.picture.is_some() => self.picture_ui(&painter, place, place),
            Side::Picture => empty_ui(ui, easel, pane),
        }
        if side == Side::Layout || self.picture.is_some() {
            let edge = Stroke::new(1.0, theme::shades(ui.visuals()).edge);
            painter.rect_stroke(place, 0.0, edge, StrokeKind::Outside);
        }
        self.overlay_ui(&painter, easel, pane, place);
    }

    fn layout_ui(&self, painter: &Painter, easel: &Easel, place: Rect) {
        let photo = easel
            .traced
            .as_ref()
            .and_then(|traced| traced.texture.as_ref());
        if let Some(photo) = photo {
            painter.image(photo.id(), place, WHOLE, Color32::WHITE);
        }
        if let Some(canvas) = &self.canvas {
            let cover = if photo.is_some() { easel.cover } else { 1.0 };
            painter.image(
                canvas.id(),
                place,
                WHOLE,
                Color32::WHITE.gamma_multiply(cover),
            );
        }
    }

    fn picture_ui(&self, painter: &Painter, place: Rect, seen: Rect) {
        if let Some((_, picture)) = &self.picture {
            let painter = painter.with_clip_rect(seen.intersect(painter.clip_rect()));
            painter.image(picture.id(), place, WHOLE, Color32::WHITE);
        }
    }

    /// Zooms and pans.
    fn look(&mut self, ui: &Ui, easel: &mut Easel, spot: &Spot) {
        let Spot { pane, response, .. } = spot;
        let (pane, size) = (*pane, easel.canvas.size());
        let inside = response.contains_pointer();
        if let (true, Some(at)) = (inside, ui.input(|input| input.pointer.latest_pos())) {
            let (scroll, pinch) =
                ui.input(|input| (input.smooth_scroll_delta().y, input.zoom_delta()));
            let factor = (scroll / 240.0).exp() * pinch;
            if factor != 1.0 {
                easel.view.zoom(pane, size, at, factor);
            }
            self.pointer = Some(easel.view.locate(pane, size, at));
        }
        let space = ui.input(|input| input.key_down(Key::Space));
        let moving = response.dragged_by(PointerButton::Middle)
            || (response.dragged_by(PointerButton::Primary)
                && (space || easel.hand.tool == Tool::Hand));
        if moving {
            easel.view.pan(pane, size, response.drag_delta());
        }
        if inside {
            ui.ctx()
                .set_cursor_icon(cursor(easel.hand.tool, moving || space));
        }
    }

    /// Picks, paints and performs.
    fn act(&mut self, ui: &Ui, easel: &mut Easel, spots: &[Spot], acts: Acts) {
        let busy = acts.in_menu || ui.input(|input| input.key_down(Key::Space));
        for act in acts.acts {
            match act {
                // A dialog that a key has opened gets what follows.
                Act::Command(_) if easel.dialog.is_some() => {}
                Act::Command(command) if easel.can(command) => {
                    easel.perform(command, ui.ctx());
                    // The bars around show it in the next frame.
                    ui.ctx().request_repaint();
                }
                Act::Command(_) => {}
                Act::Pointer(event) => self.point(ui.ctx(), easel, spots, busy, &event),
            }
        }
        for spot in spots {
            if let Some(factor) = easel.zoom.take() {
                let size = easel.canvas.size();
                easel.view.zoom(spot.pane, size, spot.pane.center(), factor);
            }
            if spot.response.double_clicked() {
                easel.hand.close(&mut easel.canvas, &mut easel.history);
            }
        }
    }

    fn point(
        &mut self,
        window: &Context,
        easel: &mut Easel,
        spots: &[Spot],
        busy: bool,
        event: &Event,
    ) {
        let size = easel.canvas.size();
        let pressed = self.pressed;
        let begun = || spots.iter().find(|spot| pressed == Some(spot.response.id));
        match *event {
            Event::PointerButton {
                pos,
                button,
                pressed: true,
                modifiers,
            } if !busy && easel.dialog.is_none() => {
                let Some(spot) = spots.iter().find(|spot| spot.takes(window, pos)) else {
                    return;
                };
                let at = easel.view.locate(spot.pane, size, pos);
                press(easel, at, button, modifiers);
                self.pressed = matches!(button, PointerButton::Primary).then_some(spot.response.id);
            }
            Event::PointerMoved(pos) => {
                if let Some(spot) = begun() {
                    let at = easel.view.locate(spot.pane, size, pos);
                    easel.hand.drag(at, &mut easel.canvas);
                }
            }
            Event::PointerButton {
                button: PointerButton::Primary,
                pressed: false,
                ..
            } if begun().is_some() => {
                self.pressed = None;
                easel.hand.release(&mut easel.canvas, &mut easel.history);
            }
            _ => {}
        }
    }

    /// Gesture in progress and outline of the brush.
    fn overlay_ui(&self, painter: &Painter, easel: &Easel, pane: Rect, place: Rect) {
        let scale = easel.view.scale(pane, easel.canvas.size());
        let screen = |[x, y]: Point| place.min + vec2(x, y) * scale;
        match easel.hand.gesture() {
            Gesture::Pull(from, to) if easel.hand.tool == Tool::Rectangle => {
                let [a, b] = [from, to].map(|p| raster::pixel(*p));
                let low = [a[0].min(b[0]) as f32, a[1].min(b[1]) as f32];
                let high = [a[0].max(b[0]) as f32 + 1.0, a[1].max(b[1]) as f32 + 1.0];
                let rect = Rect::from_min_max(screen(low), screen(high));
                outline(painter, |stroke| {
                    Shape::rect_stroke(rect, 0.0, stroke, StrokeKind::Middle)
                });
            }
            Gesture::Pull(from, to) => {
                let ends = [from, to].map(|p| screen(easel.hand.brush.snap(*p)));
                outline(painter, |stroke| Shape::line_segment(ends, stroke));
            }
            Gesture::Corners(corners) => {
                let next = self.pointer.iter();
                let points: Vec<_> = corners.iter().chain(next).map(|p| screen(*p)).collect();
                outline(painter, |stroke| Shape::closed_line(points.clone(), stroke));
                for corner in corners {
                    outline(painter, |stroke| {
                        Shape::circle_stroke(screen(*corner), 3.0, stroke)
                    });
                }
            }
            Gesture::None | Gesture::Stroke(_) => {}
        }
        if let (Some(at), true) = (self.pointer, easel.hand.tool.uses_brush()) {
            let brush = easel.hand.brush;
            let middle = screen(brush.snap(at));
            let radius = brush.size_px as f32 * scale / 2.0;
            match brush.tip {
                Tip::Round => outline(painter, |stroke| {
                    Shape::circle_stroke(middle, radius, stroke)
                }),
                Tip::Square => {
                    let rect = Rect::from_center_size(middle, Vec2::splat(2.0 * radius));
                    outline(painter, |stroke| {
                        Shape::rect_stroke(rect, 0.0, stroke, StrokeKind::Middle)
                    });
                }
            }
        }
    }
}

/// All of a texture.
const WHOLE: Rect = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));

fn press(easel: &mut Easel, at: Point, button: PointerButton, modifiers: Modifiers) {
    let picks =
        button == PointerButton::Secondary || (button == PointerButton::Primary && modifiers.alt);
    if picks {
        if let Some(id) = easel.canvas.get(raster::pixel(at)) {
            easel.choose(id);
        }
    } else if button == PointerButton::Primary {
        let before = easel.hand.class;
        easel
            .hand
            .press(at, modifiers.shift, &mut easel.canvas, &mut easel.history);
        let picked = std::mem::replace(&mut easel.hand.class, before);
        easel.choose(picked);
    }
}

fn cursor(tool: Tool, moving: bool) -> CursorIcon {
    match tool {
        _ if moving => CursorIcon::Grabbing,
        Tool::Hand => CursorIcon::Grab,
        _ => CursorIcon::Crosshair,
    }
}

/// A line that is seen on any colour.
fn outline(painter: &Painter, shape: impl Fn(Stroke) -> Shape) {
    painter.add(shape(Stroke::new(3.0, Color32::from_black_alpha(110))));
    painter.add(shape(Stroke::new(1.0, Color32::WHITE)));
}

fn caption_ui(ui: &Ui, easel: &Easel, spot: &Spot) {
    let (caption, side) = (spot.caption, spot.side);
    let font = TextStyle::Small.resolve(ui.style());
    let painter = ui.painter_at(caption);
    let left = pos2(caption.left() + 16.0, caption.center().y + 2.0);
    painter.text(
        left,
        Align2::LEFT_CENTER,
        spot.title,
        font.clone(),
        ui.visuals().weak_text_color(),
    );
    let shows_picture = side == Side::Picture || easel.mode == Mode::Split;
    if shows_picture && easel.is_behind() {
        let accent = theme::shades(ui.visuals()).accent;
        let right = pos2(caption.right() - 16.0, left.y);
        let text = painter.text(right, Align2::RIGHT_CENTER, "drawing", font, accent);
        painter.circle_filled(pos2(text.left() - 8.0, left.y), 3.0, accent);
    }
}

/// Place of the button that opens a model.
fn open_button(pane: Rect) -> Rect {
    Rect::from_center_size(pane.center() + vec2(0.0, 36.0), vec2(130.0, 30.0))
}

/// The line of a split pane, in points of the screen.
fn split_x(easel: &Easel, pane: Rect) -> f32 {
    let place = easel.view.place(pane, easel.canvas.size());
    place.left() + easel.split * place.width()
}

/// What takes the line of a split pane.
fn grip(easel: &Easel, pane: Rect) -> Rect {
    let x = split_x(easel, pane);
    Rect::from_min_max(pos2(x - GRIP, pane.top()), pos2(x + GRIP, pane.bottom()))
}

fn empty_ui(ui: &mut Ui, easel: &mut Easel, pane: Rect) {
    let loading = easel.loading.as_deref().and_then(|path| path.file_name());
    let lines = match loading {
        Some(name) => (
            format!("Loading {}", name.to_string_lossy()),
            "This takes a moment the first time.",
        ),
        None if easel.model.is_some() => {
            ("Drawing the first picture".into(), "This takes a moment.")
        }
        None => (
            "No model is open".into(),
            "Open a checkpoint or the folder of a run to see a picture.",
        ),
    };
    let middle = pane.center();
    let painter = ui.painter_at(pane);
    let heading = TextStyle::Heading.resolve(ui.style());
    let body = TextStyle::Body.resolve(ui.style());
    painter.text(
        middle - vec2(0.0, 30.0),
        Align2::CENTER_CENTER,
        lines.0,
        heading,
        ui.visuals().text_color(),
    );
    painter.text(
        middle,
        Align2::CENTER_CENTER,
        lines.1,
        body,
        ui.visuals().weak_text_color(),
    );
    if easel.model.is_none() && loading.is_none() {
        let button = open_button(pane);
        let command = super::command::Command::Model;
        let tip = command.title(ui.ctx());
        if ui
            .put(button, eframe::egui::Button::new("Open a model"))
            .on_hover_text(tip)
            .clicked()
        {
            easel.perform(command, ui.ctx());
        }
    }
}

/// The picture right of the line, and the line.
fn split_ui(ui: &mut Ui, easel: &mut Easel, panes: &mut Panes, pane: Rect) {
    let place = easel.view.place(pane, easel.canvas.size());
    let x = split_x(easel, pane);
    let seen = Rect::from_min_max(pos2(x, place.top()), place.max);
    let painter = ui.painter_at(pane);
    panes.picture_ui(&painter, place, seen);
    panes.overlay_ui(&painter, easel, pane, place);
    let response = ui.interact(grip(easel, pane), Id::unique("split line"), Sense::drag());
    response.widget_info(|| WidgetInfo::labeled(Role::Slider, true, "Split line"));
    if let Some(at) = response.interact_pointer_pos() {
        easel.split = ((at.x - place.left()) / place.width().max(1.0)).clamp(0.0, 1.0);
    }
    if response.hovered() || response.dragged() {
        ui.ctx().set_cursor_icon(CursorIcon::ResizeHorizontal);
    }
    let ends = [pos2(x, place.top()), pos2(x, place.bottom())];
    outline(&painter, |stroke| Shape::line_segment(ends, stroke));
}
