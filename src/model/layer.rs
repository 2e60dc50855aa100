//! A convolution and its norm, as the discriminator and the encoder stack them.

use super::net::{Mode, Net};
use super::params::{Init, Params, Role};
use super::spade::EPSILON;
use crate::Result;
use crate::config::{LayerNorm, NormKind};
use crate::graph::ValueId;
use crate::ops::norm::{Affine, EpsRule, Norm, NormGiven};

/// How a layer's filters lie over its input.
#[derive(Clone, Copy, Debug)]
pub struct Stride {
    /// Pixels from one window to the next.
    pub step: usize,
    /// Zeros around the input.
    pub pad: usize,
}

/// Name of the convolution, which depends on whether a norm stands beside it.
fn conv_name(name: &str, kind: NormKind) -> String {
    match kind {
        NormKind::None => name.to_owned(),
        _ => format!("{name}.0"),
    }
}

/// Tensors of [`normed`]. A norm takes the bias's place.
pub fn normed_params(p: &mut Params, name: &str, dims: [usize; 4], norm: LayerNorm) {
    let kind = norm.kind;
    let has_bias = kind == NormKind::None;
    p.conv(&conv_name(name, kind), dims, norm.spectral, has_bias);
    if matches!(kind, NormKind::Batch | NormKind::SyncBatch) {
        let (norm, channels) = (format!("{name}.1"), dims[0]);
        let start = Init::Normal {
            mean: 1.0,
            std: 0.02,
        };
        p.vector(&format!("{norm}.weight"), channels, Role::Trained, start);
        let zero = Init::Constant(0.0);
        p.vector(&format!("{norm}.bias"), channels, Role::Trained, zero);
        p.running(&norm, channels, kind == NormKind::Batch);
    }
}

/// The convolution, then the norm.
///
/// # Errors
/// If the tensors are missing or do not fit.
pub fn normed(
    net: &mut Net,
    x: ValueId,
    name: &str,
    norm: LayerNorm,
    stride: Stride,
) -> Result<ValueId> {
    let y = net.conv(x, &conv_name(name, norm.kind), stride.step, stride.pad)?;
    normalise(net, y, &format!("{name}.1"), norm.kind)
}

fn normalise(net: &mut Net, x: ValueId, name: &str, kind: NormKind) -> Result<ValueId> {
    let moments = |per_sample| Norm {
        per_sample,
        eps: EPSILON,
        rule: EpsRule::Add,
    };
    let y = match (kind, net.mode) {
        (NormKind::None, _) => return Ok(x),
        (NormKind::Instance, _) => return net.apply(moments(true), &[x]),
        (NormKind::Batch | NormKind::SyncBatch, Mode::Training) => {
            let results = net.graph.apply_all(moments(false), &[x])?;
            let count = net.graph.shape(x).rows();
            net.track(name, results[1], results[2], count)?;
            results[0]
        }
        (NormKind::Batch | NormKind::SyncBatch, Mode::Evaluation) => {
            let mean = net.param(&format!("{name}.running_mean"))?;
            let var = net.param(&format!("{name}.running_var"))?;
            net.apply(NormGiven { eps: EPSILON }, &[x, mean, var])?
        }
    };
    let weight = net.param(&format!("{name}.weight"))?;
    let bias = net.param(&format!("{name}.bias"))?;
    net.apply(Affine {}, &[y, weight, bias])
}
