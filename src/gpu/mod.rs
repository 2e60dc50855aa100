//! The device: choosing an adapter, opening it, and what it can do.

mod constants;
pub mod exec;
mod half;
mod health;
mod matrices;
mod readback;
pub mod shader;
mod slice;
pub mod store;

use crate::graph::half::{Storage, state_type};
use crate::graph::plan::Target;
use crate::graph::{Shape, Ty};
use crate::ops::gemm::Matrices;
use crate::ops::winograd::Filtering;
use crate::ops::{Buffering, Family, texels};
use crate::{Error, Result};
use health::Health;
use shader::{Pipeline, Variant};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use exec::Executor;
pub use exec::profile::{Clock, Profile, Span};
pub use matrices::matrices_of;
pub use store::Store;

/// Fixed workspace of operations that run in blocks of output channels.
pub const WORKSPACE_BYTES: usize = 64 << 20;

/// A pause between two submissions for who needs the same processor: enough to draw a window.
const BREATH: Duration = Duration::from_millis(2);

/// An opened device with its compiled pipelines.
#[derive(Debug)]
pub struct Gpu {
    /// The device.
    pub device: wgpu::Device,
    /// Its queue.
    pub queue: wgpu::Queue,
    /// Name, type, driver.
    pub info: wgpu::AdapterInfo,
    /// Kernel family in use.
    pub family: Family,
    /// Whether long work pauses now and then, for a window that is drawn by the same processor.
    gives_way: Arc<AtomicBool>,
    /// Which convolutions are done by Winograd's.
    pub filtering: Filtering,
    /// How maps and weights are stored.
    storage: Storage,
    /// Units for matrices of 16-bit floats, where they are used.
    matrices: Option<Matrices>,
    pipelines: Mutex<HashMap<Variant, Arc<Pipeline>>>,
    health: Health,
}

/// A texture for copies of matrices, in the layout of [`texels`].
#[derive(Clone, Debug)]
pub struct TexelMemory {
    /// The texture.
    pub texture: wgpu::Texture,
    /// All of its layers.
    pub view: wgpu::TextureView,
}

impl TexelMemory {
    /// Layers it has.
    pub fn layers(&self) -> u32 {
        self.texture.depth_or_array_layers()
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> u64 {
        u64::from(self.layers()) * texels::LAYER_BYTES
    }
}

/// Every adapter that wgpu finds, best suited first: discrete, integrated, virtual, CPU.
pub fn adapters() -> Vec<wgpu::Adapter> {
    let instance =
        wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let mut adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    adapters
}

fn rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// A number that is no index may still be part of a name: `4090`.
fn index_of(wanted: &str, names: &[String]) -> Option<usize> {
    let by_name = |name: &String| name.to_lowercase().contains(&wanted.to_lowercase());
    let index = wanted.parse().ok().filter(|&i: &usize| i < names.len());
    index.or_else(|| names.iter().position(by_name))
}

/// Picks an adapter by its number in [`adapters`] or by part of its name, else the first.
///
/// # Errors
/// If there is no adapter (says which package brings one) or none matches (lists those there are).
pub fn choose_adapter(wanted: Option<&str>) -> Result<wgpu::Adapter> {
    let mut all = adapters();
    if all.is_empty() {
        return Err(Error::Device(
            "no GPU adapter found; install the driver of your card, or the software one \
             (Debian, Ubuntu: apt-get install mesa-vulkan-drivers libvulkan1)"
                .into(),
        ));
    }
    let Some(wanted) = wanted else {
        return Ok(all.swap_remove(0));
    };
    let names: Vec<_> = all.iter().map(|a| a.get_info().name).collect();
    index_of(wanted, &names)
        .map(|i| all.swap_remove(i))
        .ok_or_else(|| {
            let list: Vec<_> = names
                .iter()
                .enumerate()
                .map(|(i, n)| format!("{i}: {n}"))
                .collect();
            Error::Usage(format!(
                "no adapter matches `{wanted}`; there are {}",
                list.join(", ")
            ))
        })
}

/// The kernel family that suits an adapter: those on the CPU run one pixel a lane and read texels, if they have
/// subgroups of a fixed size and enough layers for any matrix; others by the size of their workgroup memory.
pub fn family_of(
    info: &wgpu::AdapterInfo,
    features: wgpu::Features,
    limits: &wgpu::Limits,
) -> Family {
    let lanes = info.subgroup_min_size;
    let fixed = lanes == info.subgroup_max_size;
    let has_subgroups = features.contains(wgpu::Features::SUBGROUP);
    let has_layers = limits.max_texture_array_layers >= texels::LAYERS;
    let is_cpu = info.device_type == wgpu::DeviceType::Cpu;
    if is_cpu && has_subgroups && fixed && lanes >= 4 && has_layers {
        Family::Subgroup(lanes)
    } else {
        tiled(limits)
    }
}

/// The tiled family by the size of an adapter's workgroup memory.
pub(crate) fn tiled(limits: &wgpu::Limits) -> Family {
    let bytes = limits.max_compute_workgroup_storage_size;
    Family::Tiled(Buffering::for_bytes(bytes))
}

/// What the planner would have to know of an adapter opened by [`Gpu::open`], and of [`Gpu::with_half_maps`] after it if
/// maps are to be in 16-bit floats.
pub fn target_of(adapter: &wgpu::Adapter, half_maps: bool) -> Target {
    let limits = adapter.limits();
    match half_maps {
        true => Target {
            storage: Storage::HalfMaps,
            ..target(tiled(&limits), &limits)
        },
        false => {
            let family = family_of(&adapter.get_info(), adapter.features(), &limits);
            target(family, &limits)
        }
    }
}

fn target(family: Family, limits: &wgpu::Limits) -> Target {
    Target {
        family,
        workspace_bytes: WORKSPACE_BYTES.min(limits.max_storage_buffer_binding_size as usize),
        max_binding_bytes: limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size),
        filtering: Filtering::default(),
        storage: Storage::Single,
        matrices: None,
    }
}

impl Gpu {
    /// Opens an adapter (see [`choose_adapter`]) with all of its limits.
    ///
    /// # Errors
    /// If there is none, or it cannot be opened.
    pub fn open(wanted: Option<&str>) -> Result<Arc<Self>> {
        Self::open_adapter(&choose_adapter(wanted)?, None)
    }

    /// The same, to multiply what is stored in 16-bit floats on units for matrices (see [`matrices_of`]). wgpu calls their
    /// use experimental.
    ///
    /// # Errors
    /// As [`Gpu::open`], or if the adapter has no such units.
    pub fn open_with_matrices(wanted: Option<&str>) -> Result<Arc<Self>> {
        let adapter = choose_adapter(wanted)?;
        let matrices = matrices::wanted(&adapter)?;
        Self::open_adapter(&adapter, Some(matrices))
    }

    fn open_adapter(adapter: &wgpu::Adapter, matrices: Option<Matrices>) -> Result<Arc<Self>> {
        let info = adapter.get_info();
        let mut wished =
            wgpu::Features::SUBGROUP | wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SHADER_F16;
        let mut experimental_features = wgpu::ExperimentalFeatures::disabled();
        if matrices.is_some() {
            wished |= matrices::FEATURES;
            // SAFETY: who asks for matrices accepts that wgpu's part of them may have bugs. Of the shaders one uses them, this
            // crate's own: they lie within workgroup memory, aligned as Vulkan asks, and whole subgroups run it.
            experimental_features = unsafe { wgpu::ExperimentalFeatures::enabled() };
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("spadework"),
            required_features: adapter.features() & wished,
            experimental_features,
            required_limits: adapter.limits(),
            // In blocks of memory of 128 MiB and more, what is planned would be less than what is taken.
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|e| Error::Device(format!("cannot open adapter {}: {e}", info.name)))?;
        let health = Health::watch(&device);
        let family = family_of(&info, device.features(), &device.limits());
        Ok(Self::opened(device, queue, family, health).with_matrices(matrices))
    }

    /// Uses a device of the caller's, whose handlers of errors and of loss stay. On a CPU adapter `Features::SUBGROUP`
    /// and 2048 texture array layers make it several times faster.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Arc<Self> {
        let info = device.adapter_info();
        let family = family_of(&info, device.features(), &device.limits());
        Self::with_family(device, queue, family)
    }

    /// Uses a device of the caller's with a kernel family of choice; tests compare families this way.
    pub fn with_family(device: wgpu::Device, queue: wgpu::Queue, family: Family) -> Arc<Self> {
        Self::opened(device, queue, family, Health::default())
    }

    /// The same device with another choice of convolutions; tests compare them this way.
    pub fn with_filtering(&self, filtering: Filtering) -> Arc<Self> {
        Arc::new(Self {
            filtering,
            ..self.again()
        })
    }

    /// The same device with units for matrices of choice; tests emulate them this way.
    pub fn with_matrices(&self, matrices: Option<Matrices>) -> Arc<Self> {
        Arc::new(Self {
            matrices,
            ..self.again()
        })
    }

    /// Units for matrices of 16-bit floats, where they are used.
    pub fn matrices(&self) -> Option<Matrices> {
        self.matrices
    }

    /// The same device, for drawing with maps and weights that are stored in 16-bit floats and computed with in 32. It runs
    /// the tiled kernels, which read no textures.
    ///
    /// # Errors
    /// If the adapter has no 16-bit floats.
    pub fn with_half(&self) -> Result<Arc<Self>> {
        self.storing(Storage::Half)
    }

    /// The same device, for training with the maps of forward passes in 16-bit floats; weights and gradients stay in 32. It
    /// runs the tiled kernels too.
    ///
    /// # Errors
    /// As [`Gpu::with_half`].
    pub fn with_half_maps(&self) -> Result<Arc<Self>> {
        self.storing(Storage::HalfMaps)
    }

    fn storing(&self, storage: Storage) -> Result<Arc<Self>> {
        if !self.device.features().contains(wgpu::Features::SHADER_F16) {
            return Err(Error::Usage(format!(
                "{} has no 16-bit floats: leave out --half",
                self.info.name
            )));
        }
        Ok(Arc::new(Self {
            storage,
            family: tiled(&self.device.limits()),
            // What was measured in 32 bits says nothing of 16.
            filtering: match &self.filtering {
                Filtering::Tuned(_) => Filtering::Chosen,
                other => other.clone(),
            },
            ..self.again()
        }))
    }

    /// The same device without a pipeline yet.
    fn again(&self) -> Self {
        Self {
            device: self.device.clone(),
            queue: self.queue.clone(),
            info: self.info.clone(),
            family: self.family,
            filtering: self.filtering.clone(),
            storage: self.storage,
            matrices: self.matrices,
            gives_way: self.gives_way.clone(),
            pipelines: Mutex::default(),
            health: self.health.clone(),
        }
    }

    /// How plans on this device store maps and weights.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// Type of state of a shape, as this device stores it.
    pub fn state_type(&self, shape: Shape) -> Ty {
        state_type(shape, self.storage)
    }

    fn opened(
        device: wgpu::Device,
        queue: wgpu::Queue,
        family: Family,
        health: Health,
    ) -> Arc<Self> {
        Arc::new(Self {
            info: device.adapter_info(),
            device,
            queue,
            family,
            gives_way: Arc::default(),
            filtering: Filtering::default(),
            storage: Storage::Single,
            matrices: None,
            pipelines: Mutex::default(),
            health,
        })
    }

    /// What the planner must know.
    pub fn target(&self) -> Target {
        Target {
            filtering: self.filtering.clone(),
            storage: self.storage,
            matrices: self.matrices,
            ..target(self.family, &self.device.limits())
        }
    }

    /// The pipeline of a variant, compiled at first use.
    pub fn pipeline(&self, variant: &Variant) -> Arc<Pipeline> {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(pipeline) = pipelines.get(variant) {
            return pipeline.clone();
        }
        let pipeline = Arc::new(Pipeline::new(&self.device, variant));
        pipelines.insert(variant.clone(), pipeline.clone());
        pipeline
    }

    /// Creates a buffer.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn buffer(
        &self,
        label: &str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer> {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes.max(16).next_multiple_of(16),
            usage,
            mapped_at_creation: false,
        });
        match pollster::block_on(scope.pop()) {
            None => Ok(buffer),
            Some(error) => Err(Error::Device(format!(
                "{} cannot hold {label} of {} MiB: {error}; use a smaller batch, crop size or ngf",
                self.info.name,
                bytes.div_ceil(1 << 20)
            ))),
        }
    }

    /// Creates a texture of so many layers in the layout of [`texels`].
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn texels(&self, layers: u32) -> Result<TexelMemory> {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let texture = self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("texels"),
            size: wgpu::Extent3d {
                width: texels::WIDTH as u32,
                height: texels::HEIGHT as u32,
                depth_or_array_layers: layers,
            },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba32Float,
            usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(Error::Device(format!(
                "{} cannot hold {layers} layers of texels: {error}; use a smaller batch, crop size or ngf",
                self.info.name,
            )));
        }
        let view = texture.create_view(&wgpu::TextureViewDescriptor {
            dimension: Some(wgpu::TextureViewDimension::D2Array),
            ..Default::default()
        });
        Ok(TexelMemory { texture, view })
    }

    /// What says whether long work on an adapter that is the processor itself pauses between its submissions, as it
    /// should while a window is looked at. At first it does not.
    pub fn manners(&self) -> Arc<AtomicBool> {
        self.gives_way.clone()
    }

    /// Waits for a submission and pauses, where work is to give way.
    fn breathe(&self, submitted: wgpu::SubmissionIndex) -> Result<()> {
        let is_cpu = self.info.device_type == wgpu::DeviceType::Cpu;
        if is_cpu && self.gives_way.load(Ordering::Relaxed) {
            self.poll(wgpu::PollType::Wait {
                submission_index: Some(submitted),
                timeout: None,
            })?;
            std::thread::sleep(BREATH);
        }
        Ok(())
    }

    /// Waits until everything submitted has run.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn wait(&self) -> Result<()> {
        self.poll(wgpu::PollType::wait_indefinitely())
    }

    /// Waits for a submission, or for all.
    fn poll(&self, until: wgpu::PollType) -> Result<()> {
        let name = &self.info.name;
        self.health.check(name)?;
        let waited = self.device.poll(until);
        waited.map_err(|e| Error::Device(format!("{name}: {e}")))?;
        self.health.check(name)
    }

    /// Reads the first `bytes` of a buffer, waiting for the work before it.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn read(&self, buffer: &wgpu::Buffer, bytes: u64) -> Result<Vec<u8>> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = self.buffer("staging", bytes, usage)?;
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, bytes);
        self.queue.submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., |_| {});
        self.wait()?;
        let lost = |e| Error::Device(format!("{}: cannot read back: {e}", self.info.name));
        let view = staging.get_mapped_range(..bytes).map_err(lost)?;
        Ok(view.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_are_named_by_index_or_part_of_a_name() {
        let names = ["NVIDIA GeForce RTX 4090", "llvmpipe"].map(String::from);
        for (wanted, index) in [
            ("0", Some(0)),
            ("1", Some(1)),
            ("4090", Some(0)),
            ("LLVM", Some(1)),
            ("7", None),
            ("radeon", None),
        ] {
            assert_eq!(index_of(wanted, &names), index, "{wanted}");
        }
    }
}
