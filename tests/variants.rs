//! Every norm of the discriminator and of the generator trains, keeps what it should keep, and evaluates.

mod common;

use spadework::Result;
use spadework::config::{GanMode, InitConfig, LossConfig, ModelConfig, NormG};
use spadework::graph::plan::{Plan, Step};
use spadework::model::{Feed, Keep, Losses, Schedule, Style, Trainer, Training};
use spadework::ops::Op;
use spadework::ops::norm::EpsRule;
use spadework::state::StateDict;
use spadework::windows::IdMap;

fn model() -> ModelConfig {
    ModelConfig {
        label_nc: 3,
        ngf: 2,
        ndf: 2,
        spade_hidden: 4,
        crop_size: 32,
        num_d: 1,
        n_layers_d: 3,
        ..ModelConfig::default()
    }
}

fn trainer(model: ModelConfig) -> Result<Trainer> {
    trainer_with(model, LossConfig::default())
}

fn trainer_with(model: ModelConfig, loss: LossConfig) -> Result<Trainer> {
    trainer_keeping(model, loss, Keep::Losses)
}

fn trainer_keeping(model: ModelConfig, loss: LossConfig, keep: Keep) -> Result<Trainer> {
    let training = Training {
        model,
        loss,
        betas: (0.0, 0.9),
        ema: None,
        batch_size: 2,
        accumulate: 1,
        vgg_divisor: None,
    };
    let mut trainer = Trainer::new(&common::gpus()[0], training, keep)?;
    trainer.initialise(3)?;
    Ok(trainer)
}

fn map() -> IdMap {
    let labels: Vec<u32> = (0..2 * 32 * 32)
        .map(|i| (i / 200 + i / 7 % 2) % 3)
        .collect();
    IdMap::from_labels([2, 32, 32], &labels, None)
}

fn step(trainer: &mut Trainer) -> Result<Losses> {
    step_at(trainer, 1e-4)
}

/// An iteration at a rate of the generator, and four times it of the discriminator.
fn step_at(trainer: &mut Trainer, rate: f64) -> Result<Losses> {
    let map = map();
    let noise = vec![0.5; 2 * trainer.training().model.z_dim];
    let photos: Vec<f32> = (0..map.ids.len() * 3)
        .map(|i| (i % 29) as f32 / 14.0 - 1.0)
        .collect();
    let feed = Feed {
        photos: &photos,
        map: &map,
        windows: &trainer.inputs().tables(&map)?,
        noise: [&noise, &noise],
    };
    let schedule = Schedule {
        generator: Some(rate),
        discriminator: 4.0 * rate,
    };
    trainer.step(&feed, schedule)
}

/// Trains two iterations, draws, and returns the state before and after.
fn train(model: ModelConfig) -> [StateDict; 2] {
    let what = format!("{} and {}", model.norm_g, model.norm_d);
    let mut trainer = trainer(model.clone()).unwrap();
    let before = trainer.weights().unwrap();
    for _ in 0..2 {
        let losses = step(&mut trainer).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(losses.0.len(), 4 + usize::from(model.use_vae), "{what}");
    }
    let styles = match model.use_vae {
        true => [1, 2].map(|seed| Style::random(model.z_dim, seed)).to_vec(),
        false => Vec::new(),
    };
    let mut synthesis = trainer.synthesis(2).unwrap();
    let pictures = trainer.synthesise(&mut synthesis, &map(), &styles).unwrap();
    let is_picture = |v: &f64| v.abs() <= 1.0;
    assert!(pictures.data().iter().all(is_picture), "{what}");
    let after = trainer.weights().unwrap();
    for (name, tensor) in &after.tensors {
        assert!(tensor.data.iter().all(|v| v.is_finite()), "{what}: {name}");
    }
    [before, after]
}

/// Last parts of the names behind a layer, sorted.
fn names(state: &StateDict, layer: &str) -> Vec<String> {
    let mut names: Vec<_> = state.tensors.keys().chain(state.counters.keys()).collect();
    names.sort();
    let inside = |name: &&String| name.strip_prefix(layer).map(str::to_owned);
    names.iter().filter_map(inside).collect()
}

#[test]
fn norms_of_the_discriminator_hold_what_pytorch_holds() {
    let affine = ["1.bias", "1.weight"];
    let running = ["1.num_batches_tracked", "1.running_mean", "1.running_var"];
    let filters = |spectral: bool| match spectral {
        true => vec!["0.weight_orig", "0.weight_u", "0.weight_v"],
        false => vec!["0.weight"],
    };
    for (kind, of_norm) in [
        ("instance", vec![]),
        ("batch", [&affine[..], &running].concat()),
        ("sync_batch", [&affine[..], &running].concat()),
        ("group2", affine.to_vec()),
        ("layer", affine.to_vec()),
    ] {
        for spectral in [true, false] {
            let prefix = if spectral { "spectral" } else { "" };
            let norm_d = format!("{prefix}{kind}").parse().unwrap();
            let [before, after] = train(ModelConfig { norm_d, ..model() });
            let layer = "D.discriminator_0.model1.0.";
            let mut want = [filters(spectral), of_norm.clone()].concat();
            want.sort();
            assert_eq!(names(&after, layer), want, "{norm_d}");
            for name in names(&after, layer) {
                let name = format!("{layer}{name}");
                if name.ends_with("tracked") {
                    // Twice an iteration; the published synchronised norm never counts.
                    let want = if kind == "batch" { 4 } else { 0 };
                    assert_eq!(after.counters[&name], want, "{norm_d} {name}");
                } else {
                    let moved = before.tensors[&name] != after.tensors[&name];
                    assert!(moved, "{norm_d}: {name} stays as it was");
                }
            }
        }
    }
}

#[test]
fn without_a_norm_convolutions_keep_their_bias() {
    for (norm_d, want) in [
        (
            "spectralnone",
            &["bias", "weight_orig", "weight_u", "weight_v"][..],
        ),
        ("none", &["bias", "weight"]),
    ] {
        let norm_d = norm_d.parse().unwrap();
        let [_, after] = train(ModelConfig { norm_d, ..model() });
        assert_eq!(names(&after, "D.discriminator_0.model1.0."), want);
    }
}

#[test]
fn norms_of_the_encoder_are_those_of_the_discriminator() {
    for (norm_e, layer, want) in [
        (
            "batch",
            "E.layer2.",
            &["0.weight", "1.bias", "1.running_mean"][..],
        ),
        (
            "spectralsync_batch",
            "E.layer6.",
            &["0.weight_u", "1.weight", "1.running_var"],
        ),
        (
            "spectralgroup2",
            "E.layer1.",
            &["0.weight_orig", "1.bias", "1.weight"],
        ),
        ("layer", "E.layer3.", &["0.weight", "1.bias", "1.weight"]),
        (
            "spectralnone",
            "E.layer4.",
            &["bias", "weight_orig", "weight_v"],
        ),
        ("instance", "E.layer5.", &["0.weight"]),
    ] {
        let norm_e = norm_e.parse().unwrap();
        let model = ModelConfig {
            norm_e,
            use_vae: true,
            z_dim: 3,
            enc_size: 128,
            ..model()
        };
        let [before, after] = train(model);
        let names = names(&after, layer);
        for end in want {
            assert!(names.iter().any(|name| name == end), "{norm_e}: {names:?}");
            let name = format!("{layer}{end}");
            let moved = before.tensors[&name] != after.tensors[&name];
            assert!(moved, "{norm_e}: {name} stays as it was");
        }
    }
}

#[test]
fn every_adversarial_loss_trains_with_and_without_features() {
    for gan_mode in [GanMode::Hinge, GanMode::Ls, GanMode::Original, GanMode::W] {
        for gan_feat_loss in [true, false] {
            let loss = LossConfig {
                gan_mode,
                gan_feat_loss,
                ..LossConfig::default()
            };
            let mut trainer = trainer_with(model(), loss).unwrap();
            let losses = step(&mut trainer).unwrap();
            let names: Vec<_> = losses.0.iter().map(|(name, _)| *name).collect();
            let want = ["GAN", "GAN_Feat", "D_Fake", "D_real"].into_iter();
            let want = want.filter(|name| gan_feat_loss || *name != "GAN_Feat");
            assert_eq!(names, want.collect::<Vec<_>>(), "{gan_mode:?}");
        }
    }
}

/// Loss of a logit, and its derivative, by its definition: of photos, of pictures, and of pictures for the generator.
fn terms(mode: GanMode, x: f64) -> [[f64; 2]; 3] {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let hinge = |x: f64, sign: f64| match 1.0 - sign * x {
        left if left > 0.0 => [left, -sign],
        _ => [0.0, 0.0],
    };
    match mode {
        GanMode::Hinge => [hinge(x, 1.0), hinge(x, -1.0), [-x, -1.0]],
        GanMode::Ls => {
            let to = |target: f64| [(x - target).powi(2), 2.0 * (x - target)];
            [to(1.0), to(0.0), to(1.0)]
        }
        GanMode::Original => {
            let high = [-sigmoid(x).ln(), sigmoid(x) - 1.0];
            [high, [-sigmoid(-x).ln(), sigmoid(x)], high]
        }
        GanMode::W => [[-x, -1.0], [x, 1.0], [-x, -1.0]],
    }
}

/// Losses of both steps, the gradient of the judges' last biases, and that of the generator, by the logits of the step.
///
/// Nothing moves at a rate of zero, and without spectral norm, so both steps judge alike.
#[test]
fn adversarial_losses_of_a_step_are_those_of_its_logits() {
    let model = ModelConfig {
        norm_g: "spadesyncbatch3x3".parse().unwrap(),
        norm_d: "instance".parse().unwrap(),
        num_d: 2,
        init: InitConfig {
            init_variance: 1.0,
            ..InitConfig::default()
        },
        ..model()
    };
    for gan_mode in [GanMode::Hinge, GanMode::Ls, GanMode::Original, GanMode::W] {
        let loss = LossConfig {
            gan_mode,
            gan_feat_loss: false,
            ..LossConfig::default()
        };
        let mut trainer = trainer_keeping(model.clone(), loss, Keep::Everything).unwrap();
        let losses = step_at(&mut trainer, 0.0).unwrap().0;
        // Means over logits, then over judges, of losses and derivatives.
        let mut want = [[0.0; 2]; 3];
        let mut derivatives = Vec::new();
        for judge in 0..2 {
            let mean = |name: &str, side: usize| {
                let logits = trainer.read_generator_step(&format!("{name}.{judge}"));
                let logits = logits.unwrap().data;
                let sum = |part: usize| -> f64 {
                    let terms = logits.iter().map(|&x| terms(gan_mode, f64::from(x)));
                    terms.map(|term| term[side][part]).sum()
                };
                [0, 1].map(|part| sum(part) / logits.len() as f64 / 2.0)
            };
            let sides = [
                mean("pred_real", 0),
                mean("pred_fake", 1),
                mean("pred_fake", 2),
            ];
            for (want, side) in want.iter_mut().zip(sides) {
                *want = [want[0] + side[0], want[1] + side[1]];
            }
            derivatives.push(sides[0][1] + sides[1][1]);
        }
        for (name, side) in [("D_real", 0), ("D_Fake", 1), ("GAN", 2)] {
            let got = losses.iter().find(|(loss, _)| *loss == name).unwrap().1;
            let want = want[side][0];
            let limit = 1e-5 * want.abs().max(1.0);
            assert!(
                (f64::from(got) - want).abs() < limit,
                "{gan_mode:?} {name}: {got}, not {want}"
            );
        }
        for (judge, want) in derivatives.iter().enumerate() {
            let name = format!("grad.D.discriminator_{judge}.model3.0.bias");
            let got = f64::from(trainer.read_discriminator_step(&name).unwrap().data[0]);
            assert!(
                (got - want).abs() < 1e-5,
                "{gan_mode:?} {name}: {got}, not {want}"
            );
        }
        // The generator's, by the loss on both sides of where it stands.
        let name = "G.conv_img.bias";
        let gradient = trainer
            .read_generator_step(&format!("grad.{name}"))
            .unwrap();
        let got: f64 = gradient.data.iter().map(|&x| f64::from(x)).sum();
        let start = trainer.weights().unwrap();
        let mut loss_at = |moved: f32| {
            let mut state = start.clone();
            let bias = &mut state.tensors.get_mut(name).unwrap().data;
            bias.iter_mut().for_each(|x| *x += moved);
            trainer.load(&state, "").unwrap();
            let losses = step_at(&mut trainer, 0.0).unwrap().0;
            f64::from(losses.iter().find(|(loss, _)| *loss == "GAN").unwrap().1)
        };
        const H: f32 = 1.0 / 256.0;
        let slope = (loss_at(H) - loss_at(-H)) / f64::from(2.0 * H);
        // Curvature and kinks; and losses around 1, rounded to 6e-8 or two, over a distance of H.
        let limit = 0.02 * slope.abs() + 1e-4;
        assert!(slope.abs() > 2.0 * limit, "{gan_mode:?}: too flat to tell");
        assert!(
            (got - slope).abs() < limit,
            "{gan_mode:?}: {got}, not {slope}"
        );
    }
}

#[test]
fn groups_that_do_not_divide_are_refused_before_training() {
    let norm_d = "spectralgroup3".parse().unwrap();
    let error = trainer(ModelConfig { norm_d, ..model() }).err().unwrap();
    let message = error.to_string();
    assert_eq!(error.exit_code(), 2, "{message}");
    assert!(
        message.contains("group3") && message.contains("ndf"),
        "{message}"
    );
}

#[test]
fn norms_of_the_generator() {
    for (text, has_running_values) in [
        ("spectralspadesyncbatch1x1", true),
        ("spadebatch3x3", true),
        ("spectralspadeinstance3x3", false),
        ("spadeinstance5x5", false),
        ("spadesyncbatch7x7", true),
        ("spectralspadebatch9x9", true),
    ] {
        let norm_g: NormG = text.parse().unwrap();
        let [_, after] = train(ModelConfig { norm_g, ..model() });
        let has = |name: &str| after.tensors.contains_key(name);
        let running = "G.head_0.norm_0.param_free_norm.running_mean";
        assert_eq!(has(running), has_running_values, "{text}");
        assert_eq!(has("G.up_3.conv_s.weight_u"), norm_g.spectral, "{text}");
        let shape = &after.tensors["G.up_3.norm_s.mlp_gamma.weight"].shape;
        assert_eq!(shape[2..], [norm_g.kernel; 2], "{text}");
    }
}

/// Several devices clamp the variance in training; evaluation adds eps whatever training did.
#[test]
fn the_rule_of_several_devices_is_for_training_only() {
    let model = ModelConfig {
        norm_d: "spectralsync_batch".parse().unwrap(),
        parallel_bn: true,
        ..model()
    };
    let rules = |plan: &Plan| {
        let rule = |step: &Step| match &step.op {
            Op::Modulate(modulate) => Some(modulate.rule),
            Op::Norm(norm) => Some(norm.rule),
            _ => None,
        };
        let mut rules: Vec<_> = plan.steps.iter().filter_map(rule).collect();
        let count = rules.len();
        rules.dedup();
        (rules, count)
    };
    let mut trainer = trainer(model).unwrap();
    // 18 SPADE layers in the generator, two normed layers in the discriminator.
    for plan in trainer.plans() {
        assert_eq!(rules(plan), (vec![EpsRule::Max], 20));
    }
    let synthesis = trainer.synthesis(1).unwrap();
    assert_eq!(rules(synthesis.plan()), (vec![EpsRule::Add], 18));
}
