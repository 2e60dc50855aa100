//! Every case of every operation on the device, in every kernel family, against its `f64` reference.

mod common;

use common::*;
use spadework::cpu;
use spadework::gpu::Gpu;
use spadework::graph::plan::{Plan, Target};
use spadework::graph::{Graph, Shape, Ty};
use spadework::ops::gemm::Matrices;
use spadework::ops::norm::{EpsRule, Norm};
use spadework::ops::{Case, Op, Real, Tensor, all_cases};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

/// How much more the result sees of a rounding error than that of a plain sum.
///
/// The gradient of filters in tiles is a small difference of large numbers: for row `a` of G^T and `i` over the numbers
/// of a tile, errors add up in quadrature to `sqrt(sum of g[i][a]^2 |bt[i]|^2 |at[.][i]|^2)`, where a plain sum over the
/// tile has `sqrt(tile)`. That is 9.84 of 2 for tiles of four, 2 of 1.41 for tiles of two, and squared in two dimensions.
fn amplification(op: &Op) -> f64 {
    match op {
        Op::WinogradFiltersGrad(grad) if grad.tile == 4 => 24.2,
        Op::WinogradFiltersGrad(_) => 2.0,
        _ => 1.0,
    }
}

/// Runs a case with its padding lanes set to `padding`; returns nothing, panics on the first difference.
fn check(case: &Case, padding: f32) {
    let graph = case_graph(case);
    let tensors = case_tensors(case);
    let want = cpu::run(&graph, &tensors).outputs;
    let mut dense = HashMap::new();
    let mut index = HashMap::new();
    for (name, tensor) in &tensors {
        match tensor {
            Tensor::Dense { .. } => drop(dense.insert(name.clone(), tensor.to_device(padding))),
            Tensor::Index(words) => drop(index.insert(name.clone(), words.clone())),
        }
    }
    let types: Vec<Ty> = case.inputs.iter().map(case_type).collect();
    let results: Vec<Ty> = want_types(&graph);
    let cost = case.op.cost(&types, &results);
    let sums = (cost.macs + cost.adds) as f64;
    // With the smaller workspace blocked operations go through it a vector of channels and a tap at a time.
    let workspaces = |gpu: &'static Arc<Gpu>| {
        [gpu.target().workspace_bytes, 64].map(|workspace_bytes| (gpu, workspace_bytes))
    };
    for (gpu, workspace_bytes) in bufferings().iter().flat_map(workspaces) {
        let target = Target {
            workspace_bytes,
            ..gpu.target()
        };
        let got = run_for(gpu, &target, &graph, &dense, &index);
        for (name, want) in &want {
            let shape = want.shape();
            let what = format!(
                "{:?} {:?} ({}) {name}, {workspace_bytes} bytes",
                gpu.family, case.op, case.name
            );
            let numbers = Tensor::from_device(shape, &got[name]);
            let terms = (sums / shape.len() as f64).max(1.0) * amplification(&case.op).powi(2);
            let limit = tolerance(terms, max_abs(want.data()));
            let rows = case
                .op
                .live_rows(&tensors_in_order(case, &tensors), name_index(name));
            let count = rows.unwrap_or(shape.rows()) * shape.c;
            assert_close(
                &what,
                &numbers.data()[..count],
                &want.data()[..count],
                limit,
            );
            if padding == 0.0 {
                assert_padding_zero(
                    &what,
                    &got[name][..count / shape.c * shape.c4() * 4],
                    shape.c,
                );
            }
        }
    }
}

/// One device for all cases, since each compiles its pipelines once.
fn bufferings() -> &'static [Arc<Gpu>] {
    static GPUS: OnceLock<Vec<Arc<Gpu>>> = OnceLock::new();
    GPUS.get_or_init(gpus_and_bufferings)
}

fn name_index(name: &str) -> usize {
    name[1..].parse().unwrap()
}

fn tensors_in_order<'a>(case: &Case, tensors: &'a HashMap<String, Tensor>) -> Vec<&'a Tensor> {
    (0..case.inputs.len())
        .map(|i| &tensors[&format!("x{i}")])
        .collect()
}

fn want_types(graph: &Graph) -> Vec<Ty> {
    graph
        .outputs()
        .iter()
        .map(|(_, id)| graph.ty(*id))
        .collect()
}

fn assert_padding_zero(what: &str, device: &[f32], c: usize) {
    let width = c.next_multiple_of(4);
    for row in device.chunks_exact(width) {
        assert!(
            row[c..].iter().all(|&v| v == 0.0),
            "{what}: padding lanes are not zero: {row:?}"
        );
    }
}

fn check_all(padding: f32, keep: impl Fn(&Case) -> bool) {
    let mut count = 0;
    for case in all_cases().iter().filter(|case| keep(case)) {
        check(case, padding);
        count += 1;
    }
    assert!(count > 0, "no case ran");
}

#[test]
fn kernels_equal_references() {
    check_all(0.0, |_| true);
}

/// Operations that reduce over channels must not see the padding lanes.
#[test]
fn reductions_ignore_padding() {
    check_all(7.5, |case| case.op.masks_padding());
}

/// Bad numbers in padding lanes are nobody's result and must stop no training.
#[test]
fn bad_padding_counts_as_finite() {
    check_all(f32::NAN, |case| matches!(case.op, Op::Finite(_)));
}

/// Mean 4096 and deviation 1.7: where the sum of squares minus the square of the sum is off by 4096^2 / 2^24 = 1, the
/// tree is not. A unit in the last place of the mean is 2^-11; each of three levels walks at random over up to 64
/// roundings of half a unit, at most 4 units in all. Means of tiles of up to 64 rows differ by 1.7 / 8, so an error of
/// 4 units in each of at least 66 tiles moves the variance by 2 * 1.7 / 8 * 4 * 2^-11 / sqrt(66) = 1e-4.
#[test]
fn statistics_keep_their_digits_far_from_zero() {
    let shape = Shape::new(2, 67, 63, 5);
    let mut noise = Noise::new("moments");
    let whole = |unit: f64| (unit * 2048.0).round() / 2048.0;
    let x = Tensor::from_fn(shape, |_, _, _, _| {
        4096.0 + whole(noise.number(-3.0, 3.0, 0.0))
    });
    for per_sample in [false, true] {
        let norm = Norm {
            per_sample,
            eps: Real(1e-5),
            rule: EpsRule::Add,
        };
        let mut graph = Graph::new();
        let argument = graph.state("x", shape).unwrap();
        let results = graph.apply_all(norm, &[argument]).unwrap();
        graph.output("mean", results[1]);
        graph.output("variance", results[2]);
        let want = cpu::run(&graph, &HashMap::from([("x".to_owned(), x.clone())])).outputs;
        let given = HashMap::from([("x".to_owned(), x.to_device(0.0))]);
        for gpu in gpus() {
            let got = run_on(gpu, &graph, &given, &HashMap::new());
            for (name, limit) in [("mean", 4.0 / 2048.0), ("variance", 1e-4)] {
                let want = &want[name];
                let got = Tensor::from_device(want.shape(), &got[name]);
                assert_close(name, got.data(), want.data(), limit);
            }
        }
    }
}

/// With values stored in 16-bit floats: a case's arguments are rounded here, so that what differs is the kernel's. Tells how
/// many results there were; none where arguments are no finite numbers then.
///
/// A result is rounded by at most 2^-11 of it, or 2^-25 where numbers are the smallest.
fn check_in_halves(gpu: &Arc<Gpu>, case: &Case, graph: &Graph) -> usize {
    let rounded = |x: f64| f64::from(half::f16::from_f64(x));
    let mut tensors = case_tensors(case);
    for tensor in tensors.values_mut() {
        if let Tensor::Dense { .. } = tensor {
            *tensor = tensor.map(rounded);
        }
    }
    let all = tensors
        .values()
        .filter(|t| matches!(t, Tensor::Dense { .. }));
    if all.flat_map(|t| t.data()).any(|x| !x.is_finite()) {
        return 0;
    }
    let want = cpu::run(graph, &tensors).outputs;
    let (mut dense, mut index) = (HashMap::new(), HashMap::new());
    for (name, tensor) in &tensors {
        match tensor {
            Tensor::Dense { .. } => drop(dense.insert(name.clone(), tensor.to_device(0.0))),
            Tensor::Index(words) => drop(index.insert(name.clone(), words.clone())),
        }
    }
    let types: Vec<Ty> = case.inputs.iter().map(case_type).collect();
    let cost = case.op.cost(&types, &want_types(graph));
    let mut count = 0;
    // Blocked operations write a result twice; a tap at a time, which no real workspace asks for, as often as they have taps,
    // and channels twice as often.
    for (workspace_bytes, roundings) in [(gpu.target().workspace_bytes, 2.0), (64, 50.0)] {
        let target = Target {
            workspace_bytes,
            ..gpu.target()
        };
        let got = run_for(gpu, &target, graph, &dense, &index);
        for (name, want) in &want {
            let shape = want.shape();
            let terms = ((cost.macs + cost.adds) as f64 / shape.len() as f64).max(1.0);
            let terms = terms * amplification(&case.op).powi(2);
            let most = max_abs(want.data());
            let rounded = roundings * (most * 2f64.powi(-11) + 2f64.powi(-25));
            let limit = tolerance(terms, most) + rounded;
            let rows = case
                .op
                .live_rows(&tensors_in_order(case, &tensors), name_index(name));
            let live = rows.unwrap_or(shape.rows()) * shape.c;
            let numbers = Tensor::from_device(shape, &got[name]);
            let what = format!("{:?} {:?} ({}) {name}", gpu.matrices(), case.op, case.name);
            assert_close(&what, &numbers.data()[..live], &want.data()[..live], limit);
            count += 1;
        }
    }
    count
}

/// In 16-bit floats kernels read what was rounded to them, compute as ever, and round the result.
///
/// All that can be narrow is, and then every other argument alone, so that widths are mixed.
#[test]
fn storage_in_halves_rounds_and_no_more() {
    let gpu = gpus()[0]
        .with_half()
        .expect("the adapter under test has 16-bit floats");
    let cases = all_cases();
    let narrow = cases.iter().map(|case| (case, case_graph_in_halves(case)));
    let mixed = cases.iter().filter(|case| case.op.aliases().is_empty());
    let mixed = mixed.map(|case| (case, case_graph_read(case, |i| i % 2 == 0, |_, id| id)));
    let counts = narrow
        .chain(mixed)
        .map(|(case, graph)| check_in_halves(&gpu, case, &graph));
    let count: usize = counts.sum();
    assert!(count > 100, "{count} results");
}

/// Products on units for matrices, with these emulated: subgroups of 16 lanes, more than there are blocks for; of 32, one for
/// each; and of 64, too few for all at once. It proves what the kernel brings, where it puts it, what it leaves out beyond the
/// edges, and that its barriers are where they must be on the adapter under test. It does not prove what units do with the
/// matrices: loading, multiplying and storing one is written down once more here.
#[test]
fn products_of_emulated_matrices_equal_references() {
    let half = gpus()[0]
        .with_half()
        .expect("the adapter under test has 16-bit floats");
    for (side, lanes) in [(16, 16), (16, 32), (16, 64), (8, 32)] {
        let gpu = half.with_matrices(Some(Matrices::emulated(side, lanes)));
        let mut seen = BTreeMap::new();
        for case in &all_cases() {
            let graph = case_graph_in_halves(case);
            let plan = Plan::new(&graph, &gpu.target()).unwrap();
            let kernels = plan.steps.iter().map(|step| &step.kernel);
            let mut dispatches = kernels.flat_map(|kernel| &kernel.dispatches);
            if dispatches.any(|dispatch| dispatch.shader == "gemm_cooperative") {
                *seen.entry(case.op.name()).or_insert(0) += check_in_halves(&gpu, case, &graph);
            }
        }
        let names: Vec<_> = seen.keys().copied().collect();
        assert_eq!(names, ["keep_rows", "modulate", "product"], "{seen:?}");
        assert!(seen.values().all(|&results| results > 2), "{seen:?}");
    }
}
