//! A convolution on the device by each of its methods, ready to be timed.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::race::Lane;
use crate::bench::setting::noise;
use crate::gpu::{Executor, Gpu, Store};
use crate::graph::plan::{Plan, Target};
use crate::graph::{Graph, Shape};
use crate::ops::conv2d::{Conv2d, Conv2dInputGrad, Conv2dWeightGrad};
use crate::ops::winograd::{Convolution, Filtering, Method, Pass};
use crate::{Error, Result};

/// A turn lasts about so long, that a wait does not count and a card does not slow down between two turns.
const TURN_SECONDS: f64 = 0.02;
/// The padding of nearly all convolutions of the networks. It changes the time by the border of a map.
const PAD: usize = 1;

/// What a convolution reads, by name.
fn arguments(convolution: &Convolution) -> [(&'static str, Shape); 2] {
    let ([n, h, w], [from, to]) = (convolution.map, convolution.channels);
    let map = |c| Shape::new(n, h, w, c);
    match convolution.pass {
        Pass::Drawing | Pass::Forward => [("x", map(from)), ("w", Shape::weight(3, 3, from, to))],
        Pass::InputGrad => [("dy", map(from)), ("w", Shape::weight(3, 3, to, from))],
        Pass::WeightGrad => [("x", map(from)), ("dy", map(to))],
    }
}

/// A graph of the convolution alone. Arguments are state.
fn graph(convolution: &Convolution) -> Result<Graph> {
    let ([n, h, w], [_, to]) = (convolution.map, convolution.channels);
    let mut graph = Graph::new();
    let mut inputs = Vec::new();
    for (name, shape) in arguments(convolution) {
        inputs.push(graph.state(name, shape)?);
    }
    let (stride, pad) = (1, PAD);
    let result = match convolution.pass {
        Pass::Drawing | Pass::Forward => graph.apply(Conv2d::new(stride, pad), &inputs),
        Pass::InputGrad => {
            let grad = Conv2dInputGrad {
                stride,
                pad,
                input: Shape::new(n, h, w, to),
                residual: false,
                divided: false,
            };
            graph.apply(grad, &inputs)
        }
        Pass::WeightGrad => {
            let (kh, kw) = (3, 3);
            let grad = Conv2dWeightGrad {
                stride,
                pad,
                kh,
                kw,
            };
            graph.apply(grad, &inputs)
        }
    };
    graph.output("result", result?);
    Ok(graph)
}

/// The methods that fit the adapter and have room on it, over the same arguments.
///
/// # Errors
/// If none has, or the device was lost.
pub(super) fn lanes(gpu: &Arc<Gpu>, convolution: &Convolution) -> Result<Vec<Lane<'static>>> {
    let mut store = Store::new(gpu.clone());
    for (name, shape) in arguments(convolution) {
        store.create(name, gpu.state_type(shape))?;
        store.write(name, &noise(shape.vec4s() * 4))?;
    }
    let graph = graph(convolution)?;
    let target = gpu.target();
    let fitting = Method::ALL.into_iter();
    let fitting = fitting.filter(|&method| target.fits(convolution, method));
    let mut ready = Vec::new();
    let mut refused = None;
    for method in fitting {
        let target = Target {
            filtering: method.tile().map_or(Filtering::Never, Filtering::Always),
            ..target.clone()
        };
        let executor = match convolution.pass {
            Pass::Drawing => {
                let is_constant = |name: &str| name == "w";
                Executor::over_constants_for(&graph, &target, &mut store, is_constant)
            }
            _ => {
                let plan = Plan::new(&graph, &target);
                plan.and_then(|plan| Executor::new(plan, &mut store))
            }
        };
        match executor {
            Ok(executor) => ready.push((method, executor)),
            Err(error @ Error::Device(_)) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    if let (true, Some(error)) = (ready.is_empty(), refused) {
        return Err(error);
    }
    let store = Rc::new(store);
    let has_clock = has_clock(gpu);
    let lane = |(method, executor)| {
        let mut stopwatch = Stopwatch {
            gpu: gpu.clone(),
            store: store.clone(),
            executor,
            times: 1,
            has_clock,
        };
        Lane::new(method, move || stopwatch.time())
    };
    Ok(ready.into_iter().map(lane).collect())
}

/// Whether a device has a clock of its own that is better than the program's: one that is a processor has not.
fn has_clock(gpu: &Gpu) -> bool {
    let features = gpu.device.features();
    let is_cpu = gpu.info.device_type == wgpu::DeviceType::Cpu;
    features.contains(wgpu::Features::TIMESTAMP_QUERY) && !is_cpu
}

/// Times a plan.
struct Stopwatch {
    gpu: Arc<Gpu>,
    store: Rc<Store>,
    executor: Executor,
    /// Replays of a turn.
    times: usize,
    has_clock: bool,
}

impl Stopwatch {
    /// Seconds of one replay.
    fn time(&mut self) -> Result<f64> {
        let start = Instant::now();
        for _ in 0..self.times {
            self.executor.replay(&self.store)?;
        }
        self.gpu.wait()?;
        let seconds = start.elapsed().as_secs_f64() / self.times as f64;
        self.times = (TURN_SECONDS / seconds.max(1e-6)).clamp(1.0, 1000.0) as usize;
        if !self.has_clock {
            return Ok(seconds);
        }
        // A submission of its own takes a card longer than many a convolution; the replays before have woken it up.
        let profile = self.executor.profile(&self.store)?;
        Ok(profile.spans.iter().map(|span| span.seconds).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::lower::{Lowering, lower};

    #[test]
    fn what_is_timed_is_the_convolution_by_its_method() {
        let passes = [
            Pass::Drawing,
            Pass::Forward,
            Pass::InputGrad,
            Pass::WeightGrad,
        ];
        for pass in passes {
            let convolution = Convolution {
                pass,
                map: [2, 6, 5],
                channels: [3, 8],
            };
            let graph = graph(&convolution).unwrap();
            let gpu = Gpu::open(None).unwrap();
            let target = gpu.target();
            let is_fixed = pass == Pass::Drawing;
            let plan = match is_fixed {
                true => Plan::over_constants(&graph, &target, |name| name == "w").map(|(p, _)| p),
                false => Plan::new(&graph, &target),
            };
            let methods: Vec<_> = plan.unwrap().methods.iter().collect();
            assert_eq!(methods, [(convolution, Method::Plain)]);
            let tiles = Target {
                filtering: Filtering::Always(2),
                ..target
            };
            let lowered = lower(&graph, &Lowering::learning(&tiles)).unwrap();
            let names: Vec<_> = lowered.nodes().iter().map(|n| n.op.name()).collect();
            assert!(
                names.iter().all(|name| name.starts_with("winograd")),
                "{names:?}"
            );
        }
    }

    #[test]
    fn both_clocks_tell_times() {
        let gpu = Gpu::open(None).unwrap();
        let convolution = Convolution {
            pass: Pass::Forward,
            map: [1, 16, 16],
            channels: [16, 16],
        };
        let features = gpu.device.features();
        let has_timestamps = features.contains(wgpu::Features::TIMESTAMP_QUERY);
        for has_clock in [false, true] {
            let mut store = Store::new(gpu.clone());
            let plan = Plan::new(&graph(&convolution).unwrap(), &gpu.target()).unwrap();
            let executor = Executor::new(plan, &mut store).unwrap();
            let mut stopwatch = Stopwatch {
                gpu: gpu.clone(),
                store: Rc::new(store),
                executor,
                times: 1,
                has_clock: has_clock && has_timestamps,
            };
            let times = [(); 3].map(|()| stopwatch.time().unwrap());
            assert!(times.iter().all(|&t| t > 0.0), "{has_clock}: {times:?}");
            assert!(stopwatch.times > 1, "16 pixels square take microseconds");
        }
    }
}
