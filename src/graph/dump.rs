//! A readable text of a graph, one node a line.

use super::{Graph, Source, ValueId};
use std::fmt;

impl Graph {
    /// Name of a value: the name of a leaf, `%i` of a result.
    pub fn label(&self, id: ValueId) -> String {
        match &self.values[id.0].source {
            Source::Input(name) | Source::State(name) => name.clone(),
            Source::Node(..) => format!("%{}", id.0),
        }
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            let results: Vec<_> = node
                .outputs
                .iter()
                .map(|&id| format!("{}: {}", self.label(id), self.ty(id)))
                .collect();
            let arguments: Vec<_> = node.inputs.iter().map(|&id| self.label(id)).collect();
            writeln!(
                f,
                "{} = {:?}({})",
                results.join(", "),
                node.op,
                arguments.join(", ")
            )?;
        }
        for (name, id) in &self.outputs {
            writeln!(f, "output {name} = {}", self.label(*id))?;
        }
        Ok(())
    }
}
