//! Shapes on the canvas: stamps, strokes, rectangles, polygons and fills, all in whole pixels.
//!
//! Points are places on the canvas: pixel `x` covers `x..x + 1`. A shape covers the pixels whose centres it contains.

use super::canvas::Canvas;

/// A place on the canvas, in pixels.
pub type Point = [f32; 2];

/// Form of the brush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tip {
    /// A disc.
    #[default]
    Round,
    /// A square.
    Square,
}

/// A brush: how large, and of which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Brush {
    /// Diameter or side in pixels.
    pub size_px: u32,
    /// Its form.
    pub tip: Tip,
}

/// Largest brush.
pub const MAX_BRUSH_PX: u32 = 512;

impl Brush {
    /// The middle of the stamp for a pointer here: a pixel's centre for odd sizes, a corner for even ones.
    pub fn snap(self, point: Point) -> Point {
        match self.size_px % 2 {
            0 => point.map(f32::round),
            _ => point.map(|x| x.floor() + 0.5),
        }
    }
}

/// The pixel a place lies in.
pub fn pixel(point: Point) -> [i32; 2] {
    point.map(|x| x.floor() as i32)
}

/// Presses the brush down once.
pub fn stamp(canvas: &mut Canvas, brush: Brush, at: Point, id: u8) {
    let [cx, cy] = brush.snap(at);
    let radius = brush.size_px as f32 / 2.0;
    for y in (cy - radius).floor() as i32..(cy + radius).ceil() as i32 {
        let dy = y as f32 + 0.5 - cy;
        let half = match brush.tip {
            Tip::Round => (radius * radius - dy * dy).max(0.0).sqrt(),
            Tip::Square => radius,
        };
        canvas.span(y, columns(cx - half, cx + half), id);
    }
}

/// Columns whose centres lie between two places.
fn columns(left: f32, right: f32) -> std::ops::Range<i32> {
    (left - 0.5).ceil() as i32..(right - 0.5).floor() as i32 + 1
}

/// Draws the brush along a straight line, both ends included.
pub fn line(canvas: &mut Canvas, brush: Brush, from: Point, to: Point, id: u8) {
    let (from, to) = (brush.snap(from), brush.snap(to));
    let delta = [to[0] - from[0], to[1] - from[1]];
    let steps = delta[0].abs().max(delta[1].abs()).ceil() as i32;
    stamp(canvas, brush, from, id);
    for step in 1..=steps {
        let t = step as f32 / steps as f32;
        let at = [from[0] + t * delta[0], from[1] + t * delta[1]];
        stamp(canvas, brush, at, id);
    }
}

/// Fills the rectangle between two pixels, both included.
pub fn rectangle(canvas: &mut Canvas, a: Point, b: Point, id: u8) {
    let ([ax, ay], [bx, by]) = (pixel(a), pixel(b));
    for y in ay.min(by)..=ay.max(by) {
        canvas.span(y, ax.min(bx)..ax.max(bx) + 1, id);
    }
}

/// Fills a polygon by the even-odd rule.
pub fn polygon(canvas: &mut Canvas, corners: &[Point], id: u8) {
    let rows = corners.iter().map(|corner| corner[1]);
    let (top, bottom) = rows.fold((f32::MAX, f32::MIN), |(low, high), y| {
        (low.min(y), high.max(y))
    });
    let height = canvas.size()[1] as f32;
    let (top, bottom) = (top.max(0.0) as i32, bottom.min(height).ceil() as i32);
    let mut crossings = Vec::new();
    for y in top..bottom {
        crossings.clear();
        let middle = y as f32 + 0.5;
        for (i, &[ax, ay]) in corners.iter().enumerate() {
            let [bx, by] = corners[(i + 1) % corners.len()];
            if (ay <= middle) != (by <= middle) {
                crossings.push(ax + (middle - ay) / (by - ay) * (bx - ax));
            }
        }
        crossings.sort_by(f32::total_cmp);
        for pair in crossings.chunks_exact(2) {
            // The right edge belongs to the neighbour, so that polygons side by side do not overlap.
            let end = (pair[1] - 0.5).ceil() as i32;
            canvas.span(y, (pair[0] - 0.5).ceil() as i32..end, id);
        }
    }
}

/// Fills the region of one class around a pixel, over shared sides.
pub fn fill(canvas: &mut Canvas, start: [i32; 2], id: u8) {
    let Some(old) = canvas.get(start).filter(|&old| old != id) else {
        return;
    };
    let mut open = vec![start];
    while let Some([x, y]) = open.pop() {
        if canvas.get([x, y]) != Some(old) {
            continue;
        }
        let same = |x: i32| canvas.get([x, y]) == Some(old);
        let left = (0..=x).rev().take_while(|&x| same(x)).last().unwrap_or(x);
        let right = (x..).take_while(|&x| same(x)).last().unwrap_or(x) + 1;
        canvas.span(y, left..right, id);
        for next in [y - 1, y + 1] {
            let mut inside = false;
            for x in left..right {
                let same = canvas.get([x, next]) == Some(old);
                if same && !inside {
                    open.push([x, next]);
                }
                inside = same;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn picture(canvas: &Canvas) -> String {
        let rows = canvas.labels().data.chunks_exact(canvas.size()[0]);
        let text = |row: &[u8]| row.iter().map(|&id| char::from(b'0' + id)).collect();
        rows.map(text).collect::<Vec<String>>().join("\n")
    }

    fn brush(size_px: u32, tip: Tip) -> Brush {
        Brush { size_px, tip }
    }

    #[test]
    fn stamps_cover_their_size() {
        for size_px in 1..=9 {
            let mut canvas = Canvas::blank([12, 12], 0);
            stamp(&mut canvas, brush(size_px, Tip::Square), [6.2, 6.2], 1);
            let count = canvas.labels().data.iter().filter(|&&id| id == 1).count();
            assert_eq!(count, (size_px * size_px) as usize);
            let mut canvas = Canvas::blank([12, 12], 0);
            stamp(&mut canvas, brush(size_px, Tip::Round), [6.2, 6.2], 1);
            let row = (0..12).map(|y| canvas.labels().row(y).iter().filter(|&&id| id == 1).count());
            assert_eq!(row.max(), Some(size_px as usize), "diameter {size_px}");
        }
        let mut canvas = Canvas::blank([7, 7], 0);
        stamp(&mut canvas, brush(5, Tip::Round), [3.9, 3.1], 1);
        assert_eq!(
            picture(&canvas),
            "0000000\n0011100\n0111110\n0111110\n0111110\n0011100\n0000000"
        );
    }

    #[test]
    fn a_line_of_one_pixel_has_no_gaps() {
        let mut canvas = Canvas::blank([6, 4], 0);
        line(&mut canvas, brush(1, Tip::Round), [0.5, 0.5], [5.5, 3.5], 1);
        let rows: Vec<_> = (0..6)
            .map(|x| (0..4).filter(|&y| canvas.get([x, y]) == Some(1)).count())
            .collect();
        assert_eq!(rows, [1; 6]);
    }

    #[test]
    fn rectangles_include_both_corners() {
        let mut canvas = Canvas::blank([4, 3], 0);
        rectangle(&mut canvas, [2.9, 1.1], [1.0, 0.5], 7);
        assert_eq!(picture(&canvas), "0770\n0770\n0000");
    }

    #[test]
    fn neighbouring_polygons_share_no_pixel() {
        let mut canvas = Canvas::blank([8, 8], 0);
        let square = |l: f32, t: f32, r: f32, b: f32| [[l, t], [r, t], [r, b], [l, b]];
        polygon(&mut canvas, &square(0.0, 0.0, 4.5, 8.0), 1);
        let left = canvas.labels().data.iter().filter(|&&id| id == 1).count();
        polygon(&mut canvas, &square(4.5, 0.0, 8.0, 8.0), 2);
        let counts = [0, 1, 2].map(|id| canvas.labels().data.iter().filter(|&&x| x == id).count());
        assert_eq!(counts, [0, left, 64 - left]);
        polygon(
            &mut canvas,
            &[[-9.0, -9.0], [99.0, -9.0], [99.0, 99.0], [-9.0, 99.0]],
            3,
        );
        assert!(canvas.labels().data.iter().all(|&id| id == 3));
        polygon(&mut canvas, &[], 1);
        polygon(&mut canvas, &[[1.0, 1.0]], 1);
        assert!(canvas.labels().data.iter().all(|&id| id == 3));
    }

    #[test]
    fn a_fill_stops_at_borders_and_corners() {
        let mut canvas = Canvas::blank([5, 4], 0);
        line(
            &mut canvas,
            brush(1, Tip::Square),
            [2.5, 0.5],
            [2.5, 1.5],
            1,
        );
        line(
            &mut canvas,
            brush(1, Tip::Square),
            [0.5, 2.5],
            [1.5, 2.5],
            1,
        );
        fill(&mut canvas, [0, 0], 2);
        assert_eq!(picture(&canvas), "22100\n22100\n11000\n00000");
        fill(&mut canvas, [9, 9], 3);
        fill(&mut canvas, [0, 0], 2);
        assert_eq!(picture(&canvas), "22100\n22100\n11000\n00000");
    }

    proptest! {
        #[test]
        fn a_fill_reaches_what_a_search_reaches(cells in proptest::collection::vec(0u8..2, 42), x in 0i32..7, y in 0i32..6) {
            let start = crate::data::Grid::new(7, 6, cells);
            let mut canvas = Canvas::new(start.clone());
            fill(&mut canvas, [x, y], 5);
            let old = start.row(y as usize)[x as usize];
            let mut reached = vec![[x, y]];
            let mut next = 0;
            while next < reached.len() {
                let [x, y] = reached[next];
                next += 1;
                for at in [[x - 1, y], [x + 1, y], [x, y - 1], [x, y + 1]] {
                    let inside = (0..7).contains(&at[0]) && (0..6).contains(&at[1]);
                    if inside && start.row(at[1] as usize)[at[0] as usize] == old && !reached.contains(&at) {
                        reached.push(at);
                    }
                }
            }
            for at_y in 0..6 {
                for at_x in 0..7 {
                    let want = if reached.contains(&[at_x, at_y]) { 5 } else { start.row(at_y as usize)[at_x as usize] };
                    prop_assert_eq!(canvas.get([at_x, at_y]), Some(want));
                }
            }
        }
    }
}
