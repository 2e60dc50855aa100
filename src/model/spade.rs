//! Spatially-adaptive normalisation (Figure 2 of the paper) and the residual block made of it (Figure 4, left).

use super::net::{Mode, Net};
use super::params::Params;
use crate::Result;
use crate::config::{NormG, SpadeNorm};
use crate::graph::{Shape, ValueId};
use crate::ops::elementwise::{Add, AddUpsampled};
use crate::ops::labels::LabelRows;
use crate::ops::modulate::{Modulate, ModulateKept, Stats};
use crate::ops::norm::EpsRule;
use crate::ops::{Op, Real};

/// Added to every variance.
pub const EPSILON: Real = Real(1e-5);

/// The label map at one size.
#[derive(Clone, Copy, Debug)]
pub enum Level {
    /// Its distinct windows, and the distinct windows of those.
    Windows {
        /// Windows of labels, which decide the hidden activations.
        hidden: ValueId,
        /// Windows of hidden windows, which decide gamma and beta.
        modulation: ValueId,
    },
    /// Where gamma and beta of its windows lie in tables that were computed before.
    Kept {
        /// Rows of the table of each layer.
        rows: usize,
        /// The row of each pixel.
        pixels: ValueId,
    },
}

/// Name of the state that keeps gamma and beta of a layer.
pub fn kept_table(layer: &str) -> String {
    format!("kept.{layer}")
}

/// How every SPADE layer of a generator normalises.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// `norm_G`.
    pub kind: NormG,
    /// How epsilon keeps the variance from zero in training.
    pub rule: EpsRule,
}

/// What a layer does with its input and its result.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    /// Whether the input is at half the level's size; its nearest-neighbour doubling is never written.
    pub up: bool,
    /// Whether a leaky ReLU follows.
    pub leaky: bool,
}

/// Tensors of [`spade`].
pub fn spade_params(p: &mut Params, name: &str, norm: NormG, [c, hidden, labels]: [usize; 3]) {
    let k = norm.kernel;
    if norm.kind != SpadeNorm::Instance {
        let counts = norm.kind == SpadeNorm::Batch;
        p.running(&format!("{name}.param_free_norm"), c, counts);
    }
    let shared = format!("{name}.mlp_shared.0");
    p.conv(&shared, [hidden, labels, k, k], false, true);
    for head in ["mlp_gamma", "mlp_beta"] {
        p.conv(&format!("{name}.{head}"), [c, hidden, k, k], false, true);
    }
}

/// Equation 1: `(1 + gamma) * (x - mean) / deviation + beta`, gamma and beta convolved from the label map.
///
/// Gamma comes with the one added, as in the published code and against the paper's formula.
///
/// # Errors
/// If the tensors of the layer are missing or do not fit.
pub fn spade(
    net: &mut Net,
    x: ValueId,
    name: &str,
    level: Level,
    norm: Norm,
    around: Around,
) -> Result<ValueId> {
    let tracked = format!("{name}.param_free_norm");
    let mut inputs = vec![x];
    let stats = match (norm.kind.kind, net.mode) {
        (SpadeNorm::Instance, _) => Stats::Instance,
        (_, Mode::Training | Mode::BatchStatistics) => Stats::Batch,
        (_, Mode::Evaluation) => Stats::Given,
    };
    inputs.extend(modulation(net, name, level, net.graph.shape(x).c)?);
    if stats == Stats::Given {
        inputs.push(net.param(&format!("{tracked}.running_mean"))?);
        inputs.push(net.param(&format!("{tracked}.running_var"))?);
    }
    let layer = Modulate {
        stats,
        eps: EPSILON,
        rule: norm.rule,
        upsample: around.up,
        leaky: around.leaky,
    };
    let op: Op = match level {
        Level::Windows { .. } => layer.into(),
        Level::Kept { .. } => ModulateKept { layer }.into(),
    };
    let results = net.graph.apply_all(op, &inputs)?;
    if stats == Stats::Batch {
        let count = net.graph.shape(results[0]).rows();
        net.track(&tracked, results[1], results[2], count)?;
    }
    Ok(results[0])
}

/// What a layer of `c` channels reads to tell gamma and beta.
fn modulation(net: &mut Net, name: &str, level: Level, c: usize) -> Result<Vec<ValueId>> {
    let (hidden, modulation) = match level {
        Level::Kept { rows, pixels } => {
            let shape = Shape::new(1, 2, rows, c);
            return Ok(vec![net.graph.state(&kept_table(name), shape)?, pixels]);
        }
        Level::Windows { hidden, modulation } => (hidden, modulation),
    };
    let mut inputs = vec![hidden_rows(net, name, hidden)?];
    inputs.extend(heads(net, name)?);
    inputs.push(modulation);
    Ok(inputs)
}

/// Hidden activations of the windows of labels.
pub(super) fn hidden_rows(net: &mut Net, name: &str, windows: ValueId) -> Result<ValueId> {
    let shared = [
        net.param(&format!("{name}.mlp_shared.0.weight"))?,
        net.param(&format!("{name}.mlp_shared.0.bias"))?,
        windows,
    ];
    net.apply(LabelRows { relu: true }, &shared)
}

/// Weight and bias of gamma, then of beta.
pub(super) fn heads(net: &mut Net, name: &str) -> Result<Vec<ValueId>> {
    let mut params = Vec::new();
    for head in ["mlp_gamma", "mlp_beta"] {
        params.push(net.param(&format!("{name}.{head}.weight"))?);
        params.push(net.param(&format!("{name}.{head}.bias"))?);
    }
    Ok(params)
}

/// The SPADE layers of a block that takes `fin` channels to `fout`, and how many channels each has.
pub(super) fn layers(block: &str, [fin, fout]: [usize; 2]) -> Vec<(String, usize)> {
    let mut layers = vec![("norm_0", fin), ("norm_1", fin.min(fout))];
    if fin != fout {
        layers.push(("norm_s", fin));
    }
    let full = |(layer, c)| (format!("{block}.{layer}"), c);
    layers.into_iter().map(full).collect()
}

/// Tensors of [`block`].
pub fn block_params(
    p: &mut Params,
    name: &str,
    norm: NormG,
    [fin, fout]: [usize; 2],
    [hidden, labels]: [usize; 2],
) {
    let mid = fin.min(fout);
    let spectral = norm.spectral;
    p.conv(&format!("{name}.conv_0"), [mid, fin, 3, 3], spectral, true);
    p.conv(&format!("{name}.conv_1"), [fout, mid, 3, 3], spectral, true);
    if fin != fout {
        p.conv(
            &format!("{name}.conv_s"),
            [fout, fin, 1, 1],
            spectral,
            false,
        );
    }
    for (layer, c) in layers(name, [fin, fout]) {
        spade_params(p, &layer, norm, [c, hidden, labels]);
    }
}

/// SPADE residual block, Figure 4 (left), of the doubled input where `up` is set.
///
/// # Errors
/// If the tensors of the block are missing or do not fit.
pub fn block(
    net: &mut Net,
    x: ValueId,
    name: &str,
    level: Level,
    norm: Norm,
    up: bool,
) -> Result<ValueId> {
    let layer = |net: &mut Net, x, layer: &str, around| {
        spade(net, x, &format!("{name}.{layer}"), level, norm, around)
    };
    let d = layer(net, x, "norm_0", Around { up, leaky: true })?;
    let d = net.conv(d, &format!("{name}.conv_0"), 1, 1)?;
    let inside = Around {
        up: false,
        leaky: true,
    };
    let d = layer(net, d, "norm_1", inside)?;
    let d = net.conv(d, &format!("{name}.conv_1"), 1, 1)?;
    let shortcut = format!("{name}.conv_s");
    if net.has(&format!("{shortcut}.weight_orig")) || net.has(&format!("{shortcut}.weight")) {
        let s = layer(net, x, "norm_s", Around { up, leaky: false })?;
        let s = net.conv(s, &shortcut, 1, 0)?;
        net.apply(Add {}, &[s, d])
    } else if up {
        net.apply(AddUpsampled {}, &[x, d])
    } else {
        net.apply(Add {}, &[x, d])
    }
}
