//! Files made of instructions, for forms that nobody writes any more and forms that nobody should.

use std::io::Cursor;
use std::path::Path;

use spadework::Result;
use spadework::convert::pth;
use spadework::state::StateDict;

/// Reads a file in memory.
pub fn read(bytes: &[u8]) -> Result<StateDict> {
    pth::read_from(Cursor::new(bytes), Path::new("some.pth"), |_| true)
}

/// A storage of the legacy container.
pub struct Storage {
    key: String,
    count: i64,
    bytes: Vec<u8>,
}

impl Storage {
    /// A storage of 32-bit numbers.
    pub fn new(key: &str, numbers: &[f32]) -> Self {
        Self {
            key: key.to_owned(),
            count: numbers.len() as i64,
            bytes: bytemuck::cast_slice(numbers).to_vec(),
        }
    }

    /// The same with another count.
    pub fn with_count(self, count: i64) -> Self {
        Self { count, ..self }
    }
}

/// A legacy container of a pickle in text form.
pub fn legacy(object: &str, storages: &[Storage]) -> Vec<u8> {
    legacy_of(&assemble(object), storages)
}

/// A legacy container of an object's pickle without its protocol.
pub fn legacy_of(object: &[u8], storages: &[Storage]) -> Vec<u8> {
    let mut file =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".to_vec();
    file.extend(b"\x80\x02}X\x0d\0\0\0little_endian\x88s.\x80\x02");
    file.extend(object);
    file.extend(b"\x80\x02](");
    for storage in storages {
        file.extend(assemble(&format!("S'{}'", storage.key)));
    }
    file.extend(b"e.");
    for storage in storages {
        file.extend(storage.count.to_le_bytes());
        file.extend(&storage.bytes);
    }
    file
}

/// Instructions of a text: `S'...'` is a text, `K` and digits an integer, `\x..` a byte, `c` takes two lines, spaces are
/// left out, anything else stands for itself.
pub fn assemble(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let used = match first {
            ' ' => 1,
            'S' => {
                let content = rest[2..].split('\'').next().unwrap();
                out.push(b'X');
                out.extend((content.len() as u32).to_le_bytes());
                out.extend(content.as_bytes());
                content.len() + 3
            }
            'K' => {
                let digits = rest[1..]
                    .split(|c: char| !c.is_ascii_digit() && c != '-')
                    .next()
                    .unwrap();
                out.extend(b"\x8a\x08");
                out.extend(digits.parse::<i64>().unwrap().to_le_bytes());
                digits.len() + 1
            }
            'c' => {
                let lines: usize = rest.split_inclusive('\n').take(2).map(str::len).sum();
                out.extend(&rest.as_bytes()[..lines]);
                lines
            }
            '\\' => {
                out.push(u8::from_str_radix(&rest[2..4], 16).unwrap());
                4
            }
            other => {
                out.push(other as u8);
                1
            }
        };
        rest = &rest[used..];
    }
    out
}
