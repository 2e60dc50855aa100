//! Which values are stored in 16-bit floats, where that is asked for.
//!
//! Maps, tables and weights are. What a whole channel is scaled and shifted by stays in 32 bits: biases, statistics,
//! divisors and styles; and so do workspaces, and what crosses to the host, inputs and outputs. It depends on the shape
//! alone, so that all plans over a store agree about its weights.

use super::{Graph, Shape, Source, Ty, Value};

/// How a plan stores its values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Storage {
    /// In 32 bits.
    Single,
    /// Maps, tables and weights in 16 bits.
    Half,
    /// Weights and other state alone in 16 bits: of what is computed once and rounded at its end.
    HalfState,
}

/// Type of state of a shape, as it is stored.
pub fn state_type(shape: Shape, storage: Storage) -> Ty {
    match storage != Storage::Single && shape.h * shape.w > 1 {
        true => Ty::Half(shape),
        false => Ty::Dense(shape),
    }
}

/// Narrows the values of a graph.
pub(super) fn narrow(mut graph: Graph, storage: Storage) -> Graph {
    let stays = |value: &Value| match value.source {
        Source::Input(_) => true,
        Source::State(_) => false,
        Source::Node(..) => storage == Storage::HalfState,
    };
    let mut is_wide: Vec<bool> = graph.values.iter().map(stays).collect();
    for (_, id) in &graph.outputs {
        is_wide[id.0] = true;
    }
    // What is updated in place is stored as its update is.
    for node in graph.nodes.iter().rev() {
        for &(input, output) in node.op.aliases() {
            is_wide[node.inputs[input].0] |= is_wide[node.outputs[output].0];
        }
    }
    for (value, is_wide) in graph.values.iter_mut().zip(is_wide) {
        if let (Ty::Dense(shape), false) = (value.ty, is_wide) {
            value.ty = state_type(shape, storage);
        }
    }
    graph
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Real;
    use crate::ops::conv2d::Conv2d;
    use crate::ops::elementwise::Scale;

    #[test]
    fn maps_and_weights_are_narrow() {
        let mut graph = Graph::new();
        let map = Shape::new(1, 8, 6, 4);
        let x = graph.input("x", Ty::Dense(map)).unwrap();
        let w = graph.state("w", Shape::weight(3, 3, 4, 4)).unwrap();
        let b = graph.state("b", Shape::vector(4)).unwrap();
        let y = graph.apply(Conv2d::new(1, 1), &[x, w]).unwrap();
        let bias = graph.apply(Scale { factor: Real(2.0) }, &[b]).unwrap();
        let z = graph.apply(Conv2d::new(1, 1), &[y, w]).unwrap();
        graph.output("z", z);
        let found = |storage| {
            let narrowed = narrow(graph.clone(), storage);
            [x, w, b, y, bias, z].map(|id| matches!(narrowed.ty(id), Ty::Half(_)))
        };
        assert_eq!(
            found(Storage::HalfState),
            [false, true, false, false, false, false]
        );
        assert_eq!(
            found(Storage::Half),
            [false, true, false, true, false, false]
        );
        let narrowed = narrow(graph, Storage::Half);
        assert_eq!(narrowed.ty(y).bytes() * 2, Ty::Dense(map).bytes());
        assert_eq!(narrowed.ty(y).shape(), map);
    }
}
