//! What several test files share: devices, reproducible arguments, comparison.
#![allow(dead_code, reason = "every test file uses its own part")]

pub mod golden;

use spadework::config::ModelConfig;
use spadework::gpu::{Executor, Gpu, Store};
use spadework::graph::plan::{Plan, Target};
use spadework::graph::{Graph, Ty, ValueId};
use spadework::ops::elementwise::Scale;
use spadework::ops::winograd::Filtering;
use spadework::ops::{Buffering, Case, CaseInput, Family, Real, Tensor};
use spadework::windows::IdMap;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

/// The adapter under test in both kernel families (on an adapter that cannot run the subgroup family, one), the tiled one
/// as ordinary cards run it.
pub fn gpus() -> &'static [Arc<Gpu>] {
    static GPUS: OnceLock<Vec<Arc<Gpu>>> = OnceLock::new();
    GPUS.get_or_init(|| {
        let gpu = Gpu::open(None).expect("these tests need an adapter");
        let mut gpus = vec![gpu.clone()];
        if !matches!(gpu.family, Family::Tiled(_)) {
            gpus.push(tiled(&gpu, Buffering::Double));
        }
        gpus
    })
}

fn tiled(gpu: &Gpu, buffering: Buffering) -> Arc<Gpu> {
    let (device, queue) = (gpu.device.clone(), gpu.queue.clone());
    Gpu::with_family(device, queue, Family::Tiled(buffering))
}

/// Those of [`gpus`], and the first with the tiled kernels for the least workgroup memory.
pub fn gpus_and_bufferings() -> Vec<Arc<Gpu>> {
    let single = tiled(&gpus()[0], Buffering::Single);
    gpus().iter().cloned().chain([single]).collect()
}

/// Those of [`gpus`], and with every convolution of 3x3 filters and stride 1 done by Winograd's: the first in tiles of
/// either size, the last in those of four.
pub fn gpus_and_filterings() -> Vec<Arc<Gpu>> {
    let gpus = gpus();
    let filtering = [(0, 2), (0, 4), (gpus.len() - 1, 4)]
        .map(|(i, tile)| gpus[i].with_filtering(Filtering::Always(tile)));
    gpus.iter().cloned().chain(filtering).collect()
}

/// Reproducible numbers, uniform in [0, 1).
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: &str) -> Self {
        let hash = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3);
        Self(seed.bytes().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// An `f32` value in [low, high] whose magnitude is at least `gap`.
    pub fn number(&mut self, low: f64, high: f64, gap: f64) -> f64 {
        let x = low + (high - low) * self.unit();
        let x = if x.abs() < gap { gap.copysign(x) } else { x };
        f64::from(x as f32)
    }

    pub fn tensor(&mut self, input: &CaseInput) -> Tensor {
        match input {
            CaseInput::Dense {
                shape,
                low,
                high,
                gap,
            } => Tensor::from_fn(*shape, |_, _, _, _| self.number(*low, *high, *gap)),
            CaseInput::Weight { shape, cin } => Tensor::from_fn(*shape, |_, _, i, _| {
                let value = self.number(-1.0, 1.0, 0.0);
                if i < *cin { value } else { 0.0 }
            }),
            CaseInput::Index(_, words) => Tensor::Index(words.clone()),
            CaseInput::Values(tensor) => tensor.clone(),
        }
    }
}

pub fn case_type(input: &CaseInput) -> Ty {
    match input {
        CaseInput::Dense { shape, .. } | CaseInput::Weight { shape, .. } => Ty::Dense(*shape),
        CaseInput::Index(ty, _) => *ty,
        CaseInput::Values(tensor) => Ty::Dense(tensor.shape()),
    }
}

/// A graph that is one case: arguments are state (so that updates may alias them) `x0, x1, ...`, results `y0, y1, ...`.
pub fn case_graph(case: &Case) -> Graph {
    case_graph_read(case, |_| true, |_, result| result)
}

/// The same with those arguments alone as state of which `is_state` says so, and results that are read in some way.
pub fn case_graph_read(
    case: &Case,
    is_state: impl Fn(usize) -> bool,
    read: impl Fn(&mut Graph, ValueId) -> ValueId,
) -> Graph {
    let mut graph = Graph::new();
    let mut inputs = Vec::new();
    for (i, input) in case.inputs.iter().enumerate() {
        let name = format!("x{i}");
        inputs.push(match case_type(input) {
            Ty::Dense(shape) if is_state(i) => graph.state(&name, shape).unwrap(),
            ty => graph.input(&name, ty).unwrap(),
        });
    }
    let outputs = graph.apply_all(case.op.clone(), &inputs).unwrap();
    for (i, id) in outputs.into_iter().enumerate() {
        let id = read(&mut graph, id);
        graph.output(&format!("y{i}"), id);
    }
    graph
}

/// The same for storage in 16-bit floats: results are read once more, for as outputs themselves they would be wide.
pub fn case_graph_in_halves(case: &Case) -> Graph {
    let read = |graph: &mut Graph, id| {
        let factor = Real(1.0);
        graph.apply(Scale { factor }, &[id]).unwrap()
    };
    case_graph_read(case, |_| true, read)
}

pub fn case_tensors(case: &Case) -> HashMap<String, Tensor> {
    let mut noise = Noise::new(&format!("{:?} {}", case.op, case.name));
    let tensors = case.inputs.iter().map(|input| noise.tensor(input));
    (0..).map(|i| format!("x{i}")).zip(tensors).collect()
}

/// Runs a graph on a device and reads all its outputs in device layout, padding included.
pub fn run_on(
    gpu: &Arc<Gpu>,
    graph: &Graph,
    values: &HashMap<String, Vec<f32>>,
    index: &HashMap<String, Vec<u32>>,
) -> HashMap<String, Vec<f32>> {
    run_for(gpu, &gpu.target(), graph, values, index)
}

/// As [`run_on`], planned for another target, such as one with a smaller workspace.
pub fn run_for(
    gpu: &Arc<Gpu>,
    target: &Target,
    graph: &Graph,
    values: &HashMap<String, Vec<f32>>,
    index: &HashMap<String, Vec<u32>>,
) -> HashMap<String, Vec<f32>> {
    let plan = Plan::new(graph, target).unwrap();
    let mut store = Store::new(gpu.clone());
    let mut executor = Executor::new(plan, &mut store).unwrap();
    for (name, values) in values {
        store.write(name, values).unwrap();
    }
    for (name, words) in index {
        store.write_index(name, words).unwrap();
    }
    executor.replay(&store).unwrap();
    let outputs = executor.plan().outputs.clone();
    outputs
        .into_iter()
        .map(|(name, ..)| {
            let values = executor.read_padded(&store, &name).unwrap();
            (name, values)
        })
        .collect()
}

/// Largest allowed difference of a float32 result from its exact value, by the number of terms summed.
///
/// Rounding errors of a sum of `terms` random terms grow like `sqrt(terms)` units in the last place of the largest
/// result; 16 units and a factor of 4 leave room for division, square roots and unlucky draws.
pub fn tolerance(terms: f64, scale: f64) -> f64 {
    f64::from(f32::EPSILON) / 2.0 * (16.0 + 4.0 * terms.sqrt()) * scale + 1e-30
}

/// Compares, and on failure tells the first five differing elements and the largest difference.
pub fn assert_close(what: &str, got: &[f64], want: &[f64], limit: f64) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    let off = |(g, w): (&f64, &f64)| {
        let difference = (g - w).abs();
        difference > limit || difference.is_nan()
    };
    let differing: Vec<_> = got
        .iter()
        .zip(want)
        .enumerate()
        .filter(|(_, pair)| off(*pair))
        .collect();
    if differing.is_empty() {
        return;
    }
    let worst = got
        .iter()
        .zip(want)
        .map(|(g, w)| (g - w).abs())
        .fold(0.0, f64::max);
    let first: Vec<_> = differing
        .iter()
        .take(5)
        .map(|(i, (g, w))| format!("[{i}] got {g} want {w}"))
        .collect();
    panic!(
        "{what}: {} of {} differ by more than {limit:.3e}, at most {worst:.3e}\n  {}",
        differing.len(),
        got.len(),
        first.join("\n  ")
    );
}

pub fn max_abs(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| v.abs().max(m))
}

/// The patches of labels under two convolutions of a kernel of 3, at every size, places outside as `None`.
pub fn patches(config: &ModelConfig, map: &IdMap) -> HashSet<(usize, Vec<Option<u32>>)> {
    let mut patches = HashSet::new();
    let [latent, _] = config.latent();
    for doublings in 0..=config.upsampling.doublings() {
        let side = latent << doublings;
        let map = map.resize_floor(side, side);
        let at = |y: isize, x: isize| {
            let inside = (0..side as isize).contains(&y) && (0..side as isize).contains(&x);
            inside.then(|| map.ids[y as usize * side + x as usize])
        };
        for (y, x) in (0..side as isize).flat_map(|y| (0..side as isize).map(move |x| (y, x))) {
            let patch = (-2..=2).flat_map(|dy| (-2..=2).map(move |dx| (y + dy, x + dx)));
            patches.insert((side, patch.map(|(y, x)| at(y, x)).collect()));
        }
    }
    patches
}
