//! Where the time of a picture and of an iteration of training goes, by operation and shape.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::setting::{noise, photos};
use super::timing::median;
use super::work::{self, Work};
use crate::Result;
use crate::config::Config;
use crate::gpu::{Clock, Gpu, Profile};
use crate::graph::Ty;
use crate::graph::plan::{Plan, Step};
use crate::model::cost::headers;
use crate::model::{Feed, Keep, Style, Synthesis, Trainer};
use crate::state::StateDict;
use crate::windows::{Header, IdMap};

/// What a kernel took of a [`Row`].
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// Shader and entry point.
    pub kernel: String,
    /// Dispatches of it.
    pub dispatches: usize,
    /// Their time: the mean over the rounds.
    pub ms: f64,
    /// The same in percent of the time of all kernels of the replay.
    pub share: f64,
}

/// Applications of an operation to arguments of the same types.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Name of the operation.
    pub op: &'static str,
    /// Types of its arguments.
    pub inputs: Vec<String>,
    /// How many times the plan applies it.
    pub steps: usize,
    /// Dispatches of all of them.
    pub dispatches: usize,
    /// Their time: the median over the rounds.
    pub ms: f64,
    /// The same in percent of all.
    pub share: f64,
    /// Billions of operations a second.
    pub gflop_per_s: f64,
    /// Billions of bytes a second.
    pub gb_per_s: f64,
    /// The kernels that ran, the longest first.
    pub kernels: Vec<Part>,
}

impl Row {
    /// Operation and arguments, as far as so many characters hold them.
    pub fn label(&self, most: usize) -> String {
        let label = format!("{} {}", self.op, self.inputs.join(" "));
        match label.chars().count() > most {
            true => label.chars().take(most - 1).chain(['…']).collect(),
            false => label,
        }
    }
}

/// Where the time of a replay goes.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was run.
    pub what: &'static str,
    /// How dispatches were timed.
    pub clock: Clock,
    /// Sum of all.
    pub total_ms: f64,
    /// How often it ran.
    pub rounds: usize,
    /// The longest first.
    pub rows: Vec<Row>,
}

/// Profiles drawing a label map with a generator, by the plain plan.
///
/// # Errors
/// If weights are missing, the device cannot hold the plan, or was lost.
pub fn picture(
    gpu: &Arc<Gpu>,
    config: &Config,
    weights: &StateDict,
    map: &IdMap,
    rounds: usize,
) -> Result<Report> {
    let model = &config.model;
    let (mut store, mut synthesis) = Synthesis::of_weights(gpu, model, weights, map.n)?;
    let styles = match model.use_vae {
        true => (0..map.n as u64)
            .map(|i| Style::random(model.z_dim, i))
            .collect(),
        false => Vec::new(),
    };
    // The first replay compiles.
    synthesis.profile(&mut store, map, &styles)?;
    let profiles = (0..rounds).map(|_| synthesis.profile(&mut store, map, &styles));
    let profiles = profiles.collect::<Result<Vec<_>>>()?;
    let headers = headers(synthesis.inputs(), map)?;
    Ok(collected(
        "a picture",
        synthesis.plan(),
        &headers,
        &profiles,
    ))
}

/// Profiles both steps of an iteration, on noise in place of photos and with first weights.
///
/// # Errors
/// If the device cannot hold the plans, or was lost.
pub fn iteration(
    gpu: &Arc<Gpu>,
    config: &Config,
    map: &IdMap,
    rounds: usize,
) -> Result<[Report; 2]> {
    let training = super::train::training(config, map.n, false);
    let gpu = match config.train.half {
        true => gpu.with_half_maps()?,
        false => gpu.clone(),
    };
    let mut trainer = Trainer::new(&gpu, training, Keep::Losses)?;
    trainer.initialise(1)?;
    let model = &config.model;
    let photos = photos(map.n, model.output());
    let draws = match model.use_vae {
        true => noise(map.n * model.z_dim),
        false => Vec::new(),
    };
    let tables = trainer.inputs().tables(map)?;
    let feed = Feed {
        photos: &photos,
        map,
        windows: &tables,
        noise: [&draws, &draws],
    };
    let rates = config.optim.rates(1);
    trainer.profile(&feed, rates)?;
    let profiles = (0..rounds).map(|_| trainer.profile(&feed, rates));
    let profiles = profiles.collect::<Result<Vec<_>>>()?;
    let headers = headers(trainer.inputs(), map)?;
    let [generator, discriminator] = trainer.plans();
    let of = |step: usize| {
        profiles
            .iter()
            .map(|both| both[step].clone())
            .collect::<Vec<_>>()
    };
    Ok([
        collected("the generator's step", generator, &headers, &of(0)),
        collected("the discriminator's step", discriminator, &headers, &of(1)),
    ])
}

fn collected(
    what: &'static str,
    plan: &Plan,
    headers: &HashMap<String, Header>,
    profiles: &[Profile],
) -> Report {
    let mut rows: Vec<(Row, Work)> = Vec::new();
    let mut row_of_step = Vec::new();
    let mut row_of: HashMap<(&str, &[Ty]), usize> = HashMap::new();
    let seconds = step_seconds(plan.steps.len(), profiles);
    let dispatches = dispatches(plan.steps.len(), profiles);
    let works = work::of_steps(plan, headers);
    let total: f64 = seconds.iter().sum();
    for (at, step) in plan.steps.iter().enumerate() {
        let Step {
            op, input_types, ..
        } = step;
        let row = *row_of.entry((op.name(), input_types)).or_insert(rows.len());
        if row == rows.len() {
            rows.push((new_row(step), Work::default()));
        }
        row_of_step.push(row);
        let (row, work) = &mut rows[row];
        row.steps += 1;
        row.dispatches += dispatches[at];
        row.ms += seconds[at] * 1e3;
        *work += works[at];
    }
    let mut parts = parts(rows.len(), &row_of_step, profiles).into_iter();
    let finish = |(row, work): (Row, Work)| {
        // What takes no time the clock can see has no rate.
        let rate = |amount: f64| {
            if row.ms > 0.0 {
                amount / row.ms * 1e-6
            } else {
                0.0
            }
        };
        Row {
            share: 0.1 * row.ms / total.max(1e-12),
            gflop_per_s: rate(work.flops),
            gb_per_s: rate(work.bytes),
            kernels: parts.next().unwrap_or_default(),
            ..row
        }
    };
    let mut rows: Vec<Row> = rows.into_iter().map(finish).collect();
    rows.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    Report {
        what,
        clock: profiles
            .first()
            .map_or(Clock::Waits, |profile| profile.clock),
        total_ms: total * 1e3,
        rounds: profiles.len(),
        rows,
    }
}

fn new_row(step: &Step) -> Row {
    Row {
        op: step.op.name(),
        inputs: step.input_types.iter().map(Ty::to_string).collect(),
        steps: 0,
        dispatches: 0,
        ms: 0.0,
        share: 0.0,
        gflop_per_s: 0.0,
        gb_per_s: 0.0,
        kernels: Vec::new(),
    }
}

/// For each row its kernels.
fn parts(rows: usize, row_of_step: &[usize], profiles: &[Profile]) -> Vec<Vec<Part>> {
    let mut sums: Vec<HashMap<_, (usize, f64)>> = vec![HashMap::new(); rows];
    let mut total = 0.0;
    for span in profiles.iter().flat_map(|profile| &profile.spans) {
        let (count, seconds) = sums[row_of_step[span.step]].entry(span.kernel).or_default();
        *count += 1;
        *seconds += span.seconds;
        total += span.seconds;
    }
    let rounds = profiles.len().max(1);
    let of_row = |sums: HashMap<(&str, &str), (usize, f64)>| {
        let part = |((shader, entry), (count, seconds))| Part {
            kernel: format!("{shader}.{entry}"),
            dispatches: count / rounds,
            ms: 1e3 * seconds / rounds as f64,
            share: 1e2 * seconds / f64::max(total, 1e-12),
        };
        let mut parts: Vec<_> = sums.into_iter().map(part).collect();
        parts.sort_by(|a, b| b.ms.total_cmp(&a.ms).then_with(|| a.kernel.cmp(&b.kernel)));
        parts
    };
    sums.into_iter().map(of_row).collect()
}

/// For each step the median over the profiles.
fn step_seconds(steps: usize, profiles: &[Profile]) -> Vec<f64> {
    let sums = profiles.iter().map(|profile| {
        let mut sums = vec![0.0; steps];
        for span in &profile.spans {
            sums[span.step] += span.seconds;
        }
        sums
    });
    let sums: Vec<Vec<f64>> = sums.collect();
    let of_step = |step: usize| sums.iter().map(|sums| sums[step]).collect::<Vec<_>>();
    (0..steps)
        .map(|step| median(&of_step(step)).unwrap_or_default())
        .collect()
}

fn dispatches(steps: usize, profiles: &[Profile]) -> Vec<usize> {
    let mut counts = vec![0; steps];
    for span in profiles.first().map_or(&[][..], |profile| &profile.spans) {
        counts[span.step] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Span;
    use crate::graph::{Graph, Shape};
    use crate::ops::conv2d::Conv2d;
    use crate::ops::{Buffering, Family, activation};

    #[test]
    fn times_of_equal_steps_add_up() {
        let mut graph = Graph::new();
        let shape = Shape::new(1, 8, 8, 8);
        let mut x = graph.state("x", shape).unwrap();
        for name in ["a", "b"] {
            let w = graph.state(name, Shape::weight(3, 3, 8, 8)).unwrap();
            x = graph.apply(Conv2d::new(1, 1), &[x, w]).unwrap();
        }
        let kind = activation::Kind::Tanh;
        let y = graph.apply(activation::Activation { kind }, &[x]).unwrap();
        graph.output("x", x);
        graph.output("y", y);
        let target = crate::graph::plan::Target {
            family: Family::Tiled(Buffering::Double),
            workspace_bytes: 1 << 20,
            max_binding_bytes: 1 << 30,
            filtering: crate::ops::winograd::Filtering::Chosen,
            storage: crate::graph::half::Storage::Single,
            matrices: None,
        };
        let plan = Plan::new(&graph, &target).unwrap();
        let steps = plan.steps.len();
        let profile = |unit: f64| Profile {
            clock: Clock::Timestamps,
            spans: (0..steps)
                .map(|step| Span {
                    step,
                    kernel: ("shader", if step % 2 == 0 { "even" } else { "odd" }),
                    seconds: unit * if step % 2 == 0 { 1.0 } else { 2.0 },
                })
                .collect(),
        };
        let report = collected(
            "a test",
            &plan,
            &HashMap::new(),
            &[2.0, 9.0, 3.0].map(profile),
        );
        assert_eq!(steps, 3);
        assert_eq!(report.total_ms, 3e3 * 4.0);
        let first = &report.rows[0];
        assert_eq!(
            (first.op, first.steps, first.dispatches, first.ms),
            ("conv2d", 2, 2, 9000.0)
        );
        let part = |part: &Part| (part.kernel.clone(), part.dispatches, part.ms.round());
        let kernels: Vec<_> = first.kernels.iter().map(part).collect();
        let mean = (2.0 + 9.0 + 3.0) / 3.0 * 1e3;
        let expected: [(_, f64); 2] = [("shader.odd", 2.0), ("shader.even", 1.0)];
        let expected = expected.map(|(name, units)| (name.to_owned(), 1, (units * mean).round()));
        assert_eq!(kernels, expected);
        let flops = (2 * 2 * 64 * 8 * 8 * 9) as f64;
        assert!(
            (first.gflop_per_s - flops / 9.0 * 1e-9).abs() < 1e-12,
            "{first:?}"
        );
        let shares: f64 = report.rows.iter().map(|row| row.share).sum();
        assert!((shares - 100.0).abs() < 1e-9, "{report:?}");
    }
}
