//! Sums over whole tensors in two fixed phases: a few hundred workgroups, then one.
//!
//! The split depends on the size alone, so two runs add in the same order. A first phase is an entry of the
//! operation's own shader that leaves one `vec4` per workgroup; the second phase is here.

use super::{Binding, Dispatch};

/// Lanes of a workgroup.
const LANES: usize = 256;
/// A lane of a small tensor adds this many `vec4`; fewer would not pay for the tree.
const PER_LANE: usize = 4;
/// 1024 workgroups of 256 fill the largest cards, and the second phase stays short.
const MAX_WORKGROUPS: usize = 1024;

/// Workgroups of the first phase over a tensor of `vec4s`, and so the `vec4` it leaves.
pub(super) fn workgroups(vec4s: usize) -> usize {
    vec4s.div_ceil(LANES * PER_LANE).clamp(1, MAX_WORKGROUPS)
}

/// Words of the scratch buffer between the phases.
pub(super) fn scratch(vec4s: usize) -> usize {
    4 * workgroups(vec4s)
}

/// Second phase: `to = factor * sum of from` over what the first phase left of a tensor of `vec4s`.
pub(super) fn total(vec4s: usize, factor: f32, from: Binding, to: Binding) -> Dispatch {
    Dispatch::new("tree", "total")
        .bind(&[from, to])
        .param(workgroups(vec4s))
        .real(factor)
}
