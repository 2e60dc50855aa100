//! The window, driven by the labels of its controls as a person or a screen reader finds them.
#![cfg(feature = "window")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select};
use eframe::egui::{
    Event, Key, Modifiers, PointerButton, Pos2, ViewportCommand, ViewportEvent, ViewportId,
    accesskit, vec2,
};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use spadework::app::Painter;
use spadework::app::easel::{Dialog, Mode, Parting};
use spadework::app::event::{Event as AppEvent, Events, Model};
use spadework::app::follow::{Follower, Live, News};
use spadework::app::home::Home;
use spadework::app::monitor::Monitor;
use spadework::app::paths::Wish;
use spadework::app::raster::Tip;
use spadework::app::sitter::Sitting;
use spadework::app::studio::Studio;
use spadework::app::styling::{Ability, Origin, Part, Recipe};
use spadework::app::tools::Tool;
use spadework::app::worker::{self, Drawn, Request, Task, Worker};
use spadework::data::{DataConfig, Grid, LabelSpace};
use spadework::train::event::{End, Started, StepReport};
use spadework::train::{Change, Knob, Order, RunFolder, Sketch, TrainEvent};
use spadework::{Config, Style};

type Window = Harness<'static, Painter>;

/// A window whose worker never answers.
fn window() -> Window {
    window_at(None)
}

fn window_at(home: Option<std::path::PathBuf>) -> Window {
    let window = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .with_max_steps(20)
        .build_eframe(move |made| {
            let worker = Worker::with(|tasks, requests| {
                // Neither takes a checkpoint nor draws a picture until both ends are gone.
                while tasks.recv().is_ok() {}
                drop(requests);
            });
            let events = Events::<AppEvent>::new(made.egui_ctx.clone());
            Painter::new(&made.egui_ctx, worker, events, home.map(Home::at))
        });
    let mut window = window;
    window.run();
    window
}

/// A window whose worker draws every pixel alike: as bright as the first coordinate of the style. The style of every
/// picture is all ones.
fn window_with_styles(styles: Option<Ability>) -> Window {
    window_with_styles_at(styles, None)
}

fn window_with_styles_at(styles: Option<Ability>, home: Option<std::path::PathBuf>) -> Window {
    let mut window = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .with_max_steps(20)
        .build_eframe(move |made| {
            let (events, heard) = Events::<AppEvent>::new(made.egui_ctx.clone());
            let told = events.clone();
            let worker = Worker::with(move |tasks, requests| {
                loop {
                    select! {
                        recv(tasks) -> task => match task {
                            Ok(Task::Load(path)) => told.send(AppEvent::Model(Box::new(Model {
                                path,
                                space: Arc::new(LabelSpace::new(3, false, false)),
                                size: [8, 8],
                                styles,
                                step: 1,
                                adapter: "an adapter".into(),
                            }))),
                            Ok(Task::Encode(wanted)) => told.send(AppEvent::Encoded {
                                wanted,
                                style: Style::new(vec![1.0; 4]).unwrap(),
                            }),
                            Err(_) => return,
                        },
                        recv(requests) -> request => match request {
                            Ok(request) => told.send(AppEvent::Drawn(drawn(&request))),
                            Err(_) => return,
                        },
                    }
                }
            });
            Painter::new(&made.egui_ctx, worker, (events, heard), home.map(Home::at))
        });
    window.state_mut().easel.load("model.safetensors".into());
    until(&mut window, "the model is there", is_up_to_date);
    window
}

fn is_up_to_date(window: &Window) -> bool {
    let easel = &window.state().easel;
    easel.model.is_some() && !easel.is_behind()
}

fn shade(style: Option<&Style>) -> u8 {
    style.map_or(0, |style| (128.0 + 20.0 * style.coordinates()[0]) as u8)
}

fn drawn(request: &Request) -> Drawn {
    let picture = Grid::new(8, 8, vec![[shade(request.style.as_ref()); 3]; 64]);
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    Drawn {
        sight: request.sight,
        number: NUMBER.fetch_add(1, Ordering::Relaxed),
        image: Arc::new(worker::image(&picture)),
        thumb: Arc::new(worker::thumb(&picture)),
        picture: Arc::new(picture),
        seconds: 0.0,
        effort: None,
    }
}

/// Waits for the picture of the canvas as it is, and says how bright it is.
fn brightness(window: &mut Window) -> u8 {
    until(window, "the picture follows", is_up_to_date);
    let drawn = window.state().easel.picture.as_ref().unwrap();
    drawn.picture.data[0][0]
}

const STYLES: Ability = Ability {
    z_dim: 4,
    has_encoder: true,
};

#[test]
fn styles_are_rolled_mixed_and_returned_to() {
    let mut window = window_with_styles(Some(STYLES));
    let random = |seed| shade(Some(&Style::random(4, seed)));
    assert_eq!(brightness(&mut window), random(0));
    click(&mut window, "Random style");
    let rolled = window.state().easel.styling.recipe().clone();
    let Origin::Seed(seed) = rolled.first else {
        panic!("{rolled:?}")
    };
    assert_eq!(brightness(&mut window), random(seed));
    key(&mut window, Modifiers::NONE, Key::D);
    assert_ne!(*window.state().easel.styling.recipe(), rolled);
    brightness(&mut window);
    click(&mut window, &format!("Style: seed {seed}"));
    assert_eq!(*window.state().easel.styling.recipe(), rolled);
    assert_eq!(brightness(&mut window), random(seed));
    // Two thumbnails and the first style; none is there twice.
    let used = window.state().easel.styling.used.len();
    assert_eq!(used, 3);

    window.get_by_label("Style: seed 0").click_secondary();
    window.run();
    let mix = window.state().easel.styling.recipe().clone();
    assert_eq!(mix.second, Some(Origin::Seed(0)));
    let style = mix.style(4).unwrap();
    assert_eq!(brightness(&mut window), shade(Some(&style)));
    click(&mut window, "Stop mixing");
    assert_eq!(brightness(&mut window), random(seed));
}

#[test]
fn a_dropped_photo_gives_the_style_or_is_traced() {
    let dir = tempfile::tempdir().unwrap();
    let photo = dir.path().join("dusk.jpg");
    image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([x as u8 * 8, y as u8 * 8, 0]))
        .save(&photo)
        .unwrap();
    let mut window = window_with_styles(Some(STYLES));
    window.state_mut().easel.drop_file(photo.clone());
    until(&mut window, "the style is taken", |window| {
        window.query_by_label("dusk.jpg").is_some()
    });
    assert_eq!(brightness(&mut window), 148);
    click(&mut window, "Trace it instead");
    until(&mut window, "the photo is traced", |window| {
        window.state().easel.traced.is_some()
    });
    // A picture that is no label map, in a format that label maps have.
    let png = dir.path().join("dusk.png");
    image::open(&photo).unwrap().save(&png).unwrap();
    window.state_mut().easel.styling.set(Recipe::default());
    window.state_mut().easel.drop_file(png);
    until(&mut window, "its style is offered", |window| {
        window.query_by_label("Take its style").is_some()
    });
    click(&mut window, "Take its style");
    until(&mut window, "the style is taken", |window| {
        window.query_by_label("dusk.png").is_some()
    });

    let mut window = window_with_styles(None);
    assert!(window.query_by_label_contains("has no styles").is_some());
    assert_eq!(brightness(&mut window), 0);
    window.state_mut().easel.drop_file(photo);
    until(&mut window, "the photo is traced", |window| {
        window.state().easel.traced.is_some()
    });
}

#[test]
fn a_project_restores_layout_and_style() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lake.png");
    let mut window = window_with_styles(Some(STYLES));
    let recipe = Recipe {
        first: Origin::Place {
            name: "dusk.jpg".into(),
            coordinates: Style::random(4, 77).coordinates().to_vec(),
        },
        second: Some(Origin::Seed(5)),
        share: 0.3,
        strength: 1.2,
    };
    window.state_mut().easel.styling.set(recipe.clone());
    let bright = brightness(&mut window);
    key(&mut window, Modifiers::COMMAND, Key::S);
    write_path(&mut window, &path);
    click(&mut window, "Save");
    until(&mut window, "the layout is saved", |_| path.exists());

    let mut window = window_with_styles(Some(STYLES));
    window.state_mut().easel.open(path.clone());
    until(&mut window, "the project is open", |window| {
        window.state().easel.file.is_some()
    });
    assert_eq!(*window.state().easel.styling.recipe(), recipe);
    assert_eq!(brightness(&mut window), bright);

    let other = Ability { z_dim: 3, ..STYLES };
    let mut window = window_with_styles(Some(other));
    window.state_mut().easel.open(path);
    until(&mut window, "the misfit is told", |window| {
        window
            .query_by_label_contains("different generators")
            .is_some()
    });
    assert_eq!(*window.state().easel.styling.recipe(), Recipe::default());
}

#[test]
fn a_style_is_work_that_a_crash_does_not_lose() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let mut window = window_with_styles_at(Some(STYLES), Some(home.clone()));
    assert!(!window.state().easel.is_unsaved(), "nothing was done yet");
    type Change = fn(&mut Window);
    let changes: [(&str, Change); 5] = [
        ("dice", |window| click(window, "Random style")),
        ("seed", |window| {
            let styling = &mut window.state_mut().easel.styling;
            styling.put(Part::First, Origin::Seed(17));
        }),
        ("picture", |window| {
            let path = "dusk.jpg".into();
            window.state_mut().easel.drop_file(path);
            until(window, "the style is taken", |window| {
                window.query_by_label("dusk.jpg").is_some()
            });
        }),
        ("mix", |window| {
            window.get_by_label("Style: seed 17").click_secondary();
        }),
        ("strength", |window| {
            let styling = &mut window.state_mut().easel.styling;
            styling.change(|recipe| recipe.strength = 0.7);
        }),
    ];
    let recovery = window.state().easel.recovery().unwrap();
    let mut later = Instant::now();
    for (what, change) in changes {
        change(&mut window);
        window.run();
        brightness(&mut window);
        assert!(window.state().easel.is_unsaved(), "{what}");
        window.state_mut().easel.autosave(later);
        later += Duration::from_secs(9);
        window.state_mut().easel.autosave(later);
        until(&mut window, what, |_| recovery.exists());
        std::fs::rename(&recovery, home.join("unsaved-0.png")).unwrap();
    }
    let recipe = window.state().easel.styling.recipe().clone();
    assert!(
        recipe.second.is_some() && recipe.strength == 0.7,
        "{recipe:?}"
    );
    let bright = brightness(&mut window);
    // As a crash does it.
    std::mem::forget(window);

    let mut window = window_with_styles_at(Some(STYLES), Some(home.clone()));
    click(&mut window, "Open it");
    until(&mut window, "the layout is back", |window| {
        *window.state().easel.styling.recipe() == recipe
    });
    assert_eq!(brightness(&mut window), bright);
    assert!(window.state().easel.is_unsaved());
    // What was recovered lives on as this window's own before the old copy goes.
    let old = home.join("unsaved-0.png");
    assert!(old.exists() || window.state().easel.recovery().unwrap().exists());
    window.state_mut().easel.autosave(later);
    window
        .state_mut()
        .easel
        .autosave(later + Duration::from_secs(9));
    until(&mut window, "the old copy goes", |_| !old.exists());
    assert!(window.state().easel.recovery().unwrap().exists());
}

#[test]
fn recovered_work_that_another_layout_replaces_stays_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (home, lake) = (dir.path().join("home"), dir.path().join("lake.png"));
    let mut window = window_with_styles_at(Some(STYLES), Some(home.clone()));
    click(&mut window, "Random style");
    let (old, own) = (
        home.join("unsaved-0.png"),
        window.state().easel.recovery().unwrap(),
    );
    let now = Instant::now();
    for seconds in [0, 9] {
        let later = now + Duration::from_secs(seconds);
        window.state_mut().easel.autosave(later);
    }
    until(&mut window, "a copy is written", |_| own.exists());
    std::fs::rename(&own, &old).unwrap();
    let save = |window: &mut Window, path: &Path| {
        let easel = &mut window.state_mut().easel;
        easel.grant(Wish::Save, path.to_path_buf(), false);
        until(window, "the layout is saved", |_| path.exists());
    };
    save(&mut window, &lake);
    // As a crash does it.
    std::mem::forget(window);

    let mut window = window_with_styles_at(Some(STYLES), Some(home.clone()));
    click(&mut window, "Open it");
    until(&mut window, "the layout is back", |window| {
        window.state().easel.is_unsaved()
    });
    // On a machine this slow it has a copy of its own already.
    let is_copied = window.state().easel.recovery().unwrap().exists();
    window.state_mut().easel.open(lake);
    until(&mut window, "the other is open", |window| {
        window.state().easel.file.is_some()
    });
    window.state_mut().easel.leave();
    // The clerk does one thing after another.
    save(&mut window, &dir.path().join("again.png"));
    assert!(is_copied || old.exists());
}

#[test]
fn a_picture_that_was_given_up_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let (given_up, wanted) = (dir.path().join("one.png"), dir.path().join("two.png"));
    let mut window = window_with_styles(Some(STYLES));
    brightness(&mut window);
    let easel = &mut window.state_mut().easel;
    // Now the picture is behind, and its file waits for it.
    easel.styling.put(Part::First, Origin::Seed(3));
    easel.grant(Wish::Export, given_up.clone(), false);
    easel.stay();
    brightness(&mut window);
    let easel = &mut window.state_mut().easel;
    easel.grant(Wish::Export, wanted.clone(), false);
    until(&mut window, "the picture is saved", |_| wanted.exists());
    assert!(!given_up.exists());
}

/// Wants to close the window; says whether it does.
fn closes(window: &mut Window) -> bool {
    let viewport = window.input_mut().viewports.entry(ViewportId::ROOT);
    viewport.or_default().events.push(ViewportEvent::Close);
    window.step();
    let stays = commands(window).contains(&ViewportCommand::CancelClose);
    window.run();
    !stays
}

fn commands(window: &Window) -> Vec<ViewportCommand> {
    window.output().viewport_output[&ViewportId::ROOT]
        .commands
        .clone()
}

#[test]
fn a_window_with_changes_asks_before_it_closes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lake.png");
    let mut window = window_with_styles(Some(STYLES));
    assert!(closes(&mut window), "nothing would be lost");
    click(&mut window, "Random style");
    brightness(&mut window);
    assert!(!closes(&mut window));
    click(&mut window, "Cancel");
    assert!(window.state().easel.dialog.is_none());

    // Save, under a name that is asked for.
    assert!(!closes(&mut window));
    assert!(
        window
            .query_by_label("Save the changes to untitled?")
            .is_some()
    );
    click(&mut window, "Save");
    write_path(&mut window, &path);
    click(&mut window, "Save");
    until(
        &mut window,
        "it closes once the layout is saved",
        |window| window.state().easel.parting == Parting::Gone,
    );
    assert!(path.exists() && closes(&mut window));

    // Whoever gives up naming the file stays.
    let mut window = window_with_styles(Some(STYLES));
    click(&mut window, "Random style");
    assert!(!closes(&mut window));
    click(&mut window, "Save");
    click(&mut window, "Cancel");
    key(&mut window, Modifiers::COMMAND, Key::S);
    write_path(&mut window, &dir.path().join("other.png"));
    click(&mut window, "Save");
    until(&mut window, "the layout is saved", |window| {
        !window.state().easel.is_unsaved()
    });
    assert_eq!(window.state().easel.parting, Parting::Staying);

    click(&mut window, "Random style");
    assert!(!closes(&mut window));
    click(&mut window, "Don't save");
    assert_eq!(window.state().easel.parting, Parting::Gone);
    assert!(closes(&mut window));
}

fn click(window: &mut Window, label: &str) {
    window
        .get_by_role_and_label(accesskit::Role::Button, label)
        .click();
    window.run();
}

fn key(window: &mut Window, modifiers: Modifiers, key: Key) {
    window.key_press_modifiers(modifiers, key);
    window.run();
}

/// A place of the layout pane, in parts of the canvas.
fn place(window: &Window, x: f32, y: f32) -> Pos2 {
    let pane = window.get_by_label("Layout pane").rect();
    let easel = &window.state().easel;
    let canvas = easel.view.place(pane, easel.canvas.size());
    canvas.lerp_inside(vec2(x, y))
}

fn button(window: &mut Window, pos: Pos2, pressed: bool, modifiers: Modifiers) {
    let button = PointerButton::Primary;
    window.event(Event::PointerButton {
        pos,
        button,
        pressed,
        modifiers,
    });
}

/// Presses at the first place, moves over the others, releases at the last.
fn drag(window: &mut Window, places: &[[f32; 2]]) {
    let places: Vec<_> = places.iter().map(|&[x, y]| place(window, x, y)).collect();
    window.event(Event::PointerMoved(places[0]));
    window.run();
    button(window, places[0], true, Modifiers::NONE);
    window.run();
    for &at in &places[1..] {
        window.event(Event::PointerMoved(at));
        window.run();
    }
    button(window, places[places.len() - 1], false, Modifiers::NONE);
    window.run();
}

/// Pixels of a class.
fn count(window: &Window, id: u8) -> usize {
    let labels = window.state().easel.labels();
    labels.data.iter().filter(|&&pixel| pixel == id).count()
}

#[test]
fn every_tool_is_found_by_label_and_paints() {
    for (tool, ways) in [
        ("Brush", vec![vec![[0.2, 0.2], [0.5, 0.6], [0.8, 0.2]]]),
        ("Line", vec![vec![[0.1, 0.1], [0.9, 0.9]]]),
        ("Rectangle", vec![vec![[0.2, 0.2], [0.6, 0.7]]]),
        ("Fill", vec![vec![[0.5, 0.5]]]),
    ] {
        let mut window = window();
        click(&mut window, tool);
        click(&mut window, "water");
        for way in ways {
            drag(&mut window, &way);
        }
        assert!(
            count(&window, 6) > 100,
            "{tool} painted {}",
            count(&window, 6)
        );
        key(&mut window, Modifiers::COMMAND, Key::Z);
        assert_eq!(count(&window, 6), 0, "{tool} is undone");
        key(&mut window, Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
        assert!(count(&window, 6) > 100, "{tool} is redone");
    }
}

/// A frame that holds all of these.
fn frame(window: &mut Window, events: impl IntoIterator<Item = Event>) {
    window.input_mut().events.extend(events);
    window.run();
}

fn press(pos: Pos2, pressed: bool) -> Event {
    let (button, modifiers) = (PointerButton::Primary, Modifiers::NONE);
    Event::PointerButton {
        pos,
        button,
        pressed,
        modifiers,
    }
}

fn letter(key: Key, modifiers: Modifiers) -> Event {
    Event::Key {
        key,
        physical_key: None,
        pressed: true,
        repeat: false,
        modifiers,
    }
}

#[test]
fn a_slow_frame_takes_pointer_and_keys_in_their_order() {
    let mut window = window();
    click(&mut window, "water");
    drag(&mut window, &[[0.2, 0.2], [0.8, 0.2]]);
    let first = count(&window, 6);
    let [from, to] = [[0.2, 0.7], [0.8, 0.7]].map(|[x, y]| place(&window, x, y));
    frame(
        &mut window,
        [
            Event::PointerMoved(from),
            press(from, true),
            Event::PointerMoved(to),
        ],
    );
    assert!(count(&window, 6) > first);
    // The stroke ends and is undone; the stroke before it stays.
    frame(
        &mut window,
        [press(to, false), letter(Key::Z, Modifiers::COMMAND)],
    );
    assert_eq!(count(&window, 6), first);
    // A whole stroke, another class, and another stroke elsewhere.
    frame(
        &mut window,
        [
            Event::PointerMoved(from),
            press(from, true),
            press(from, false),
            letter(Key::Num6, Modifiers::NONE),
            Event::PointerMoved(to),
            press(to, true),
            press(to, false),
        ],
    );
    assert!(count(&window, 6) > first && count(&window, 5) > 0);
    // What follows a key that opens a dialog belongs to the dialog.
    let before = window.state().easel.labels().clone();
    frame(
        &mut window,
        [
            letter(Key::S, Modifiers::COMMAND),
            letter(Key::Z, Modifiers::COMMAND),
            Event::PointerMoved(from),
            press(from, true),
            press(from, false),
        ],
    );
    assert!(window.state().easel.dialog.is_some());
    assert_eq!(*window.state().easel.labels(), before);
}

#[test]
fn a_polygon_is_closed_by_enter() {
    let mut window = window();
    click(&mut window, "Polygon");
    click(&mut window, "tree");
    for corner in [[0.1, 0.9], [0.5, 0.1], [0.9, 0.9]] {
        drag(&mut window, &[corner]);
    }
    assert_eq!(count(&window, 5), 0);
    key(&mut window, Modifiers::NONE, Key::Enter);
    let share = count(&window, 5) as f32 / 65536.0;
    assert!((0.30..0.34).contains(&share), "{share}");
}

#[test]
fn eraser_and_eyedropper_follow_the_canvas() {
    let mut window = window();
    click(&mut window, "Fill");
    click(&mut window, "grass");
    drag(&mut window, &[[0.5, 0.5]]);
    click(&mut window, "Eraser");
    drag(&mut window, &[[0.2, 0.5], [0.8, 0.5]]);
    assert!(count(&window, 0) > 1000);
    click(&mut window, "Eyedropper");
    drag(&mut window, &[[0.5, 0.5]]);
    assert_eq!(window.state().easel.hand.class, 0);
    drag(&mut window, &[[0.5, 0.1]]);
    assert_eq!(window.state().easel.hand.class, 4);
    key(&mut window, Modifiers::NONE, Key::X);
    assert_eq!(window.state().easel.hand.class, 0, "X is the class before");
    click(&mut window, "grass");
    click(&mut window, "Ground");
    assert_eq!(window.state().easel.hand.ground, 4);
}

#[test]
fn keys_choose_tools_classes_and_brushes() {
    let mut window = window();
    for (letter, tool) in [
        (Key::L, Tool::Line),
        (Key::R, Tool::Rectangle),
        (Key::P, Tool::Polygon),
        (Key::G, Tool::Fill),
        (Key::E, Tool::Eraser),
        (Key::I, Tool::Eyedropper),
        (Key::H, Tool::Hand),
        (Key::B, Tool::Brush),
    ] {
        key(&mut window, Modifiers::NONE, letter);
        assert_eq!(window.state().easel.hand.tool, tool);
    }
    key(&mut window, Modifiers::NONE, Key::Num3);
    assert_eq!(window.state().easel.hand.class, 2);
    key(&mut window, Modifiers::NONE, Key::Num0);
    assert_eq!(window.state().easel.hand.class, 9);
    let before = window.state().easel.hand.brush;
    key(&mut window, Modifiers::NONE, Key::CloseBracket);
    assert!(window.state().easel.hand.brush.size_px > before.size_px);
    key(&mut window, Modifiers::NONE, Key::OpenBracket);
    key(&mut window, Modifiers::NONE, Key::Q);
    assert_eq!(window.state().easel.hand.brush.tip, Tip::Square);
    key(&mut window, Modifiers::NONE, Key::F6);
    assert_eq!(window.state().easel.mode, Mode::Split);
    key(&mut window, Modifiers::NONE, Key::F1);
    assert!(matches!(window.state().easel.dialog, Some(Dialog::Keys)));
    click(&mut window, "Close");
    assert!(window.state().easel.dialog.is_none());
}

#[test]
fn letters_are_letters_while_someone_searches() {
    let mut window = window();
    key(&mut window, Modifiers::NONE, Key::Slash);
    window.event(Event::Text("bui".into()));
    key(&mut window, Modifiers::NONE, Key::B);
    assert_eq!(window.state().easel.palette.search, "bui");
    assert!(window.query_by_label("water").is_none());
    key(&mut window, Modifiers::NONE, Key::Enter);
    assert_eq!(window.state().easel.hand.class, 9);
    assert!(
        window.query_by_label("water").is_some(),
        "the search is done"
    );
}

#[test]
fn zoom_and_position_are_shared_and_come_back() {
    let mut window = window();
    let before = place(&window, 0.0, 0.0);
    key(&mut window, Modifiers::NONE, Key::Plus);
    assert_ne!(place(&window, 0.0, 0.0), before);
    key(&mut window, Modifiers::NONE, Key::N);
    let easel = &window.state().easel;
    let pane = window.get_by_label("Layout pane").rect();
    assert_eq!(easel.view.scale(pane, easel.canvas.size()), 1.0);
    key(&mut window, Modifiers::NONE, Key::F);
    assert_eq!(place(&window, 0.0, 0.0), before);
}

/// Waits for the threads; the window itself never does.
#[track_caller]
fn until(window: &mut Window, what: &str, done: impl Fn(&Window) -> bool) {
    let start = Instant::now();
    while !done(window) {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
        window.run();
    }
}

fn write_path(window: &mut Window, path: &Path) {
    match &mut window.state_mut().easel.dialog {
        Some(Dialog::Path(sheet)) => sheet.text = path.display().to_string(),
        _ => panic!("no path is asked for"),
    }
    window.run();
}

#[test]
fn a_layout_is_saved_reopened_and_never_overwritten_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lake.png");
    let mut window = window();
    click(&mut window, "Fill");
    click(&mut window, "water");
    drag(&mut window, &[[0.5, 0.5]]);
    assert!(window.state().easel.is_unsaved());
    key(&mut window, Modifiers::COMMAND, Key::S);
    write_path(&mut window, &path);
    click(&mut window, "Save");
    until(&mut window, "the layout is saved", |window| {
        !window.state().easel.is_unsaved()
    });
    let bytes = std::fs::read(&path).unwrap();

    key(&mut window, Modifiers::COMMAND, Key::N);
    assert_eq!(count(&window, 6), 0);
    key(&mut window, Modifiers::COMMAND, Key::O);
    write_path(&mut window, &path);
    click(&mut window, "Open");
    until(&mut window, "the layout is open", |window| {
        count(window, 6) == 65536
    });
    key(&mut window, Modifiers::COMMAND | Modifiers::SHIFT, Key::S);
    click(&mut window, "Save");
    until(&mut window, "the other file is noticed", |window| {
        window.query_by_label("Replace").is_some()
    });
    click(&mut window, "Replace");
    until(&mut window, "the layout is replaced", |window| {
        window.state().easel.dialog.is_none()
    });
    assert_eq!(
        std::fs::read(&path).unwrap(),
        bytes,
        "the same layout, the same bytes"
    );
}

#[test]
fn bad_files_leave_the_canvas_and_tell_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broken.png");
    std::fs::write(&path, b"\x89PNG\r\n\x1a\nnothing").unwrap();
    let mut window = window();
    let before = window.state().easel.labels().clone();
    window.state_mut().easel.drop_file(path);
    until(&mut window, "the trouble is told", |window| {
        window.query_by_label_contains("broken.png").is_some()
    });
    assert_eq!(*window.state().easel.labels(), before);
    click(&mut window, "Dismiss");
    assert!(window.query_by_label_contains("broken.png").is_none());
}

#[test]
fn foreign_colours_are_asked_about() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("foreign.png");
    image::RgbImage::from_pixel(8, 8, image::Rgb([42, 90, 180]))
        .save(&path)
        .unwrap();
    let mut window = window();
    window.state_mut().easel.drop_file(path);
    until(&mut window, "the classes are asked for", |window| {
        window.query_by_label("Class of #2a5ab4").is_some()
    });
    click(&mut window, "Open");
    assert_eq!(count(&window, 6), 64, "the nearest colour is water");
    assert!(
        window.state().easel.file.is_none(),
        "the file is not overwritten by a save"
    );
}

#[test]
fn a_crash_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let mut window = window_at(Some(home.clone()));
    click(&mut window, "Fill");
    click(&mut window, "flower");
    drag(&mut window, &[[0.5, 0.5]]);
    let recovery = window.state().easel.recovery().unwrap();
    let later = Instant::now() + Duration::from_secs(9);
    window.state_mut().easel.autosave(later);
    until(&mut window, "the copy is written", |_| recovery.exists());
    // A crash leaves the copy, and the system frees the lock.
    let left = home.join("unsaved-0.png");
    std::fs::rename(&recovery, left).unwrap();
    drop(window);

    let mut window = window_at(Some(home.clone()));
    click(&mut window, "Open it");
    until(&mut window, "the layout is back", |window| {
        count(window, 11) == 65536
    });
    assert!(window.state().easel.is_unsaved() && window.state().easel.file.is_none());
}

#[test]
fn a_stalled_worker_does_not_stall_the_window() {
    let mut window = window();
    window.state_mut().easel.load("none.safetensors".into());
    click(&mut window, "water");
    let start = Instant::now();
    for i in 0..50 {
        let x = i as f32 / 50.0;
        drag(&mut window, &[[x, 0.2], [x, 0.8]]);
    }
    assert!(window.state().easel.history.can_undo());
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn an_idle_window_does_not_repaint() {
    let mut window = window();
    // Tooltips and cursors have come to rest after this.
    window.run();
    assert!(!window.ctx.has_requested_repaint());
    let delay = window
        .output()
        .viewport_output
        .values()
        .map(|output| output.repaint_delay)
        .min();
    assert!(
        delay.is_some_and(|delay| delay > Duration::from_secs(3600)),
        "{delay:?}"
    );
}

fn step(step: u64) -> TrainEvent {
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

#[test]
fn the_network_in_training_is_painted_with() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        data: DataConfig {
            landscapes: Some(2),
            ..DataConfig::default()
        },
        ..Config::default()
    };
    let run = RunFolder::create(&dir.path().join("run"), &config).unwrap();
    let (events, heard) = Events::<News>::silent();
    let mut window = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .with_max_steps(20)
        .build_eframe(move |made| Studio::new(&made.egui_ctx, heard, None));
    window.run();
    window.key_press(Key::F3);
    window.run();
    assert!(window.state().painter.is_none(), "there is no network yet");
    let (orders, _taken) = crossbeam_channel::unbounded();
    let (follower, config) = Follower::start(run.root(), events.clone(), true).unwrap();
    let (sitting, wanted) = sitting();
    events.send(News::Live(Box::new(Live {
        root: run.root().to_path_buf(),
        config,
        follower,
        orders,
        sitting,
    })));
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
    let (orders, taken) = crossbeam_channel::unbounded();
    let (follower, config) = Follower::start(run.root(), events.clone(), true).unwrap();
    let root = run.root().to_path_buf();
    events.send(News::Live(Box::new(Live {
        root,
        config,
        follower,
        orders,
        sitting: sitting().0,
    })));
    events.send(News::Train(TrainEvent::Started(Started {
        adapter: "an adapter".into(),
        device_bytes: 3 << 20,
        pictures: 40,
        batches_per_epoch: 10,
        epochs: 2,
        step: 0,
        images: 0,
        total_images: 80,
    })));
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

    let dark = window.ctx.global_style().visuals.dark_mode;
    window.key_press(Key::F9);
    window.run();
    assert_ne!(window.ctx.global_style().visuals.dark_mode, dark);
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
    drop(window);
    assert!(taken.try_recv().is_err(), "nothing was ordered unasked");
}

#[test]
fn controls_have_roles_and_names() {
    let window = window();
    for label in [
        "Brush",
        "Hand",
        "water",
        "Search classes",
        "Size",
        "Round",
        "Split",
        "File",
        "Ground",
    ] {
        let nodes = window.query_all_by_label(label).count();
        assert!(nodes > 0, "{label}");
    }
    let chosen = window.get_by_role_and_label(accesskit::Role::Button, "Brush");
    assert_eq!(
        chosen.accesskit_node().toggled(),
        Some(accesskit::Toggled::True)
    );
}
