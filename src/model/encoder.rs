//! The image encoder (Appendix A of the paper): from a photo to a normal distribution over styles.
//!
//! All six convolutions are always built, and the heads are as long as a style, so that pictures and styles may have
//! any size: the published code leaves the last one out below 256 pixels, where its heads then do not fit.

use super::layer::{Stride, normed, normed_params};
use super::net::Net;
use super::params::{Layout, Params};
use crate::Result;
use crate::config::{ENCODER_LAYERS, ModelConfig};
use crate::graph::ValueId;
use crate::ops::activation::{Activation, Kind};
use crate::ops::loss::Reparameterise;
use crate::ops::resample::Bilinear;

/// Mean and log-variance of the styles of a batch of photos, N x 1 x 1 x `z_dim` each.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// Mean.
    pub mu: ValueId,
    /// Logarithm of the variance.
    pub logvar: ValueId,
}

/// Side of the map that the heads read.
fn last_side(config: &ModelConfig) -> usize {
    (0..ENCODER_LAYERS).fold(config.enc_size, |side, _| side.div_ceil(2))
}

/// Tensors of [`encoder`]. Its width is the generator's.
pub fn encoder_params(config: &ModelConfig) -> Params {
    let mut p = Params::new(config.init);
    let mut cin = 3;
    for layer in 0..ENCODER_LAYERS {
        let cout = config.encoder_width(layer);
        let name = format!("E.layer{}", layer + 1);
        normed_params(&mut p, &name, [cout, cin, 3, 3], config.norm_e);
        cin = cout;
    }
    let side = last_side(config);
    let map = Layout::FromMap { h: side, w: side };
    for head in ["E.fc_mu", "E.fc_var"] {
        p.linear(head, [config.z_dim, cin * side * side], map);
    }
    p
}

/// Encodes photos in -1..1. They are resized to a square first, whatever their shape.
///
/// # Errors
/// If the tensors are missing or do not fit, or a norm would see one value only.
pub fn encoder(net: &mut Net, config: &ModelConfig, photos: ValueId) -> Result<Code> {
    let side = config.enc_size;
    let shape = net.graph.shape(photos);
    let mut x = photos;
    if [shape.h, shape.w] != [side; 2] {
        x = net.apply(Bilinear { h: side, w: side }, &[x])?;
    }
    let stride = Stride { step: 2, pad: 1 };
    let kind = Kind::LeakyRelu;
    for layer in 1..=ENCODER_LAYERS {
        x = normed(net, x, &format!("E.layer{layer}"), config.norm_e, stride)?;
        x = net.apply(Activation { kind }, &[x])?;
    }
    Ok(Code {
        mu: net.conv(x, "E.fc_mu", 1, 0)?,
        logvar: net.conv(x, "E.fc_var", 1, 0)?,
    })
}

/// Draws styles with given standard normal noise; gradients flow into the code.
///
/// # Errors
/// If the noise has another shape.
pub fn draw(net: &mut Net, code: Code, noise: ValueId) -> Result<ValueId> {
    net.apply(Reparameterise {}, &[code.mu, code.logvar, noise])
}
