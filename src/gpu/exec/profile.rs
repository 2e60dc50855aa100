//! Where the time of a replay goes: the time of each dispatch, by the device's own clock where it has one.

use std::time::Instant;

use serde::Serialize;

use super::{Dispatch, Executor, Slice, running};
use crate::Result;
use crate::gpu::{Gpu, Store};

/// Dispatches of one submission. A set of queries holds two for each, and 4096 at most.
const PER_SUBMISSION: usize = 1000;
/// Empty submissions whose median is what a submission costs by itself.
const EMPTY: usize = 21;

/// How dispatches were timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// By timestamps of the device around each.
    Timestamps,
    /// The adapter has no timestamps: each was submitted alone and waited for, less what a submission costs by itself.
    Waits,
}

/// Time of one dispatch.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Its step of the plan.
    pub step: usize,
    /// The kernel it ran: shader and entry point.
    pub kernel: (&'static str, &'static str),
    /// Seconds, those of filling its textures included.
    pub seconds: f64,
}

/// Times of a replay.
#[derive(Clone, Debug)]
pub struct Profile {
    /// How they were taken.
    pub clock: Clock,
    /// The dispatches, in order.
    pub spans: Vec<Span>,
}

impl Executor {
    /// Runs the plan once as [`Executor::replay`] does, each dispatch in a pass of its own, and waits for it.
    ///
    /// # Errors
    /// If a window table was never written, or the device was lost.
    pub fn profile(&mut self, store: &Store) -> Result<Profile> {
        if self.record(store)? || !self.is_written {
            self.write_params();
        }
        let has_timestamps = self
            .gpu
            .device
            .features()
            .contains(wgpu::Features::TIMESTAMP_QUERY);
        let (clock, spans) = match has_timestamps {
            true => (Clock::Timestamps, self.by_timestamps(store)?),
            false => (Clock::Waits, self.by_waits(store)?),
        };
        // Scalars are read after every replay, so they are brought along.
        let mut slice = Slice::begin(&self.gpu);
        self.copy_scalars(store, &mut slice)?;
        self.scalars.filled_by(slice.submit(&self.gpu));
        self.gpu.wait()?;
        Ok(Profile { clock, spans })
    }

    fn by_timestamps(&self, store: &Store) -> Result<Vec<Span>> {
        let mut stopwatch = Stopwatch::new(&self.gpu)?;
        let mut spans = Vec::new();
        let mut slice = stopwatch.begin(&self.gpu);
        let mut offset = 0;
        for (at, (step, recorded)) in self.plan.steps.iter().zip(&self.recorded).enumerate() {
            for (dispatch, &bound) in running(step, recorded).zip(&recorded.bound) {
                if stopwatch.is_full() {
                    let full = std::mem::replace(&mut slice, Slice::begin(&self.gpu));
                    stopwatch.stop(&self.gpu, full, &mut spans)?;
                    slice = stopwatch.begin(&self.gpu);
                }
                self.fill_texels(store, &mut slice, step, dispatch)?;
                stopwatch.time(&mut slice, at, dispatch);
                self.dispatch(&mut slice, dispatch, bound, &mut offset);
                slice.end_pass();
            }
        }
        stopwatch.stop(&self.gpu, slice, &mut spans)?;
        Ok(spans)
    }

    fn by_waits(&self, store: &Store) -> Result<Vec<Span>> {
        let mut empty = Vec::new();
        for _ in 0..EMPTY {
            let start = Instant::now();
            Slice::begin(&self.gpu).submit(&self.gpu);
            self.gpu.wait()?;
            empty.push(start.elapsed().as_secs_f64());
        }
        empty.sort_by(f64::total_cmp);
        let mut spans = Vec::new();
        let mut offset = 0;
        for (at, (step, recorded)) in self.plan.steps.iter().zip(&self.recorded).enumerate() {
            for (dispatch, &bound) in running(step, recorded).zip(&recorded.bound) {
                let start = Instant::now();
                let mut slice = Slice::begin(&self.gpu);
                self.fill_texels(store, &mut slice, step, dispatch)?;
                self.dispatch(&mut slice, dispatch, bound, &mut offset);
                slice.submit(&self.gpu);
                self.gpu.wait()?;
                let seconds = start.elapsed().as_secs_f64() - empty[EMPTY / 2];
                spans.push(Span {
                    step: at,
                    kernel: (dispatch.shader, dispatch.entry),
                    seconds: seconds.max(0.0),
                });
            }
        }
        Ok(spans)
    }
}

/// Timestamps around the dispatches of a submission.
struct Stopwatch {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    /// The dispatches since the submission began, with no time yet.
    spans: Vec<Span>,
}

impl Stopwatch {
    fn new(gpu: &Gpu) -> Result<Self> {
        // The first pair is that of an empty pass, after which the first dispatch's textures are filled.
        let count = 2 * (PER_SUBMISSION as u32 + 1);
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        Ok(Self {
            queries: gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("stopwatch"),
                ty: wgpu::QueryType::Timestamp,
                count,
            }),
            resolved: gpu.buffer("timestamps", u64::from(count) * 8, usage)?,
            spans: Vec::new(),
        })
    }

    fn is_full(&self) -> bool {
        self.spans.len() == PER_SUBMISSION
    }

    fn begin(&mut self, gpu: &Gpu) -> Slice {
        self.spans.clear();
        let mut slice = Slice::begin(gpu);
        slice.begin_timed_pass(&self.queries, 0);
        slice.end_pass();
        slice
    }

    /// Opens the pass of a dispatch of a step.
    fn time(&mut self, slice: &mut Slice, step: usize, dispatch: &Dispatch) {
        self.spans.push(Span {
            step,
            kernel: (dispatch.shader, dispatch.entry),
            seconds: 0.0,
        });
        slice.begin_timed_pass(&self.queries, 2 * self.spans.len() as u32);
    }

    /// Submits, waits, and reads the times.
    fn stop(&mut self, gpu: &Gpu, mut slice: Slice, spans: &mut Vec<Span>) -> Result<()> {
        let count = 2 * (self.spans.len() as u32 + 1);
        slice.resolve(&self.queries, count, &self.resolved);
        slice.submit(gpu);
        let bytes = gpu.read(&self.resolved, u64::from(count) * 8)?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&bytes);
        let period = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
        // From the end of the dispatch before: its textures are filled between the passes.
        let ends = ticks.chunks_exact(2).map(|pair| pair[1]);
        let spent = ends
            .clone()
            .skip(1)
            .zip(ends)
            .map(|(now, before)| now.saturating_sub(before));
        spans.extend(self.spans.iter().zip(spent).map(|(span, ticks)| Span {
            seconds: ticks as f64 * period,
            ..*span
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::plan::Plan;
    use crate::graph::{Graph, Shape};
    use crate::ops::activation::{Activation, Kind};
    use crate::ops::conv2d::Conv2d;
    use crate::ops::elementwise::Scale;
    use crate::ops::{Real, Tensor};
    use std::sync::Arc;

    /// More steps than a submission has room for, each with a dispatch at least.
    fn chain() -> Graph {
        let mut graph = Graph::new();
        let shape = Shape::new(1, 8, 8, 8);
        let x = graph.state("x", shape).unwrap();
        let w = graph.state("w", Shape::weight(3, 3, 8, 8)).unwrap();
        let mut y = graph.apply(Conv2d::new(1, 1), &[x, w]).unwrap();
        for i in 0..PER_SUBMISSION {
            let factor = Real(1.0 + (i % 2) as f32 * 0.25);
            y = graph.apply(Scale { factor }, &[y]).unwrap();
            y = graph.apply(Activation { kind: Kind::Tanh }, &[y]).unwrap();
        }
        graph.output("y", y);
        graph
    }

    fn run(gpu: &Arc<Gpu>) -> (Profile, usize, [Tensor; 2]) {
        let plan = Plan::new(&chain(), &gpu.target()).unwrap();
        let dispatches = plan
            .steps
            .iter()
            .map(|step| step.kernel.dispatches.len())
            .sum();
        let mut store = Store::new(gpu.clone());
        let mut executor = Executor::new(plan, &mut store).unwrap();
        for (name, count) in [("x", 8 * 8 * 8), ("w", 9 * 8 * 8)] {
            let values: Vec<f32> = (0..count).map(|i| (i % 13) as f32 / 13.0 - 0.4).collect();
            store.write(name, &values).unwrap();
        }
        let profile = executor.profile(&store).unwrap();
        let profiled = executor.read(&store, "y").unwrap();
        executor.replay(&store).unwrap();
        let replayed = executor.read(&store, "y").unwrap();
        (profile, dispatches, [profiled, replayed])
    }

    #[test]
    fn a_profile_computes_what_a_replay_does() {
        let gpu = Gpu::open(None).unwrap();
        let adapter = crate::gpu::choose_adapter(None).unwrap();
        let descriptor = wgpu::DeviceDescriptor {
            required_features: gpu.device.features() - wgpu::Features::TIMESTAMP_QUERY,
            required_limits: gpu.device.limits(),
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
        let without = Gpu::from_device(device, queue);
        let mut gpus = vec![(without, Clock::Waits)];
        if gpu
            .device
            .features()
            .contains(wgpu::Features::TIMESTAMP_QUERY)
        {
            gpus.push((gpu, Clock::Timestamps));
        }
        for (gpu, clock) in gpus {
            let (profile, dispatches, [profiled, replayed]) = run(&gpu);
            assert_eq!(profile.clock, clock);
            assert_eq!(profile.spans.len(), dispatches);
            assert!(
                dispatches > PER_SUBMISSION,
                "one submission is too few to test"
            );
            assert!(profile.spans.is_sorted_by_key(|span| span.step));
            assert!(
                profile.spans.iter().any(|span| span.seconds > 0.0),
                "{clock:?}"
            );
            assert_eq!(profiled.data(), replayed.data(), "{clock:?}");
        }
    }
}
