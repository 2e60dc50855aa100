//! What depends on constants alone, taken out of a graph: filters divided by their singular value need not be divided
//! again for each picture.

use super::rewrite::{leaf, rebuild};
use super::{Graph, Node, Source, ValueId};
use crate::Result;

/// A value that depends on constants alone.
#[derive(Clone, Debug)]
pub struct Constant {
    /// What it is of which constants, in full: two graphs that need the same name it alike.
    pub name: String,
    /// A graph whose only output, [`Constant::OUTPUT`], it is.
    pub graph: Graph,
}

impl Constant {
    /// Name of the output.
    pub const OUTPUT: &'static str = "constant";
}

/// The graph with constants as state, and what computes each of them. State is constant if `is_constant` says so of its
/// name.
///
/// # Errors
/// Only if an operation does not fit its own arguments, which is a bug.
pub fn hoist(graph: &Graph, is_constant: impl Fn(&str) -> bool) -> Result<(Graph, Vec<Constant>)> {
    let expressions = expressions(graph, is_constant);
    let stays = |node: &Node| node.outputs.iter().any(|id| expressions[id.0].is_none());
    let nodes = graph.nodes.iter().zip(graph.live_nodes());
    let nodes = nodes.filter(|(node, live)| *live && stays(node));
    let mut constants = Vec::new();
    let leaf = |new: &mut Graph, id: ValueId| {
        let value = &graph.values[id.0];
        let (Source::Node(..), Some(name)) = (&value.source, &expressions[id.0]) else {
            return leaf(graph, new, id);
        };
        let mut alone = graph.clone();
        alone.outputs = vec![(Constant::OUTPUT.to_owned(), id)];
        alone.updates.clear();
        constants.push(Constant {
            name: name.clone(),
            graph: alone,
        });
        new.state(name, value.ty.shape())
    };
    let nodes = nodes.map(|(node, _)| node.clone());
    let rest = rebuild(graph, nodes, leaf, Graph::apply_all)?;
    Ok((rest, constants))
}

/// For each value that depends on constants alone, what it is of them.
fn expressions(graph: &Graph, is_constant: impl Fn(&str) -> bool) -> Vec<Option<String>> {
    let leaf = |source: &Source| match source {
        Source::State(name) if is_constant(name) => Some(name.clone()),
        _ => None,
    };
    let leaves = graph.values.iter().map(|value| leaf(&value.source));
    let mut expressions: Vec<Option<String>> = leaves.collect();
    for node in &graph.nodes {
        let arguments = node.inputs.iter().map(|id| expressions[id.0].clone());
        let arguments: Option<Vec<String>> = arguments.collect();
        // An update is no constant, and whoever reads constants afterwards reads the new ones.
        let (Some(arguments), true) = (arguments, node.op.aliases().is_empty()) else {
            continue;
        };
        for (i, id) in node.outputs.iter().enumerate() {
            let expression = format!("{:?}.{i} of ({})", node.op, arguments.join(", "));
            expressions[id.0] = Some(expression);
        }
    }
    expressions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu;
    use crate::graph::{Shape, Ty};
    use crate::ops::Tensor;
    use crate::ops::conv2d::Conv2d;
    use crate::ops::elementwise::Scale;
    use crate::ops::{Real, elementwise::Add};
    use std::collections::HashMap;

    const MAP: Shape = Shape::new(1, 4, 5, 4);

    fn tensor(shape: Shape, seed: f64) -> Tensor {
        Tensor::from_fn(shape, |n, h, w, c| {
            seed * ((n + 2 * h + 3 * w + 5 * c) as f64 * 0.37).sin()
        })
    }

    /// The convolution of x with filters halved twice, one that learns beside it, and a constant output.
    fn graph() -> Graph {
        let mut g = Graph::new();
        let x = g.input("x", Ty::Dense(MAP)).unwrap();
        let filters = Shape::weight(3, 3, 4, 4);
        let [fixed, moving] = ["fixed", "moving"].map(|name| g.state(name, filters).unwrap());
        let half = |g: &mut Graph, w| g.apply(Scale { factor: Real(0.5) }, &[w]).unwrap();
        let halved = half(&mut g, fixed);
        let quarter = half(&mut g, halved);
        let moving = half(&mut g, moving);
        let both = g.apply(Add {}, &[quarter, moving]).unwrap();
        let y = g.apply(Conv2d::new(1, 1), &[x, both]).unwrap();
        g.output("y", y);
        g.output("quarter", quarter);
        g
    }

    #[test]
    fn what_constants_decide_is_computed_apart_and_the_rest_is_the_same() {
        let graph = graph();
        let (rest, constants) = hoist(&graph, |name| name == "fixed").unwrap();
        assert_eq!(constants.len(), 1, "one value is read: the quarter");
        assert_eq!(rest.nodes().len(), graph.nodes().len() - 2);
        let filters = Shape::weight(3, 3, 4, 4);
        let mut given = HashMap::from([
            ("x".to_owned(), tensor(MAP, 1.0)),
            ("fixed".to_owned(), tensor(filters, 2.0)),
            ("moving".to_owned(), tensor(filters, 3.0)),
        ]);
        let want = cpu::run(&graph, &given).outputs;
        let Constant { name, graph } = &constants[0];
        let constant = cpu::run(graph, &given).outputs.remove(Constant::OUTPUT);
        given.insert(name.clone(), constant.unwrap());
        given.remove("fixed");
        let got = cpu::run(&rest, &given).outputs;
        for output in ["y", "quarter"] {
            assert_eq!(got[output].data(), want[output].data(), "{output}");
        }
    }

    #[test]
    fn without_constants_nothing_changes() {
        let graph = graph();
        let (rest, constants) = hoist(&graph, |_| false).unwrap();
        assert!(constants.is_empty());
        assert_eq!(rest.nodes().len(), graph.nodes().len());
    }

    #[test]
    fn graphs_name_the_same_constant_alike() {
        let names =
            [graph(), graph()].map(|g| hoist(&g, |n| n == "fixed").unwrap().1[0].name.clone());
        assert_eq!(names[0], names[1]);
        let all = hoist(&graph(), |_| true).unwrap().1;
        assert_ne!(all[0].name, all[1].name);
    }
}
