//! Runs any graph with the `f64` references: the oracle of all tests.

use crate::graph::{Graph, Source, Ty};
use crate::ops::Tensor;
use std::collections::HashMap;

/// Values of every name after a run.
#[derive(Debug, Default)]
pub struct Run {
    /// Outputs of the graph by name.
    pub outputs: HashMap<String, Tensor>,
    /// State by name, with every update applied.
    pub state: HashMap<String, Tensor>,
}

/// Runs a graph. State that is not given is zero.
///
/// # Panics
/// If an input is missing or has another shape: this is a tool for tests.
pub fn run(graph: &Graph, given: &HashMap<String, Tensor>) -> Run {
    let live = graph.live_nodes();
    let mut values: Vec<Option<Tensor>> = vec![None; graph.values().len()];
    let mut aliases: Vec<usize> = (0..values.len()).collect();
    for (i, value) in graph.values().iter().enumerate() {
        values[i] = match (&value.source, value.ty) {
            (Source::Node(..), _) => None,
            (Source::Input(name), _) => given.get(name).cloned(),
            (Source::State(name), Ty::Dense(shape)) => Some(
                given
                    .get(name)
                    .cloned()
                    .unwrap_or_else(|| Tensor::zeros(shape)),
            ),
            (Source::State(name), ty) => panic!("state {name} is {ty}"),
        };
    }
    let mut run = Run::default();
    for (node, _) in graph.nodes().iter().zip(live).filter(|(_, live)| *live) {
        let inputs: Vec<&Tensor> = node
            .inputs
            .iter()
            .map(|&id| {
                let value = values[id.0].as_ref();
                value.unwrap_or_else(|| panic!("{} has no value", graph.label(id)))
            })
            .collect();
        let types: Vec<Ty> = node.outputs.iter().map(|&id| graph.ty(id)).collect();
        let results = node.op.reference(&inputs, &types);
        for &(input, output) in node.op.aliases() {
            aliases[node.outputs[output].0] = aliases[node.inputs[input].0];
        }
        for (id, result) in node.outputs.iter().zip(results) {
            assert_eq!(
                result.shape(),
                graph.shape(*id),
                "{} broke its shape rule",
                node.op.name()
            );
            let root = aliases[id.0];
            if let Source::State(name) = &graph.values()[root].source {
                run.state.insert(name.clone(), result.clone());
            }
            values[id.0] = Some(result);
        }
    }
    for (name, id) in graph.outputs() {
        let value = values[id.0].clone();
        run.outputs
            .insert(name.clone(), value.expect("outputs are live"));
    }
    run
}
