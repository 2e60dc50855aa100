//! Values of the `f64` references and the host: dense numbers or index words.

use crate::graph::Shape;

/// A host value.
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    /// Numbers in NHWC order, true channels only (no padding).
    Dense {
        /// Shape.
        shape: Shape,
        /// `shape.len()` numbers.
        data: Vec<f64>,
    },
    /// Words of an index buffer.
    Index(Vec<u32>),
}

impl Tensor {
    /// Zeros.
    pub fn zeros(shape: Shape) -> Self {
        Self::dense(shape, vec![0.0; shape.len()])
    }

    /// Numbers in NHWC order.
    pub fn dense(shape: Shape, data: Vec<f64>) -> Self {
        assert_eq!(shape.len(), data.len(), "data does not fill {shape}");
        Self::Dense { shape, data }
    }

    /// A dense value computed from its position `(n, h, w, c)`.
    pub fn from_fn(shape: Shape, mut f: impl FnMut(usize, usize, usize, usize) -> f64) -> Self {
        let mut data = Vec::with_capacity(shape.len());
        for n in 0..shape.n {
            for h in 0..shape.h {
                for w in 0..shape.w {
                    data.extend((0..shape.c).map(|c| f(n, h, w, c)));
                }
            }
        }
        Self::dense(shape, data)
    }

    /// Shape of a dense value.
    ///
    /// # Panics
    /// On an index value, which is a mistake of the caller.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Dense { shape, .. } => *shape,
            Self::Index(_) => panic!("an index value has no shape"),
        }
    }

    /// Numbers of a dense value.
    ///
    /// # Panics
    /// On an index value, which is a mistake of the caller.
    pub fn data(&self) -> &[f64] {
        match self {
            Self::Dense { data, .. } => data,
            Self::Index(_) => panic!("an index value holds no numbers"),
        }
    }

    /// Numbers of a dense value, to write.
    ///
    /// # Panics
    /// On an index value, which is a mistake of the caller.
    pub fn data_mut(&mut self) -> &mut [f64] {
        match self {
            Self::Dense { data, .. } => data,
            Self::Index(_) => panic!("an index value holds no numbers"),
        }
    }

    /// Words of an index value.
    ///
    /// # Panics
    /// On a dense value, which is a mistake of the caller.
    pub fn words(&self) -> &[u32] {
        match self {
            Self::Index(words) => words,
            Self::Dense { .. } => panic!("a dense value holds no words"),
        }
    }

    /// Element at `(n, h, w, c)`.
    pub fn at(&self, n: usize, h: usize, w: usize, c: usize) -> f64 {
        let shape = self.shape();
        self.data()[((n * shape.h + h) * shape.w + w) * shape.c + c]
    }

    /// Element at `(n, h, w, c)`, to write.
    pub fn at_mut(&mut self, n: usize, h: usize, w: usize, c: usize) -> &mut f64 {
        let shape = self.shape();
        &mut self.data_mut()[((n * shape.h + h) * shape.w + w) * shape.c + c]
    }

    /// Element-wise image under `f`.
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self::dense(self.shape(), self.data().iter().map(|&x| f(x)).collect())
    }

    /// Element-wise combination of two values of one shape.
    pub fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!(self.shape(), other.shape());
        let data = self.data().iter().zip(other.data());
        Self::dense(self.shape(), data.map(|(&a, &b)| f(a, b)).collect())
    }

    /// Device layout: channels padded to a multiple of four with `padding`.
    pub fn to_device(&self, padding: f32) -> Vec<f32> {
        let shape = self.shape();
        let width = shape.c4() * 4;
        let mut device = vec![padding; shape.rows() * width];
        for (row, values) in self.data().chunks_exact(shape.c.max(1)).enumerate() {
            for (c, &value) in values.iter().enumerate() {
                device[row * width + c] = value as f32;
            }
        }
        device
    }

    /// Reads back the device layout, dropping the padding.
    pub fn from_device(shape: Shape, device: &[f32]) -> Self {
        let width = shape.c4() * 4;
        let rows = device.chunks_exact(width).take(shape.rows());
        let data = rows.flat_map(|row| row[..shape.c].iter().map(|&v| f64::from(v)));
        Self::dense(shape, data.collect())
    }
}
