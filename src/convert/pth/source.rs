//! Reads of a file that nobody vouches for: never more than is there, and every complaint with its place.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

/// Why a file cannot be used.
#[derive(Debug)]
pub enum Fault {
    /// Its content is wrong, from this byte on.
    Content {
        /// Offset in the file.
        at: u64,
        /// The reason.
        why: String,
    },
    /// The system could not read it.
    Io(io::Error),
}

impl Fault {
    /// A complaint about the content.
    pub fn at(at: u64, why: impl fmt::Display) -> Self {
        // Names come from the file, and terminals obey control characters.
        let why = why.to_string().replace(char::is_control, "\u{fffd}");
        Self::Content { at, why }
    }
}

/// A file and its length.
pub struct Source<R> {
    reader: R,
    len: u64,
}

impl<R: Read + Seek> Source<R> {
    /// Measures the file.
    pub fn new(mut reader: R) -> Result<Self, Fault> {
        let len = reader.seek(SeekFrom::End(0)).map_err(Fault::Io)?;
        Ok(Self { reader, len })
    }

    /// Bytes of the file.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Bytes from `at` on; `what` they are is named if the file ends before them.
    pub fn read(&mut self, at: u64, count: u64, what: &str) -> Result<Vec<u8>, Fault> {
        let fits = at.checked_add(count).is_some_and(|end| end <= self.len);
        if !fits {
            return Err(Fault::at(
                at,
                format!(
                    "{what} should be {count} bytes, but the file ends at {}: it is truncated or damaged",
                    self.len
                ),
            ));
        }
        let count = usize::try_from(count).map_err(|_| Fault::at(at, "too large to read"))?;
        let mut bytes = vec![0; count];
        self.reader.seek(SeekFrom::Start(at)).map_err(Fault::Io)?;
        self.reader.read_exact(&mut bytes).map_err(Fault::Io)?;
        Ok(bytes)
    }
}
