//! Quotients that need not exist: filters divided by their largest singular value are read undivided where every reader
//! can divide its result instead. That spares a pass over the filters for each forward of a network, and the memory of
//! their copy.

use super::{Graph, Node, ValueId};
use crate::ops::Op;

/// Lets the readers of quotients divide, where all of them can.
pub(super) fn fold(graph: &Graph, nodes: &mut [Option<Node>]) {
    for index in 0..nodes.len() {
        let Some(node) = &nodes[index] else {
            continue;
        };
        let (Some(divisor), &[quotient, scalar]) = (node.op.divisor(), &node.outputs[..]) else {
            continue;
        };
        let kept = |value| graph.outputs.iter().any(|(_, id)| *id == value);
        let is_kept = kept(quotient) || kept(scalar);
        let Some(divided) = readers(nodes, quotient).filter(|_| !is_kept) else {
            continue;
        };
        let arguments = node.inputs.clone();
        let known = divisor.known(graph, &arguments);
        for (reader, argument, op) in divided {
            if let Some(reader) = &mut nodes[reader] {
                reader.op = op;
                reader.inputs[argument] = arguments[0];
                reader.inputs.push(scalar);
            }
        }
        nodes[index] = match known {
            Some(known) => {
                replace(nodes, scalar, known);
                None
            }
            None => Some(Node {
                op: divisor,
                inputs: arguments,
                outputs: vec![scalar],
            }),
        };
    }
}

/// The nodes that read a value, as which argument, and what they are if that is to be divided; none if one of them
/// cannot divide.
fn readers(nodes: &[Option<Node>], value: ValueId) -> Option<Vec<(usize, usize, Op)>> {
    let mut readers = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let inputs = node.iter().flat_map(|node| node.inputs.iter().enumerate());
        let mut arguments = inputs.filter(|(_, id)| **id == value).map(|(i, _)| i);
        if let (Some(argument), Some(node)) = (arguments.next(), node) {
            if arguments.next().is_some() {
                return None;
            }
            readers.push((index, argument, node.op.divide(argument)?));
        }
    }
    Some(readers)
}

fn replace(nodes: &mut [Option<Node>], old: ValueId, new: ValueId) {
    let inputs = nodes.iter_mut().flatten().flat_map(|node| &mut node.inputs);
    inputs.filter(|id| **id == old).for_each(|id| *id = new);
}

#[cfg(test)]
mod tests {
    use crate::cpu;
    use crate::graph::autodiff::gradients;
    use crate::graph::rewrite::rewrite;
    use crate::graph::{Graph, Shape, Ty};
    use crate::ops::Tensor;
    use crate::ops::conv2d::Conv2d;
    use crate::ops::spectral::{PowerIteration, SpectralScale};
    use std::collections::HashMap;

    const MAP: Shape = Shape::new(2, 4, 5, 4);
    const FILTERS: Shape = Shape::weight(3, 3, 4, 4);

    /// A spectrally normalised convolution with its gradients, in training (after a power iteration) or not.
    fn layer(is_training: bool, keeps_filters: bool) -> Graph {
        let mut g = Graph::new();
        let x = g.input("x", Ty::Dense(MAP)).unwrap();
        let seed = g.input("seed", Ty::Dense(MAP)).unwrap();
        let w = g.state("w", FILTERS).unwrap();
        let mut u = g.state("u", Shape::vector(4)).unwrap();
        let mut v = g.state("v", Shape::new(3, 3, 1, 4)).unwrap();
        if is_training {
            let advanced = g.apply_all(PowerIteration { cin: 4 }, &[w, u]).unwrap();
            (u, v) = (advanced[0], advanced[1]);
        }
        let divided = g.apply(SpectralScale {}, &[w, u, v]).unwrap();
        let y = g.apply(Conv2d::new(1, 1), &[x, divided]).unwrap();
        g.output("y", y);
        if keeps_filters {
            g.output("filters", divided);
        }
        let found = gradients(&mut g, &[(y, seed)], &[x, w]).unwrap();
        for (name, id) in ["dx", "dw"].iter().zip(found) {
            g.output(name, id.unwrap());
        }
        g
    }

    fn values() -> HashMap<String, Tensor> {
        let wave = |name: &str, shape: Shape, seed: f64| {
            let mut at = seed;
            let tensor = Tensor::from_fn(shape, |_, _, _, _| {
                at += 1.0;
                0.6 + (at * 0.7).sin()
            });
            (name.to_owned(), tensor)
        };
        [
            wave("x", MAP, 1.0),
            wave("seed", MAP, 9.0),
            wave("w", FILTERS, 5.0),
            wave("u", Shape::vector(4), 7.0),
            wave("v", Shape::new(3, 3, 1, 4), 3.0),
        ]
        .into()
    }

    #[test]
    fn readers_divide_and_the_numbers_stay() {
        for is_training in [false, true] {
            let graph = layer(is_training, false);
            let folded = rewrite(&graph).unwrap();
            let names: Vec<_> = folded.nodes().iter().map(|node| node.op.name()).collect();
            assert!(!names.contains(&"spectral_scale"), "{folded}");
            // A power iteration knows the value that evaluation computes.
            assert_eq!(names.contains(&"sigma"), !is_training, "{folded}");
            let [want, got] = [&graph, &folded].map(|g| cpu::run(g, &values()).outputs);
            for (name, want) in &want {
                let pairs = want.data().iter().zip(got[name].data());
                let error = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(error < 1e-12, "{name} differs by {error}");
            }
            let again = rewrite(&folded).unwrap();
            assert_eq!(again.to_string(), folded.to_string());
        }
    }

    #[test]
    fn filters_that_are_read_as_they_are_stay() {
        let graph = layer(true, true);
        let same = rewrite(&graph).unwrap();
        assert_eq!(same.nodes().len(), graph.nodes().len());
    }
}
