//! A training in its window: pages, orders, settings, keys.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use eframe::egui::{Event, Key, Modifiers, ViewportId, accesskit, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use spadework::Config;
use spadework::app::event::{Events, Model};
use spadework::app::follow::{Follower, Live, News};
use spadework::app::live::serve;
use spadework::app::monitor::Monitor;
use spadework::app::sitter::Sitting;
use spadework::app::studio::Studio;
use spadework::config::Preset;
use spadework::data::{DataConfig, Grid, LabelSpace};
use spadework::gpu::Gpu;
use spadework::train::event::{End, Started, StepReport};
use spadework::train::{Change, Checkpoint, Knob, Order, RunFolder, Session, Sketch, TrainEvent};

pub fn step(step: u64) -> TrainEvent {
    TrainEvent::Step(StepReport {
        step,
        epoch: 1,
        images: 4 * step,
        epoch_images: 4 * step,
        lr_g: 1e-4,
        lr_d: 4e-4,
        losses: vec![("GAN", 0.5), ("D_Fake", 1.0 / step as f32)],
        seconds: 0.5,
    })
}

pub fn started() -> Started {
    Started {
        adapter: "an adapter".into(),
        device_bytes: 3 << 20,
        memory: Default::default(),
        pictures: 40,
        batches_per_epoch: 10,
        epochs: 2,
        step: 0,
        images: 0,
        total_images: 80,
    }
}

/// A network in training to paint with, and what is wanted of it.
fn sitting() -> (Sitting, Receiver<Sketch>) {
    let (sketches, wanted) = crossbeam_channel::unbounded();
    let model = Model {
        path: "run".into(),
        space: Arc::new(LabelSpace::new(3, false, false)),
        size: [8, 8],
        styles: None,
        step: 0,
        adapter: "the network in training".into(),
    };
    (Sitting { sketches, model }, wanted)
}

/// The folder of a run.
pub fn open_run(dir: &Path) -> RunFolder {
    let config = Config {
        data: DataConfig {
            landscapes: Some(2),
            ..DataConfig::default()
        },
        ..Config::default()
    };
    RunFolder::create(&dir.join("run"), &config).unwrap()
}

/// Tells a window that the run begins; what it is ordered and what is wanted of its network.
pub fn begin(run: &RunFolder, events: &Events<News>) -> (Receiver<Order>, Receiver<Sketch>) {
    begin_with(run, events, Arc::default())
}

/// As [`begin`], with what says whether the run gives way to the window.
fn begin_with(
    run: &RunFolder,
    events: &Events<News>,
    manners: Arc<AtomicBool>,
) -> (Receiver<Order>, Receiver<Sketch>) {
    let (orders, taken) = crossbeam_channel::unbounded();
    let (follower, config) = Follower::start(run.root(), events.clone(), true).unwrap();
    let (sitting, wanted) = sitting();
    events.send(News::Live(Box::new(Live {
        root: run.root().to_path_buf(),
        config,
        follower,
        orders,
        manners,
        sitting,
    })));
    (taken, wanted)
}

#[test]
fn the_network_in_training_is_painted_with() {
    let dir = tempfile::tempdir().unwrap();
    let run = open_run(dir.path());
    let (events, heard) = Events::<News>::silent();
    let mut window = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .with_max_steps(20)
        .build_eframe(move |made| Studio::new(&made.egui_ctx, heard, None));
    window.run();
    window.key_press(Key::F3);
    window.run();
    assert!(window.state().painter.is_none(), "there is no network yet");
    let (_taken, wanted) = begin(&run, &events);
    window.run();
    window.get_by_label("Paint").click();
    window.run();
    let answer = |window: &mut Harness<Studio>, want: Option<u64>, step: u64| {
        let start = Instant::now();
        let sketch = loop {
            assert!(start.elapsed() < Duration::from_secs(20));
            window.run();
            match wanted.try_recv() {
                Ok(sketch) => break sketch,
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let Sketch::Picture {
            map, seen, reply, ..
        } = sketch
        else {
            panic!("a picture is wanted")
        };
        assert_eq!((map.w, map.h, seen), (8, 8, want));
        let picture = Grid::new(8, 8, vec![[step as u8; 3]; 64]);
        reply.send(Ok(Some((step, picture)))).unwrap();
        let shown = |window: &Harness<Studio>| {
            let picture = &window.state().painter.as_ref()?.easel.picture;
            Some(picture.as_ref()?.picture.data[0][0])
        };
        while shown(window) != Some(step as u8) {
            assert!(start.elapsed() < Duration::from_secs(20));
            window.run();
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    answer(&mut window, None, 7);
    // It is drawn again by itself, as the network has changed since.
    answer(&mut window, Some(7), 9);

    window.key_press(Key::F4);
    window.run();
    let start = Instant::now();
    while window
        .query_by_label_contains("of the first 2 landscapes")
        .is_none()
    {
        assert!(start.elapsed() < Duration::from_secs(20));
        window.run();
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(wanted);
}

#[test]
fn training_takes_orders_from_its_buttons_and_keys() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunFolder::create(&dir.path().join("run"), &Config::default()).unwrap();
    let (events, heard) = Events::<News>::silent();
    let mut window = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .build_eframe(move |made| Monitor::live(&made.egui_ctx, heard));
    window.run();
    let (start, wanted) = crossbeam_channel::bounded(1);
    events.send(News::Opening(start));
    let (taken, _sketches) = begin(&run, &events);
    events.send(News::Train(TrainEvent::Started(started())));
    (1..=5).for_each(|n| events.send(News::Train(step(n))));
    window.run();
    assert!(
        window
            .query_by_label_contains("training · iteration 5")
            .is_some()
    );
    assert!(window.query_by_label_contains("an adapter").is_some());
    for (label, order) in [
        ("Pause", Order::Pause),
        ("Step", Order::Step),
        ("Save now", Order::Save),
        ("Resume", Order::Resume),
    ] {
        window.get_by_label(label).click();
        window.run();
        assert_eq!(taken.try_recv(), Ok(order), "{label}");
    }
    // Settings: a weight is entered, the run tells that it changed, and it is taken back.
    let field = window.get_by_role_and_label(accesskit::Role::SpinButton, "lambda_feat");
    field.click();
    window.run();
    window.event(Event::Text("4".into()));
    window.run();
    window.key_press(Key::Enter);
    window.run();
    assert_eq!(taken.try_recv(), Ok(Order::Tune(Knob::LambdaFeat, 4.0)));
    let change = |from, to| Change {
        step: 5,
        knob: Knob::LambdaFeat,
        from,
        to,
    };
    events.send(News::Train(TrainEvent::Changed(change(10.0, 4.0))));
    events.send(News::Changes(vec![change(10.0, 4.0)]));
    window.run();
    assert!(window.query_by_label_contains("lambda_feat 10").is_some());
    assert!(window.query_by_label_contains("0.50 s a step").is_some());
    window.get_by_label("Undo change").click();
    window.run();
    assert_eq!(taken.try_recv(), Ok(Order::Tune(Knob::LambdaFeat, 10.0)));
    events.send(News::Train(TrainEvent::Changed(change(4.0, 10.0))));
    window.run();
    window.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    window.run();
    assert!(taken.try_recv().is_err(), "nothing is left to undo");

    window.get_by_label("Keys").click();
    window.run();
    assert!(window.query_by_label("One iteration").is_some());
    window.get_by_label("Close").click();
    window.run();
    assert!(window.query_by_label("One iteration").is_none());

    window.key_press(Key::P);
    window.run();
    assert_eq!(taken.try_recv(), Ok(Order::Pause));
    assert!(window.query_by_label_contains("paused").is_some());
    window.get_by_label("Stop").click();
    window.run();
    assert_eq!(taken.try_recv(), Ok(Order::Stop));
    events.send(News::Train(TrainEvent::Ended(End::Interrupted)));
    window.run();
    assert!(window.query_by_label_contains("stopped").is_some());
    assert!(taken.try_recv().is_err(), "nothing was ordered unasked");
    // It goes on, and what was measured comes again from its folder.
    assert!(wanted.try_recv().is_err(), "nothing was started unasked");
    window.get_by_label("Start").click();
    window.run();
    assert_eq!(wanted.try_recv(), Ok(()));
    assert!(window.query_by_label_contains("starting").is_some());
    assert!(window.query_by_label("Start").is_none());
    let (start, wanted) = crossbeam_channel::bounded(1);
    events.send(News::Opening(start));
    window.run();
    let begins = "starting · nothing measured yet";
    assert!(window.query_by_label_contains(begins).is_some());
    // A training that breaks can be started too; one that is complete cannot.
    events.send(News::Broken("the disk is full".into()));
    window.run();
    assert!(window.query_by_label_contains("the disk is full").is_some());
    assert!(window.query_by_label_contains("failed").is_some());
    window.key_press(Key::P);
    window.run();
    assert_eq!(wanted.try_recv(), Ok(()));
    events.send(News::Train(TrainEvent::Ended(End::Complete)));
    window.run();
    assert!(window.query_by_label("Start").is_none());
    drop(window);
    assert!(wanted.try_recv().is_err());
}

/// Three batches an epoch, six epochs.
fn small_config() -> Config {
    let options = "[data]\nlandscapes = 6\n[model]\nngf = 4\nndf = 4\nspade_hidden = 8\n[loss]\nvgg_loss = false\n\
                   [optim]\nniter = 3\nniter_decay = 3\n[train]\nbatch_size = 2\ndisplay_freq = 0\nprint_freq = 1";
    let options = toml::from_str(options).unwrap();
    Config::merge(Preset::Tiny, options, toml::Table::new()).unwrap()
}

fn start(gpu: &Arc<Gpu>, root: &Path) -> spadework::Result<Session> {
    let config = small_config();
    let space = config.data.label_space()?;
    Session::start(gpu, config, space, root)
}

fn resume(gpu: &Arc<Gpu>, root: &Path) -> spadework::Result<Session> {
    let run = RunFolder::open(root)?;
    let checkpoint = Checkpoint::load(&run.shelf().newest()?)?;
    Session::resume(gpu, checkpoint, run)
}

/// Raised while it trains or once it has ended, the flag ends it without the window.
#[test]
fn a_training_that_is_to_stop_waits_for_no_window() {
    let dir = tempfile::tempdir().unwrap();
    let gpu = Gpu::open(None).unwrap();
    for (name, ended) in [("early", End::Interrupted), ("late", End::Complete)] {
        let (told, heard) = Events::<News>::silent();
        let stop = Arc::new(AtomicBool::new(false));
        let (root, gpu) = (dir.path().join(name), gpu.clone());
        let raised = stop.clone();
        let training =
            std::thread::spawn(move || serve(|| start(&gpu, &root), &raised, None, &told, |_| {}));
        let mut kept = Vec::new();
        let limit = Duration::from_secs(120);
        while !stop.load(Ordering::Relaxed) {
            let news = heard.recv_timeout(limit).expect("training goes on");
            let is_time = match &news {
                News::Train(TrainEvent::Step(_)) => ended == End::Interrupted,
                News::Train(TrainEvent::Ended(_)) => ended == End::Complete,
                _ => false,
            };
            kept.push(news);
            stop.store(is_time, Ordering::Relaxed);
        }
        assert_eq!(training.join().unwrap().unwrap(), ended, "{name}");
    }
}

#[test]
fn a_training_started_again_equals_one_that_never_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, stopped] = ["whole", "stopped"].map(|name| dir.path().join(name));
    let gpu = Gpu::open(None).unwrap();
    let mut session = start(&gpu, &whole).unwrap();
    let end = session.train(&AtomicBool::new(false), None, &mut |_| Ok(()));
    assert_eq!(end.unwrap(), End::Complete);
    drop(session);

    let (told, heard) = Events::<News>::silent();
    let root = stopped.clone();
    let training = std::thread::spawn(move || {
        let mut openings = 0;
        let open = || {
            openings += 1;
            match openings {
                1 => Err(spadework::Error::Data("the data is not there yet".into())),
                2 => start(&gpu, &root),
                _ => resume(&gpu, &root),
            }
        };
        let end = serve(open, &AtomicBool::new(false), None, &told, |_| {});
        (end, openings)
    });
    let (mut again, mut live) = (None, None);
    let mut ends = Vec::new();
    let limit = Duration::from_secs(120);
    while ends.last() != Some(&Some(End::Complete)) {
        match heard.recv_timeout(limit).expect("training goes on") {
            News::Opening(start) => again = Some(start),
            News::Live(begun) => live = Some(begun),
            News::Train(TrainEvent::Step(step)) if step.step == 2 => {
                let live = live.as_ref().expect("it is live");
                live.orders.send(Order::Stop).unwrap();
            }
            News::Train(TrainEvent::Ended(end)) => {
                ends.push(Some(end));
                if end == End::Interrupted {
                    // Without a network nothing is drawn, and nobody waits for it.
                    let live = live.as_ref().expect("it is live");
                    let (reply, answer) = crossbeam_channel::bounded(1);
                    let photo = Vec::new();
                    let sketch = Sketch::Style { photo, reply };
                    live.sitting.sketches.send(sketch).unwrap();
                    let refused = answer.recv_timeout(limit).expect("it is answered");
                    let refused = refused.unwrap_err().to_string();
                    assert!(refused.contains("started again"), "{refused}");
                    again.take().expect("it can go on").send(()).unwrap();
                }
            }
            News::Broken(error) => {
                assert!(error.contains("not there yet"), "{error}");
                ends.push(None);
                again
                    .take()
                    .expect("it can be tried again")
                    .send(())
                    .unwrap();
            }
            _ => {}
        }
    }
    assert_eq!(ends, [None, Some(End::Interrupted), Some(End::Complete)]);
    // The window is closed.
    drop((again, live));
    let (end, openings) = training.join().unwrap();
    assert_eq!((end.unwrap(), openings), (End::Complete, 3));

    let [one, other] = [&whole, &stopped].map(|run| Checkpoint::load(run).unwrap());
    assert_eq!(one.progress, other.progress);
    assert!(one.networks == other.networks, "weights and statistics");
    assert!(one.moments == other.moments, "moments");
    let lines = |run: &Path| {
        let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        text.lines().count()
    };
    assert_eq!((lines(&whole), lines(&stopped)), (18, 18));
    let sessions = std::fs::read_to_string(stopped.join("sessions.jsonl")).unwrap();
    let sessions = sessions.lines().map(serde_json::from_str::<Started>);
    let sessions: Vec<_> = sessions.map(Result::unwrap).collect();
    assert_eq!(sessions.len(), 2);
    assert!(sessions[0].step == 0 && (2..18).contains(&sessions[1].step));
    assert!(sessions[1].device_bytes > 0 && !sessions[1].adapter.is_empty());
}

#[test]
fn a_run_that_is_watched_tells_its_adapter_and_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let run = open_run(dir.path());
    let root = run.root().to_path_buf();
    run.enter(&started()).unwrap();
    let mut window = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .build_eframe(move |made| Monitor::new(&made.egui_ctx, &root));
    let clock = Instant::now();
    while window
        .query_by_label_contains("an adapter · 3 MiB")
        .is_none()
    {
        assert!(clock.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
        window.run();
    }
    assert!(window.query_by_label("Stop").is_none(), "it only watches");
}

#[test]
fn a_run_gives_way_to_a_window_that_can_be_seen() {
    let dir = tempfile::tempdir().unwrap();
    let run = open_run(dir.path());
    let (events, heard) = Events::<News>::silent();
    let mut window =
        Harness::builder().build_eframe(move |made| Monitor::live(&made.egui_ctx, heard));
    let manners = Arc::new(AtomicBool::new(false));
    let _run = begin_with(&run, &events, manners.clone());
    for (minimized, gives_way) in [(false, true), (true, false), (false, true)] {
        let viewport = window.input_mut().viewports.entry(ViewportId::ROOT);
        let viewport = viewport.or_default();
        (viewport.minimized, viewport.occluded) = (Some(minimized), Some(false));
        window.step();
        assert_eq!(manners.load(Ordering::Relaxed), gives_way, "{minimized}");
    }
}
