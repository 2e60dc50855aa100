//! Every derivative rule against central differences in `f64`. No device involved.

mod common;

use common::*;
use spadework::cpu;
use spadework::graph::autodiff::gradients;
use spadework::graph::{Graph, Ty, ValueId};
use spadework::ops::{Case, CaseInput, Tensor, all_cases};
use std::collections::HashMap;

/// The graph of a case with a seed for each result, and the arguments' handles.
struct Seeded {
    graph: Graph,
    arguments: Vec<ValueId>,
    seeds: Vec<(ValueId, ValueId)>,
}

fn seeded(case: &Case) -> Seeded {
    let mut graph = case_graph(case);
    let arguments = graph.nodes()[0].inputs.clone();
    let results = graph.nodes()[0].outputs.clone();
    let mut seeds = Vec::new();
    for i in case.op.differentiable_outputs(results.len()) {
        let seed = graph.input(&format!("g{i}"), graph.ty(results[i])).unwrap();
        seeds.push((results[i], seed));
    }
    Seeded {
        graph,
        arguments,
        seeds,
    }
}

fn objective(
    case: &Case,
    values: &HashMap<String, Tensor>,
    seeds: &HashMap<String, Tensor>,
) -> f64 {
    let run = cpu::run(&case_graph(case), values);
    let dot = |(name, seed): (&String, &Tensor)| {
        let y = &run.outputs[&name.replace('g', "y")];
        y.data()
            .iter()
            .zip(seed.data())
            .map(|(a, b)| a * b)
            .sum::<f64>()
    };
    seeds.iter().map(dot).sum()
}

/// Positions to try: all of a small tensor, a spread of a large one.
fn positions(len: usize) -> Vec<usize> {
    let count = len.min(24);
    (0..count)
        .map(|i| i * len / count + (i * 7) % (len / count).max(1))
        .collect()
}

fn check(case: &Case) -> bool {
    let Seeded {
        mut graph,
        arguments,
        seeds,
    } = seeded(case);
    let dense: Vec<usize> = (0..arguments.len())
        .filter(|&i| matches!(case_type(&case.inputs[i]), Ty::Dense(_)))
        .collect();
    let wrt: Vec<ValueId> = dense.iter().map(|&i| arguments[i]).collect();
    let Ok(grads) = gradients(&mut graph, &seeds, &wrt) else {
        return false;
    };
    for (&i, grad) in dense.iter().zip(&grads) {
        if let Some(grad) = grad {
            graph.output(&format!("d{i}"), *grad);
        }
    }
    let mut values = case_tensors(case);
    let mut noise = Noise::new(&case.name);
    let seed_values: HashMap<String, Tensor> = seeds
        .iter()
        .map(|(_, seed)| {
            let input = CaseInput::dense(graph.shape(*seed));
            (graph.label(*seed), noise.tensor(&input))
        })
        .collect();
    let mut given = values.clone();
    given.extend(seed_values.clone());
    let run = cpu::run(&graph, &given);
    let mut checked = 0;
    for i in dense {
        let Some(analytic) = run.outputs.get(&format!("d{i}")) else {
            continue;
        };
        let name = format!("x{i}");
        for at in positions(analytic.data().len()) {
            let numeric = central_difference(case, &mut values, &seed_values, &name, at);
            let exact = analytic.data()[at];
            let scale = numeric.abs().max(exact.abs()).max(1e-3);
            assert!(
                (numeric - exact).abs() <= 1e-5 * scale,
                "{:?} ({}): gradient of {name}[{at}] is {exact}, central difference {numeric}",
                case.op,
                case.name
            );
            checked += 1;
        }
    }
    checked > 0
}

/// Step 1e-5 balances truncation (1e-10) against cancellation (1e-11 of the objective).
fn central_difference(
    case: &Case,
    values: &mut HashMap<String, Tensor>,
    seeds: &HashMap<String, Tensor>,
    name: &str,
    at: usize,
) -> f64 {
    let step = 1e-5;
    let original = values[name].data()[at];
    let mut objective_at = |x: f64| {
        values.get_mut(name).unwrap().data_mut()[at] = x;
        objective(case, values, seeds)
    };
    let (above, below) = (objective_at(original + step), objective_at(original - step));
    objective_at(original);
    (above - below) / (2.0 * step)
}

#[test]
fn derivatives_equal_central_differences() {
    let cases = all_cases();
    let (with, without): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| check(case));
    let name = |case: &&Case| match with.iter().any(|other| other.op.name() == case.op.name()) {
        true => format!("{} of {}", case.op.name(), case.name),
        false => case.op.name().to_owned(),
    };
    let mut without: Vec<String> = without.iter().map(name).collect();
    without.sort();
    without.dedup();
    // Derivatives of derivatives, state updates, pools of labels, and what only the planner makes: nothing
    // differentiates through them.
    insta::assert_snapshot!(without.join("\n"));
}
