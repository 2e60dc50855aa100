//! The safetensors container, written as a stream: a checkpoint is several times the network, and is not copied.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde_json::{Map, Value, json};

use super::eight_bits::{EightBits, STEPS};
use super::{HostTensor, StateDict};
use crate::{Error, Result};

/// A tensor as the file has it.
struct Entry<'a> {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Entry<'a> {
    fn reals(name: String, tensor: &'a HostTensor) -> Self {
        Self {
            name,
            dtype: "F32",
            shape: tensor.shape.clone(),
            bytes: Cow::Borrowed(bytemuck::cast_slice(&tensor.data)),
        }
    }
}

/// A tensor as the header has it.
struct Listed<'a> {
    name: &'a str,
    dtype: &'static str,
    shape: &'a [usize],
    /// Bytes of its numbers.
    len: usize,
}

/// Writes what comes before the numbers of tensors in this order.
fn write_header<'a>(
    writer: &mut dyn Write,
    metadata: &BTreeMap<String, String>,
    tensors: impl Iterator<Item = Listed<'a>>,
) -> io::Result<()> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    let mut end = 0;
    for tensor in tensors {
        let offsets = [end, end + tensor.len];
        end += tensor.len;
        let Listed { dtype, shape, .. } = tensor;
        let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": offsets});
        header.insert(tensor.name.to_owned(), entry);
    }
    let mut header = serde_json::to_vec(&Value::Object(header))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    writer.write_all(&(header.len() as u64).to_le_bytes())?;
    writer.write_all(&header)
}

/// A file's tensors and the text entries of its header.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorFile {
    /// Text entries.
    pub metadata: BTreeMap<String, String>,
    /// Tensors of 32-bit reals, and single 64-bit integers; in the file also kernels in eight bits.
    pub state: StateDict,
}

impl TensorFile {
    /// Writes the file.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn write(&self, writer: &mut dyn Write) -> io::Result<()> {
        self.write_entries(writer, |name, tensor| {
            vec![Entry::reals(name.into(), tensor)]
        })
    }

    /// Writes the file with kernels and matrices in eight bits, which [`TensorFile::load`] turns back into 32.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn write_compact(&self, writer: &mut dyn Write) -> io::Result<()> {
        self.write_entries(writer, |name, tensor| match EightBits::of(tensor) {
            None => vec![Entry::reals(name.into(), tensor)],
            Some(eight) => vec![
                Entry {
                    name: name.into(),
                    dtype: "I8",
                    shape: tensor.shape.clone(),
                    bytes: Cow::Owned(bytemuck::cast_slice(&eight.multiples).to_vec()),
                },
                Entry {
                    name: format!("{name}{STEPS}"),
                    dtype: "F32",
                    shape: vec![eight.steps.len()],
                    bytes: Cow::Owned(bytemuck::cast_slice(&eight.steps).to_vec()),
                },
            ],
        })
    }

    /// The widest numbers come first, so that everything is aligned.
    fn write_entries<'a>(
        &'a self,
        writer: &mut dyn Write,
        of: impl Fn(&str, &'a HostTensor) -> Vec<Entry<'a>>,
    ) -> io::Result<()> {
        let StateDict { tensors, counters } = &self.state;
        let counter = |(name, counter): (&String, &'a i64)| Entry {
            name: name.clone(),
            dtype: "I64",
            shape: Vec::new(),
            bytes: Cow::Borrowed(bytemuck::bytes_of(counter)),
        };
        let mut entries: Vec<Entry> = counters.iter().map(counter).collect();
        entries.extend(tensors.iter().flat_map(|(name, tensor)| of(name, tensor)));
        entries.sort_by_key(|entry| ["I64", "F32", "I8"].iter().position(|d| *d == entry.dtype));
        let listed = entries.iter().map(|entry| Listed {
            name: &entry.name,
            dtype: entry.dtype,
            shape: &entry.shape,
            len: entry.bytes.len(),
        });
        write_header(writer, &self.metadata, listed)?;
        entries
            .iter()
            .try_for_each(|entry| writer.write_all(&entry.bytes))
    }

    /// Writes the file that [`TensorFile::write`] would write if this one held some more tensors of 32-bit reals, given by
    /// name and shape. `read` is asked for the numbers of one at a time.
    ///
    /// # Errors
    /// If the writer or `read` fails.
    pub fn write_with(
        &self,
        writer: &mut dyn Write,
        more: &BTreeMap<String, Vec<usize>>,
        mut read: impl FnMut(&str) -> io::Result<Vec<f32>>,
    ) -> io::Result<()> {
        let StateDict { tensors, counters } = &self.state;
        let own = tensors.iter().map(|(name, tensor)| (name, &tensor.shape));
        let shapes: BTreeMap<&String, &Vec<usize>> = own.chain(more).collect();
        let counted = counters.keys().map(|name| Listed {
            name,
            dtype: "I64",
            shape: &[],
            len: size_of::<i64>(),
        });
        let listed = shapes.iter().map(|(name, shape)| Listed {
            name,
            dtype: "F32",
            shape,
            len: shape.iter().product::<usize>() * size_of::<f32>(),
        });
        write_header(writer, &self.metadata, counted.chain(listed))?;
        for counter in counters.values() {
            writer.write_all(&counter.to_le_bytes())?;
        }
        for (name, shape) in shapes {
            let numbers = match more.contains_key(name) {
                true => Cow::Owned(read(name)?),
                false => Cow::Borrowed(tensors[name].data.as_slice()),
            };
            let count: usize = shape.iter().product();
            assert_eq!(numbers.len(), count, "{name} is of {shape:?}");
            writer.write_all(bytemuck::cast_slice(&numbers))?;
        }
        Ok(())
    }

    /// Reads a file; `what` it should be is named in errors.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or holds tensors of other types.
    pub fn load(path: &Path, what: &str) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::Io {
            action: "cannot read",
            path: path.to_path_buf(),
            source,
        })?;
        Self::parse(&bytes).map_err(|why| Error::Data(format!("{what} {}: {why}", path.display())))
    }

    /// Reads a file from memory.
    ///
    /// # Errors
    /// What is wrong with it, for a message that names it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(explain)?;
        let file = SafeTensors::deserialize(bytes).map_err(explain)?;
        let mut contents = Self {
            metadata: header
                .metadata()
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
            ..Self::default()
        };
        let mut eight_bits = Vec::new();
        for (name, view) in file.tensors() {
            match (view.dtype(), view.shape()) {
                (Dtype::F32, shape) => {
                    let data = bytemuck::pod_collect_to_vec(view.data());
                    let tensor = HostTensor::new(shape, data);
                    contents.state.tensors.insert(name, tensor);
                }
                (Dtype::I64, []) => {
                    let number = bytemuck::pod_read_unaligned(view.data());
                    contents.state.counters.insert(name, number);
                }
                (Dtype::I8, shape) => {
                    let multiples: Vec<i8> = bytemuck::pod_collect_to_vec(view.data());
                    eight_bits.push((name, shape.to_vec(), multiples));
                }
                (dtype, shape) => {
                    return Err(format!(
                        "tensor {name} is {dtype:?} of shape {shape:?}, where 32-bit reals are expected"
                    ));
                }
            }
        }
        for (name, shape, multiples) in eight_bits {
            let tensors = &mut contents.state.tensors;
            let steps = tensors.remove(&format!("{name}{STEPS}"));
            let steps = steps.map(|steps| steps.data).unwrap_or_default();
            let numbers = EightBits { multiples, steps }.numbers(&shape);
            let numbers =
                numbers.ok_or_else(|| format!("it is damaged: tensor {name} lacks its steps"))?;
            tensors.insert(name, numbers);
        }
        Ok(contents)
    }
}

fn explain(error: SafeTensorError) -> String {
    use SafeTensorError as E;
    match error {
        E::HeaderTooLarge | E::InvalidHeader(_) | E::InvalidHeaderDeserialization(_) => {
            "it is not a safetensors file".into()
        }
        error => format!("it is truncated or damaged ({error})"),
    }
}
