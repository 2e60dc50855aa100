//! Buffers shared by name among plans: inputs that the host writes, and state that stays on the device.

use super::{Gpu, TexelMemory};
use crate::graph::plan::{Named, Plan};
use crate::graph::{Ty, reuse};
use crate::ops::{Tensor, Texels};
use crate::windows::{Header, check_packed};
use crate::{Error, Result};
use half::f16;
use half::slice::HalfFloatSliceExt;
use std::collections::HashMap;
use std::sync::Arc;

/// Written bytes wait in memory of their own until something is submitted: with so many, they are sent off. The batches of
/// a step are less, or not much more; the weights of a network are not.
const MOST_WAITING_BYTES: u64 = 64 << 20;

#[derive(Debug)]
struct Entry {
    ty: Ty,
    memory: Memory,
    header: Option<Header>,
}

#[derive(Debug)]
enum Memory {
    Buffer(wgpu::Buffer),
    /// Of a constant that kernels read as texels alone: its texture, rows and width.
    Texels(TexelMemory, [usize; 2]),
}

impl Memory {
    /// Rows and width of what is read as texels.
    fn texels(&self) -> Option<[usize; 2]> {
        match self {
            Self::Buffer(_) => None,
            Self::Texels(_, size) => Some(*size),
        }
    }
}

impl Entry {
    fn bytes(&self) -> u64 {
        match &self.memory {
            Memory::Buffer(_) => self.ty.bytes(),
            Memory::Texels(memory, _) => memory.bytes(),
        }
    }
}

/// Named device buffers.
#[derive(Debug)]
pub struct Store {
    gpu: Arc<Gpu>,
    entries: HashMap<String, Entry>,
    workspace: Vec<wgpu::Buffer>,
    texels: Vec<TexelMemory>,
    /// Bytes written since they were last sent off, or more.
    waiting_bytes: u64,
}

impl Store {
    /// An empty store on a device.
    pub fn new(gpu: Arc<Gpu>) -> Self {
        Self {
            gpu,
            entries: HashMap::new(),
            workspace: Vec::new(),
            texels: Vec::new(),
            waiting_bytes: 0,
        }
    }

    /// The device.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// Creates what a plan needs and the store lacks; new buffers are zero.
    ///
    /// # Errors
    /// If the device is out of memory, or a name exists with another type.
    pub fn prepare(&mut self, plan: &Plan) -> Result<()> {
        for (at, Named { name, ty, .. }) in plan.named.iter().enumerate() {
            match plan.texel_constants.get(&at) {
                Some(texels) => self.create_texels(name, *ty, texels)?,
                None => self.create(name, *ty)?,
            }
        }
        Ok(())
    }

    /// Whether there is something of a name.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    fn create_texels(&mut self, name: &str, ty: Ty, texels: &Texels) -> Result<()> {
        let size = [texels.rows, texels.c4];
        if !self.is_there(name, ty, Some(size))? {
            let memory = self.gpu.texels(texels.layers() as u32)?;
            let entry = Entry {
                ty,
                memory: Memory::Texels(memory, size),
                header: None,
            };
            self.entries.insert(name.to_owned(), entry);
        }
        Ok(())
    }

    /// Whether a name exists, which then must be of that type, and a buffer or texels of that size.
    fn is_there(&self, name: &str, ty: Ty, texels: Option<[usize; 2]>) -> Result<bool> {
        let Some(entry) = self.entries.get(name) else {
            return Ok(false);
        };
        let kind = |texels: Option<[usize; 2]>| match texels {
            None => String::new(),
            Some([rows, c4]) => format!(" in texels of {rows} rows of {c4}"),
        };
        let found = (entry.ty, entry.memory.texels());
        (found == (ty, texels))
            .then_some(true)
            .ok_or_else(|| Error::Shape {
                op: "store",
                message: format!(
                    "`{name}` is {}{} on the device, wanted as {ty}{}",
                    found.0,
                    kind(found.1),
                    kind(texels)
                ),
            })
    }

    /// The texture of a constant.
    ///
    /// # Errors
    /// If there is none.
    pub fn texel_constant(&self, name: &str) -> Result<&TexelMemory> {
        match &self.entry(name)?.memory {
            Memory::Texels(memory, _) => Ok(memory),
            Memory::Buffer(_) => Err(Error::Shape {
                op: "store",
                message: format!("`{name}` is no texture on the device"),
            }),
        }
    }

    /// Creates a zero buffer unless it exists.
    ///
    /// # Errors
    /// If the device is out of memory, or the name exists with another type.
    pub fn create(&mut self, name: &str, ty: Ty) -> Result<()> {
        if self.is_there(name, ty, None)? {
            return Ok(());
        }
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_DST
            | wgpu::BufferUsages::COPY_SRC;
        let entry = Entry {
            ty,
            memory: Memory::Buffer(self.gpu.buffer(name, ty.bytes(), usage)?),
            header: None,
        };
        self.entries.insert(name.to_owned(), entry);
        Ok(())
    }

    /// Gives a buffer back; plans that bind it must not run any more.
    pub fn remove(&mut self, name: &str) {
        self.entries.remove(name);
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        self.entries.get(name).ok_or_else(|| Error::Shape {
            op: "store",
            message: format!("there is no `{name}` on the device"),
        })
    }

    /// The buffer of a name.
    ///
    /// # Errors
    /// If there is none.
    pub fn buffer(&self, name: &str) -> Result<&wgpu::Buffer> {
        match &self.entry(name)?.memory {
            Memory::Buffer(buffer) => Ok(buffer),
            Memory::Texels(..) => Err(Error::Shape {
                op: "store",
                message: format!("`{name}` is a texture on the device, not a buffer"),
            }),
        }
    }

    /// Type of what has a name.
    ///
    /// # Errors
    /// If there is none.
    pub fn ty(&self, name: &str) -> Result<Ty> {
        Ok(self.entry(name)?.ty)
    }

    /// Header of the last words written to a window table.
    pub fn header(&self, name: &str) -> Option<Header> {
        self.entries.get(name)?.header
    }

    /// Names and types of everything in the store.
    pub fn names(&self) -> impl Iterator<Item = (&str, Ty)> {
        self.entries.iter().map(|(name, e)| (name.as_str(), e.ty))
    }

    /// Bytes of everything, the shared workspace included.
    pub fn bytes(&self) -> u64 {
        let named: u64 = self.entries.values().map(Entry::bytes).sum();
        let workspace: u64 = self.workspace.iter().map(wgpu::Buffer::size).sum();
        named + workspace + self.texels.iter().map(TexelMemory::bytes).sum::<u64>()
    }

    /// One buffer for each size, shared with the other plans of this store: plans run one after another, so what one
    /// leaves there no other needs. The plan with the largest needs should come first.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn workspace(&mut self, sizes: &[u64]) -> Result<Vec<wgpu::Buffer>> {
        let have: Vec<u64> = self.workspace.iter().map(wgpu::Buffer::size).collect();
        let found = reuse(&have, sizes).into_iter().zip(sizes);
        let buffer = |(found, &bytes): (Option<usize>, &u64)| {
            if let Some(at) = found {
                return Ok(self.workspace[at].clone());
            }
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
            let buffer = self.gpu.buffer("workspace", bytes, usage)?;
            self.workspace.push(buffer.clone());
            Ok(buffer)
        };
        found.map(buffer).collect()
    }

    /// Layers of a shared texture; none has none.
    pub fn texel_layers(&self, index: usize) -> u32 {
        self.texels.get(index).map_or(0, TexelMemory::layers)
    }

    /// One texture for each number of layers, shared like [`Store::workspace`]. One that is too small is replaced, but
    /// plans made before hold it on: whoever knows what later plans need should ask for the most of all first.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn texels(&mut self, layers: &[u32]) -> Result<Vec<TexelMemory>> {
        for (i, &layers) in layers.iter().enumerate() {
            match self.texels.get(i) {
                Some(memory) if memory.layers() >= layers => {}
                Some(_) => self.texels[i] = self.gpu.texels(layers)?,
                None => self.texels.push(self.gpu.texels(layers)?),
            }
        }
        Ok(self.texels[..layers.len()].to_vec())
    }

    /// Writes numbers that are in device layout already, rounded where they are stored in 16 bits.
    ///
    /// # Errors
    /// If the name is unknown, the length wrong or a number too large for 16 bits, or the device was lost.
    pub fn write(&mut self, name: &str, values: &[f32]) -> Result<()> {
        let entry = self.entry(name)?;
        let mut narrow = Vec::new();
        let mut bytes: &[u8] = bytemuck::cast_slice(values);
        if let Ty::Half(_) = entry.ty {
            narrow.resize(values.len(), f16::ZERO);
            narrow.convert_from_f32_slice(values);
            if let Some(at) = narrow.iter().position(|x| !x.is_finite()) {
                return Err(Error::NonFinite(format!(
                    "`{name}` holds {}, which is no 16-bit float: leave out --half",
                    values[at]
                )));
            }
            bytes = bytemuck::cast_slice(&narrow);
        }
        if bytes.len() as u64 != entry.ty.bytes() {
            return Err(Error::Shape {
                op: "store",
                message: format!(
                    "{} numbers do not fill `{name}` of {}",
                    values.len(),
                    entry.ty
                ),
            });
        }
        self.gpu.queue.write_buffer(self.buffer(name)?, 0, bytes);
        self.waiting_bytes += bytes.len() as u64;
        if self.waiting_bytes > MOST_WAITING_BYTES {
            self.waiting_bytes = 0;
            self.gpu.queue.submit([]);
            self.gpu.wait()?;
        }
        Ok(())
    }

    /// Writes a packed window table or symbol map; it may be shorter than the buffer.
    ///
    /// # Errors
    /// If the name is unknown, the words exceed the capacity, or a table's would lead a kernel out of its bounds.
    pub fn write_index(&mut self, name: &str, words: &[u32]) -> Result<()> {
        let entry = self.entry(name)?;
        if words.len() as u64 * 4 > entry.ty.bytes() {
            return Err(Error::Shape {
                op: "store",
                message: format!("{} words exceed `{name}` of {}", words.len(), entry.ty),
            });
        }
        let header = match entry.ty {
            Ty::Windows(table) => {
                let checked = check_packed(words, table.pixels, table.taps, table.channels);
                checked.map_err(|message| Error::Shape {
                    op: "store",
                    message: format!("window table `{name}`: {message}"),
                })?;
                words.first_chunk().copied()
            }
            _ => None,
        };
        self.gpu
            .queue
            .write_buffer(self.buffer(name)?, 0, bytemuck::cast_slice(words));
        if let Some(entry) = self.entries.get_mut(name) {
            entry.header = header;
        }
        Ok(())
    }

    /// Writes a host value.
    ///
    /// # Errors
    /// As [`Store::write`] and [`Store::write_index`].
    pub fn write_tensor(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        match tensor {
            Tensor::Dense { .. } => self.write(name, &tensor.to_device(0.0)),
            Tensor::Index(words) => self.write_index(name, words),
        }
    }

    /// Reads numbers in device layout, waiting for the work before.
    ///
    /// # Errors
    /// If the name is unknown or the device was lost.
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        let entry = self.entry(name)?;
        let bytes = self.gpu.read(self.buffer(name)?, entry.ty.bytes())?;
        Ok(match entry.ty {
            Ty::Half(_) => bytemuck::pod_collect_to_vec::<u8, f16>(&bytes).to_f32_vec(),
            _ => bytemuck::pod_collect_to_vec(&bytes),
        })
    }
}
