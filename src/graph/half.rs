//! Which values are stored in 16-bit floats, where that is asked for.
//!
//! For drawing, maps, tables and weights are. What a whole channel is scaled and shifted by stays in 32 bits: biases,
//! statistics, divisors and styles; and so do workspaces, and what crosses to the host, inputs and outputs. It depends on
//! the shape alone, so that all plans over a store agree about its weights.
//!
//! For training, the maps of the forward pass alone are. Gradients stay in 32 bits, so none is too small to be stored and
//! no loss is scaled; and so do weights with what is computed of them, and all that updates them.

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
    /// What is computed of pictures and layouts alone in 16 bits: no weights, and no gradients.
    HalfMaps,
}

/// Type of state of a shape, as it is stored.
pub fn state_type(shape: Shape, storage: Storage) -> Ty {
    match storage {
        Storage::Single | Storage::HalfMaps => Ty::Dense(shape),
        Storage::Half | Storage::HalfState => narrow_type(shape),
    }
}

/// Type of a shape in 16 bits, where it has pixels.
fn narrow_type(shape: Shape) -> Ty {
    match shape.h * shape.w > 1 {
        true => Ty::Half(shape),
        false => Ty::Dense(shape),
    }
}

/// Narrows the values of a graph.
pub(super) fn narrow(mut graph: Graph, storage: Storage) -> Graph {
    let of_maps = of_maps_alone(&graph);
    let stays = |(value, of_maps): (&Value, bool)| match (&value.source, storage) {
        (Source::Input(_), _) | (_, Storage::Single) => true,
        (Source::State(_), _) => storage == Storage::HalfMaps,
        (Source::Node(..), Storage::Half) => false,
        (Source::Node(..), Storage::HalfState) => true,
        (Source::Node(..), Storage::HalfMaps) => !of_maps,
    };
    let mut is_wide: Vec<bool> = graph.values.iter().zip(of_maps).map(stays).collect();
    for (_, id) in &graph.outputs {
        is_wide[id.0] = true;
    }
    // What is updated in place is stored as its update is, and the update as what it is written over.
    for node in &graph.nodes {
        for &(input, output) in node.op.aliases() {
            is_wide[node.outputs[output].0] |= is_wide[node.inputs[input].0];
        }
    }
    for node in graph.nodes.iter().rev() {
        for &(input, output) in node.op.aliases() {
            is_wide[node.inputs[input].0] |= is_wide[node.outputs[output].0];
        }
    }
    for (value, is_wide) in graph.values.iter_mut().zip(is_wide) {
        if let (Ty::Dense(shape), false) = (value.ty, is_wide) {
            value.ty = narrow_type(shape);
        }
    }
    graph
}

/// For every value, whether it depends on some map from the host, and on no scalar: every gradient depends on the factor of
/// a loss, and what depends on weights alone is no map.
fn of_maps_alone(graph: &Graph) -> Vec<bool> {
    let mut of_maps = vec![false; graph.values.len()];
    let mut of_scalars = vec![false; graph.values.len()];
    for (i, value) in graph.values.iter().enumerate() {
        if let Source::Input(_) = value.source {
            let is_scalar = matches!(value.ty, Ty::Dense(shape) if shape == Shape::scalar());
            of_scalars[i] = is_scalar;
            of_maps[i] = !is_scalar;
        }
    }
    for node in &graph.nodes {
        for reached in [&mut of_maps, &mut of_scalars] {
            let any = node.inputs.iter().any(|id| reached[id.0]);
            node.outputs.iter().for_each(|id| reached[id.0] = any);
        }
    }
    let pairs = of_maps.into_iter().zip(of_scalars);
    pairs
        .map(|(of_maps, of_scalars)| of_maps && !of_scalars)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::autodiff::gradients;
    use crate::ops::conv2d::Conv2d;
    use crate::ops::elementwise::Scale;
    use crate::ops::loss::{MeanLoss, Term};
    use crate::ops::{CaseInput, Real};

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
        assert_eq!(
            found(Storage::HalfMaps),
            [false, false, false, true, false, false]
        );
        assert_eq!(found(Storage::Single), [false; 6]);
        let narrowed = narrow(graph, Storage::Half);
        assert_eq!(narrowed.ty(y).bytes() * 2, Ty::Dense(map).bytes());
        assert_eq!(narrowed.ty(y).shape(), map);
    }
    #[test]
    fn gradients_and_what_weights_alone_decide_are_wide() {
        let mut graph = Graph::new();
        let map = Shape::new(2, 8, 6, 4);
        let x = graph.input("x", Ty::Dense(map)).unwrap();
        let factor = graph.input("factor", Ty::Dense(Shape::scalar())).unwrap();
        let w = graph.state("w", Shape::weight(3, 3, 4, 4)).unwrap();
        let twice = graph.apply(Scale { factor: Real(2.0) }, &[w]).unwrap();
        let y = graph.apply(Conv2d::new(1, 1), &[x, twice]).unwrap();
        let term = Term::Linear { sign: Real(1.0) };
        let loss = graph.apply(MeanLoss { term }, &[y]).unwrap();
        let wanted = [x, w];
        let grads = gradients(&mut graph, &[(loss, factor)], &wanted).unwrap();
        let narrowed = narrow(graph, Storage::HalfMaps);
        let is_half = |id| matches!(narrowed.ty(id), Ty::Half(_));
        assert!(is_half(y));
        for id in [w, twice, loss, grads[0].unwrap(), grads[1].unwrap()] {
            assert!(!is_half(id), "{id:?}");
        }
    }
    /// An update of another width than what it is written over would be garbage.
    #[test]
    fn updates_are_as_wide_as_what_they_update() {
        let cases = crate::ops::all_cases();
        let updating = cases.iter().filter(|case| !case.op.aliases().is_empty());
        let mut count = 0;
        for case in updating {
            let mut graph = Graph::new();
            let mut ids = Vec::new();
            for (i, input) in case.inputs.iter().enumerate() {
                let name = format!("x{i}");
                let is_updated = case.op.aliases().iter().any(|&(updated, _)| updated == i);
                ids.push(match input {
                    CaseInput::Index(ty, _) => graph.input(&name, *ty).unwrap(),
                    CaseInput::Dense { shape, .. } | CaseInput::Weight { shape, .. } => {
                        match is_updated {
                            true => graph.state(&name, *shape).unwrap(),
                            false => graph.input(&name, Ty::Dense(*shape)).unwrap(),
                        }
                    }
                    CaseInput::Values(tensor) => match is_updated {
                        true => graph.state(&name, tensor.shape()).unwrap(),
                        false => graph.input(&name, Ty::Dense(tensor.shape())).unwrap(),
                    },
                });
            }
            let results = graph.apply_all(case.op.clone(), &ids).unwrap();
            results.iter().for_each(|&id| graph.update(id));
            for storage in [Storage::Half, Storage::HalfState, Storage::HalfMaps] {
                let narrowed = narrow(graph.clone(), storage);
                for &(updated, by) in case.op.aliases() {
                    let [old, new] = [ids[updated], results[by]].map(|id| narrowed.ty(id));
                    assert_eq!(old, new, "{:?} in {storage:?}", case.op);
                    count += 1;
                }
            }
        }
        assert!(count > 10, "{count}");
    }
}
