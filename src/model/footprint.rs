//! What a training takes on the device and what for, known before its first step.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::step::{first_moment, gradient_sum, second_moment};
use crate::graph::plan::Plan;
use crate::graph::reuse;
use crate::ops::texels::LAYER_BYTES;
use crate::state::AVERAGES;

/// Bytes on the device by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Footprint {
    /// Weights, running statistics and singular vectors of all networks that learn.
    pub weights: u64,
    /// Adam's moments.
    pub moments: u64,
    /// Sums of gradients over the parts of a batch.
    pub sums: u64,
    /// The generator's moving average.
    pub average: u64,
    /// The network of the perceptual loss.
    pub perceptual: u64,
    /// Photos, label maps and their window tables.
    pub inputs: u64,
    /// Activations, gradients and workspaces, which share buffers.
    pub activations: u64,
    /// Copies of matrices, which adapters on the processor read as textures.
    pub copies: u64,
    /// Pictures and losses of a step, and in tests whatever else is read after it.
    pub results: u64,
    /// Sample sheets and estimates of statistics.
    pub sheets: u64,
}

impl Footprint {
    /// That of plans which run one after another over one store, the one with the largest needs first, and of those
    /// beside them, which count as sample sheets.
    pub(super) fn of(steps: &[&Plan], beside: &[Plan]) -> Self {
        let own = Self::of_all(steps);
        let all: Vec<&Plan> = steps.iter().copied().chain(beside).collect();
        Self {
            sheets: Self::of_all(&all).total() - own.total(),
            ..own
        }
    }

    fn of_all<'a>(plans: &[&'a Plan]) -> Self {
        let mut own = Self::default();
        let of_plan = |plan: &&'a Plan| {
            let named = plan.named.iter().enumerate();
            let bytes = |at| plan.named_bytes(at);
            named
                .map(|(at, named)| (&named.name, (named, bytes(at))))
                .collect::<Vec<_>>()
        };
        let named: BTreeMap<_, _> = plans.iter().flat_map(of_plan).collect();
        for (name, (named, bytes)) in named {
            let is_of = |prefix: &str| name.starts_with(prefix);
            let part = if named.is_input {
                &mut own.inputs
            } else if is_of(&first_moment("")) || is_of(&second_moment("")) {
                &mut own.moments
            } else if is_of(&gradient_sum("")) {
                &mut own.sums
            } else if is_of(AVERAGES) {
                &mut own.average
            } else if is_of("vgg.") {
                &mut own.perceptual
            } else {
                &mut own.weights
            };
            *part += bytes;
        }
        let mut shared: Vec<u64> = Vec::new();
        for plan in plans {
            let (_, wanted) = plan.kept_and_shared_slots();
            own.results += plan.result_bytes();
            let sizes: Vec<u64> = wanted.iter().map(|&slot| plan.slots[slot]).collect();
            let found = reuse(&shared, &sizes);
            let new = found.iter().zip(sizes).filter(|(found, _)| found.is_none());
            shared.extend(new.map(|(_, bytes)| bytes));
        }
        own.activations = shared.iter().sum();
        let layers = most_texel_layers(plans.iter().copied());
        own.copies = layers.iter().map(|&l| u64::from(l) * LAYER_BYTES).sum();
        own
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.parts().iter().map(|(_, bytes)| bytes).sum()
    }

    fn parts(&self) -> [(&'static str, u64); 10] {
        [
            ("weights", self.weights),
            ("moments", self.moments),
            ("sums of gradients", self.sums),
            ("moving average", self.average),
            ("perceptual loss's network", self.perceptual),
            ("inputs", self.inputs),
            ("activations and gradients", self.activations),
            ("copies as textures", self.copies),
            ("results", self.results),
            ("sample sheets", self.sheets),
        ]
    }
}

/// Layers of each texture that several plans share.
pub(super) fn most_texel_layers<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> Vec<u32> {
    let mut most: Vec<u32> = Vec::new();
    for plan in plans {
        most.resize(most.len().max(plan.texel_layers.len()), 0);
        for (most, &layers) in most.iter_mut().zip(&plan.texel_layers) {
            *most = layers.max(*most);
        }
    }
    most
}

/// Megabytes that are not nothing, by what they are for.
impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts().into_iter().filter(|(_, bytes)| *bytes > 0);
        let parts = parts.map(|(what, bytes)| format!("{} MiB {what}", bytes.div_ceil(1 << 20)));
        f.write_str(&parts.collect::<Vec<_>>().join(", "))
    }
}
