//! Styles: chance, pictures, mixes, projects.

use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use spadework::Style;
use spadework::app::styling::{Ability, Origin, Recipe};

use crate::stage::*;

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
