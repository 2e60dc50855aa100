//! The painter with a worker that draws: what a change of style and a stroke cost.
#![cfg(feature = "window")]

mod common;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::patches;
use eframe::egui::{Event, Key, Modifiers, PointerButton, Pos2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use spadework::Config;
use spadework::app::Painter;
use spadework::app::event::{Event as AppEvent, Events};
use spadework::app::worker::Worker;
use spadework::config::ModelConfig;
use spadework::data::{ClassTable, LabelSpace, batch};
use spadework::model::Effort;
use spadework::model::generator::generator_params;
use spadework::model::init::initial;
use spadework::state::{HostTensor, StateDict};
use spadework::train::Checkpoint;
use spadework::train::checkpoint::{Origin, Progress};
use spadework::windows::IdMap;

type Window = Harness<'static, Painter>;

fn config() -> ModelConfig {
    let small =
        "ngf = 2\nspade_hidden = 5\ncrop_size = 64\nlabel_nc = 12\nuse_vae = true\nz_dim = 4";
    toml::from_str(small).unwrap()
}

/// A generator of the landscapes that has learned nothing, in a file.
fn checkpoint(dir: &Path) -> PathBuf {
    let config = Config {
        model: config(),
        ..Config::default()
    };
    let mut networks = StateDict::default();
    for spec in generator_params(&config.model).specs() {
        let tensor = HostTensor::new(spec.dims.clone(), initial(spec, 3).unwrap());
        networks.tensors.insert(spec.name.clone(), tensor);
    }
    let mut space = LabelSpace::new(12, false, false);
    space.table = ClassTable::landscapes();
    let path = dir.join("model.safetensors");
    let checkpoint = Checkpoint {
        config,
        space,
        progress: Progress::default(),
        origin: Origin::default(),
        networks,
        moments: Default::default(),
    };
    checkpoint.save(&path).unwrap();
    path
}

fn window(model: PathBuf) -> Window {
    let mut window = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .with_max_steps(20)
        .build_eframe(move |made| {
            let (events, heard) = Events::<AppEvent>::new(made.egui_ctx.clone());
            let worker = Worker::start(None, events.clone());
            Painter::new(&made.egui_ctx, worker, (events, heard), None)
        });
    window.state_mut().easel.load(model);
    // A model of the landscapes begins with one.
    let has_landscape = |window: &Window| window.state().easel.history.can_undo();
    until(&mut window, "a landscape is shown", has_landscape);
    window
}

#[track_caller]
fn until(window: &mut Window, what: &str, done: impl Fn(&Window) -> bool) {
    let start = Instant::now();
    while !done(window) {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
        window.run();
    }
}

/// What the picture of things as they are cost.
#[track_caller]
fn effort(window: &mut Window) -> Effort {
    until(window, "the picture follows", |window| {
        let easel = &window.state().easel;
        easel.model.is_some() && !easel.is_behind()
    });
    let drawn = window.state().easel.picture.as_ref().unwrap();
    drawn.effort.unwrap()
}

fn map(window: &Window) -> IdMap {
    let easel = &window.state().easel;
    let labels = easel.labels().clone().map(u32::from);
    batch::layout(&labels, None, &easel.space, [64, 64])
}

/// A stroke in one frame, so that one picture shows all of it.
fn stroke(window: &mut Window, from: [f32; 2], to: [f32; 2]) {
    let pane = window.get_by_label("Layout pane").rect();
    let easel = &window.state().easel;
    let canvas = easel.view.place(pane, easel.canvas.size());
    let [from, to] = [from, to].map(|[x, y]| canvas.lerp_inside(vec2(x, y)));
    let button = |pos: Pos2, pressed| Event::PointerButton {
        pos,
        button: PointerButton::Primary,
        pressed,
        modifiers: Modifiers::NONE,
    };
    window.input_mut().events.extend([
        Event::PointerMoved(from),
        button(from, true),
        Event::PointerMoved(to),
        button(to, false),
    ]);
    window.run();
}

#[test]
fn a_style_computes_no_neighbourhood_and_a_stroke_only_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let mut window = window(checkpoint(dir.path()));
    let first = effort(&mut window);
    assert!(
        first.rows_computed > 0 && first.levels_listed > 0,
        "{first:?}"
    );

    let mut pictures = vec![window.state().easel.picture.clone().unwrap().picture];
    for change in ["dice", "strength", "strip"] {
        match change {
            "dice" => window.get_by_label("Random style").click(),
            "strength" => window
                .state_mut()
                .easel
                .styling
                .change(|recipe| recipe.strength = 0.5),
            _ => window.get_by_label("Style: seed 0").click(),
        }
        window.run();
        let style = effort(&mut window);
        assert_eq!(
            (style.levels_listed, style.rows_computed),
            (0, 0),
            "{change}"
        );
        assert!(
            style.macs < first.macs,
            "{change}: {style:?}, at first {first:?}"
        );
        pictures.push(window.state().easel.picture.clone().unwrap().picture);
    }
    assert!(pictures[0] != pictures[1] && pictures[1] != pictures[2]);
    assert!(pictures[0] == pictures[3], "the first style is back");

    let before = patches(&config(), &map(&window));
    window.get_by_label("building").click();
    window.run();
    stroke(&mut window, [0.3, 0.4], [0.6, 0.5]);
    let after = patches(&config(), &map(&window));
    let new = after.difference(&before).count();
    assert!(new > 0 && new < after.len() / 2, "{new} of {}", after.len());
    assert_eq!(effort(&mut window).rows_computed, new);

    // What is undone and done again was seen before.
    for modifiers in [Modifiers::COMMAND, Modifiers::COMMAND | Modifiers::SHIFT] {
        window.key_press_modifiers(modifiers, Key::Z);
        window.run();
        assert_eq!(effort(&mut window).rows_computed, 0);
    }
}
