//! Theme and size of writing: one state for all pages and windows.

use std::path::Path;

use eframe::egui::{Context, Key, Modifiers, Ui, accesskit, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use spadework::app::Painter;
use spadework::app::event::{Event as AppEvent, Events};
use spadework::app::follow::News;
use spadework::app::home::Home;
use spadework::app::looks::Looks;
use spadework::app::monitor::Monitor;
use spadework::app::room::{Room, Titled};
use spadework::app::studio::Studio;
use spadework::app::worker::Worker;

use crate::training::{begin, open_run};

type Shown<A> = Harness<'static, Late<A>>;

type Make<A> = Box<dyn FnOnce(&Context) -> Room<A>>;

/// Makes a window once it is first shown: until then the test's own theme takes the place of any other.
struct Late<A> {
    make: Option<Make<A>>,
    room: Option<Room<A>>,
}

impl<A> Late<A> {
    fn inside(&mut self) -> &mut A {
        &mut self.room.as_mut().expect("it is shown").inside
    }
}

impl<A: eframe::App + Titled> eframe::App for Late<A> {
    fn logic(&mut self, window: &Context, frame: &mut eframe::Frame) {
        if let Some(make) = self.make.take() {
            self.room = Some(make(window));
        }
        self.room.as_mut().expect("it is made").logic(window, frame);
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        self.room.as_mut().expect("it is made").ui(ui, frame);
    }
}

fn shown<A: eframe::App + Titled + 'static>(
    home: &Path,
    inside: impl FnOnce(&Context) -> A + 'static,
) -> Shown<A> {
    let home = home.to_path_buf();
    let make = move |window: &Context| Room::new(window, Some(&home), inside(window));
    let mut window = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .with_max_steps(20)
        .build_eframe(move |_| Late {
            make: Some(Box::new(make)),
            room: None,
        });
    window.run();
    window
}

fn painter(home: &Path) -> Shown<Painter> {
    let memory = home.to_path_buf();
    shown(home, move |window| {
        let events = Events::<AppEvent>::new(window.clone());
        let worker = Worker::with(|tasks, requests| {
            while tasks.recv().is_ok() {}
            drop(requests);
        });
        Painter::new(window, worker, events, Some(Home::at(memory)))
    })
}

fn choose<A>(window: &mut Shown<A>, menu: &str, entry: &str) {
    for label in [menu, entry] {
        // An entry is called by its name and its key.
        let entry = window.get_by(|node| {
            let name = node.label().unwrap_or_default();
            node.role() == accesskit::Role::Button && name.starts_with(label)
        });
        entry.click();
        window.run();
    }
}

/// How a window looks, and whether it is dark in fact.
fn looks<A>(window: &Shown<A>) -> (Looks, bool) {
    let dark = window.ctx.global_style().visuals.dark_mode;
    (Looks::of(&window.ctx), dark)
}

#[test]
fn every_window_looks_as_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let run = open_run(dir.path());

    let mut watching = shown(&home, {
        let root = run.root().to_path_buf();
        move |window| Monitor::new(window, &root)
    });
    assert_eq!(looks(&watching).0, Looks::default());
    let dark = !looks(&watching).1;
    watching.key_press(Key::F9);
    watching.run();
    choose(&mut watching, "View", "Larger text");
    choose(&mut watching, "View", "Larger text");
    let chosen = Looks {
        dark: Some(dark),
        scale: 1.2,
    };
    assert_eq!(looks(&watching), (chosen, dark));
    drop(watching);

    let mut painting = painter(&home);
    assert_eq!(looks(&painting), (chosen, dark));
    // A file that is remembered leaves the looks alone, and they leave it.
    let layout = dir.path().join("lake.png");
    let easel = &mut painting.state_mut().inside().easel;
    easel.grant(spadework::app::paths::Wish::Save, layout.clone(), false);
    while !layout.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    painting.run();
    choose(&mut painting, "View", "Normal text");
    choose(&mut painting, "View", "Light or dark");
    let chosen = Looks {
        dark: Some(!dark),
        scale: 1.0,
    };
    assert_eq!(looks(&painting), (chosen, !dark));
    drop(painting);
    let memory = Home::at(home.clone()).remember();
    assert_eq!((memory.looks, memory.layouts), (chosen, vec![layout]));

    let (events, heard) = Events::<News>::silent();
    let memory = home.clone();
    let mut training = shown(&home, move |window| {
        Studio::new(window, heard, Some(memory))
    });
    assert_eq!(looks(&training), (chosen, !dark));
    let _orders = begin(&run, &events);
    training.run();
    // What is chosen while watching stays so on the page of the painter, and back.
    training.key_press(Key::F9);
    training.run();
    for page in [Key::F3, Key::F2, Key::F4, Key::F2] {
        training.key_press(page);
        training.run();
        assert_eq!(looks(&training).1, dark, "{page:?}");
    }
    training.key_press(Key::F3);
    training.run();
    training.key_press(Key::F9);
    training.run();
    training.key_press(Key::F2);
    training.run();
    assert_eq!(looks(&training).1, !dark);
    for (key, scale) in [
        (Key::Plus, 1.1),
        (Key::Minus, 1.0),
        (Key::Minus, 0.9),
        (Key::Num0, 1.0),
    ] {
        training.key_press_modifiers(Modifiers::COMMAND, key);
        training.run();
        training.run();
        assert_eq!(looks(&training).0.scale, scale, "{key:?}");
    }
}

#[test]
fn writing_that_could_not_be_read_is_not_remembered() {
    let dir = tempfile::tempdir().unwrap();
    for (remembered, scale) in [("0.01", 0.5), ("40", 3.0), ("2", 2.0)] {
        let text = format!("{{\"scale\": {remembered}}}");
        std::fs::write(dir.path().join("window.json"), text).unwrap();
        let window = painter(dir.path());
        assert_eq!(looks(&window).0.scale, scale);
    }
}
