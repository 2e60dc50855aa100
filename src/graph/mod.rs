//! The static graph: values, nodes and how they are put together.
//!
//! A graph is built once per network update. Nodes are appended in execution order and hash-consed: applying the
//! same operation to the same values twice gives the first result again, so common subexpressions never exist.
//! State (parameters, running statistics, moments) enters as [`Source::State`] and leaves through operations whose
//! output aliases the state they update; a plan is therefore one atomic step.

pub mod autodiff;
pub mod dump;
mod fold;
pub mod half;
pub mod hoist;
pub mod lower;
pub mod plan;
pub mod recompute;
pub mod rewrite;
pub mod shape;
mod slots;
mod updates;

use crate::ops::Op;
use crate::{Error, Result};
pub use shape::{Shape, Ty};
pub(crate) use slots::reuse;
use std::collections::HashMap;

/// Handle of a value in its graph.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ValueId(pub(crate) usize);

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Written by the host before every replay.
    Input(String),
    /// Lives on the device between replays and is shared by name among plans.
    State(String),
    /// Output number `.1` of node `.0`.
    Node(usize, usize),
}

/// A value: its type and origin.
#[derive(Clone, Debug)]
pub struct Value {
    /// Type.
    pub ty: Ty,
    /// Origin.
    pub source: Source,
}

/// One application of an operation.
#[derive(Clone, Debug)]
pub struct Node {
    /// The operation with its attributes.
    pub op: Op,
    /// Arguments.
    pub inputs: Vec<ValueId>,
    /// Results.
    pub outputs: Vec<ValueId>,
}

/// A static computation graph.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(crate) values: Vec<Value>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) outputs: Vec<(String, ValueId)>,
    pub(crate) updates: Vec<ValueId>,
    named: HashMap<String, ValueId>,
    applied: HashMap<(Op, Vec<ValueId>), usize>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// A value the host writes before a replay. Asking for the same name again gives the same value.
    ///
    /// # Errors
    /// If the name exists with another type or as state.
    pub fn input(&mut self, name: &str, ty: Ty) -> Result<ValueId> {
        self.leaf(name, ty, Source::Input(name.to_owned()))
    }

    /// A value that stays on the device between replays. Asking for the same name again gives the same value.
    ///
    /// # Errors
    /// If the name exists with another type or as input.
    pub fn state(&mut self, name: &str, shape: Shape) -> Result<ValueId> {
        self.leaf(name, Ty::Dense(shape), Source::State(name.to_owned()))
    }

    fn leaf(&mut self, name: &str, ty: Ty, source: Source) -> Result<ValueId> {
        if let Some(&id) = self.named.get(name) {
            let value = &self.values[id.0];
            if value.ty != ty || value.source != source {
                return Err(Error::Shape {
                    op: "leaf",
                    message: format!("`{name}` is {} already, asked for as {ty}", value.ty),
                });
            }
            return Ok(id);
        }
        let id = self.push_value(ty, source);
        self.named.insert(name.to_owned(), id);
        Ok(id)
    }

    fn push_value(&mut self, ty: Ty, source: Source) -> ValueId {
        self.values.push(Value { ty, source });
        ValueId(self.values.len() - 1)
    }

    /// Applies an operation with any number of results.
    ///
    /// # Errors
    /// If the shapes do not fit the operation.
    pub fn apply_all(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<Vec<ValueId>> {
        let key = (op.into(), inputs.to_vec());
        if let Some(&node) = self.applied.get(&key) {
            return Ok(self.nodes[node].outputs.clone());
        }
        let types: Vec<Ty> = inputs.iter().map(|&id| self.ty(id)).collect();
        let results = key.0.shape(&types)?;
        let node = self.nodes.len();
        let outputs: Vec<ValueId> = results
            .into_iter()
            .enumerate()
            .map(|(i, ty)| self.push_value(ty, Source::Node(node, i)))
            .collect();
        self.nodes.push(Node {
            op: key.0.clone(),
            inputs: key.1.clone(),
            outputs: outputs.clone(),
        });
        self.applied.insert(key, node);
        Ok(outputs)
    }

    /// Applies an operation with one result.
    ///
    /// # Errors
    /// If the shapes do not fit the operation.
    pub fn apply(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId> {
        Ok(self.apply_all(op, inputs)?[0])
    }

    /// Marks a value to be kept for reading after a replay.
    pub fn output(&mut self, name: &str, value: ValueId) {
        self.outputs.push((name.to_owned(), value));
    }

    /// Marks the result of a state-updating operation as wanted; everything else unused is dropped by the planner.
    pub fn update(&mut self, value: ValueId) {
        self.updates.push(value);
    }

    /// Type of a value.
    pub fn ty(&self, id: ValueId) -> Ty {
        self.values[id.0].ty
    }

    /// Shape of a dense value.
    pub fn shape(&self, id: ValueId) -> Shape {
        self.ty(id).shape()
    }

    /// All values, by handle.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// All nodes, in execution order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Values kept for reading, with their names.
    pub fn outputs(&self) -> &[(String, ValueId)] {
        &self.outputs
    }

    /// The same with other nodes over these values, in the order given. Nothing can be applied to it any more.
    fn with_nodes(&self, nodes: Vec<Node>) -> Self {
        let mut new = self.clone();
        for (index, node) in nodes.iter().enumerate() {
            for (i, id) in node.outputs.iter().enumerate() {
                new.values[id.0].source = Source::Node(index, i);
            }
        }
        new.nodes = nodes;
        new.applied.clear();
        new
    }

    /// Which nodes are needed for the outputs and updates.
    pub fn live_nodes(&self) -> Vec<bool> {
        let mut live = vec![false; self.nodes.len()];
        let mut stack: Vec<ValueId> = self.outputs.iter().map(|(_, id)| *id).collect();
        stack.extend(&self.updates);
        while let Some(id) = stack.pop() {
            if let Source::Node(node, _) = self.values[id.0].source
                && !live[node]
            {
                live[node] = true;
                stack.extend(&self.nodes[node].inputs);
            }
        }
        live
    }
}
