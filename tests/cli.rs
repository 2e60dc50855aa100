//! The program from outside: exit codes, messages, files.

use std::path::Path;
use std::process::{Command, Output};

use spadework::Config;
use spadework::config::Preset;
use spadework::convert::pth;
use spadework::data::LabelSpace;
use spadework::gpu::Gpu;
use spadework::model::generator::generator_params;
use spadework::model::init::initial;
use spadework::state::{HostTensor, StateDict};
use spadework::train::Checkpoint;
use spadework::tune::{Cache, FOLDER};

fn spadework(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spadework"));
    command.args(line.split_whitespace());
    // What was measured on this machine must not decide what is tested.
    command.env(FOLDER, concat!(env!("CARGO_TARGET_TMPDIR"), "/untuned"));
    command
}

fn run(line: &str) -> Output {
    spadework(line).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Expects an exit code, and an error of one line that says all of `parts`, without colours.
#[track_caller]
fn refused(line: &str, code: i32, parts: &[&str]) {
    refused_output(line, &run(line), code, parts);
}

#[track_caller]
fn refused_output(line: &str, output: &Output, code: i32, parts: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{line}: {text}");
    let error = text.lines().rfind(|line| line.starts_with("error: "));
    let error = error.unwrap_or_else(|| panic!("{line}: no error line in {text:?}"));
    for part in parts {
        assert!(error.contains(part), "{line}: {part:?} is not in {error:?}");
    }
    assert!(
        !text.contains('\x1b') && !text.contains("panicked"),
        "{text}"
    );
}

#[track_caller]
fn accepted(line: &str) -> String {
    let output = run(line);
    assert!(output.status.success(), "{line}: {}", stderr(&output));
    stdout(&output)
}

fn empty_folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn without_a_command_or_a_display_it_helps() {
    let mut command = spadework("");
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let text = stderr(&output);
    assert!(
        text.contains("Usage: spadework") && text.contains("demo"),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "{text}");
}

#[test]
#[cfg_attr(not(feature = "window"), ignore = "the help shows every command")]
fn help_says_what_there_is() {
    let helps = [
        "",
        "demo",
        "train",
        "synth",
        "eval",
        "paint",
        "watch",
        "check",
        "tune",
        "bench",
        "bench kernels",
        "bench synth",
        "bench train",
        "bench sizes",
        "bench windows",
        "bench start",
        "bench floor",
        "inspect",
        "report",
        "import",
        "export",
        "landscapes",
        "devices",
    ]
    .map(|command| {
        let help = accepted(&format!("{command} --help"));
        assert!(
            help.lines().all(|line| line.chars().count() <= 140),
            "{help}"
        );
        help
    });
    insta::assert_snapshot!(helps.join("\n--------\n\n"));
}

#[test]
fn wrong_usage_is_2() {
    for line in [
        "",
        "bake",
        "devices --adaptor 0",
        "train",
        "synth",
        "check",
        "landscapes --out x --size 12x",
        "train x --out y --preset huge",
        "train x --out y --norm-g spadebatch2x2",
        "train x --out y --resume --preset tiny",
        "train x --out y --landscapes 3",
        "bench",
        "bench synth --seconds -1",
        "bench synth --crop-size 16",
        "bench windows --ngf 0",
        "tune --ngf 4",
        "tune a.safetensors --preset tiny",
        "tune --preset tiny --vgg",
        "tune --preset tiny --training --half",
    ] {
        let output = run(line);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{line}");
    }
}

#[test]
#[cfg(feature = "window")]
fn a_machine_without_a_display_is_told_so() {
    let dir = empty_folder();
    let here = dir.path().display();
    refused("paint none.safetensors", 1, &["none.safetensors"]);
    let parts = ["no folder of a run", "config.toml"];
    refused(&format!("watch {here}"), 3, &parts);
    if cfg!(target_os = "linux") {
        let mut paint = spadework("paint");
        let paint = paint.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        let output = paint.env_remove("WAYLAND_SOCKET").output().unwrap();
        refused_output(
            "paint",
            &output,
            4,
            &["cannot open a window", "without a display"],
        );
    }
}

#[test]
fn a_machine_without_adapters_is_told_what_to_install() {
    let output = spadework("devices")
        .env("VK_DRIVER_FILES", "/nonexistent")
        .env("VK_ICD_FILENAMES", "/nonexistent")
        .output()
        .unwrap();
    if cfg!(target_os = "linux") {
        let parts = ["no GPU adapter", "mesa-vulkan-drivers"];
        refused_output("devices", &output, 4, &parts);
    }
}

#[test]
fn devices_tell_their_kernels() {
    let devices: serde_json::Value = serde_json::from_str(&accepted("devices --json")).unwrap();
    let kernels = devices[0]["kernels"].as_str().unwrap();
    assert!(
        kernels.starts_with("tiled") || kernels.starts_with("subgroup"),
        "{kernels}"
    );
    assert!(accepted("devices").starts_with("0: "));
    refused("check --adapter 0 /nonexistent", 3, &["/nonexistent"]);
}

#[test]
fn units_for_matrices_are_there_or_missed_aloud() {
    let dir = empty_folder();
    let at = |name: &str| dir.path().join(name).display().to_string();
    accepted(&format!("landscapes --out {} --count 1 --val 1", at("set")));
    let line = format!("synth {} --out {}", at("set/val_label"), at("pictures"));
    let devices: serde_json::Value = serde_json::from_str(&accepted("devices --json")).unwrap();
    let [name, features] = ["name", "features"].map(|key| &devices[0][key]);
    let has_units = features
        .as_array()
        .unwrap()
        .contains(&"cooperative matrices".into());
    for line in [
        &line,
        "bench synth --preset tiny --crop-size 64 --ngf 2 --seconds 0.05",
    ] {
        let line = format!("{line} --half --cooperative");
        match has_units {
            true => drop(accepted(&line)),
            false => refused(
                &line,
                2,
                &[name.as_str().unwrap(), "16x16", "leave out --cooperative"],
            ),
        }
    }
    refused(&format!("{line} --cooperative"), 2, &["required arguments"]);
}

/// The smallest network there is, and the least patience.
const SMALLEST: &str = "--preset tiny --crop-size 64 --ngf 2 --seconds 0.05 --json";

#[track_caller]
fn measured(what: &str) -> serde_json::Value {
    let told = accepted(&format!("bench {what} {SMALLEST}"));
    let mut told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(told["machine"]["cores"].as_u64().unwrap() > 0, "{told}");
    told["result"].take()
}

#[track_caller]
fn assert_timed(timing: &serde_json::Value) {
    let [median, best] = ["median_ms", "best_ms"].map(|name| timing[name].as_f64().unwrap());
    assert!(0.0 < best && best <= median, "{timing}");
    assert!(timing["runs"].as_u64().unwrap() > 0, "{timing}");
}

#[test]
fn kernels_are_measured_by_name() {
    let lines = measured("kernels lookup --of generator,registry --tiled");
    let lines = lines.as_array().unwrap();
    let family = |line: &serde_json::Value| line["family"].as_str().unwrap().to_owned();
    let families: std::collections::BTreeSet<_> = lines.iter().map(family).collect();
    assert!(
        families.iter().any(|family| family.starts_with("tiled")),
        "{families:?}"
    );
    for line in lines {
        assert_eq!(line["op"], "lookup");
        assert_timed(line);
        for rate in ["gb_per_s", "of_memory"] {
            assert!(line[rate].as_f64().unwrap() > 0.0, "{line}");
        }
    }
    let lines = measured("kernels product_row_grad --of products");
    assert_eq!(lines.as_array().unwrap().len(), 4);
    for line in lines.as_array().unwrap() {
        assert!(line["of_arithmetic"].as_f64().unwrap() > 0.0, "{line}");
    }
    let line = "bench kernels bake --of layers";
    refused(line, 2, &["no operation's name contains `bake`"]);
    let line = "bench train --preset tiny --crop-size 32";
    refused(line, 2, &["use a larger batch or crop_size"]);
}

#[test]
fn pictures_and_training_are_measured() {
    let drawn = measured("synth --use-vae --batch 2");
    let lines = drawn["lines"].as_array().unwrap();
    let names: Vec<_> = lines
        .iter()
        .map(|line| line["what"].as_str().unwrap())
        .collect();
    let kinds = ["plain plan", "a new layout", "another style", "a stroke"];
    assert_eq!(names, kinds);
    lines.iter().for_each(assert_timed);
    // What is kept needs no rows, and a picture without them fewer multiply-adds.
    assert_eq!(lines[2]["rows"], 0);
    let macs = |line: usize| lines[line]["gmac"].as_f64().unwrap();
    assert!(macs(2) < macs(0), "{drawn}");
    let kept = measured("synth --way kept");
    assert_eq!(kept["lines"].as_array().unwrap().len(), 3);

    let trained = measured("train --vgg --memory");
    for (report, has_vgg) in trained.as_array().unwrap().iter().zip([false, true]) {
        assert_eq!(report["has_vgg"], has_vgg);
        assert_timed(report);
        assert!(report["device_bytes"].as_u64().unwrap() > 0, "{report}");
    }
    let line =
        "bench sizes --preset tiny --ngf 2 --seconds 0 --json --crop-sizes 64,32 --batches 2,4";
    let told: serde_json::Value = serde_json::from_str(&accepted(line)).unwrap();
    let lines = told["result"].as_array().unwrap();
    let sizes: Vec<_> = lines
        .iter()
        .map(|line| (&line["picture"][0], &line["batch"]))
        .collect();
    assert_eq!(
        serde_json::json!(sizes),
        serde_json::json!([[64, 2], [64, 4], [32, 2], [32, 4]])
    );
    for line in lines {
        for what in ["synthesis", "training"] {
            assert_timed(&line[what]["cost"]);
        }
    }
    assert_timed(&measured("windows"));
    let floor = measured("floor");
    let lines = floor["lines"].as_array().unwrap();
    assert!(
        lines
            .iter()
            .all(|line| line["flops"].as_f64().unwrap() > 0.0)
    );
    let start = measured("start");
    assert_eq!(start["phases"].as_array().unwrap().len(), 4);

    let text = accepted("bench windows --preset tiny --crop-size 32 --seconds 0");
    assert!(text.contains("cores") && text.contains("32x32"), "{text}");
    let here = empty_folder();
    let line = format!("bench windows --maps {}", here.path().display());
    refused(&line, 3, &["holds no picture"]);
    refused("bench synth --maps none", 1, &["cannot list none"]);
}

/// Measures the smallest network there is, with a folder for what is to be remembered.
fn tune(folder: &Path, options: &str) -> Command {
    let mut command = spadework(&format!(
        "tune --preset tiny --crop-size 64 --ngf 2 {options}"
    ));
    command.env(FOLDER, folder);
    command
}

#[test]
fn kernels_are_ranked_and_the_ranking_is_remembered() {
    let dir = empty_folder();
    let folder = dir.path().join("cache");
    let output = tune(&folder, "--json").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let told: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let measured = told["convolutions"].as_array().unwrap();
    assert!(measured.len() > 5, "{told}");
    let cache = Cache::at(&folder, &Gpu::open(None).unwrap());
    assert_eq!(told["file"], cache.path().display().to_string());
    let kept = cache.read().unwrap();
    assert_eq!(kept.len(), measured.len());
    for one in measured {
        assert_eq!(one["pass"], "drawing", "{one}");
        let times = one["seconds"].as_array().unwrap();
        assert_eq!(times.len(), 3, "{one}");
        let is_best = |time: &serde_json::Value| time[0] == one["best"];
        let best = times.iter().find(|time| is_best(time)).unwrap();
        assert!(best[1].as_f64().unwrap() > 0.0, "{one}");
    }
    // The next look tells a person, and finds what it says in the same place.
    let output = tune(&folder, "").output().unwrap();
    let text = stdout(&output);
    assert_eq!(text.lines().count(), measured.len() + 2, "{text}");
    assert!(
        text.starts_with("convolution") && text.contains("kept in"),
        "{text}"
    );
    assert!(!stderr(&output).contains("note"), "{}", stderr(&output));
}

#[test]
fn a_ranking_that_cannot_be_remembered_is_told() {
    let dir = empty_folder();
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let output = tune(&file, "").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let error = stderr(&output);
    let note = error
        .lines()
        .find(|line| line.starts_with("note: nothing is remembered"));
    assert!(note.is_some_and(|note| note.contains(FOLDER)), "{error}");
    assert!(!stdout(&output).contains("kept in"));
    let damaged = dir.path().join("damaged");
    let cache = Cache::at(&damaged, &Gpu::open(None).unwrap());
    std::fs::create_dir(&damaged).unwrap();
    std::fs::write(cache.path(), "[]").unwrap();
    let output = tune(&damaged, "").output().unwrap();
    assert!(stderr(&output).contains("damaged"), "{}", stderr(&output));
    assert!(
        !cache.read().unwrap().is_empty(),
        "a new one took its place"
    );
}

/// What was measured until Ctrl-C is remembered.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_ranking() {
    use std::io::{BufRead, BufReader};
    let dir = empty_folder();
    let mut child = tune(dir.path(), "--training")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in ["head", "first row"] {
        lines.next().unwrap().unwrap();
    }
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let rest: Vec<String> = lines.map(|line| line.unwrap()).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    let kept = Cache::at(dir.path(), &Gpu::open(None).unwrap()).read();
    assert_eq!(kept.unwrap().len(), rest.len(), "{rest:?}");
}

#[test]
fn landscapes_pass_the_check() {
    let dir = empty_folder();
    let root = dir.path().join("set");
    let root = root.display();
    accepted(&format!(
        "landscapes --out {root} --count 5 --val 2 --size 40x24"
    ));
    let report: serde_json::Value =
        serde_json::from_str(&accepted(&format!("check {root} --json"))).unwrap();
    assert_eq!(report["label_nc"], 12);
    assert_eq!(report["parts"][0]["pairs"], 5);
    assert!(accepted(&format!("check {root}")).contains("nothing wrong"));
    refused(&format!("landscapes --out {root}"), 2, &["not empty"]);

    // Everything wrong at once, and the report is still printed.
    std::fs::remove_file(dir.path().join("set/train_img/00003.png")).unwrap();
    std::fs::write(dir.path().join("set/val_label/00001.png"), b"no PNG").unwrap();
    let output = run(&format!("check {root}"));
    refused_output("check", &output, 3, &["2 problems"]);
    let report = stdout(&output);
    assert!(
        report.contains("00003") && report.contains("val_label/00001.png"),
        "{report}"
    );
}

#[test]
fn check_knows_published_data_sets() {
    let dir = empty_folder();
    let folder = dir.path().display();
    let grey = |name: &str, id: u8| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let pixels = image::GrayImage::from_pixel(8, 8, image::Luma([id]));
        pixels
            .save_with_format(path, image::ImageFormat::Png)
            .unwrap();
    };
    for number in 1..=2 {
        grey(&format!("images/ADE_train_{number}.jpg"), 0);
        grey(&format!("annotations/ADE_train_{number}.png"), 150);
    }
    refused(&format!("check {folder}"), 3, &["it looks like ade20k"]);
    let check = format!("check {folder} --dataset-mode ade20k");
    let report = accepted(&check);
    assert!(
        report.contains("train: 2 pairs") && report.contains("100.00 %       2  flag"),
        "{report}"
    );
    let first = accepted(&format!("{check} --max-dataset-size 1"));
    assert!(first.contains("train: 1 pairs"), "{first}");
    // The line of a training run does, and a file says the same as flags.
    accepted(&format!("{check} --lr 1e-3 --no-flip"));
    let file = dir.path().join("ade.toml");
    let text = format!("[data]\ndir = \"{folder}\"\ndataset_mode = \"ade20k\"\n");
    std::fs::write(&file, text).unwrap();
    assert_eq!(
        accepted(&format!("check --config {}", file.display())),
        report
    );

    grey("annotations/ADE_train_2.png", 151);
    let output = run(&check);
    refused_output("check", &output, 3, &["1 problems"]);
    let problem = "ADE_train_2.png: id 151 at pixel (0, 0) and 63 more: ids must be below 151";
    assert!(stdout(&output).contains(problem), "{}", stdout(&output));
    refused(
        &format!("check {folder} --dataset-mode ade21k"),
        2,
        &["ade21k"],
    );
    refused(
        &format!("{check} --image-dir {folder}"),
        2,
        &["image_dir cannot go together"],
    );
}

#[test]
fn unusable_data_is_3() {
    let dir = empty_folder();
    let folder = dir.path().display();
    refused(&format!("check {folder}"), 3, &["train_img"]);
    let out = dir.path().join("run");
    let train = format!("train {folder} --out {} --label-nc 3", out.display());
    refused(&train, 3, &["train_img"]);
    for kind in ["img", "label"] {
        std::fs::create_dir(dir.path().join(format!("train_{kind}"))).unwrap();
    }
    refused(&train, 3, &["holds no photo"]);
    assert!(
        !out.exists(),
        "a run that cannot start leaves nothing behind"
    );
}

#[test]
fn options_that_contradict_each_other_are_2() {
    let dir = empty_folder();
    let out = dir.path().join("run");
    let train = |options: &str| format!("train --out {} {options}", out.display());
    refused(&train(""), 2, &["image_dir is missing"]);
    refused(&train("--landscapes 4 --batch-size 0"), 2, &["batch_size"]);
    refused(
        &train("--landscapes 4 --crop-size 20"),
        2,
        &["crop_size = 20"],
    );
    refused(
        &train("--landscapes 2 --batch-size 3"),
        2,
        &["a batch of 3"],
    );
    refused(&train("--landscapes 4 --lr nan"), 2, &["lr"]);
    let file = dir.path().join("options.toml");
    let with_file = train(&format!("--landscapes 4 --config {}", file.display()));
    refused(&with_file, 1, &["options.toml", "cannot read"]);
    std::fs::write(&file, "[model]\nwidth = 3").unwrap();
    refused(&with_file, 2, &["options.toml", "width"]);
    std::fs::write(&file, "preset = \"vast\"").unwrap();
    refused(&with_file, 2, &["options.toml", "vast", "paper-256"]);
    assert!(!out.exists());
    std::fs::write(dir.path().join("precious"), b"").unwrap();
    let used = format!("train --landscapes 4 --out {}", dir.path().display());
    refused(&used, 2, &["not empty", "--resume"]);
    refused(&(used + " --resume"), 3, &["no folder of a run"]);
}

#[test]
fn other_weights_than_those_of_vgg_19_are_3() {
    let dir = empty_folder();
    let [file, out] = ["vgg.pth", "run"].map(|name| dir.path().join(name));
    let train = format!(
        "train --landscapes 4 --preset tiny --out {} --vgg-weights {}",
        out.display(),
        file.display()
    );
    let write = |tensors: &[(&str, &[usize])]| {
        let zeros = |shape: &[usize]| HostTensor::new(shape, vec![0.0; shape.iter().product()]);
        let tensors = tensors
            .iter()
            .map(|(name, shape)| (String::from(*name), zeros(shape)));
        let state = StateDict {
            tensors: tensors.collect(),
            ..StateDict::default()
        };
        pth::write(&state, &mut std::fs::File::create(&file).unwrap()).unwrap();
    };
    // Half the width; then a network without convolutions; the classifier is not looked at.
    write(&[
        ("features.0.weight", &[32, 3, 3, 3]),
        ("classifier.0.weight", &[7]),
    ]);
    let parts = [
        "vgg.pth",
        "features.0.weight",
        "[32, 3, 3, 3]",
        "[64, 3, 3, 3]",
        "vgg19",
    ];
    refused(&train, 3, &parts);
    write(&[("classifier.0.weight", &[7])]);
    refused(&train, 3, &["features.0.weight is missing", "torchvision"]);
    std::fs::write(&file, b"no weights").unwrap();
    refused(&train, 3, &["vgg.pth"]);
    assert!(!out.exists());
}

fn small_checkpoint(path: &Path) {
    let config = Config::merge(Preset::Tiny, Default::default(), Default::default()).unwrap();
    checkpoint_of(config, StateDict::default())
        .save(path)
        .unwrap();
}

fn checkpoint_of(config: Config, networks: StateDict) -> Checkpoint {
    let space = LabelSpace::new(3, false, true);
    Checkpoint {
        config: config.resolve(&space).unwrap(),
        space,
        progress: Default::default(),
        origin: Default::default(),
        networks,
        moments: Default::default(),
    }
}

#[test]
fn unusable_checkpoints_are_refused_by_everything() {
    let dir = empty_folder();
    let path = dir.path().join("a.safetensors");
    let name = path.display().to_string();
    let labels = dir.path().join("label.png");
    image::GrayImage::new(8, 8).save(&labels).unwrap();
    let commands = [
        format!("inspect {name}"),
        format!("synth {name} {} --out {name}.png", labels.display()),
    ];
    let refused_by_all = |code, parts: &[&str]| {
        for command in &commands {
            refused(command, code, &[&[name.as_str()], parts].concat());
        }
    };
    refused_by_all(1, &["cannot read"]);
    small_checkpoint(&path);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    refused_by_all(3, &["truncated"]);
    let mut other = whole;
    let (version, next) = (b"format\\\":1", b"format\\\":2");
    let at = other.windows(version.len()).position(|w| w == version);
    other[at.unwrap()..][..next.len()].copy_from_slice(next);
    std::fs::write(&path, other).unwrap();
    refused_by_all(3, &["format 2", "update"]);
}

#[test]
fn inspect_tells_what_a_checkpoint_holds() {
    let dir = empty_folder();
    let path = dir.path().join("a.safetensors");
    small_checkpoint(&path);
    let text = accepted(&format!("inspect {}", path.display()));
    assert!(
        text.contains("ngf = 16") && text.contains("iteration 0"),
        "{text}"
    );
    let json = accepted(&format!("inspect {} --json", path.display()));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["config"]["model"]["label_nc"], 3);
    let bytes = |what: &str| json["memory"][what].as_u64().unwrap();
    assert!(bytes("training_bytes") > bytes("synthesis_bytes"));
    assert!(json["dense_macs"]["modulation"].as_u64() > json["dense_macs"]["convs"].as_u64());
    let none = run(&format!(
        "inspect {} --adapter nothing-like-it",
        path.display()
    ));
    assert_eq!(none.status.code(), Some(2));
}

#[test]
fn inspect_tells_where_the_time_goes() {
    let dir = empty_folder();
    let [path, chart] = ["a.safetensors", "a.svg"].map(|name| dir.path().join(name));
    let mut config = Config::merge(Preset::Tiny, Default::default(), Default::default()).unwrap();
    (config.model.ngf, config.model.ndf, config.train.batch_size) = (2, 2, 1);
    let resolved = checkpoint_of(config, StateDict::default()).config;
    let mut networks = StateDict::default();
    for spec in generator_params(&resolved.model).specs() {
        let tensor = HostTensor::new(spec.dims.clone(), initial(spec, 1).unwrap());
        networks.tensors.insert(spec.name.clone(), tensor);
    }
    checkpoint_of(resolved, networks).save(&path).unwrap();
    let line = format!("inspect {} --profile", path.display());
    let told = accepted(&format!("{line} --json --picture {}", chart.display()));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let reports = told["reports"].as_array().unwrap();
    assert_eq!(reports.len(), 3, "a picture, and both steps");
    for report in reports {
        let rows = report["rows"].as_array().unwrap();
        let shares: f64 = rows.iter().map(|row| row["share"].as_f64().unwrap()).sum();
        assert!((shares - 100.0).abs() < 1e-6, "{report}");
        assert!(rows.iter().any(|row| row["op"] == "conv2d"), "{report}");
    }
    assert!(std::fs::read_to_string(&chart).unwrap().starts_with("<svg"));
    refused(&format!("{line} --picture a.png"), 2, &["a.png", ".svg"]);
}

/// The shipped generator stores some 40 maps one after the other. Each is rounded by 2^-11 of a value near one at most, so
/// errors of the picture, 127.5 steps for one, are below 127.5 * sqrt(40) / 2^11 = 0.4 steps as a root mean square. Four
/// times that, and one step where a colour is cut off on the other side, make three.
#[test]
fn pictures_in_halves_are_near_those_in_floats() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    accepted(&format!("landscapes --out {} --count 2 --val 1", at("set")));
    let line = format!(
        "synth {} --out {} --json --half",
        at("set/val_label"),
        at("pictures")
    );
    let told = accepted(&format!("{line} --deviation"));
    let told: serde_json::Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    let deviation = &told["deviation"];
    let [most, mean] = ["most", "mean"].map(|name| deviation[name].as_f64().unwrap());
    assert!(most <= 3.0 && mean <= 0.4, "{told}");
    assert!(mean > 0.0, "nothing was rounded: {told}");
    let line = format!(
        "synth {} --out {} --deviation",
        at("set/val_label"),
        at("pictures")
    );
    refused(&line, 2, &["required arguments"]);
}
