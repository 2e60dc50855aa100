//! What a generator costs: the dense network's multiply-adds by kind of layer, and the device memory of both uses.

use serde::Serialize;

use super::blocks::sizes;
use super::footprint::Footprint;
use super::generator::generator_params;
use super::inputs::Inputs;
use super::kept::most_bytes;
use super::params::Params;
use super::room::Room;
use super::step::{Keep, Training};
use super::synthesis::{Look, synthesis_graph};
use crate::Result;
use crate::config::Config;
use crate::config::{ModelConfig, NetG};
use crate::graph::Ty;
use crate::graph::plan::{Place, Plan, Step, Target};
use crate::graph::recompute::Recompute;
use crate::windows::{Header, IdMap};
use std::collections::HashMap;

/// Multiply-adds of the dense generator for one picture. The first four are convolutions of the label map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DenseMacs {
    /// The first layer.
    pub fc: u64,
    /// The first layer of a generator with styles, which has no label map to convolve.
    pub styles: u64,
    /// Hidden layers of SPADE.
    pub shared: u64,
    /// Gamma and beta.
    pub modulation: u64,
    /// Label channels concatenated before the other convolutions, in the baseline without SPADE.
    pub concatenated: u64,
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
            let [cout, cin, kh, kw] = match *spec.dims.as_slice() {
                [cout, cin, kh, kw] => [cout, cin, kh, kw],
                // The linear first layer of a generator with styles, which writes the whole first grid at once.
                [_, cin] => [16 * config.ngf, cin, 1, 1],
                _ => continue,
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
            let mut cin = cin;
            if config.net_g == NetG::Concat && block != "fc" {
                cin -= config.semantic_nc();
                macs.concatenated += (pixels * cout * config.semantic_nc() * kh * kw) as u64;
            }
            let kind = match layer {
                _ if block == "fc" && config.use_vae => &mut macs.styles,
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

    /// Those that convolve the label map.
    pub fn of_labels(&self) -> u64 {
        self.fc + self.shared + self.modulation + self.concatenated
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.of_labels() + self.styles + self.convs + self.shortcuts + self.image
    }
}

/// Bytes on the device, whatever the label maps hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// For synthesis of one picture, without tables of gamma and beta that are kept.
    pub synthesis_bytes: u64,
    /// What such tables take at most beside.
    pub tables_bytes: u64,
    /// For training with the configuration's batch size, without the perceptual loss.
    pub training_bytes: u64,
    /// The same by what it is for.
    pub training: Footprint,
}

impl Memory {
    /// Plans drawing for a target, and training for one of its own.
    ///
    /// # Errors
    /// If the configuration cannot be used, or a target cannot hold its plan.
    pub fn of(config: &Config, target: &Target, for_training: &Target) -> Result<Self> {
        let model = &config.model;
        let training = Training {
            model: model.clone(),
            loss: config.loss.clone(),
            betas: config.optim.betas(),
            ema: config.optim.ema,
            batch_size: config.train.batch_size,
            accumulate: config.train.accumulate,
            vgg_divisor: None,
        };
        let synthesis = synthesis_plan(model, target)?;
        // Weights stay beside what is computed of them once.
        let is_read = |name: &str| synthesis.named.iter().any(|named| named.name == name);
        let params = generator_params(model);
        let unread = params.specs().iter().filter(|spec| !is_read(&spec.name));
        let unread_bytes: u64 = unread.map(|spec| Ty::Dense(spec.shape()).bytes()).sum();
        let training = footprint(
            &training,
            for_training,
            Recompute::default(),
            Room::default(),
        )?;
        Ok(Self {
            synthesis_bytes: Footprint::of(&[&synthesis], &[]).total() + unread_bytes,
            tables_bytes: most_bytes(target),
            training_bytes: training.total(),
            training,
        })
    }
}

/// What a training takes on the device, with what has room beside it.
///
/// # Errors
/// If the configuration cannot be used, or the target cannot hold a plan.
pub(super) fn footprint(
    training: &Training,
    target: &Target,
    recompute: Recompute,
    room: Room,
) -> Result<Footprint> {
    training.model.validate()?;
    let params = training.params();
    let [generator, discriminator] = plans(training, &params, Keep::Losses, target, recompute)?;
    let beside = room.plans(training, &params, target)?;
    Ok(Footprint::of(&[&generator, &discriminator], &beside))
}

/// Plans of the generator's and the discriminator's step.
///
/// # Errors
/// If the configuration cannot be used, or the target cannot hold a plan.
pub fn training_plans(training: &Training, target: &Target) -> Result<[Plan; 2]> {
    training.model.validate()?;
    let recompute = Recompute::default();
    plans(
        training,
        &training.params(),
        Keep::Losses,
        target,
        recompute,
    )
}

/// The same, with a choice of what can be read after a step, and of what is computed again rather than kept.
pub(super) fn plans(
    training: &Training,
    params: &Params,
    keep: Keep,
    target: &Target,
    recompute: Recompute,
) -> Result<[Plan; 2]> {
    let generator = training.generator_step(params, keep)?;
    let discriminator = training.discriminator_step(params, keep)?;
    Ok([
        Plan::recomputing(&generator, target, recompute)?,
        Plan::recomputing(&discriminator, target, recompute)?,
    ])
}

/// The plan of one picture, without tables of gamma and beta, as a trained generator draws it.
///
/// # Errors
/// If the configuration cannot be used, or the target cannot hold the plan.
pub fn synthesis_plan(model: &ModelConfig, target: &Target) -> Result<Plan> {
    let inputs = Inputs::synthesis(model, 1, model.latent());
    let params = generator_params(model);
    let graph = synthesis_graph(model, &params, &inputs, Look::default())?;
    let is_constant = |name: &str| params.get(name).is_some();
    Ok(Plan::over_constants(&graph, target, is_constant)?.0)
}

/// Headers of the tables of a label map, by their names on the device.
///
/// # Errors
/// If an id has no channel.
pub fn headers(inputs: &Inputs, map: &IdMap) -> Result<HashMap<String, Header>> {
    let tables = inputs.tables(map)?;
    let named = inputs.table_names().zip(&tables);
    let header = |(name, words): (String, &Vec<u32>)| Some((name, *words.first_chunk()?));
    Ok(named.filter_map(header).collect())
}

/// The header of each argument of a step, by the names of tables.
pub fn headers_of(
    plan: &Plan,
    step: &Step,
    named: &HashMap<String, Header>,
) -> Vec<Option<Header>> {
    let header = |place: &Place| match place {
        Place::Named(i) => named.get(&plan.named[*i].name).copied(),
        _ => None,
    };
    step.inputs.iter().map(header).collect()
}

/// Multiply-adds that the generator executes for one label map, its distinct windows computed once each.
///
/// # Errors
/// If the configuration cannot be used, an id has no channel, or the target cannot hold the plan.
pub fn executed_macs(config: &ModelConfig, map: &IdMap, target: &Target) -> Result<u64> {
    let inputs = Inputs::synthesis(config, 1, config.latent());
    let plan = synthesis_plan(config, target)?;
    let named = headers(&inputs, map)?;
    let executed = |step: &Step| {
        let headers = headers_of(&plan, step, &named);
        step.op
            .executed_macs(&step.input_types, &step.output_types, &headers)
    };
    Ok(plan.steps.iter().map(executed).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Upsampling;
    use crate::model::params::Role;

    /// A wide network for small pictures, so that weights take more memory than activations.
    fn wide() -> Training {
        Training {
            model: ModelConfig {
                label_nc: 3,
                ngf: 32,
                ndf: 4,
                spade_hidden: 8,
                crop_size: 64,
                ..ModelConfig::default()
            },
            loss: Default::default(),
            betas: (0.5, 0.999),
            ema: None,
            batch_size: 1,
            accumulate: 1,
            vgg_divisor: None,
        }
    }

    fn target() -> Target {
        Target {
            family: crate::ops::Family::Tiled(crate::ops::Buffering::Double),
            workspace_bytes: 1 << 20,
            max_binding_bytes: 1 << 30,
            filtering: crate::ops::winograd::Filtering::Never,
            storage: crate::graph::half::Storage::Single,
            matrices: None,
        }
    }

    #[test]
    fn nothing_reads_a_weight_after_its_update() {
        let mut weights = 0;
        for plan in training_plans(&wide(), &target()).unwrap() {
            let is_update = |step: &&Step| matches!(step.op, crate::ops::Op::Adam(_));
            weights += plan.steps.iter().filter(is_update).count();
            for (i, step) in plan.steps.iter().enumerate() {
                let later = &plan.steps[i + 1..];
                for place in step.outputs.iter().filter(|_| is_update(&step)) {
                    assert!(later.iter().all(|step| !step.inputs.contains(place)));
                }
            }
        }
        let params = wide().params();
        assert_eq!(weights, params.trained("").count());
    }

    #[test]
    fn gradients_share_memory_unless_they_are_kept() {
        let (training, params) = (wide(), wide().params());
        let [shared, kept] = [Keep::Losses, Keep::Everything].map(|keep| {
            let graph = training.generator_step(&params, keep).unwrap();
            Plan::new(&graph, &target()).unwrap().slot_bytes()
        });
        let trained = params.trained("G.");
        let gradients: u64 = trained.map(|spec| Ty::Dense(spec.shape()).bytes()).sum();
        assert!(
            kept > gradients,
            "{kept} bytes for gradients of {gradients}"
        );
        assert!(shared < gradients / 2, "{shared} of {gradients} bytes");
    }

    #[test]
    fn layers_computed_again_take_less_memory() {
        let mut training = wide();
        training.model.crop_size = 256;
        training.model.ngf = 8;
        let [cheap, layers] = [Recompute::Cheap, Recompute::Layers]
            .map(|what| footprint(&training, &target(), what, Room::default()).unwrap());
        let most = cheap.activations * 9 / 10;
        assert!(layers.activations < most, "{layers} after {cheap}");
        assert_eq!(layers.weights, cheap.weights);
    }

    /// Table 3 of the paper has 79 million parameters for the decoder with label concatenation, 96 for SPADE's.
    #[test]
    fn the_baseline_is_as_large_as_published() {
        let millions = |net_g| {
            let config = ModelConfig {
                label_nc: 150,
                dontcare: true,
                net_g,
                ..Default::default()
            };
            let params = generator_params(&config);
            let trained = params.specs().iter().filter(|s| s.role == Role::Trained);
            trained.map(|s| s.len()).sum::<usize>() as f64 / 1e6
        };
        assert_eq!(millions(NetG::Concat).round(), 79.0);
        assert_eq!(millions(NetG::Spade).round(), 96.0);
    }

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
