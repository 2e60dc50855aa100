//! Training steps as transactions: what goes wrong changes nothing or is told, and what goes right is reproducible.

mod common;

use spadework::config::{Bytes, LossConfig, ModelConfig};
use spadework::data::LabelSpace;
use spadework::graph::recompute::Recompute;
use spadework::model::init::normal;
use spadework::model::{
    Calibration, Encoding, Feed, Generator, Keep, Losses, Room, Schedule, Style, Trainer, Training,
};
use spadework::ops::Tensor;
use spadework::state::StateDict;
use spadework::train::Checkpoint;
use spadework::windows::IdMap;
use spadework::{Config, Error, Result};

fn training() -> Training {
    Training {
        model: ModelConfig {
            label_nc: 4,
            edges: true,
            ngf: 2,
            ndf: 2,
            spade_hidden: 4,
            crop_size: 32,
            norm_g: "spectralspadebatch3x3".parse().unwrap(),
            ..ModelConfig::default()
        },
        loss: LossConfig::default(),
        betas: (0.0, 0.9),
        ema: Some(0.75),
        batch_size: 2,
        accumulate: 1,
        vgg_divisor: None,
    }
}

/// The same with styles, of a length that fills no vector.
fn training_of_styles() -> Training {
    let mut training = training();
    training.model.use_vae = true;
    training.model.z_dim = 5;
    training.model.enc_size = 128;
    training
}

fn trainer_of(training: Training) -> Trainer {
    let mut trainer = Trainer::new(&common::gpus()[0], training, Keep::Losses).unwrap();
    trainer.initialise(7).unwrap();
    trainer.start_average().unwrap();
    trainer
}

fn trainer() -> Trainer {
    trainer_of(training())
}

fn step(trainer: &mut Trainer, photo: f32) -> Result<Losses> {
    let noise = trainer.updates()["D"];
    step_with(trainer, photo, [noise, 100 + noise])
}

/// A step whose noise comes from these seeds.
fn step_with(trainer: &mut Trainer, photo: f32, noise: [u64; 2]) -> Result<Losses> {
    let schedule = Schedule {
        generator: Some(1e-4),
        discriminator: 4e-4,
    };
    with_feed(trainer, photo, noise, |trainer, feed| {
        trainer.step(feed, schedule)
    })
}

fn labels() -> IdMap {
    stripes(300)
}

/// Label maps in stripes of so many pixels.
fn stripes(pixels: u32) -> IdMap {
    let labels: Vec<u32> = (0..2 * 32 * 32).map(|i| i / pixels % 4).collect();
    let edges: Vec<u8> = (0..labels.len()).map(|i| u8::from(i % 11 == 0)).collect();
    IdMap::from_labels([2, 32, 32], &labels, Some(&edges))
}

/// Does something with a batch, in which one number of a photo and the noise can be chosen.
fn with_feed<T>(
    trainer: &mut Trainer,
    photo: f32,
    noise: [u64; 2],
    f: impl FnOnce(&mut Trainer, &Feed) -> T,
) -> T {
    with_map(trainer, &labels(), photo, noise, f)
}

/// As [`with_feed`], of other label maps.
fn with_map<T>(
    trainer: &mut Trainer,
    map: &IdMap,
    photo: f32,
    noise: [u64; 2],
    f: impl FnOnce(&mut Trainer, &Feed) -> T,
) -> T {
    let mut photos: Vec<f32> = (0..map.ids.len() * 3)
        .map(|i| (i % 13) as f32 / 6.5 - 1.0)
        .collect();
    photos[100] = photo;
    let count = 2 * trainer.training().model.z_dim;
    let noise = noise.map(|seed| normal(seed, "noise", count));
    let windows = trainer.tables(map).unwrap();
    let feed = Feed {
        photos: &photos,
        map,
        windows: &windows,
        noise: [&noise[0], &noise[1]],
    };
    f(trainer, &feed)
}

fn bits(state: &StateDict) -> Vec<(String, Vec<u32>)> {
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect();
    let tensors = state.tensors.iter();
    tensors.map(|(k, v)| (k.clone(), bits(&v.data))).collect()
}

#[test]
fn weights_of_losses_change_as_if_it_had_been_planned_so() {
    let mut changed = trainer_of(training_of_styles());
    step(&mut changed, 0.1).unwrap();
    let mut training = training_of_styles();
    training.loss.lambda_feat = 3.0;
    training.loss.lambda_kld = 0.7;
    let mut planned = trainer_of(training.clone());
    let weights = changed.weights().unwrap();
    planned.load(&weights, "").unwrap();
    let moments = changed.moments().unwrap();
    planned.load_moments(&moments, &changed.updates()).unwrap();
    changed.weigh(&training.loss).unwrap();
    let mut unchanged = trainer_of(training_of_styles());
    unchanged.load(&weights, "").unwrap();
    unchanged
        .load_moments(&moments, &changed.updates())
        .unwrap();
    let [one, two, other] = [&mut changed, &mut planned, &mut unchanged].map(|trainer| {
        let losses = step(trainer, 0.2).unwrap();
        (losses, trainer.weights().unwrap())
    });
    assert_eq!(one.0, two.0);
    assert!(one.1.tensors == two.1.tensors);
    let loss = |losses: &Losses, name: &str| losses.0.iter().find(|l| l.0 == name).unwrap().1;
    let ratio = loss(&one.0, "GAN_Feat") / loss(&other.0, "GAN_Feat");
    assert!((ratio - 0.3).abs() < 1e-6, "{ratio}");
    assert!(one.1.tensors != other.1.tensors);
}

#[test]
fn bad_numbers_change_nothing() {
    let mut trainer = trainer();
    step(&mut trainer, 0.5).unwrap();
    let before = trainer.weights().unwrap();
    let moments = trainer.moments().unwrap();
    let error = step(&mut trainer, f32::NAN).unwrap_err();
    assert!(matches!(error, Error::NonFinite(_)), "{error}");
    assert!(
        error.to_string().contains("update 2 of the generator"),
        "{error}"
    );
    assert!(bits(&trainer.weights().unwrap()) == bits(&before));
    assert!(trainer.moments().unwrap() == moments);
    assert_eq!(trainer.weights().unwrap().counters, before.counters);
    assert_eq!(
        trainer.updates(),
        [("D".to_owned(), 1), ("G".to_owned(), 1)].into()
    );
    step(&mut trainer, 0.5).unwrap();
    assert!(bits(&trainer.weights().unwrap()) != bits(&before));
}

/// Weights with which losses are finite, but not the gradients of two weights of the layer that runs first: its hidden
/// activations are as large as a number can be, and nothing is made of them.
fn overflowing(state: &StateDict) -> StateDict {
    let mut state = state.clone();
    let mut fill = |name: &str, value: f32| {
        let tensor = state.tensors.get_mut(name).unwrap();
        tensor.data.fill(value);
    };
    let layer = "G.head_0.norm_0";
    fill(&format!("{layer}.mlp_shared.0.bias"), 3e38);
    for head in ["mlp_gamma", "mlp_beta"] {
        fill(&format!("{layer}.{head}.weight"), 0.0);
    }
    state
}

#[test]
fn a_bad_gradient_stops_its_weight_and_all_after_it() {
    let mut good = trainer();
    step(&mut good, 0.5).unwrap();
    let (before, moments) = (
        overflowing(&good.weights().unwrap()),
        good.moments().unwrap(),
    );
    let updates = good.updates();
    let [mut early, mut late] = [Keep::Losses, Keep::Everything].map(|keep| {
        let mut trainer = Trainer::new(&common::gpus()[0], training(), keep).unwrap();
        trainer.load(&before, "").unwrap();
        trainer.load_moments(&moments, &updates).unwrap();
        let loss = LossConfig {
            lambda_feat: 1e6,
            ..LossConfig::default()
        };
        trainer.weigh(&loss).unwrap();
        trainer
    });
    let error = step(&mut early, 0.5).unwrap_err().to_string();
    let said = error.contains("update 2 of the generator: a gradient is not finite");
    assert!(said && error.contains("have changed"), "{error}");
    assert!(!early.is_between_iterations());
    assert_eq!(early.updates(), updates);
    let after = early.weights().unwrap();
    let changed = |name: &str| before.tensors[name] != after.tensors[name];
    // From the picture to the labels, and not what comes after what is bad, or waits for the verdict on all.
    for name in [
        "conv_img.weight",
        "up_0.conv_0.weight_orig",
        "head_0.conv_0.bias",
    ] {
        assert!(changed(&format!("G.{name}")), "{name}");
    }
    let waits = |name: &&String| {
        let ends = ["_u", "_v", "running_mean", "running_var"];
        let starts = ["D.", "ema.", "G.fc.", "G.head_0.norm_0."];
        ends.iter().any(|end| name.ends_with(end))
            || starts.iter().any(|start| name.starts_with(start))
    };
    for name in before.tensors.keys().filter(waits) {
        assert!(!changed(name), "{name}");
    }
    let mut values = after.tensors.values().flat_map(|tensor| &tensor.data);
    assert!(values.all(|x| x.is_finite()));
    let error = step(&mut early, 0.5).unwrap_err().to_string();
    assert!(error.contains("others not: load a checkpoint"), "{error}");
    assert!(!error.contains("  "), "{error}");
    assert!(bits(&early.weights().unwrap()) == bits(&after));
    // Where gradients are kept, all of them are known before anything changes.
    let error = step(&mut late, 0.5).unwrap_err().to_string();
    let said = error.contains("a gradient is not finite");
    assert!(said && error.contains("the update was not made"), "{error}");
    assert!(bits(&late.weights().unwrap()) == bits(&before));
    assert!(late.moments().unwrap() == moments && late.is_between_iterations());
}

/// What the plans say, against the sizes of what was made on the device.
#[test]
fn planned_memory_is_what_is_taken() {
    let beside = Room {
        sheets: true,
        estimates: true,
        ..Room::default()
    };
    let trainings = [training(), training_of_styles()];
    for (training, room) in trainings
        .into_iter()
        .flat_map(|training| [Room::default(), beside].map(|room| (training.clone(), room)))
    {
        let gpu = &common::gpus()[0];
        let mut trainer = Trainer::within(gpu, training, Keep::Losses, room).unwrap();
        let mut taken = 0;
        if room == beside {
            let estimates = trainer.calibration().unwrap();
            let (sheet, style) = (trainer.synthesis(1).unwrap(), trainer.encoding().unwrap());
            taken += Calibration::bytes(&estimates) + sheet.bytes();
            taken += style.as_ref().map_or(0, Encoding::bytes);
        }
        taken += trainer.bytes();
        let told = trainer.footprint();
        assert_eq!(told.total(), taken);
        assert!(
            [told.average, told.moments, told.inputs, told.results]
                .iter()
                .all(|&x| x > 0)
        );
        assert_eq!(told.sheets > 0, room == beside);
    }
}

/// A byte less than it would take: layers are computed again, to the same numbers.
#[test]
fn a_limit_changes_no_bit() {
    let mut free = trainer();
    let taken = free.bytes();
    let mut bounded = Trainer::within(
        &common::gpus()[0],
        training(),
        Keep::Losses,
        Room::within(Some(Bytes(taken - 1))),
    )
    .unwrap();
    assert!(bounded.bytes() < taken, "{} bytes", bounded.bytes());
    let again = [free.recompute(), bounded.recompute()];
    assert_eq!(again, [Recompute::Cheap, Recompute::Layers]);
    let steps = |trainer: &Trainer| trainer.plans()[0].steps.len();
    assert!(steps(&bounded) > steps(&free));
    bounded.load(&free.weights().unwrap(), "").unwrap();
    for _ in 0..2 {
        assert_eq!(
            step(&mut free, 0.5).unwrap(),
            step(&mut bounded, 0.5).unwrap()
        );
    }
    let [free, bounded] = [&free, &bounded].map(|trainer| bits(&trainer.weights().unwrap()));
    assert!(free == bounded);
}

/// Byte for byte, though no more than a tensor is in main memory at a time.
#[test]
fn a_training_is_saved_as_its_tensors_would_be() {
    let dir = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| dir.path().join(name));
    let mut trainer = trainer_of(training_of_styles());
    step(&mut trainer, 0.5).unwrap();
    let empty = || Checkpoint {
        config: Config::default(),
        space: LabelSpace::new(4, false, true),
        progress: Default::default(),
        origin: Default::default(),
        networks: StateDict::default(),
        moments: Default::default(),
    };
    empty().save_with(&trainer, &ours).unwrap();
    let mut whole = empty();
    whole.networks = trainer.weights().unwrap();
    whole.moments = trainer.moments().unwrap();
    let mut spoilt = whole.networks.clone();
    whole.save(&theirs).unwrap();
    let before = std::fs::read(&ours).unwrap();
    assert!(before == std::fs::read(&theirs).unwrap());
    // A number that is not finite ends it halfway, and the old file stays.
    spoilt.tensors.get_mut("G.up_1.conv_0.bias").unwrap().data[1] = f32::NAN;
    trainer.load(&spoilt, "").unwrap();
    let error = empty().save_with(&trainer, &ours).unwrap_err();
    assert!(matches!(error, Error::NonFinite(_)), "{error}");
    assert!(error.to_string().contains("G.up_1.conv_0.bias"), "{error}");
    assert!(before == std::fs::read(&ours).unwrap());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

/// When weights change within a step makes no difference to what they become.
#[test]
fn kept_gradients_change_no_bit() {
    let [early, late] = [Keep::Losses, Keep::Everything].map(|keep| {
        let mut trainer = Trainer::new(&common::gpus()[0], training_of_styles(), keep).unwrap();
        trainer.initialise(7).unwrap();
        trainer.start_average().unwrap();
        let losses: Vec<_> = (0..2).map(|_| step(&mut trainer, 0.5).unwrap()).collect();
        let moments = trainer.moments().unwrap();
        (losses, bits(&trainer.weights().unwrap()), moments)
    });
    assert!(early == late);
}

fn continues_bit_for_bit(training: Training, styles: &[Style]) {
    let mut whole = trainer_of(training.clone());
    let losses: Vec<Losses> = (0..3).map(|_| step(&mut whole, 0.5).unwrap()).collect();
    let mut first = trainer_of(training.clone());
    step(&mut first, 0.5).unwrap();
    let mut second = Trainer::new(&common::gpus()[0], training, Keep::Losses).unwrap();
    second.load(&first.weights().unwrap(), "").unwrap();
    let (moments, updates) = (first.moments().unwrap(), first.updates());
    second.load_moments(&moments, &updates).unwrap();
    assert_eq!(step(&mut second, 0.5).unwrap(), losses[1]);
    // Synthesis in between, at another batch size, leaves no trace.
    let mut sheet = second.synthesis(1).unwrap();
    let map = IdMap::from_labels([1, 40, 48], &vec![2; 40 * 48], None);
    let pictures = second.synthesise(&mut sheet, &map, styles).unwrap();
    assert!(pictures.data().iter().all(|v| v.abs() <= 1.0));
    if let Some(mut encoding) = second.encoding().unwrap() {
        let encoded = second.encode(&mut encoding, &[0.25; 32 * 32 * 3]).unwrap();
        assert_eq!(encoded.mu.len(), styles[0].coordinates().len());
    }
    assert_eq!(step(&mut second, 0.5).unwrap(), losses[2]);
    assert!(bits(&second.weights().unwrap()) == bits(&whole.weights().unwrap()));
    assert_eq!(
        second.weights().unwrap().counters,
        whole.weights().unwrap().counters
    );
}

#[test]
fn a_bad_discriminator_step_leaves_the_good_one_before_it() {
    let mut training = training();
    // Without feature matching the generator's losses do not see the photos, so only the second step goes wrong.
    training.loss.gan_feat_loss = false;
    let mut trainer = trainer_of(training);
    step(&mut trainer, 0.5).unwrap();
    let (before, moments) = (trainer.weights().unwrap(), trainer.moments().unwrap());
    let error = step(&mut trainer, f32::NAN).unwrap_err().to_string();
    assert!(error.contains("update 2 of the discriminator"), "{error}");
    assert!(!trainer.is_between_iterations());
    let updates = [("D".to_owned(), 1), ("G".to_owned(), 2)];
    assert_eq!(trainer.updates(), updates.into());
    let (after, moments_after) = (trainer.weights().unwrap(), trainer.moments().unwrap());
    let finite = |state: &StateDict| {
        let mut values = state.tensors.values().flat_map(|tensor| &tensor.data);
        values.all(|value| value.is_finite())
    };
    assert!(finite(&after));
    for (name, tensor) in &before.tensors {
        // The generator's step updates the discriminator's singular vectors too.
        if name.starts_with("D.") && !name.ends_with("_u") && !name.ends_with("_v") {
            assert!(after.tensors[name] == *tensor, "{name}");
        }
    }
    let of_d = |(name, _): &(&String, _)| name.contains(".D.");
    let [was, is] = [&moments, &moments_after].map(|m| m.iter().filter(of_d).collect::<Vec<_>>());
    assert!(!was.is_empty() && was == is);
    step(&mut trainer, 0.5).unwrap();
    assert!(trainer.is_between_iterations());
}

#[test]
fn a_run_continues_from_its_state_bit_for_bit() {
    continues_bit_for_bit(training(), &[]);
}

#[test]
fn a_run_with_styles_continues_from_its_state_bit_for_bit() {
    continues_bit_for_bit(training_of_styles(), &[Style::random(5, 1)]);
}

#[test]
fn each_step_draws_its_styles_with_noise_of_its_own() {
    let losses = |noise| {
        let Losses(losses) = step_with(&mut trainer_of(training_of_styles()), 0.5, noise).unwrap();
        losses
    };
    let both = losses([1, 2]);
    let names: Vec<_> = both.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["KLD", "GAN", "GAN_Feat", "D_Fake", "D_real"]);
    let [generator, discriminator] = [losses([3, 2]), losses([1, 3])];
    assert_eq!(generator[0], both[0], "the divergence knows no noise");
    assert_ne!(generator[1], both[1]);
    assert_eq!(discriminator[..3], both[..3]);
    assert_ne!(discriminator[3], both[3]);
}

#[test]
fn the_encoder_learns_in_the_generators_step_alone() {
    let mut trainer = trainer_of(training_of_styles());
    let before = trainer.weights().unwrap();
    step(&mut trainer, 0.5).unwrap();
    let after = trainer.weights().unwrap();
    for name in ["E.fc_mu.weight", "E.fc_var.bias", "E.layer1.0.weight_orig"] {
        let [old, new] = [&before, &after].map(|state| &state.tensors[name].data);
        let moved = old.iter().zip(new).map(|(old, new)| (old - new).abs());
        let farthest = moved.fold(0.0, f32::max);
        // One step of Adam whose first moment has no memory is as long as the rate.
        assert!((farthest - 1e-4).abs() < 2e-6, "{name} moved by {farthest}");
    }
}

#[test]
fn styles_that_do_not_fit_are_refused() {
    let mut with = trainer_of(training_of_styles());
    let mut plain = trainer();
    let map = IdMap::from_labels([1, 32, 32], &vec![2; 32 * 32], None);
    let refused = |trainer: &mut Trainer, styles: &[Style], why: &str| {
        let mut sheet = trainer.synthesis(1).unwrap();
        let error = trainer.synthesise(&mut sheet, &map, styles).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    };
    refused(&mut plain, &[Style::random(5, 1)], "without use_vae");
    refused(&mut with, &[], "0 styles");
    refused(&mut with, &[Style::random(4, 1)], "4 coordinates");
    assert!(plain.encoding().unwrap().is_none());
}

/// A decay of 0.2 comes into force with the third update: the first two shares are larger than it leaves.
const DECAY: Option<f64> = Some(0.2);
const SHARES: [f64; 5] = [0.9, 9.0 / 11.0, 0.8, 0.8, 0.8];

/// In single precision each of a handful of roundings is a relative 6e-8; weights here are below 2.
#[test]
fn the_average_follows_the_weights() {
    let ema = DECAY;
    let mut trainer = trainer_of(Training { ema, ..training() });
    let start = trainer.weights().unwrap().tensors;
    let name = "G.up_0.conv_0.weight_orig";
    let mut want: Vec<f64> = start[name].data.iter().map(|&x| f64::from(x)).collect();
    assert_eq!(start[&format!("ema.{name}")], start[name]);
    for share in SHARES {
        step(&mut trainer, 0.5).unwrap();
        let weights = &trainer.weights().unwrap().tensors[name];
        for (average, &x) in want.iter_mut().zip(&weights.data) {
            *average += share * (f64::from(x) - *average);
        }
    }
    let tensors = trainer.weights().unwrap().tensors;
    let got = &tensors[&format!("ema.{name}")];
    assert_ne!(got, &tensors[name]);
    for (got, want) in got.data.iter().zip(want) {
        assert!((f64::from(*got) - want).abs() < 1e-6, "{got}, not {want}");
    }
    // Its vectors are its own, and of length one.
    let u = "G.up_0.conv_0.weight_u";
    let own = &tensors[&format!("ema.{u}")];
    assert_ne!(own, &tensors[u]);
    let length: f64 = own.data.iter().map(|&x| f64::from(x * x)).sum();
    assert!((length - 1.0).abs() < 1e-5, "{length}");
    // Other networks have none.
    let averaged = tensors.keys().filter(|name| name.starts_with("ema."));
    let of_generator = tensors.keys().filter(|name| name.starts_with("G."));
    assert_eq!(averaged.count(), of_generator.count());
}

/// Without spectral norm: at a rate of zero nothing moves but running statistics, twice an iteration.
fn at_rest(training: Training) -> Training {
    let norm_g = "spadesyncbatch3x3".parse().unwrap();
    let model = ModelConfig {
        norm_g,
        ..training.model
    };
    Training { model, ..training }
}

/// An iteration at a rate of zero.
fn rest(trainer: &mut Trainer) {
    let schedule = Schedule {
        generator: Some(0.0),
        discriminator: 0.0,
    };
    with_feed(trainer, 0.5, [1, 1], |trainer, feed| {
        trainer.step(feed, schedule).unwrap();
    });
}

fn trainer_at_rest(training: Training) -> Trainer {
    let mut trainer = trainer_of(at_rest(training));
    rest(&mut trainer);
    trainer
}

/// The average moves with the generator's step. The discriminator's moves the statistics on, a tenth of what was left of
/// the way, so of the 1.9 tenths of an iteration the average has seen one.
#[test]
fn the_average_follows_running_statistics() {
    let ema = DECAY;
    let mut trainer = trainer_of(Training {
        ema,
        ..at_rest(training())
    });
    let names = ["mean", "var"].map(|end| format!("G.up_0.norm_0.param_free_norm.running_{end}"));
    let read = |trainer: &Trainer, prefix: &str| -> [Vec<f64>; 2] {
        let tensors = trainer.weights().unwrap().tensors;
        let values = |name: &String| tensors[&format!("{prefix}{name}")].data.clone();
        names
            .each_ref()
            .map(|name| values(name).into_iter().map(f64::from).collect())
    };
    let mut want = read(&trainer, "");
    for share in SHARES {
        let before = read(&trainer, "");
        rest(&mut trainer);
        let after = read(&trainer, "");
        for (i, want) in want.iter_mut().enumerate() {
            for (j, average) in want.iter_mut().enumerate() {
                let seen = before[i][j] + (after[i][j] - before[i][j]) / 1.9;
                *average += share * (seen - *average);
            }
        }
    }
    let (newest, got) = (read(&trainer, ""), read(&trainer, "ema."));
    assert_ne!(newest, got);
    for (got, want) in got.iter().flatten().zip(want.iter().flatten()) {
        let limit = 1e-6 * want.abs().max(1.0);
        assert!((got - want).abs() < limit, "{got}, not {want}");
    }
}

/// Two forwards of one batch take running values 19 % of the way from 0 and 1 to the batch's own.
#[test]
fn recalibrated_statistics_are_those_of_the_batches() {
    for (ema, training) in [
        (None, training()),
        (Some(0.5), training()),
        (None, training_of_styles()),
    ] {
        let mut trainer = trainer_at_rest(Training { ema, ..training });
        let moved = trainer.weights().unwrap().tensors;
        let mut calibration = trainer.calibration().unwrap();
        for _ in 0..2 {
            with_feed(&mut trainer, 0.5, [1, 1], |trainer, feed| {
                trainer.observe(&mut calibration, feed).unwrap();
            });
        }
        trainer.recalibrate(&mut calibration).unwrap();
        let exact = trainer.weights().unwrap().tensors;
        let prefix = if ema.is_some() { "ema." } else { "" };
        for norm in ["head_0.norm_0", "up_1.norm_s", "up_3.norm_1"] {
            for (end, start) in [("mean", 0.0), ("var", 1.0)] {
                let name = format!("G.{norm}.param_free_norm.running_{end}");
                let of_batch = &exact[&format!("{prefix}{name}")].data;
                for (of_batch, moved) in of_batch.iter().zip(&moved[&name].data) {
                    let want = 0.81 * start + 0.19 * of_batch;
                    let limit = 1e-4 * want.abs().max(1e-2);
                    assert!((moved - want).abs() < limit, "{name}: {moved}, {want}");
                }
            }
        }
        // Nothing else changed: with an average, not even the running statistics of the newest weights.
        let own = format!("{prefix}G.");
        let may_change = |name: &String| name.starts_with(&own) && name.contains("running_");
        for name in moved.keys().filter(|name| !may_change(name)) {
            assert!(moved[name] == exact[name], "{name} changed");
        }
    }
}

/// One batch counts as much as any other, and the estimate before as nothing.
#[test]
fn recalibration_averages_evenly() {
    let mut trainer = trainer_at_rest(training());
    let mut calibration = trainer.calibration().unwrap();
    let name = "ema.G.up_1.norm_0.param_free_norm.running_";
    let mut estimate = |batches: &[u32]| {
        for &pixels in batches {
            with_map(
                &mut trainer,
                &stripes(pixels),
                0.5,
                [1, 1],
                |trainer, feed| {
                    trainer.observe(&mut calibration, feed).unwrap();
                },
            );
        }
        trainer.recalibrate(&mut calibration).unwrap();
        let tensors = trainer.weights().unwrap().tensors;
        ["mean", "var"].map(|end| tensors[&format!("{name}{end}")].data.clone())
    };
    let [wide, narrow] = [300, 7].map(|pixels| estimate(&[pixels]));
    let together = estimate(&[300, 7, 300]);
    assert!(wide != narrow, "batches of different statistics");
    for (i, got) in together.iter().enumerate() {
        for (j, got) in got.iter().enumerate() {
            let want = (2.0 * f64::from(wide[i][j]) + f64::from(narrow[i][j])) / 3.0;
            // Three roundings or so of each of three steps.
            let limit = 1e-6 * f64::from(wide[i][j].abs().max(narrow[i][j].abs()));
            assert!((f64::from(*got) - want).abs() <= limit, "{got}, not {want}");
        }
    }
    // What an estimate that was not finished took is forgotten.
    with_map(&mut trainer, &stripes(7), 0.5, [1, 1], |trainer, feed| {
        trainer.observe(&mut calibration, feed).unwrap();
    });
    calibration.begin();
    with_map(&mut trainer, &stripes(300), 0.5, [1, 1], |trainer, feed| {
        trainer.observe(&mut calibration, feed).unwrap();
    });
    trainer.recalibrate(&mut calibration).unwrap();
    let tensors = trainer.weights().unwrap().tensors;
    assert!(tensors[&format!("{name}mean")].data == wide[0]);
}

#[test]
fn statistics_of_the_batch_draw_what_training_shows() {
    let trainer = trainer_at_rest(training());
    let shown = trainer.pictures().unwrap();
    let weights = trainer.weights().unwrap();
    let model = trainer.training().model.clone();
    let mut generator = Generator::new(&common::gpus()[0], model, &weights).unwrap();
    let farthest = |drawn: &Tensor| {
        let pairs = shown.data().iter().zip(drawn.data());
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    let running = generator.pictures(&labels(), &[]).unwrap();
    generator.use_batch_statistics(true);
    let of_batch = generator.pictures(&labels(), &[]).unwrap();
    // The same kernels on the same numbers, but for tables whose windows are numbered alike.
    assert!(farthest(&of_batch) < 1e-5, "{}", farthest(&of_batch));
    assert!(farthest(&running) > 1e-3, "{}", farthest(&running));
}
