//! What a generator costs: the dense network's multiply-adds by kind of layer, and the device memory of both uses.

use serde::Serialize;

use super::generator::{generator_params, sizes};
use super::inputs::Inputs;
use super::step::{Keep, Training};
use super::synthesis::synthesis_graph;
use crate::Result;
use crate::config::Config;
use crate::config::ModelConfig;
use crate::graph::plan::{Plan, Target};

/// Multiply-adds of the dense generator for one picture. The first three are convolutions of the label map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DenseMacs {
    /// The first layer.
    pub fc: u64,
    /// Hidden layers of SPADE.
    pub shared: u64,
    /// Gamma and beta.
    pub modulation: u64,
    /// 3x3 convolutions of the residual blocks.
    pub convs: u64,
    /// Their shortcuts.
    pub shortcuts: u64,
    /// The last layer.
    pub image: u64,
}

impl DenseMacs {
    /// Counts the layers of a configuration at the size it trains for.
    pub fn of(config: &ModelConfig) -> Self {
        let sizes = sizes(config.upsampling);
        let mut macs = Self::default();
        for spec in generator_params(config).specs() {
            let &[cout, cin, kh, kw] = spec.dims.as_slice() else {
                continue;
            };
            let layer = spec.name.trim_start_matches("G.");
            let block = layer.split('.').next().unwrap_or_default();
            let doublings = match block {
                "fc" => 0,
                "conv_img" => config.upsampling.doublings(),
                block => sizes
                    .iter()
                    .find(|(name, _)| *name == block)
                    .map_or(0, |s| s.1),
            };
            let pixels: usize = config
                .latent()
                .iter()
                .map(|side| side << doublings)
                .product();
            let kind = match layer {
                layer if block == "fc" && layer.starts_with("fc") => &mut macs.fc,
                _ if block == "conv_img" => &mut macs.image,
                layer if layer.contains(".mlp_shared.") => &mut macs.shared,
                layer if layer.contains(".mlp_") => &mut macs.modulation,
                layer if layer.contains(".conv_s.") => &mut macs.shortcuts,
                _ => &mut macs.convs,
            };
            *kind += (pixels * cout * cin * kh * kw) as u64;
        }
        macs
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.fc + self.shared + self.modulation + self.convs + self.shortcuts + self.image
    }
}

/// Bytes on the device, whatever the label maps hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// For synthesis of one picture.
    pub synthesis_bytes: u64,
    /// For training with the configuration's batch size, without the perceptual loss.
    pub training_bytes: u64,
}

impl Memory {
    /// Plans both uses for a target.
    ///
    /// # Errors
    /// If a setting is not built yet, or the target cannot hold a plan.
    pub fn of(config: &Config, target: &Target) -> Result<Self> {
        let model = &config.model;
        let inputs = Inputs::synthesis(model, 1, model.latent());
        let graph = synthesis_graph(model, &generator_params(model), &inputs)?;
        let training = Training {
            model: model.clone(),
            loss: config.loss.clone(),
            betas: config.optim.betas(),
            batch_size: config.train.batch_size,
            vgg_divisor: None,
        };
        let params = training.params();
        let steps = [
            training.generator_step(&params, Keep::Losses)?,
            training.discriminator_step(&params, Keep::Losses)?,
        ];
        let [generator, discriminator] = steps.map(|graph| Plan::new(&graph, target));
        Ok(Self {
            synthesis_bytes: bytes(&[Plan::new(&graph, target)?]),
            training_bytes: bytes(&[generator?, discriminator?]),
        })
    }
}

/// Bytes of plans that share what has a name, and their workspace.
fn bytes(plans: &[Plan]) -> u64 {
    let named = plans.iter().flat_map(|plan| &plan.named);
    let named: std::collections::BTreeMap<_, _> =
        named.map(|n| (n.name.as_str(), n.ty.bytes())).collect();
    let slots = plans.iter().map(Plan::slot_bytes).max();
    named.values().sum::<u64>() + slots.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Upsampling;

    /// Billions, as published tables have them.
    fn giga(macs: u64) -> f64 {
        macs as f64 / 1e9
    }

    #[test]
    fn published_models_cost_what_they_do() {
        let ade20k = ModelConfig {
            label_nc: 150,
            dontcare: true,
            ..Default::default()
        };
        let coco = ModelConfig {
            label_nc: 182,
            edges: true,
            ..ade20k.clone()
        };
        let cityscapes = ModelConfig {
            label_nc: 35,
            edges: true,
            upsampling: Upsampling::More,
            crop_size: 512,
            aspect_ratio: 2.0,
            ..Default::default()
        };
        for (config, [fc, shared, modulation, convs, shortcuts, image, total]) in [
            (&ade20k, [0.089, 45.62, 93.31, 39.86, 2.15, 0.11, 181.15]),
            (&coco, [0.109, 55.59, 93.31, 39.86, 2.15, 0.11, 191.14]),
            (
                &cityscapes,
                [0.011, 21.71, 184.36, 70.67, 4.29, 0.23, 281.28],
            ),
        ] {
            let macs = DenseMacs::of(config);
            for (got, want) in [
                (macs.fc, fc),
                (macs.shared, shared),
                (macs.modulation, modulation),
                (macs.convs, convs),
                (macs.shortcuts, shortcuts),
                (macs.image, image),
                (macs.total(), total),
            ] {
                assert!((giga(got) - want).abs() < 0.0051, "{macs:?}: {want}");
            }
        }
    }
}
