//! Times 3x3 convolutions by burn on wgpu: forward, 32-bit floats, batch 1, the heavy layers of a SPADE generator.
//!
//! `burn-peer [SECONDS]` writes a line of JSON for each layer. Every run ends with a wait for the device; the first runs,
//! in which burn chooses kernels and compiles them, do not count.

use std::time::{Duration, Instant};

use burn::backend::Wgpu;
use burn::backend::wgpu::WgpuDevice;
use burn::tensor::backend::Backend;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Distribution, Tensor};

/// Input channels, output channels, side of the map.
const LAYERS: [[usize; 3]; 4] = [
    [128, 256, 64],
    [1024, 1024, 16],
    [512, 256, 32],
    [64, 64, 128],
];
/// Runs before the clock counts.
const WARM_UP: usize = 3;
/// Runs that are timed at least.
const FEWEST: usize = 3;

fn main() {
    let seconds = match std::env::args().nth(1).map(|text| text.parse::<f64>()) {
        None => 2.0,
        Some(Ok(seconds)) if seconds > 0.0 => seconds,
        Some(_) => {
            eprintln!("usage: burn-peer [SECONDS]");
            std::process::exit(2);
        }
    };
    let device = WgpuDevice::default();
    for layer in LAYERS {
        let [cin, cout, side] = layer;
        let uniform = Distribution::Uniform(-1.0, 1.0);
        let x = Tensor::<Wgpu, 4>::random([1, cin, side, side], uniform, &device);
        let w = Tensor::<Wgpu, 4>::random([cout, cin, 3, 3], uniform, &device);
        let run = || {
            let start = Instant::now();
            let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
            let y = conv2d(x.clone(), w.clone(), None, options);
            // Work that is put off until somebody asks for it must not go untimed: the last number is asked for.
            let last = y.slice([0..1, cout - 1..cout, side - 1..side, side - 1..side]);
            let _ = last.into_scalar();
            Wgpu::<f32, i32>::sync(&device).expect("the device lives");
            start.elapsed().as_secs_f64()
        };
        for _ in 0..WARM_UP {
            run();
        }
        let (start, patience) = (Instant::now(), Duration::from_secs_f64(seconds));
        let mut times = Vec::new();
        while times.len() < FEWEST || start.elapsed() < patience {
            times.push(run());
        }
        times.sort_by(f64::total_cmp);
        let gflop = 2e-9 * (cin * cout * 9 * side * side) as f64;
        let (best, median) = (times[0], times[times.len() / 2]);
        println!(
            "{{\"op\":\"conv2d\",\"cin\":{cin},\"cout\":{cout},\"side\":{side},\"median_ms\":{:.4},\"best_ms\":{:.4},\
             \"runs\":{},\"gflop_per_s\":{:.2}}}",
            median * 1e3,
            best * 1e3,
            times.len(),
            gflop / median
        );
    }
}
