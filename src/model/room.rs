//! Room on a device for what runs beside the steps of a training, and the most that all of it may take.

use super::encoding::encoding_graph;
use super::inputs::Inputs;
use super::params::Params;
use super::step::Training;
use super::synthesis::{Look, synthesis_graph};
use crate::Result;
use crate::config::Bytes;
use crate::graph::Graph;
use crate::graph::plan::{Plan, Target};

/// What a training shares its memory with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// The most that all of it may take.
    pub limit: Option<Bytes>,
    /// Sample sheets: a picture at a time, and its style.
    pub sheets: bool,
    /// Estimates of running statistics.
    pub estimates: bool,
}

impl Room {
    /// For the steps alone, within a limit.
    pub fn within(limit: Option<Bytes>) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// The plans beside the steps, in the order in which they are put on the device.
    pub(super) fn plans(
        &self,
        training: &Training,
        params: &Params,
        target: &Target,
    ) -> Result<Vec<Plan>> {
        let mut plans = Vec::new();
        if self.estimates {
            plans.push(Plan::new(&training.calibration(params)?.0, target)?);
        }
        if self.sheets {
            let model = &training.model;
            let inputs = Inputs::synthesis(model, 1, model.latent());
            let mut plan = |graph: &Graph| -> Result<()> {
                // As an executor plans them: the weights still change.
                plans.push(Plan::over_constants(graph, target, |_| false)?.0);
                Ok(())
            };
            plan(&synthesis_graph(
                model,
                params,
                &inputs,
                Look::in_training(training),
            )?)?;
            if model.use_vae {
                plan(&encoding_graph(model, params, &inputs)?)?;
            }
        }
        Ok(plans)
    }

    /// The settings that spare what is beside the steps, if there is anything.
    pub(super) fn spared_by(&self) -> Option<&'static str> {
        match (self.sheets, self.estimates) {
            (false, false) => None,
            (true, false) => Some("display_freq = 0"),
            (false, true) => Some("recalibrate = 0"),
            (true, true) => Some("display_freq = 0 with recalibrate = 0"),
        }
    }
}
