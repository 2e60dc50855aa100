//! Rewriting before planning: what computes the same in fewer passes over memory.
//!
//! An operation whose only result has a single reader may take that reader over, if it can ([`Operation::absorb`]): a
//! convolution adds a residual and applies an activation before it writes. Derivatives exist already at this point, so
//! a result that the backward pass reads has more than one reader and stays. Then quotients go that their readers can do
//! without (see `fold`). What nothing needs is not copied.
//!
//! [`Operation::absorb`]: crate::ops::Operation::absorb

use super::fold::fold;
use super::{Graph, Node, Source, ValueId};
use crate::Result;
use crate::ops::Op;

/// The same outputs and updates from fewer operations.
///
/// # Errors
/// Only if an operation's joint form does not fit what it joins, which is a bug.
pub fn rewrite(graph: &Graph) -> Result<Graph> {
    let mut nodes: Vec<Option<Node>> = graph
        .nodes
        .iter()
        .zip(graph.live_nodes())
        .map(|(node, live)| live.then(|| node.clone()))
        .collect();
    let readers = readers(graph, &nodes);
    for index in 0..nodes.len() {
        while let Some((absorbed, joint)) = nodes[index]
            .as_ref()
            .and_then(|node| join(graph, &nodes, &readers, node))
        {
            nodes[absorbed] = None;
            nodes[index] = Some(joint);
        }
    }
    fold(graph, &mut nodes);
    let nodes = nodes.into_iter().flatten();
    let leaf = |new: &mut Graph, id| leaf(graph, new, id);
    rebuild(graph, nodes, leaf, Graph::apply_all)
}

/// How many readers every value has; being kept counts as one.
fn readers(graph: &Graph, nodes: &[Option<Node>]) -> Vec<usize> {
    let mut readers = vec![0; graph.values.len()];
    let kept = graph.outputs.iter().map(|(_, id)| id).chain(&graph.updates);
    let read = nodes.iter().flatten().flat_map(|node| &node.inputs);
    read.chain(kept).for_each(|id| readers[id.0] += 1);
    readers
}

/// A node that can take `node` over, and what it then is. The later argument goes first: it was computed last, and what
/// waits for it need not wait in memory.
fn join(
    graph: &Graph,
    nodes: &[Option<Node>],
    readers: &[usize],
    node: &Node,
) -> Option<(usize, Node)> {
    let single = |op: &Op| op.aliases().is_empty();
    if node.inputs.len() > 2 || node.outputs.len() != 1 || !single(&node.op) {
        return None;
    }
    node.inputs
        .iter()
        .enumerate()
        .rev()
        .find_map(|(argument, &input)| {
            let Source::Node(producer, _) = graph.values[input.0].source else {
                return None;
            };
            let before = nodes[producer].as_ref()?;
            if readers[input.0] != 1 || before.outputs.len() != 1 || !single(&before.op) {
                return None;
            }
            let other = (node.inputs.len() == 2).then(|| node.inputs[1 - argument]);
            let other_type = other.map(|id| graph.ty(id));
            let op = before
                .op
                .absorb(graph.ty(input), &node.op, argument, other_type)?;
            let inputs = before.inputs.iter().copied().chain(other).collect();
            let joint = Node {
                op,
                inputs,
                outputs: node.outputs.clone(),
            };
            Some((producer, joint))
        })
}

/// The leaf of a new graph that is one of the original's.
pub(super) fn leaf(graph: &Graph, new: &mut Graph, id: ValueId) -> Result<ValueId> {
    let value = &graph.values[id.0];
    match &value.source {
        Source::Input(name) => new.input(name, value.ty),
        Source::State(name) => new.state(name, value.ty.shape()),
        Source::Node(..) => unreachable!("nodes come in the order of execution"),
    }
}

/// A graph of what `apply` makes of these nodes, with the outputs and updates of the original. What no node makes is what
/// `leaf` makes of it, asked once for each value.
pub(super) fn rebuild(
    graph: &Graph,
    nodes: impl Iterator<Item = Node>,
    mut leaf: impl FnMut(&mut Graph, ValueId) -> Result<ValueId>,
    apply: impl Fn(&mut Graph, Op, &[ValueId]) -> Result<Vec<ValueId>>,
) -> Result<Graph> {
    let mut new = Graph::new();
    let mut places: Vec<Option<ValueId>> = vec![None; graph.values.len()];
    let mut place =
        |new: &mut Graph, places: &mut Vec<Option<ValueId>>, id: ValueId| -> Result<ValueId> {
            if let Some(place) = places[id.0] {
                return Ok(place);
            }
            let leaf = leaf(new, id)?;
            places[id.0] = Some(leaf);
            Ok(leaf)
        };
    for node in nodes {
        let inputs = node.inputs.iter();
        let inputs = inputs.map(|&id| place(&mut new, &mut places, id));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let outputs = apply(&mut new, node.op, &inputs)?;
        for (old, new) in node.outputs.iter().zip(outputs) {
            places[old.0] = Some(new);
        }
    }
    for (name, id) in &graph.outputs {
        let id = place(&mut new, &mut places, *id)?;
        new.output(name, id);
    }
    for &id in &graph.updates {
        let id = place(&mut new, &mut places, id)?;
        new.update(id);
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu;
    use crate::graph::{Shape, Ty};
    use crate::ops::Tensor;
    use crate::ops::activation::{Activation, Kind};
    use crate::ops::conv2d::Conv2d;
    use crate::ops::elementwise::Add;
    use std::collections::HashMap;

    const MAP: Shape = Shape::new(1, 4, 5, 4);

    /// The shape of a residual block's end: two convolutions, their sum, an activation.
    fn block(keep_sum: bool) -> Graph {
        let mut g = Graph::new();
        let x = g.input("x", Ty::Dense(MAP)).unwrap();
        let [v, w] = ["v", "w"].map(|name| g.state(name, Shape::weight(3, 3, 4, 4)).unwrap());
        let [s, d] = [v, w].map(|w| g.apply(Conv2d::new(1, 1), &[x, w]).unwrap());
        let sum = g.apply(Add {}, &[s, d]).unwrap();
        let kind = Kind::LeakyRelu;
        let y = g.apply(Activation { kind }, &[sum]).unwrap();
        g.apply(Activation { kind: Kind::Tanh }, &[x]).unwrap();
        g.output("y", y);
        if keep_sum {
            g.output("sum", sum);
        }
        g
    }

    fn values() -> HashMap<String, Tensor> {
        let wave = |name: &str, shape: Shape| {
            let mut at = name.len() as f64;
            let tensor = Tensor::from_fn(shape, |_, _, _, _| {
                at += 1.0;
                (at * 0.7).sin()
            });
            (name.to_owned(), tensor)
        };
        let weight = Shape::weight(3, 3, 4, 4);
        [("x", MAP), ("v", weight), ("ww", weight)]
            .map(|(name, shape)| wave(name, shape))
            .map(|(name, tensor)| (name.replace("ww", "w"), tensor))
            .into()
    }

    #[test]
    fn a_block_ends_in_one_convolution() {
        for (keep_sum, nodes) in [(false, 2), (true, 3)] {
            let graph = block(keep_sum);
            let rewritten = rewrite(&graph).unwrap();
            assert_eq!(rewritten.nodes().len(), nodes, "{rewritten}");
            let [before, after] = [&graph, &rewritten].map(|g| cpu::run(g, &values()).outputs);
            assert_eq!(before["y"].data(), after["y"].data());
        }
    }
}
