//! What an adapter can do at most: a kernel of nothing but multiply-adds in registers, and one that copies memory.

use std::sync::Arc;

use serde::Serialize;

use super::timing::{Patience, seconds};
use crate::Result;
use crate::gpu::Gpu;

const MULTIPLY: &str = "
@group(0) @binding(0) var<storage, read_write> y: array<vec4<f32>>;
@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let a = y[id.x].x + 0.999;
    let b = y[id.x].y + 0.001;
    VARS
    for (var k = 0u; k < 2000u; k++) { STEPS }
    y[id.x] = vec4<f32>(SUM) * 1e-30;
}";
/// Independent sums: enough to hide the latency of a multiply-add, few enough for sixteen registers.
const SUMS: usize = 12;
const UNROLL: usize = 4;
const STEPS: usize = 2000 * UNROLL;

const COPY: &str = "
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>) {
    let at = id.x + id.y * count.x * 64u;
    y[at] = x[at];
}";
/// Bytes that are copied at most: more than caches hold.
const COPIED: u64 = 64 << 20;
/// Workgroups in a line.
const LINE: u32 = 1024;

/// Rates of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// Billions of floating-point operations a second; a multiply-add is two.
    pub gflop_per_s: f64,
    /// Billions of bytes a second, read and written.
    pub gb_per_s: f64,
}

/// One kernel that keeps an adapter busy.
struct Load {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    workgroups: [u32; 2],
    /// Operations or bytes of one dispatch.
    work: f64,
}

/// Kernels that do as much as an adapter can.
pub struct Ceilings {
    gpu: Arc<Gpu>,
    multiply: Load,
    copy: Load,
}

impl Ceilings {
    /// Compiles both kernels.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn new(gpu: &Arc<Gpu>) -> Result<Self> {
        let ceilings = Self {
            multiply: multiply(gpu)?,
            copy: copy(gpu)?,
            gpu: gpu.clone(),
        };
        // The first dispatch compiles.
        ceilings.multiply(1)?;
        ceilings.copy(1)?;
        Ok(ceilings)
    }

    /// Seconds of so many dispatches of multiply-adds, and the operations in them.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn multiply(&self, times: usize) -> Result<(f64, f64)> {
        self.multiply.run(&self.gpu, times)
    }

    /// Seconds of so many copies, and the bytes read and written.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn copy(&self, times: usize) -> Result<(f64, f64)> {
        self.copy.run(&self.gpu, times)
    }

    /// The best of both rates, measured in turns.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn rates(&self, patience: Patience) -> Result<Rates> {
        let [mut gflop_per_s, mut gb_per_s] = [0.0f64; 2];
        patience.rounds(|_| {
            for (best, load) in [
                (&mut gflop_per_s, &self.multiply),
                (&mut gb_per_s, &self.copy),
            ] {
                let (seconds, work) = load.run(&self.gpu, 1)?;
                *best = best.max(work / seconds * 1e-9);
            }
            Ok(())
        })?;
        Ok(Rates {
            gflop_per_s,
            gb_per_s,
        })
    }
}

impl Load {
    fn new(
        gpu: &Gpu,
        label: &str,
        source: String,
        buffers: &[wgpu::Buffer],
        workgroups: [u32; 2],
        work: f64,
    ) -> Self {
        let device = &gpu.device;
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(label),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(label),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        let entries = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            });
        let entries: Vec<_> = entries.collect();
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        Self {
            pipeline,
            group,
            workgroups,
            work,
        }
    }

    /// Seconds of so many dispatches, and the work in them.
    fn run(&self, gpu: &Gpu, times: usize) -> Result<(f64, f64)> {
        let taken = seconds(|| {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &self.group, &[]);
            for _ in 0..times {
                pass.dispatch_workgroups(self.workgroups[0], self.workgroups[1], 1);
            }
            drop(pass);
            gpu.queue.submit([encoder.finish()]);
            gpu.wait()
        })?;
        Ok((taken, self.work * times as f64))
    }
}

fn multiply(gpu: &Gpu) -> Result<Load> {
    let is_cpu = gpu.info.device_type == wgpu::DeviceType::Cpu;
    let (width, groups) = if is_cpu { (8, 64) } else { (256, 4096) };
    let each = |f: &dyn Fn(usize) -> String| (0..SUMS).map(f).collect::<String>();
    let steps = each(&|i| format!("s{i} = s{i} * a + b;")).repeat(UNROLL);
    let source = MULTIPLY
        .replace("WIDTH", &width.to_string())
        .replace("VARS", &each(&|i| format!("var s{i} = {i}.0;")))
        .replace("STEPS", &steps)
        .replace("SUM", &each(&|i| format!(" + s{i}")).replacen(" + ", "", 1));
    let bytes = u64::from(width * groups) * 16;
    let buffer = gpu.buffer("sums", bytes, wgpu::BufferUsages::STORAGE)?;
    let flops = 2.0 * f64::from(width * groups) * (SUMS * STEPS) as f64;
    Ok(Load::new(
        gpu,
        "multiply",
        source,
        &[buffer],
        [groups, 1],
        flops,
    ))
}

fn copy(gpu: &Gpu) -> Result<Load> {
    let row = u64::from(LINE) * 64 * 16;
    let most = gpu.target().max_binding_bytes;
    let lines = (COPIED.min(most) / row).max(1);
    let buffer = |label| gpu.buffer(label, lines * row, wgpu::BufferUsages::STORAGE);
    let buffers = [buffer("copied")?, buffer("copy")?];
    let moved = (2 * lines * row) as f64;
    let workgroups = [LINE, lines as u32];
    Ok(Load::new(
        gpu,
        "copy",
        COPY.into(),
        &buffers,
        workgroups,
        moved,
    ))
}
