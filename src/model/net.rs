//! A graph under construction, with the parameters it reads and the state it will change.
//!
//! State is written behind the verdict that numbers are finite: layers only note what is to be committed.

use super::params::Params;
use crate::config::ModelConfig;
use crate::graph::{Graph, ValueId};
use crate::ops::conv2d::Conv2d;
use crate::ops::copy::{Axis, CopyRange};
use crate::ops::norm::{EpsRule, RunningUpdate};
use crate::ops::spectral::{PowerIteration, SpectralScale};
use crate::ops::{Op, Real};
use crate::state::AVERAGES;
use crate::{Error, Result};

/// What the networks do about their state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Statistics of the batch; running statistics and singular vectors advance.
    Training,
    /// Stored statistics and singular vectors.
    Evaluation,
    /// Statistics of the batch, stored singular vectors; nothing advances.
    BatchStatistics,
}

/// Statistics that a batch norm took of its batch.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// The norm.
    pub name: String,
    /// Mean of each channel.
    pub mean: ValueId,
    /// Biased variance of each channel.
    pub variance: ValueId,
    /// What makes the variance unbiased.
    pub unbiased: f32,
}

/// Whether the tensor of this name has a moving average: those of the generator do.
pub fn has_average(name: &str) -> bool {
    name.starts_with("G.")
}

/// Name of the moving average of a tensor.
pub fn average(name: &str) -> String {
    format!("{AVERAGES}{name}")
}

/// A graph under construction.
#[derive(Debug)]
pub struct Net<'a> {
    /// The graph.
    pub graph: Graph,
    /// What the networks do about their state.
    pub mode: Mode,
    /// How epsilon enters synchronised batch norms that take statistics of the batch.
    pub sync_rule: EpsRule,
    params: &'a Params,
    of_average: bool,
    commits: Vec<(ValueId, ValueId)>,
    statistics: Vec<Statistics>,
}

impl<'a> Net<'a> {
    /// An empty graph over these parameters.
    pub fn new(params: &'a Params, mode: Mode) -> Self {
        Self {
            graph: Graph::new(),
            mode,
            sync_rule: EpsRule::Add,
            params,
            of_average: false,
            commits: Vec::new(),
            statistics: Vec::new(),
        }
    }

    /// The same, with synchronised batch norms as on several devices where the configuration says so. Evaluation adds
    /// eps whatever training did.
    pub fn like_parallel(mut self, config: &ModelConfig) -> Self {
        if config.parallel_bn {
            self.sync_rule = EpsRule::Max;
        }
        self
    }

    /// The same, with the generator's tensors taken from its moving average.
    pub fn of_average(params: &'a Params, mode: Mode) -> Self {
        Self {
            of_average: true,
            ..Self::new(params, mode)
        }
    }

    /// Applies an operation with one result.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn apply(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId> {
        self.graph.apply(op, inputs)
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.params.get(name).is_some()
    }

    /// A tensor of a network.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn param(&mut self, name: &str) -> Result<ValueId> {
        let spec = self.params.get(name).ok_or_else(|| Error::Shape {
            op: "model",
            message: format!("no network has a tensor `{name}`"),
        })?;
        let shape = spec.shape();
        match self.of_average && has_average(name) {
            true => self.graph.state(&average(name), shape),
            false => self.graph.state(name, shape),
        }
    }

    /// The filters of a convolution, divided by their largest singular value where they are spectrally normalised.
    ///
    /// In training one power iteration runs for each forward of a network, however often its filters are used.
    ///
    /// # Errors
    /// If there is no such convolution.
    pub fn filters(&mut self, name: &str) -> Result<ValueId> {
        if !self.has(&format!("{name}.weight_orig")) {
            return self.param(&format!("{name}.weight"));
        }
        let w = self.param(&format!("{name}.weight_orig"))?;
        let mut u = self.param(&format!("{name}.weight_u"))?;
        let mut v = self.param(&format!("{name}.weight_v"))?;
        if self.mode == Mode::Training {
            let cin = self.graph.shape(v).c;
            let advanced = self.graph.apply_all(PowerIteration { cin }, &[w, u])?;
            self.commit(u, advanced[0]);
            self.commit(v, advanced[1]);
            (u, v) = (advanced[0], advanced[1]);
        }
        self.apply(SpectralScale {}, &[w, u, v])
    }

    /// The part of filters that reads `len` of the input channels.
    ///
    /// # Errors
    /// If there are fewer channels.
    pub fn input_channels(&mut self, filters: ValueId, from: usize, len: usize) -> Result<ValueId> {
        let range = CopyRange {
            axis: Axis::W,
            from,
            to: 0,
            len,
            out_len: len.next_multiple_of(4),
        };
        self.apply(range, &[filters])
    }

    /// A convolution by its name, with its bias where it has one.
    ///
    /// # Errors
    /// If there is none, or its filters do not fit.
    pub fn conv(&mut self, x: ValueId, name: &str, stride: usize, pad: usize) -> Result<ValueId> {
        let mut inputs = vec![x, self.filters(name)?];
        let bias = format!("{name}.bias");
        if self.has(&bias) {
            inputs.push(self.param(&bias)?);
        }
        self.apply(Conv2d::new(stride, pad), &inputs)
    }

    /// Moves the running statistics of a norm a tenth of the way to those of this batch, of `count` values a channel;
    /// out of training it notes them only.
    ///
    /// # Errors
    /// If the norm has none.
    pub fn track(&mut self, name: &str, mean: ValueId, var: ValueId, count: usize) -> Result<()> {
        // Normalising divides by the biased variance, but the unbiased one is remembered.
        let unbiased = count as f32 / (count as f32 - 1.0);
        if self.mode == Mode::BatchStatistics {
            self.statistics.push(Statistics {
                name: name.to_owned(),
                mean,
                variance: var,
                unbiased,
            });
            return Ok(());
        }
        for (suffix, statistic, factor) in [("mean", mean, 1.0), ("var", var, unbiased)] {
            let running = self.param(&format!("{name}.running_{suffix}"))?;
            let update = RunningUpdate {
                momentum: Real(0.1),
                factor: Real(factor),
            };
            let moved = self.apply(update, &[running, statistic])?;
            self.commit(running, moved);
        }
        Ok(())
    }

    fn commit(&mut self, state: ValueId, new: ValueId) {
        if !self.commits.contains(&(state, new)) {
            self.commits.push((state, new));
        }
    }

    /// What batch norms took of the batch, out of training.
    pub fn statistics(&self) -> &[Statistics] {
        &self.statistics
    }

    /// What is to be written when the step turns out finite, as pairs of state and its new value.
    pub fn commits(&self) -> &[(ValueId, ValueId)] {
        &self.commits
    }
}
