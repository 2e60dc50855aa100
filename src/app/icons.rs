//! Icons of the tools, drawn as strokes so that they are sharp at any size.

use eframe::egui::{Color32, Painter, Pos2, Rect, Shape, Stroke, StrokeKind, pos2, vec2};

use super::tools::Tool;

/// Draws a die into a rectangle.
pub fn dice(painter: &Painter, rect: Rect, colour: Color32) {
    let size = rect.width().min(rect.height());
    let square = Rect::from_center_size(rect.center(), eframe::egui::Vec2::splat(size));
    let edge = Stroke::new(size / 16.0 * 1.5, colour);
    painter.rect_stroke(square, size / 5.0, edge, StrokeKind::Inside);
    for (x, y) in [(0.3, 0.3), (0.7, 0.3), (0.5, 0.5), (0.3, 0.7), (0.7, 0.7)] {
        painter.circle_filled(square.min + square.size() * vec2(x, y), size / 12.0, colour);
    }
}

/// Draws the icon of a tool into a rectangle.
pub fn tool(painter: &Painter, rect: Rect, tool: Tool, colour: Color32) {
    let size = rect.width().min(rect.height());
    let corner = rect.center() - eframe::egui::Vec2::splat(size / 2.0);
    // Icons are designed on a grid of 20 by 20.
    let at =
        |x: f32, y: f32| -> Pos2 { pos2(corner.x + x * size / 20.0, corner.y + y * size / 20.0) };
    let stroke = Stroke::new(size / 20.0 * 1.5, colour);
    let line = |points: &[(f32, f32)]| {
        painter.add(Shape::line(
            points.iter().map(|&(x, y)| at(x, y)).collect(),
            stroke,
        ));
    };
    let closed = |points: &[(f32, f32)]| {
        painter.add(Shape::closed_line(
            points.iter().map(|&(x, y)| at(x, y)).collect(),
            stroke,
        ));
    };
    let solid = |points: &[(f32, f32)]| {
        let points = points.iter().map(|&(x, y)| at(x, y)).collect();
        painter.add(Shape::convex_polygon(points, colour, Stroke::NONE));
    };
    let dot = |x: f32, y: f32| {
        painter.circle_filled(at(x, y), size / 20.0 * 1.9, colour);
    };
    match tool {
        Tool::Brush => {
            line(&[(17.0, 3.0), (9.5, 10.5)]);
            closed(&[
                (9.5, 10.5),
                (6.0, 11.5),
                (5.0, 14.5),
                (3.0, 16.5),
                (7.0, 16.8),
                (9.8, 15.0),
                (10.8, 12.2),
            ]);
        }
        Tool::Line => {
            line(&[(4.0, 16.0), (16.0, 4.0)]);
            dot(4.0, 16.0);
            dot(16.0, 4.0);
        }
        Tool::Rectangle => closed(&[(3.0, 5.0), (17.0, 5.0), (17.0, 15.0), (3.0, 15.0)]),
        Tool::Polygon => {
            closed(&[
                (10.0, 3.0),
                (17.0, 8.5),
                (14.0, 16.5),
                (5.5, 15.5),
                (3.0, 7.5),
            ]);
        }
        Tool::Fill => {
            closed(&[(9.0, 3.5), (16.0, 10.5), (9.5, 17.0), (2.5, 10.0)]);
            line(&[(2.5, 10.0), (16.0, 10.5)]);
            solid(&[(17.5, 12.5), (19.0, 15.5), (17.5, 17.0), (16.0, 15.5)]);
        }
        Tool::Eraser => {
            closed(&[
                (11.5, 3.5),
                (17.0, 9.0),
                (10.0, 16.0),
                (7.0, 16.0),
                (3.0, 12.0),
            ]);
            line(&[(7.0, 8.0), (12.5, 13.5)]);
            line(&[(10.0, 16.0), (17.0, 16.0)]);
        }
        Tool::Eyedropper => {
            closed(&[
                (4.0, 16.0),
                (4.5, 13.0),
                (11.0, 6.5),
                (13.5, 9.0),
                (7.0, 15.5),
            ]);
            line(&[(9.5, 5.0), (15.0, 10.5)]);
            solid(&[(12.5, 6.0), (15.0, 3.2), (16.8, 5.0), (14.0, 7.6)]);
        }
        Tool::Hand => {
            line(&[(10.0, 2.5), (10.0, 17.5)]);
            line(&[(2.5, 10.0), (17.5, 10.0)]);
            for (tip, a, b) in [
                ((10.0, 1.5), (7.5, 5.0), (12.5, 5.0)),
                ((10.0, 18.5), (7.5, 15.0), (12.5, 15.0)),
                ((1.5, 10.0), (5.0, 7.5), (5.0, 12.5)),
                ((18.5, 10.0), (15.0, 7.5), (15.0, 12.5)),
            ] {
                solid(&[tip, a, b]);
            }
        }
    }
}
