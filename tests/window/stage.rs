//! Painters without a screen, and what a person does to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::select;
use eframe::egui::{
    Event, Key, Modifiers, PointerButton, Pos2, ViewportCommand, ViewportEvent, ViewportId,
    accesskit, vec2,
};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use spadework::Style;
use spadework::app::Painter;
use spadework::app::clerk::landscape_space;
use spadework::app::easel::Dialog;
use spadework::app::event::{Event as AppEvent, Events, Model};
use spadework::app::home::Home;
use spadework::app::styling::Ability;
use spadework::app::worker::{self, Drawn, Request, Task, Worker};
use spadework::data::{Grid, LabelSpace};

pub type Window = Harness<'static, Painter>;

/// A window whose worker never answers.
pub fn window() -> Window {
    window_at(None)
}

pub fn window_at(home: Option<PathBuf>) -> Window {
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
pub fn window_with_styles(styles: Option<Ability>) -> Window {
    window_with_styles_at(styles, None)
}

/// Classes of the models of the worker that draws.
fn space_of(model: &Path) -> LabelSpace {
    match model.file_stem().and_then(|stem| stem.to_str()) {
        Some("landscapes") => landscape_space(),
        Some("many") => LabelSpace::new(40, false, false),
        Some("instances") => LabelSpace::new(3, false, true),
        _ => LabelSpace::new(3, false, false),
    }
}

/// Another model, once it draws.
pub fn load(window: &mut Window, model: &str) {
    window.state_mut().easel.load(model.into());
    until(window, "the other model is there", |window| {
        let easel = &window.state().easel;
        let path = easel.model.as_ref().map(|model| model.path.as_path());
        path == Some(Path::new(model)) && !easel.is_behind()
    });
}

pub fn window_with_styles_at(styles: Option<Ability>, home: Option<PathBuf>) -> Window {
    let mut window = window_that_loads(styles, home);
    until(&mut window, "the model is there", is_up_to_date);
    window
}

/// As [`window_with_styles_at`], before it has heard of the model.
pub fn window_that_loads(styles: Option<Ability>, home: Option<PathBuf>) -> Window {
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
                                space: Arc::new(space_of(&path)),
                                path,
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
    window
}

pub fn is_up_to_date(window: &Window) -> bool {
    let easel = &window.state().easel;
    easel.model.is_some() && !easel.is_behind()
}

pub fn shade(style: Option<&Style>) -> u8 {
    style.map_or(0, |style| (128.0 + 20.0 * style.coordinates()[0]) as u8)
}

pub fn drawn(request: &Request) -> Drawn {
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
pub fn brightness(window: &mut Window) -> u8 {
    until(window, "the picture follows", is_up_to_date);
    let drawn = window.state().easel.picture.as_ref().unwrap();
    drawn.picture.data[0][0]
}

pub const STYLES: Ability = Ability {
    z_dim: 4,
    has_encoder: true,
};

/// Wants to close the window; says whether it does.
pub fn closes(window: &mut Window) -> bool {
    let viewport = window.input_mut().viewports.entry(ViewportId::ROOT);
    viewport.or_default().events.push(ViewportEvent::Close);
    window.step();
    let stays = commands(window).contains(&ViewportCommand::CancelClose);
    window.run();
    !stays
}

pub fn commands(window: &Window) -> Vec<ViewportCommand> {
    window.output().viewport_output[&ViewportId::ROOT]
        .commands
        .clone()
}

pub fn click(window: &mut Window, label: &str) {
    window
        .get_by_role_and_label(accesskit::Role::Button, label)
        .click();
    window.run();
}

pub fn key(window: &mut Window, modifiers: Modifiers, key: Key) {
    window.key_press_modifiers(modifiers, key);
    window.run();
}

/// A place of the layout pane, in parts of the canvas.
pub fn place(window: &Window, x: f32, y: f32) -> Pos2 {
    let pane = window.get_by_label("Layout pane").rect();
    let easel = &window.state().easel;
    let canvas = easel.view.place(pane, easel.canvas.size());
    canvas.lerp_inside(vec2(x, y))
}

pub fn button(window: &mut Window, pos: Pos2, pressed: bool, modifiers: Modifiers) {
    let button = PointerButton::Primary;
    window.event(Event::PointerButton {
        pos,
        button,
        pressed,
        modifiers,
    });
}

/// Presses at the first place, moves over the others, releases at the last.
pub fn drag(window: &mut Window, places: &[[f32; 2]]) {
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
pub fn count(window: &Window, id: u8) -> usize {
    let labels = window.state().easel.labels();
    labels.data.iter().filter(|&&pixel| pixel == id).count()
}

/// A frame that holds all of these.
pub fn frame(window: &mut Window, events: impl IntoIterator<Item = Event>) {
    window.input_mut().events.extend(events);
    window.run();
}

pub fn press(pos: Pos2, pressed: bool) -> Event {
    let (button, modifiers) = (PointerButton::Primary, Modifiers::NONE);
    Event::PointerButton {
        pos,
        button,
        pressed,
        modifiers,
    }
}

pub fn letter(key: Key, modifiers: Modifiers) -> Event {
    Event::Key {
        key,
        physical_key: None,
        pressed: true,
        repeat: false,
        modifiers,
    }
}

/// Waits for the threads; the window itself never does.
#[track_caller]
pub fn until(window: &mut Window, what: &str, done: impl Fn(&Window) -> bool) {
    let start = Instant::now();
    while !done(window) {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
        window.run();
    }
}

pub fn write_path(window: &mut Window, path: &Path) {
    match &mut window.state_mut().easel.dialog {
        Some(Dialog::Path(sheet)) => sheet.text = path.display().to_string(),
        _ => panic!("no path is asked for"),
    }
    window.run();
}
