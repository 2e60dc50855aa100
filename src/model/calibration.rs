//! Running statistics estimated anew: what the generator's batch norms take of some training batches with the weights as
//! they are, averaged evenly.
//!
//! Training leaves averages over the last dozen batches or so, taken while the weights moved; of averaged weights it has
//! none of their own.

use super::net::average;
use super::params::Params;
use super::step::Training;
use crate::Result;
use crate::gpu::{Executor, Store};
use crate::graph::plan::Plan;

/// A plan for the statistics of one batch, and their sums over the batches seen.
pub struct Calibration {
    executor: Executor,
    norms: Vec<Norm>,
    batches: usize,
}

/// Sums of one norm, in the device's layout.
struct Norm {
    /// Name where statistics are kept.
    name: String,
    /// Names of the outputs.
    outputs: [String; 2],
    /// Factors of mean and variance; one makes the variance unbiased, as running variances are.
    factors: [f64; 2],
    sums: [Vec<f64>; 2],
}

impl Calibration {
    pub(super) fn new(store: &mut Store, training: &Training, params: &Params) -> Result<Self> {
        let (graph, statistics) = training.calibration(params)?;
        let norms = statistics.into_iter().map(|norm| Norm {
            outputs: Training::statistics_names(&norm.name),
            factors: [1.0, f64::from(norm.unbiased)],
            sums: Default::default(),
            name: match training.ema {
                Some(_) => average(&norm.name),
                None => norm.name,
            },
        });
        Ok(Self {
            norms: norms.collect(),
            executor: Executor::new(Plan::new(&graph, &store.gpu().target())?, store)?,
            batches: 0,
        })
    }

    /// Bytes on the device beside what it shares with training.
    pub fn bytes(&self) -> u64 {
        self.executor.own_bytes()
    }

    /// Forgets the batches of an estimate that did not come to its end.
    pub fn begin(&mut self) {
        self.batches = 0;
        self.norms
            .iter_mut()
            .for_each(|norm| norm.sums = Default::default());
    }

    /// Adds the batch on the device.
    pub(super) fn observe(&mut self, store: &Store) -> Result<()> {
        if self.norms.is_empty() {
            return Ok(());
        }
        self.executor.replay(store)?;
        self.batches += 1;
        for norm in &mut self.norms {
            for (sum, output) in norm.sums.iter_mut().zip(&norm.outputs) {
                let values = self.executor.read_padded(store, output)?;
                sum.resize(values.len(), 0.0);
                sum.iter_mut()
                    .zip(values)
                    .for_each(|(sum, x)| *sum += f64::from(x));
            }
        }
        Ok(())
    }

    /// Puts the means over all batches in place of the running statistics, and begins again.
    pub(super) fn settle(&mut self, store: &mut Store) -> Result<()> {
        let batches = std::mem::take(&mut self.batches) as f64;
        for norm in &mut self.norms {
            let sums = std::mem::take(&mut norm.sums);
            for ((end, sum), factor) in ["mean", "var"].iter().zip(sums).zip(norm.factors) {
                let values: Vec<f32> = sum.iter().map(|x| (x * factor / batches) as f32).collect();
                store.write(&format!("{}.running_{end}", norm.name), &values)?;
            }
        }
        Ok(())
    }
}
