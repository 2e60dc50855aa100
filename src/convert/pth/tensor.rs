//! Tensors as PyTorch describes them: numbers of a storage, picked by an offset and a stride for each axis.

/// Type of the numbers of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Dtype {
    /// The type a storage class of this name holds.
    pub fn of_storage(class: &str) -> Option<Self> {
        Some(match class {
            "DoubleStorage" => Self::F64,
            "FloatStorage" => Self::F32,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    /// Bytes of a number.
    pub fn width(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether the numbers are whole.
    pub fn is_integer(self) -> bool {
        !matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }

    /// The whole number in these bytes.
    fn integer(self, bytes: &[u8]) -> i64 {
        match self {
            Self::I64 => bytemuck::pod_read_unaligned(bytes),
            Self::I32 => bytemuck::pod_read_unaligned::<i32>(bytes).into(),
            Self::I16 => bytemuck::pod_read_unaligned::<i16>(bytes).into(),
            Self::I8 => bytemuck::pod_read_unaligned::<i8>(bytes).into(),
            _ => bytes[0].into(),
        }
    }

    /// The real number in these bytes, rounded to 32 bits.
    fn real(self, bytes: &[u8]) -> f32 {
        match self {
            Self::F64 => bytemuck::pod_read_unaligned::<f64>(bytes) as f32,
            Self::F16 => half(bytemuck::pod_read_unaligned(bytes)),
            Self::Bf16 => {
                f32::from_bits(u32::from(bytemuck::pod_read_unaligned::<u16>(bytes)) << 16)
            }
            _ => bytemuck::pod_read_unaligned(bytes),
        }
    }
}

/// The value of a 16-bit float.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (u32::from(bits >> 10 & 31), u32::from(bits & 0x3ff));
    let size = match exponent {
        // Multiples of 2^-24: exact.
        0 => fraction as f32 / (1 << 24) as f32,
        31 => f32::from_bits(0xff << 23 | fraction << 13),
        _ => f32::from_bits((exponent + 127 - 15) << 23 | fraction << 13),
    };
    f32::from_bits(size.to_bits() | u32::from(bits >> 15) << 31)
}

/// Which numbers of which storage a tensor is.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Where the file describes it.
    pub at: u64,
    /// Index of the storage.
    pub storage: u32,
    /// Length of each axis.
    pub shape: Vec<usize>,
    first: usize,
    strides: Vec<usize>,
    count: usize,
}

/// More axes than any network has; PyTorch's own limit is 64.
const MAX_AXES: usize = 8;

impl Tensor {
    /// A tensor within the numbers `first..first + available` of a storage, `offset` from the first.
    pub fn new(
        at: u64,
        storage: u32,
        (first, available): (usize, usize),
        offset: usize,
        (shape, strides): (Vec<usize>, Vec<usize>),
    ) -> Result<Self, String> {
        if shape.len() != strides.len() || shape.len() > MAX_AXES {
            return Err(format!(
                "a tensor of {} axes with {} strides",
                shape.len(),
                strides.len()
            ));
        }
        // An empty axis makes none of the others harmless: their product is taken elsewhere.
        let product = |lowest: usize| {
            let mut lengths = shape.iter().map(|&length| length.max(lowest));
            lengths.try_fold(1usize, usize::checked_mul)
        };
        let (count, end) = match shape.contains(&0) {
            true => (product(1).map(|_| 0), Some(0)),
            false => (product(0), end(offset, &shape, &strides)),
        };
        let (Some(count), Some(end)) = (count, end) else {
            return Err(format!("a tensor of impossible shape {shape:?}"));
        };
        if end > available || count > available {
            return Err(format!(
                "a tensor of shape {shape:?}, strides {strides:?} and offset {offset} does not fit its storage of {available} numbers"
            ));
        }
        Ok(Self {
            at,
            storage,
            shape,
            first: first + offset.min(available),
            strides,
            count,
        })
    }

    /// How many numbers it has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Its numbers in row-major order, of the bytes of its whole storage.
    pub fn reals(&self, dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
        let width = dtype.width();
        let at = |index: usize| &bytes[index * width..][..width];
        if self.is_contiguous() {
            let bytes = &bytes[self.first * width..][..self.count * width];
            return match dtype {
                Dtype::F32 => bytemuck::pod_collect_to_vec(bytes),
                _ => bytes.chunks_exact(width).map(|b| dtype.real(b)).collect(),
            };
        }
        let mut data = Vec::with_capacity(self.count);
        let mut index = vec![0; self.shape.len()];
        let mut position = self.first;
        while data.len() < self.count {
            data.push(dtype.real(at(position)));
            for axis in (0..self.shape.len()).rev() {
                index[axis] += 1;
                position += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                position -= index[axis] * self.strides[axis];
                index[axis] = 0;
            }
        }
        data
    }

    /// Its only number.
    pub fn integer(&self, dtype: Dtype, bytes: &[u8]) -> i64 {
        let width = dtype.width();
        dtype.integer(&bytes[self.first * width..][..width])
    }

    fn is_contiguous(&self) -> bool {
        if self.count == 0 {
            return true;
        }
        let mut expected = 1;
        for (&length, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if length != 1 && stride != expected {
                return false;
            }
            expected *= length;
        }
        true
    }
}

/// One past the last number that is touched, if it can be counted.
fn end(offset: usize, shape: &[usize], strides: &[usize]) -> Option<usize> {
    let mut last = offset;
    for (length, stride) in shape.iter().zip(strides) {
        last = last.checked_add((length - 1).checked_mul(*stride)?)?;
    }
    last.checked_add(1)
}

#[cfg(test)]
mod tests {
    use super::{Dtype, Tensor, half};

    #[test]
    fn halves_have_their_values() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 1023.0 * 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(half(bits), value, "{bits:#06x}");
        }
        assert!(half(0x8000).is_sign_negative());
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn strides_pick_numbers() {
        let bytes: Vec<u8> = (0..12).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let tensor = |offset, shape: &[usize], strides: &[usize]| {
            let layout = (shape.to_vec(), strides.to_vec());
            Tensor::new(0, 0, (2, 10), offset, layout).map(|t| t.reals(Dtype::F32, &bytes))
        };
        assert_eq!(
            tensor(1, &[2, 3], &[1, 2]).unwrap(),
            [3., 5., 7., 4., 6., 8.]
        );
        assert_eq!(
            tensor(0, &[2, 1, 2], &[2, 99, 1]).unwrap(),
            [2., 3., 4., 5.]
        );
        assert_eq!(tensor(9, &[], &[]).unwrap(), [11.]);
        assert_eq!(tensor(0, &[3, 0], &[1, 1]).unwrap(), [0f32; 0]);
        let huge = usize::MAX / 2;
        for (offset, shape, strides) in [
            (10, &[1][..], &[1][..]),
            (0, &[11], &[1]),
            (0, &[3], &[5]),
            (0, &[11], &[0]),
            (usize::MAX, &[1], &[1]),
            (0, &[huge, huge], &[0, 0]),
            (0, &[2, 3], &[huge, huge]),
            (0, &[1], &[]),
            (0, &[huge, huge, 0], &[1, 1, 1]),
        ] {
            tensor(offset, shape, strides).unwrap_err();
        }
    }
}
