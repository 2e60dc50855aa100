//! Training steps as transactions: what goes wrong changes nothing, and what goes right is reproducible.

mod common;

use spadework::config::{LossConfig, ModelConfig};
use spadework::model::{Feed, Keep, Losses, Schedule, Trainer, Training};
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

fn trainer() -> Trainer {
    let mut trainer = Trainer::new(&common::gpus()[0], training(), Keep::Losses).unwrap();
    trainer.initialise(7).unwrap();
    trainer
}

fn step(trainer: &mut Trainer, photo: f32) -> Result<Losses> {
    let labels: Vec<u32> = (0..2 * 32 * 32).map(|i| i / 300 % 4).collect();
    let edges: Vec<u8> = (0..labels.len()).map(|i| u8::from(i % 11 == 0)).collect();
    let map = IdMap::from_labels([2, 32, 32], &labels, Some(&edges));
    let mut photos: Vec<f32> = (0..labels.len() * 3)
        .map(|i| (i % 13) as f32 / 6.5 - 1.0)
        .collect();
    photos[100] = photo;
    let feed = Feed {
        photos: &photos,
        map: &map,
        windows: &trainer.inputs().tables(&map).unwrap(),
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

#[test]
fn a_run_continues_from_its_state_bit_for_bit() {
    let mut whole = trainer();
    let losses: Vec<Losses> = (0..3).map(|_| step(&mut whole, 0.5).unwrap()).collect();
    let mut first = trainer();
    step(&mut first, 0.5).unwrap();
    let mut second = Trainer::new(&common::gpus()[0], training(), Keep::Losses).unwrap();
    second.load(&first.weights().unwrap(), "").unwrap();
    let (moments, updates) = (first.moments().unwrap(), first.updates());
    second.load_moments(&moments, &updates).unwrap();
    assert_eq!(step(&mut second, 0.5).unwrap(), losses[1]);
    // Synthesis in between, at another batch size, leaves no trace.
    let mut sheet = second.synthesis(1).unwrap();
    let map = IdMap::from_labels([1, 40, 48], &vec![2; 40 * 48], None);
    let pictures = second.synthesise(&mut sheet, &map).unwrap();
    assert!(pictures.data().iter().all(|v| v.abs() <= 1.0));
    assert_eq!(step(&mut second, 0.5).unwrap(), losses[2]);
    assert!(bits(&second.weights().unwrap()) == bits(&whole.weights().unwrap()));
    assert_eq!(
        second.weights().unwrap().counters,
        whole.weights().unwrap().counters
    );
}

#[test]
fn settings_that_are_not_built_are_refused_by_name() {
    let mut training = training();
    training.model.use_vae = true;
    let error = Trainer::new(&common::gpus()[0], training, Keep::Losses).err();
    assert!(error.unwrap().to_string().contains("use_vae"));
}
