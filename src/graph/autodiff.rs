//! Reverse-mode differentiation: every operation emits its derivative as graph nodes.
//!
//! Only what leads from a wanted value to a seed is differentiated; freezing a network means leaving its parameters
//! out of `wrt`, detaching means not connecting.

use super::{Graph, Source, ValueId};
use crate::Result;
use crate::ops::elementwise::Add;

/// What an operation sees when its derivative is asked for.
pub struct Backward<'a> {
    /// Arguments of the forward operation.
    pub inputs: &'a [ValueId],
    /// Results of the forward operation.
    pub outputs: &'a [ValueId],
    /// Incoming gradient of every result, where one exists.
    pub grads: &'a [Option<ValueId>],
    /// For every argument, whether its gradient is wanted.
    pub wants: &'a [bool],
}

impl Backward<'_> {
    /// The incoming gradient of the first result.
    pub fn grad(&self) -> ValueId {
        self.grads[0].expect("autodiff calls an operation only where a gradient arrives")
    }
}

/// Gradients of `sum(value * seed)` over the given `(value, seed)` pairs with respect to each value of `wrt`.
///
/// A value the seeds do not depend on gives `None`.
///
/// # Errors
/// If an operation on the way has no derivative, or emits nodes that do not fit.
pub fn gradients(
    graph: &mut Graph,
    seeds: &[(ValueId, ValueId)],
    wrt: &[ValueId],
) -> Result<Vec<Option<ValueId>>> {
    let forward = graph.nodes.len();
    let wanted = depends_on(graph, wrt);
    let mut grads: Vec<Option<ValueId>> = vec![None; graph.values.len()];
    for &(value, seed) in seeds {
        accumulate(graph, &mut grads, value, seed)?;
    }
    for index in (0..forward).rev() {
        let node = graph.nodes[index].clone();
        let incoming: Vec<_> = node.outputs.iter().map(|id| grads[id.0]).collect();
        let wants: Vec<_> = node.inputs.iter().map(|id| wanted[id.0]).collect();
        if incoming.iter().all(Option::is_none) || !wants.contains(&true) {
            continue;
        }
        let at = Backward {
            inputs: &node.inputs,
            outputs: &node.outputs,
            grads: &incoming,
            wants: &wants,
        };
        let emitted = node.op.grad(graph, &at)?;
        for ((&input, grad), want) in node.inputs.iter().zip(emitted).zip(wants) {
            if let (Some(grad), true) = (grad, want) {
                accumulate(graph, &mut grads, input, grad)?;
            }
        }
    }
    Ok(wrt.iter().map(|id| grads[id.0]).collect())
}

fn accumulate(
    graph: &mut Graph,
    grads: &mut [Option<ValueId>],
    value: ValueId,
    grad: ValueId,
) -> Result<()> {
    grads[value.0] = Some(match grads[value.0] {
        None => grad,
        Some(sum) => graph.apply(Add::default(), &[sum, grad])?,
    });
    Ok(())
}

/// For every value, whether it depends on one of `wrt`.
fn depends_on(graph: &Graph, wrt: &[ValueId]) -> Vec<bool> {
    let mut depends = vec![false; graph.values.len()];
    for id in wrt {
        depends[id.0] = true;
    }
    for (i, value) in graph.values.iter().enumerate() {
        if let Source::Node(node, _) = value.source {
            depends[i] |= graph.nodes[node].inputs.iter().any(|id| depends[id.0]);
        }
    }
    depends
}
