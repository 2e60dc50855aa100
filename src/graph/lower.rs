//! From what a graph says to what a device does best: an operation may put others in its place for a target.

use super::Graph;
use super::plan::Target;
use super::rewrite::{leaf, rebuild};
use crate::Result;
use crate::ops::winograd::{Choices, convolution};

/// What the operations of a graph are lowered for.
#[derive(Clone, Copy, Debug)]
pub struct Lowering<'a> {
    /// The target.
    pub target: &'a Target,
    /// Whether weights never change, so that what depends on them alone is computed once.
    pub has_fixed_weights: bool,
}

impl<'a> Lowering<'a> {
    /// For weights that change from one replay to the next.
    pub fn learning(target: &'a Target) -> Self {
        Self {
            target,
            has_fixed_weights: false,
        }
    }

    /// How each convolution of a graph is done.
    pub(super) fn methods(&self, graph: &Graph) -> Choices {
        let nodes = graph.nodes.iter();
        let found = nodes.filter_map(|node| {
            let convolution = convolution(&node.op, graph, &node.inputs, self.has_fixed_weights)?;
            Some((convolution, self.target.method(&convolution)))
        });
        found.collect()
    }
}

/// The same outputs and updates by the operations that suit the target.
///
/// # Errors
/// Only if an operation does not fit what it takes the place of, which is a bug.
pub fn lower(graph: &Graph, at: &Lowering) -> Result<Graph> {
    let leaf = |new: &mut Graph, id| leaf(graph, new, id);
    let nodes = graph.nodes.iter().cloned();
    rebuild(graph, nodes, leaf, |new, op, inputs| {
        match op.lower(new, inputs, at)? {
            Some(result) => Ok(vec![result]),
            None => new.apply_all(op, inputs),
        }
    })
}
