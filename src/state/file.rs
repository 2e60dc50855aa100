//! The safetensors container, written as a stream: a checkpoint is several times the network, and is not copied.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde_json::{Map, Value, json};

use super::{HostTensor, StateDict};
use crate::{Error, Result};

/// A file's tensors and the text entries of its header.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorFile {
    /// Text entries.
    pub metadata: BTreeMap<String, String>,
    /// Tensors of 32-bit reals, and single 64-bit integers.
    pub state: StateDict,
}

impl TensorFile {
    /// Writes the file. The integers come first, so that everything is aligned.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn write(&self, writer: &mut dyn Write) -> io::Result<()> {
        let StateDict { tensors, counters } = &self.state;
        let mut header = Map::new();
        if !self.metadata.is_empty() {
            header.insert("__metadata__".into(), json!(self.metadata));
        }
        let mut end = 0;
        let mut describe = |name: &str, dtype: &str, shape: &[usize], bytes: usize| {
            let offsets = [end, end + bytes];
            end += bytes;
            let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": offsets});
            header.insert(name.into(), entry);
        };
        for name in counters.keys() {
            describe(name, "I64", &[], size_of::<i64>());
        }
        for (name, tensor) in tensors {
            let bytes = size_of_val(tensor.data.as_slice());
            describe(name, "F32", &tensor.shape, bytes);
        }
        let mut header = serde_json::to_vec(&Value::Object(header))?;
        header.resize(header.len().next_multiple_of(8), b' ');
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        for counter in counters.values() {
            writer.write_all(&counter.to_le_bytes())?;
        }
        for tensor in tensors.values() {
            writer.write_all(bytemuck::cast_slice(&tensor.data))?;
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

    fn parse(bytes: &[u8]) -> Result<Self, String> {
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
                (dtype, shape) => {
                    return Err(format!(
                        "tensor {name} is {dtype:?} of shape {shape:?}, where 32-bit reals are expected"
                    ));
                }
            }
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
