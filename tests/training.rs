//! Training as a whole: the networks learn what they are shown, and a step in the middle of it creates nothing on the
//! device.

mod common;

use spadework::Error;
use spadework::config::{LossConfig, ModelConfig};
use spadework::gpu::Gpu;
use spadework::model::{Feed, Keep, Losses, Schedule, Trainer, Training};
use spadework::windows::IdMap;
use std::sync::Arc;

const SIDE: usize = 32;
const PICTURES: usize = 4;
const RATE_D: f64 = 4e-3;

/// Four pictures of two regions each, every class in a colour of its own with a gentle gradient over it.
struct Pictures {
    map: IdMap,
    photos: Vec<f32>,
}

fn pictures() -> Pictures {
    let colours = [
        [0.8, -0.2, -0.7],
        [-0.6, 0.5, 0.1],
        [0.1, 0.2, 0.9],
        [-0.3, -0.8, 0.4],
    ];
    let mut labels = Vec::new();
    let mut photos = Vec::new();
    for picture in 0..PICTURES {
        for at in 0..SIDE * SIDE {
            let (y, x) = (at / SIDE, at % SIDE);
            let is_first = if picture % 2 == 0 {
                x + picture < SIDE / 2
            } else {
                y < SIDE / 2
            };
            let label = (picture + usize::from(is_first)) % colours.len();
            labels.push(label as u32);
            let shade = 0.2 * (x as f32 / SIDE as f32 - 0.5);
            photos.extend(colours[label].map(|c: f32| c + shade));
        }
    }
    Pictures {
        map: IdMap::from_labels([PICTURES, SIDE, SIDE], &labels, None),
        photos,
    }
}

fn trainer(gpu: &Arc<Gpu>) -> Trainer {
    let training = Training {
        model: ModelConfig {
            label_nc: 4,
            ngf: 4,
            ndf: 4,
            spade_hidden: 8,
            crop_size: SIDE,
            ..ModelConfig::default()
        },
        loss: LossConfig::default(),
        betas: (0.0, 0.9),
        ema: None,
        batch_size: PICTURES,
        vgg_divisor: None,
    };
    let mut trainer = Trainer::new(gpu, training, Keep::Losses).unwrap();
    trainer.initialise(3).unwrap();
    trainer
}

fn step(
    trainer: &mut Trainer,
    pictures: &Pictures,
    tables: &[Vec<u32>],
    discriminator: f64,
) -> Losses {
    let feed = Feed {
        photos: &pictures.photos,
        map: &pictures.map,
        windows: tables,
        noise: [&[], &[]],
    };
    let schedule = Schedule {
        generator: Some(1e-3),
        discriminator,
    };
    trainer.step(&feed, schedule).unwrap()
}

/// Mean difference between the pictures of the last step and the photos.
fn l1(trainer: &Trainer, pictures: &Pictures) -> f64 {
    let fake = trainer.pictures().unwrap();
    let pairs = fake.data().iter().zip(&pictures.photos);
    let sum: f64 = pairs.map(|(a, &b)| (a - f64::from(b)).abs()).sum();
    sum / pictures.photos.len() as f64
}

#[test]
fn four_pictures_are_learned_by_heart() {
    let (mut trainer, pictures) = (trainer(&common::gpus()[0]), pictures());
    let tables = trainer.inputs().tables(&pictures.map).unwrap();
    step(&mut trainer, &pictures, &tables, RATE_D);
    let start = l1(&trainer, &pictures);
    for _ in 0..250 {
        step(&mut trainer, &pictures, &tables, RATE_D);
    }
    let end = l1(&trainer, &pictures);
    assert!(end < start / 5.0, "L1 went from {start} to {end}");
}

/// Against a discriminator that learns, losses rise and fall with its progress; against one that does not they fall.
#[test]
fn losses_fall_before_a_judge_that_stays() {
    let (mut trainer, pictures) = (trainer(&common::gpus()[0]), pictures());
    let tables = trainer.inputs().tables(&pictures.map).unwrap();
    let first = step(&mut trainer, &pictures, &tables, 0.0);
    let mut last = first.clone();
    for _ in 0..100 {
        last = step(&mut trainer, &pictures, &tables, 0.0);
    }
    let [before, after] = [&first, &last].map(|losses| {
        let mut all = losses.0.iter();
        all.find(|(name, _)| *name == "GAN_Feat").unwrap().1
    });
    assert!(after < before / 3.0, "{first:?}, then {last:?}");
}

/// Buffers and textures that the device holds, by its own account.
fn held(trainer: &Trainer) -> Option<(u64, usize)> {
    let report = trainer.gpu().device.generate_allocator_report()?;
    Some((report.total_reserved_bytes, report.allocations.len()))
}

#[test]
fn steps_create_nothing_on_the_device() {
    // A device of its own: what other tests create does not count.
    let gpu = Gpu::open(None).unwrap();
    let (mut trainer, pictures) = (trainer(&gpu), pictures());
    let mut mirrored = pictures.map.clone();
    mirrored.ids.reverse();
    let tables = [&pictures.map, &mirrored].map(|map| trainer.inputs().tables(map).unwrap());
    let mut run = |i: usize| {
        step(&mut trainer, &pictures, &tables[i % 2], RATE_D);
        held(&trainer).expect("the adapter under test counts its allocations")
    };
    let before = [0, 1, 2].map(&mut run)[2];
    // Batches of other layouts run other dispatches, in memory that is there.
    for i in 3..7 {
        assert_eq!(run(i), before);
    }
}

#[test]
fn a_lost_device_is_an_error() {
    let gpu = Gpu::open(None).unwrap();
    let (mut trainer, pictures) = (trainer(&gpu), pictures());
    let tables = trainer.inputs().tables(&pictures.map).unwrap();
    step(&mut trainer, &pictures, &tables, RATE_D);
    gpu.device.destroy();
    let feed = Feed {
        photos: &pictures.photos,
        map: &pictures.map,
        windows: &tables,
        noise: [&[], &[]],
    };
    let schedule = Schedule {
        generator: Some(1e-3),
        discriminator: RATE_D,
    };
    let error = trainer.step(&feed, schedule).unwrap_err();
    assert!(matches!(error, Error::Device(_)), "{error}");
}
