//! Speed of the convolutions as a share of what the adapter can do: a kernel of nothing but multiply-adds in
//! registers, timed in turns with them, best of many. `cargo bench --bench conv2d [-- NAME]` takes part of an
//! operation's name.

use spadework::gpu::{Executor, Gpu, Store};
use spadework::graph::plan::Plan;
use spadework::graph::{Graph, Shape};
use spadework::ops::Op;
use spadework::ops::conv2d::{Conv2d, Conv2dInputGrad, Conv2dWeightGrad};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Input channels, output channels, size of the map: the heavy layers of the networks.
const LAYERS: [[usize; 3]; 4] = [
    [128, 256, 64],
    [1024, 1024, 16],
    [512, 256, 32],
    [64, 64, 128],
];
const CONV: Conv2d = Conv2d::new(1, 1);
/// How long each pair of kernels runs in turns.
const PATIENCE: Duration = Duration::from_secs(3);

const CEILING: &str = "
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

struct Ceiling {
    gpu: Arc<Gpu>,
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    groups: u32,
    flops: f64,
}

impl Ceiling {
    fn new(gpu: Arc<Gpu>) -> Self {
        let is_cpu = gpu.info.device_type == wgpu::DeviceType::Cpu;
        let (width, groups) = if is_cpu { (8, 64) } else { (256, 4096) };
        let each = |f: &dyn Fn(usize) -> String| (0..SUMS).map(f).collect::<String>();
        let source = CEILING
            .replace("WIDTH", &width.to_string())
            .replace("VARS", &each(&|i| format!("var s{i} = {i}.0;")))
            .replace(
                "STEPS",
                &each(&|i| format!("s{i} = s{i} * a + b;")).repeat(UNROLL),
            )
            .replace("SUM", &each(&|i| format!(" + s{i}")).replacen(" + ", "", 1));
        let device = &gpu.device;
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("ceiling"),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("ceiling"),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        let bytes = u64::from(width * groups) * 16;
        let buffer = gpu.buffer("sums", bytes, wgpu::BufferUsages::STORAGE);
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[wgpu::BindGroupEntry {
                binding: 0,
                resource: buffer.expect("a small buffer").as_entire_binding(),
            }],
        });
        Self {
            pipeline,
            group,
            groups,
            flops: 2.0 * f64::from(width * groups) * (SUMS * STEPS) as f64,
            gpu,
        }
    }

    /// Runs it a number of times.
    fn run(&self, times: usize) {
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        for _ in 0..times {
            pass.dispatch_workgroups(self.groups, 1, 1);
        }
        drop(pass);
        self.gpu.queue.submit([encoder.finish()]);
    }
}

fn seconds(gpu: &Gpu, run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    gpu.wait().expect("the device lives");
    start.elapsed().as_secs_f64()
}

fn time(ceiling: &Ceiling, op: Op, shapes: [Shape; 2]) {
    let mut graph = Graph::new();
    let inputs = [("a", shapes[0]), ("b", shapes[1])].map(|(n, s)| graph.state(n, s).unwrap());
    let result = graph.apply(op.clone(), &inputs).expect("the layer fits");
    graph.output("result", result);
    let plan = Plan::new(&graph, &ceiling.gpu.target()).expect("the layer fits the adapter");
    let flops = 2.0 * plan.macs() as f64;
    let mut store = Store::new(ceiling.gpu.clone());
    let mut executor = Executor::new(plan, &mut store).expect("the device has room");
    let mut replay = || seconds(&ceiling.gpu, || executor.replay(&store).unwrap());
    let run = |times| seconds(&ceiling.gpu, || ceiling.run(times)) / times as f64;
    // Both take about as long, so that other work on the machine slows both alike.
    let times = (1.0_f64.max(replay() / run(1))) as usize;
    let [mut best, mut best_ceiling] = [f64::MAX; 2];
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        best = best.min(replay());
        best_ceiling = best_ceiling.min(run(times));
    }
    let (rate, most) = (flops / best * 1e-9, ceiling.flops / best_ceiling * 1e-9);
    println!(
        "{:18} {:>14} {:>18} {:8.2} ms {rate:8.1} GFLOP/s of {most:8.1}: {:5.1} %",
        op.name(),
        shapes[0].to_string(),
        shapes[1].to_string(),
        best * 1e3,
        100.0 * rate / most
    );
}

fn main() {
    let wanted = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let wanted = |op: &Op| wanted.as_ref().is_none_or(|w| op.name().contains(w));
    let gpu = Gpu::open(None).expect("a benchmark needs an adapter");
    println!("{}, {:?}", gpu.info.name, gpu.family);
    let ceiling = Ceiling::new(gpu);
    for [cin, cout, size] in LAYERS {
        let (x, y) = (
            Shape::new(1, size, size, cin),
            Shape::new(1, size, size, cout),
        );
        let w = Shape::weight(3, 3, cin, cout);
        let Conv2d { stride, pad, .. } = CONV;
        let input = Conv2dInputGrad {
            stride,
            pad,
            input: x,
            residual: false,
            divided: false,
        };
        let (kh, kw) = (3, 3);
        let weight = Conv2dWeightGrad {
            stride,
            pad,
            kh,
            kw,
        };
        let ops: [(Op, [Shape; 2]); 3] = [
            (CONV.into(), [x, w]),
            (input.into(), [y, w]),
            (weight.into(), [x, y]),
        ];
        for (op, shapes) in ops.into_iter().filter(|(op, _)| wanted(op)) {
            time(&ceiling, op, shapes);
        }
    }
}
