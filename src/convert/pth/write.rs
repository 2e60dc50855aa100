//! The zip container as `torch.load` reads it, with `weights_only` too.

use std::io::{self, Write};

use crate::state::StateDict;

/// Storages start at multiples of this, so that they can be mapped into memory.
const ALIGNMENT: u64 = 64;
/// Folder of everything in the archive.
const TOP: &str = "archive";
/// 1 January 1980: files of the same weights are the same.
const DATE: u16 = 1 << 5 | 1;

/// Writes an ordered dictionary of 32-bit tensors and 64-bit counters.
///
/// # Errors
/// If the writer fails, or the file would have more than 4 GiB.
pub fn write(state: &StateDict, writer: &mut dyn Write) -> io::Result<()> {
    let mut archive = Archive {
        writer,
        at: 0,
        directory: Vec::new(),
        count: 0,
    };
    archive.entry("data.pkl", &description(state)?)?;
    archive.entry("byteorder", b"little")?;
    let tensors = state.tensors.values();
    let tensors = tensors.map(|tensor| bytemuck::cast_slice(&tensor.data));
    let counters = state.counters.values().map(bytemuck::bytes_of);
    for (index, bytes) in tensors.chain(counters).enumerate() {
        archive.entry(&format!("data/{index}"), bytes)?;
    }
    archive.entry("version", b"3\n")?;
    archive.finish()
}

fn description(state: &StateDict) -> io::Result<Vec<u8>> {
    let mut pickle = Pickle(b"\x80\x02".to_vec());
    pickle.ordered_dict();
    pickle.code(b"(");
    let tensors = state.tensors.iter();
    let tensors = tensors.map(|(name, t)| (name, "FloatStorage", t.shape.as_slice()));
    let counters = state.counters.keys();
    let counters = counters.map(|name| (name, "LongStorage", [].as_slice()));
    for (index, (name, storage, shape)) in tensors.chain(counters).enumerate() {
        pickle.text(name)?;
        pickle.tensor(index, storage, shape)?;
    }
    pickle.code(b"u.");
    Ok(pickle.0)
}

/// A pickle as it grows.
struct Pickle(Vec<u8>);

impl Pickle {
    fn code(&mut self, code: &[u8]) {
        self.0.extend_from_slice(code);
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        self.code(b"X");
        self.0.extend(size_u32(text.len())?.to_le_bytes());
        self.code(text.as_bytes());
        Ok(())
    }

    fn size(&mut self, size: usize) -> io::Result<()> {
        let size = i32::try_from(size).map_err(|_| too_large())?;
        self.code(b"J");
        self.code(&size.to_le_bytes());
        Ok(())
    }

    fn sizes(&mut self, sizes: &[usize]) -> io::Result<()> {
        self.code(b"(");
        sizes.iter().try_for_each(|&size| self.size(size))?;
        self.code(b"t");
        Ok(())
    }

    fn ordered_dict(&mut self) {
        self.code(b"ccollections\nOrderedDict\n)R");
    }

    /// The call that makes a tensor of all numbers of a storage.
    fn tensor(&mut self, index: usize, storage: &str, shape: &[usize]) -> io::Result<()> {
        self.code(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        self.text("storage")?;
        self.code(format!("ctorch\n{storage}\n").as_bytes());
        self.text(&index.to_string())?;
        self.text("cpu")?;
        self.size(shape.iter().product())?;
        self.code(b"tQ");
        self.size(0)?;
        self.sizes(shape)?;
        let strides = (1..=shape.len()).map(|axis| shape[axis..].iter().product());
        self.sizes(&strides.collect::<Vec<_>>())?;
        // No gradient, no hooks.
        self.code(b"\x89");
        self.ordered_dict();
        self.code(b"tR");
        Ok(())
    }
}

/// A zip archive as it grows.
struct Archive<'a> {
    writer: &'a mut dyn Write,
    at: u64,
    directory: Vec<u8>,
    count: u16,
}

impl Archive<'_> {
    fn entry(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let name = format!("{TOP}/{name}");
        let header = size_u32(self.at)?;
        let size = size_u32(bytes.len())?;
        let fields = Fields {
            crc: crc32fast::hash(bytes),
            size,
            name: &name,
        };
        // An extra field of any name and length moves the content to where it should start; its head takes 4 bytes.
        let content = self.at + (30 + name.len() + 4) as u64;
        let padding = content.next_multiple_of(ALIGNMENT) - content;
        let mut local = b"PK\x03\x04".to_vec();
        fields.put(&mut local, padding as u16 + 4);
        local.extend(name.as_bytes());
        local.extend(b"FB");
        local.extend((padding as u16).to_le_bytes());
        local.resize(local.len() + padding as usize, 0);
        self.write(&local)?;
        self.write(bytes)?;
        // Made by version 2.0 of the format.
        self.directory.extend(b"PK\x01\x02\x14\x00");
        fields.put(&mut self.directory, 0);
        // No comment, first disk, attributes of no system.
        self.directory.extend([0; 10]);
        self.directory.extend(header.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.count = self.count.checked_add(1).ok_or_else(too_large)?;
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        let first = size_u32(self.at)?;
        let directory = std::mem::take(&mut self.directory);
        self.write(&directory)?;
        let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
        end.extend(self.count.to_le_bytes());
        end.extend(self.count.to_le_bytes());
        end.extend(size_u32(directory.len())?.to_le_bytes());
        end.extend(first.to_le_bytes());
        end.extend([0; 2]);
        self.write(&end)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.writer.write_all(bytes)
    }
}

/// What local header and directory have in common.
struct Fields<'a> {
    crc: u32,
    size: u32,
    name: &'a str,
}

impl Fields<'_> {
    fn put(&self, record: &mut Vec<u8>, extra: u16) {
        // Version 2.0 reads it; names are UTF-8; stored; midnight.
        for number in [20, 1 << 11, 0, 0, DATE] {
            record.extend(u16::to_le_bytes(number));
        }
        for number in [self.crc, self.size, self.size] {
            record.extend(number.to_le_bytes());
        }
        // Names are short: "archive/data/" and a number.
        record.extend((self.name.len() as u16).to_le_bytes());
        record.extend(extra.to_le_bytes());
    }
}

/// A size in 32 bits, short of the largest, which means that the size is elsewhere.
fn size_u32(size: impl TryInto<u32>) -> io::Result<u32> {
    let size = size.try_into().ok().filter(|&size| size != u32::MAX);
    size.ok_or_else(too_large)
}

fn too_large() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "a .pth archive holds up to 4 GiB: write safetensors",
    )
}
