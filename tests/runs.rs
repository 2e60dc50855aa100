//! Whole runs of the program: training, resuming, stopping, synthesis.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use spadework::Config;
use spadework::config::Preset;
use spadework::gpu::Gpu;
use spadework::model::Style;
use spadework::model::vgg::vgg_params;
use spadework::ops::winograd::{Choices, Filtering, Method};
use spadework::state::{HostTensor, StateDict, TensorFile};
use spadework::train::checkpoint::Shelf;
use spadework::train::event::End;
use spadework::train::{Checkpoint, Knob, Order, RunFolder, Session, Sketch, TrainEvent};
use spadework::tune::{Cache, FOLDER};
use spadework::windows::IdMap;

/// Three batches an epoch, two epochs.
const OPTIONS: &str = "--landscapes 6 --preset tiny --ngf 4 --ndf 4 --spade-hidden 8 --batch-size 2 --niter 1 \
                       --niter-decay 1 --no-vgg-loss --print-freq 1 --samples 2 --seed 5";

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

#[track_caller]
fn accepted(line: &str) {
    let output = run(line);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {error}");
}

fn newest(run: &Path) -> PathBuf {
    Shelf::new(run.join("checkpoints")).newest().unwrap()
}

fn lines(run: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_resumed_run_equals_one_that_never_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, again, stopped] = ["whole", "again", "stopped"].map(|name| dir.path().join(name));
    accepted(&format!(
        "train --out {} --display-freq 4 {OPTIONS}",
        whole.display()
    ));
    accepted(&format!(
        "train --out {} --display-freq 4 {OPTIONS}",
        again.display()
    ));
    let bytes = |run: &Path| std::fs::read(newest(run)).unwrap();
    assert!(
        bytes(&whole) == bytes(&again),
        "one seed gives the same bytes"
    );

    // Stopped in the middle of the first epoch, without any sample sheet, then in the middle of the second.
    let to = stopped.display();
    accepted(&format!(
        "train --out {to} --display-freq 0 --max-steps 2 {OPTIONS}"
    ));
    accepted(&format!("train --out {to} --resume --max-steps 5"));
    accepted(&format!("train --out {to} --resume"));
    let [one, other] = [&whole, &stopped].map(|run| Checkpoint::load(&newest(run)).unwrap());
    assert_eq!(one.progress.step, 6);
    assert_eq!(one.progress, other.progress);
    assert!(one.networks == other.networks, "weights and statistics");
    assert!(one.moments == other.moments, "moments");
    assert!(!one.moments.is_empty());

    let mut losses = [&whole, &stopped].map(|run| lines(run));
    for line in losses.iter_mut().flatten() {
        assert!(line["seconds"].take().as_f64().is_some_and(|s| s > 0.0));
    }
    assert_eq!(losses[0], losses[1]);
    assert_eq!(losses[0].len(), 6);
    assert_eq!(losses[0][2]["epoch"], 1);
    assert_eq!(losses[0][3]["epoch"], 2);

    let sheets = |run: &Path| std::fs::read_dir(run.join("samples")).unwrap().count();
    assert_eq!((sheets(&whole), sheets(&stopped)), (3, 0));
}

/// Batches 0 and 2 of the three of each epoch.
/// Trains on; after the second iteration the rate and a weight change, and what cannot be is refused.
fn train_and_tune(mut session: Session, limit: Option<u64>) -> Vec<String> {
    let orders = session.take_orders();
    let mut told = Vec::new();
    let hear = &mut |event: &TrainEvent| {
        match event {
            TrainEvent::Step(report) if report.step == 2 => {
                for (knob, value) in [
                    (Knob::Lr, 1e-3),
                    (Knob::Lr, -1.0),
                    (Knob::LambdaFeat, 3.0),
                    (Knob::LambdaFeat, 3.0),
                ] {
                    orders.send(Order::Tune(knob, value)).unwrap();
                }
            }
            TrainEvent::Changed(change) => told.push(change.to_string()),
            TrainEvent::Notice(text) => told.push(text.clone()),
            _ => {}
        }
        Ok(())
    };
    session.train(&AtomicBool::new(false), limit, hear).unwrap();
    told
}

#[test]
fn settings_changed_on_the_way_are_kept_by_a_resumed_run() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, stopped] = ["whole", "stopped"].map(|name| dir.path().join(name));
    let options = toml::from_str(
        "[data]\nlandscapes = 6\n[model]\nngf = 4\nndf = 4\nspade_hidden = 8\n[optim]\nniter = 2\nniter_decay = 0\n[loss]\nvgg_loss = \
         false\n[train]\nbatch_size = 2\nprint_freq = 1\ndisplay_freq = 0",
    )
    .unwrap();
    let config = Config::merge(Preset::Tiny, options, toml::Table::new()).unwrap();
    let gpu = Gpu::open(None).unwrap();
    let start = |root: &Path| {
        let space = config.data.label_space().unwrap();
        Session::start(&gpu, config.clone(), space, root).unwrap()
    };
    let told = train_and_tune(start(&whole), None);
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0], "lr 0.0002 → 0.001 after iteration 2");
    assert!(told[1].contains("lr = -1"), "{told:?}");

    train_and_tune(start(&stopped), Some(4));
    let checkpoint = Checkpoint::load(&newest(&stopped)).unwrap();
    assert_eq!(checkpoint.config.optim.lr, 1e-3);
    let mut resumed =
        Session::resume(&gpu, checkpoint, RunFolder::open(&stopped).unwrap()).unwrap();
    resumed
        .train(&AtomicBool::new(false), None, &mut |_| Ok(()))
        .unwrap();
    let [one, other] = [&whole, &stopped].map(|run| Checkpoint::load(&newest(run)).unwrap());
    assert_eq!(one.progress, other.progress);
    assert_eq!(one.progress.changes.len(), 2);
    assert_eq!(one.config, other.config);
    assert!(one.networks == other.networks && one.moments == other.moments);
    let rates: Vec<_> = lines(&whole)
        .iter()
        .map(|line| line["lr_d"].clone())
        .collect();
    assert_eq!(rates, [4e-4, 4e-4, 2e-3, 2e-3, 2e-3, 2e-3]);
    let changes = std::fs::read_to_string(stopped.join("changes.jsonl")).unwrap();
    assert_eq!(changes.lines().count(), 2, "{changes}");
}

/// A table that says of each convolution that a run does by the rule another method than the rule does.
fn contrary(methods: &Choices) -> Choices {
    let other = |method| match method {
        Method::Plain => Method::TilesOfTwo,
        Method::TilesOfTwo | Method::TilesOfFour => Method::Plain,
    };
    methods
        .iter()
        .map(|(of, method)| (of, other(method)))
        .collect()
}

/// Methods are fixed when a run begins: what is measured later, or not known at all, changes nothing.
#[test]
fn a_resumed_run_stays_with_the_methods_it_began_with() {
    let dir = tempfile::tempdir().unwrap();
    let root = |name: &str| dir.path().join(name);
    let config = landscapes("");
    let gpu = Gpu::open(None).unwrap();
    let start = |gpu: &Arc<Gpu>, name: &str, limit| {
        let space = config.data.label_space().unwrap();
        let session = Session::start(gpu, config.clone(), space, &root(name)).unwrap();
        (train_and_listen(session, limit), load(&root(name)))
    };
    let resume = |gpu: &Arc<Gpu>, name: &str, checkpoint| {
        let run = RunFolder::open(&root(name)).unwrap();
        let session = Session::resume(gpu, checkpoint, run).unwrap();
        (train_and_listen(session, Some(3)), load(&root(name)))
    };
    let is_equal = |one: &Checkpoint, other: &Checkpoint| {
        one.networks == other.networks && one.moments == other.moments
    };

    let (told, by_rule) = start(&gpu, "rule", Some(3));
    assert!(told.is_empty(), "{told:?}");
    let methods = &by_rule.origin.methods;
    assert!(methods.len() > 10, "{methods:?}");
    let tuned = gpu.with_filtering(Filtering::Tuned(Arc::new(contrary(methods))));
    let (told, whole) = start(&tuned, "whole", Some(3));
    assert!(told[0].contains("`spadework tune` measured"), "{told:?}");
    assert_eq!(whole.origin.methods, contrary(methods));
    assert!(!is_equal(&by_rule, &whole), "the methods round differently");

    let (_, stopped) = start(&tuned, "stopped", Some(1));
    let (told, resumed) = resume(&gpu, "stopped", stopped);
    assert!(told.is_empty(), "{told:?}");
    assert!(is_equal(&whole, &resumed));
    assert_eq!(resumed.origin, whole.origin);

    // A checkpoint of before methods were kept went by the rule.
    let (_, mut older) = start(&gpu, "older", Some(1));
    older.origin.methods = Choices::default();
    let (told, resumed) = resume(&tuned, "older", older);
    assert!(told.is_empty(), "{told:?}");
    assert!(is_equal(&by_rule, &resumed));
    assert_eq!(resumed.origin, by_rule.origin);

    // Where a method cannot be had the run goes on, and says so.
    let (_, stopped) = start(&tuned, "without", Some(1));
    let without = gpu.with_filtering(Filtering::Never);
    let (told, resumed) = resume(&without, "without", stopped);
    let count = whole.origin.methods.len();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("cannot be done as before") && told[0].contains("not to the same bits")
    );
    assert!(told[0].contains(&format!("{count} of {count}")), "{told:?}");
    assert!(!is_equal(&whole, &resumed));
    assert_eq!(resumed.origin.methods.len(), count);

    // Another adapter chooses as a new run does.
    let (_, mut stopped) = start(&gpu, "elsewhere", Some(1));
    stopped.origin.adapter = "another card".into();
    stopped.origin.methods = contrary(methods);
    let (told, resumed) = resume(&gpu, "elsewhere", stopped);
    assert!(
        told.len() == 1 && told[0].contains("another card"),
        "{told:?}"
    );
    assert_eq!(resumed.origin.methods, *methods);
}

/// What a session notices while it trains.
fn train_and_listen(mut session: Session, limit: Option<u64>) -> Vec<String> {
    let mut told = Vec::new();
    let hear = &mut |event: &TrainEvent| {
        if let TrainEvent::Notice(text) = event {
            told.push(text.clone());
        }
        Ok(())
    };
    session.train(&AtomicBool::new(false), limit, hear).unwrap();
    told
}

fn load(run: &Path) -> Checkpoint {
    Checkpoint::load(&newest(run)).unwrap()
}

/// The program reads what was measured when a run begins; a file that cannot be used is ignored with a notice.
#[test]
fn new_runs_take_what_was_measured() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(&dir.path().join("cache"), &Gpu::open(None).unwrap());
    let train = |name: &str, options: &str| {
        let out = dir.path().join(name);
        let line = format!(
            "train --out {} {OPTIONS} --display-freq 0 --max-steps 1 {options}",
            out.display()
        );
        let mut command = spadework(&line);
        let output = command
            .env(FOLDER, dir.path().join("cache"))
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
        (error, load(&out).origin.methods)
    };
    let (told, by_rule) = train("rule", "");
    assert!(!told.contains("spadework tune"), "{told}");
    cache.add(&contrary(&by_rule)).unwrap();
    let (told, tuned) = train("tuned", "");
    assert!(
        told.contains("note: ") && told.contains("`spadework tune` measured"),
        "{told}"
    );
    assert_eq!(tuned, contrary(&by_rule));
    let (told, untuned) = train("untuned", "--no-tuning");
    assert!(!told.contains("spadework tune"), "{told}");
    assert_eq!(untuned, by_rule);
    std::fs::write(cache.path(), "{").unwrap();
    let (told, ignored) = train("damaged", "");
    let notice = told
        .lines()
        .find(|line| line.starts_with("note: the tuning in "));
    assert!(
        notice.is_some_and(|notice| notice.contains("damaged")),
        "{told}"
    );
    assert_eq!(ignored, by_rule);
}

#[test]
fn generator_steps_are_counted_within_the_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    accepted(&format!(
        "train --out {} --display-freq 0 --d-steps-per-g 2 {OPTIONS}",
        out.display()
    ));
    let steps = Checkpoint::load(&newest(&out)).unwrap().progress.adam_steps;
    assert_eq!(steps, [("D".into(), 6), ("G".into(), 4)].into());
    // An iteration without a step of the generator shows the losses of its last one.
    let losses: Vec<_> = lines(&out)
        .iter()
        .map(|line| line["losses"]["GAN"].as_f64().unwrap())
        .collect();
    let is_repeated: Vec<_> = losses.windows(2).map(|two| two[0] == two[1]).collect();
    assert_eq!(is_repeated, [true, false, false, true, false]);
    // So does the first iteration after a resume.
    let stopped = dir.path().join("stopped");
    let to = stopped.display();
    accepted(&format!(
        "train --out {to} --display-freq 0 --d-steps-per-g 2 --max-steps 1 {OPTIONS}"
    ));
    accepted(&format!("train --out {to} --resume --max-steps 2"));
    for (whole, resumed) in lines(&out).iter().zip(lines(&stopped)) {
        assert_eq!(whole["losses"], resumed["losses"]);
    }
    assert_eq!(lines(&stopped).len(), 2);
}

/// A run that has a perceptual loss keeps it, and the weights it looks through; wherever their file lies.
#[test]
fn a_run_goes_on_with_the_perceptual_loss_it_began_with() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (out, without) = (path("run"), path("without"));
    let files = ["one.safetensors", "moved.safetensors", "other.safetensors"].map(path);
    let mut state = StateDict::default();
    for spec in vgg_params(1).specs() {
        let zeros = vec![0.0; spec.dims.iter().product()];
        let name = spec.name.strip_prefix("vgg.").unwrap().to_owned();
        state
            .tensors
            .insert(name, HostTensor::new(spec.dims.clone(), zeros));
    }
    for file in &files {
        if *file == files[2] {
            state.tensors.get_mut("features.0.bias").unwrap().data[63] = 1.0;
        }
        let metadata = Default::default();
        let contents = TensorFile {
            metadata,
            state: state.clone(),
        };
        contents
            .write(&mut std::fs::File::create(file).unwrap())
            .unwrap();
    }
    let options = OPTIONS.replace(
        "--no-vgg-loss",
        "--crop-size 32 --display-freq 0 --max-steps 1",
    );
    accepted(&format!(
        "train --out {out} --vgg-weights {} {options}",
        files[0]
    ));
    std::fs::remove_file(&files[0]).unwrap();
    let resume = format!("train --out {out} --resume --max-steps 2 --vgg-weights");
    let output = run(&format!("{resume} {}", files[2]));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(
        error.contains("other.safetensors: not the ones this run began with"),
        "{error}"
    );
    accepted(&format!("{resume} {}", files[1]));
    assert!(
        lines(out.as_ref())
            .iter()
            .all(|line| line["losses"]["VGG"] == 0.0)
    );

    accepted(&format!("train --out {without} {options}"));
    let output = run(&format!(
        "train --out {without} --resume --vgg-weights {}",
        files[1]
    ));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("--from"), "{error}");
}

#[test]
fn a_run_starts_from_the_networks_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let [first, tuned, alone] = ["first", "tuned", "alone"].map(|name| dir.path().join(name));
    let shown = first.display();
    accepted(&format!(
        "train --out {shown} --max-steps 2 --tf-log {OPTIONS}"
    ));
    // What a user watches.
    let log = std::fs::read_to_string(first.join("loss_log.txt")).unwrap();
    assert!(log.starts_with("(epoch: 1, iters: 2, time: "), "{log}");
    assert_eq!(log.lines().count(), 2);
    let page = std::fs::read_to_string(first.join("index.html")).unwrap();
    assert!(page.contains("samples/step-00000002.png") && page.contains("GAN_Feat"));
    assert_eq!(std::fs::read_dir(first.join("logs")).unwrap().count(), 1);
    let page = dir.path().join("page.html");
    accepted(&format!("report {shown} --out {}", page.display()));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("data:image/png;base64,") && !page.contains("samples/step"));

    // Widths and size are the checkpoint's. Without a learning rate its weights stay what they are.
    let options =
        "--landscapes 6 --batch-size 2 --no-vgg-loss --samples 2 --lr 0 --max-steps 1 --no-html";
    accepted(&format!(
        "train --out {} --from {shown} {options}",
        tuned.display()
    ));
    assert!(!tuned.join("index.html").exists() && !tuned.join("logs").exists());
    let [mut before, after] = [&first, &tuned].map(|run| Checkpoint::load(&newest(run)).unwrap());
    assert_eq!(after.config.model, before.config.model);
    assert_eq!(after.progress.adam_steps["G"], 1, "moments begin anew");
    let is_learned = |name: &str| {
        [".weight", ".weight_orig", ".bias"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    let learned = before
        .networks
        .tensors
        .iter()
        .filter(|(name, _)| is_learned(name));
    for (name, tensor) in learned {
        assert!(*tensor == after.networks.tensors[name], "{name}");
    }

    // A generator alone, as the published ones are.
    before
        .networks
        .tensors
        .retain(|name, _| name.starts_with("G."));
    let file = dir.path().join("generator.safetensors");
    before.save(&file).unwrap();
    let train = format!(
        "train --out {} --from {} {options}",
        alone.display(),
        file.display()
    );
    let output = run(&format!("{train} --ngf 8"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(
        error.contains("tensor G.") && error.contains("another ngf"),
        "{error}"
    );
    let output = run(&format!("{train} --label-nc 7"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("label_nc"), "{error}");
    let output = run(&train);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert!(error.contains("no discriminator"), "{error}");
    let after = Checkpoint::load(&newest(&alone)).unwrap();
    assert!(
        after
            .networks
            .tensors
            .keys()
            .any(|name| name.starts_with("D."))
    );
}

/// The baseline generator with a moving average and statistics estimated anew, stopped and resumed; what its checkpoint
/// can be drawn with.
#[test]
fn averages_and_new_statistics_resume_and_draw() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, stopped, set] = ["whole", "stopped", "set"].map(|name| dir.path().join(name));
    let options = format!("--net-g concat --ema 0.9 --recalibrate 2 {OPTIONS}");
    accepted(&format!("train --out {} {options}", whole.display()));
    let to = stopped.display();
    accepted(&format!(
        "train --out {to} --max-steps 2 --display-freq 0 {options}"
    ));
    accepted(&format!("train --out {to} --resume"));
    let [one, other] = [&whole, &stopped].map(|run| Checkpoint::load(&newest(run)).unwrap());
    assert!(one.networks == other.networks, "weights and averages");
    assert!(one.networks.tensors.contains_key("ema.G.fc.weight"));

    accepted(&format!(
        "landscapes --out {} --count 1 --val 2 --size 64x64",
        set.display()
    ));
    let draw = |out: &str, options: &str| {
        let [run, set, out] =
            [&whole, &set, &dir.path().join(out)].map(|p| p.display().to_string());
        let maps = format!("{set}/val_label --instances {set}/val_inst");
        accepted(&format!("synth {run} {maps} --out {out} {options}"));
        image::open(format!("{out}/00000.png")).unwrap().into_rgb8()
    };
    let average = draw("average", "");
    let sheet = image::open(whole.join("samples/step-00000006.png")).unwrap();
    let shown = image::imageops::crop_imm(&sheet.into_rgb8(), 72, 4, 64, 64).to_image();
    assert!(average == shown, "sheets show the average");
    assert!(
        average == draw("together", "--batch 2"),
        "pictures drawn together"
    );
    let others = [
        draw("newest", "--no-ema"),
        draw("alone", "--batch-statistics"),
        draw("both", "--batch-statistics --batch 2"),
    ];
    for (i, other) in others.iter().enumerate() {
        assert!(!others[..i].contains(other) && *other != average, "{i}");
    }
}

#[test]
fn synthesis_draws_what_the_sample_sheets_show() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    accepted(&format!(
        "train --out {} --display-freq 100 --max-steps 2 {OPTIONS}",
        out.display()
    ));
    let set = dir.path().join("set");
    accepted(&format!(
        "landscapes --out {} --count 1 --val 2 --size 64x64",
        set.display()
    ));
    let checkpoint = newest(&out);
    let pictures = dir.path().join("pictures");
    let [checkpoint, set, pictures] = [&checkpoint, &set, &pictures].map(|p| p.display());
    accepted(&format!(
        "synth {checkpoint} {set}/val_label --instances {set}/val_inst --out {pictures}"
    ));
    let drawn = image::open(format!("{pictures}/00000.png"))
        .unwrap()
        .into_rgb8();
    let sheet = image::open(out.join("samples/step-00000002.png")).unwrap();
    // The second column of the first row, behind two gaps of 4 pixels and the layout.
    let shown = sheet.into_rgb8();
    let shown = image::imageops::crop_imm(&shown, 72, 4, 64, 64).to_image();
    assert!(drawn == shown, "the same pixels");
    // A data set knows its instance maps, and photos are not needed.
    std::fs::remove_dir_all(format!("{set}/val_img")).unwrap();
    accepted(&format!(
        "synth {checkpoint} {set} --dataset-mode custom --how-many 1 --out {pictures}/part"
    ));
    let part = image::open(format!("{pictures}/part/00000.png")).unwrap();
    assert!(part.into_rgb8() == drawn, "the same pixels again");
    assert!(!std::fs::exists(format!("{pictures}/part/00001.png")).unwrap());

    // Nothing is overwritten, instance maps are not forgotten silently, sizes must fit.
    let code = |line: &str| run(line).status.code();
    let run_folder = out.display();
    let again = format!("synth {run_folder} {set}/val_label/00000.png --out {pictures}");
    assert_eq!(code(&again), Some(2), "the picture exists");
    let elsewhere = format!("synth {checkpoint} {set}/val_label/00000.png --out {pictures}/new");
    assert_eq!(code(&elsewhere), Some(2), "no instance map");
    assert_eq!(
        code(&format!("{elsewhere} --no-instance --size 60x64")),
        Some(2)
    );
    assert_eq!(
        code(&format!("{elsewhere} --no-instance --style-seed 1")),
        Some(2),
        "no styles"
    );
    accepted(&format!("{elsewhere} --no-instance --size 96x64"));
    let large = image::open(format!("{pictures}/new/00000.png")).unwrap();
    assert_eq!((large.width(), large.height()), (96, 64));
}

#[test]
fn a_run_goes_on_with_the_pictures_it_began_with() {
    let dir = tempfile::tempdir().unwrap();
    let [set, out] = ["set", "run"].map(|name| dir.path().join(name));
    accepted(&format!(
        "landscapes --out {} --count 4 --val 1 --size 64x64",
        set.display()
    ));
    let options = "--preset tiny --ngf 4 --ndf 4 --spade-hidden 8 --batch-size 2 --no-vgg-loss --samples 1 \
                   --print-freq 1 --display-freq 0";
    accepted(&format!(
        "train {} --out {} --max-steps 1 {options}",
        set.display(),
        out.display()
    ));
    let resume = format!("train --out {} --resume --max-steps 2", out.display());
    let refused = |parts: &[&str]| {
        let output = run(&resume);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{error}");
        for part in parts {
            assert!(error.contains(part), "{part} in {error}");
        }
    };
    let file = |kind: &str, name: &str| set.join(format!("train_{kind}/{name}.png"));
    for kind in ["img", "label", "inst"] {
        std::fs::copy(file(kind, "00003"), file(kind, "00004")).unwrap();
    }
    refused(&["has 5 pictures", "began with 4", "--from"]);
    for kind in ["img", "label", "inst"] {
        std::fs::remove_file(file(kind, "00000")).unwrap();
    }
    refused(&["the 4 pictures", "other names", "--from"]);
    for kind in ["img", "label", "inst"] {
        std::fs::rename(file(kind, "00004"), file(kind, "00000")).unwrap();
    }
    // What a crash left behind the checkpoint: an iteration, and half of the next.
    let path = out.join("metrics.jsonl");
    let line = std::fs::read_to_string(&path).unwrap();
    let later = line.replace("\"step\":1", "\"step\":2");
    std::fs::write(&path, [line.as_str(), &later, "{\"step"].concat()).unwrap();
    accepted(&resume);
    let steps: Vec<_> = lines(&out).iter().map(|l| l["step"].as_u64()).collect();
    assert_eq!(steps, [Some(1), Some(2)]);
    assert_ne!(lines(&out)[0]["losses"], lines(&out)[1]["losses"]);
}

#[test]
fn styles_are_trained_resumed_and_drawn_in() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (set, whole, stopped) = (path("set"), path("whole"), path("stopped"));
    accepted(&format!(
        "landscapes --out {set} --count 4 --val 1 --size 64x64"
    ));
    let options = "--preset tiny --ngf 4 --ndf 4 --spade-hidden 8 --batch-size 2 --niter 2 --niter-decay 0 --no-vgg-loss --samples 1 \
                   --use-vae --z-dim 6 --enc-size 128 --display-freq 100 --print-freq 1";
    accepted(&format!("train {set} --out {whole} {options}"));
    accepted(&format!(
        "train {set} --out {stopped} --max-steps 1 {options}"
    ));
    accepted(&format!("train --out {stopped} --resume"));
    let [one, other] = [&whole, &stopped].map(|run| Checkpoint::load(run.as_ref()).unwrap());
    assert!(one.networks == other.networks, "weights and statistics");
    assert!(one.moments == other.moments, "moments");
    assert!(one.moments.contains_key("v.E.fc_mu.weight"));
    assert!(lines(whole.as_ref())[0]["losses"]["KLD"].is_number());

    let layout = format!("{set}/val_label/00000.png --instances {set}/val_inst/00000.png");
    let synth = |out: &str, styles: &str| {
        accepted(&format!(
            "synth {whole} {layout} --out {} {styles}",
            path(out)
        ));
        let picture = |name: String| image::open(path(&name)).unwrap().into_rgb8();
        picture(out.to_owned())
    };
    // The sample sheet shows the most likely style of the photo.
    let photo = format!("{set}/val_img/00000.png");
    let sheet = image::open(format!("{whole}/samples/step-00000004.png")).unwrap();
    let shown = image::imageops::crop_imm(&sheet.into_rgb8(), 72, 4, 64, 64).to_image();
    let mean = synth("mean.png", &format!("--style-image {photo}"));
    assert!(mean == shown, "the same pixels");
    let draw = format!("--style-image {photo} --style-sample");
    assert!(synth("draw.png", &draw) != mean);
    assert!(synth("zero.png", "") == synth("seed.png", "--style-seed 0"));

    accepted(&format!(
        "synth {whole} {layout} --out {} --style-seed 6 --samples 3",
        path("several")
    ));
    let several = |i: usize| image::open(path(&format!("several/00000-0{i}.png"))).unwrap();
    assert!(several(1).into_rgb8() == synth("seven.png", "--style-seed 7"));
    assert!(several(0) != several(2));
    accepted(&format!(
        "synth {whole} {layout} --out {} --style-mix 7 {photo} --samples 2",
        path("mix")
    ));
    let mix = |i: usize| image::open(path(&format!("mix/00000-0{i}.png"))).unwrap();
    assert!(mix(0) == several(1), "a mix begins at its first style");
    assert!(mix(1).into_rgb8() == mean, "and ends at its last");

    for (styles, why) in [
        ("--size 128x64", "64x64 only"),
        (
            &format!("--style-image {photo} --samples 2"),
            "--style-sample",
        ),
        (
            &format!("--style-image {photo} --style-seed 2"),
            "--style-sample",
        ),
        ("--style-mix 1 2 --samples 1", "2 or more"),
    ] {
        let output = run(&format!(
            "synth {whole} {layout} --out {} {styles}",
            path("no")
        ));
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(why), "{error}");
    }
    // Without its encoder a generator still has styles, but takes none from pictures.
    let mut alone = one;
    alone
        .networks
        .tensors
        .retain(|name, _| name.starts_with("G."));
    let checkpoint = dir.path().join("alone.safetensors");
    alone.save(&checkpoint).unwrap();
    let alone = format!("synth {} {layout} --out", checkpoint.display());
    accepted(&format!("{alone} {} --style-seed 7", path("alone.png")));
    let drawn = image::open(path("alone.png")).unwrap();
    assert!(drawn == several(1));
    let output = run(&format!("{alone} {} --style-image {photo}", path("no")));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("no encoder"), "{error}");
}

#[test]
fn numbers_out_of_bounds_stop_training_with_the_iteration() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let line = format!("train --out {} --lr 1e30 {OPTIONS}", out.display());
    let output = run(&line);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("error: iteration 1, epoch 1 (landscape"),
        "{error}"
    );
    assert!(error.contains("new run with --lr 5"), "{error}");
    let steps = Shelf::new(out.join("checkpoints")).steps().unwrap();
    assert!(
        steps.is_empty(),
        "nothing that is not finite is saved: {steps:?}"
    );
    // What is left of it is neither gone on with nor overwritten, and both say what to do.
    let again = format!("train --out {} {OPTIONS}", out.display());
    let resume = format!("train --out {} --resume", out.display());
    for (line, code) in [(again, 2), (resume, 3)] {
        let output = run(&line);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(error.contains("remove"), "{error}");
    }
}

/// Training goes on after numbers out of bounds, from the last checkpoint to the iteration before, and what it lost comes
/// again bit for bit.
#[test]
fn iterations_that_a_bad_gradient_lost_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    // The generator's step is in every other iteration.
    accepted(&format!(
        "train --out {} {OPTIONS} --d-steps-per-g 2 --lambda-feat 1e9 --max-steps 1",
        out.display()
    ));
    // Hidden activations of the first layer as large as a number can be, of which nothing is made but gradients.
    let mut checkpoint = Checkpoint::load(&newest(&out)).unwrap();
    let mut fill = |name: &str, value: f32| {
        let tensor = checkpoint.networks.tensors.get_mut(name).unwrap();
        tensor.data.fill(value);
    };
    fill("G.head_0.norm_0.mlp_shared.0.bias", 3e38);
    fill("G.head_0.norm_0.mlp_gamma.weight", 0.0);
    fill("G.head_0.norm_0.mlp_beta.weight", 0.0);
    checkpoint.save(&newest(&out)).unwrap();
    let losses = || {
        let mut line = lines(&out).pop().unwrap();
        line["seconds"].take();
        line
    };
    let resume = format!("train --resume --out {}", out.display());
    let output = run(&resume);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    for part in [
        "iteration 3",
        "a gradient is not finite",
        "--max-steps 2 brings back what came after iteration 1",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let steps = || Shelf::new(out.join("checkpoints")).steps().unwrap();
    assert_eq!(steps(), [1]);
    let lost = losses();
    assert_eq!(lost["step"], 2);
    let again = format!("--resume --out {} --max-steps 2", out.display());
    assert!(error.contains(&again), "{error}");
    accepted(&format!("train {again}"));
    assert_eq!(losses(), lost);
    assert_eq!(steps(), [1, 2]);
    // From there the error has nothing to bring back.
    let output = run(&resume);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("--resume would end here again"), "{error}");
    assert!(!error.contains("brings back"), "{error}");
}

/// Batches in parts, statistics estimated anew over parts: to the same bits, stopped or not. With batch norm parts are
/// another training, so they cannot change on the way.
#[test]
fn a_run_in_parts_goes_on_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, stopped, plain] = ["whole", "stopped", "plain"].map(|name| dir.path().join(name));
    let options = format!("{OPTIONS} --display-freq 0 --recalibrate 2");
    let parts = format!("{options} --accumulate 2");
    accepted(&format!("train --out {} {parts}", whole.display()));
    accepted(&format!(
        "train --out {} --max-steps 2 {parts}",
        stopped.display()
    ));
    let resume = format!("train --out {} --resume", stopped.display());
    let output = run(&format!("{resume} --accumulate 1"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("accumulate = 1 cannot change"), "{error}");
    accepted(&resume);
    accepted(&format!("train --out {} {options}", plain.display()));
    let load = |run: &Path| Checkpoint::load(&newest(run)).unwrap();
    let [whole, stopped, plain] = [&whole, &stopped, &plain].map(|run| load(run));
    assert_eq!(whole.config.train.accumulate, 2);
    assert_eq!(whole.progress, stopped.progress);
    assert!(whole.networks == stopped.networks && whole.moments == stopped.moments);
    assert_eq!(whole.progress.step, plain.progress.step);
    assert!(
        whole.networks != plain.networks,
        "the norms saw other pictures"
    );
}

/// Maps in 16-bit floats: to the same bits, stopped or not. The rest of a run may go without them, which is told.
#[test]
fn a_run_with_maps_in_halves_goes_on_with_them_or_without() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, stopped, plain] = ["whole", "stopped", "plain"].map(|name| dir.path().join(name));
    let options = format!("{OPTIONS} --display-freq 0");
    accepted(&format!("train --out {} --half {options}", whole.display()));
    accepted(&format!(
        "train --out {} --half --max-steps 2 {options}",
        stopped.display()
    ));
    let copy = dir.path().join("copy");
    accepted(&format!(
        "train --out {} --half --max-steps 2 {options}",
        copy.display()
    ));
    accepted(&format!("train --out {} --resume", stopped.display()));
    let output = run(&format!(
        "train --out {} --resume --half=false",
        copy.display()
    ));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("over 16-bit maps): it goes on, but not to the same bits"),
        "{told}"
    );
    accepted(&format!("train --out {} {options}", plain.display()));
    let load = |run: &Path| Checkpoint::load(&newest(run)).unwrap();
    let [whole, stopped, copy, plain] = [&whole, &stopped, &copy, &plain].map(|run| load(run));
    assert!(whole.config.train.half && !copy.config.train.half);
    assert!(whole.networks == stopped.networks && whole.moments == stopped.moments);
    for (other, why) in [
        (&copy, "the end went without"),
        (&plain, "all went without"),
    ] {
        assert_eq!(whole.progress.step, other.progress.step);
        assert!(whole.networks != other.networks, "{why}");
    }
}

/// What is told is what is taken, by what it is for; what is more than a limit is refused with what would fit.
#[test]
fn memory_is_told_and_kept_within_a_limit() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let train = |batch: usize, limit: &str| {
        let options = OPTIONS.replace("--batch-size 2", &format!("--batch-size {batch}"));
        let line = format!(
            "train --out {} {options} --max-steps 1 --memory-limit {limit}",
            out.display()
        );
        let output = run(&line);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), error)
    };
    let (code, error) = train(4, "6GiB");
    assert_eq!(code, Some(0), "{error}");
    let told = error.lines().find(|line| line.starts_with("memory: "));
    let told = told.expect("memory is told").to_owned();
    for part in [
        "weights",
        "moments",
        "activations and gradients",
        "sample sheets",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let told = || {
        let text = std::fs::read_to_string(out.join("sessions.jsonl")).unwrap();
        let session: serde_json::Value =
            serde_json::from_str(text.lines().next().unwrap()).unwrap();
        std::fs::remove_dir_all(&out).unwrap();
        session["device_bytes"].as_u64().unwrap()
    };
    // A byte less is too little for the activations of layers, but not for computing them again: with the least that this
    // takes and with all that is more.
    let total = told();
    let (code, error) = train(4, &format!("{}B", total - 1));
    assert_eq!(code, Some(0), "{error}");
    assert!(error.contains("computed again"), "{error}");
    let least = told();
    assert!(least < total, "{least} of {total}");
    for (limit, is_again) in [
        (least, true),
        (least + 1, true),
        ((least + total) / 2, true),
        (total, false),
        (total + 1, false),
    ] {
        let (code, error) = train(4, &format!("{limit}B"));
        assert_eq!(
            code,
            Some(0),
            "{limit} between {least} and {total}: {error}"
        );
        assert_eq!(error.contains("computed again"), is_again, "{error}");
        assert_eq!(told(), if is_again { least } else { total });
    }
    // Whatever is less is refused, with what would fit: the sheets count in that too.
    let (code, error) = train(4, &format!("{}B", least - 1));
    assert_eq!(code, Some(4), "{error}");
    for part in [
        "weights",
        "memory_limit",
        "sample sheets",
        "display_freq = 0 would take",
        "batch_size = 2 would take",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let (code, _) = train(2, &format!("{}B", least - 1));
    assert_eq!(code, Some(0), "the advice holds");
    std::fs::remove_dir_all(&out).unwrap();
    let (code, error) = train(4, "1KiB");
    assert_eq!(code, Some(4), "{error}");
    assert!(error.contains("no smaller setting fits"), "{error}");
    let (code, error) = train(4, "6G");
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("6GiB"), "{error}");
    assert!(!out.exists(), "what is refused leaves nothing behind");
}

/// A run of landscapes in this process, with some options of `[train]`.
fn landscapes(options: &str) -> Config {
    let options = toml::from_str(&format!(
        "[data]\nlandscapes = 6\n[model]\nngf = 4\nndf = 4\nspade_hidden = 8\nuse_vae = true\n[loss]\n\
         vgg_loss = false\n[train]\nbatch_size = 2\n{options}"
    ))
    .unwrap();
    Config::merge(Preset::Tiny, options, toml::Table::new()).unwrap()
}

/// Takes an iteration, with a picture drawn before it if so wanted. Gives back what was told to be taken, what was taken
/// in the end, and the answer.
fn iterate(config: Config, draws: bool) -> (u64, u64, Option<Result<(), String>>) {
    let dir = tempfile::tempdir().unwrap();
    let space = config.data.label_space().unwrap();
    let gpu = Gpu::open(None).unwrap();
    let side = config.model.crop_size;
    let length = config.model.z_dim;
    let mut session = Session::start(&gpu, config, space, &dir.path().join("run")).unwrap();
    let (wish, wanted) = crossbeam_channel::unbounded();
    let (reply, answer) = crossbeam_channel::unbounded();
    if draws {
        let map = IdMap {
            n: 1,
            h: side,
            w: side,
            ids: vec![0; side * side],
        };
        let sketch = Sketch::Picture {
            map,
            style: Some(Style::new(vec![0.0; length]).unwrap()),
            seen: None,
            reply,
        };
        wish.send(sketch).unwrap();
        session.draw_for(wanted);
    }
    let mut told = 0;
    let hear = &mut |event: &TrainEvent| {
        if let TrainEvent::Started(started) = event {
            told = started.device_bytes;
        }
        Ok(())
    };
    session
        .train(&AtomicBool::new(false), Some(1), hear)
        .unwrap();
    let answer = answer.try_recv().ok();
    let answer = answer.map(|drawn| drawn.map(|_| ()).map_err(|error| error.to_string()));
    (told, session.device_bytes(), answer)
}

#[test]
fn a_run_takes_what_it_told() {
    for options in [
        "display_freq = 0",
        "display_freq = 2",
        "display_freq = 2\nrecalibrate = 2",
    ] {
        let (told, taken, _) = iterate(landscapes(options), false);
        assert_eq!(told, taken, "{options}");
    }
}

/// Whoever paints with the network in training gets no memory that the limit does not leave.
#[test]
fn pictures_on_the_way_keep_within_a_limit() {
    let config = |limit: Option<u64>| {
        let limit = limit.map_or_else(String::new, |limit| format!("memory_limit = \"{limit}B\""));
        landscapes(&format!("display_freq = 0\n{limit}"))
    };
    let (told, taken, answer) = iterate(config(None), true);
    assert_eq!(answer, Some(Ok(())));
    assert!(taken > told, "{taken} bytes with a picture, {told} told");
    let (told, kept, answer) = iterate(config(Some(told)), true);
    let error = answer.unwrap().unwrap_err();
    assert!(error.contains("no room to draw"), "{error}");
    assert_eq!(kept, told);
    let (_, kept, answer) = iterate(config(Some(taken)), true);
    assert_eq!((kept, answer), (taken, Some(Ok(()))));
}

#[test]
fn the_page_of_a_failed_run_rests() {
    let dir = tempfile::tempdir().unwrap();
    let [set, out] = ["set", "run"].map(|name| dir.path().join(name));
    accepted(&format!(
        "landscapes --out {} --count 3 --val 1 --size 64x64",
        set.display()
    ));
    std::fs::write(set.join("train_label/00002.png"), b"no picture").unwrap();
    let output = run(&format!(
        "train {} --out {} --preset tiny --ngf 4 --ndf 4 --spade-hidden 8 --batch-size 1 --no-vgg-loss --samples 1 \
         --display-freq 1 --serial-batches",
        set.display(),
        out.display()
    ));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{error}");
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("step-00000002.png") && !page.contains("reload()"));
    let step = Checkpoint::load(&newest(&out)).unwrap().progress.step;
    assert_eq!(step, 2, "what went well is saved");
}

/// Interrupts a run once `is_time` says so, and returns what it said on standard error.
#[cfg(unix)]
fn interrupted(line: &str, is_time: impl Fn() -> bool) -> String {
    let mut child = spadework(line).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while !is_time() {
        assert!(
            start.elapsed() < Duration::from_secs(300),
            "training does not begin"
        );
        assert_eq!(child.try_wait().unwrap(), None, "training ended by itself");
        std::thread::sleep(Duration::from_millis(50));
    }
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{error}");
    error
}

#[cfg(unix)]
fn has_begun(run: &Path) -> bool {
    std::fs::metadata(run.join("metrics.jsonl")).is_ok_and(|m| m.len() > 0)
}

/// An estimate over so many batches, many epochs of them, would take days.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_an_estimate_of_statistics() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let line = format!(
        "train --out {} --display-freq 0 --save-latest-freq 2 --recalibrate 100000000 {OPTIONS}",
        out.display()
    );
    let error = interrupted(&line, || has_begun(&out));
    assert!(
        error.contains("training's own running statistics"),
        "{error}"
    );
    assert_eq!(Checkpoint::load(&newest(&out)).unwrap().progress.step, 1);
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let options = OPTIONS.replace("--niter 1 ", "--niter 100000 ");
    let line = format!("train --out {} {options}", out.display());
    interrupted(&line, || has_begun(&out));
    let step = Checkpoint::load(&newest(&out)).unwrap().progress.step;
    let last = lines(&out).last().unwrap()["step"].as_u64();
    assert_eq!(Some(step), last, "saved where it stopped");
    let resume = format!(
        "train --out {} --resume --max-steps {}",
        out.display(),
        step + 1
    );
    accepted(&resume);
}

#[test]
fn an_order_ends_an_estimate_of_statistics() {
    let dir = tempfile::tempdir().unwrap();
    let options = toml::from_str(
        "[data]\nlandscapes = 6\n[model]\nngf = 4\nndf = 4\nspade_hidden = 8\n[loss]\nvgg_loss = false\n[train]\n\
         batch_size = 2\ndisplay_freq = 0\nsave_latest_freq = 2\nrecalibrate = 100000000",
    )
    .unwrap();
    let config = Config::merge(Preset::Tiny, options, toml::Table::new()).unwrap();
    let space = config.data.label_space().unwrap();
    let gpu = Gpu::open(None).unwrap();
    let run = dir.path().join("run");
    let root = run.clone();
    let (done, result) = std::sync::mpsc::channel();
    // On a thread of its own: an estimate that is not ended would go on for days.
    std::thread::spawn(move || {
        let mut session = Session::start(&gpu, config, space, &root).unwrap();
        let orders = session.take_orders();
        let mut told = Vec::new();
        let hear = &mut |event: &TrainEvent| {
            match event {
                TrainEvent::Step(_) => {
                    let orders = orders.clone();
                    std::thread::spawn(move || {
                        std::thread::sleep(Duration::from_millis(300));
                        orders.send(Order::Stop)
                    });
                }
                TrainEvent::Notice(text) => told.push(text.clone()),
                _ => {}
            }
            Ok(())
        };
        let end = session.train(&AtomicBool::new(false), None, hear).unwrap();
        drop(session);
        let _ = done.send((end, told));
    });
    let limit = Duration::from_secs(120);
    let (end, told) = result.recv_timeout(limit).expect("the order is heard");
    assert_eq!(end, End::Interrupted);
    assert!(
        told.iter()
            .any(|text| text.contains("training's own running statistics")),
        "{told:?}"
    );
    assert_eq!(Checkpoint::load(&newest(&run)).unwrap().progress.step, 1);
}
