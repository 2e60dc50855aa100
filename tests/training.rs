//! Training as a whole: the networks learn what they are shown, a step in the middle of it creates nothing on the device,
//! and a batch computed in parts makes the update of the whole.

mod common;

use spadework::Error;
use spadework::config::{Bytes, LossConfig, ModelConfig};
use spadework::gpu::{Gpu, choose_adapter};
use spadework::model::init::normal;
use spadework::model::{Feed, Keep, Losses, Room, Schedule, Trainer, Training};
use spadework::ops::Family;
use spadework::state::HostTensor;
use spadework::windows::IdMap;
use std::collections::BTreeMap;
use std::sync::Arc;

const SIDE: usize = 32;
const PICTURES: usize = 4;
const RATE_D: f64 = 4e-3;

/// Four pictures of two regions each, every class in a colour of its own with a gentle gradient over it.
struct Pictures {
    map: IdMap,
    photos: Vec<f32>,
}

fn pictures(side: usize) -> Pictures {
    let colours = [
        [0.8, -0.2, -0.7],
        [-0.6, 0.5, 0.1],
        [0.1, 0.2, 0.9],
        [-0.3, -0.8, 0.4],
    ];
    let mut labels = Vec::new();
    let mut photos = Vec::new();
    for picture in 0..PICTURES {
        for at in 0..side * side {
            let (y, x) = (at / side, at % side);
            let is_first = if picture % 2 == 0 {
                x + picture < side / 2
            } else {
                y < side / 2
            };
            let label = (picture + usize::from(is_first)) % colours.len();
            labels.push(label as u32);
            let shade = 0.2 * (x as f32 / side as f32 - 0.5);
            photos.extend(colours[label].map(|c: f32| c + shade));
        }
    }
    Pictures {
        map: IdMap::from_labels([PICTURES, side, side], &labels, None),
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
        accumulate: 1,
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
    let (mut trainer, pictures) = (trainer(&common::gpus()[0]), pictures(SIDE));
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
    falls_on(&common::gpus()[0], 100, 3.0);
}

#[test]
fn losses_fall_with_maps_in_halves() {
    falls_on(&common::gpus()[0].with_half_maps().unwrap(), 40, 1.5);
}

/// In so many iterations, to such a part of what they were.
fn falls_on(gpu: &Arc<Gpu>, iterations: usize, part: f32) {
    let (mut trainer, pictures) = (trainer(gpu), pictures(SIDE));
    let tables = trainer.inputs().tables(&pictures.map).unwrap();
    let first = step(&mut trainer, &pictures, &tables, 0.0);
    let mut last = first.clone();
    for _ in 0..iterations {
        last = step(&mut trainer, &pictures, &tables, 0.0);
    }
    let [before, after] = [&first, &last].map(|losses| {
        let mut all = losses.0.iter();
        all.find(|(name, _)| *name == "GAN_Feat").unwrap().1
    });
    assert!(after < before / part, "{first:?}, then {last:?}");
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
    let (mut trainer, pictures) = (trainer(&gpu), pictures(SIDE));
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
    let (mut trainer, pictures) = (trainer(&gpu), pictures(SIDE));
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

/// The adapter under test without these features, and with so much of everything else.
fn lacking(features: wgpu::Features, limits: Option<wgpu::Limits>) -> Arc<Gpu> {
    let adapter = choose_adapter(None).unwrap();
    let descriptor = wgpu::DeviceDescriptor {
        required_features: EXTRAS & (adapter.features() - features),
        required_limits: limits.unwrap_or(adapter.limits()),
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    Gpu::from_device(device, queue)
}

/// What a device is asked for where its adapter has it.
const EXTRAS: wgpu::Features = wgpu::Features::SUBGROUP
    .union(wgpu::Features::TIMESTAMP_QUERY)
    .union(wgpu::Features::SHADER_F16);

/// Other kernels add up in another order, nothing more: first losses agree to rounding, as gradients of parts do.
#[test]
fn devices_that_lack_all_extras_train_alike() {
    let pictures = pictures(SIDE);
    let first = |gpu: &Arc<Gpu>| {
        let mut trainer = trainer(gpu);
        let tables = trainer.inputs().tables(&pictures.map).unwrap();
        let losses = step(&mut trainer, &pictures, &tables, RATE_D);
        step(&mut trainer, &pictures, &tables, RATE_D);
        losses
    };
    let want = first(&common::gpus()[0]);
    let limit = 60.0 * common::tolerance(4000.0, 1.0);
    for (features, limits) in [
        (wgpu::Features::SUBGROUP, None),
        (wgpu::Features::TIMESTAMP_QUERY, None),
        (wgpu::Features::SHADER_F16, None),
        (EXTRAS, Some(wgpu::Limits::default())),
    ] {
        let gpu = lacking(features, limits);
        if features.contains(wgpu::Features::SUBGROUP) {
            assert!(matches!(gpu.family, Family::Tiled(_)), "{:?}", gpu.family);
        }
        if features.contains(wgpu::Features::SHADER_F16) {
            for half in [gpu.with_half(), gpu.with_half_maps()] {
                let error = half.unwrap_err().to_string();
                assert!(error.contains("has no 16-bit floats"), "{error}");
            }
        }
        for ((name, got), (_, want)) in first(&gpu).0.iter().zip(&want.0) {
            let difference = f64::from((got - want).abs());
            assert!(
                difference <= limit * f64::from(want.abs()).max(1.0),
                "{name} without {features:?}: {got}, not {want}"
            );
        }
    }
}

/// Of a first grid of one pixel instance norm would leave nothing.
const WIDE: usize = 64;

/// Networks without a norm over the batch, with styles, whose batches are computed in so many parts.
fn separable(
    gpu: &Arc<Gpu>,
    accumulate: usize,
    keep: Keep,
    room: Room,
) -> spadework::Result<Trainer> {
    let training = Training {
        model: ModelConfig {
            label_nc: 4,
            ngf: 4,
            ndf: 4,
            spade_hidden: 8,
            crop_size: WIDE,
            use_vae: true,
            z_dim: 5,
            enc_size: 128,
            norm_g: "spectralspadeinstance3x3".parse().unwrap(),
            ..ModelConfig::default()
        },
        loss: LossConfig::default(),
        betas: (0.5, 0.9),
        ema: Some(0.5),
        batch_size: PICTURES,
        accumulate,
        vgg_divisor: None,
    };
    Trainer::within(gpu, training, keep, room)
}

/// Networks that are drawn, on the adapter under test.
fn in_parts(accumulate: usize, keep: Keep, room: Room) -> spadework::Result<Trainer> {
    let mut trainer = separable(&common::gpus()[0], accumulate, keep, room)?;
    trainer.initialise(3)?;
    trainer.start_average()?;
    Ok(trainer)
}

fn iterate(trainer: &mut Trainer, photos: &[f32], rate: f64) -> spadework::Result<Losses> {
    let map = pictures(WIDE).map;
    let count = PICTURES * trainer.training().model.z_dim;
    let noise = [1, 2].map(|seed| normal(seed, "noise", count));
    let feed = Feed {
        photos,
        map: &map,
        windows: &trainer.tables(&map)?,
        noise: [&noise[0], &noise[1]],
    };
    let schedule = Schedule {
        generator: Some(rate),
        discriminator: 4.0 * rate,
    };
    trainer.step(&feed, schedule)
}

/// Gradients that are rounding alone: instance norm takes away what is added to a whole channel before it, and of the last
/// bias of a discriminator photos undo what pictures do.
const LOST: [&str; 4] = [
    ".conv_0.bias",
    ".conv_1.bias",
    ".norm_s.mlp_beta.bias",
    ".model4.0.bias",
];

/// The parts' sums are those of the whole batch in another order. A rounding at any place of the network moves what comes
/// behind it, so a limit holds for a tensor as a whole: its difference against its size, both as root mean squares. About
/// 60 operations follow one another from a weight to the loss and back, each of them a sum over up to 4000 terms.
#[test]
fn a_batch_in_parts_has_losses_and_gradients_of_the_whole() {
    let limit = 60.0 * common::tolerance(4000.0, 1.0);
    let photos = pictures(WIDE).photos;
    let [whole, halves, single] = [1, 2, 4].map(|accumulate| {
        let mut trainer = in_parts(accumulate, Keep::Everything, Room::default()).unwrap();
        // At a rate of zero the discriminator's step sees the same generator, to the last bit.
        let losses = iterate(&mut trainer, &photos, 0.0).unwrap();
        (trainer, losses)
    });
    let state = whole.0.weights().unwrap();
    let names = |network: &'static str| {
        let specs = whole.0.params().trained(network);
        let is_lost = |name: &str| LOST.iter().any(|end| name.ends_with(end));
        specs
            .filter(|spec| !is_lost(&spec.name))
            .map(|spec| format!("grad.{}", spec.name))
            .collect::<Vec<_>>()
    };
    for (parts, losses) in [halves, single] {
        let in_parts = parts.training().accumulate;
        for ((name, got), (of, want)) in losses.0.iter().zip(&whole.1.0) {
            assert_eq!(name, of);
            let difference = f64::from((got - want).abs());
            assert!(
                difference <= limit * f64::from(want.abs()),
                "{name}: {got}, not {want}"
            );
        }
        let compare = |name: &str, got: &HostTensor, want: &HostTensor| {
            let rms =
                |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
            let pairs = got.data.iter().zip(&want.data);
            let apart = rms(&mut pairs.map(|(a, b)| f64::from(a - b)));
            let size = rms(&mut want.data.iter().map(|&x| f64::from(x)));
            assert!(size > 0.0, "{name} says nothing");
            assert!(
                apart <= limit * size,
                "{name} in {in_parts} parts: {apart:e} of {size:e}"
            );
        };
        for name in [names("G."), names("E.")].concat() {
            let [got, want] = [&parts, &whole.0].map(|t| t.read_generator_step(&name).unwrap());
            compare(&name, &got, &want);
        }
        for name in names("D.") {
            let [got, want] = [&parts, &whole.0].map(|t| t.read_discriminator_step(&name).unwrap());
            compare(&name, &got, &want);
        }
        // Vectors advance twice an iteration, not with every part.
        let after = parts.weights().unwrap();
        assert_eq!(after.counters, state.counters);
        for (name, tensor) in &state.tensors {
            if name.ends_with("_u") || name.ends_with("_v") {
                assert!(after.tensors[name] == *tensor, "{name}");
            }
        }
        assert_eq!(parts.updates(), whole.0.updates());
    }
}

/// With decays of 0 and 0.9 the second moment is a tenth of the squared gradient after one update, so it is off by twice as
/// much; a weight moves by its rate whatever the gradient's size, and its average follows.
#[test]
fn a_batch_in_parts_makes_one_update() {
    let limit = 2.0 * 60.0 * common::tolerance(4000.0, 1.0);
    let photos = pictures(WIDE).photos;
    let [whole, halves] = [1, 2].map(|accumulate| {
        let mut trainer = in_parts(accumulate, Keep::Losses, Room::default()).unwrap();
        let before = trainer.weights().unwrap().tensors;
        iterate(&mut trainer, &photos, 1e-3).unwrap();
        (
            before,
            trainer.weights().unwrap().tensors,
            trainer.moments().unwrap(),
        )
    });
    let name = "G.up_3.conv_0.weight_orig";
    let moments =
        |state: &(_, _, BTreeMap<String, HostTensor>)| state.2[&format!("v.{name}")].data.clone();
    let [got, want] = [moments(&halves), moments(&whole)];
    let rms = |values: &[f32]| {
        values
            .iter()
            .map(|&x| f64::from(x).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    let apart: Vec<f32> = got.iter().zip(&want).map(|(a, b)| a - b).collect();
    assert!(rms(&want) > 0.0);
    assert!(
        rms(&apart) <= limit * rms(&want),
        "{:e} of {:e}",
        rms(&apart),
        rms(&want)
    );
    for (before, after, _) in [&whole, &halves] {
        for name in [
            name,
            "D.discriminator_0.model0.0.weight",
            "ema.G.up_3.conv_0.weight_orig",
        ] {
            assert!(before[name] != after[name], "{name} stays");
        }
    }
}

/// Until the last part has shown that all numbers are good, nothing changes.
#[test]
fn a_bad_number_in_the_last_part_changes_nothing() {
    let photos = pictures(WIDE).photos;
    let mut bad = photos.clone();
    *bad.last_mut().unwrap() = f32::NAN;
    let [mut clean, mut shaken] =
        [(); 2].map(|()| in_parts(2, Keep::Losses, Room::default()).unwrap());
    iterate(&mut shaken, &photos, 1e-3).unwrap();
    let before = [shaken.weights().unwrap().tensors, shaken.moments().unwrap()];
    let error = iterate(&mut shaken, &bad, 1e-3).unwrap_err().to_string();
    assert!(error.contains("update 2 of the generator"), "{error}");
    assert!(error.contains("the update was not made"), "{error}");
    assert!(shaken.is_between_iterations());
    let after = [shaken.weights().unwrap().tensors, shaken.moments().unwrap()];
    assert!(before == after);
    // What the bad batch left in the sums is gone with the next.
    iterate(&mut shaken, &photos, 1e-3).unwrap();
    (0..2).for_each(|_| drop(iterate(&mut clean, &photos, 1e-3).unwrap()));
    assert!(clean.weights().unwrap() == shaken.weights().unwrap());
    assert!(clean.moments().unwrap() == shaken.moments().unwrap());
}

/// Parts take less memory, as planned, and a limit chooses them where layers computed again do not suffice.
#[test]
fn a_limit_computes_batches_in_parts() {
    let bytes = |accumulate, limit: Option<u64>| {
        let room = Room::within(limit.map(Bytes));
        in_parts(accumulate, Keep::Losses, room).map(|trainer| {
            assert_eq!(trainer.footprint().total(), trainer.bytes());
            let sums = trainer.footprint().sums;
            assert_eq!(sums > 0, trainer.training().accumulate > 1);
            (trainer.bytes(), trainer.training().accumulate)
        })
    };
    let whole = bytes(1, None).unwrap();
    let least = bytes(1, Some(whole.0 - 1)).unwrap();
    assert_eq!(least.1, 1, "layers computed again suffice");
    let parts = bytes(1, Some(least.0 - 1)).unwrap();
    assert!(
        parts.0 < least.0 && parts.1 > 1,
        "{parts:?} within {least:?}"
    );
    let error = bytes(1, Some(1 << 16)).unwrap_err().to_string();
    assert!(error.contains("memory_limit"), "{error}");
    // Without a limit that was set, nothing is chosen, and parts are what was asked for.
    let asked = bytes(4, None).unwrap();
    assert!(asked.1 == 4 && asked.0 < whole.0, "{asked:?} of {whole:?}");
}

/// Root of the sum of squares.
fn size(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|x| x * x).sum::<f64>().sqrt()
}

/// How far each gradient of one trainer is from another's, as a share of its size.
fn distances(
    (trainer, _): &(Trainer, Losses),
    (whole, _): &(Trainer, Losses),
) -> BTreeMap<String, f64> {
    let mut distances = BTreeMap::new();
    for spec in whole.params().trained("") {
        if LOST.iter().any(|end| spec.name.ends_with(end)) {
            continue;
        }
        let name = format!("grad.{}", spec.name);
        let [got, want] = [trainer, whole].map(|trainer| match spec.name.starts_with("D.") {
            true => trainer.read_discriminator_step(&name).unwrap().data,
            false => trainer.read_generator_step(&name).unwrap().data,
        });
        let apart = size(got.iter().zip(&want).map(|(a, b)| f64::from(a - b)));
        distances.insert(name, apart / size(want.iter().map(|&x| f64::from(x))));
    }
    distances
}

/// A map in 16-bit floats is off by up to 2^-11 of each number. So is what a layer computes of weights that are off by
/// 2^-11, up or down, all of them: such a network differs from the exact one by as much as a change of that size makes,
/// which the kinks of these small maps magnify. Maps in halves must not be further away but for chance; three maps in a
/// row are rounded for each weight that is met, so `sqrt(3)` as far.
#[test]
fn maps_in_halves_move_gradients_as_their_roundings_do() {
    let photos = pictures(WIDE).photos;
    let half = common::gpus()[0].with_half_maps().unwrap();
    let stepped = |gpu: &Arc<Gpu>, shake: Option<&str>| {
        let mut trainer = separable(gpu, 1, Keep::Everything, Room::default()).unwrap();
        trainer.initialise(3).unwrap();
        trainer.start_average().unwrap();
        if let Some(seed) = shake {
            let mut noise = common::Noise::new(seed);
            let mut state = trainer.weights().unwrap();
            let trained = trainer.params().trained("");
            for name in trained.map(|spec| spec.name.clone()).collect::<Vec<_>>() {
                for value in &mut state.tensors.get_mut(&name).unwrap().data {
                    *value *= 1.0 + 2f32.powi(-11) * if noise.unit() < 0.5 { -1.0 } else { 1.0 };
                }
            }
            trainer.load(&state, "").unwrap();
        }
        let losses = iterate(&mut trainer, &photos, 0.0).unwrap();
        (trainer, losses)
    };
    let gpu = &common::gpus()[0];
    let whole = stepped(gpu, None);
    let halves = stepped(&half, None);
    let got = distances(&halves, &whole);
    let shaken = ["one", "two", "three"].map(|seed| distances(&stepped(gpu, Some(seed)), &whole));
    let ratios: Vec<f64> = got
        .iter()
        .map(|(name, distance)| {
            let of = shaken.iter().map(|shaken| shaken[name]);
            let ratio = distance / of.fold(0.0, f64::max);
            assert!(
                ratio < 3.0,
                "{name} is {distance:e} away, {ratio:.2} of a change of that size"
            );
            ratio
        })
        .collect();
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    assert!(ratios.len() > 100 && mean < 3f64.sqrt(), "{mean}");
    for ((name, got), (_, want)) in halves.1.0.iter().zip(&whole.1.0) {
        // About 60 operations follow one another.
        let limit = 60.0 * 2f64.powi(-11) * f64::from(want.abs());
        assert!(
            f64::from((got - want).abs()) < limit,
            "{name}: {got}, not {want}"
        );
    }
    let [less, more] = [&halves, &whole].map(|(trainer, _)| trainer.bytes());
    assert!(less < more, "{less} bytes, not {more}");
}
