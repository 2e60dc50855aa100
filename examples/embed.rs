//! Spadework inside another program, on a device that program opened: a layout in memory, a picture in memory.
//!
//! `cargo run --example embed [CHECKPOINT]`; without a checkpoint the weights are those training begins with.

use spadework::config::ModelConfig;
use spadework::data::{Grid, LabelSpace};
use spadework::gpu::{self, Gpu};
use spadework::{Generator, Layout, Result};

fn main() -> Result<()> {
    // Any device will do; the features and limits of its adapter make it fast.
    let adapter = gpu::choose_adapter(None)?;
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        required_features: adapter.features() & wgpu::Features::SUBGROUP,
        required_limits: adapter.limits(),
        ..Default::default()
    }))
    .map_err(|e| spadework::Error::Device(e.to_string()))?;
    let gpu = Gpu::from_device(device, queue);

    let mut generator = match std::env::args().nth(1) {
        Some(checkpoint) => Generator::load_on(&gpu, checkpoint)?,
        None => untrained(&gpu)?,
    };

    // The upper half is one class, the lower half another.
    let [width, height] = generator.size();
    let classes = generator.space().label_nc as u32;
    let labels = (0..width * height).map(|pixel| (2 * pixel / (width * height)) as u32 % classes);
    let layout = Layout {
        labels: Grid::new(width, height, labels.collect()),
        instances: None,
    };
    let picture = generator.synth(&layout)?;

    let [top, bottom] = [0, height - 1].map(|y| picture.row(y)[width / 2]);
    println!("{width}x{height} pixels, {top:?} at the top, {bottom:?} at the bottom");
    Ok(())
}

fn untrained(gpu: &std::sync::Arc<Gpu>) -> Result<Generator> {
    let space = LabelSpace::new(3, false, false);
    let config = ModelConfig {
        label_nc: space.label_nc,
        ngf: 8,
        spade_hidden: 16,
        crop_size: 64,
        ..ModelConfig::default()
    };
    Generator::untrained(gpu, config, space, 0)
}
