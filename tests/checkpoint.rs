//! Checkpoint files: round trips, refusals, a full disk, and which of them stay.

use std::path::Path;

use spadework::Config;
use spadework::config::{Preset, TrainConfig};
use spadework::data::{Census, Class, ClassTable, LabelSpace, Position};
use spadework::ops::winograd::{Convolution, Method, Pass};
use spadework::state::HostTensor;
use spadework::train::checkpoint::{FORMAT, Origin, Progress, Shelf};
use spadework::train::{Change, Checkpoint, Knob};

fn example() -> Checkpoint {
    let mut space = LabelSpace::new(3, true, true);
    space.table = ClassTable {
        dataset: "Streets".into(),
        classes: vec![Class {
            id: 1,
            name: "road \"x\"".into(),
            colour: Some([1, 2, 3]),
            png_value: Some(7),
        }],
        ..ClassTable::default()
    };
    let mut config = Config::merge(Preset::Tiny, toml::Table::new(), toml::Table::new()).unwrap();
    config.optim.lr = 0.1 + 0.2;
    config.train.seed = i64::MAX as u64;
    let config = config.resolve(&space).unwrap();
    let tensor = |shape: &[usize], first: f32| {
        let count: usize = shape.iter().product();
        let data = (0..count).map(|i| first + i as f32 * 0.1).collect();
        HostTensor::new(shape, data)
    };
    let convolution = Convolution {
        pass: Pass::InputGrad,
        map: [4, 32, 32],
        channels: [64, 128],
    };
    let mut checkpoint = Checkpoint {
        config,
        space,
        progress: Progress {
            position: Position { epoch: 2, batch: 5 },
            step: 1234,
            images: 4936,
            adam_steps: [("G".into(), 1234), ("D".into(), 1230)].into(),
            census: Some(Census {
                pictures: 12,
                names: 0x1234_5678,
            }),
            vgg: Some(0x9abc_def0),
            generator_losses: vec![("GAN".into(), 0.1 + 0.2), ("GAN_Feat".into(), f32::EPSILON)],
            changes: vec![Change {
                step: 1000,
                knob: Knob::LambdaKld,
                from: 0.05,
                to: 0.1,
            }],
        },
        origin: Origin {
            program: "0.1.0".into(),
            adapter: "a card".into(),
            driver: "a driver".into(),
            family: "tiled".into(),
            methods: [(convolution, Method::TilesOfTwo)].into_iter().collect(),
        },
        networks: Default::default(),
        moments: [("v.G.fc.weight".to_owned(), tensor(&[2, 3, 3, 3], 1e-20))].into(),
    };
    let tensors = &mut checkpoint.networks.tensors;
    tensors.insert("G.fc.weight".into(), tensor(&[2, 3, 3, 3], -0.7));
    tensors.insert("G.fc.bias".into(), tensor(&[2], f32::MIN_POSITIVE / 8.0));
    tensors.insert("D.odd".into(), tensor(&[1, 5], f32::MAX / 2.0));
    let counters = &mut checkpoint.networks.counters;
    counters.insert("G.norm.num_batches_tracked".into(), (1 << 40) + 1);
    checkpoint
}

#[test]
fn progress_from_before_pictures_were_counted_is_read() {
    let mut old = serde_json::to_value(example().progress).unwrap();
    for later in ["census", "vgg", "generator_losses"] {
        old.as_object_mut().unwrap().remove(later).unwrap();
    }
    let progress: Progress = serde_json::from_value(old).unwrap();
    assert_eq!(
        (progress.step, progress.census, progress.vgg),
        (1234, None, None)
    );
    assert!(progress.generator_losses.is_empty());
}

#[test]
fn an_origin_from_before_methods_were_kept_is_read() {
    let mut old = serde_json::to_value(example().origin).unwrap();
    old.as_object_mut().unwrap().remove("methods").unwrap();
    let origin: Origin = serde_json::from_value(old).unwrap();
    assert!(origin.methods.is_empty());
    assert!(origin.is_alike(&example().origin));
}

#[test]
fn what_is_saved_is_loaded_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    let checkpoint = example();
    checkpoint.clone().save(&path).unwrap();
    assert_eq!(Checkpoint::load(&path).unwrap(), checkpoint);
    let first = std::fs::read(&path).unwrap();
    checkpoint.save(&path).unwrap();
    assert_eq!(first, std::fs::read(&path).unwrap(), "same bytes twice");

    // Other programs see an ordinary safetensors file with official names.
    let file = safetensors::SafeTensors::deserialize(&first).unwrap();
    assert_eq!(file.tensor("G.fc.weight").unwrap().shape(), [2, 3, 3, 3]);
    let counter = file.tensor("G.norm.num_batches_tracked").unwrap();
    assert_eq!(counter.dtype(), safetensors::Dtype::I64);
    for name in file.names() {
        let data = file.tensor(name).unwrap().data();
        assert_eq!(data.as_ptr().align_offset(4), 0, "{name} is aligned");
    }
}

#[test]
fn non_finite_tensors_are_never_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    example().save(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut weights = example();
        weights.networks.tensors.get_mut("G.fc.bias").unwrap().data[1] = bad;
        let mut moments = example();
        moments.moments.get_mut("v.G.fc.weight").unwrap().data[7] = bad;
        for (checkpoint, name) in [(weights, "G.fc.bias"), (moments, "v.G.fc.weight")] {
            let error = checkpoint.save(&path).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert_eq!(error.exit_code(), 1);
        }
    }
    assert_eq!(before, std::fs::read(&path).unwrap());
}

fn refusal(path: &Path) -> String {
    let error = Checkpoint::load(path).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains(&path.display().to_string()),
        "names the file: {message}"
    );
    assert!(!message.contains('\n'), "one line: {message}");
    message
}

#[test]
fn damaged_and_foreign_files_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    example().save(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let write = |bytes: &[u8]| std::fs::write(&path, bytes).unwrap();

    for length in [0, 3, 8, 100, whole.len() / 2, whole.len() - 1] {
        write(&whole[..length]);
        let message = refusal(&path);
        assert!(
            message.contains("truncated or damaged"),
            "{length}: {message}"
        );
    }
    write(&[&whole[..], &[0]].concat());
    assert!(refusal(&path).contains("truncated or damaged"));
    write(b"\x89PNG\r\n\x1a\n and so on");
    assert!(refusal(&path).contains("not a safetensors file"));

    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]);
    write(&safetensors::serialize([("x", view.unwrap())], None).unwrap());
    assert!(refusal(&path).contains("not of this program"));

    // JSON inside JSON: quotes are escaped.
    let replace = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let mut bytes = whole.clone();
        let at = bytes.windows(from.len()).position(|w| w == from.as_bytes());
        let at = at.unwrap_or_else(|| panic!("{from} is not in the file"));
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    write(&replace(&format!("format\\\":{FORMAT}"), "format\\\":9"));
    let message = refusal(&path);
    assert!(
        message.contains("format 9") && message.contains("update"),
        "{message}"
    );
    write(&replace("\\\"ngf\\\":16", "\\\"ngf\\\":-6"));
    assert!(refusal(&path).contains("metadata is damaged"));
    write(&replace("\\\"ngf\\\":16", "\\\"ngf\\\":00"));
    assert!(refusal(&path).contains("metadata is damaged"));

    std::fs::remove_file(&path).unwrap();
    assert!(refusal(&path).contains("cannot read"));
}

#[test]
fn any_damaged_byte_of_the_header_is_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    example().save(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for at in (0..header + 8).step_by(7) {
        for value in [0, b'9', 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            std::fs::write(&path, bytes).unwrap();
            // Either refused or a number that happens to be another valid one.
            let _ = Checkpoint::load(&path);
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_nothing() {
    // A limit on file size stands in for the full disk: the write fails in the middle in the same way.
    const FOLDER: &str = "SPADEWORK_TEST_FULL_DISK";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let path = Path::new(&folder).join("a.safetensors");
        let mut large = example();
        let zeros = HostTensor::new([1 << 20], vec![0.0; 1 << 20]);
        large.networks.tensors.insert("G.large".into(), zeros);
        let error = large.save(&path).unwrap_err();
        assert!(error.to_string().contains("cannot write"), "{error}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    example().save(&path).unwrap();
    let status = std::process::Command::new("bash")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 1024; exec \"$0\" --exact a_full_disk_loses_nothing",
        ])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, dir.path())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(Checkpoint::load(&path).unwrap(), example());
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "no leftovers"
    );
}

#[test]
fn the_newest_and_every_kth_stay() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path());
    assert!(
        shelf
            .newest()
            .unwrap_err()
            .to_string()
            .contains("no checkpoint")
    );
    // Saved every 25 batches of 4, once more after Ctrl-C in between.
    let config = TrainConfig {
        batch_size: 4,
        save_latest_freq: 100,
        keep_last: 2,
        keep_every: 3,
        ..TrainConfig::default()
    };
    let touch = |name: &str| std::fs::write(dir.path().join(name), b"").unwrap();
    for step in [25, 50, 75, 80, 100, 125, 150, 175, 200] {
        std::fs::write(shelf.path(step), b"").unwrap();
    }
    touch("step-x.safetensors");
    touch("step-00000001.safetensors.bak");
    shelf.prune(&config).unwrap();
    assert_eq!(shelf.steps().unwrap(), [75, 150, 175, 200]);
    assert_eq!(shelf.newest().unwrap(), shelf.path(200));
    shelf.prune(&config).unwrap();
    assert_eq!(shelf.steps().unwrap(), [75, 150, 175, 200]);
    assert!(
        dir.path().join("step-x.safetensors").exists(),
        "others' files are left alone"
    );
}
