//! When updates run: as soon as what they need is there and nobody reads the old value any more.
//!
//! Models append updates behind everything else. A weight that is updated the moment its gradient is done and its last
//! reader has run gives the memory of the gradient back, so that the next one can have it. Everything else keeps its
//! order.

use super::{Graph, Node};

/// The live nodes in an order in which each update comes as early as it can.
pub(super) fn early(graph: &Graph) -> Graph {
    let nodes = graph.nodes.iter().zip(graph.live_nodes());
    let nodes: Vec<Node> = nodes
        .filter(|(_, live)| *live)
        .map(|(node, _)| node.clone())
        .collect();
    let mut order = Order::new(graph.values.len(), &nodes);
    for index in 0..nodes.len() {
        order.place(index);
    }
    let placed = order.placed.into_iter();
    graph.with_nodes(placed.map(|index| nodes[index].clone()).collect())
}

/// Nodes on their way into an order.
struct Order {
    is_update: Vec<bool>,
    /// Nodes that wait for each node.
    followers: Vec<Vec<usize>>,
    /// How many nodes each node still waits for.
    missing: Vec<usize>,
    is_placed: Vec<bool>,
    placed: Vec<usize>,
}

impl Order {
    fn new(values: usize, nodes: &[Node]) -> Self {
        let mut producer = vec![None; values];
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); values];
        for (index, node) in nodes.iter().enumerate() {
            node.outputs
                .iter()
                .for_each(|id| producer[id.0] = Some(index));
            node.inputs.iter().for_each(|id| readers[id.0].push(index));
        }
        let mut followers = vec![Vec::new(); nodes.len()];
        let mut missing = vec![0; nodes.len()];
        for (index, node) in nodes.iter().enumerate() {
            let producers = node.inputs.iter().filter_map(|id| producer[id.0]);
            let overwritten = node.op.aliases().iter();
            let overwritten = overwritten.flat_map(|&(input, _)| &readers[node.inputs[input].0]);
            let mut before: Vec<usize> = producers.chain(overwritten.copied()).collect();
            before.sort_unstable();
            before.dedup();
            for other in before.into_iter().filter(|&other| other != index) {
                followers[other].push(index);
                missing[index] += 1;
            }
        }
        Self {
            is_update: nodes
                .iter()
                .map(|node| !node.op.aliases().is_empty())
                .collect(),
            followers,
            missing,
            is_placed: vec![false; nodes.len()],
            placed: Vec::new(),
        }
    }

    /// Places a node, and then the updates that waited for nothing else.
    fn place(&mut self, index: usize) {
        let mut waiting = vec![index];
        while let Some(index) = waiting.pop() {
            if std::mem::replace(&mut self.is_placed[index], true) {
                continue;
            }
            self.placed.push(index);
            for &follower in self.followers[index].iter().rev() {
                self.missing[follower] -= 1;
                if self.missing[follower] == 0 && self.is_update[follower] {
                    waiting.push(follower);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Shape, Ty, ValueId};
    use crate::ops::adam::Adam;
    use crate::ops::elementwise::Scale;
    use crate::ops::state::Finite;
    use crate::ops::{Op, Real};

    const VECTOR: Shape = Shape::vector(8);

    fn scaled(g: &mut Graph, x: ValueId, factor: f32) -> ValueId {
        let factor = Real(factor);
        g.apply(Scale { factor }, &[x]).unwrap()
    }

    /// Two weights whose gradients are there one after the other, and are applied at the end; something reads the first
    /// weight after the second's gradient.
    fn graph() -> Graph {
        let mut g = Graph::new();
        let x = g.input("x", Ty::Dense(VECTOR)).unwrap();
        let hyper = g.input("hyper", Ty::Dense(Shape::vector(4))).unwrap();
        let [a, b] = ["a", "b"].map(|name| g.state(name, VECTOR).unwrap());
        let grad_a = scaled(&mut g, x, 2.0);
        let grad_b = scaled(&mut g, x, 3.0);
        let late = scaled(&mut g, a, 4.0);
        let later = scaled(&mut g, late, 5.0);
        g.output("later", later);
        let mut flag = g.state("flag", Shape::scalar()).unwrap();
        for (w, name, grad) in [(b, "v.b", grad_b), (a, "v.a", grad_a)] {
            flag = g.apply(Finite {}, &[flag, grad]).unwrap();
            let v = g.state(name, VECTOR).unwrap();
            let adam = Adam {
                beta1: Real(0.0),
                beta2: Real(0.9),
                eps: Real(1e-8),
            };
            let written = g.apply_all(adam, &[w, v, grad, hyper, flag]).unwrap();
            written.iter().for_each(|&id| g.update(id));
        }
        scaled(&mut g, x, 6.0);
        g
    }

    #[test]
    fn updates_come_when_their_last_reader_has_run() {
        let ordered = early(&graph());
        let name = |node: &Node| match &node.op {
            Op::Scale(scale) => scale.factor.0.to_string(),
            op => op.name().to_owned(),
        };
        let names: Vec<_> = ordered.nodes().iter().map(name).collect();
        // The second weight goes first; the first one's gradient is checked, but waits for a reader of the weight.
        let want = ["2", "3", "finite", "adam", "finite", "4", "adam", "5"];
        assert_eq!(names, want, "and what nothing needs is gone");
        assert_eq!(early(&ordered).to_string(), ordered.to_string());
    }
}
