//! From what a graph says to what a device does best: an operation may put others in its place for a target.

use super::Graph;
use super::plan::Target;
use super::rewrite::{leaf, rebuild};
use crate::Result;

/// The same outputs and updates by the operations that suit the target.
///
/// # Errors
/// Only if an operation does not fit what it takes the place of, which is a bug.
pub fn lower(graph: &Graph, target: &Target) -> Result<Graph> {
    let leaf = |new: &mut Graph, id| leaf(graph, new, id);
    let nodes = graph.nodes.iter().cloned();
    rebuild(graph, nodes, leaf, |new, op, inputs| {
        match op.lower(new, inputs, target)? {
            Some(result) => Ok(vec![result]),
            None => new.apply_all(op, inputs),
        }
    })
}
