//! Shapes and types of graph values.

use crate::windows::{CHUNK, Header, WindowTable};
use std::fmt;

/// Shape of a dense value: batch, height, width, channels (NHWC, channels innermost).
///
/// On the device channels are padded with zeros to a multiple of four and bound as `array<vec4<f32>>`.
/// Convolution weights use the same four numbers as kernel rows, kernel columns, input channels (padded to a
/// multiple of four) and output channels; vectors are `1 x 1 x 1 x c`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Samples, or kernel rows of a weight.
    pub n: usize,
    /// Height in pixels, or kernel columns of a weight.
    pub h: usize,
    /// Width in pixels, or padded input channels of a weight.
    pub w: usize,
    /// True (unpadded) channels.
    pub c: usize,
}

impl Shape {
    /// A shape from its four extents.
    pub const fn new(n: usize, h: usize, w: usize, c: usize) -> Self {
        Self { n, h, w, c }
    }

    /// One value per channel.
    pub const fn vector(c: usize) -> Self {
        Self::new(1, 1, 1, c)
    }

    /// One number.
    pub const fn scalar() -> Self {
        Self::vector(1)
    }

    /// A convolution weight of `cout` filters of `kh x kw x cin`.
    pub const fn weight(kh: usize, kw: usize, cin: usize, cout: usize) -> Self {
        Self::new(kh, kw, cin.next_multiple_of(4), cout)
    }

    /// Number of channel vectors: `n * h * w`.
    pub const fn rows(&self) -> usize {
        self.n * self.h * self.w
    }

    /// Channels in groups of four, the last one padded.
    pub const fn c4(&self) -> usize {
        self.c.div_ceil(4)
    }

    /// Number of true elements.
    pub const fn len(&self) -> usize {
        self.rows() * self.c
    }

    /// Whether the shape holds nothing.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of `vec4` on the device.
    pub const fn vec4s(&self) -> usize {
        self.rows() * self.c4()
    }

    /// The same shape with another batch size.
    pub const fn with_n(self, n: usize) -> Self {
        Self { n, ..self }
    }

    /// The same shape with another channel count.
    pub const fn with_c(self, c: usize) -> Self {
        Self { c, ..self }
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}x{}", self.n, self.h, self.w, self.c)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Size of a table of distinct label windows (see [`crate::windows`]): everything about it but its content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Windows {
    /// Pixels that look up a window; there are at most as many distinct windows.
    pub pixels: usize,
    /// Taps of a window.
    pub taps: usize,
    /// Rows of the weight a tap can select, at most.
    pub channels: usize,
}

impl Windows {
    /// The largest table: every pixel its own window.
    pub fn worst_header(&self) -> Header {
        let items = 2 * self.taps * self.pixels;
        let chunks = items.min(self.taps * self.channels + items.div_ceil(CHUNK));
        let mut header = [0; 16];
        for (at, value) in [
            (0, self.pixels),
            (1, self.pixels),
            (2, self.taps),
            (3, self.channels),
            (6, self.pixels),
            (7, self.pixels),
            (11, self.taps * self.channels),
            (12, chunks),
        ] {
            header[at] = u32::try_from(value).expect("tables stay below 2^32 words");
        }
        header
    }
}

/// Type of a graph value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ty {
    /// 32-bit floats in NHWC order.
    Dense(Shape),
    /// The same, stored in 16-bit floats.
    Half(Shape),
    /// A packed table of distinct label windows.
    Windows(Windows),
    /// A map of this many label symbols.
    Symbols(usize),
}

impl Ty {
    /// A single number.
    pub const SCALAR: Self = Self::Dense(Shape::scalar());

    /// The dense shape; index buffers have the empty shape.
    pub const fn shape(&self) -> Shape {
        match self {
            Self::Dense(shape) | Self::Half(shape) => *shape,
            Self::Windows(_) | Self::Symbols(_) => Shape::new(0, 0, 0, 0),
        }
    }

    /// The table size of a window table.
    ///
    /// # Panics
    /// On any other type, which is a mistake in an operation.
    pub fn windows(&self) -> Windows {
        match self {
            Self::Windows(windows) => *windows,
            other => panic!("{other} is no window table"),
        }
    }

    /// Size on the device.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Dense(shape) => shape.vec4s() as u64 * 16,
            Self::Half(shape) => shape.vec4s() as u64 * 8,
            Self::Windows(w) => {
                WindowTable::capacity_words(w.pixels, w.taps, w.channels) as u64 * 4
            }
            Self::Symbols(count) => *count as u64 * 4,
        }
    }
}

impl fmt::Display for Ty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dense(shape) => write!(f, "{shape}"),
            Self::Half(shape) => write!(f, "{shape} of 16 bits"),
            Self::Windows(w) => write!(f, "windows[{} px, {} taps]", w.pixels, w.taps),
            Self::Symbols(count) => write!(f, "symbols[{count}]"),
        }
    }
}
