//! A convolution and its norm, as the discriminator and the encoder stack them.

use super::layer_norm::{layer_norm, layer_norm_params};
use super::net::Net;
use super::params::Params;
use crate::Result;
use crate::config::{LayerNorm, NormKind};
use crate::graph::ValueId;

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
    layer_norm_params(p, &format!("{name}.1"), dims[0], kind);
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
    layer_norm(net, y, &format!("{name}.1"), norm.kind)
}
