//! Matrices as texels, for adapters that run on the CPU.
//!
//! Mesa's software driver loads a storage buffer lane by lane and component by component: 56 ns for eight lanes of a
//! `vec4` where the loads of a storage texture, transposes of whole texels, take half of it at most. A copy into a texture
//! runs at the speed of memory. So the subgroup family reads copies of what is read more than once: operands of
//! convolutions and products, rows of tables. A texture is a linear memory here: texel `i` is column `i % 16`,
//! line `i / 16 % 1024` of layer `i / 2^14`. A matrix whose width is a multiple of sixteen texels is stored in column
//! blocks of sixteen (64 channels), each from the start of a layer: the block that a tile reads is then contiguous,
//! however wide the matrix is, and no two pixels compete for one set of the cache. Other matrices keep their order.

use super::Binding;

/// Texels in a line; a line of 256 bytes is what WebGPU wants of a copy's rows.
pub const WIDTH: usize = 16;
/// Lines of a layer.
pub const HEIGHT: usize = 1024;
/// Bytes of a layer.
pub const LAYER_BYTES: u64 = (WIDTH * HEIGHT * 16) as u64;
/// Layers that hold any matrix of 128 MiB, which is the largest binding the software driver takes: the blocks of a
/// matrix fill their layers at least by half once it has more lines than one layer, and blocks are few before.
pub const LAYERS: u32 = 2048;

/// A matrix of `vec4` that is copied into texels just before a dispatch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Texels {
    /// Where it is.
    pub source: Binding,
    /// Rows.
    pub rows: usize,
    /// Width of a row in `vec4`.
    pub c4: usize,
    /// Layers to set aside, for a matrix whose shape depends on the content of a window table.
    pub reserved: usize,
}

/// One copy of lines into a layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineCopy {
    /// First byte in the source.
    pub offset: u64,
    /// Bytes from line to line in the source.
    pub bytes_per_line: u32,
    /// Texels of a line.
    pub width: u32,
    /// First line in the layer.
    pub line: u32,
    /// Lines.
    pub lines: u32,
    /// The layer.
    pub layer: u32,
}

impl Texels {
    /// Describes a matrix.
    pub fn new(source: Binding, rows: usize, c4: usize) -> Self {
        Self {
            source,
            rows,
            c4,
            reserved: 0,
        }
    }

    /// Describes a plain array of `vec4`, which keeps its order.
    pub fn array(source: Binding, vec4s: usize) -> Self {
        Self::new(source, vec4s, 1)
    }

    /// Layers that an array of so many words takes.
    pub fn layers_of_words(words: usize) -> usize {
        words.div_ceil(4 * WIDTH * HEIGHT)
    }

    /// Sets at least so many layers aside, whatever the shape while planning.
    pub fn reserve(self, layers: usize) -> Self {
        Self {
            reserved: layers,
            ..self
        }
    }

    fn is_blocked(&self) -> bool {
        self.c4.is_multiple_of(WIDTH)
    }

    fn layers_of_block(&self) -> usize {
        self.rows.div_ceil(HEIGHT)
    }

    /// Layers it takes.
    pub fn layers(&self) -> usize {
        if self.is_blocked() {
            self.c4 / WIDTH * self.layers_of_block()
        } else {
            (self.rows * self.c4).div_ceil(WIDTH * HEIGHT)
        }
    }

    /// Texels from row to row, and from one block of sixteen columns to the next.
    pub fn strides(&self) -> [usize; 2] {
        if self.is_blocked() {
            [WIDTH, self.layers_of_block() * WIDTH * HEIGHT]
        } else {
            [self.c4, WIDTH]
        }
    }

    /// The copies that fill the texels.
    pub fn copies(&self) -> Vec<LineCopy> {
        let copy = |first_byte: usize, pitch: usize, lines: usize, layer: usize| LineCopy {
            offset: first_byte as u64,
            bytes_per_line: pitch as u32,
            width: WIDTH as u32,
            line: 0,
            lines: lines as u32,
            layer: layer as u32,
        };
        let mut copies = Vec::new();
        if self.is_blocked() {
            for layer in 0..self.layers() {
                let block = layer / self.layers_of_block();
                let first = layer % self.layers_of_block() * HEIGHT;
                let offset = first * self.c4 * 16 + block * WIDTH * 16;
                let lines = (self.rows - first).min(HEIGHT);
                copies.push(copy(offset, self.c4 * 16, lines, layer));
            }
            return copies;
        }
        let total = self.rows * self.c4;
        for layer in 0..self.layers() {
            let first = layer * WIDTH * HEIGHT;
            let lines = ((total - first) / WIDTH).min(HEIGHT);
            let rest = (total - first - lines * WIDTH).min(WIDTH);
            if lines > 0 {
                copies.push(copy(first * 16, WIDTH * 16, lines, layer));
            }
            if lines < HEIGHT && rest > 0 {
                copies.push(LineCopy {
                    width: rest as u32,
                    line: lines as u32,
                    ..copy((first + lines * WIDTH) * 16, WIDTH * 16, 1, layer)
                });
            }
        }
        copies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_put_every_element_where_the_strides_say() {
        for (rows, c4) in [
            (1, 1),
            (5, 3),
            (16384, 1),
            (16385, 1),
            (2049, 16),
            (1024, 32),
            (700, 48),
            (9000, 5),
        ] {
            let texels = Texels::new(Binding::Input(0), rows, c4);
            let mut memory = vec![usize::MAX; texels.layers() * WIDTH * HEIGHT];
            for copy in texels.copies() {
                for line in 0..copy.lines as usize {
                    let from = copy.offset as usize / 16 + line * copy.bytes_per_line as usize / 16;
                    let to = (copy.layer as usize * HEIGHT + copy.line as usize + line) * WIDTH;
                    for column in 0..copy.width as usize {
                        memory[to + column] = from + column;
                    }
                }
            }
            let [row_stride, block_stride] = texels.strides();
            for row in 0..rows {
                for c in 0..c4 {
                    let at = row * row_stride + c / WIDTH * block_stride + c % WIDTH;
                    assert_eq!(memory[at], row * c4 + c, "{rows} x {c4} at {row}, {c}");
                }
            }
        }
    }

    #[test]
    fn the_largest_bindings_fit() {
        for c4 in [1, 16, 46, 256, 1024] {
            let rows = (128 << 20) / 16 / c4;
            let texels = Texels::new(Binding::Input(0), rows, c4);
            assert!(texels.layers() <= LAYERS as usize, "{rows} x {c4}");
        }
    }
}
