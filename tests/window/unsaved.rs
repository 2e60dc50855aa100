//! Unsaved work: a crash, another layout and the end of the program do not lose it unasked.

use std::path::Path;
use std::time::{Duration, Instant};

use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use spadework::app::easel::Parting;
use spadework::app::paths::Wish;
use spadework::app::styling::{Origin, Part};

use crate::stage::*;

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
    until(&mut window, "the work would be lost", is_asked);
    click(&mut window, "Don't save");
    until(&mut window, "the other is open", |window| {
        window.state().easel.file.is_some()
    });
    window.state_mut().easel.leave();
    // The clerk does one thing after another.
    save(&mut window, &dir.path().join("again.png"));
    assert!(is_copied || old.exists());
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

/// Something that puts another layout in the place of the canvas.
type Way = (&'static str, fn(&mut Window, &Path));

/// Every way, each with a layout file at hand.
const WAYS: [Way; 6] = [
    ("new", |window, _| key(window, Modifiers::COMMAND, Key::N)),
    ("landscape", |window, _| {
        key(window, Modifiers::COMMAND, Key::L)
    }),
    ("open", |window, file| {
        key(window, Modifiers::COMMAND, Key::O);
        write_path(window, file);
        click(window, "Open");
    }),
    ("drop", |window, file| {
        window.state_mut().easel.drop_file(file.to_path_buf());
    }),
    ("foreign", |window, file| {
        let foreign = file.with_file_name("foreign.png");
        image::RgbImage::from_pixel(8, 8, image::Rgb([42, 90, 180]))
            .save(&foreign)
            .unwrap();
        window.state_mut().easel.drop_file(foreign);
        until(window, "the classes are asked for", |window| {
            window.query_by_label("Class of #2a5ab4").is_some()
        });
        click(window, "Open");
    }),
    ("plain", |window, file| {
        // A label map of another program.
        let plain = file.with_file_name("plain.png");
        image::GrayImage::new(8, 8).save(&plain).unwrap();
        window.state_mut().easel.open(plain);
    }),
];

const QUESTION: &str = "Save the changes to untitled?";

fn is_asked(window: &Window) -> bool {
    window.query_by_label(QUESTION).is_some()
}

fn flood(window: &mut Window, class: &str) {
    click(window, "Fill");
    click(window, class);
    drag(window, &[[0.5, 0.5]]);
}

/// A layout file all of one class of the landscapes, saved by a window of its own.
fn layout_file(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("meadow.png");
    let mut window = window();
    flood(&mut window, "grass");
    let easel = &mut window.state_mut().easel;
    easel.grant(Wish::Save, path.clone(), false);
    until(&mut window, "the layout is saved", |_| path.exists());
    path
}

#[test]
fn another_layout_asks_before_it_takes_the_place_of_changes() {
    let dir = tempfile::tempdir().unwrap();
    let meadow = layout_file(dir.path());
    for (name, way) in WAYS {
        let mut window = window();
        flood(&mut window, "water");
        let lake = count(&window, 6);
        assert!(lake > 0, "{name}");

        way(&mut window, &meadow);
        until(&mut window, name, is_asked);
        assert_eq!(count(&window, 6), lake, "{name}");
        click(&mut window, "Cancel");
        assert!(window.state().easel.dialog.is_none(), "{name}");
        assert_eq!(count(&window, 6), lake, "{name}");
        assert!(window.state().easel.is_unsaved(), "{name}");

        // Saved under a name that is asked for, then replaced.
        way(&mut window, &meadow);
        until(&mut window, name, is_asked);
        click(&mut window, "Save");
        let path = dir.path().join(format!("lake-{name}.png"));
        write_path(&mut window, &path);
        click(&mut window, "Save");
        until(&mut window, name, |window| count(window, 6) != lake);
        assert!(path.exists(), "{name}");
        assert_ne!(window.state().easel.file.as_ref(), Some(&path), "{name}");
        assert_eq!(window.state().easel.parting, Parting::Staying, "{name}");

        // Given up: still one step away.
        flood(&mut window, "tree");
        let wood = window.state().easel.labels().clone();
        way(&mut window, &meadow);
        until(&mut window, name, |window| {
            window.query_by_label_contains("Save the changes").is_some()
        });
        click(&mut window, "Don't save");
        until(&mut window, name, |window| {
            *window.state().easel.labels() != wood
        });
        assert!(!window.state().easel.is_unsaved(), "{name}");
        key(&mut window, Modifiers::COMMAND, Key::Z);
        assert_eq!(*window.state().easel.labels(), wood, "{name}");
        assert!(window.state().easel.is_unsaved(), "{name}");
    }
}

#[test]
fn what_loses_nothing_does_not_ask() {
    let dir = tempfile::tempdir().unwrap();
    let meadow = layout_file(dir.path());
    let mut window = window_with_styles(Some(STYLES));
    let opened = |window: &mut Window| {
        until(window, "the file is open", |window| {
            window.state().easel.file.is_some()
        });
    };
    // Nothing was painted, and the style stays.
    click(&mut window, "Random style");
    let recipe = window.state().easel.styling.recipe().clone();
    key(&mut window, Modifiers::COMMAND, Key::N);
    assert!(window.state().easel.dialog.is_none());
    assert_eq!(*window.state().easel.styling.recipe(), recipe);
    assert!(
        window.state().easel.is_unsaved(),
        "the style is in no file yet"
    );
    // The file brings a style, or none: here it was saved without a model.
    window.state_mut().easel.open(meadow.clone());
    until(&mut window, "the style would be lost", is_asked);
    click(&mut window, "Don't save");
    opened(&mut window);
    // What was just opened is in its file.
    key(&mut window, Modifiers::COMMAND, Key::N);
    assert!(window.state().easel.dialog.is_none());
    window.state_mut().easel.open(meadow);
    opened(&mut window);
    // Now the style belongs to the file.
    click(&mut window, "Random style");
    key(&mut window, Modifiers::COMMAND, Key::N);
    assert!(
        window
            .query_by_label("Save the changes to meadow.png?")
            .is_some()
    );
}

#[test]
fn a_save_that_fails_replaces_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut window = window();
    flood(&mut window, "water");
    let lake = window.state().easel.labels().clone();
    key(&mut window, Modifiers::COMMAND, Key::N);
    click(&mut window, "Save");
    write_path(&mut window, &dir.path().join("none/lake.png"));
    click(&mut window, "Save");
    until(&mut window, "the failure is told", |window| {
        window.query_by_label_contains("cannot write").is_some()
    });
    let easel = &window.state().easel;
    assert_eq!(*easel.labels(), lake);
    assert!(easel.is_unsaved() && easel.file.is_none());
    // The sheet stays, and saves elsewhere without replacing anything.
    let path = dir.path().join("lake.png");
    write_path(&mut window, &path);
    click(&mut window, "Save");
    until(&mut window, "the layout is saved", |window| {
        !window.state().easel.is_unsaved()
    });
    assert_eq!(*window.state().easel.labels(), lake);
    assert!(closes(&mut window), "nothing is left to lose");
}

#[test]
fn a_model_of_other_classes_keeps_the_layout_aside() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let mut window = window_with_styles_at(Some(STYLES), Some(home.clone()));
    load(&mut window, "landscapes.safetensors");
    flood(&mut window, "water");
    let lake = window.state().easel.labels().clone();
    load(&mut window, "model.safetensors");
    assert_ne!(*window.state().easel.labels(), lake);
    assert!(
        closes(&mut window),
        "what is left of it is nobody's work, and the rest is kept"
    );
    let aside = || {
        let files = std::fs::read_dir(&home).unwrap();
        let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        files.filter(|name| name.ends_with("-1.png")).count()
    };
    until(&mut window, "the layout is kept", |_| aside() == 1);
    click(&mut window, "Bring it back");
    until(&mut window, "layout and model are back", |window| {
        *window.state().easel.labels() == lake
    });
    let easel = &window.state().easel;
    let model = easel.model.as_ref().unwrap();
    assert_eq!(model.path, Path::new("landscapes.safetensors"));
    assert!(easel.is_unsaved());
}

/// To open the file that is being edited takes back its changes, or saves them: what was read before is then of no use.
#[test]
fn a_file_opened_over_itself_shows_what_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let meadow = layout_file(dir.path());
    let mut window = window();
    let open = |window: &mut Window| {
        window.state_mut().easel.open(meadow.clone());
    };
    open(&mut window);
    until(&mut window, "it is open", |window| {
        window.state().easel.file.is_some()
    });
    flood(&mut window, "water");
    let changed = window.state().easel.labels().clone();
    let asked = |window: &Window| {
        window
            .query_by_label("Save the changes to meadow.png?")
            .is_some()
    };
    open(&mut window);
    until(&mut window, "changes would be lost", asked);
    click(&mut window, "Save");
    until(&mut window, "they are saved", |window| {
        !window.state().easel.is_unsaved()
    });
    assert_eq!(*window.state().easel.labels(), changed);
    assert_eq!(window.state().easel.parting, Parting::Staying);

    flood(&mut window, "tree");
    open(&mut window);
    until(&mut window, "changes would be lost", asked);
    click(&mut window, "Don't save");
    until(&mut window, "they are gone", |window| {
        *window.state().easel.labels() == changed
    });
}
