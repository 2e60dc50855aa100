//! Tools, keys, view and controls of the painter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eframe::egui::{Event, Key, Modifiers, accesskit};
use egui_kittest::kittest::{NodeT, Queryable};
use spadework::app::easel::{Dialog, Mode};
use spadework::app::paths::Wish;
use spadework::app::raster::Tip;
use spadework::app::tools::Tool;
use spadework::app::worker::{self, Request, Sight};
use spadework::data::{Grid, LabelSpace};

use crate::stage::*;

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

#[test]
fn the_status_bar_names_the_class_under_the_pointer() {
    let mut window = window();
    click(&mut window, "Fill");
    click(&mut window, "water");
    drag(&mut window, &[[0.5, 0.5]]);
    let names = |window: &Window, name: &str| {
        let bar = |rect: eframe::egui::Rect| rect.top() > 690.0;
        let named = window.query_all_by_label(name);
        named.filter(|node| bar(node.rect())).count()
    };
    let at = place(&window, 0.25, 0.75);
    window.event(Event::PointerMoved(at));
    window.run();
    assert_eq!((names(&window, "water"), names(&window, "64, 192")), (1, 1));
    key(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!((names(&window, "water"), names(&window, "sky")), (0, 1));
    // Beside the canvas there is no class.
    window.event(Event::PointerMoved(place(&window, -0.01, 0.5)));
    window.run();
    assert_eq!(names(&window, "sky"), 0);
}

#[test]
fn recent_classes_are_at_hand_where_there_are_many() {
    let mut window = window_with_styles(None);
    load(&mut window, "many.safetensors");
    let recent = |window: &Window| -> Vec<String> {
        let nodes = window.query_all_by_label_contains("Recent: ");
        let names = nodes.filter_map(|node| node.accesskit_node().label());
        names.collect()
    };
    assert_eq!(recent(&window), [""; 0]);
    let space = window.state().easel.space.clone();
    let (first, second) = (space.name(0), space.name(7));
    click(&mut window, &second);
    assert_eq!(recent(&window), [format!("Recent: {first}")]);
    click(&mut window, &format!("Recent: {first}"));
    assert_eq!(window.state().easel.hand.class, 0);
    let both = [&second, &first].map(|name| format!("Recent: {name}"));
    assert_eq!(recent(&window), both);
}

#[test]
fn borders_are_outlined_where_the_model_uses_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("street.png");
    let mut window = window_with_styles(None);
    assert!(window.query_by_label("Outlines").is_none());
    load(&mut window, "instances.safetensors");
    let outlined = |window: &Window| {
        let picture = window.state().easel.picture.as_ref();
        picture.is_some_and(|drawn| drawn.sight.outlines)
    };
    assert!(outlined(&window));
    window.get_by_label("Outlines").click();
    window.run();
    until(&mut window, "the picture follows", is_up_to_date);
    assert!(!outlined(&window));
    assert!(window.state().easel.is_unsaved());
    let easel = &mut window.state_mut().easel;
    easel.grant(Wish::Save, path.clone(), false);
    until(&mut window, "the layout is saved", |window| {
        window.state().easel.file.is_some()
    });
    // The file remembers it.
    let mut window = window_with_styles(None);
    load(&mut window, "instances.safetensors");
    assert!(outlined(&window));
    window.state_mut().easel.open(path);
    until(&mut window, "the layout is open", |window| {
        window.state().easel.file.is_some() && is_up_to_date(window)
    });
    assert!(!outlined(&window));

    // What the generator gets: one thing for each region of a class, or nothing.
    let labels = Arc::new(Grid::new(2, 1, vec![0, 2]));
    for (instances, outlines) in [(true, true), (true, false), (false, true)] {
        let sight = Sight {
            layout: 1,
            style: 1,
            outlines,
        };
        let request = Request {
            sight,
            labels: labels.clone(),
            style: None,
        };
        let layout = worker::layout(&request, &LabelSpace::new(3, false, instances));
        assert_eq!(layout.labels.data, [0, 2]);
        assert_eq!(layout.instances.is_some(), instances && outlines);
    }
}
