//! The newest panels as a screen reader finds them: what is there, in which order, and in which state.

use std::path::Path;

use eframe::egui::{Key, Modifiers, Pos2, Rect, Vec2, accesskit, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use spadework::app::event::Events;
use spadework::app::follow::News;
use spadework::app::room::Room;
use spadework::app::studio::Studio;
use spadework::data::Grid;
use spadework::picture;
use spadework::train::TrainEvent;
use spadework::train::event::End;

use crate::stage::*;
use crate::training::{begin, open_run, started, step};

/// Whether a node of a role says something that its parts or what lies below do not.
fn says(role: accesskit::Role) -> bool {
    !matches!(role, accesskit::Role::TextRun | accesskit::Role::Image)
}

/// What says something in the region of the screen from one named node to another.
fn panel<A>(window: &Harness<A>, from: &str, to: &str) -> String {
    // A menu's entry is called by its name and its key.
    let corner = |name: &str| {
        let named = window.get_by(|node| {
            let text = node.label().or_else(|| node.value());
            let is_it = |text: String| match text.strip_prefix(name) {
                Some(key) => key.is_empty() || node.role() == accesskit::Role::Button,
                None => false,
            };
            says(node.role()) && text.is_some_and(is_it)
        });
        named.rect()
    };
    let region = corner(from).union(corner(to)).expand(4.0);
    let mut lines = Vec::new();
    for node in window.query_all_by(|_| true) {
        let node = node.accesskit_node();
        let Some(bounds) = node.bounding_box() else {
            continue;
        };
        let middle = [(bounds.x0 + bounds.x1) / 2.0, (bounds.y0 + bounds.y1) / 2.0];
        let text = node.label().or_else(|| node.value());
        let text = text.filter(|text| !text.is_empty());
        let [x, y] = middle.map(|middle| middle as f32);
        let is_in = says(node.role()) && region.contains([x, y].into());
        let (Some(text), true) = (text, is_in) else {
            continue;
        };
        let mut line = format!("{:?}: {text}", node.role());
        if node.is_disabled() {
            line += " (off)";
        }
        if node.toggled() == Some(accesskit::Toggled::True) {
            line += " (chosen)";
        }
        lines.push(line);
    }
    lines.join("\n")
}

#[test]
fn the_question_before_changes_are_lost() {
    let mut window = window();
    click(&mut window, "Fill");
    click(&mut window, "water");
    drag(&mut window, &[[0.5, 0.5]]);
    key(&mut window, Modifiers::COMMAND, Key::N);
    let heading = "Save the changes to untitled?";
    insta::assert_snapshot!("question_new", panel(&window, heading, "Save"));
    click(&mut window, "Cancel");
    assert!(!closes(&mut window));
    insta::assert_snapshot!("question_close", panel(&window, heading, "Save"));
}

#[test]
fn the_menu_with_sizes_of_text() {
    let mut window = window();
    click(&mut window, "View");
    insta::assert_snapshot!("menu_view", panel(&window, "Fit", "Normal text"));
}

/// A training in a window of a size, after five iterations.
fn training(size: Vec2, dir: &Path) -> (Harness<'static, Room<Studio>>, Events<News>) {
    let run = open_run(dir);
    let sheet = Grid::new(3, 4, vec![[9, 99, 199]; 12]);
    for step in [2, 4] {
        picture::save(&run.sheet(step), &sheet).unwrap();
    }
    let (events, heard) = Events::<News>::silent();
    let mut window = Harness::builder()
        .with_size(size)
        .with_max_steps(20)
        .build_eframe(move |made| {
            let window = &made.egui_ctx;
            Room::new(window, None, Studio::new(window, heard, None))
        });
    window.run();
    let (start, _wanted) = crossbeam_channel::bounded(1);
    events.send(News::Opening(start));
    let _run = begin(&run, &events);
    events.send(News::Train(TrainEvent::Started(started())));
    (1..=5).for_each(|n| events.send(News::Train(step(n))));
    events.send(News::Sheets(vec![2, 4]));
    window.run();
    (window, events)
}

#[test]
fn the_head_of_a_training() {
    let dir = tempfile::tempdir().unwrap();
    let (mut window, events) = training(vec2(1280.0, 720.0), dir.path());
    insta::assert_snapshot!("training_runs", panel(&window, "Watch", "Keys"));
    events.send(News::Train(TrainEvent::Ended(End::Interrupted)));
    window.run();
    insta::assert_snapshot!("training_stopped", panel(&window, "Watch", "Keys"));
}

#[test]
fn words_give_way_to_buttons_with_large_writing() {
    let dir = tempfile::tempdir().unwrap();
    // A window of 1280x720 at 200 %.
    let (window, _events) = training(vec2(640.0, 360.0), dir.path());
    let names = ["Pause", "Step", "Save now", "Stop", "View", "Keys"];
    let mut rects: Vec<_> = names
        .iter()
        .map(|name| {
            let button = accesskit::Role::Button;
            let rect = window.get_by_role_and_label(button, name).rect();
            (*name, rect)
        })
        .collect();
    let words = window.get_by(|node| {
        let text = node.value().unwrap_or_default();
        node.role() == accesskit::Role::Label && text.starts_with("training ·")
    });
    rects.push(("words", words.rect()));
    let (sheet, newest) = ("Sheet", "Newest");
    for name in [sheet, newest] {
        rects.push((name, window.get_by_label(name).rect()));
    }
    let whole = Rect::from_min_size(Pos2::ZERO, vec2(640.0, 360.0));
    for (i, (name, rect)) in rects.iter().enumerate() {
        assert!(whole.contains_rect(*rect), "{name} at {rect}");
        for (other, beside) in &rects[i + 1..] {
            let both = rect.intersect(*beside);
            assert!(!both.is_positive(), "{name} and {other} at {both}");
        }
    }
    // The scrubber ends where the curves begin.
    let curves = window.get_by_label("Losses").rect();
    assert!(rects.last().unwrap().1.right() < curves.left());
}

#[test]
fn lists_of_keys_stand_below_their_heading_and_within_it() {
    fn check<A>(window: &Harness<A>, first: &str, last: &str) {
        let rect = |name: &str| {
            let labels = window.query_all_by(|node| {
                let is_label = node.role() == accesskit::Role::Label;
                is_label && node.value().as_deref() == Some(name)
            });
            // A list of keys has the key that shows it, too.
            let rects = labels.map(|label| label.rect());
            let topmost = rects.min_by(|a, b| a.top().total_cmp(&b.top()));
            topmost.expect(name)
        };
        let heading = rect("Keyboard");
        assert!(heading.bottom() <= rect(first).top(), "{first}");
        let close = window.get_by_label("Close").rect();
        assert!(rect(last).right() <= close.right(), "{last}");
        assert!(rect(last).left() >= heading.left(), "{last}");
    }
    let mut painter = window();
    key(&mut painter, Modifiers::NONE, Key::F1);
    check(&painter, "File", "Right button, or Alt");
    let dir = tempfile::tempdir().unwrap();
    let (mut window, _events) = training(vec2(1280.0, 720.0), dir.path());
    window.key_press(Key::F1);
    window.run();
    check(&window, "Training", "F2, F3, F4");
}
