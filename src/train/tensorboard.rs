//! Event files as TensorBoard reads them: records of a length, its checksum, an event, its checksum.
//!
//! An event is a protocol buffer of a handful of fields, written here by hand: a time, a step, and either the version of
//! the format or values by tag. Steps are pictures seen, as the official code counts.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::picture::{self, Picture};
use crate::{Error, Result};

/// What readers look for in the first event.
const VERSION: &str = "brain.Event:2";

/// An event file that grows.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Starts a file in a folder, beside those of earlier parts of the run; readers forget what those say of later steps
    /// than the one it begins behind.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(folder: &Path, step: u64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| Error::io("cannot create", folder, e))?;
        let seconds = now() as u64;
        // The second tells parts of a run apart, the last number parts that started within one.
        let paths = (0u32..)
            .map(|i| folder.join(format!("events.out.tfevents.{seconds:010}.spadework.{i}")));
        for path in paths {
            match File::create_new(&path) {
                Ok(file) => {
                    let mut events = Self { path, file };
                    let mut event = stamp(None);
                    text(&mut event, 3, VERSION);
                    events.record(&event)?;
                    if step > 0 {
                        events.record(&restart(step + 1))?;
                    }
                    return Ok(events);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("cannot create", &path, error)),
            }
        }
        unreachable!("one of the names is free")
    }

    /// Adds numbers by tag.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f32)]) -> Result<()> {
        let values = values.iter().map(|(tag, number)| {
            let mut value = Vec::new();
            text(&mut value, 1, tag);
            key(&mut value, 2, Wire::Fixed32);
            value.extend(number.to_le_bytes());
            value
        });
        let event = summary(step, values);
        self.record(&event)
    }

    /// Adds pictures by tag.
    ///
    /// # Errors
    /// If one cannot be encoded, or the file cannot be written.
    pub fn pictures(&mut self, step: u64, pictures: &[(String, &Picture)]) -> Result<()> {
        let mut values = Vec::new();
        for (tag, picture) in pictures {
            let mut image = Vec::new();
            for (field, number) in [(1, picture.height), (2, picture.width), (3, 3)] {
                key(&mut image, field, Wire::Varint);
                varint(&mut image, number as u64);
            }
            bytes(&mut image, 4, &picture::encode(picture)?);
            let mut value = Vec::new();
            text(&mut value, 1, tag);
            bytes(&mut value, 4, &image);
            values.push(value);
        }
        let event = summary(step, values.into_iter());
        self.record(&event)
    }

    fn record(&mut self, event: &[u8]) -> Result<()> {
        let length = (event.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked(&length).to_le_bytes());
        record.extend(event);
        record.extend(masked(event).to_le_bytes());
        let written = self.file.write_all(&record);
        written.map_err(|e| Error::io("cannot write", &self.path, e))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// The start of an event: its time, and its step.
fn stamp(step: Option<u64>) -> Vec<u8> {
    let mut event = Vec::new();
    key(&mut event, 1, Wire::Fixed64);
    event.extend(now().to_le_bytes());
    if let Some(step) = step {
        key(&mut event, 2, Wire::Varint);
        varint(&mut event, step);
    }
    event
}

/// A session log that says "start": what earlier files have from this step on does not count.
fn restart(step: u64) -> Vec<u8> {
    const START: u64 = 1;
    let mut log = Vec::new();
    key(&mut log, 1, Wire::Varint);
    varint(&mut log, START);
    let mut event = stamp(Some(step));
    bytes(&mut event, 7, &log);
    event
}

fn summary(step: u64, values: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut summary = Vec::new();
    values.for_each(|value| bytes(&mut summary, 1, &value));
    let mut event = stamp(Some(step));
    bytes(&mut event, 5, &summary);
    event
}

/// How a field is encoded.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

fn key(out: &mut Vec<u8>, field: u64, wire: Wire) {
    varint(out, field << 3 | wire as u64);
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn bytes(out: &mut Vec<u8>, field: u64, content: &[u8]) {
    key(out, field, Wire::Bytes);
    varint(out, content.len() as u64);
    out.extend(content);
}

fn text(out: &mut Vec<u8>, field: u64, content: &str) {
    bytes(out, field, content.as_bytes());
}

/// The checksum of a record, rotated and moved, so that checksums of checksums are not weak.
fn masked(content: &[u8]) -> u32 {
    crc32c(content).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32 with Castagnoli's polynomial, which the crate for the other polynomial does not have.
fn crc32c(content: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    let step = |crc: u32, byte: &u8| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8;
    !content.iter().fold(!0, step)
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Grid;

    /// Events of a file, checksums checked.
    fn events(path: &Path) -> Vec<Vec<u8>> {
        let file = fs::read(path).unwrap();
        let mut rest = &file[..];
        let mut events = Vec::new();
        while !rest.is_empty() {
            let (length, after) = rest.split_at(8);
            let size = u64::from_le_bytes(length.try_into().unwrap()) as usize;
            let word = |at: usize| u32::from_le_bytes(after[at..at + 4].try_into().unwrap());
            assert_eq!(word(0), masked(length));
            assert_eq!(word(4 + size), masked(&after[4..4 + size]));
            events.push(after[4..4 + size].to_vec());
            rest = &after[8 + size..];
        }
        events
    }

    #[test]
    fn checksums_are_those_of_the_standard() {
        // The check value of every catalogue, and a test vector of RFC 3720.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn numbers_take_the_bytes_they_need() {
        let encoded = |number| {
            let mut out = Vec::new();
            varint(&mut out, number);
            out
        };
        assert_eq!(encoded(127), [127]);
        assert_eq!(encoded(300), [0xac, 0x02]);
        assert_eq!(encoded(u64::MAX).len(), 10);
    }

    #[test]
    fn records_hold_events() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("logs");
        let mut file = EventFile::create(&folder, 0).unwrap();
        file.scalars(300, &[("GAN", 0.5), ("D_real", -1.0)])
            .unwrap();
        let picture = Grid::new(2, 1, vec![[1, 2, 3]; 2]);
        file.pictures(300, &[("a/real_image".into(), &picture)])
            .unwrap();
        let path = file.path.clone();
        let other = EventFile::create(&folder, 300).unwrap();
        assert_ne!(path, other.path, "an earlier part is left alone");
        // Step 301 and the start of a session.
        assert_eq!(
            events(&other.path)[1][9..],
            *b"\x10\xad\x02\x3a\x02\x08\x01"
        );

        let events = events(&path);
        // Behind the nine bytes of the time.
        assert_eq!(events[0][9..], [b"\x1a\x0d", VERSION.as_bytes()].concat());
        let values = [
            &b"\x10\xac\x02\x2a\x1b\x0a\x0a\x0a\x03GAN\x15"[..],
            &0.5f32.to_le_bytes(),
            b"\x0a\x0d\x0a\x06D_real\x15",
            &(-1f32).to_le_bytes(),
        ];
        assert_eq!(events[1][9..], values.concat());
        let png = picture::encode(&picture).unwrap();
        assert!(events[2].ends_with(&png));
        let image = [&b"\x08\x01\x10\x02\x18\x03\x22"[..], &[png.len() as u8]].concat();
        assert!(
            events[2].windows(image.len()).any(|w| w == image),
            "{:?}",
            events[2]
        );
    }
}
