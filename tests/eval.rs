//! `eval` as a user runs it, against the same numbers worked out here.

use std::process::{Command, Output};

use spadework::Generator;
use spadework::data::landscape::CLASSES;
use spadework::eval::measures::{l1, ssim};
use spadework::eval::{Baselines, Truth};

const OPTIONS: &str = "--landscapes 3 --preset tiny --ngf 4 --ndf 4 --spade-hidden 8 --batch-size 2 --no-instance \
                       --no-vgg-loss --display-freq 0 --max-steps 1";

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

#[test]
fn answers_are_those_of_the_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (trained, sheets) = (path("run"), path("sheets"));
    accepted(&format!(
        "train {OPTIONS} --out {trained} --use-vae --z-dim 4 --enc-size 128"
    ));
    let json = accepted(&format!(
        "eval {trained} --scenes 2 --seeds 2 --rows 1 --out {sheets} --json"
    ));
    let answers: serde_json::Value = serde_json::from_str(&json).unwrap();
    let number = |at: &str| {
        answers
            .pointer(at)
            .and_then(serde_json::Value::as_f64)
            .unwrap()
    };

    let mut generator = Generator::load(&trained).unwrap();
    let size = generator.size();
    let baselines = Baselines::new(3, size, CLASSES.len()).unwrap();
    let truths = [0, 1, 2].map(|index| Truth::held_out(index, size).unwrap());
    let (mut own, mut filled, mut lent, mut moved) = (0.0, 0.0, 0.0, 0.0);
    for (truth, next) in truths.iter().zip(&truths[1..]) {
        let style = generator.encode(&truth.picture).unwrap().mean();
        let drawn = generator.synth_in_style(&truth.layout(), &style).unwrap();
        own += ssim(&drawn, &truth.picture) / 2.0;
        let means = baselines.class_means(&truth.scene.labels, size);
        filled += l1(&means, &truth.picture) / 2.0;
        let drawn = generator.synth_in_style(&next.layout(), &style).unwrap();
        lent += l1(&drawn, &next.in_style(&truth.style)) / 2.0;
        let two = [0, 1].map(|seed| {
            let style = generator.random_style(seed).unwrap();
            generator.synth_in_style(&truth.layout(), &style).unwrap()
        });
        moved += l1(&two[0], &two[1]) / 2.0;
    }
    for (at, want) in [
        ("/reconstruction/generator/ssim", own),
        ("/reconstruction/class_means/l1", filled),
        ("/transfer/generator/l1", lent),
        ("/diversity/generator", moved),
    ] {
        assert!(
            (number(at) - want).abs() < 1e-9,
            "{at}: {} {want}",
            number(at)
        );
    }
    assert!(number("/diversity/truth") > 1.0);
    assert!(number("/edit/truth_inside") > number("/edit/truth_outside"));
    assert_eq!(answers["walk"]["brightness"].as_array().unwrap().len(), 6);
    for name in ["reconstruction", "transfer", "diversity", "edit", "walk"] {
        let sheet = image::open(format!("{sheets}/{name}.png")).unwrap();
        assert_eq!(sheet.height(), 64 + 8, "{name}: one row");
    }
    refused(&format!("eval {trained} --out {sheets}"), 1, "sheets");
}

#[test]
fn what_has_no_answer_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (trained, set) = (path("run"), path("set"));
    accepted(&format!("train {OPTIONS} --out {trained}"));
    let text = accepted(&format!("eval {trained} --scenes 2"));
    assert!(text.contains("without an encoder"), "{text}");
    refused(&format!("eval {trained} --scenes 1"), 2, "two scenes");

    accepted(&format!(
        "landscapes --out {set} --count 2 --val 1 --size 64x64"
    ));
    let other = OPTIONS.replace("--landscapes 3", &format!("{set} --label-nc 13"));
    std::fs::remove_file(format!("{set}/classes.toml")).unwrap();
    let foreign = path("foreign");
    accepted(&format!("train {other} --out {foreign}"));
    refused(&format!("eval {foreign}"), 2, "13 classes");
}
