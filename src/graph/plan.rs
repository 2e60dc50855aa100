//! From a graph to a plan: which nodes run, in which order, and in which memory.
//!
//! Nodes run in the order they were appended, but for updates, which run as early as they can (see `updates`), and for
//! what is computed again where it is read late (see `recompute`). A value occupies a slot from its node to its last
//! reader; see `slots` for which. One slot is one buffer, because one dispatch may not bind a buffer both to read and to
//! write.
//! Everything is sized for the worst content of the index buffers, so a plan never grows and its peak is known
//! before the first step.

use super::half::{Storage, narrow};
use super::hoist::{Constant, hoist};
use super::lower::{Lowering, lower};
use super::recompute::{Recompute, recompute};
use super::rewrite::rewrite;
use super::slots::{Interval, KEPT, assign};
use super::updates::early;
use super::{Graph, Node, Source, Ty, ValueId};
use crate::ops::gemm::Matrices;
use crate::ops::texels::LAYER_BYTES;
use crate::ops::winograd::{Choices, Filtering};
use crate::ops::{Binding, Family, Kernel, Op, Site, Texels};
use crate::windows::Header;
use crate::{Error, Result};
use std::collections::HashMap;

/// Memory of a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// Entry of [`Plan::named`].
    Named(usize),
    /// Entry of [`Plan::slots`].
    Slot(usize),
    /// Entry of [`Plan::texel_layers`].
    Texels(usize),
    /// Not needed by anything that runs.
    Nowhere,
}

/// A buffer shared by name among plans.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// Name.
    pub name: String,
    /// Type.
    pub ty: Ty,
    /// Written by the host before every replay; otherwise state.
    pub is_input: bool,
}

/// One node, placed.
#[derive(Clone, Debug)]
pub struct Step {
    /// The operation.
    pub op: Op,
    /// Types of the arguments.
    pub input_types: Vec<Ty>,
    /// Types of the results.
    pub output_types: Vec<Ty>,
    /// Memory of the arguments.
    pub inputs: Vec<Place>,
    /// Memory of the results.
    pub outputs: Vec<Place>,
    /// Slots of the scratch buffers.
    pub scratch: Vec<Place>,
    /// Dispatches in the worst case.
    pub kernel: Kernel,
    /// Whether the dispatches depend on the content of an index buffer.
    pub is_dynamic: bool,
}

impl Step {
    /// Where a binding is, unless it is a texture.
    pub fn place(&self, binding: Binding) -> Option<Place> {
        match binding {
            Binding::Input(i) => Some(self.inputs[i]),
            Binding::Output(i) => Some(self.outputs[i]),
            Binding::Scratch(i) => Some(self.scratch[i]),
            Binding::Texels(_) => None,
        }
    }

    /// The entry of [`Plan::texel_constants`] that a matrix is.
    pub fn texel_constant(
        &self,
        texels: &Texels,
        constants: &HashMap<usize, Texels>,
    ) -> Option<usize> {
        match self.place(texels.source) {
            Some(Place::Named(at)) => constants.contains_key(&at).then_some(at),
            _ => None,
        }
    }
}

/// An ordered, placed graph.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What runs, in order.
    pub steps: Vec<Step>,
    /// Bytes of each slot.
    pub slots: Vec<u64>,
    /// Layers of each texture; dispatches use them one after another.
    pub texel_layers: Vec<u32>,
    /// Buffers shared by name.
    pub named: Vec<Named>,
    /// Entries of [`Plan::named`] that are constant and read as texels alone: they need no buffer, and no copies.
    pub texel_constants: HashMap<usize, Texels>,
    /// Values to read after a replay.
    pub outputs: Vec<(String, Ty, Place)>,
    /// What it was planned for.
    pub target: Target,
    /// How each of its convolutions is done that could be done in several ways.
    pub methods: Choices,
}

/// What the planner must know of the adapter.
#[derive(Clone, Debug)]
pub struct Target {
    /// Kernel family.
    pub family: Family,
    /// Bytes a blocked operation may use for its fixed workspace.
    pub workspace_bytes: usize,
    /// Largest storage binding.
    pub max_binding_bytes: u64,
    /// Which convolutions are done by Winograd's.
    pub filtering: Filtering,
    /// How values are stored.
    pub storage: Storage,
    /// Units for matrices of 16-bit floats, where they are used.
    pub matrices: Option<Matrices>,
}

impl Plan {
    /// Rewrites a graph, lowers it to the target and plans it.
    ///
    /// # Errors
    /// If a value exceeds the adapter's largest binding (the message names it and the ways out), or if state is read
    /// after it was updated.
    pub fn new(graph: &Graph, target: &Target) -> Result<Self> {
        Self::recomputing(graph, target, Recompute::default())
    }

    /// The same, with a choice of what is computed again rather than kept.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn recomputing(graph: &Graph, target: &Target, what: Recompute) -> Result<Self> {
        let (graph, at) = (rewrite(graph)?, Lowering::learning(target));
        let methods = at.methods(&graph);
        Self::of(&lower(&graph, &at)?, methods, target, what)
    }

    /// The same without what depends on constants alone: that is state of the plan, and told apart. State is constant if
    /// `is_constant` says so of its name.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn over_constants(
        graph: &Graph,
        target: &Target,
        is_constant: impl Fn(&str) -> bool,
    ) -> Result<(Self, Vec<Constant>)> {
        let mut values = graph.values.iter();
        let has_fixed_weights =
            values.any(|value| matches!(&value.source, Source::State(name) if is_constant(name)));
        let at = Lowering {
            target,
            has_fixed_weights,
        };
        let graph = rewrite(graph)?;
        let methods = at.methods(&graph);
        let (rest, constants) = hoist(&lower(&graph, &at)?, is_constant)?;
        let what = Recompute::default();
        let mut plan = Self::of(&rest, methods, target, what)?;
        plan.texel_constants = texels_alone(&plan.steps);
        let named = &plan.named;
        let is_constant = |at: &usize| constants.iter().any(|c| c.name == named[*at].name);
        plan.texel_constants.retain(|at, _| is_constant(at));
        plan.texel_layers = texel_layers(&plan.steps, &plan.texel_constants);
        Ok((plan, constants))
    }

    /// Orders and places a graph that suits the target.
    fn of(graph: &Graph, methods: Choices, target: &Target, what: Recompute) -> Result<Self> {
        let mut graph = early(graph);
        if target.storage != Storage::Single {
            graph = narrow(graph, target.storage);
        }
        // Before anything is computed from the sizes: kernels count in 32 bits.
        let mut nodes = graph.nodes.iter();
        nodes.try_for_each(|node| target.check(&graph, node))?;
        let graph = &recompute(&graph, what, |graph, node| {
            let scratch = kernel(graph, node, target).scratch;
            scratch.iter().map(|&words| words as u64 * 4).sum()
        });
        let mut planner = Planner::new(graph, target);
        planner.place_leaves();
        for index in 0..graph.nodes.len() {
            planner.place_node(index)?;
        }
        let slots = planner.assign_slots();
        let place =
            |(name, id): &(String, ValueId)| (name.clone(), graph.ty(*id), planner.places[id.0]);
        let outputs = graph.outputs.iter().map(place).collect();
        let plan = Self {
            texel_layers: texel_layers(&planner.steps, &HashMap::new()),
            texel_constants: HashMap::new(),
            steps: planner.steps,
            slots,
            named: planner.named,
            outputs,
            target: target.clone(),
            methods,
        };
        plan.check_bindings(target)?;
        Ok(plan)
    }

    /// Bytes of an entry of [`Plan::named`].
    pub fn named_bytes(&self, at: usize) -> u64 {
        match self.texel_constants.get(&at) {
            Some(texels) => texels.layers() as u64 * LAYER_BYTES,
            None => self.named[at].ty.bytes(),
        }
    }

    /// Bytes of all slots and textures: the memory of a replay beyond inputs and state.
    pub fn slot_bytes(&self) -> u64 {
        let layers: u64 = self.texel_layers.iter().map(|&l| u64::from(l)).sum();
        self.slots.iter().sum::<u64>() + layers * LAYER_BYTES
    }

    /// Slots that are read after a replay, and those that plans which run one after another may share.
    pub fn kept_and_shared_slots(&self) -> (Vec<usize>, Vec<usize>) {
        let is_kept = |slot: &usize| {
            let mut outputs = self.outputs.iter();
            outputs.any(|(.., place)| *place == Place::Slot(*slot))
        };
        (0..self.slots.len()).partition(is_kept)
    }

    /// Bytes of what is read after a replay, which no other plan shares.
    pub fn result_bytes(&self) -> u64 {
        let (kept, _) = self.kept_and_shared_slots();
        kept.into_iter().map(|slot| self.slots[slot]).sum()
    }

    /// Multiply-adds of one replay by the shapes; window tables count as if every pixel had its own window.
    pub fn macs(&self) -> u64 {
        let cost = |s: &Step| s.op.cost(&s.input_types, &s.output_types).macs;
        self.steps.iter().map(cost).sum()
    }

    fn check_bindings(&self, target: &Target) -> Result<()> {
        self.steps.iter().try_for_each(|step| {
            let mut scratch = step.kernel.scratch.iter();
            scratch.try_for_each(|&words| {
                let what = || format!("workspace of {}", step.op.name());
                target.check_binding(words as u64 * 4, what)
            })
        })
    }
}

impl Target {
    /// Refuses a node whose arguments or results one dispatch could not bind.
    fn check(&self, graph: &Graph, node: &Node) -> Result<()> {
        let mut values = node.inputs.iter().chain(&node.outputs);
        values.try_for_each(|&id| {
            let ty = graph.ty(id);
            let what = || match &graph.values[id.0].source {
                Source::Node(..) => format!("result {ty} of {}", node.op.name()),
                _ => graph.label(id),
            };
            self.check_binding(ty.bytes(), what)
        })
    }

    /// Refuses what one dispatch could not bind.
    fn check_binding(&self, bytes: u64, what: impl Fn() -> String) -> Result<()> {
        if bytes <= self.max_binding_bytes {
            return Ok(());
        }
        Err(Error::Device(format!(
            "{} takes {} MiB, but this adapter binds at most {} MiB at once; use a smaller batch, crop size or ngf",
            what(),
            bytes.div_ceil(1 << 20),
            self.max_binding_bytes >> 20,
        )))
    }
}

/// Types of the arguments and results of a node.
fn types(graph: &Graph, node: &Node) -> [Vec<Ty>; 2] {
    [&node.inputs, &node.outputs].map(|ids| ids.iter().map(|&id| graph.ty(id)).collect())
}

/// What a node runs in the worst case.
fn kernel(graph: &Graph, node: &Node, target: &Target) -> Kernel {
    let [inputs, outputs] = types(graph, node);
    let header = |ty: &Ty| matches!(ty, Ty::Windows(_)).then(|| ty.windows().worst_header());
    let headers: Vec<Option<Header>> = inputs.iter().map(header).collect();
    node.op.kernel(&Site {
        inputs: &inputs,
        outputs: &outputs,
        headers: &headers,
        family: target.family,
        matrices: target.matrices,
        workspace_bytes: target.workspace_bytes,
    })
}

/// What each texture must hold at most, but for what has one of its own.
fn texel_layers(steps: &[Step], constants: &HashMap<usize, Texels>) -> Vec<u32> {
    let mut layers = Vec::new();
    for step in steps {
        for dispatch in &step.kernel.dispatches {
            layers.resize(layers.len().max(dispatch.texels.len()), 1);
            for (layers, texels) in layers.iter_mut().zip(&dispatch.texels) {
                if step.texel_constant(texels, constants).is_none() {
                    *layers = texels.layers().max(texels.reserved).max(*layers as usize) as u32;
                }
            }
        }
    }
    layers
}

/// What is read as texels alone, and as the same ones everywhere.
fn texels_alone(steps: &[Step]) -> HashMap<usize, Texels> {
    let mut found: HashMap<usize, Option<Texels>> = HashMap::new();
    for step in steps {
        for dispatch in &step.kernel.dispatches {
            for texels in &dispatch.texels {
                if let Some(Place::Named(at)) = step.place(texels.source) {
                    let kept = found.entry(at).or_insert(Some(*texels));
                    kept.take_if(|kept| [kept.rows, kept.c4] != [texels.rows, texels.c4]);
                }
            }
            for &binding in &dispatch.bindings {
                if let Some(Place::Named(at)) = step.place(binding) {
                    found.insert(at, None);
                }
            }
        }
    }
    let alone = |(at, texels): (_, Option<_>)| texels.map(|texels| (at, texels));
    found.into_iter().filter_map(alone).collect()
}

struct Planner<'a> {
    graph: &'a Graph,
    target: &'a Target,
    last_use: Vec<usize>,
    places: Vec<Place>,
    updated: Vec<bool>,
    intervals: Vec<Interval>,
    named: Vec<Named>,
    steps: Vec<Step>,
}

impl<'a> Planner<'a> {
    fn new(graph: &'a Graph, target: &'a Target) -> Self {
        let mut last_use = vec![0; graph.values.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            for id in &node.inputs {
                last_use[id.0] = index;
            }
        }
        for (_, id) in &graph.outputs {
            last_use[id.0] = usize::MAX;
        }
        Self {
            graph,
            target,
            last_use,
            places: vec![Place::Nowhere; graph.values.len()],
            updated: vec![false; graph.values.len()],
            intervals: Vec::new(),
            named: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Gives every leaf that something running reads its named buffer.
    fn place_leaves(&mut self) {
        let nodes = self.graph.nodes.iter();
        let mut used: Vec<ValueId> = nodes
            .flat_map(|node| node.inputs.iter().copied())
            .chain(self.graph.outputs.iter().map(|(_, id)| *id))
            .collect();
        used.sort();
        used.dedup();
        for id in used {
            let value = &self.graph.values[id.0];
            let (name, is_input) = match &value.source {
                Source::Input(name) => (name, true),
                Source::State(name) => (name, false),
                Source::Node(..) => continue,
            };
            self.places[id.0] = Place::Named(self.named.len());
            self.named.push(Named {
                name: name.clone(),
                ty: value.ty,
                is_input,
            });
        }
    }

    fn place_node(&mut self, index: usize) -> Result<()> {
        let node = &self.graph.nodes[index];
        if let Some(&stale) = node.inputs.iter().find(|id| self.updated[id.0]) {
            return Err(Error::Shape {
                op: node.op.name(),
                message: format!("reads {} after its update", self.graph.label(stale)),
            });
        }
        let [input_types, output_types] = types(self.graph, node);
        let kernel = kernel(self.graph, node, self.target);
        let inputs: Vec<_> = node.inputs.iter().map(|id| self.places[id.0]).collect();
        let outputs = self.place_outputs(index);
        let scratch: Vec<_> = kernel
            .scratch
            .iter()
            .map(|&w| self.take(w as u64 * 4))
            .collect();
        for place in &scratch {
            self.give(*place);
        }
        self.free_after(index);
        self.steps.push(Step {
            op: node.op.clone(),
            is_dynamic: input_types.iter().any(|ty| matches!(ty, Ty::Windows(_))),
            input_types,
            output_types,
            inputs,
            outputs,
            scratch,
            kernel,
        });
        Ok(())
    }

    fn place_outputs(&mut self, index: usize) -> Vec<Place> {
        let node = &self.graph.nodes[index];
        let mut outputs = Vec::new();
        for (i, id) in node.outputs.iter().enumerate() {
            let alias = node.op.aliases().iter().find(|(_, output)| *output == i);
            let place = match alias {
                Some(&(input, _)) => {
                    self.updated[node.inputs[input].0] = true;
                    self.places[node.inputs[input].0]
                }
                None => self.take(self.graph.ty(*id).bytes()),
            };
            self.places[id.0] = place;
            outputs.push(place);
        }
        outputs
    }

    /// Gives back the memory of values whose last reader, or whose node if nothing reads them, is this node.
    fn free_after(&mut self, index: usize) {
        let node = &self.graph.nodes[index];
        let aliased = |id: &ValueId| self.updated[id.0];
        let mut done: Vec<ValueId> = node
            .inputs
            .iter()
            .chain(&node.outputs)
            .copied()
            .filter(|id| self.last_use[id.0] <= index && !aliased(id))
            .collect();
        done.sort();
        done.dedup();
        for id in done {
            self.give(self.places[id.0]);
        }
    }

    /// Memory from this step on, until it is given back. Its number is not that of a slot yet.
    fn take(&mut self, bytes: u64) -> Place {
        self.intervals.push(Interval {
            bytes,
            start: self.steps.len(),
            end: KEPT,
        });
        Place::Slot(self.intervals.len() - 1)
    }

    fn give(&mut self, place: Place) {
        if let Place::Slot(interval) = place {
            let end = &mut self.intervals[interval].end;
            debug_assert!(*end == KEPT, "interval {interval} given back twice");
            *end = self.steps.len();
        }
    }

    /// Puts slots in place of intervals.
    fn assign_slots(&mut self) -> Vec<u64> {
        let (assigned, slots) = assign(&self.intervals);
        let settle = |place: &mut Place| {
            if let Place::Slot(interval) = place {
                *interval = assigned[*interval];
            }
        };
        for step in &mut self.steps {
            let places = step.inputs.iter_mut().chain(&mut step.outputs);
            places.chain(&mut step.scratch).for_each(settle);
        }
        self.places.iter_mut().for_each(settle);
        slots
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            writeln!(
                f,
                "{i:4} {:?}: {:?} <- {:?} scratch {:?}, {} dispatches",
                step.op,
                step.outputs,
                step.inputs,
                step.scratch,
                step.kernel.dispatches.len()
            )?;
        }
        for (i, bytes) in self.slots.iter().enumerate() {
            writeln!(f, "slot {i}: {bytes} bytes")?;
        }
        Ok(())
    }
}
