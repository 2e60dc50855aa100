//! Distinct label windows: every k x k neighbourhood of a label map, listed once.
//!
//! A convolution of a label map can only take as many values as the map has different neighbourhoods. A
//! [`WindowTable`] gives each pixel the number of its neighbourhood and lists the neighbourhoods as symbols, so that
//! kernels compute one row per *window* and look it up per *pixel*. Two [`Groups`] hold the transposed relations for
//! the backward pass: the pixels of each window, and the windows that show a channel at a tap.
//!
//! Windows are compared symbol by symbol (a hash never decides equality), merged over the whole batch, and numbered
//! in order of first occurrence, so equal maps give equal tables.

mod groups;
mod intern;
mod kept;
mod packed;
mod spec;

#[cfg(test)]
mod tests;

pub use groups::{CHUNK, Groups};
pub use kept::{KeptRows, Part, Placed, TwoTiers};
pub use packed::{GroupsView, HEADER_WORDS, WindowView, check_packed};
pub use spec::{Tier, WindowSpec, build_tables};

/// The first words of a packed table: all a host needs to size dispatches.
pub type Header = [u32; HEADER_WORDS];

use intern::Interner;

/// Symbol of a place outside the image; its weight row is zero.
pub const OUTSIDE: u32 = u32::MAX;
/// Flag of a symbol whose pixel lies on an instance edge.
pub const EDGE_BIT: u32 = 1 << 31;
/// The part of a symbol that holds its id: a label, or a window of a lower table.
pub const ID_MASK: u32 = (1 << 24) - 1;

/// Symbols of a batch of equally sized maps, N x H x W.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMap {
    /// Number of maps.
    pub n: usize,
    /// Height.
    pub h: usize,
    /// Width.
    pub w: usize,
    /// The symbols, row by row.
    pub ids: Vec<u32>,
}

impl IdMap {
    /// Joins labels with the instance-edge flags, where there are any (non-zero means edge).
    pub fn from_labels([n, h, w]: [usize; 3], labels: &[u32], edges: Option<&[u8]>) -> Self {
        assert_eq!(labels.len(), n * h * w, "labels of a {n}x{h}x{w} map");
        let mut ids = labels.to_vec();
        if let Some(edges) = edges {
            assert_eq!(edges.len(), ids.len(), "edges of a {n}x{h}x{w} map");
            for (id, &edge) in ids.iter_mut().zip(edges) {
                if edge != 0 {
                    *id |= EDGE_BIT;
                }
            }
        }
        Self { n, h, w, ids }
    }

    /// The map cut into so many parts of as many samples each, which must divide it.
    pub fn parts(&self, count: usize) -> impl Iterator<Item = Self> {
        assert!(
            self.n.is_multiple_of(count),
            "{count} parts of {} samples",
            self.n
        );
        let Self { n, h, w, .. } = *self;
        let parts = self.ids.chunks_exact((self.ids.len() / count).max(1));
        parts.map(move |ids| Self {
            n: n / count,
            h,
            w,
            ids: ids.to_vec(),
        })
    }

    /// Samples the map to another size by `source = floor(target * in / out)`, the rule for semantic maps inside the
    /// network (image files use pixel centres instead).
    pub fn resize_floor(&self, h: usize, w: usize) -> Self {
        if (h, w) == (self.h, self.w) {
            return self.clone();
        }
        let source = |to: usize, from: usize| -> Vec<usize> {
            (0..to).map(|i| (i * from / to).min(from - 1)).collect()
        };
        let (rows, columns) = (source(h, self.h), source(w, self.w));
        let mut ids = Vec::with_capacity(self.n * h * w);
        for image in 0..self.n {
            for y in &rows {
                let row = &self.ids[(image * self.h + y) * self.w..][..self.w];
                ids.extend(columns.iter().map(|&x| row[x]));
            }
        }
        Self {
            n: self.n,
            h,
            w,
            ids,
        }
    }
}

/// The distinct windows of a batch of maps and where they occur.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowTable {
    /// Number of maps.
    pub n: usize,
    /// Height of the output grid.
    pub h: usize,
    /// Width of the output grid.
    pub w: usize,
    /// Symbols per window, `k * k`.
    pub taps: usize,
    /// Number of channels a symbol's id may name.
    pub channels: usize,
    /// Window of each output pixel, N x H x W.
    pub ids: Vec<u32>,
    /// Symbols of each window, windows x taps, taps row by row.
    pub symbols: Vec<u32>,
    /// For each window its pixels, ascending.
    pub pixels_of: Groups,
    /// For each `tap * channels + channel` the windows that show the channel at the tap, ascending.
    pub windows_of: Groups,
}

impl WindowTable {
    /// Lists the windows a convolution of kernel `k` with this stride and zero padding sees.
    ///
    /// Ids must be below `channels`. A symbol with [`EDGE_BIT`] also counts for `edge_channel` where there is one.
    pub fn build(
        map: &IdMap,
        channels: usize,
        edge_channel: Option<u32>,
        k: usize,
        stride: usize,
        pad: usize,
    ) -> Self {
        assert!(
            channels <= ID_MASK as usize + 1,
            "{channels} channels do not fit a symbol"
        );
        let (h, w) = (
            output_size(map.h, k, stride, pad),
            output_size(map.w, k, stride, pad),
        );
        let (ids, symbols) = scanner(k)(map, [h, w], stride, pad);
        let taps = k * k;
        let pixels_of = Groups::collect(symbols.len() / taps, (0u32..).zip(&ids).map(flip));
        let windows_of = windows_by_channel(&symbols, taps, channels, edge_channel);
        Self {
            n: map.n,
            h,
            w,
            taps,
            channels,
            ids,
            symbols,
            pixels_of,
            windows_of,
        }
    }

    /// Number of output pixels, of all maps.
    pub fn pixels(&self) -> usize {
        self.ids.len()
    }

    /// Number of distinct windows.
    pub fn windows(&self) -> usize {
        self.symbols.len() / self.taps
    }

    /// The window numbers as symbols of a map of their own: the input of the next tier.
    pub fn map(&self) -> IdMap {
        IdMap {
            n: self.n,
            h: self.h,
            w: self.w,
            ids: self.ids.clone(),
        }
    }
}

/// Size of a convolution's output along one axis.
pub fn output_size(size: usize, k: usize, stride: usize, pad: usize) -> usize {
    assert!(
        size + 2 * pad >= k && stride > 0,
        "a window of {k} at stride {stride} does not fit {size} + 2 x {pad}"
    );
    (size + 2 * pad - k) / stride + 1
}

fn flip((pixel, &window): (u32, &u32)) -> (usize, u32) {
    (window as usize, pixel)
}

/// What lists the windows of a map: see [`scan`].
type Scanner = fn(&IdMap, [usize; 2], usize, usize) -> (Vec<u32>, Vec<u32>);

/// The scanner of windows with this many taps a side.
fn scanner(k: usize) -> Scanner {
    match k {
        1 => scan::<1>,
        2 => scan::<2>,
        3 => scan::<3>,
        4 => scan::<4>,
        5 => scan::<5>,
        6 => scan::<6>,
        7 => scan::<7>,
        8 => scan::<8>,
        9 => scan::<9>,
        _ => panic!("a window has 1 to 9 taps a side, not {k}"),
    }
}

/// Window of each output pixel, and the symbols of each window.
///
/// A window is the tuple of its rows and a row the tuple of its symbols; both are numbered exactly, so that a window
/// costs one look-up of k row numbers rather than k * k symbols, and none at all inside a plain area.
fn scan<const K: usize>(
    map: &IdMap,
    [out_h, out_w]: [usize; 2],
    stride: usize,
    pad: usize,
) -> (Vec<u32>, Vec<u32>) {
    let mut rows = Interner::<K>::new();
    let mut windows = Interner::<K>::new();
    let outside_row = rows.number([OUTSIDE; K]);
    let mut line = vec![OUTSIDE; map.w + 2 * pad];
    // Row numbers of one image, with `pad` rows outside above and below.
    let mut row_ids = vec![outside_row; (map.h + 2 * pad) * out_w];
    let mut ids = Vec::with_capacity(map.n * out_h * out_w);
    for image in 0..map.n {
        for y in 0..map.h {
            line[pad..pad + map.w]
                .copy_from_slice(&map.ids[(image * map.h + y) * map.w..][..map.w]);
            let numbered = &mut row_ids[(pad + y) * out_w..][..out_w];
            let key = |x: usize| std::array::from_fn(|i| line[x * stride + i]);
            for (x, id) in numbered.iter_mut().enumerate() {
                *id = rows.number(key(x));
            }
        }
        for y in 0..out_h {
            let stack: [&[u32]; K] =
                std::array::from_fn(|i| &row_ids[(y * stride + i) * out_w..][..out_w]);
            ids.extend((0..out_w).map(|x| windows.number(stack.map(|row| row[x]))));
        }
    }
    let mut symbols = Vec::with_capacity(windows.keys().len() * K * K);
    for row in windows.keys().as_flattened() {
        symbols.extend_from_slice(&rows.keys()[*row as usize]);
    }
    (ids, symbols)
}

/// The transposed relation: for each tap and channel, the windows that show it there.
fn windows_by_channel(
    symbols: &[u32],
    taps: usize,
    channels: usize,
    edge_channel: Option<u32>,
) -> Groups {
    let entries = symbols
        .chunks_exact(taps)
        .zip(0u32..)
        .flat_map(|(window, number)| {
            window.iter().enumerate().flat_map(move |(tap, &symbol)| {
                let inside = symbol != OUTSIDE;
                let id = inside.then_some(symbol & ID_MASK);
                let edge = edge_channel.filter(|_| inside && symbol & EDGE_BIT != 0);
                id.into_iter().chain(edge).map(move |channel| {
                    let channel = channel as usize;
                    assert!(channel < channels, "id {channel} among {channels} channels");
                    (tap * channels + channel, number)
                })
            })
        });
    Groups::collect(taps * channels, entries)
}
