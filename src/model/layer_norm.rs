//! Norms of the layers of the discriminator, the encoder and the baseline generator.

use super::net::{Mode, Net};
use super::params::{Init, Params, Role};
use super::spade::EPSILON;
use crate::config::NormKind;
use crate::graph::ValueId;
use crate::ops::norm::{Affine, EpsRule, GroupNorm, Norm, NormGiven};
use crate::{Error, Result};

/// Tensors of [`layer_norm`].
///
/// Scales of batch norms start around 1, `init_variance` wide, as the published initialiser draws them; it leaves those
/// of other norms be.
pub fn layer_norm_params(p: &mut Params, name: &str, c: usize, kind: NormKind) {
    let start = match kind {
        NormKind::None | NormKind::Instance => return,
        NormKind::Batch | NormKind::SyncBatch => Init::Normal {
            mean: 1.0,
            std: p.init().init_variance,
        },
        NormKind::Group(_) => Init::Constant(1.0),
    };
    p.vector(&format!("{name}.weight"), c, Role::Trained, start);
    let zero = Init::Constant(0.0);
    p.vector(&format!("{name}.bias"), c, Role::Trained, zero);
    if matches!(kind, NormKind::Batch | NormKind::SyncBatch) {
        p.running(name, c, kind == NormKind::Batch);
    }
}

/// Normalises, then scales and shifts where the norm has a scale and a shift.
///
/// # Errors
/// If tensors of the norm are missing, or its groups do not divide the channels.
pub fn layer_norm(net: &mut Net, x: ValueId, name: &str, kind: NormKind) -> Result<ValueId> {
    let moments = |per_sample| Norm {
        per_sample,
        eps: EPSILON,
        rule: match kind {
            NormKind::SyncBatch => net.sync_rule,
            _ => EpsRule::Add,
        },
    };
    let y = match (kind, net.mode) {
        (NormKind::None, _) => return Ok(x),
        (NormKind::Instance, _) => return net.apply(moments(true), &[x]),
        (NormKind::Group(groups), _) => {
            let eps = EPSILON;
            net.apply(GroupNorm { groups, eps }, &[x])?
        }
        (NormKind::Batch | NormKind::SyncBatch, Mode::Training | Mode::BatchStatistics) => {
            let count = net.graph.shape(x).rows();
            if count == 1 {
                return Err(Error::Usage(format!(
                    "norm {kind}: {name} would see one value, on which a batch norm cannot train; use a larger batch, \
                     crop_size or enc_size"
                )));
            }
            let results = net.graph.apply_all(moments(false), &[x])?;
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
