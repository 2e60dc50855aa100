//! `spadework devices`.

use serde::Serialize;
use spadework::Result;
use spadework::bench::machine;
use spadework::gpu::{self, adapters};

/// Options of `devices`.
#[derive(clap::Args)]
pub struct Args {
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// What is told of an adapter.
#[derive(Serialize)]
struct Device {
    number: usize,
    name: String,
    kind: String,
    backend: String,
    driver: String,
    kernels: String,
    features: Vec<&'static str>,
    limits: Limits,
}

#[derive(Serialize)]
struct Limits {
    storage_binding_bytes: u64,
    buffer_bytes: u64,
    workgroup_memory_bytes: u32,
    invocations_per_workgroup: u32,
    storage_buffers_per_stage: u32,
}

/// Features that kernels make use of, or may.
const FEATURES: [(wgpu::Features, &str); 3] = [
    (wgpu::Features::SUBGROUP, "subgroups"),
    (wgpu::Features::TIMESTAMP_QUERY, "timestamps"),
    (wgpu::Features::SHADER_F16, "f16"),
];

/// Lists the adapters, the preferred one first.
pub fn run(args: &Args) -> Result<()> {
    let devices: Vec<_> = adapters().iter().enumerate().map(describe).collect();
    if devices.is_empty() {
        // Says which package brings one.
        gpu::choose_adapter(None)?;
    }
    match args.json {
        true => super::print_json(&devices),
        false => super::print(&devices.iter().map(text).collect::<Vec<_>>().join("\n")),
    }
}

fn describe((number, adapter): (usize, &wgpu::Adapter)) -> Device {
    let info = adapter.get_info();
    let limits = adapter.limits();
    let features = adapter.features();
    let kernels = machine::kernels(gpu::family_of(&info, features, &limits));
    let known = FEATURES.into_iter();
    let known = known.filter(|(feature, _)| features.contains(*feature));
    let matrices = gpu::matrices_of(adapter).map(|_| "cooperative matrices");
    Device {
        number,
        kind: format!("{:?}", info.device_type),
        backend: info.backend.to_string(),
        driver: format!("{} {}", info.driver, info.driver_info),
        name: info.name,
        kernels,
        features: known.map(|(_, name)| name).chain(matrices).collect(),
        limits: Limits {
            storage_binding_bytes: limits.max_storage_buffer_binding_size,
            buffer_bytes: limits.max_buffer_size,
            workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
            invocations_per_workgroup: limits.max_compute_invocations_per_workgroup,
            storage_buffers_per_stage: limits.max_storage_buffers_per_shader_stage,
        },
    }
}

fn text(device: &Device) -> String {
    let limits = &device.limits;
    format!(
        "{}: {}\n   {} through {}, driver {}\n   kernels: {}\n   features: {}\n   limits: storage binding {} MiB, \
         buffer {} MiB, workgroup memory {} KiB, {} invocations, {} storage buffers\n",
        device.number,
        device.name,
        device.kind,
        device.backend,
        device.driver.trim(),
        device.kernels,
        device.features.join(", "),
        limits.storage_binding_bytes >> 20,
        limits.buffer_bytes >> 20,
        limits.workgroup_memory_bytes >> 10,
        limits.invocations_per_workgroup,
        limits.storage_buffers_per_stage,
    )
}
