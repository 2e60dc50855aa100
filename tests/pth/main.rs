//! PyTorch's files: read to the bit, written for PyTorch, old layouts brought up to date, hostile ones refused.

mod anything;
mod assembler;
mod hostile;
mod memory;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use assembler::{Storage, legacy};
use serde::Deserialize;
use spadework::convert::{modernise, pth, read_selected_weights, read_weights};
use spadework::state::{HostTensor, StateDict, TensorFile};

#[derive(Deserialize)]
struct Expected {
    files: BTreeMap<String, Description>,
    before_v_sigma: f64,
}

#[derive(Deserialize)]
struct Description {
    tensors: BTreeMap<String, Numbers>,
    counters: BTreeMap<String, i64>,
}

#[derive(Deserialize)]
struct Numbers {
    shape: Vec<usize>,
    crc: u32,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn expected() -> Expected {
    let file = File::open(fixture("pth_expected.json")).unwrap();
    serde_json::from_reader(file).unwrap()
}

#[test]
fn pytorch_files_are_read_to_the_bit() {
    for (name, expected) in expected().files {
        let state = read_weights(&fixture(&name)).unwrap();
        let names = |keys: Vec<&String>| keys.into_iter().cloned().collect::<Vec<_>>();
        assert_eq!(
            names(state.tensors.keys().collect()),
            names(expected.tensors.keys().collect()),
            "{name}"
        );
        for (key, numbers) in &expected.tensors {
            let tensor = &state.tensors[key];
            let crc = crc32fast::hash(bytemuck::cast_slice(&tensor.data));
            assert_eq!(tensor.shape, numbers.shape, "{name}: {key}");
            assert_eq!(crc, numbers.crc, "{name}: {key} is {:?}", tensor.data);
        }
        assert_eq!(state.counters, expected.counters, "{name}");
    }
}

#[test]
fn files_before_weight_v_are_modernised() {
    let mut state = read_weights(&fixture("pth_before_v.pth")).unwrap();
    modernise(&mut state).unwrap();
    let names: Vec<_> = state.tensors.keys().map(String::as_str).collect();
    let now = [
        "conv.weight_orig",
        "conv.weight_u",
        "conv.weight_v",
        "norm.running_mean",
    ];
    assert_eq!(names, now);
    assert_eq!(state.counters["norm.num_batches_tracked"], 0);
    let numbers = |name: &str| &state.tensors[&format!("conv.{name}")].data;
    let (u, v) = (numbers("weight_u"), numbers("weight_v"));
    let rows = numbers("weight_orig").chunks_exact(v.len());
    let row = |row: &[f32]| -> f64 {
        let products = row
            .iter()
            .zip(v)
            .map(|(&m, &v)| f64::from(m) * f64::from(v));
        products.sum()
    };
    let sigma: f64 = rows.zip(u).map(|(r, &u)| row(r) * f64::from(u)).sum();
    let expected = expected().before_v_sigma;
    // The stored weight was rounded to 32 bits, and so is v: half a unit of 1.2e-7 each, per number.
    assert!(
        (sigma / expected - 1.0).abs() < 2.4e-7,
        "{sigma} for {expected}"
    );
}

/// What `make_pth.py check` looks for.
fn example() -> StateDict {
    let eighths = (0..12).map(|i| i as f32 / 8.0 - 1.0).collect();
    let tensors = [
        ("a.weight", HostTensor::new([1, 2, 3, 2], eighths)),
        ("b.bias", HostTensor::new([3], vec![1e-45, -0.0, 3e38])),
        ("c.empty", HostTensor::new([0, 2], vec![])),
        ("d.scalar", HostTensor::new([], vec![0.5])),
    ];
    StateDict {
        tensors: tensors.map(|(name, t)| (name.to_owned(), t)).into(),
        counters: [("n.num_batches_tracked".to_owned(), (1 << 40) + 1)].into(),
    }
}

#[test]
fn written_files_load_in_pytorch() {
    let mut written = Vec::new();
    pth::write(&example(), &mut written).unwrap();
    let path = fixture("pth_written.pth");
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    // PyTorch was shown this file; see make_pth.py.
    assert!(
        written == std::fs::read(&path).unwrap(),
        "the bytes changed"
    );
    assert_eq!(read_weights(&path).unwrap(), example());
}

#[test]
fn storages_are_aligned() {
    let mut written = Vec::new();
    pth::write(&example(), &mut written).unwrap();
    let numbers: &[u8] = bytemuck::cast_slice(&example().tensors["a.weight"].data)
        .to_vec()
        .leak();
    let at = written.windows(numbers.len()).position(|w| w == numbers);
    assert_eq!(at.unwrap() % 64, 0);
}

#[test]
fn selected_weights_of_either_kind() {
    let folder = tempfile::tempdir().unwrap();
    let tensor = |x| HostTensor::new([1], vec![x]);
    let state = StateDict {
        tensors: [
            ("module.features.0.bias".to_owned(), tensor(1.0)),
            ("module.classifier.0.bias".to_owned(), tensor(2.0)),
        ]
        .into(),
        ..StateDict::default()
    };
    let (torch, safe) = (folder.path().join("a.pth"), folder.path().join("b"));
    pth::write(&state, &mut File::create(&torch).unwrap()).unwrap();
    let file = TensorFile {
        state,
        ..TensorFile::default()
    };
    file.write(&mut File::create(&safe).unwrap()).unwrap();
    for path in [torch, safe] {
        let state = read_selected_weights(&path, |name| name.starts_with("features.")).unwrap();
        assert_eq!(
            state.tensors,
            [("features.0.bias".to_owned(), tensor(1.0))].into()
        );
        assert_eq!(read_weights(&path).unwrap().tensors.len(), 2);
    }
}

#[test]
fn unreadable_files_are_named() {
    let error = read_weights(Path::new("no/such.pth")).unwrap_err();
    assert_eq!(
        (error.exit_code(), error.to_string().contains("no/such.pth")),
        (1, true)
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.pth");
    std::fs::write(&path, b"\x89PNG\r\n\x1a\n and then some more").unwrap();
    let error = read_weights(&path).unwrap_err();
    assert_eq!(
        (error.exit_code(), error.to_string().contains("picture.pth")),
        (3, true)
    );
}

/// Forms that PyTorch wrote in 2017, torchvision's VGG-19 among them.
#[test]
fn forms_of_old_are_read() {
    const TENSOR: &str = "ctorch._utils\n_rebuild_tensor\n((S'storage' ctorch\nFloatStorage\n S'0' S'cpu' K4 N tQ K1 (K3 t (K1 t tR";
    let numbers = [0.5, 1.5, 2.5, 3.5];
    let storages = [Storage::new("0", &numbers)];
    for value in [
        TENSOR.to_owned(),
        // A parameter by call, by instruction, and one that is filled later.
        format!("ctorch.nn.parameter\nParameter\n({TENSOR} \\x88 tR"),
        format!("ctorch.nn.parameter\nParameter\n{TENSOR} \\x85\\x81(\\x88\\x89 N tb"),
        format!("ctorch.nn.parameter\nParameter\n)\\x81({TENSOR} N N \\x88\\x89tb"),
        format!(
            "ctorch._utils\n_rebuild_parameter\n({TENSOR} \\x88 ccollections\nOrderedDict\n)R tR"
        ),
        // A view of a storage.
        TENSOR
            .replace("K4 N t", "K4 (S'1' K1 K3 t t")
            .replace("K1 (K3", "K0 (K3"),
    ] {
        for object in [
            format!("ccollections\nOrderedDict\n)R(S'x' {value} u."),
            format!("ccollections\nOrderedDict\n(](](S'x' {value} eetR."),
            format!("}}S'x' {value} s."),
        ] {
            let state = assembler::read(&legacy(&object, &storages)).unwrap();
            let tensor = HostTensor::new([3], numbers[1..].to_vec());
            assert_eq!(state.tensors, [("x".to_owned(), tensor)].into(), "{object}");
        }
    }
}
