//! What is cheap is computed again rather than kept: values that would wait for a late reader through the step at which
//! a plan needs the most memory.
//!
//! The copy of a node computes the same numbers from the same arguments just before they are read, so results do not
//! change. Arguments must be there anyway: inputs, state that nothing has updated yet, and values that a later node
//! reads.

use super::{Graph, Node, Source, Value, ValueId};
use crate::ops::Op;

/// What is computed again rather than kept. The numbers are the same in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recompute {
    /// What costs next to nothing: hidden rows of labels, which are sums of a few rows of weights, filters transformed for
    /// Winograd's convolutions, and SPADE layers of so many pixels that few of their windows differ.
    #[default]
    Cheap,
    /// All SPADE layers, which takes up to a tenth more multiplications in an iteration.
    Layers,
}

/// From so many pixels of a picture on a SPADE layer is cheap: at 256x256 one window in fifteen is a new one (of
/// COCO-Stuff's label maps), at 128x128 one in six. Its memory is the largest of all.
const MANY_PIXELS: usize = 1 << 16;

impl Recompute {
    fn covers(self, graph: &Graph, node: &Node) -> bool {
        match node.op {
            Op::LabelRows(_) | Op::WinogradFilters(_) => true,
            Op::Modulate(_) => {
                let y = graph.shape(node.outputs[0]);
                self == Self::Layers || y.h * y.w >= MANY_PIXELS
            }
            _ => false,
        }
    }
}

/// The same graph with copies of nodes as far as they lower the peak: a copy's own workspace and result may make another.
/// `scratch` is the workspace of a node in bytes. Nodes run in the order of the graph.
pub(super) fn recompute(
    graph: &Graph,
    what: Recompute,
    scratch: impl Fn(&Graph, &Node) -> u64,
) -> Graph {
    let live = graph.live_nodes();
    let live = graph.nodes.iter().zip(live).filter(|(_, live)| *live);
    let mut schedule = Schedule {
        graph: graph.clone(),
        what,
        nodes: live
            .map(|(node, _)| (node.clone(), scratch(graph, node)))
            .collect(),
    };
    let mut lowest = schedule.peak(&schedule.lives()).0;
    let mut best = schedule.clone();
    while let Some((value, reader)) = schedule.candidate() {
        schedule.repeat(value, reader);
        let (bytes, _) = schedule.peak(&schedule.lives());
        if bytes < lowest {
            lowest = bytes;
            best = schedule.clone();
        }
    }
    let nodes = best.nodes.into_iter().map(|(node, _)| node);
    best.graph.with_nodes(nodes.collect())
}

#[derive(Clone)]
struct Schedule {
    /// Holds all values; its own nodes are those before.
    graph: Graph,
    what: Recompute,
    /// Nodes in order, with the bytes of their workspace.
    nodes: Vec<(Node, u64)>,
}

/// When a value is needed.
#[derive(Clone, Default)]
struct Life {
    producer: Option<usize>,
    /// Nodes that read it, in order.
    readers: Vec<usize>,
    /// The node that overwrites it.
    overwriter: Option<usize>,
    is_kept: bool,
}

impl Life {
    fn end(&self) -> usize {
        match self.is_kept {
            true => usize::MAX,
            false => self.readers.last().copied().or(self.producer).unwrap_or(0),
        }
    }
}

impl Schedule {
    fn lives(&self) -> Vec<Life> {
        let mut lives = vec![Life::default(); self.graph.values.len()];
        for (index, (node, _)) in self.nodes.iter().enumerate() {
            for (argument, id) in node.inputs.iter().enumerate() {
                let life = &mut lives[id.0];
                life.readers.push(index);
                if node
                    .op
                    .aliases()
                    .iter()
                    .any(|(input, _)| *input == argument)
                {
                    life.overwriter = Some(index);
                }
            }
            for (i, id) in node.outputs.iter().enumerate() {
                let is_new = node.op.aliases().iter().all(|(_, output)| *output != i);
                // What is written in the place of something else takes no memory of its own.
                lives[id.0].producer = is_new.then_some(index);
            }
        }
        for (_, id) in &self.graph.outputs {
            lives[id.0].is_kept = true;
        }
        lives
    }

    /// The most memory that is needed, in bytes, and the node at which it is.
    fn peak(&self, lives: &[Life]) -> (i64, usize) {
        let mut changes = vec![0_i64; self.nodes.len() + 1];
        for (life, value) in lives.iter().zip(&self.graph.values) {
            if let Some(producer) = life.producer {
                let bytes = value.ty.bytes() as i64;
                changes[producer] += bytes;
                changes[life.end().saturating_add(1).min(self.nodes.len())] -= bytes;
            }
        }
        let mut live = 0;
        let mut most = (0, 0);
        for (index, (_, scratch)) in self.nodes.iter().enumerate() {
            live += changes[index];
            let bytes = live + *scratch as i64;
            if bytes > most.0 {
                most = (bytes, index);
            }
        }
        most
    }

    /// A value that only waits while most memory is needed, and the node that reads it next: the one computed last, which
    /// may need others that wait.
    fn candidate(&self) -> Option<(ValueId, usize)> {
        let lives = self.lives();
        let (_, peak) = self.peak(&lives);
        let next_reader = |life: &Life| {
            let waits = life.producer.is_some_and(|producer| producer < peak) && !life.is_kept;
            let next = life
                .readers
                .iter()
                .copied()
                .find(|&reader| reader >= peak)?;
            (waits && next > peak).then_some(next)
        };
        let found = (0..lives.len()).filter_map(|i| {
            let next = next_reader(&lives[i])?;
            let (node, _) = &self.nodes[lives[i].producer?];
            let is_there = |id: &ValueId| {
                let life = &lives[id.0];
                match life.producer {
                    Some(_) => life.end() >= next,
                    None => life.overwriter.is_none_or(|overwriter| overwriter >= next),
                }
            };
            let fits = node.op.aliases().is_empty() && self.what.covers(&self.graph, node);
            (fits && node.inputs.iter().all(is_there)).then_some((ValueId(i), next))
        });
        found.max_by_key(|(id, _)| lives[id.0].producer)
    }

    /// Computes a value again for a reader and those after it.
    fn repeat(&mut self, value: ValueId, reader: usize) {
        let lives = self.lives();
        let producer = lives[value.0].producer.expect("candidates are results");
        let (mut node, scratch) = self.nodes[producer].clone();
        let outputs = node.outputs.clone();
        for id in &mut node.outputs {
            let ty = self.graph.ty(*id);
            let source = Source::Node(reader, 0);
            self.graph.values.push(Value { ty, source });
            *id = ValueId(self.graph.values.len() - 1);
        }
        let copy = outputs.iter().position(|id| *id == value);
        let copy = node.outputs[copy.expect("it is a result of its producer")];
        for (later, _) in &mut self.nodes[reader..] {
            let inputs = later.inputs.iter_mut();
            inputs.filter(|id| **id == value).for_each(|id| *id = copy);
        }
        self.nodes.insert(reader, (node, scratch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu;
    use crate::graph::shape::Windows;
    use crate::graph::{Shape, Ty};
    use crate::ops::elementwise::{Add, Scale};
    use crate::ops::labels::{LabelRows, Lookup};
    use crate::ops::state::Commit;
    use crate::ops::{Real, Tensor};
    use crate::windows::{IdMap, WindowTable};
    use std::collections::HashMap;

    const SIDE: usize = 8;

    /// Rows of labels that something small reads at first and something else at the end, with something large between;
    /// the weight of the rows is updated before the end if so wanted.
    fn graph(updates_early: bool) -> Graph {
        let mut g = Graph::new();
        let pixels = SIDE * SIDE;
        let windows = Windows {
            pixels,
            taps: 9,
            channels: 4,
        };
        let table = g.input("table", Ty::Windows(windows)).unwrap();
        let w = g.state("w", Shape::weight(3, 3, 4, 8)).unwrap();
        let rows = g.apply(LabelRows { relu: true }, &[w, table]).unwrap();
        let lookup = Lookup {
            n: 1,
            h: SIDE,
            w: SIDE,
        };
        let first = g.apply(lookup, &[rows, table]).unwrap();
        let large = g
            .input("large", Ty::Dense(Shape::new(4, 64, 64, 8)))
            .unwrap();
        let mut scaled = large;
        for factor in [2.0, 3.0] {
            let factor = Real(factor);
            scaled = g.apply(Scale { factor }, &[scaled]).unwrap();
        }
        g.output("large", scaled);
        if updates_early {
            let flag = g.state("flag", Shape::scalar()).unwrap();
            let new = g.state("new", Shape::weight(3, 3, 4, 8)).unwrap();
            let written = g.apply(Commit {}, &[w, new, flag]).unwrap();
            g.update(written);
        }
        let sum = g.apply(Add {}, &[rows, rows]).unwrap();
        g.output("first", first);
        g.output("sum", sum);
        g
    }

    fn names(graph: &Graph) -> Vec<&'static str> {
        graph.nodes().iter().map(|node| node.op.name()).collect()
    }

    #[test]
    fn cheap_values_do_not_wait_through_the_peak() {
        let graph = graph(false);
        let again = recompute(&graph, Recompute::Cheap, |_, _| 0);
        let want = [
            "label_rows",
            "lookup",
            "scale",
            "scale",
            "label_rows",
            "add",
        ];
        assert_eq!(names(&again), want);
        let labels: Vec<u32> = (0..SIDE * SIDE).map(|i| (i / 5 % 4) as u32).collect();
        let map = IdMap::from_labels([1, SIDE, SIDE], &labels, None);
        let table = WindowTable::build(&map, 4, None, 3, 1, 1);
        let wave = |shape: Shape| {
            Tensor::from_fn(shape, |n, h, w, c| {
                ((n + 2 * h + 3 * w + 5 * c) as f64).sin()
            })
        };
        let given: HashMap<_, _> = [
            ("table", Tensor::Index(table.pack())),
            ("w", wave(Shape::weight(3, 3, 4, 8))),
            ("large", wave(Shape::new(4, 64, 64, 8))),
        ]
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .into();
        let [before, after] = [&graph, &again].map(|g| cpu::run(g, &given).outputs);
        for (name, value) in &before {
            assert_eq!(value.data(), after[name].data(), "{name}");
        }
    }

    #[test]
    fn what_was_updated_since_is_not_read_again() {
        let graph = graph(true);
        assert_eq!(
            names(&recompute(&graph, Recompute::Cheap, |_, _| 0)),
            names(&graph)
        );
    }

    #[test]
    fn what_would_need_more_than_it_spares_is_not_computed_again() {
        let graph = graph(false);
        // Less than both results of `scale` at the peak, more than one of them beside the copy.
        let again = recompute(&graph, Recompute::Cheap, |_, node| match node.op {
            Op::LabelRows(_) => 900 << 10,
            _ => 0,
        });
        assert_eq!(names(&again), names(&graph));
    }

    #[test]
    fn values_that_do_not_wait_through_the_peak_stay() {
        let graph = graph(false);
        // The look-up itself needs the most.
        let again = recompute(&graph, Recompute::Cheap, |_, node| match node.op {
            Op::Lookup(_) => 1 << 30,
            _ => 0,
        });
        assert_eq!(names(&again), names(&graph));
    }
}
