//! The folder of a run: `config.toml`, `sessions.jsonl`, `metrics.jsonl`, `loss_log.txt`, `samples/`, `checkpoints/`.
//! Nothing in it is overwritten but the page `index.html`, the list `changes.jsonl`, and a checkpoint whose settings change before the next
//! iteration; a run that goes on from an earlier iteration takes
//! back the lines and sample sheets after it.
//!
//! One process trains in a folder: it holds a lock on the file `.lock`, which the system gives back however it ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::checkpoint::Shelf;
use super::durable::{remove_partial, write_durably};
use super::event::{Started, StepReport};
use super::knob::Change;
use crate::config::Config;
use crate::data::Position;
use crate::{Error, Result};

/// The folder of a run.
#[derive(Debug)]
pub struct RunFolder {
    root: PathBuf,
    metrics: File,
    loss_log: File,
    /// Locked while it is open.
    _lock: File,
}

/// Losses for programs.
pub(super) const METRICS: &str = "metrics.jsonl";
/// Every time that training began or went on: what there was to do, and on what.
pub const SESSIONS: &str = "sessions.jsonl";
/// Settings that were changed on the way.
pub const CHANGES: &str = "changes.jsonl";
/// Losses as the official code writes them.
const LOSS_LOG: &str = "loss_log.txt";

impl RunFolder {
    /// Refuses a folder that holds anything.
    ///
    /// # Errors
    /// If it does, or cannot be looked into.
    pub fn refuse_used(root: &Path) -> Result<()> {
        let occupied = match fs::read_dir(root) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(Error::io("cannot use", root, error)),
        };
        if !occupied {
            return Ok(());
        }
        // Without a checkpoint there is nothing to continue.
        let steps = Shelf::new(root.join("checkpoints")).steps();
        Err(Error::Usage(
            match steps.is_ok_and(|steps| steps.is_empty()) {
                true => format!(
                    "{} holds a run without any checkpoint, and nothing is ever overwritten: name a new folder, or remove this \
                 one if the run is over",
                    root.display()
                ),
                false => format!(
                    "{} is not empty and nothing is ever overwritten: name a new folder, or continue the run in it with \
                 --resume",
                    root.display()
                ),
            },
        ))
    }

    /// Makes the folder of a new run.
    ///
    /// # Errors
    /// If it holds anything, or cannot be made.
    pub fn create(root: &Path, config: &Config) -> Result<Self> {
        Self::refuse_used(root)?;
        let failed = |folder: &Path, e| Error::io("cannot create", folder, e);
        fs::create_dir_all(root).map_err(|e| failed(root, e))?;
        let lock = lock(root)?;
        for folder in [root.join("samples"), root.join("checkpoints")] {
            // Fails if another run was faster since the folder was found empty.
            fs::create_dir(&folder).map_err(|e| failed(&folder, e))?;
        }
        let text = config.to_toml();
        write_durably(&root.join("config.toml"), |w| w.write_all(text.as_bytes()))?;
        Self::with_lock(root, lock)
    }

    /// Opens the folder of a run to continue it, and removes what writes that were killed left behind.
    ///
    /// # Errors
    /// If it is none, or another process trains in it.
    pub fn open(root: &Path) -> Result<Self> {
        for folder in [root.join("samples"), root.join("checkpoints")] {
            if !folder.is_dir() {
                return Err(Error::Data(format!(
                    "{} is no folder of a run: it has no {}",
                    root.display(),
                    folder.display()
                )));
            }
        }
        let lock = lock(root)?;
        for folder in [root, &root.join("samples"), &root.join("checkpoints")] {
            remove_partial(folder)?;
        }
        Self::with_lock(root, lock)
    }

    fn with_lock(root: &Path, lock: File) -> Result<Self> {
        Ok(Self {
            root: root.to_path_buf(),
            metrics: append(&root.join(METRICS))?,
            loss_log: append(&root.join(LOSS_LOG))?,
            _lock: lock,
        })
    }

    /// Takes back the lines and sample sheets after an iteration, given by its number, its place in the schedule and the
    /// pictures of a batch, and a last line that a crash cut off. The run tells and draws them anew.
    ///
    /// # Errors
    /// If a file cannot be read, written or removed.
    pub fn rewind(&mut self, step: u64, position: Position, batch_size: u64) -> Result<()> {
        let is_earlier = |line: &str| step_of(line).is_none_or(|of| of <= step);
        self.metrics = keep_lines(&self.root.join(METRICS), is_earlier)?;
        let done = (position.epoch, position.batch * batch_size);
        let is_earlier =
            |line: &str| place_of(line).is_none_or(|(epoch, images)| (epoch - 1, images) <= done);
        self.loss_log = keep_lines(&self.root.join(LOSS_LOG), is_earlier)?;
        for later in sheet_steps(&self.root)?.into_iter().filter(|&of| of > step) {
            let path = self.sheet(later);
            fs::remove_file(&path).map_err(|e| Error::io("cannot remove", &path, e))?;
        }
        Ok(())
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its checkpoints.
    pub fn shelf(&self) -> Shelf {
        Shelf::new(self.root.join("checkpoints"))
    }

    /// Path of the sample sheet of an iteration.
    pub fn sheet(&self, step: u64) -> PathBuf {
        self.root.join("samples").join(sheet_name(step))
    }

    /// Folder of event files.
    pub fn event_files(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Writes the changes of settings to `changes.jsonl`, in place of those told before; without any there is no file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note(&self, changes: &[Change]) -> Result<()> {
        let path = self.root.join(CHANGES);
        if changes.is_empty() && !path.exists() {
            return Ok(());
        }
        let lines = changes
            .iter()
            .map(|change| json!(change).to_string() + "\n");
        let text: String = lines.collect();
        write_durably(&path, |writer| writer.write_all(text.as_bytes()))
    }

    /// Adds a line to `sessions.jsonl`: training begins or goes on.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn enter(&self, started: &Started) -> Result<()> {
        let path = self.root.join(SESSIONS);
        let line = json!(started).to_string() + "\n";
        let written = append(&path)?.write_all(line.as_bytes());
        written.map_err(|e| Error::io("cannot write", path, e))
    }

    /// Adds a line to `metrics.jsonl`, for programs, and one to `loss_log.txt`, as the official code writes them.
    ///
    /// # Errors
    /// If one cannot be written.
    pub fn log(&mut self, report: &StepReport) -> Result<()> {
        let losses = report.losses.iter();
        let losses: Map<String, Value> = losses.map(|(k, v)| ((*k).into(), json!(v))).collect();
        let mut line = json!(report);
        line["losses"] = Value::Object(losses);
        for (file, name, line) in [
            (&mut self.metrics, METRICS, line.to_string()),
            (&mut self.loss_log, LOSS_LOG, official_line(report)),
        ] {
            let written = file.write_all((line + "\n").as_bytes());
            written.map_err(|e| Error::io("cannot write", self.root.join(name), e))?;
        }
        Ok(())
    }
}

/// Name of the sample sheet of an iteration.
pub(super) fn sheet_name(step: u64) -> String {
    format!("step-{step:08}.png")
}

/// Iterations that have a sample sheet in the folder of a run.
pub(super) fn sheet_steps(root: &Path) -> Result<Vec<u64>> {
    let folder = root.join("samples");
    let failed = |e| Error::io("cannot list", &folder, e);
    let mut steps = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let step = name.to_str().and_then(|name| {
            let digits = name.strip_prefix("step-")?.strip_suffix(".png")?;
            digits.parse().ok()
        });
        steps.extend(step.filter(|&step| Some(sheet_name(step).as_str()) == name.to_str()));
    }
    Ok(steps)
}

/// Epoch, pictures seen in it, seconds a picture, losses.
fn official_line(report: &StepReport) -> String {
    let batch = report.images as f64 / report.step as f64;
    let mut line = format!(
        "(epoch: {}, iters: {}, time: {:.3})",
        report.epoch,
        report.epoch_images,
        report.seconds / batch
    );
    for (name, value) in &report.losses {
        line += &format!(" {name}: {value:.3}");
    }
    line
}

/// The iteration that a line of `metrics.jsonl` is of.
fn step_of(line: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Step {
        step: u64,
    }
    serde_json::from_str(line).ok().map(|Step { step }| step)
}

/// Epoch, from 1, and pictures seen in it, of a line of `loss_log.txt`.
fn place_of(line: &str) -> Option<(u64, u64)> {
    let (epoch, rest) = line.strip_prefix("(epoch: ")?.split_once(", iters: ")?;
    let (images, _) = rest.split_once(',')?;
    let epoch = epoch.parse().ok().filter(|&epoch| epoch > 0)?;
    Some((epoch, images.parse().ok()?))
}

/// Opens a file for more lines.
fn append(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|e| Error::io("cannot open", path, e))
}

/// Drops a last line without an end, and all lines but those to keep; opens the file for more.
fn keep_lines(path: &Path, keep: impl Fn(&str) -> bool) -> Result<File> {
    let text = fs::read(path).map_err(|e| Error::io("cannot read", path, e))?;
    let is_kept = |line: &&[u8]| line.ends_with(b"\n") && keep(&String::from_utf8_lossy(line));
    let lines: Vec<_> = text
        .split_inclusive(|&byte| byte == b'\n')
        .filter(is_kept)
        .collect();
    let kept = lines.concat();
    if kept != text {
        write_durably(path, |writer| writer.write_all(&kept))?;
    }
    append(path)
}

/// Locks the folder of a run for as long as the file is open.
fn lock(root: &Path) -> Result<File> {
    let path = root.join(".lock");
    let file = append(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Usage(format!(
            "{} is in use: another process trains in it; stop that one first, or name another folder",
            root.display()
        ))),
        // Some network file systems have no locks; training is worth more.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(Error::io("cannot lock", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(step: u64) -> StepReport {
        StepReport {
            step,
            epoch: 1,
            images: 4 * step,
            epoch_images: 4,
            lr_g: 1e-4,
            lr_d: 4e-4,
            losses: vec![("GAN", 0.5), ("D_Fake", 1.25)],
            seconds: 0.25,
        }
    }

    #[test]
    fn lines_are_added_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("run");
        let config = Config::default();
        let mut run = RunFolder::create(&root, &config).unwrap();
        run.log(&report(1)).unwrap();
        drop(run);
        let error = RunFolder::create(&root, &config).unwrap_err();
        assert!(
            error.to_string().contains("without any checkpoint"),
            "{error}"
        );
        fs::write(root.join("checkpoints/step-00000001.safetensors"), b"").unwrap();
        let error = RunFolder::create(&root, &config).unwrap_err();
        assert!(error.to_string().contains("--resume"), "{error}");
        assert_eq!(error.exit_code(), 2);

        RunFolder::open(&root).unwrap().log(&report(2)).unwrap();
        let text = fs::read_to_string(root.join(METRICS)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        let second: Value = serde_json::from_str(lines[1]).unwrap();
        assert_eq!(second["step"], 2);
        assert_eq!(second["losses"]["D_Fake"], 1.25);
        assert!(second.get("epoch_images").is_none(), "{second}");
        let text = fs::read_to_string(root.join(LOSS_LOG)).unwrap();
        let line = "(epoch: 1, iters: 4, time: 0.062) GAN: 0.500 D_Fake: 1.250\n";
        assert_eq!(text, line.repeat(2));
        let config: Config =
            toml::from_str(&fs::read_to_string(root.join("config.toml")).unwrap()).unwrap();
        assert_eq!(config, Config::default());
    }

    #[test]
    fn lines_after_an_iteration_are_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("run");
        let mut run = RunFolder::create(&root, &Config::default()).unwrap();
        // Three batches of four pictures an epoch.
        for step in 1..=7 {
            run.log(&StepReport {
                epoch: (step - 1) / 3 + 1,
                epoch_images: ((step - 1) % 3 + 1) * 4,
                ..report(step)
            })
            .unwrap();
        }
        drop(run);
        let cut_off = |name: &str, text: &[u8]| {
            let mut file = append(&root.join(name)).unwrap();
            file.write_all(text).unwrap();
        };
        cut_off(METRICS, b"{\"step\":");
        cut_off(LOSS_LOG, b"(epoch: 1, it");
        let count = |name: &str| fs::read_to_string(root.join(name)).unwrap().lines().count();
        let mut run = RunFolder::open(&root).unwrap();
        for step in [2, 3, 4, 7] {
            fs::write(run.sheet(step), b"").unwrap();
        }
        let other = root.join("samples/step-9.png");
        fs::write(&other, b"").unwrap();
        for (step, epoch, batch) in [(7, 2, 1), (5, 1, 2), (3, 1, 0), (2, 0, 2)] {
            run.rewind(step, Position { epoch, batch }, 4).unwrap();
            assert_eq!([count(METRICS), count(LOSS_LOG)], [step as usize; 2]);
        }
        assert_eq!(sheet_steps(&root).unwrap(), [2]);
        assert!(other.exists(), "what is no sheet of the run stays");
        run.log(&report(3)).unwrap();
        assert_eq!([count(METRICS), count(LOSS_LOG)], [3; 2]);
        let text = fs::read_to_string(root.join(METRICS)).unwrap();
        assert!(text.lines().map(step_of).eq((1..=3).map(Some)), "{text}");
    }

    #[test]
    fn one_process_trains_in_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("run");
        let run = RunFolder::create(&root, &Config::default()).unwrap();
        let error = RunFolder::open(&root).unwrap_err();
        assert!(error.to_string().contains("run is in use"), "{error}");
        assert_eq!(error.exit_code(), 2);
        drop(run);
        let left = root.join("checkpoints/.partial-x");
        fs::write(&left, b"half").unwrap();
        RunFolder::open(&root).unwrap();
        assert!(!left.exists(), "what a killed write left goes");
    }

    #[test]
    fn other_folders_are_not_continued() {
        let dir = tempfile::tempdir().unwrap();
        let error = RunFolder::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("no folder of a run"), "{error}");
    }
}
