//! The baseline of the paper's ablation, "decoder with label concatenation": the generator of Figure 4 without SPADE.
//! Its norms are ordinary ones with a learned scale and shift, and the label map, resized to each size, is concatenated
//! before each convolution.
//!
//! The concatenated map is never made. A convolution of both is the sum of one of the features and one of the label
//! map, and the latter is a sum of weight rows for each distinct window, as everywhere here.

use super::layer_norm::{layer_norm, layer_norm_params};
use super::net::Net;
use super::params::Params;
use crate::Result;
use crate::config::{ModelConfig, NormKind, SpadeNorm};
use crate::graph::{Shape, ValueId};
use crate::ops::activation::{Activation, Kind};
use crate::ops::conv2d::Conv2d;
use crate::ops::elementwise::Add;
use crate::ops::labels::{LabelRows, Lookup};
use crate::ops::resample::Upsample2;

/// Windows of the label map at one size.
#[derive(Clone, Copy, Debug)]
pub struct Labels {
    /// Under a 3x3 kernel.
    pub around: ValueId,
    /// Under a 1x1 kernel, where a block has a shortcut.
    pub single: Option<ValueId>,
}

/// The norm that stands where a SPADE layer would.
fn norm(config: &ModelConfig) -> NormKind {
    match config.norm_g.kind {
        SpadeNorm::SyncBatch => NormKind::SyncBatch,
        SpadeNorm::Batch => NormKind::Batch,
        SpadeNorm::Instance => NormKind::Instance,
    }
}

/// Tensors of [`concat_block`].
pub fn concat_block_params(
    p: &mut Params,
    name: &str,
    config: &ModelConfig,
    [fin, fout]: [usize; 2],
) {
    let (mid, labels) = (fin.min(fout), config.semantic_nc());
    let spectral = config.norm_g.spectral;
    let mut conv = |layer: &str, [cout, cin, k]: [usize; 3], bias| {
        let dims = [cout, cin + labels, k, k];
        p.conv(&format!("{name}.{layer}"), dims, spectral, bias);
    };
    conv("conv_0", [mid, fin, 3], true);
    conv("conv_1", [fout, mid, 3], true);
    if fin != fout {
        conv("conv_s", [fout, fin, 1], false);
    }
    let norms = [("norm_0", fin), ("norm_1", mid), ("norm_s", fin)];
    for (layer, c) in norms.into_iter().take(2 + usize::from(fin != fout)) {
        layer_norm_params(p, &format!("{name}.{layer}"), c, norm(config));
    }
}

/// Residual block of the baseline, of the doubled input where `up` is set.
///
/// # Errors
/// If the tensors of the block are missing or do not fit.
pub fn concat_block(
    net: &mut Net,
    config: &ModelConfig,
    x: ValueId,
    name: &str,
    labels: Labels,
    up: bool,
) -> Result<ValueId> {
    let layer = |net: &mut Net, x, layer: &str| {
        layer_norm(net, x, &format!("{name}.{layer}"), norm(config))
    };
    let kind = Kind::LeakyRelu;
    let x = if up {
        net.apply(Upsample2 {}, &[x])?
    } else {
        x
    };
    let mut d = x;
    for (norm, conv) in [("norm_0", "conv_0"), ("norm_1", "conv_1")] {
        d = layer(net, d, norm)?;
        d = net.apply(Activation { kind }, &[d])?;
        d = concat_conv(net, d, &format!("{name}.{conv}"), labels.around)?;
    }
    let s = match labels.single {
        Some(single) => {
            let s = layer(net, x, "norm_s")?;
            concat_conv(net, s, &format!("{name}.conv_s"), single)?
        }
        None => x,
    };
    net.apply(Add {}, &[s, d])
}

/// Convolution of the same size over features and, behind them, the label map whose windows are given.
///
/// # Errors
/// If there is no such convolution, or its filters do not fit.
pub fn concat_conv(net: &mut Net, x: ValueId, name: &str, windows: ValueId) -> Result<ValueId> {
    // Spectral norm has seen the whole weight by now.
    let filters = net.filters(name)?;
    let (c, pad) = (net.graph.shape(x).c, net.graph.shape(filters).h / 2);
    let labels = net.graph.ty(windows).windows().channels;
    let on_x = net.input_channels(filters, 0, c)?;
    let on_labels = net.input_channels(filters, c, labels)?;
    let y = net.apply(Conv2d::new(1, pad), &[x, on_x])?;
    let mut rows = vec![on_labels];
    let bias = format!("{name}.bias");
    if net.has(&bias) {
        rows.push(net.param(&bias)?);
    }
    rows.push(windows);
    let rows = net.apply(LabelRows { relu: false }, &rows)?;
    let Shape { n, h, w, .. } = net.graph.shape(y);
    let of_labels = net.apply(Lookup { n, h, w }, &[rows, windows])?;
    net.apply(Add {}, &[y, of_labels])
}
