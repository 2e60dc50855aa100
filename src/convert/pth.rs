//! PyTorch's own files: a dictionary of tensors in a zip archive or in the older container.
//!
//! Such a file is a program (a pickle) and may come from anywhere, so it is read by a machine that knows how to describe
//! tensors and nothing else. Nothing is executed. No length of the file is believed before it is compared with what is
//! there: reading takes at most a constant per byte of the description, the largest storage, and four bytes of result
//! per byte of the file, whatever the file says.

mod legacy;
mod objects;
mod pickle;
mod source;
mod tensor;
mod write;
mod zip;

pub use write::write;

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use crate::state::{HostTensor, StateDict};
use crate::{Error, Result};
use pickle::Pickle;
use source::{Fault, Source};
use tensor::{Dtype, Tensor};

/// Reads the tensors whose names are wanted; the storages of others are not even looked at.
///
/// Numbers of 16 and 64 bits become 32-bit reals, single integers become counters.
///
/// # Errors
/// If the file cannot be read, or is not a dictionary of tensors as `torch.save` writes it.
pub fn read(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<StateDict> {
    let file = File::open(path).map_err(|e| Error::io("cannot read", path, e))?;
    read_from(file, path, wanted)
}

/// As [`read`], from anything; `path` is named in errors.
///
/// # Errors
/// As [`read`].
pub fn read_from(
    reader: impl Read + Seek,
    path: &Path,
    wanted: impl Fn(&str) -> bool,
) -> Result<StateDict> {
    parse(reader, wanted).map_err(|fault| match fault {
        Fault::Io(source) => Error::io("cannot read", path, source),
        Fault::Content { at, why } => {
            Error::Data(format!("PyTorch file {}, byte {at}: {why}", path.display()))
        }
    })
}

/// Whether a file that starts with these bytes is one of PyTorch's; [`PREFIX`] bytes tell.
pub fn is_pth(start: &[u8]) -> bool {
    zip::starts(start) || legacy::starts(start)
}

/// How many bytes of a file tell what it is.
pub const PREFIX: usize = legacy::MAGIC.len();

fn parse(reader: impl Read + Seek, wanted: impl Fn(&str) -> bool) -> Result<StateDict, Fault> {
    let mut source = Source::new(reader)?;
    let start = source.read(0, source.len().min(PREFIX as u64), "the start")?;
    let contents = if zip::starts(&start) {
        zip::contents(&mut source)?
    } else if legacy::starts(&start) {
        legacy::contents(&mut source)?
    } else {
        return Err(Fault::at(0, "it is not a file that torch.save wrote"));
    };
    contents.load(&mut source, wanted)
}

/// What a file holds, and where.
struct Contents {
    tensors: Vec<(String, Tensor)>,
    storages: Vec<Placed>,
}

/// A storage whose bytes are known to be in the file.
struct Placed {
    dtype: Dtype,
    at: u64,
    bytes: u64,
    crc: Option<u32>,
}

/// The named tensors of the outermost dictionary; `at` is where its description starts.
fn named_tensors(pickle: &Pickle<'_>, at: u64) -> Result<Vec<(String, Tensor)>, Fault> {
    let heap = &pickle.heap;
    let items = match pickle.root {
        objects::Value::Dict(_) => heap.items(pickle.root).unwrap_or_default(),
        other => {
            let why = format!("it holds {}, not a dictionary of tensors", other.kind());
            return Err(Fault::at(at, why));
        }
    };
    let mut tensors = Vec::with_capacity(items.len() / 2);
    let mut names = HashSet::new();
    for pair in items.chunks_exact(2) {
        let Some(name) = heap.text(pair[0]) else {
            let why = format!("a dictionary with {} as a key", pair[0].kind());
            return Err(Fault::at(at, why));
        };
        let tensor = heap.tensor(pair[1]).ok_or_else(|| {
            let kind = pair[1].kind();
            let why = format!(
                "entry {name} is {kind}, not a tensor: save the network's state_dict() alone"
            );
            Fault::at(at, why)
        })?;
        if !names.insert(name) {
            return Err(Fault::at(
                tensor.at,
                format!("a second tensor named {name}"),
            ));
        }
        tensors.push((name.to_owned(), tensor.clone()));
    }
    Ok(tensors)
}

impl Contents {
    /// Reads every storage that is needed, one after the other, and picks its tensors.
    fn load(
        mut self,
        source: &mut Source<impl Read + Seek>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<StateDict, Fault> {
        self.tensors.retain(|(name, _)| wanted(name));
        self.refuse_bombs(source.len())?;
        self.tensors.sort_by_key(|(_, tensor)| tensor.storage);
        let mut state = StateDict::default();
        let same_storage = |a: &(_, Tensor), b: &(_, Tensor)| a.1.storage == b.1.storage;
        for group in self.tensors.chunk_by(same_storage) {
            let storage = &self.storages[group[0].1.storage as usize];
            let bytes = source.read(storage.at, storage.bytes, "a storage")?;
            refuse_other_checksum(&bytes, storage.crc, storage.at, &group[0].0)?;
            for (name, tensor) in group {
                insert(&mut state, name, tensor, storage.dtype, &bytes)?;
            }
        }
        Ok(state)
    }

    /// Tensors may share storages. No real file makes so much of it that it has more numbers than bytes.
    fn refuse_bombs(&self, len: u64) -> Result<(), Fault> {
        let mut total = 0u64;
        for (name, tensor) in &self.tensors {
            total = total.saturating_add(tensor.count() as u64);
            if total > len {
                return Err(Fault::at(
                    tensor.at,
                    format!("with {name} its tensors have more numbers than the file has bytes"),
                ));
            }
        }
        Ok(())
    }
}

fn refuse_other_checksum(bytes: &[u8], crc: Option<u32>, at: u64, what: &str) -> Result<(), Fault> {
    match crc.is_none_or(|crc| crc == crc32fast::hash(bytes)) {
        true => Ok(()),
        false => Err(Fault::at(
            at,
            format!("{what} does not have its checksum: the file is damaged"),
        )),
    }
}

fn insert(
    state: &mut StateDict,
    name: &str,
    tensor: &Tensor,
    dtype: Dtype,
    bytes: &[u8],
) -> Result<(), Fault> {
    let (at, shape) = (tensor.at, &tensor.shape);
    if !dtype.is_integer() {
        let numbers = HostTensor::new(shape.as_slice(), tensor.reals(dtype, bytes));
        state.tensors.insert(name.to_owned(), numbers);
    } else if shape.is_empty() {
        let number = tensor.integer(dtype, bytes);
        state.counters.insert(name.to_owned(), number);
    } else {
        let why = format!(
            "tensor {name} holds integers ({dtype:?}) of shape {shape:?}, where only single ones are expected"
        );
        return Err(Fault::at(at, why));
    }
    Ok(())
}
