//! A window table as one buffer of u32 words, the form kernels read.
//!
//! | word | content | word | content |
//! |---|---|---|---|
//! | 0 | pixels P | 8 | offset of `pixels_of.row_chunk`, W + 1 words |
//! | 1 | windows W | 9 | offset of `pixels_of.chunk_start`, chunks + 1 words |
//! | 2 | taps K | 10 | offset of `pixels_of.items`, P words |
//! | 3 | channels A | 11 | rows of `windows_of` (K * A) |
//! | 4 | offset of `ids`, P words | 12 | chunks of `windows_of` |
//! | 5 | offset of `symbols`, W * K words | 13 | offset of `windows_of.row_chunk` |
//! | 6 | rows of `pixels_of` (W) | 14 | offset of `windows_of.chunk_start` |
//! | 7 | chunks of `pixels_of` | 15 | offset of `windows_of.items` |
//!
//! The sections follow the header in this order without gaps; offsets count words from the start of the buffer.

use super::{CHUNK, Groups, Header, ID_MASK, OUTSIDE, WindowTable};

/// Words before the first section.
pub const HEADER_WORDS: usize = 16;

impl WindowTable {
    /// The table as words.
    pub fn pack(&self) -> Vec<u32> {
        let groups = [&self.pixels_of, &self.windows_of];
        let sections = [
            &self.ids,
            &self.symbols,
            &groups[0].row_chunk,
            &groups[0].chunk_start,
            &groups[0].items,
            &groups[1].row_chunk,
            &groups[1].chunk_start,
            &groups[1].items,
        ];
        let total = HEADER_WORDS + sections.iter().map(|section| section.len()).sum::<usize>();
        assert!(u32::try_from(total).is_ok(), "a table of {total} words");
        let mut words = Vec::with_capacity(total);
        words.resize(HEADER_WORDS, 0);
        let offsets = sections.map(|section| {
            let offset = words.len();
            words.extend_from_slice(section);
            offset
        });
        let sizes = [self.ids.len(), self.windows(), self.taps, self.channels];
        let shape = |groups: &Groups| [groups.rows(), groups.chunks()];
        let header = sizes
            .into_iter()
            .chain(offsets[..2].iter().copied())
            .chain(shape(groups[0]))
            .chain(offsets[2..5].iter().copied())
            .chain(shape(groups[1]))
            .chain(offsets[5..].iter().copied());
        for (word, value) in words.iter_mut().zip(header) {
            *word = value as u32;
        }
        words
    }

    /// Words that hold the table of any map of this many output pixels. For a table over windows of a lower one,
    /// `channels` is the most windows that one can have: its number of pixels.
    pub fn capacity_words(pixels: usize, taps: usize, channels: usize) -> usize {
        // Every pixel its own window, and every symbol on an instance edge, which doubles its entries.
        let per_tap = 2 * pixels;
        let chunks_per_tap = per_tap.min(per_tap / CHUNK + channels);
        let pixels_of = (pixels + 1) + (pixels + 1) + pixels;
        let windows_of = (taps * channels + 1) + (taps * chunks_per_tap + 1) + taps * per_tap;
        HEADER_WORDS + pixels + pixels * taps + pixels_of + windows_of
    }
}

/// Checks that words are a packed table of this many output pixels and taps, with at most this many channels, and that
/// no number in it leads a kernel out of its bounds: kernels follow them without looking.
///
/// # Errors
/// What is wrong with them.
pub fn check_packed(
    words: &[u32],
    pixels: usize,
    taps: usize,
    channels: usize,
) -> Result<(), String> {
    let header: &Header = words.first_chunk().ok_or("shorter than a header")?;
    let [p, w, k, a] = [0, 1, 2, 3].map(|i| header[i] as usize);
    if p != pixels || k != taps || !(1..=pixels).contains(&w) || !(1..=channels).contains(&a) {
        return Err(format!(
            "{w} windows of {k} taps and {a} channels for {p} pixels"
        ));
    }
    let mut rest = Sections {
        words,
        at: HEADER_WORDS,
    };
    let ids = rest.take(header[4], p)?;
    let symbols = rest.take(header[5], w * k)?;
    let id_of = |symbol: u32| (symbol & ID_MASK) as usize;
    if ids.iter().any(|&id| id as usize >= w) {
        return Err("a pixel has a window beyond the last".into());
    }
    if symbols.iter().any(|&s| s != OUTSIDE && id_of(s) >= a) {
        return Err("a window shows a symbol beyond the last".into());
    }
    rest.check_groups(&header[6..11], w, p)?;
    rest.check_groups(&header[11..16], k * a, w)
}

/// What of the words was not looked at yet.
struct Sections<'a> {
    words: &'a [u32],
    at: usize,
}

impl<'a> Sections<'a> {
    /// The next section, which must begin where the header says.
    fn take(&mut self, offset: u32, len: usize) -> Result<&'a [u32], String> {
        let rest = self.words.get(self.at..);
        let section = rest.and_then(|words| words.get(..len));
        let section = section.filter(|_| offset as usize == self.at);
        self.at += len;
        section.ok_or_else(|| format!("a section of {len} words is not at word {offset}"))
    }

    /// The next three sections: lists by row of items below a bound.
    fn check_groups(&mut self, header: &[u32], rows: usize, bound: usize) -> Result<(), String> {
        if header[0] as usize != rows {
            return Err(format!("lists of {} rows in place of {rows}", header[0]));
        }
        let chunks = header[1] as usize;
        let row_chunk = self.take(header[2], rows + 1)?;
        let chunk_start = self.take(header[3], chunks + 1)?;
        let items = self.take(header[4], chunk_start[chunks] as usize)?;
        let is_whole = row_chunk[0] == 0
            && row_chunk.is_sorted()
            && row_chunk[rows] as usize == chunks
            && chunk_start[0] == 0;
        let mut lengths = chunk_start
            .windows(2)
            .map(|pair| pair[1].checked_sub(pair[0]));
        if !is_whole || !lengths.all(|n| n.is_some_and(|n| (1..=CHUNK as u32).contains(&n))) {
            return Err("lists that do not follow one another".into());
        }
        if items.iter().any(|&item| item as usize >= bound) {
            return Err(format!("an item beyond {bound}"));
        }
        Ok(())
    }
}

/// A packed table, read in place.
#[derive(Clone, Copy, Debug)]
pub struct WindowView<'a> {
    words: &'a [u32],
}

impl<'a> WindowView<'a> {
    /// Reads words made by [`WindowTable::pack`]; the buffer may be longer.
    pub fn new(words: &'a [u32]) -> Self {
        assert!(words.len() >= HEADER_WORDS, "a packed table has a header");
        Self { words }
    }

    /// Number of output pixels.
    pub fn pixels(&self) -> usize {
        self.words[0] as usize
    }

    /// Number of distinct windows.
    pub fn windows(&self) -> usize {
        self.words[1] as usize
    }

    /// Symbols per window.
    pub fn taps(&self) -> usize {
        self.words[2] as usize
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.words[3] as usize
    }

    /// Window of each pixel.
    pub fn ids(&self) -> &'a [u32] {
        self.section(4, self.pixels())
    }

    /// Symbols of all windows, windows x taps.
    pub fn symbols(&self) -> &'a [u32] {
        self.section(5, self.windows() * self.taps())
    }

    /// Symbols of one window.
    pub fn window(&self, window: usize) -> &'a [u32] {
        &self.symbols()[window * self.taps()..][..self.taps()]
    }

    /// For each window its pixels.
    pub fn pixels_of(&self) -> GroupsView<'a> {
        self.groups(6)
    }

    /// For each `tap * channels + channel` the windows that show the channel at the tap.
    pub fn windows_of(&self) -> GroupsView<'a> {
        self.groups(11)
    }

    fn section(&self, offset_word: usize, len: usize) -> &'a [u32] {
        &self.words[self.words[offset_word] as usize..][..len]
    }

    fn groups(&self, first_word: usize) -> GroupsView<'a> {
        let [rows, chunks] = [0, 1].map(|i| self.words[first_word + i] as usize);
        let chunk_start = self.section(first_word + 3, chunks + 1);
        GroupsView {
            row_chunk: self.section(first_word + 2, rows + 1),
            chunk_start,
            items: self.section(first_word + 4, chunk_start[chunks] as usize),
        }
    }
}

/// Packed [`Groups`], read in place.
#[derive(Clone, Copy, Debug)]
pub struct GroupsView<'a> {
    /// First chunk of each row, and the number of chunks.
    pub row_chunk: &'a [u32],
    /// First item of each chunk, and the number of items.
    pub chunk_start: &'a [u32],
    /// The items, row after row.
    pub items: &'a [u32],
}

impl<'a> GroupsView<'a> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.row_chunk.len() - 1
    }

    /// Items of a row.
    pub fn row(&self, row: usize) -> &'a [u32] {
        let [first, end] = [row, row + 1].map(|r| self.chunk_start[self.row_chunk[r] as usize]);
        &self.items[first as usize..end as usize]
    }
}
