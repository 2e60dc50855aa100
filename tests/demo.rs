//! The model that comes with the program, the first look it gives, and the command that trains such a model.

use std::path::Path;
use std::process::{Command, Output};

use spadework::Generator;
use spadework::eval::Truth;
use spadework::eval::measures::l1;

fn run(line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spadework"));
    command.args(line.split_whitespace()).output().unwrap()
}

#[track_caller]
fn accepted(line: &str) -> String {
    let output = run(line);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refused(line: &str, code: i32, says: &str) {
    let output = run(line);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(code) && error.contains(says),
        "{line}: {error}"
    );
}

/// The preset that made the shipped model, with a schedule of two pictures.
#[test]
fn the_preset_trains_a_model_that_exports_small_and_draws_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (trained, small) = (path("run"), path("small.safetensors"));
    accepted(&format!(
        "train --preset landscapes --out {trained} --landscapes 4 --niter 1 --niter-decay 0 --batch-size 2 --max-steps 1 \
         --display-freq 0"
    ));
    accepted(&format!("export {trained} --compact --out {small}"));
    refused(
        &format!("export {trained} --compact --out {small}"),
        2,
        "exists",
    );
    let bytes = |file: &Path| std::fs::metadata(file).unwrap().len();
    assert!(bytes(small.as_ref()) < 9_000_000);

    let mut generators = [&trained, &small].map(|path| Generator::load(path).unwrap());
    let truth = Truth::held_out(0, generators[0].size()).unwrap();
    let drawn = generators.each_mut().map(|generator| {
        let style = generator.encode(&truth.picture).unwrap().mean();
        generator.synth_in_style(&truth.layout(), &style).unwrap()
    });
    let apart = l1(&drawn[0], &drawn[1]);
    assert!(apart < 2.0, "eight bits change the picture by {apart}");
}

#[test]
fn data_sets_by_name_are_one_or_the_other() {
    refused(
        "train --data landscapes --landscapes 4 --out x",
        2,
        "--landscapes",
    );
    refused("train --data landscapes street --out x", 2, "--data");
    refused(
        "train --data nowhere --preset tiny --label-nc 2 --out x",
        3,
        "nowhere",
    );
}

#[test]
#[cfg(feature = "shipped-model")]
fn a_first_look_leaves_a_page_and_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("deep/look");
    let line = format!("demo --layouts 1 --seconds 1 --out {}", out.display());
    let said = accepted(&line);
    assert!(
        said.contains("adapters: ") && said.contains("index.html"),
        "{said}"
    );
    assert!(said.contains("spadework paint"), "{said}");
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("data:image/png;base64,") && page.contains("<svg"));
    assert!(!page.contains("http://") && !page.contains("https://"));
    for (name, columns, rows) in [
        ("styles", 7, 2),
        ("dusk-to-noon", 7, 1),
        ("random", 7, 1),
        ("changes", 4, 1),
    ] {
        let sheet = image::open(out.join(format!("{name}.png"))).unwrap();
        let size = [sheet.width(), sheet.height()];
        assert_eq!(size, [columns * 132 + 4, rows * 132 + 4], "{name}");
    }
    assert!(out.join("training/metrics.jsonl").exists());
    let left = std::fs::read_dir(dir.path().join("deep")).unwrap().count();
    assert_eq!(left, 1, "scratch folders are gone");
    refused(&line, 2, "not empty");
    let inside_a_file = format!("demo --out {}", out.join("styles.png/x").display());
    refused(&inside_a_file, 1, "styles.png");
}

#[test]
#[cfg(all(unix, feature = "shipped-model"))]
fn an_interrupted_look_keeps_what_was_drawn() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("look");
    let mut command = Command::new(env!("CARGO_BIN_EXE_spadework"));
    let line = format!("demo --layouts 1 --seconds 600 --out {}", out.display());
    command.args(line.split_whitespace());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let training = |line: std::io::Result<String>| line.unwrap().starts_with("training: ");
    assert!(told.any(training), "it ended before it trained");
    let id = child.id().to_string();
    Command::new("kill").args(["-INT", &id]).status().unwrap();
    told.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut said = String::new();
    child.stdout.unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("What was done until then"), "{said}");
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("Styles drawn at random") && page.contains("from nothing"));
    assert!(out.join("styles.png").exists() && out.join("training/checkpoints").exists());
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 1, "scratch folders are gone");
}

#[test]
fn a_first_look_refuses_what_it_cannot_show() {
    for count in ["--layouts 0", "--seconds 0", "--layouts many"] {
        refused(&format!("demo --out x {count}"), 2, "invalid value");
    }
    refused("demo none.safetensors --out x", 1, "none.safetensors");
    #[cfg(not(feature = "shipped-model"))]
    refused("demo --out x", 2, "shipped-model");
}

#[test]
#[cfg(feature = "shipped-model")]
fn pictures_need_no_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let map = path("map.png");
    let labels =
        image::GrayImage::from_fn(32, 32, |_, y| image::Luma([if y < 16 { 0 } else { 4 }]));
    labels.save(&map).unwrap();
    accepted(&format!("synth {map} --out {}", path("a.png")));
    accepted(&format!("synth shipped {map} --out {}", path("b.png")));
    let read = |name: &str| image::open(path(name)).unwrap().into_rgb8();
    assert_eq!(read("a.png"), read("b.png"));
    // Sky is bluer than the meadow below it, whatever the style.
    let picture = read("a.png");
    let mean = |rows: std::ops::Range<u32>, channel: usize| {
        let pixels = rows
            .clone()
            .flat_map(|y| (0..picture.width()).map(move |x| (x, y)));
        let values = pixels.map(|(x, y)| f64::from(picture.get_pixel(x, y)[channel]));
        values.sum::<f64>() / f64::from(picture.width() * rows.len() as u32)
    };
    let blueness = |rows: std::ops::Range<u32>| mean(rows.clone(), 2) - mean(rows, 1);
    assert!(blueness(0..56) > blueness(72..128) + 10.0);
    let text = accepted("inspect shipped");
    assert!(text.contains("landscapes = 8000"), "{text}");
    let json = accepted("eval --scenes 2 --seeds 2 --json");
    let answers: serde_json::Value = serde_json::from_str(&json).unwrap();
    let l1 = |who: &str| answers["transfer"][who]["l1"].as_f64().unwrap();
    assert!(l1("generator") < l1("class_means"));
}
