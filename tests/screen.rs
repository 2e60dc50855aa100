//! The program in a real window, on a display of its own, driven by pointer and keys as a person drives it.
//!
//! It waits for what the window's title and the files tell, and for nothing without a limit.
//! Needs Xvfb and xdotool: `cargo test --test screen -- --ignored` runs it where they are installed, as CI does.
#![cfg(all(feature = "window", target_os = "linux"))]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use spadework::train::Checkpoint;
use spadework::train::checkpoint::Shelf;

/// Longer than anything here takes on the busiest machine: what takes longer hangs.
const LIMIT: Duration = Duration::from_secs(600);

/// Waits until something is so.
#[track_caller]
fn wait(mut done: impl FnMut() -> bool, otherwise: impl FnOnce() -> String) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "{}", otherwise());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A display that nobody looks at.
struct Display {
    server: Child,
    name: String,
    /// Servers that start at the same time may choose the same number.
    _turn: MutexGuard<'static, ()>,
}

impl Display {
    fn open() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut server = Command::new("Xvfb")
            // Else it starts anew when a tool leaves that was its only client, and turns away the program that comes.
            .args(["-noreset", "-displayfd", "1"])
            .args(["-screen", "0", "1280x720x24"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb is installed");
        let said = server.stdout.take().unwrap();
        let (sender, number) = crossbeam_channel::bounded(1);
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(said).read_line(&mut line);
            sender.send(read.map(|_| line))
        });
        let number = number.recv_timeout(LIMIT).expect("Xvfb starts").unwrap();
        let name = format!(":{}", number.trim());
        Self {
            server,
            name,
            _turn: turn,
        }
    }

    /// A program that shows its windows here, and keeps its memory in a folder.
    fn program(&self, home: &Path) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_spadework"));
        program
            .env("DISPLAY", &self.name)
            .env_remove("WAYLAND_DISPLAY")
            .env("XDG_STATE_HOME", home)
            .current_dir(home);
        program
    }

    /// What a tool says; nothing if it cannot do what it should.
    fn tool(&self, line: &str) -> Option<String> {
        let mut tool = Command::new("xdotool");
        tool.args(line.split_whitespace())
            .env("DISPLAY", &self.name);
        let output = tool.output().expect("xdotool is installed");
        let said = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| said.trim().to_owned())
    }

    /// Does one thing after another as slowly as a quick person.
    fn act(&self, lines: &[&str]) {
        for line in lines {
            assert!(self.tool(line).is_some(), "{line}");
            std::thread::sleep(Duration::from_millis(60));
        }
    }

    /// Title of our window, once there is one.
    fn title(&self) -> Option<String> {
        self.tool("search --onlyvisible --name Spadework getwindowname")
    }

    /// Waits for a title of our window: what is there, and whether it is saved, or the sheet that is open.
    #[track_caller]
    fn shows(&self, what: &str) {
        let title = format!("{what} – Spadework");
        wait(
            || self.title().as_ref() == Some(&title),
            || format!("{what} is not shown but {:?}", self.title()),
        );
    }

    /// Waits for our window and gives it the keys.
    #[track_caller]
    fn focus(&self, what: &str) {
        self.shows(what);
        let window = self.tool("search --onlyvisible --name Spadework").unwrap();
        let has_keys = || {
            self.tool(&format!("windowfocus {window}"));
            self.tool("getwindowfocus").as_ref() == Some(&window)
        };
        wait(has_keys, || "the window does not get the keys".into());
    }

    /// Opens a sheet by its key and writes over the path that it suggests.
    #[track_caller]
    fn answer(&self, key: &str, sheet: &str, path: &Path) {
        self.act(&[key]);
        self.shows(sheet);
        self.act(&[&format!("type --delay 5 {}", path.display()), "key Return"]);
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A program on a display.
struct Program<'a> {
    child: Child,
    display: &'a Display,
}

impl<'a> Program<'a> {
    fn paint(display: &'a Display, model: &Path, home: &Path) -> Self {
        let mut program = display.program(home);
        let child = program.arg("paint").arg(model).spawn().unwrap();
        display.focus("untitled");
        Self { child, display }
    }

    /// Has a file written by the sheet that a key opens.
    #[track_caller]
    fn save(&self, key: &str, sheet: &str, path: PathBuf) -> Vec<u8> {
        self.display.answer(key, sheet, &path);
        // The sheet stays until the file is written, or the window has told why it is not.
        let sheet = Some(format!("{sheet} – Spadework"));
        wait(
            || path.exists() && self.display.title() != sheet,
            || format!("{} is not written", path.display()),
        );
        std::fs::read(path).unwrap()
    }

    #[track_caller]
    fn picture(&self, path: PathBuf) -> Vec<u8> {
        self.save("key ctrl+e", "Save the picture", path)
    }

    /// How it ends.
    #[track_caller]
    fn end(&mut self) -> ExitStatus {
        let mut end = None;
        let is_over = || {
            end = self.child.try_wait().unwrap();
            end.is_some()
        };
        wait(is_over, || "the program does not end".into());
        end.unwrap()
    }

    #[track_caller]
    fn close(mut self) {
        self.display.act(&["key ctrl+q"]);
        assert!(self.end().success());
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn model(dir: &Path) -> PathBuf {
    let run = dir.join("run");
    let line = "train --landscapes 6 --preset tiny --ngf 4 --ndf 4 --spade-hidden 8 --batch-size 2 --no-vgg-loss --use-vae \
                --init-variance 1 --samples 1 --max-steps 1 --out";
    let mut train = Command::new(env!("CARGO_BIN_EXE_spadework"));
    let train = train.args(line.split_whitespace()).arg(&run);
    assert!(train.output().unwrap().status.success());
    run
}

fn stroke(display: &Display, class: &str, y: i32) {
    let press = format!("mousemove 200 {y} mousedown 1");
    let (middle, end) = (
        format!("mousemove 300 {}", y + 20),
        format!("mousemove 400 {y}"),
    );
    display.act(&[&format!("key {class}"), &press, &middle, &end, "mouseup 1"]);
}

#[test]
#[ignore = "needs Xvfb and xdotool"]
fn three_classes_painted_saved_and_opened_again_are_the_same() {
    let display = Display::open();
    let dir = tempfile::tempdir().unwrap();
    let (model, home) = (model(dir.path()), dir.path().join("home"));
    std::fs::create_dir(&home).unwrap();
    let file = |name: &str| dir.path().join(name);

    let painter = Program::paint(&display, &model, &home);
    // Waits for the model and its first picture.
    let before = painter.picture(file("before.png"));
    display.act(&["key b", "key bracketright", "key bracketright"]);
    stroke(&display, "7", 300);
    stroke(&display, "8", 380);
    stroke(&display, "0", 460);
    display.shows("• untitled");
    // Another style.
    display.act(&["key d"]);
    let layout = file("layout.png");
    let bytes = painter.save("key ctrl+s", "Save the layout", layout.clone());
    display.shows("layout.png");
    let after = painter.picture(file("after.png"));
    assert_ne!(before, after, "the picture follows the layout");
    painter.close();

    let ids = png_samples(&layout);
    for class in [6, 7, 9] {
        assert!(ids.contains(&class), "class {class} was painted");
    }
    let painter = Program::paint(&display, &model, &home);
    let first = painter.picture(file("first.png"));
    assert_ne!(first, after);
    display.answer("key ctrl+o", "Open a layout", &layout);
    display.shows("layout.png");
    let again = painter.save("key ctrl+shift+s", "Save the layout", file("again.png"));
    assert_eq!(again, bytes);
    let restored = painter.picture(file("restored.png"));
    assert!(restored == after, "layout and style are those of before");

    // A new layout does not take the place of changes unasked.
    stroke(&display, "7", 420);
    display.shows("• again.png");
    display.act(&["key ctrl+n"]);
    display.shows("Save the changes?");
    display.act(&["key Escape"]);
    display.shows("• again.png");
    display.act(&["key ctrl+s"]);
    display.shows("again.png");
    assert_ne!(std::fs::read(file("again.png")).unwrap(), bytes);
    display.act(&["key ctrl+n"]);
    display.shows("untitled");
    painter.close();
    let left = std::fs::read_dir(home.join("spadework")).unwrap();
    let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["window.json"], "nothing unsaved is left behind");
}

#[test]
#[ignore = "needs Xvfb and xdotool"]
fn a_training_in_a_window_is_paused_stepped_and_closed_whole() {
    let display = Display::open();
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let line = "train --landscapes 6 --preset tiny --ngf 4 --ndf 4 --spade-hidden 8 --batch-size 2 --no-vgg-loss \
                --niter 10000 --print-freq 1 --samples 1 --window --out";
    let child = display
        .program(dir.path())
        .args(line.split_whitespace())
        .arg(&run)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let display = &display;
    let mut program = Program { child, display };
    display.focus("run, training");
    let steps = || {
        let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
        text.lines().count() as u64
    };
    #[track_caller]
    fn reach(steps: &dyn Fn() -> u64, least: u64) {
        wait(
            || steps() >= least,
            || format!("{} of {least} iterations", steps()),
        );
    }
    reach(&steps, 3);
    // Orders are followed one after another: a checkpoint that is ordered after a pause holds the iteration of the pause.
    let shelf = Shelf::new(run.join("checkpoints"));
    let saved = || shelf.steps().unwrap().last().copied().unwrap_or_default();
    let save_after = |key: &str| {
        let before = saved();
        display.act(&[key, "key s"]);
        wait(|| saved() > before, || "no checkpoint is written".into());
        saved()
    };
    let paused = save_after("key p");
    display.shows("run, paused");
    assert_eq!(steps(), paused);
    for n in 1..=2 {
        assert_eq!(save_after("key period"), paused + n, "a single iteration");
        assert_eq!(steps(), paused + n);
    }
    display.act(&["key p"]);
    display.shows("run, training");
    reach(&steps, paused + 5);
    display.act(&["key ctrl+q"]);
    assert_eq!(program.end().code(), Some(130));
    let checkpoint = Checkpoint::load(&run).unwrap();
    assert_eq!(checkpoint.progress.step, steps());
    let sheet = format!("samples/step-{:08}.png", checkpoint.progress.step);
    assert!(run.join(sheet).exists());
}

#[test]
#[ignore = "needs Xvfb and xdotool"]
fn a_display_without_an_adapter_is_told_in_plain_words() {
    let display = Display::open();
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let new = format!(
        "train --landscapes 6 --preset tiny --window --out {}",
        run.display()
    );
    for line in ["paint", &new] {
        let mut program = display.program(dir.path());
        // No driver at all.
        program
            .args(line.split_whitespace())
            .env("VK_DRIVER_FILES", "/nonexistent")
            .env("VK_ICD_FILENAMES", "/nonexistent")
            .stderr(Stdio::piped());
        let child = program.spawn().unwrap();
        let display = &display;
        let mut program = Program { child, display };
        assert_eq!(program.end().code(), Some(4), "{line}");
        let mut said = String::new();
        let mut told = program.child.stderr.take().unwrap();
        told.read_to_string(&mut said).unwrap();
        assert!(said.contains("cannot open a window"), "{line}: {said}");
        assert!(said.contains("adapter"), "{line}: {said}");
        assert!(!said.contains("panicked"), "{line}: {said}");
    }
    assert!(
        !run.exists(),
        "a run that cannot start leaves nothing behind"
    );
}

fn png_samples(path: &Path) -> Vec<u8> {
    let file = BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut samples = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut samples).unwrap();
    samples
}
