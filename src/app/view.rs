//! Zoom and position, shared by the canvas and the picture, so that both always show the same place.

use eframe::egui::{Pos2, Rect, Vec2, vec2};

use super::raster::Point;

/// Where the panes look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum View {
    /// All of the canvas, as large as fits.
    Fit,
    /// Points of the screen per pixel of the canvas, and the place in the middle.
    Free {
        /// Points per pixel.
        scale: f32,
        /// Place of the canvas in the middle of a pane.
        middle: Vec2,
    },
}

/// Smallest and largest number of points per pixel.
const SCALES: std::ops::RangeInclusive<f32> = 0.02..=64.0;
/// Empty space around a fitted canvas, in points.
const MARGIN: f32 = 16.0;

impl View {
    /// Points per pixel in a pane.
    pub fn scale(self, pane: Rect, canvas: [usize; 2]) -> f32 {
        match self {
            Self::Free { scale, .. } => scale,
            Self::Fit => {
                let room = (pane.size() - Vec2::splat(2.0 * MARGIN)).max(Vec2::splat(8.0));
                let [width, height] = canvas.map(|side| side.max(1) as f32);
                (room.x / width).min(room.y / height)
            }
        }
    }

    fn middle(self, canvas: [usize; 2]) -> Vec2 {
        match self {
            Self::Free { middle, .. } => middle,
            Self::Fit => vec2(canvas[0] as f32, canvas[1] as f32) / 2.0,
        }
    }

    /// Where the canvas lies on the screen.
    pub fn place(self, pane: Rect, canvas: [usize; 2]) -> Rect {
        let scale = self.scale(pane, canvas);
        let corner = pane.center() - self.middle(canvas) * scale;
        let size = vec2(canvas[0] as f32, canvas[1] as f32) * scale;
        Rect::from_min_size(corner, size)
    }

    /// The place of the canvas under a point of the screen.
    pub fn locate(self, pane: Rect, canvas: [usize; 2], at: Pos2) -> Point {
        let place = self.place(pane, canvas);
        ((at - place.min) / self.scale(pane, canvas)).into()
    }

    /// Zooms by a factor; what is under `at` stays there.
    pub fn zoom(&mut self, pane: Rect, canvas: [usize; 2], at: Pos2, factor: f32) {
        let [x, y] = self.locate(pane, canvas, at);
        let old = self.scale(pane, canvas);
        let scale = (old * factor).clamp(*SCALES.start(), *SCALES.end());
        let middle = vec2(x, y) - (at - pane.center()) / scale;
        *self = Self::Free { scale, middle };
    }

    /// Moves the canvas by points of the screen.
    pub fn pan(&mut self, pane: Rect, canvas: [usize; 2], by: Vec2) {
        let scale = self.scale(pane, canvas);
        let limit = vec2(canvas[0] as f32, canvas[1] as f32);
        let middle = self.middle(canvas) - by / scale;
        let middle = middle.clamp(Vec2::ZERO, limit);
        *self = Self::Free { scale, middle };
    }

    /// One pixel of the canvas on one of the screen, around the middle of before.
    pub fn natural(&mut self, canvas: [usize; 2], pixels_per_point: f32) {
        let middle = self.middle(canvas);
        let scale = 1.0 / pixels_per_point;
        *self = Self::Free { scale, middle };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eframe::egui::pos2;

    const CANVAS: [usize; 2] = [200, 100];

    fn pane() -> Rect {
        Rect::from_min_size(pos2(50.0, 20.0), vec2(432.0, 432.0))
    }

    #[test]
    fn fit_shows_all_in_the_middle() {
        let place = View::Fit.place(pane(), CANVAS);
        assert_eq!(place.size(), vec2(400.0, 200.0));
        assert_eq!(place.center(), pane().center());
        assert_eq!(View::Fit.locate(pane(), CANVAS, place.min), [0.0, 0.0]);
        assert_eq!(View::Fit.locate(pane(), CANVAS, place.max), [200.0, 100.0]);
    }

    #[test]
    fn zoom_keeps_what_is_under_the_pointer() {
        let mut view = View::Fit;
        let at = pos2(123.0, 234.0);
        let before = view.locate(pane(), CANVAS, at);
        for factor in [1.25, 1.25, 0.5, 8.0, 1000.0, 1e-9] {
            view.zoom(pane(), CANVAS, at, factor);
            let after = view.locate(pane(), CANVAS, at);
            let moved = (before[0] - after[0]).abs() + (before[1] - after[1]).abs();
            assert!(
                moved * view.scale(pane(), CANVAS) < 0.1,
                "{factor}: {after:?}"
            );
        }
        assert_eq!(view.scale(pane(), CANVAS), *SCALES.start());
    }

    #[test]
    fn the_canvas_cannot_be_lost() {
        let mut view = View::Fit;
        view.pan(pane(), CANVAS, vec2(1e6, -1e6));
        assert!(pane().intersects(view.place(pane(), CANVAS)));
        view.natural(CANVAS, 2.0);
        assert_eq!(view.scale(pane(), CANVAS), 0.5);
    }
}
