//! Tensors as files hold them: official names, official layouts (convolutions output, input, height, width).

mod eight_bits;
mod file;

pub use file::TensorFile;

use std::collections::BTreeMap;

/// What the names of moving averages begin with.
pub const AVERAGES: &str = "ema.";

/// A tensor on the host, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostTensor {
    /// Length of each axis; none for a single number.
    pub shape: Vec<usize>,
    /// The numbers.
    pub data: Vec<f32>,
}

impl HostTensor {
    /// A tensor of this shape.
    ///
    /// # Panics
    /// If the count of numbers does not fit the shape.
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Self {
        let shape = shape.into();
        let count: usize = shape.iter().product();
        assert_eq!(count, data.len(), "numbers of a tensor of shape {shape:?}");
        Self { shape, data }
    }
}

/// Parameters and buffers by name, as in an official state dictionary.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateDict {
    /// Parameters and buffers of real numbers.
    pub tensors: BTreeMap<String, HostTensor>,
    /// Buffers that count: `num_batches_tracked`.
    pub counters: BTreeMap<String, i64>,
}

impl StateDict {
    /// Puts the generator's moving average, where there is one, in place of its newest weights.
    pub fn use_average(&mut self) {
        for (name, tensor) in self.take_average() {
            self.tensors.insert(name, tensor);
        }
    }

    /// Removes the generator's moving average, and returns it by the names of what it is the average of.
    pub fn take_average(&mut self) -> BTreeMap<String, HostTensor> {
        let (averages, others) = std::mem::take(&mut self.tensors)
            .into_iter()
            .partition(|(name, _): &(String, HostTensor)| name.starts_with(AVERAGES));
        self.tensors = others;
        let averages: BTreeMap<String, HostTensor> = averages;
        let named =
            |(name, tensor): (String, HostTensor)| (name[AVERAGES.len()..].to_owned(), tensor);
        averages.into_iter().map(named).collect()
    }

    /// Takes over the entries of another, their names prefixed.
    pub fn extend_prefixed(&mut self, prefix: &str, other: Self) {
        let name = |name: String| format!("{prefix}{name}");
        let tensors = other.tensors.into_iter();
        self.tensors.extend(tensors.map(|(k, v)| (name(k), v)));
        let counters = other.counters.into_iter();
        self.counters.extend(counters.map(|(k, v)| (name(k), v)));
    }
}
