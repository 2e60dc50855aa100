//! Styles of photos, in evaluation mode: the one code path of sample sheets and of synthesis.

use super::encoder::encoder;
use super::inputs::{Inputs, padded};
use super::net::{Mode, Net};
use super::params::Params;
use super::style::Encoded;
use crate::config::ModelConfig;
use crate::gpu::{Executor, Store};
use crate::graph::Graph;
use crate::graph::plan::Plan;
use crate::{Error, Result};

/// The encoder out of training.
pub(super) fn encoding_graph(
    config: &ModelConfig,
    params: &Params,
    inputs: &Inputs,
) -> Result<Graph> {
    let mut net = Net::new(params, Mode::Evaluation);
    let photo = inputs.photos(&mut net)?;
    let code = encoder(&mut net, config, photo)?;
    net.graph.output("mu", code.mu);
    net.graph.output("logvar", code.logvar);
    Ok(net.graph)
}

/// A plan for the encoder over photos of the generator's size, one at a time.
pub struct Encoding {
    inputs: Inputs,
    executor: Executor,
}

impl Encoding {
    /// Plans the encoder over the weights in a store, which nothing changes any more if they are `fixed`.
    ///
    /// # Errors
    /// If the device cannot hold the plan.
    pub fn new(
        store: &mut Store,
        config: &ModelConfig,
        params: &Params,
        fixed: bool,
    ) -> Result<Self> {
        let inputs = Inputs::synthesis(config, 1, config.latent());
        let graph = encoding_graph(config, params, &inputs)?;
        let is_constant = |name: &str| fixed && params.get(name).is_some();
        Ok(Self {
            inputs,
            executor: Executor::over_constants(&graph, store, is_constant)?,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        self.executor.plan()
    }

    /// Bytes on the device beside what it shares with other plans of its store.
    pub fn bytes(&self) -> u64 {
        self.executor.own_bytes()
    }

    /// Encodes a photo in -1..1, H x W x 3.
    ///
    /// # Errors
    /// If it has another size than the generator's pictures, or the device was lost.
    pub fn encode(&mut self, store: &mut Store, photo: &[f32]) -> Result<Encoded> {
        let [h, w] = self.inputs.output();
        if photo.len() != h * w * 3 {
            return Err(Error::Data(format!(
                "{} numbers of a photo, where the encoder takes {w}x{h} pixels",
                photo.len()
            )));
        }
        store.write(&self.inputs.photos_name(), &padded(photo, 3))?;
        self.executor.replay(store)?;
        let read = |output| -> Result<Vec<f32>> {
            let values = self.executor.read(store, output)?;
            Ok(values.data().iter().map(|&x| x as f32).collect())
        };
        Ok(Encoded {
            mu: read("mu")?,
            logvar: read("logvar")?,
        })
    }
}
