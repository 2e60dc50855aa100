//! The program in a real window, on a display of its own, driven by pointer and keys as a person drives it.
//!
//! Needs Xvfb and xdotool: `cargo test --test screen -- --ignored` runs it where they are installed, as CI does.
#![cfg(all(feature = "window", target_os = "linux"))]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use spadework::train::Checkpoint;

/// How long a window on a busy machine may take to show a sheet; letters that come before are keys of the canvas.
const SHEET: Duration = Duration::from_millis(1500);

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
            .args(["-displayfd", "1", "-screen", "0", "1280x720x24"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb is installed");
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let name = format!(":{}", line.trim());
        Self {
            server,
            name,
            _turn: turn,
        }
    }

    fn tool(&self, line: &str) -> bool {
        let mut tool = Command::new("xdotool");
        tool.args(line.split_whitespace())
            .env("DISPLAY", &self.name);
        tool.output()
            .expect("xdotool is installed")
            .status
            .success()
    }

    /// Does one thing after another as slowly as a quick person.
    fn act(&self, lines: &[&str]) {
        for line in lines {
            assert!(self.tool(line), "{line}");
            std::thread::sleep(Duration::from_millis(60));
        }
    }

    /// Writes over the path that a sheet suggests.
    fn write(&self, path: &Path) {
        self.act(&[&format!("type --delay 5 {}", path.display()), "key Return"]);
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The painter on a display.
struct Painter<'a> {
    program: Child,
    display: &'a Display,
}

impl<'a> Painter<'a> {
    fn open(display: &'a Display, model: &Path, home: &Path) -> Self {
        let program = Command::new(env!("CARGO_BIN_EXE_spadework"))
            .arg("paint")
            .arg(model)
            .env("DISPLAY", &display.name)
            .env_remove("WAYLAND_DISPLAY")
            .current_dir(home)
            .env("XDG_STATE_HOME", home)
            .spawn()
            .unwrap();
        assert!(display.tool("search --sync --onlyvisible --name Spadework windowfocus"));
        Self { program, display }
    }

    /// Has a file written by the sheet that a key opens.
    fn save(&self, key: &str, path: PathBuf) -> Vec<u8> {
        let start = Instant::now();
        while !path.exists() {
            assert!(start.elapsed() < Duration::from_secs(120), "{path:?}");
            self.display.act(&[key]);
            std::thread::sleep(SHEET);
            self.display.write(&path);
            if !wait_for(&path, Duration::from_secs(3)) {
                self.display.act(&["key Escape"]);
            }
        }
        // The sheet is closed once the window has heard of it.
        std::thread::sleep(SHEET);
        std::fs::read(path).unwrap()
    }

    fn close(mut self) {
        self.display.act(&["key ctrl+q"]);
        assert!(self.program.wait().unwrap().success());
    }
}

impl Drop for Painter<'_> {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn wait_for(path: &Path, time: Duration) -> bool {
    let start = Instant::now();
    while !path.exists() && start.elapsed() < time {
        std::thread::sleep(Duration::from_millis(20));
    }
    path.exists()
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

#[test]
#[ignore = "needs Xvfb and xdotool"]
fn three_classes_painted_saved_and_opened_again_are_the_same() {
    let display = Display::open();
    let dir = tempfile::tempdir().unwrap();
    let (model, home) = (model(dir.path()), dir.path().join("home"));
    std::fs::create_dir(&home).unwrap();
    let file = |name: &str| dir.path().join(name);

    let painter = Painter::open(&display, &model, &home);
    let before = painter.save("key ctrl+e", file("before.png"));
    let stroke = |class: &str, y: i32| {
        let press = format!("mousemove 200 {y} mousedown 1");
        let (middle, end) = (
            format!("mousemove 300 {}", y + 20),
            format!("mousemove 400 {y}"),
        );
        display.act(&[&format!("key {class}"), &press, &middle, &end, "mouseup 1"]);
    };
    display.act(&["key b", "key bracketright", "key bracketright"]);
    stroke("7", 300);
    stroke("8", 380);
    stroke("0", 460);
    // Another style.
    display.act(&["key d"]);
    let layout = file("layout.png");
    let bytes = painter.save("key ctrl+s", layout.clone());
    let after = painter.save("key ctrl+e", file("after.png"));
    assert_ne!(before, after, "the picture follows the layout");
    painter.close();

    let ids = png_samples(&layout);
    for class in [6, 7, 9] {
        assert!(ids.contains(&class), "class {class} was painted");
    }
    let painter = Painter::open(&display, &model, &home);
    let first = painter.save("key ctrl+e", file("first.png"));
    assert_ne!(first, after);
    display.act(&["key ctrl+o"]);
    std::thread::sleep(SHEET);
    display.write(&layout);
    std::thread::sleep(Duration::from_secs(2));
    let again = painter.save("key ctrl+shift+s", file("again.png"));
    assert_eq!(again, bytes);
    let restored = painter.save("key ctrl+e", file("restored.png"));
    assert!(restored == after, "layout and style are those of before");
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
    let mut program = Command::new(env!("CARGO_BIN_EXE_spadework"))
        .args(line.split_whitespace())
        .arg(&run)
        .env("DISPLAY", &display.name)
        .env_remove("WAYLAND_DISPLAY")
        .env("XDG_STATE_HOME", dir.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(display.tool("search --sync --onlyvisible --name Spadework windowfocus"));
    let metrics = run.join("metrics.jsonl");
    let steps = || {
        let text = std::fs::read_to_string(&metrics).unwrap_or_default();
        text.lines().count()
    };
    let start = Instant::now();
    while steps() < 3 {
        assert!(start.elapsed() < Duration::from_secs(120), "training runs");
        std::thread::sleep(Duration::from_millis(50));
    }
    // The iteration under way ends before the pause.
    display.act(&["key p"]);
    std::thread::sleep(Duration::from_secs(5));
    let paused = steps();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(steps(), paused);
    display.act(&["key period"]);
    let start = Instant::now();
    while steps() == paused {
        assert!(start.elapsed() < Duration::from_secs(60), "a single step");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(steps(), paused + 1);
    display.act(&["key p"]);
    let start = Instant::now();
    while steps() < paused + 3 {
        assert!(start.elapsed() < Duration::from_secs(60), "it goes on");
        std::thread::sleep(Duration::from_millis(50));
    }
    display.act(&["key ctrl+q"]);
    assert_eq!(program.wait().unwrap().code(), Some(130));
    let checkpoint = Checkpoint::load(&run).unwrap();
    assert_eq!(checkpoint.progress.step, steps() as u64);
    let sheet = format!("samples/step-{:08}.png", checkpoint.progress.step);
    assert!(run.join(sheet).exists());
}

fn png_samples(path: &Path) -> Vec<u8> {
    let file = BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut samples = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut samples).unwrap();
    samples
}
