//! The container of PyTorch before 1.6: five pickles (magic number, version, system, dictionary, names of storages), then
//! the storages in the order of their names, each a count and its numbers.

use std::io::{Read, Seek};

use super::objects::{Heap, Value};
use super::pickle::{self, MAX_BYTES};
use super::source::{Fault, Source};
use super::{Contents, Placed, named_tensors};

/// The first pickle: the magic number.
pub const MAGIC: [u8; 15] = *b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// Version of the container, the only one there has been.
const VERSION: i64 = 1001;

/// Whether a file with this start is of this kind.
pub fn starts(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Follows the pickles and finds the storages.
pub fn contents(source: &mut Source<impl Read + Seek>) -> Result<Contents, Fault> {
    let start = MAGIC.len() as u64;
    let len = (source.len() - start).min(MAX_BYTES);
    let bytes = source.read(start, len, "the description")?;
    let mut at = 0;
    let mut next = || {
        let base = start + at as u64;
        let pickle = pickle::read(&bytes[at..], base)?;
        at += pickle.len;
        Ok::<_, Fault>((pickle, base))
    };
    let (version, base) = next()?;
    if !matches!(version.root, Value::Int(VERSION)) {
        return Err(Fault::at(base, format!("it is not of version {VERSION}")));
    }
    let (system, base) = next()?;
    if !is_little_endian(&system.heap, system.root) {
        let why = "it was written on a machine with the most significant byte first";
        return Err(Fault::at(base, why));
    }
    let (dictionary, base) = next()?;
    let tensors = named_tensors(&dictionary, base)?;
    let (names, base) = next()?;
    let not_names = || Fault::at(base, "the names of its storages are missing");
    let names_heap = &names.heap;
    let names = names_heap.items(names.root).ok_or_else(not_names)?;
    let names: Option<Vec<&str>> = names.iter().map(|&name| names_heap.text(name)).collect();
    let names = names.ok_or_else(not_names)?;
    let first = start + at as u64;
    let storages = place(source, &dictionary.heap, &names, first)?;
    Ok(Contents { tensors, storages })
}

/// The system is a dictionary of three entries; one without the entry is taken for the usual.
fn is_little_endian(heap: &Heap<'_>, system: Value) -> bool {
    let items = heap.items(system).unwrap_or_default();
    let is_entry = |pair: &&[Value]| heap.text(pair[0]) == Some("little_endian");
    let entry = items.chunks_exact(2).find(is_entry);
    entry.is_none_or(|pair| matches!(pair[1], Value::Bool(true)))
}

fn place(
    source: &mut Source<impl Read + Seek>,
    heap: &Heap<'_>,
    names: &[&str],
    mut at: u64,
) -> Result<Vec<Placed>, Fault> {
    let mut found: Vec<Option<Placed>> = heap.storages.iter().map(|_| None).collect();
    for name in names {
        let unknown = || Fault::at(at, format!("storage {name} is of no tensor"));
        let index = heap.storage(name).ok_or_else(unknown)?;
        let storage = &heap.storages[index];
        let what = format!("storage {name}");
        let count: u64 = bytemuck::pod_read_unaligned(&source.read(at, 8, &what)?);
        if count != storage.count as u64 {
            let why = format!(
                "{what} has {count} numbers, and {} elsewhere",
                storage.count
            );
            return Err(Fault::at(at, why));
        }
        let (first, bytes) = (at + 8, count * storage.dtype.width() as u64);
        if bytes > source.len() - first {
            let why = format!(
                "{what} has {bytes} bytes, of which the file has {}: it is truncated",
                source.len() - first
            );
            return Err(Fault::at(first, why));
        }
        at = first + bytes;
        let placed = Placed {
            dtype: storage.dtype,
            at: first,
            bytes,
            crc: None,
        };
        if found[index].replace(placed).is_some() {
            return Err(Fault::at(first, format!("{what} appears twice")));
        }
    }
    let storages = found.into_iter().zip(&heap.storages);
    let missing =
        |s: &super::objects::Storage<'_>| Fault::at(s.at, format!("storage {} is missing", s.key));
    storages
        .map(|(placed, s)| placed.ok_or_else(|| missing(s)))
        .collect()
}
