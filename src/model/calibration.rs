//! Running statistics estimated anew: what the generator's batch norms take of some training batches with the weights as
//! they are, averaged evenly.
//!
//! Training leaves averages over the last dozen batches or so, taken while the weights moved; of averaged weights it has
//! none of their own. Estimates are kept beside both on the device, each batch moving them on by its share, and take
//! their place at the end: an estimate that is not finished changes nothing.

use super::net::average;
use super::params::Params;
use super::step::{ONE, SHARE, Training};
use crate::Result;
use crate::gpu::{Executor, Store};
use crate::graph::plan::Plan;

/// A plan that moves estimates on by the statistics of a batch.
pub struct Calibration {
    executor: Executor,
    norms: Vec<Norm>,
    batches: usize,
}

/// Estimates of one norm.
struct Norm {
    /// Name where statistics are kept.
    name: String,
    /// Names of the estimates of mean and biased variance.
    estimates: [String; 2],
    /// Numbers of each, in the device's layout.
    len: usize,
    /// What makes the variance unbiased, as running variances are.
    unbiased: f32,
}

impl Calibration {
    pub(super) fn new(store: &mut Store, training: &Training, params: &Params) -> Result<Self> {
        let (graph, statistics) = training.calibration(params)?;
        let norms = statistics.into_iter().map(|norm| Norm {
            estimates: Training::estimates(&norm.name),
            len: graph.ty(norm.mean).bytes() as usize / size_of::<f32>(),
            unbiased: norm.unbiased,
            name: match training.ema {
                Some(_) => average(&norm.name),
                None => norm.name,
            },
        });
        let calibration = Self {
            norms: norms.collect(),
            executor: Executor::new(Plan::new(&graph, &store.gpu().target())?, store)?,
            batches: 0,
        };
        if calibration.has_norms() {
            store.write(ONE, &[1.0, 0.0, 0.0, 0.0])?;
        }
        Ok(calibration)
    }

    /// Bytes on the device beside what it shares with training.
    pub fn bytes(&self) -> u64 {
        self.executor.own_bytes()
    }

    /// Whether there is any norm to estimate statistics of: instance norm has none.
    pub fn has_norms(&self) -> bool {
        !self.norms.is_empty()
    }

    /// Forgets the batches of an estimate that did not come to its end.
    pub fn begin(&mut self) {
        self.batches = 0;
    }

    /// Adds the batch on the device.
    pub(super) fn observe(&mut self, store: &mut Store) -> Result<()> {
        if self.batches == 0 {
            // From zero, and not from an earlier estimate, the first batch arrives without any rounding.
            for norm in &self.norms {
                for name in &norm.estimates {
                    store.write(name, &vec![0.0; norm.len])?;
                }
            }
        } else {
            // Waits for the batch before, so that no more than two are under way.
            store.read(SHARE)?;
        }
        self.batches += 1;
        let share = 1.0 / self.batches as f32;
        store.write(SHARE, &[share, 0.0, 0.0, 0.0])?;
        self.executor.replay(store)
    }

    /// Puts the means over all batches in place of the running statistics, and begins again.
    pub(super) fn settle(&mut self, store: &mut Store) -> Result<()> {
        for norm in &self.norms {
            let factors = [1.0, norm.unbiased];
            for ((end, estimate), factor) in
                ["mean", "var"].iter().zip(&norm.estimates).zip(factors)
            {
                let values: Vec<f32> = store.read(estimate)?.iter().map(|x| x * factor).collect();
                store.write(&format!("{}.running_{end}", norm.name), &values)?;
            }
        }
        self.batches = 0;
        Ok(())
    }
}
