//! Tools: what pointer and keys do to the canvas, without a window.
//!
//! A gesture runs from press to release; a polygon runs over several clicks until it is closed. Each is one edit.

use super::canvas::Canvas;
use super::history::History;
use super::raster::{self, Brush, Point, Tip};

/// What the pointer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Paints along the pointer's way.
    Brush,
    /// A straight line, as wide as the brush.
    Line,
    /// A filled rectangle.
    Rectangle,
    /// A filled polygon, corner by corner.
    Polygon,
    /// Fills a region of one class.
    Fill,
    /// Paints the ground along the pointer's way.
    Eraser,
    /// Picks the class under the pointer.
    Eyedropper,
    /// Moves the view.
    Hand,
}

impl Tool {
    /// In the order of the tool bar.
    pub const ALL: [Self; 8] = [
        Self::Brush,
        Self::Line,
        Self::Rectangle,
        Self::Polygon,
        Self::Fill,
        Self::Eraser,
        Self::Eyedropper,
        Self::Hand,
    ];

    /// What a person calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Brush => "Brush",
            Self::Line => "Line",
            Self::Rectangle => "Rectangle",
            Self::Polygon => "Polygon",
            Self::Fill => "Fill",
            Self::Eraser => "Eraser",
            Self::Eyedropper => "Eyedropper",
            Self::Hand => "Hand",
        }
    }

    /// How to use it, for the status bar and tooltips.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Brush => "Drag to paint. Shift-click draws a line from where you stopped.",
            Self::Line => "Drag from one end to the other.",
            Self::Rectangle => "Drag from corner to corner.",
            Self::Polygon => "Click corners. Enter or a double click closes, Esc gives up.",
            Self::Fill => "Click a region to give it the chosen class.",
            Self::Eraser => "Drag to bring the ground back.",
            Self::Eyedropper => "Click to choose the class under the pointer.",
            Self::Hand => "Drag to move the view; the middle button does so with any tool.",
        }
    }

    /// Whether the brush's size and form matter.
    pub fn uses_brush(self) -> bool {
        matches!(self, Self::Brush | Self::Line | Self::Eraser)
    }
}

/// What is going on between press and release.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Gesture {
    /// Nothing.
    #[default]
    None,
    /// Painting; here the pointer was last.
    Stroke(Point),
    /// Pulling a line or rectangle from a first to a latest place.
    Pull(Point, Point),
    /// Corners of a polygon so far.
    Corners(Vec<Point>),
}

/// Tool, brush and class in use, and the gesture in progress.
#[derive(Clone, Debug)]
pub struct Hand {
    /// The tool.
    pub tool: Tool,
    /// The brush.
    pub brush: Brush,
    /// Class that is painted.
    pub class: u8,
    /// Class that the eraser leaves.
    pub ground: u8,
    gesture: Gesture,
    last: Option<Point>,
}

impl Hand {
    /// A brush that fits a canvas of this size.
    pub fn new(size: [usize; 2], ground: u8) -> Self {
        Self {
            tool: Tool::Brush,
            brush: Brush {
                size_px: (size[0].min(size[1]) as u32 / 12).max(1),
                tip: Tip::Round,
            },
            class: ground,
            ground,
            gesture: Gesture::None,
            last: None,
        }
    }

    /// The gesture in progress.
    pub fn gesture(&self) -> &Gesture {
        &self.gesture
    }

    /// Takes another tool; a gesture in progress is given up.
    pub fn take(&mut self, tool: Tool, canvas: &mut Canvas, history: &mut History) {
        self.cancel(canvas, history);
        self.tool = tool;
    }

    /// The id the tool paints.
    fn ink(&self) -> u8 {
        match self.tool {
            Tool::Eraser => self.ground,
            _ => self.class,
        }
    }

    /// The pointer goes down. `straight` joins a stroke to the end of the one before.
    pub fn press(&mut self, at: Point, straight: bool, canvas: &mut Canvas, history: &mut History) {
        match self.tool {
            Tool::Brush | Tool::Eraser => {
                history.begin(canvas);
                let from = self.last.filter(|_| straight).unwrap_or(at);
                raster::line(canvas, self.brush, from, at, self.ink());
                self.gesture = Gesture::Stroke(at);
            }
            Tool::Line | Tool::Rectangle => self.gesture = Gesture::Pull(at, at),
            Tool::Polygon => match &mut self.gesture {
                Gesture::Corners(corners) => corners.push(at),
                _ => self.gesture = Gesture::Corners(vec![at]),
            },
            Tool::Fill => {
                history.begin(canvas);
                raster::fill(canvas, raster::pixel(at), self.class);
                history.end(canvas);
            }
            Tool::Eyedropper => self.pick(at, canvas),
            Tool::Hand => {}
        }
    }

    /// The pointer moves while it is down.
    pub fn drag(&mut self, to: Point, canvas: &mut Canvas) {
        let ink = self.ink();
        match &mut self.gesture {
            Gesture::Stroke(last) => {
                raster::line(canvas, self.brush, *last, to, ink);
                *last = to;
            }
            Gesture::Pull(_, latest) => *latest = to,
            Gesture::Corners(_) => {}
            Gesture::None if self.tool == Tool::Eyedropper => self.pick(to, canvas),
            Gesture::None => {}
        }
    }

    /// The pointer goes up.
    pub fn release(&mut self, canvas: &mut Canvas, history: &mut History) {
        match std::mem::take(&mut self.gesture) {
            Gesture::None => {}
            Gesture::Stroke(last) => {
                history.end(canvas);
                self.last = Some(last);
            }
            Gesture::Pull(from, to) => {
                history.begin(canvas);
                match self.tool {
                    Tool::Line => raster::line(canvas, self.brush, from, to, self.class),
                    _ => raster::rectangle(canvas, from, to, self.class),
                }
                history.end(canvas);
            }
            corners @ Gesture::Corners(_) => self.gesture = corners,
        }
    }

    /// Closes a polygon; fewer than three corners are given up.
    pub fn close(&mut self, canvas: &mut Canvas, history: &mut History) {
        if let Gesture::Corners(corners) = &self.gesture {
            if corners.len() > 2 {
                history.begin(canvas);
                raster::polygon(canvas, corners, self.class);
                history.end(canvas);
            }
            self.gesture = Gesture::None;
        }
    }

    /// Gives up the gesture in progress; false if there is none.
    pub fn cancel(&mut self, canvas: &mut Canvas, history: &mut History) -> bool {
        let gesture = std::mem::take(&mut self.gesture);
        if matches!(gesture, Gesture::Stroke(_)) {
            history.cancel(canvas);
        }
        gesture != Gesture::None
    }

    /// Chooses the class under the pointer.
    pub fn pick(&mut self, at: Point, canvas: &Canvas) {
        if let Some(id) = canvas.get(raster::pixel(at)) {
            self.class = id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Desk {
        canvas: Canvas,
        history: History,
        hand: Hand,
    }

    impl Desk {
        fn new(tool: Tool) -> Self {
            let mut hand = Hand::new([8, 8], 0);
            hand.class = 3;
            hand.tool = tool;
            hand.brush.size_px = 1;
            Self {
                canvas: Canvas::blank([8, 8], 0),
                history: History::default(),
                hand,
            }
        }

        fn gesture(&mut self, points: &[Point]) {
            let (canvas, history) = (&mut self.canvas, &mut self.history);
            self.hand.press(points[0], false, canvas, history);
            points[1..]
                .iter()
                .for_each(|&to| self.hand.drag(to, canvas));
            self.hand.release(canvas, history);
        }

        fn count(&self, id: u8) -> usize {
            self.canvas
                .labels()
                .data
                .iter()
                .filter(|&&x| x == id)
                .count()
        }
    }

    #[test]
    fn every_painting_tool_is_one_edit() {
        for (tool, pixels) in [
            (Tool::Brush, 8),
            (Tool::Line, 8),
            (Tool::Rectangle, 8),
            (Tool::Fill, 64),
            (Tool::Polygon, 0),
            (Tool::Eyedropper, 0),
            (Tool::Hand, 0),
        ] {
            let mut desk = Desk::new(tool);
            desk.gesture(&[[0.5, 2.5], [4.5, 2.5], [7.5, 2.5]]);
            assert_eq!(desk.count(3), pixels, "{tool:?}");
            assert_eq!(
                desk.history.undo(&mut desk.canvas).is_some(),
                pixels > 0,
                "{tool:?}"
            );
            assert_eq!(desk.count(0), 64, "{tool:?}");
        }
    }

    #[test]
    fn the_eraser_brings_the_ground_back() {
        let mut desk = Desk::new(Tool::Fill);
        desk.gesture(&[[1.0, 1.0]]);
        desk.hand.tool = Tool::Eraser;
        desk.gesture(&[[0.5, 0.5], [7.5, 0.5]]);
        assert_eq!((desk.count(0), desk.count(3)), (8, 56));
    }

    #[test]
    fn a_polygon_is_closed_or_given_up() {
        let mut desk = Desk::new(Tool::Polygon);
        for at in [[0.0, 0.0], [8.0, 0.0], [8.0, 8.0]] {
            desk.gesture(&[at]);
        }
        assert_eq!(desk.count(3), 0);
        desk.hand.close(&mut desk.canvas, &mut desk.history);
        assert!((28..=36).contains(&desk.count(3)), "{}", desk.count(3));
        desk.gesture(&[[0.0, 0.0]]);
        assert!(desk.hand.cancel(&mut desk.canvas, &mut desk.history));
        assert!(!desk.hand.cancel(&mut desk.canvas, &mut desk.history));
        assert_eq!(*desk.hand.gesture(), Gesture::None);
    }

    #[test]
    fn a_stroke_given_up_leaves_nothing() {
        let mut desk = Desk::new(Tool::Brush);
        let (canvas, history) = (&mut desk.canvas, &mut desk.history);
        desk.hand.press([1.0, 1.0], false, canvas, history);
        desk.hand.drag([6.0, 6.0], canvas);
        desk.hand.take(Tool::Fill, canvas, history);
        assert_eq!(desk.count(0), 64);
        assert!(!desk.history.can_undo());
    }

    #[test]
    fn shift_joins_strokes_and_the_eyedropper_picks() {
        let mut desk = Desk::new(Tool::Brush);
        desk.gesture(&[[0.5, 0.5]]);
        let (canvas, history) = (&mut desk.canvas, &mut desk.history);
        desk.hand.press([7.5, 0.5], true, canvas, history);
        desk.hand.release(canvas, history);
        assert_eq!(desk.count(3), 8);
        desk.hand.tool = Tool::Eyedropper;
        desk.gesture(&[[5.0, 5.0]]);
        assert_eq!(desk.hand.class, 0);
        desk.gesture(&[[5.0, 5.0], [2.0, 0.5]]);
        assert_eq!(desk.hand.class, 3);
    }
}
