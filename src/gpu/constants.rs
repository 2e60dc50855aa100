//! Plans over state that nothing changes any more: what depends on it alone is computed once and stays on the device.

use super::slice::Slice;
use super::{Executor, Store};
use crate::graph::half::Storage;
use crate::graph::hoist::Constant;
use crate::graph::plan::{Plan, Target};
use crate::graph::{Graph, Ty};
use crate::ops::Texels;
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
        Self::over_constants_for(graph, &target, store, is_constant)
    }

    /// The same, planned for another target than the device's own, such as one with another choice of methods.
    ///
    /// # Errors
    /// As [`Executor::over_constants`].
    pub fn over_constants_for(
        graph: &Graph,
        target: &Target,
        store: &mut Store,
        is_constant: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let (plan, mut constants) = Plan::over_constants(graph, target, is_constant)?;
        constants.retain(|constant| !store.contains(&constant.name));
        let planned = Self::fill(plan, store, &constants);
        if planned.is_err() {
            // What was not computed must not be taken for it.
            constants.iter().for_each(|c| store.remove(&c.name));
        }
        match planned {
            Err(Error::Device(_)) => Self::new(Plan::new(graph, target)?, store),
            planned => planned,
        }
    }

    fn fill(plan: Plan, store: &mut Store, constants: &[Constant]) -> Result<Self> {
        let mut target = plan.target.clone();
        if target.storage == Storage::Half {
            // Rounded once, at their end.
            target.storage = Storage::HalfState;
        }
        // First, because its workspace is larger than those of the constants, which then share it.
        let executor = Self::new(plan, store)?;
        for Constant { name, graph } in constants {
            let mut once = Self::new(Plan::new(graph, &target)?, store)?;
            once.replay(store)?;
            let mut kept = executor.plan().texel_constants.iter();
            let texels = kept.find(|(at, _)| executor.plan().named[**at].name == *name);
            once.copy(
                store,
                Constant::OUTPUT,
                name,
                texels.map(|(_, texels)| texels),
            )?;
            // Or the results of all would be on the device at once, beside the constants.
            store.gpu().wait()?;
        }
        Ok(executor)
    }

    /// Copies an output of the plan to where the store has a name: as texels, rounded to 16 bits, or as it is.
    fn copy(
        &self,
        store: &mut Store,
        output: &str,
        name: &str,
        texels: Option<&Texels>,
    ) -> Result<()> {
        if let Ty::Half(_) = store.ty(name)? {
            return store.write(name, &self.read_padded(store, output)?);
        }
        let (_, ty, place) = self.output(output)?;
        let from = self.resolve(store, *place)?;
        let mut slice = Slice::begin(store.gpu());
        match texels {
            Some(texels) => slice.copy(texels, from, &store.texel_constant(name)?.texture),
            None => slice.copy_buffer(from, store.buffer(name)?, ty.bytes()),
        }
        slice.submit(store.gpu());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Gpu;
    use crate::graph::Shape;
    use crate::ops::conv2d::Conv2d;
    use crate::ops::winograd::Filtering;
    use crate::ops::{Family, Tensor};

    /// Narrow weights keep their order as texels, wide ones are stored in blocks.
    #[test]
    fn constants_in_texels_are_those_in_buffers() {
        for (channels, tile) in [(8, 2), (64, 4)] {
            let gpu = Gpu::open(None).unwrap();
            let gpu = gpu.with_filtering(Filtering::Always(tile));
            let mut graph = Graph::new();
            let shape = Shape::new(1, 12, 10, channels);
            let x = graph.state("x", shape).unwrap();
            let weight = Shape::weight(3, 3, channels, channels);
            let w = graph.state("w", weight).unwrap();
            let y = graph.apply(Conv2d::new(1, 1), &[x, w]).unwrap();
            graph.output("y", y);

            let mut store = Store::new(gpu.clone());
            let plain = Executor::new(Plan::new(&graph, &gpu.target()).unwrap(), &mut store);
            let mut plain = plain.unwrap();
            let numbers = |shape: Shape| {
                Tensor::from_fn(shape, |n, h, w, c| {
                    let i = ((n * shape.h + h) * shape.w + w) * shape.c + c;
                    (i % 17) as f64 / 17.0 - 0.4
                })
            };
            store.write_tensor("x", &numbers(shape)).unwrap();
            store.write_tensor("w", &numbers(weight)).unwrap();
            plain.replay(&store).unwrap();
            let want = plain.read(&store, "y").unwrap();

            for _ in 0..2 {
                // The second finds the constant in the store.
                let kept = Executor::over_constants(&graph, &mut store, |name| name == "w");
                let mut kept = kept.unwrap();
                let is_copied = matches!(gpu.family, Family::Subgroup(_));
                assert_eq!(kept.plan().texel_constants.len(), usize::from(is_copied));
                assert!(kept.plan().steps.len() < plain.plan().steps.len());
                kept.replay(&store).unwrap();
                let got = kept.read(&store, "y").unwrap();
                assert_eq!(got.data(), want.data(), "{channels} channels");
            }
        }
    }
}
