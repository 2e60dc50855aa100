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
            .all(|note| { note.kind == spadework::app::notes::Kind::Info })
    );
}
