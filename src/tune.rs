//! Which method of each convolution is the fastest on the adapter at hand: measured, where the rule of
//! [`Target::rule`](crate::graph::plan::Target::rule) only estimates.
//!
//! Methods are ranked, not invented: all of them compute the same and are tested against the same reference. A method
//! that does not fit the adapter takes no part, and the rule's stays unless another is clearly faster. What was measured
//! is kept on disk ([`Cache`]) and taken by plans that are made later; no plan ever changes its methods.

mod cache;
mod lanes;
mod race;

use std::sync::Arc;

pub use cache::{Cache, FOLDER, tuned};
pub use race::{Lane, Measured, Race};

use crate::Result;
use crate::gpu::Gpu;
use crate::graph::plan::Plan;
use crate::ops::winograd::{Choices, Convolution, Method};

/// Measures convolutions one after the other, in short turns.
pub struct Tuner {
    gpu: Arc<Gpu>,
    /// What is left, the last one first.
    left: Vec<Convolution>,
    race: Option<Race<'static>>,
}

/// What came of a turn.
#[derive(Clone, Debug)]
pub enum Turn {
    /// There is more to measure.
    Taken,
    /// A convolution has its method.
    Measured(Measured),
    /// Nothing is left.
    Done,
}

impl Tuner {
    /// For the convolutions of plans that an adapter can do in several ways, each once.
    pub fn new<'a>(gpu: &Arc<Gpu>, plans: impl IntoIterator<Item = &'a Plan>) -> Self {
        let plans = plans.into_iter();
        let found = plans.flat_map(|plan| plan.methods.iter().map(|(found, _)| found));
        let target = gpu.target();
        let has_choice = |found: &Convolution| {
            let fitting = Method::ALL.into_iter().filter(|&m| target.fits(found, m));
            fitting.count() > 1
        };
        let mut left: Vec<Convolution> = found.filter(has_choice).collect();
        left.sort_by(|a, b| b.cmp(a));
        left.dedup();
        Self {
            gpu: gpu.clone(),
            left,
            race: None,
        }
    }

    /// Leaves out what is known already.
    pub fn skip(&mut self, known: &Choices) {
        self.left.retain(|left| known.get(left).is_none());
    }

    /// Convolutions that have no method yet.
    pub fn left(&self) -> usize {
        self.left.len() + usize::from(self.race.is_some())
    }

    /// Puts the next convolution on the device, or times one method of the one that is there.
    ///
    /// # Errors
    /// If the device cannot hold a convolution, or was lost.
    pub fn turn(&mut self) -> Result<Turn> {
        let Some(race) = &mut self.race else {
            let Some(next) = self.left.pop() else {
                return Ok(Turn::Done);
            };
            let rule = self.gpu.target().rule(&next);
            self.race = Some(Race::new(next, rule, lanes::lanes(&self.gpu, &next)?));
            return Ok(Turn::Taken);
        };
        race.turn()?;
        Ok(match race.result() {
            Some(measured) => {
                self.race = None;
                Turn::Measured(measured)
            }
            None => Turn::Taken,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::half::Storage;
    use crate::graph::{Graph, Shape};
    use crate::ops::conv2d::{Conv2d, Conv2dInputGrad, Conv2dWeightGrad};
    use crate::ops::winograd::{Filtering, Pass};

    /// A convolution and both of its gradients.
    fn graph() -> Graph {
        let mut graph = Graph::new();
        let map = Shape::new(1, 12, 10, 8);
        let [x, dy] = ["x", "dy"].map(|name| graph.state(name, map).unwrap());
        let w = graph.state("w", Shape::weight(3, 3, 8, 8)).unwrap();
        let y = graph.apply(Conv2d::new(1, 1), &[x, w]).unwrap();
        let (stride, pad, kh, kw) = (1, 1, 3, 3);
        let grad = Conv2dInputGrad {
            stride,
            pad,
            input: map,
            residual: false,
            divided: false,
        };
        let dx = graph.apply(grad, &[dy, w]).unwrap();
        let grad = Conv2dWeightGrad {
            stride,
            pad,
            kh,
            kw,
        };
        let dw = graph.apply(grad, &[x, dy]).unwrap();
        for (name, id) in [("y", y), ("dx", dx), ("dw", dw)] {
            graph.output(name, id);
        }
        graph
    }

    fn measure(tuner: &mut Tuner) -> Vec<Measured> {
        let mut all = Vec::new();
        loop {
            match tuner.turn().unwrap() {
                Turn::Taken => {}
                Turn::Measured(measured) => all.push(measured),
                Turn::Done => return all,
            }
        }
    }

    #[test]
    fn every_convolution_of_a_plan_is_measured_once() {
        let gpu = Gpu::open(None).unwrap();
        let learning = Plan::new(&graph(), &gpu.target()).unwrap();
        let (drawing, _) =
            Plan::over_constants(&graph(), &gpu.target(), |name| name == "w").unwrap();
        let mut tuner = Tuner::new(&gpu, [&learning, &drawing, &learning]);
        assert_eq!(tuner.left(), 4);
        let all = learning.methods.iter().chain(drawing.methods.iter());
        let mut without = Tuner::new(&gpu, [&learning, &drawing]);
        without.skip(&all.skip(1).collect());
        assert_eq!(without.left(), 1);
        let all = measure(&mut tuner);
        assert_eq!(tuner.left(), 0);
        let passes: Vec<_> = all.iter().map(|m| m.convolution.pass).collect();
        assert_eq!(
            passes,
            [
                Pass::Drawing,
                Pass::Forward,
                Pass::InputGrad,
                Pass::WeightGrad
            ]
        );
        for measured in &all {
            assert_eq!(measured.seconds.len(), 3, "{measured:?}");
            let times = measured.seconds.iter();
            assert!(times.clone().all(|&(_, s)| s > 0.0), "{measured:?}");
        }
    }

    #[test]
    fn what_does_not_fit_takes_no_part() {
        let gpu = Gpu::open(None).unwrap();
        let target = gpu.target();
        let wide = Convolution {
            pass: Pass::Forward,
            map: [1, 32, 32],
            channels: [8192, 4096],
        };
        let fits = Method::ALL.map(|method| target.fits(&wide, method));
        assert_eq!(fits, [true, false, false], "filters of 2 and 5 GiB");
        let mut graph = Graph::new();
        let x = graph.state("x", Shape::new(1, 8, 8, 8)).unwrap();
        let w = graph.state("w", Shape::weight(3, 3, 8, 8)).unwrap();
        let y = graph.apply(Conv2d::new(1, 1), &[x, w]).unwrap();
        graph.output("y", y);
        let mut plan = Plan::new(&graph, &target).unwrap();
        plan.methods = [(wide, Method::Plain)].into_iter().collect();
        assert_eq!(Tuner::new(&gpu, [&plan]).left(), 0);
    }

    #[test]
    fn a_table_for_storage_in_halves_is_one_of_its_own() {
        let gpu = Gpu::open(None).unwrap();
        let Ok(half) = gpu.with_half() else {
            // Adapters without 16-bit floats have no such table.
            assert!(!gpu.device.features().contains(wgpu::Features::SHADER_F16));
            return;
        };
        assert_eq!(half.target().storage, Storage::Half);
        let dir = tempfile::tempdir().unwrap();
        let [wide, narrow] = [&gpu, &half].map(|gpu| Cache::at(dir.path(), gpu));
        let convolution = Convolution {
            pass: Pass::Drawing,
            map: [1, 12, 10],
            channels: [8, 8],
        };
        let choice = |method| [(convolution, method)].into_iter().collect();
        wide.add(&choice(Method::TilesOfTwo)).unwrap();
        narrow.add(&choice(Method::Plain)).unwrap();
        assert_eq!(wide.read().unwrap(), choice(Method::TilesOfTwo));
        assert_eq!(narrow.read().unwrap(), choice(Method::Plain));
        assert_eq!(half.filtering, Filtering::Chosen);
    }
}
