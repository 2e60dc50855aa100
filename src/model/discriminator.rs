//! The multi-scale discriminator of Appendix A: patches of label map and picture together, at full size and halved.
//!
//! The label half of its first convolution never sees a one-hot map at full size: there it is a sum of weight rows
//! per distinct window. It is computed once for each label map, whichever pictures are judged with it.

use super::inputs::Inputs;
use super::layer::{Stride, normed, normed_params};
use super::net::Net;
use super::params::Params;
use crate::Result;
use crate::config::ModelConfig;
use crate::graph::ValueId;
use crate::ops::activation::{Activation, Kind};
use crate::ops::conv2d::Conv2d;
use crate::ops::elementwise::Add;
use crate::ops::labels::{LabelPool, LabelRows, Lookup};
use crate::ops::resample::AvgPool3;

/// Kernel and padding of every convolution.
const KERNEL: usize = 4;
const PAD: usize = 2;

/// What one discriminator says: the features behind each hidden layer, and the logits.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Features, first layer first.
    pub features: Vec<ValueId>,
    /// One logit a patch.
    pub logits: ValueId,
}

/// Tensors of [`discriminators`].
pub fn discriminator_params(config: &ModelConfig) -> Params {
    let mut p = Params::new(config.init);
    let k = KERNEL;
    for scale in 0..config.num_d {
        let network = format!("D.discriminator_{scale}");
        let first = format!("{network}.model0.0");
        p.conv(
            &first,
            [config.ndf, config.semantic_nc() + 3, k, k],
            false,
            true,
        );
        for layer in 1..config.n_layers_d {
            let (cin, cout) = (
                config.discriminator_width(layer - 1),
                config.discriminator_width(layer),
            );
            let dims = [cout, cin, k, k];
            let name = format!("{network}.model{layer}.0");
            normed_params(&mut p, &name, dims, config.norm_d);
        }
        let last = config.n_layers_d;
        let cin = config.discriminator_width(last - 1);
        p.conv(
            &format!("{network}.model{last}.0"),
            [1, cin, k, k],
            false,
            true,
        );
    }
    p
}

/// Judges pictures, a whole number of batches of them, against the label maps of the batch; one verdict a scale.
///
/// # Errors
/// If the tensors are missing or do not fit.
pub fn discriminators(
    net: &mut Net,
    config: &ModelConfig,
    inputs: &Inputs,
    pictures: ValueId,
) -> Result<Vec<Verdict>> {
    let mut verdicts = Vec::new();
    let mut seen = pictures;
    for scale in 0..config.num_d {
        if scale > 0 {
            seen = net.apply(AvgPool3 {}, &[seen])?;
        }
        let network = format!("D.discriminator_{scale}");
        verdicts.push(discriminator(net, config, inputs, &network, scale, seen)?);
    }
    Ok(verdicts)
}

fn discriminator(
    net: &mut Net,
    config: &ModelConfig,
    inputs: &Inputs,
    network: &str,
    scale: usize,
    pictures: ValueId,
) -> Result<Verdict> {
    let leaky = Activation {
        kind: Kind::LeakyRelu,
    };
    let of_labels = labels_half(net, config, inputs, network, scale)?;
    let of_pictures = pictures_half(net, config, network, pictures)?;
    let mut x = net.apply(Add {}, &[of_pictures, of_labels])?;
    x = net.apply(leaky.clone(), &[x])?;
    let mut features = vec![x];
    for layer in 1..config.n_layers_d {
        let stride = Stride {
            step: if layer + 1 < config.n_layers_d { 2 } else { 1 },
            pad: PAD,
        };
        let name = format!("{network}.model{layer}.0");
        x = normed(net, x, &name, config.norm_d, stride)?;
        x = net.apply(leaky.clone(), &[x])?;
        features.push(x);
    }
    let last = format!("{network}.model{}.0", config.n_layers_d);
    let logits = net.conv(x, &last, 1, PAD)?;
    Ok(Verdict { features, logits })
}

/// What the label map adds to the first convolution, bias included.
fn labels_half(
    net: &mut Net,
    config: &ModelConfig,
    inputs: &Inputs,
    network: &str,
    scale: usize,
) -> Result<ValueId> {
    let channels = config.semantic_nc();
    let filters = net.param(&format!("{network}.model0.0.weight"))?;
    let w = net.input_channels(filters, 0, channels)?;
    let b = net.param(&format!("{network}.model0.0.bias"))?;
    let [h, width] = inputs.output();
    if scale == 0 {
        let windows = inputs.patches(net)?;
        let rows = net.apply(LabelRows { relu: false }, &[w, b, windows])?;
        let (n, h, w) = (inputs.n(), h / 2 + 1, width / 2 + 1);
        return net.apply(Lookup { n, h, w }, &[rows, windows]);
    }
    let symbols = inputs.symbols(net)?;
    let pool = LabelPool {
        n: inputs.n(),
        h,
        w: width,
        channels,
        edges: config.edges,
    };
    let mut map = net.apply(pool, &[symbols])?;
    for _ in 1..scale {
        map = net.apply(AvgPool3 {}, &[map])?;
    }
    let conv = Conv2d::new(2, PAD);
    net.apply(conv, &[map, w, b])
}

fn pictures_half(
    net: &mut Net,
    config: &ModelConfig,
    network: &str,
    pictures: ValueId,
) -> Result<ValueId> {
    let filters = net.param(&format!("{network}.model0.0.weight"))?;
    let w = net.input_channels(filters, config.semantic_nc(), 3)?;
    let conv = Conv2d::new(2, PAD);
    net.apply(conv, &[pictures, w])
}
