//! Training steps as transactions: what goes wrong changes nothing, and what goes right is reproducible.

mod common;

use spadework::config::{LossConfig, ModelConfig};
use spadework::model::init::normal;
use spadework::model::{Feed, Keep, Losses, Schedule, Style, Trainer, Training};
use spadework::state::StateDict;
use spadework::windows::IdMap;
use spadework::{Error, Result};

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
        batch_size: 2,
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
    let labels: Vec<u32> = (0..2 * 32 * 32).map(|i| i / 300 % 4).collect();
    let edges: Vec<u8> = (0..labels.len()).map(|i| u8::from(i % 11 == 0)).collect();
    let map = IdMap::from_labels([2, 32, 32], &labels, Some(&edges));
    let mut photos: Vec<f32> = (0..labels.len() * 3)
        .map(|i| (i % 13) as f32 / 6.5 - 1.0)
        .collect();
    photos[100] = photo;
    let count = 2 * trainer.training().model.z_dim;
    let noise = noise.map(|seed| normal(seed, "noise", count));
    let feed = Feed {
        photos: &photos,
        map: &map,
        windows: &trainer.inputs().tables(&map).unwrap(),
        noise: [&noise[0], &noise[1]],
    };
    let schedule = Schedule {
        generator: Some(1e-4),
        discriminator: 4e-4,
    };
    trainer.step(&feed, schedule)
}

fn bits(state: &StateDict) -> Vec<(String, Vec<u32>)> {
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect();
    let tensors = state.tensors.iter();
    tensors.map(|(k, v)| (k.clone(), bits(&v.data))).collect()
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
