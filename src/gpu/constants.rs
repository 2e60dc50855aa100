//! Plans over state that nothing changes any more: what depends on it alone is computed once and stays on the device.

use super::{Executor, Store};
use crate::graph::Graph;
use crate::graph::hoist::Constant;
use crate::graph::plan::Plan;
use crate::{Error, Result};

impl Executor {
    /// Plans a graph and computes what depends on constants alone, as far as the store lacks it. State is constant if
    /// `is_constant` says so of its name; it is never to be written again. Where the device has no memory for what was
    /// computed, it is computed with each replay.
    ///
    /// # Errors
    /// If the device cannot hold the plan; then the store is as before but for zero buffers and memory to share.
    pub fn over_constants(
        graph: &Graph,
        store: &mut Store,
        is_constant: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let target = store.gpu().target();
        let (plan, mut constants) = Plan::over_constants(graph, &target, is_constant)?;
        constants.retain(|constant| store.buffer(&constant.name).is_err());
        let planned = Self::fill(plan, store, &constants);
        if planned.is_err() {
            // What was not computed must not be taken for it.
            constants.iter().for_each(|c| store.remove(&c.name));
        }
        match planned {
            Err(Error::Device(_)) => Self::new(Plan::new(graph, &target)?, store),
            planned => planned,
        }
    }

    fn fill(plan: Plan, store: &mut Store, constants: &[Constant]) -> Result<Self> {
        let target = store.gpu().target();
        // First, because its workspace is larger than those of the constants, which then share it.
        let executor = Self::new(plan, store)?;
        for Constant { name, graph } in constants {
            let mut once = Self::new(Plan::new(graph, &target)?, store)?;
            once.replay(store)?;
            once.copy(store, Constant::OUTPUT, name)?;
            // Or the results of all would be on the device at once, beside the constants.
            store.gpu().wait()?;
        }
        Ok(executor)
    }

    /// Copies an output of the plan to where the store has a name.
    fn copy(&self, store: &Store, output: &str, name: &str) -> Result<()> {
        let (_, ty, place) = self.output(output)?;
        let gpu = store.gpu();
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let (from, to) = (self.resolve(store, *place)?, store.buffer(name)?);
        encoder.copy_buffer_to_buffer(from, 0, to, 0, ty.bytes());
        gpu.queue.submit([encoder.finish()]);
        Ok(())
    }
}
