//! VGG-19 up to relu5_1, the frozen network of the perceptual loss.
//!
//! It sees pictures in -1..1 as they are, without the mean and deviation it was trained with, as the published code
//! does.

use super::net::Net;
use super::params::{Init, Layout, ParamSpec, Params, Role};
use crate::Result;
use crate::graph::ValueId;
use crate::ops::activation::{Activation, Kind};
use crate::ops::resample::MaxPool2;

/// Weight of the loss at each of the five stages.
pub const STAGE_WEIGHTS: [f32; 5] = [1.0 / 32.0, 1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0, 1.0];

/// A stage: its width and the numbers its convolutions have in the published list of layers. A pooling stands before
/// each stage but the first, and the loss compares features behind the first convolution of each.
const STAGES: [(usize, &[usize]); 5] = [
    (64, &[0, 2]),
    (128, &[5, 7]),
    (256, &[10, 12, 14, 16]),
    (512, &[19, 21, 23, 25]),
    (512, &[28]),
];

/// Tensors of [`vgg`], all widths divided by `divisor`.
pub fn vgg_params(divisor: usize) -> Params {
    let mut p = Params::default();
    let mut cin = 3;
    for (width, layers) in STAGES {
        let cout = (width / divisor).max(1);
        for layer in layers {
            let name = format!("vgg.features.{layer}");
            p.push(ParamSpec {
                name: format!("{name}.weight"),
                dims: vec![cout, cin, 3, 3],
                layout: Layout::Filter,
                role: Role::Frozen,
                init: Init::Given,
            });
            p.vector(&format!("{name}.bias"), cout, Role::Frozen, Init::Given);
            cin = cout;
        }
    }
    p
}

/// Features relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 of pictures.
///
/// # Errors
/// If a picture is too small to be halved four times.
pub fn vgg(net: &mut Net, pictures: ValueId) -> Result<Vec<ValueId>> {
    let mut x = pictures;
    let mut features = Vec::new();
    for (stage, (_, layers)) in STAGES.iter().enumerate() {
        if stage > 0 {
            x = net.apply(MaxPool2 {}, &[x])?;
        }
        for (i, layer) in layers.iter().enumerate() {
            x = net.conv(x, &format!("vgg.features.{layer}"), 1, 1)?;
            x = net.apply(Activation { kind: Kind::Relu }, &[x])?;
            if i == 0 {
                features.push(x);
            }
        }
    }
    Ok(features)
}
