//! What is opened, saved and refused.

use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use spadework::app::paths::Wish;
use spadework::app::styling::{Origin, Part};

use crate::stage::*;

#[test]
fn a_layout_is_saved_reopened_and_never_overwritten_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lake.png");
    let mut window = window();
    click(&mut window, "Fill");
    click(&mut window, "water");
    drag(&mut window, &[[0.5, 0.5]]);
    assert!(window.state().easel.is_unsaved());
    assert_eq!(window.state().easel.title(), "• untitled");
    key(&mut window, Modifiers::COMMAND, Key::S);
    assert_eq!(window.state().easel.title(), "Save the layout");
    write_path(&mut window, &path);
    click(&mut window, "Save");
    until(&mut window, "the layout is saved", |window| {
        !window.state().easel.is_unsaved()
    });
    assert_eq!(window.state().easel.title(), "lake.png");
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

#[test]
fn a_picture_is_saved_once_the_model_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("picture.png");
    let mut window = window();
    window
        .state_mut()
        .easel
        .grant(Wish::Export, path.clone(), false);
    assert!(
        window
            .state()
            .easel
            .notes
            .all()
            .iter()
            .any(|note| note.text.contains("open a model first"))
    );
    let mut window = window_that_loads(Some(STYLES), None);
    let easel = &mut window.state_mut().easel;
    assert!(easel.model.is_none() && easel.loading.is_some());
    easel.grant(Wish::Export, path.clone(), false);
    until(&mut window, "the picture is saved", |_| path.exists());
    assert!(
        window
            .state()
            .easel
            .notes
            .all()
            .iter()
            .all(|note| note.kind != spadework::app::notes::Kind::Error)
    );
}

#[test]
fn recent_files_are_in_the_menu() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let path = dir.path().join("lake.png");
    let mut window = window_with_styles_at(Some(STYLES), Some(home.clone()));
    let easel = &mut window.state_mut().easel;
    easel.grant(Wish::Save, path.clone(), false);
    until(&mut window, "the layout is saved", |window| {
        window.state().easel.file.is_some()
    });
    drop(window);

    let mut window = window_with_styles_at(Some(STYLES), Some(home));
    load(&mut window, "many.safetensors");
    for entry in ["File", "Recent layouts", &path.display().to_string()] {
        click(&mut window, entry);
    }
    until(&mut window, "the layout is open", |window| {
        window.state().easel.file.as_ref() == Some(&path)
    });
    // Its own model came with it.
    let model = |window: &Window| {
        let model = window.state().easel.model.as_ref();
        model.map(|model| model.path.display().to_string())
    };
    assert_eq!(model(&window).as_deref(), Some("model.safetensors"));
    for entry in ["File", "Recent models", "many.safetensors"] {
        click(&mut window, entry);
    }
    until(&mut window, "the model is open", |window| {
        model(window).as_deref() == Some("many.safetensors")
    });
}

#[test]
fn a_disk_that_takes_no_more_leaves_the_old_file_and_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lake.png");
    let mut window = window();
    let easel = &mut window.state_mut().easel;
    easel.grant(Wish::Save, path.clone(), false);
    until(&mut window, "the layout is saved", |window| {
        window.state().easel.file.is_some()
    });
    // The folder is gone, and with it the room for the file: writing fails as on a disk that is full.
    let elsewhere = dir.path().with_extension("moved");
    std::fs::rename(dir.path(), &elsewhere).unwrap();
    let old = std::fs::read(elsewhere.join("lake.png")).unwrap();
    click(&mut window, "Fill");
    click(&mut window, "water");
    drag(&mut window, &[[0.5, 0.5]]);
    let lake = window.state().easel.labels().clone();
    key(&mut window, Modifiers::COMMAND, Key::S);
    until(&mut window, "the failure is told", |window| {
        let mut notes = window.state().easel.notes.all().iter();
        notes.any(|note| note.text.contains("cannot write") && note.text.contains("lake.png"))
    });
    let easel = &window.state().easel;
    assert!(easel.is_unsaved());
    assert_eq!(*easel.labels(), lake);
    assert_eq!(std::fs::read(elsewhere.join("lake.png")).unwrap(), old);
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 1);
    // Once there is room again the same key saves.
    std::fs::rename(&elsewhere, dir.path()).unwrap();
    key(&mut window, Modifiers::COMMAND, Key::S);
    until(&mut window, "the layout is saved", |window| {
        !window.state().easel.is_unsaved()
    });
    assert_ne!(std::fs::read(&path).unwrap(), old);
}
