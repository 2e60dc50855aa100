//! The least time a picture and an iteration of training can take: operations and bytes of their plans, by what an adapter
//! can do at most.
//!
//! Each operation of a plan reads its arguments and writes its results once, so fewer passes lower the floor as well as
//! the time. Multiply-adds are counted as the plan does them, with the windows that the label maps have.

use std::sync::Arc;

use serde::Serialize;

use super::ceiling::{Ceilings, Rates};
use super::setting::Setting;
use super::timing::Patience;
use super::work::{self, Work};
use crate::Result;
use crate::gpu::Gpu;
use crate::graph::plan::Plan;
use crate::model::Inputs;
use crate::model::cost::{headers, synthesis_plan, training_plans};
use crate::windows::IdMap;

/// An adapter by its rates.
#[derive(Clone, Debug, Serialize)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// What it can do.
    #[serde(flatten)]
    pub rates: Rates,
}

/// A large card of today: 67 TFLOP/s of 32-bit floats and 4.8 TB/s.
pub fn large_card() -> Card {
    Card {
        name: "a card of 67 TFLOP/s and 4.8 TB/s".into(),
        rates: Rates {
            gflop_per_s: 67e3,
            gb_per_s: 4.8e3,
        },
    }
}

/// The floor of something on a card.
#[derive(Clone, Debug, Serialize)]
pub struct Floor {
    /// The card.
    pub card: String,
    /// If there were nothing but arithmetic.
    pub arithmetic_ms: f64,
    /// If there were nothing but traffic.
    pub memory_ms: f64,
    /// If each operation took the longer of both.
    pub both_ms: f64,
}

/// What has to be done for something, and its floors.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// A picture, or an iteration.
    pub what: &'static str,
    /// Operations in the plan.
    pub steps: usize,
    /// The mean over the label maps.
    #[serde(flatten)]
    pub work: Work,
    /// By card.
    pub floors: Vec<Floor>,
}

/// What is told.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Width and height of the pictures.
    pub picture: [usize; 2],
    /// Pictures in a batch.
    pub batch: usize,
    /// What cards do.
    pub cards: Vec<Card>,
    /// A picture and an iteration.
    pub lines: Vec<Line>,
}

/// Counts, and measures what this adapter can do.
///
/// # Errors
/// If the adapter cannot hold the plans, or was lost.
pub fn run(gpu: &Arc<Gpu>, setting: &Setting, batch: usize, patience: Patience) -> Result<Report> {
    let here = Card {
        name: gpu.info.name.clone(),
        rates: Ceilings::new(gpu)?.rates(patience)?,
    };
    let cards = vec![here, large_card()];
    let (model, target) = (setting.model(), gpu.target());
    let training = super::train::training(&setting.config, batch, false);
    let line = |what, plans: &[Plan], inputs: &Inputs| {
        let batches = setting.maps.len().div_ceil(inputs.n());
        let maps = (0..batches).map(|i| setting.batch(i * inputs.n(), inputs.n()));
        counted(what, plans, inputs, &maps.collect::<Vec<_>>(), &cards)
    };
    let synthesis = Inputs::synthesis(model, 1, model.latent());
    let lines = vec![
        line("a picture", &[synthesis_plan(model, &target)?], &synthesis)?,
        line(
            "an iteration of training",
            &training_plans(&training, &target)?,
            &training.inputs(),
        )?,
    ];
    let [height, width] = model.output();
    Ok(Report {
        picture: [width, height],
        batch,
        cards,
        lines,
    })
}

fn counted(
    what: &'static str,
    plans: &[Plan],
    inputs: &Inputs,
    maps: &[IdMap],
    cards: &[Card],
) -> Result<Line> {
    let mut steps: Vec<Vec<Work>> = Vec::new();
    for map in maps {
        let headers = headers(inputs, map)?;
        steps.push(
            plans
                .iter()
                .flat_map(|plan| work::of_steps(plan, &headers))
                .collect(),
        );
    }
    let share = 1.0 / maps.len() as f64;
    let mut mean = Work::default();
    for work in steps.iter().flatten() {
        mean += Work {
            flops: work.flops * share,
            bytes: work.bytes * share,
        };
    }
    let floor = |card: &Card| {
        let [flops, bytes] = [card.rates.gflop_per_s, card.rates.gb_per_s].map(|rate| rate * 1e6);
        let longer = |work: &Work| (work.flops / flops).max(work.bytes / bytes);
        Floor {
            card: card.name.clone(),
            arithmetic_ms: mean.flops / flops,
            memory_ms: mean.bytes / bytes,
            both_ms: steps.iter().flatten().map(longer).sum::<f64>() * share,
        }
    };
    Ok(Line {
        what,
        steps: plans.iter().map(|plan| plan.steps.len()).sum(),
        work: mean,
        floors: cards.iter().map(floor).collect(),
    })
}
