//! Undo and redo: what each edit changed, as runs of ids, within a budget of bytes.
//!
//! An edit keeps the rectangle it touched before and after. Where the budget is exceeded, the oldest edits go.

use std::collections::VecDeque;

use super::canvas::{Area, Canvas};
use crate::data::Grid;

/// Bytes of edits that are kept.
pub const BUDGET_BYTES: usize = 64 << 20;

/// Pixels of a rectangle as runs of equal ids.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Runs(Vec<(u8, u32)>);

impl Runs {
    fn pack<'a>(pixels: impl Iterator<Item = &'a u8>) -> Self {
        let mut runs: Vec<(u8, u32)> = Vec::new();
        for &id in pixels {
            match runs.last_mut() {
                Some((last, length)) if *last == id => *length += 1,
                _ => runs.push((id, 1)),
            }
        }
        runs.shrink_to_fit();
        Self(runs)
    }

    fn unpack(&self) -> Vec<u8> {
        let runs = self.0.iter();
        runs.flat_map(|&(id, length)| std::iter::repeat_n(id, length as usize))
            .collect()
    }

    fn bytes(&self) -> usize {
        self.0.len() * size_of::<(u8, u32)>()
    }
}

/// One side of an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    size: [usize; 2],
    area: Area,
    pixels: Runs,
}

impl State {
    fn of(labels: &Grid<u8>, area: Area) -> Self {
        Self {
            size: [labels.width, labels.height],
            area,
            pixels: Runs::pack(area.pixels(labels)),
        }
    }

    fn restore(&self, canvas: &mut Canvas) {
        let pixels = self.pixels.unpack();
        if canvas.size() == self.size {
            canvas.replace(self.area, &pixels);
        } else {
            let [width, height] = self.size;
            canvas.exchange(Grid::new(width, height, pixels));
        }
    }
}

/// What an edit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Paint on the layout.
    Paint,
    /// Another layout in its place.
    Exchange,
}

#[derive(Clone, Debug)]
struct Edit {
    kind: Kind,
    before: State,
    after: State,
}

impl Edit {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.before.pixels.bytes() + self.after.pixels.bytes()
    }
}

/// Edits done and undone.
#[derive(Debug)]
pub struct History {
    done: VecDeque<Edit>,
    undone: Vec<Edit>,
    open: Option<(Kind, Grid<u8>)>,
    bytes: usize,
    budget_bytes: usize,
}

impl Default for History {
    fn default() -> Self {
        Self::new(BUDGET_BYTES)
    }
}

impl History {
    /// An empty history of so many bytes.
    pub fn new(budget_bytes: usize) -> Self {
        Self {
            done: VecDeque::new(),
            undone: Vec::new(),
            open: None,
            bytes: 0,
            budget_bytes,
        }
    }

    /// Begins an edit: whatever happens to the canvas until [`History::end`] is undone at once.
    pub fn begin(&mut self, canvas: &mut Canvas) {
        self.open(canvas, Kind::Paint);
    }

    /// Begins the exchange of a layout for another.
    pub fn begin_exchange(&mut self, canvas: &mut Canvas) {
        self.open(canvas, Kind::Exchange);
    }

    fn open(&mut self, canvas: &mut Canvas, kind: Kind) {
        self.end(canvas);
        canvas.touched.take();
        self.open = Some((kind, canvas.labels().clone()));
    }

    /// Ends an edit. One that changed nothing leaves no trace.
    pub fn end(&mut self, canvas: &mut Canvas) {
        let Some((kind, before)) = self.open.take() else {
            return;
        };
        let Some(touched) = canvas.touched.take().filter(|_| before != *canvas.labels()) else {
            return;
        };
        let same_size = canvas.size() == [before.width, before.height];
        let area = |labels| {
            if same_size {
                touched
            } else {
                Area::whole(labels)
            }
        };
        let edit = Edit {
            kind,
            before: State::of(&before, area(&before)),
            after: State::of(canvas.labels(), area(canvas.labels())),
        };
        for gone in self.undone.drain(..) {
            self.bytes -= gone.bytes();
        }
        self.bytes += edit.bytes();
        self.done.push_back(edit);
        // The latest edit stays whatever it takes.
        while self.bytes > self.budget_bytes && self.done.len() > 1 {
            self.bytes -= self.done.pop_front().map_or(0, |edit| edit.bytes());
        }
    }

    /// Takes back the edit in progress.
    pub fn cancel(&mut self, canvas: &mut Canvas) {
        if let Some((_, before)) = self.open.take() {
            canvas.exchange(before);
            canvas.touched.take();
        }
    }

    /// Whether there is an edit to undo.
    pub fn can_undo(&self) -> bool {
        !self.done.is_empty()
    }

    /// Whether there is an edit to redo.
    pub fn can_redo(&self) -> bool {
        !self.undone.is_empty()
    }

    /// Undoes the latest edit; tells what it was, if there is one.
    pub fn undo(&mut self, canvas: &mut Canvas) -> Option<Kind> {
        self.end(canvas);
        let edit = self.done.pop_back()?;
        let kind = edit.kind;
        edit.before.restore(canvas);
        self.undone.push(edit);
        Some(kind)
    }

    /// Redoes what was undone last; tells what it was, if there is anything.
    pub fn redo(&mut self, canvas: &mut Canvas) -> Option<Kind> {
        self.end(canvas);
        let edit = self.undone.pop()?;
        let kind = edit.kind;
        edit.after.restore(canvas);
        self.done.push_back(edit);
        Some(kind)
    }

    /// Bytes of all edits.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::raster::{self, Brush, Tip};
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Deed {
        Stroke([f32; 2], [f32; 2], u32, bool, u8),
        Rectangle([f32; 2], [f32; 2], u8),
        Fill([i32; 2], u8),
        Exchange(usize, usize, u8),
        Cancelled([f32; 2], u8),
    }

    fn deed() -> impl Strategy<Value = Deed> {
        let point = || [-3.0f32..20.0, -3.0f32..20.0];
        prop_oneof![
            (point(), point(), 1u32..6, any::<bool>(), 0u8..4)
                .prop_map(|(a, b, size, round, id)| Deed::Stroke(a, b, size, round, id)),
            (point(), point(), 0u8..4).prop_map(|(a, b, id)| Deed::Rectangle(a, b, id)),
            ([0i32..16, 0i32..16], 0u8..4).prop_map(|(at, id)| Deed::Fill(at, id)),
            (1usize..18, 1usize..18, 0u8..4).prop_map(|(w, h, id)| Deed::Exchange(w, h, id)),
            (point(), 0u8..4).prop_map(|(a, id)| Deed::Cancelled(a, id)),
        ]
    }

    fn perform(canvas: &mut Canvas, history: &mut History, deed: &Deed) {
        history.begin(canvas);
        match *deed {
            Deed::Stroke(from, to, size_px, round, id) => {
                let tip = if round { Tip::Round } else { Tip::Square };
                raster::line(canvas, Brush { size_px, tip }, from, to, id);
            }
            Deed::Rectangle(a, b, id) => raster::rectangle(canvas, a, b, id),
            Deed::Fill(at, id) => raster::fill(canvas, at, id),
            Deed::Exchange(w, h, id) => canvas.exchange(Grid::new(w, h, vec![id; w * h])),
            Deed::Cancelled(at, id) => {
                raster::rectangle(canvas, at, [0.0, 0.0], id);
                history.cancel(canvas);
            }
        }
        history.end(canvas);
    }

    proptest! {
        #[test]
        fn any_sequence_undone_is_the_start_and_redone_the_end(deeds in proptest::collection::vec(deed(), 0..12)) {
            let start = Canvas::blank([16, 12], 0);
            let (mut canvas, mut history) = (start.clone(), History::default());
            let mut states = vec![start.labels().clone()];
            for deed in &deeds {
                perform(&mut canvas, &mut history, deed);
                if states.last() != Some(canvas.labels()) {
                    states.push(canvas.labels().clone());
                }
            }
            for want in states.iter().rev().skip(1) {
                prop_assert!(history.undo(&mut canvas).is_some());
                prop_assert_eq!(canvas.labels(), want);
            }
            prop_assert!(history.undo(&mut canvas).is_none() && history.can_redo() == (states.len() > 1));
            for want in &states[1..] {
                prop_assert!(history.redo(&mut canvas).is_some());
                prop_assert_eq!(canvas.labels(), want);
            }
            prop_assert!(history.redo(&mut canvas).is_none());
        }
    }

    #[test]
    fn the_budget_drops_the_oldest_edits() {
        let mut canvas = Canvas::blank([64, 64], 0);
        let mut history = History::new(2000);
        for i in 0..50 {
            let deed = Deed::Rectangle([i as f32, 0.0], [i as f32, 9.0], 1);
            perform(&mut canvas, &mut history, &deed);
            assert!(history.bytes() <= 2000, "{}", history.bytes());
        }
        let mut undone = 0;
        while history.undo(&mut canvas).is_some() {
            undone += 1;
        }
        assert!((2..50).contains(&undone), "{undone}");
        assert_eq!(canvas.get([49, 0]), Some(0));
        assert_eq!(canvas.get([0, 0]), Some(1));
    }

    #[test]
    fn a_new_edit_forgets_what_was_undone() {
        let mut canvas = Canvas::blank([8, 8], 0);
        let mut history = History::default();
        perform(&mut canvas, &mut history, &Deed::Fill([0, 0], 1));
        history.undo(&mut canvas);
        assert_eq!((history.can_undo(), history.can_redo()), (false, true));
        perform(&mut canvas, &mut history, &Deed::Fill([0, 0], 2));
        assert_eq!((history.can_undo(), history.can_redo()), (true, false));
        history.undo(&mut canvas);
        assert_eq!(canvas.get([0, 0]), Some(0));
    }
}
