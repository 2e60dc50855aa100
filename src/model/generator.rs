//! The generator, Figure 4 (right): the label map at every size, through SPADE or, in the baseline of the ablation, by
//! concatenation, and in front of all the label map or a style.

use super::blocks::{Block, blocks};
use super::concat::{concat_block, concat_block_params, concat_conv};
use super::inputs::Inputs;
use super::net::{Mode, Net};
use super::params::{Layout, Params};
use super::spade::{Norm, block, block_params};
use crate::config::{ModelConfig, NetG, SpadeNorm};
use crate::graph::ValueId;
use crate::ops::activation::{Activation, Kind};
use crate::ops::copy::Reshape;
use crate::ops::labels::{LabelRows, Lookup};
use crate::ops::norm::EpsRule;
use crate::{Error, Result};

/// Tensors of [`generator`].
pub fn generator_params(config: &ModelConfig) -> Params {
    let mut p = Params::new(config.init);
    let (first, labels) = (16 * config.ngf, config.semantic_nc());
    if config.use_vae {
        let [h, w] = config.latent();
        let map = Layout::ToMap { h, w };
        p.linear("G.fc", [first * h * w, config.z_dim], map);
    } else {
        p.conv("G.fc", [first, labels, 3, 3], false, true);
    }
    let mut width = first;
    for Block {
        name, fin, fout, ..
    } in blocks(config.upsampling)
    {
        width = first / fout;
        let (name, widths) = (format!("G.{name}"), [first / fin, width]);
        match config.net_g {
            NetG::Spade => {
                let inside = [config.spade_hidden, labels];
                block_params(&mut p, &name, config.norm_g, widths, inside);
            }
            NetG::Concat => concat_block_params(&mut p, &name, config, widths),
        }
    }
    if config.net_g == NetG::Concat {
        width += labels;
    }
    p.conv("G.conv_img", [3, width, 3, 3], false, true);
    p
}

/// Pictures in -1..1 from label maps, and from styles where the configuration has them.
///
/// # Errors
/// If a batch norm of the first block would see one value only.
pub fn generator(
    net: &mut Net,
    config: &ModelConfig,
    inputs: &Inputs,
    styles: Option<ValueId>,
) -> Result<ValueId> {
    let [n, h, w] = inputs.grid();
    let has_batch_norm = config.norm_g.kind != SpadeNorm::Instance;
    if net.mode != Mode::Evaluation && has_batch_norm && n * h * w == 1 {
        return Err(Error::Usage(format!(
            "norm_G = {}: one value has no statistics for a batch norm, and batch {n} on a {h}x{w} grid has no more; \
             use a larger batch or crop_size",
            config.norm_g
        )));
    }
    let norm = Norm {
        kind: config.norm_g,
        rule: match config.norm_g.kind {
            SpadeNorm::SyncBatch => net.sync_rule,
            _ => EpsRule::Add,
        },
    };
    let mut x = match styles {
        Some(styles) => fc_of_styles(net, config, inputs, styles)?,
        None => fc(net, inputs)?,
    };
    let mut doublings = 0;
    for Block { name, up, .. } in blocks(config.upsampling) {
        doublings += usize::from(up);
        let name = format!("G.{name}");
        x = match config.net_g {
            NetG::Spade => {
                let level = inputs.level(net, doublings)?;
                block(net, x, &name, level, norm, up)?
            }
            NetG::Concat => {
                let labels = inputs.labels(net, doublings)?;
                concat_block(net, config, x, &name, labels, up)?
            }
        };
    }
    let kind = Kind::LeakyRelu;
    x = net.apply(Activation { kind }, &[x])?;
    x = match config.net_g {
        NetG::Spade => net.conv(x, "G.conv_img", 1, 1)?,
        NetG::Concat => {
            let labels = inputs.labels(net, doublings)?;
            concat_conv(net, x, "G.conv_img", labels.around)?
        }
    };
    net.apply(Activation { kind: Kind::Tanh }, &[x])
}

/// The first layer: a convolution of the label map at the size of the first grid.
fn fc(net: &mut Net, inputs: &Inputs) -> Result<ValueId> {
    let windows = inputs.first(net)?;
    let (w, b) = (net.param("G.fc.weight")?, net.param("G.fc.bias")?);
    let rows = net.apply(LabelRows { relu: false }, &[w, b, windows])?;
    let [n, h, w] = inputs.grid();
    net.apply(Lookup { n, h, w }, &[rows, windows])
}

/// The first layer of a generator with styles: linear, and fitted to the size it was trained for.
fn fc_of_styles(
    net: &mut Net,
    config: &ModelConfig,
    inputs: &Inputs,
    styles: ValueId,
) -> Result<ValueId> {
    let [_, h, w] = inputs.grid();
    if [h, w] != config.latent() {
        let [height, width] = config.output();
        return Err(Error::Usage(format!(
            "a generator with styles draws pictures of {width}x{height} only, the size it was trained for"
        )));
    }
    let map = net.conv(styles, "G.fc", 1, 0)?;
    let c = 16 * config.ngf;
    net.apply(Reshape { h, w, c }, &[map])
}
