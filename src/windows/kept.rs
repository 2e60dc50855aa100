//! Rows of a table that outlives the layout: which window lies in which row, and which windows have none yet.
//!
//! Two convolutions in a row see a patch of `2 k - 1` labels a side, so a window of the second tier is known by its
//! patch, whatever layout it occurs in. Rows of windows that the present layout does not show stay as long as there is
//! room, the longest unused ones going first.

use super::{Groups, IdMap, OUTSIDE, WindowTable, flip, scanner, windows_by_channel};
use std::collections::HashMap;

/// Distinct windows of a map, and distinct windows of those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwoTiers {
    /// Window of the second tier of each pixel.
    pub pixels: Vec<u32>,
    /// Side of a window.
    k: usize,
    /// Symbols of each window of the first tier.
    lower: Vec<u32>,
    /// Windows of the first tier in each window of the second.
    upper: Vec<u32>,
}

impl TwoTiers {
    /// Lists the windows that two convolutions of the odd kernel `k` see, one after the other.
    ///
    /// # Panics
    /// If the kernel is even or larger than 9.
    pub fn list(map: &IdMap, k: usize) -> Self {
        assert!(k % 2 == 1, "a kernel of {k} has no middle");
        let size = [map.h, map.w];
        let (ids, lower) = scanner(k)(map, size, 1, k / 2);
        let IdMap { n, h, w, .. } = *map;
        let (pixels, upper) = scanner(k)(&IdMap { n, h, w, ids }, size, 1, k / 2);
        Self {
            pixels,
            k,
            lower,
            upper,
        }
    }

    /// Number of windows of the second tier.
    pub fn windows(&self) -> usize {
        self.upper.len() / self.taps()
    }

    fn taps(&self) -> usize {
        self.k * self.k
    }

    fn of_window(&self, window: usize) -> &[u32] {
        &self.upper[window * self.taps()..][..self.taps()]
    }

    fn symbols_of(&self, lower: u32) -> &[u32] {
        &self.lower[lower as usize * self.taps()..][..self.taps()]
    }

    /// The labels under a window of the second tier, row by row. A place that none of its windows shows is outside.
    fn patch(&self, window: usize, patch: &mut [u32]) {
        let (k, side) = (self.k, 2 * self.k - 1);
        patch.fill(OUTSIDE);
        for (tap, &lower) in self.of_window(window).iter().enumerate() {
            if lower == OUTSIDE {
                continue;
            }
            let corner = tap / k * side + tap % k;
            for (row, symbols) in self.symbols_of(lower).chunks_exact(k).enumerate() {
                patch[corner + row * side..][..k].copy_from_slice(symbols);
            }
        }
    }

    /// Packed tables of some windows alone, as few pairs as fit tables of `room` windows in both tiers.
    ///
    /// Ids must be below `channels`, which counts the edge channel: the last one where there is one.
    pub fn parts(
        &self,
        windows: &[u32],
        room: usize,
        channels: usize,
        edge_channel: Option<u32>,
    ) -> Vec<Part> {
        assert!(room >= self.taps(), "room for {room} windows");
        let mut parts = Vec::new();
        let mut rest = windows;
        while !rest.is_empty() {
            // Windows of the first tier by their number in this part.
            let mut local: HashMap<u32, u32> = HashMap::new();
            let (mut lower, mut upper) = (Vec::new(), Vec::new());
            let mut taken = 0;
            for &window in rest.iter().take(room) {
                if local.len() + self.taps() > room && !self.has_place(window, &local, room) {
                    break;
                }
                for &id in self.of_window(window as usize) {
                    if id == OUTSIDE {
                        upper.push(OUTSIDE);
                        continue;
                    }
                    let next = local.len() as u32;
                    upper.push(*local.entry(id).or_insert_with(|| {
                        lower.extend_from_slice(self.symbols_of(id));
                        next
                    }));
                }
                taken += 1;
            }
            let (now, later) = rest.split_at(taken);
            let lower = WindowTable::listed(lower, self.taps(), room, channels, edge_channel);
            let upper = WindowTable::listed(upper, self.taps(), room, lower.windows(), None);
            parts.push(Part {
                windows: now.to_vec(),
                tables: [lower.pack(), upper.pack()],
            });
            rest = later;
        }
        parts
    }

    /// Whether the first-tier windows that a window adds still fit.
    fn has_place(&self, window: u32, local: &HashMap<u32, u32>, room: usize) -> bool {
        let mut new: Vec<u32> = self.of_window(window as usize).to_vec();
        new.retain(|id| *id != OUTSIDE && !local.contains_key(id));
        new.sort_unstable();
        new.dedup();
        local.len() + new.len() <= room
    }
}

/// Packed tables of some windows of the second tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The windows, in the order of the table.
    pub windows: Vec<u32>,
    /// The first tier and the second.
    pub tables: [Vec<u32>; 2],
}

impl WindowTable {
    /// A table of listed windows, which the first of `pixels` pixels show one each and the others not at all: they
    /// are given the first.
    fn listed(
        symbols: Vec<u32>,
        taps: usize,
        pixels: usize,
        channels: usize,
        edge_channel: Option<u32>,
    ) -> Self {
        let windows = symbols.len() / taps;
        let mut ids: Vec<u32> = (0..windows as u32).collect();
        ids.resize(pixels, 0);
        Self {
            n: 1,
            h: 1,
            w: pixels,
            taps,
            channels,
            pixels_of: Groups::collect(windows, (0u32..).zip(&ids).map(flip)),
            windows_of: windows_by_channel(&symbols, taps, channels, edge_channel),
            ids,
            symbols,
        }
    }
}

/// Which window of the second tier lies in which row of a kept table.
#[derive(Debug)]
pub struct KeptRows {
    row_of: HashMap<Box<[u32]>, u32>,
    /// The patch in each row, and when a layout last showed it.
    rows: Vec<Option<(Box<[u32]>, u64)>>,
    now: u64,
}

/// Where the windows of a layout lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Row of each window.
    pub row_of: Vec<u32>,
    /// Windows whose row must be computed, ascending.
    pub fresh: Vec<u32>,
}

impl KeptRows {
    /// A table of so many rows, all of them empty.
    pub fn new(rows: usize) -> Self {
        Self {
            row_of: HashMap::new(),
            rows: vec![None; rows],
            now: 0,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Gives every window of a layout a row, those that have one the same as before.
    ///
    /// # Panics
    /// If there are more windows than rows.
    pub fn place(&mut self, tiers: &TwoTiers) -> Placed {
        let windows = tiers.windows();
        assert!(
            windows <= self.len(),
            "{windows} windows in {} rows",
            self.len()
        );
        self.now += 1;
        let side = 2 * tiers.k - 1;
        let mut patch = vec![OUTSIDE; side * side];
        let mut row_of = vec![u32::MAX; windows];
        let mut fresh = Vec::new();
        for (window, row) in row_of.iter_mut().enumerate() {
            tiers.patch(window, &mut patch);
            match self.row_of.get(patch.as_slice()) {
                Some(&known) => {
                    *row = known;
                    if let Some((_, used)) = &mut self.rows[known as usize] {
                        *used = self.now;
                    }
                }
                None => fresh.push(window as u32),
            }
        }
        let targets = self.vacate(fresh.len());
        for (&window, &row) in fresh.iter().zip(&targets) {
            tiers.patch(window as usize, &mut patch);
            let key: Box<[u32]> = patch.as_slice().into();
            self.row_of.insert(key.clone(), row);
            self.rows[row as usize] = Some((key, self.now));
            row_of[window as usize] = row;
        }
        Placed { row_of, fresh }
    }

    /// Rows that are free now: empty ones first, then those unused for longest.
    fn vacate(&mut self, count: usize) -> Vec<u32> {
        let age = |row: &u32| {
            self.rows[*row as usize]
                .as_ref()
                .map_or(0, |(_, used)| *used)
        };
        let all = 0..self.rows.len() as u32;
        let mut idle: Vec<u32> = all.filter(|row| age(row) < self.now).collect();
        if count < idle.len() {
            idle.sort_by_key(age);
            idle.truncate(count);
        }
        for &row in &idle {
            if let Some((key, _)) = self.rows[row as usize].take() {
                self.row_of.remove(&key);
            }
        }
        idle
    }

    /// Forgets all rows: what they hold can no longer be told.
    pub fn forget(&mut self) {
        *self = Self::new(self.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windows::WindowView;
    use proptest::prelude::*;

    fn map(h: usize, w: usize, ids: &[u32]) -> IdMap {
        IdMap {
            n: 1,
            h,
            w,
            ids: ids.to_vec(),
        }
    }

    /// The labels of a kernel of `k` after another around a pixel; places outside are `None`.
    fn patch_at(map: &IdMap, k: usize, pixel: usize) -> Vec<Option<u32>> {
        let reach = (k - 1) as isize;
        let (y, x) = ((pixel / map.w) as isize, (pixel % map.w) as isize);
        let at = |(dy, dx): (isize, isize)| {
            let (y, x) = (y + dy, x + dx);
            let inside = y >= 0 && x >= 0 && y < map.h as isize && x < map.w as isize;
            inside.then(|| map.ids[y as usize * map.w + x as usize])
        };
        let offsets = (-reach..=reach).flat_map(|dy| (-reach..=reach).map(move |dx| (dy, dx)));
        offsets.map(at).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn a_row_belongs_to_one_patch(
            size in (1usize..9, 1usize..9),
            half in 0usize..3,
            layouts in prop::collection::vec(prop::collection::vec(0u32..3, 64), 1..6),
            spare in 0usize..20,
        ) {
            let ((h, w), k) = (size, 2 * half + 1);
            let mut rows = KeptRows::new(h * w + spare);
            // What the table would hold: the patch computed last into each row.
            let mut held: Vec<Option<Vec<Option<u32>>>> = vec![None; rows.len()];
            for ids in layouts {
                let map = map(h, w, &ids[..h * w]);
                let tiers = TwoTiers::list(&map, k);
                let placed = rows.place(&tiers);
                for &window in &placed.fresh {
                    let pixel = tiers.pixels.iter().position(|&w| w == window).unwrap();
                    let row = placed.row_of[window as usize] as usize;
                    held[row] = Some(patch_at(&map, k, pixel));
                }
                for (pixel, &window) in tiers.pixels.iter().enumerate() {
                    let row = placed.row_of[window as usize] as usize;
                    let want = Some(patch_at(&map, k, pixel));
                    prop_assert_eq!(&held[row], &want, "pixel {}", pixel);
                }
                // The same layout again computes nothing and moves nothing.
                let again = rows.place(&tiers);
                prop_assert!(again.fresh.is_empty());
                prop_assert_eq!(again.row_of, placed.row_of);
            }
        }

        #[test]
        fn parts_show_the_windows_they_name(
            size in (1usize..9, 1usize..9),
            half in 0usize..3,
            ids in prop::collection::vec(0u32..4, 64),
            extra in 0usize..40,
        ) {
            let ((h, w), k) = (size, 2 * half + 1);
            let map = map(h, w, &ids[..h * w]);
            let tiers = TwoTiers::list(&map, k);
            let wanted: Vec<u32> = (0..tiers.windows() as u32).step_by(2).collect();
            let parts = tiers.parts(&wanted, k * k + extra, 4, None);
            let named: Vec<u32> = parts.iter().flat_map(|p| p.windows.clone()).collect();
            prop_assert_eq!(&named, &wanted);
            for Part { windows, tables } in parts {
                let room = k * k + extra;
                crate::windows::check_packed(&tables[0], room, k * k, 4).unwrap();
                crate::windows::check_packed(&tables[1], room, k * k, room).unwrap();
                let [lower, upper] = [0, 1].map(|i| WindowView::new(&tables[i]));
                prop_assert_eq!(upper.windows(), windows.len());
                for (at, &window) in windows.iter().enumerate() {
                    let of_part = upper.window(at).iter();
                    for (&local, &id) in of_part.zip(tiers.of_window(window as usize)) {
                        prop_assert_eq!(local == OUTSIDE, id == OUTSIDE);
                        if id != OUTSIDE {
                            prop_assert_eq!(lower.window(local as usize), tiers.symbols_of(id));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_longest_unused_rows_go_first() {
        let plain = |id| TwoTiers::list(&map(1, 1, &[id]), 1);
        let mut rows = KeptRows::new(3);
        let row = |rows: &mut KeptRows, id| {
            let placed = rows.place(&plain(id));
            (placed.row_of[0], !placed.fresh.is_empty())
        };
        for id in 0..3 {
            assert_eq!(row(&mut rows, id), (id, true));
        }
        assert_eq!(row(&mut rows, 0), (0, false), "still there");
        assert_eq!(row(&mut rows, 3), (1, true), "in the place of the oldest");
        assert_eq!(row(&mut rows, 1), (2, true), "gone, and back in the next");
        assert_eq!(row(&mut rows, 0), (0, false));
        rows.forget();
        assert_eq!(row(&mut rows, 0), (0, true));
    }
}
