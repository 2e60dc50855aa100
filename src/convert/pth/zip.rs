//! The container of PyTorch since 1.6: a zip archive of stored entries, `<top>/data.pkl` and `<top>/data/<storage>`.
//!
//! Entries are never compressed, so this reads just the directory and needs no decompressor: nothing that is small in
//! the file can become large. An archive crate would bring all that an archive may be; this is all that these are.

use std::collections::HashMap;
use std::io::{Read, Seek};

use super::objects::Heap;
use super::pickle::{self, MAX_BYTES};
use super::source::{Fault, Source};
use super::{Contents, Placed, named_tensors, refuse_other_checksum};

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
/// Bytes of each record before its variable part.
const LOCAL_LEN: usize = 30;
const CENTRAL_LEN: usize = 46;
const END_LEN: usize = 22;
/// Far more than the directory of any network.
const MAX_DIRECTORY: u64 = 16 << 20;

/// Whether a file with this start is of this kind.
pub fn starts(bytes: &[u8]) -> bool {
    bytes.starts_with(LOCAL)
}

/// A stored entry that lies within the file.
struct Entry {
    name: String,
    header: u64,
    at: u64,
    len: u64,
    /// None where PyTorch was told not to compute it, which leaves 0.
    crc: Option<u32>,
}

/// Follows the pickle and finds the storages.
pub fn contents(source: &mut Source<impl Read + Seek>) -> Result<Contents, Fault> {
    let entries = directory(source)?;
    let description = entries.iter().find_map(|entry| {
        let top = entry.name.strip_suffix("/data.pkl")?;
        (!top.contains('/')).then_some((top, entry))
    });
    let (top, description) = description.ok_or_else(|| {
        Fault::at(
            0,
            "it is a zip archive, but not one of torch.save: it has no data.pkl",
        )
    })?;
    let named: HashMap<&str, &Entry> = entries.iter().map(|e| (e.name.as_str(), e)).collect();
    if named.len() != entries.len() {
        return Err(Fault::at(0, "two entries of the archive have one name"));
    }
    if let Some(order) = named.get(format!("{top}/byteorder").as_str())
        && (order.len != 6 || read(source, order, "the byte order")? != b"little")
    {
        let why = "it was written on a machine with the most significant byte first";
        return Err(Fault::at(order.at, why));
    }
    if description.len > MAX_BYTES {
        let why = format!(
            "its description has {} bytes, more than the {MAX_BYTES} that are read",
            description.len
        );
        return Err(Fault::at(description.at, why));
    }
    let bytes = read(source, description, "the description")?;
    let pickle = pickle::read(&bytes, description.at)?;
    Ok(Contents {
        tensors: named_tensors(&pickle, description.at)?,
        storages: place(&pickle.heap, &named, top)?,
    })
}

fn read(
    source: &mut Source<impl Read + Seek>,
    entry: &Entry,
    what: &str,
) -> Result<Vec<u8>, Fault> {
    let bytes = source.read(entry.at, entry.len, what)?;
    refuse_other_checksum(&bytes, entry.crc, entry.at, what)?;
    Ok(bytes)
}

fn place(heap: &Heap<'_>, named: &HashMap<&str, &Entry>, top: &str) -> Result<Vec<Placed>, Fault> {
    let place = |storage: &super::objects::Storage<'_>| {
        let (key, at) = (storage.key, storage.at);
        let entry = named.get(format!("{top}/data/{key}").as_str());
        let entry = entry.ok_or_else(|| Fault::at(at, format!("storage {key} is missing")))?;
        let bytes = (storage.count * storage.dtype.width()) as u64;
        if bytes != entry.len {
            let why = format!(
                "storage {key} has {bytes} bytes, its entry in the archive {}",
                entry.len
            );
            return Err(Fault::at(at, why));
        }
        Ok(Placed {
            dtype: storage.dtype,
            at: entry.at,
            bytes,
            crc: entry.crc,
        })
    };
    heap.storages.iter().map(place).collect()
}

/// All entries, which are known not to overlap.
fn directory(source: &mut Source<impl Read + Seek>) -> Result<Vec<Entry>, Fault> {
    let (at, len, count) = find_directory(source)?;
    let bytes = source.read(at, len, "the directory")?;
    let mut rest = bytes.as_slice();
    let mut entries = Vec::new();
    for _ in 0..count {
        let here = at + (bytes.len() - rest.len()) as u64;
        let damaged = || Fault::at(here, "the directory of the archive is damaged");
        let record = rest.get(..CENTRAL_LEN).filter(|r| r.starts_with(CENTRAL));
        let record = record.ok_or_else(damaged)?;
        let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(short(record, at)));
        let end = CENTRAL_LEN + name + extra + comment;
        let whole = rest.get(..end).ok_or_else(damaged)?;
        let name = std::str::from_utf8(&whole[CENTRAL_LEN..][..name]).map_err(|_| damaged())?;
        let [crc, packed, len, header] = [16, 20, 24, 42].map(|at| long(record, at));
        if short(record, 10) != 0 || packed != len || short(record, 8) & 1 != 0 {
            let why =
                format!("entry {name} is compressed or encrypted, which torch.save never does");
            return Err(Fault::at(here, why));
        }
        entries.push(entry(source, (name, header.into(), len.into(), crc), here)?);
        rest = &rest[end..];
    }
    refuse_overlaps(&entries, at)?;
    Ok(entries)
}

/// Offset and length of the directory, and the count of its entries.
fn find_directory(source: &mut Source<impl Read + Seek>) -> Result<(u64, u64, u16), Fault> {
    // A comment of up to 65535 bytes may follow.
    let tail_len = source.len().min((END_LEN + 0xffff) as u64);
    let start = source.len() - tail_len;
    let tail = source.read(start, tail_len, "the end")?;
    let is_end = |&at: &usize| {
        let record = &tail[at..];
        record.starts_with(END) && END_LEN + usize::from(short(record, 20)) == record.len()
    };
    let last = (tail.len() + 1).saturating_sub(END_LEN);
    let end = (0..last).rev().find(is_end).ok_or_else(|| {
        Fault::at(
            source.len(),
            "the archive has no directory at its end: it is truncated",
        )
    })?;
    let (record, at) = (&tail[end..], start + end as u64);
    let (count, len, first) = (short(record, 10), long(record, 12), long(record, 16));
    if count == u16::MAX || len == u32::MAX || first == u32::MAX {
        return Err(Fault::at(
            at,
            "the archive is larger than 4 GiB, which is not read",
        ));
    }
    let (first, len) = (u64::from(first), u64::from(len));
    if first + len > at || len > MAX_DIRECTORY {
        return Err(Fault::at(at, "the directory of the archive is damaged"));
    }
    Ok((first, len, count))
}

/// An entry whose local header agrees with the directory.
fn entry(
    source: &mut Source<impl Read + Seek>,
    (name, header, len, crc): (&str, u64, u64, u32),
    here: u64,
) -> Result<Entry, Fault> {
    let what = format!("the header of {name}");
    let local = source.read(header, LOCAL_LEN as u64, &what)?;
    let [name_len, extra_len] = [26, 28].map(|at| u64::from(short(&local, at)));
    let first = header + LOCAL_LEN as u64;
    let agrees = local.starts_with(LOCAL)
        && name_len == name.len() as u64
        && source.read(first, name_len, &what)? == name.as_bytes();
    let at = first + name_len + extra_len;
    if !agrees || at + len > source.len() {
        let why = format!("entry {name} of the archive is not where its directory says");
        return Err(Fault::at(here, why));
    }
    Ok(Entry {
        name: name.to_owned(),
        header,
        at,
        len,
        crc: (crc != 0).then_some(crc),
    })
}

fn refuse_overlaps(entries: &[Entry], directory: u64) -> Result<(), Fault> {
    let mut order: Vec<&Entry> = entries.iter().collect();
    order.sort_by_key(|entry| entry.header);
    let starts = order.iter().skip(1).map(|entry| entry.header);
    for (entry, next) in order.iter().zip(starts.chain([directory])) {
        if entry.at + entry.len > next {
            let why = format!("entry {} of the archive overlaps what follows", entry.name);
            return Err(Fault::at(entry.header, why));
        }
    }
    Ok(())
}

fn short(bytes: &[u8], at: usize) -> u16 {
    bytemuck::pod_read_unaligned(&bytes[at..at + 2])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    bytemuck::pod_read_unaligned(&bytes[at..at + 4])
}
