//! How fast the window is, measured by hand:
//! `SPADEWORK_MODEL=CHECKPOINT cargo test --release --test pace -- --ignored --nocapture --test-threads 1`.
//!
//! Frames are those of a window without a screen: all of its work but what the display's own driver does.
//!
//! On two cores with llvmpipe (LLVM 15.0.6, 256 bits), nothing else at work, model `shipped`, the middle one of three runs:
//!
//! | | median | 95 % | 99 % |
//! |---|---|---|---|
//! | window work of a frame in a stroke, 1024x1024 | 0.8 ms | 1.6 ms | 3.0 ms |
//! | window work of a frame while training runs | 1.0 ms | 2.6 ms | 9.7 ms |
//! | stroke to picture | 245 ms | 406 ms | 431 ms |
//!
//! An earlier run, of a build for development on such a machine, took 117 ms from stroke to picture; why is not known. While
//! it waits for a picture the test draws frames without a pause, on one of the two cores that compute the picture.
#![cfg(feature = "window")]

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use eframe::egui::{Event, Modifiers, PointerButton, Pos2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use spadework::Config;
use spadework::app::Painter;
use spadework::app::canvas::Canvas;
use spadework::app::event::{Event as AppEvent, Events};
use spadework::app::follow::{Follower, Live, News};
use spadework::app::sitter::Sitting;
use spadework::app::studio::Studio;
use spadework::app::worker::Worker;
use spadework::config::Preset;
use spadework::gpu::Gpu;
use spadework::train::Session;

/// Median, 95th and 99th percentile.
fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        times[index.min(times.len() - 1)].as_secs_f64() * 1e3
    };
    println!(
        "{what}: median {:.2} ms, 95 % {:.2} ms, 99 % {:.2} ms, of {}",
        at(0.5),
        at(0.95),
        at(0.99),
        times.len()
    );
}

/// The time of a frame, triangles included.
fn frame<A>(window: &mut Harness<'static, A>) -> Duration {
    let start = Instant::now();
    window.step();
    let output = window.output();
    let shapes = output.shapes.clone();
    window
        .ctx
        .tessellate(shapes, output.pixels_per_point.max(1.0));
    start.elapsed()
}

fn painter(worker: impl FnOnce(Events) -> Worker + 'static) -> Harness<'static, Painter> {
    Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .with_max_steps(20)
        .build_eframe(move |made| {
            let (events, heard) = Events::<AppEvent>::new(made.egui_ctx.clone());
            let worker = worker(events.clone());
            Painter::new(&made.egui_ctx, worker, (events, heard), None)
        })
}

fn place(window: &Harness<'static, Painter>, x: f32, y: f32) -> Pos2 {
    let pane = window.get_by_label("Layout pane").rect();
    let easel = &window.state().easel;
    let canvas = easel.view.place(pane, easel.canvas.size());
    canvas.lerp_inside(vec2(x, y))
}

fn press(pos: Pos2, pressed: bool) -> Event {
    Event::PointerButton {
        pos,
        button: PointerButton::Primary,
        pressed,
        modifiers: Modifiers::NONE,
    }
}

#[test]
#[ignore = "measures; run by hand"]
fn a_stroke_becomes_visible() {
    let mut window = painter(|_| {
        Worker::with(|tasks, requests| {
            while tasks.recv().is_ok() {}
            drop(requests);
        })
    });
    window.state_mut().easel.canvas = Canvas::blank([1024, 1024], 0);
    window.state_mut().easel.hand.brush.size_px = 85;
    window.run();
    let mut times = Vec::new();
    for stroke in 0..20 {
        let y = 0.05 + 0.045 * stroke as f32;
        window.state_mut().easel.hand.class = 1 + stroke % 11;
        let at = place(&window, 0.0, y);
        window.event(Event::PointerMoved(at));
        window.event(press(at, true));
        times.push(frame(&mut window));
        for step in 1..=30 {
            let at = place(&window, step as f32 / 30.0, y);
            window.event(Event::PointerMoved(at));
            times.push(frame(&mut window));
        }
        window.event(press(place(&window, 1.0, y), false));
        times.push(frame(&mut window));
    }
    tell(
        "window work of a frame in a stroke, 1024x1024, brush of 85 pixels",
        times,
    );
}

#[test]
#[ignore = "measures; needs SPADEWORK_MODEL; run by hand"]
fn a_stroke_becomes_a_picture() {
    let model = std::env::var_os("SPADEWORK_MODEL").expect("SPADEWORK_MODEL names a checkpoint");
    let mut window = painter(|events| Worker::start(None, events));
    window.state_mut().easel.load(PathBuf::from(model));
    let wait = |window: &mut Harness<'static, Painter>| {
        let start = Instant::now();
        while window.state().easel.model.is_none() || window.state().easel.is_behind() {
            assert!(start.elapsed() < Duration::from_secs(120));
            std::thread::sleep(Duration::from_millis(1));
            window.step();
        }
    };
    wait(&mut window);
    // Built-in landscapes come by themselves.
    std::thread::sleep(Duration::from_secs(1));
    window.step();
    wait(&mut window);
    let mut times = Vec::new();
    for stroke in 0..40u8 {
        window.state_mut().easel.hand.class = stroke % 12;
        let [from, to] = [0.2, 0.5].map(|x| place(&window, x, 0.1 + 0.02 * f32::from(stroke)));
        let start = Instant::now();
        window.event(Event::PointerMoved(from));
        window.event(press(from, true));
        window.event(Event::PointerMoved(to));
        window.event(press(to, false));
        window.step();
        wait(&mut window);
        times.push(start.elapsed());
    }
    tell("stroke to picture", times);
}

#[test]
#[ignore = "measures; run by hand"]
fn frames_pass_while_training_runs() {
    let dir = tempfile::tempdir().unwrap();
    let options = toml::from_str(
        "[data]\nlandscapes = 64\n[loss]\nvgg_loss = false\n[train]\nbatch_size = 4\nprint_freq = 1",
    );
    let config = Config::merge(Preset::Tiny, options.unwrap(), toml::Table::new()).unwrap();
    let (events, heard) = Events::<News>::silent();
    let told = events.clone();
    let root = dir.path().join("run");
    let training = std::thread::spawn(move || {
        let space = config.data.label_space().unwrap();
        let gpu = Gpu::open(None).unwrap();
        let mut session = Session::start(&gpu, config, space, &root).unwrap();
        let (follower, config) = Follower::start(&root, told.clone(), true).unwrap();
        let (sketches, wanted) = crossbeam_channel::unbounded();
        session.draw_for(wanted);
        let sitting = Sitting::of(&session, sketches);
        told.send(News::Live(Box::new(Live {
            root,
            config,
            follower,
            orders: session.take_orders(),
            manners: session.manners(),
            sitting,
        })));
        let hear = &mut |event: &_| {
            told.send(News::Train(spadework::train::TrainEvent::clone(event)));
            Ok(())
        };
        session.train(&AtomicBool::new(false), None, hear).unwrap();
    });
    let mut window = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .build_eframe(move |made| Studio::new(&made.egui_ctx, heard, None));
    while window.query_by_label_contains("iteration 3").is_none() {
        std::thread::sleep(Duration::from_millis(20));
        window.step();
    }
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < Duration::from_secs(30) {
        times.push(frame(&mut window));
        std::thread::sleep(Duration::from_millis(16));
    }
    tell("frames while training runs at full speed", times);
    drop(window);
    training.join().unwrap();
}
