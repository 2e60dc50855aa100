//! The folder of a run: `config.toml`, `metrics.jsonl`, `loss_log.txt`, `samples/`, `checkpoints/`. Nothing in it is
//! overwritten but the page `index.html`.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::checkpoint::Shelf;
use super::event::StepReport;
use super::write_durably;
use crate::config::Config;
use crate::{Error, Result};

/// The folder of a run.
#[derive(Debug)]
pub struct RunFolder {
    root: PathBuf,
    metrics: File,
    loss_log: File,
}

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
        if occupied {
            return Err(Error::Usage(format!(
                "{} is not empty and nothing is ever overwritten: name a new folder, or continue the run in it with \
                 --resume",
                root.display()
            )));
        }
        Ok(())
    }

    /// Makes the folder of a new run.
    ///
    /// # Errors
    /// If it holds anything, or cannot be made.
    pub fn create(root: &Path, config: &Config) -> Result<Self> {
        Self::refuse_used(root)?;
        for folder in [root.join("samples"), root.join("checkpoints")] {
            fs::create_dir_all(&folder).map_err(|e| Error::io("cannot create", &folder, e))?;
        }
        let text = config.to_toml();
        write_durably(&root.join("config.toml"), |w| w.write_all(text.as_bytes()))?;
        Self::open(root)
    }

    /// Opens the folder of a run to continue it.
    ///
    /// # Errors
    /// If it is none.
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
        let open = |name: &str| {
            let path = root.join(name);
            append(&path).map_err(|e| Error::io("cannot open", &path, e))
        };
        Ok(Self {
            root: root.to_path_buf(),
            metrics: open("metrics.jsonl")?,
            loss_log: open("loss_log.txt")?,
        })
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
        let name = format!("step-{step:08}.png");
        self.root.join("samples").join(name)
    }

    /// Folder of event files.
    pub fn event_files(&self) -> PathBuf {
        self.root.join("logs")
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
            (&mut self.metrics, "metrics.jsonl", line.to_string()),
            (&mut self.loss_log, "loss_log.txt", official_line(report)),
        ] {
            let written = writeln!(file, "{line}");
            written.map_err(|e| Error::io("cannot write", self.root.join(name), e))?;
        }
        Ok(())
    }
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

/// Opens a file for more lines. One that a crash cut off in the middle of a line gets the line's end.
fn append(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    let mut file = options.read(true).append(true).create(true).open(path)?;
    if file.seek(SeekFrom::End(0))? > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
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
        assert!(error.to_string().contains("--resume"), "{error}");
        assert_eq!(error.exit_code(), 2);

        let path = root.join("metrics.jsonl");
        let mut cut_off = OpenOptions::new().append(true).open(&path).unwrap();
        cut_off.write_all(b"{\"step\":").unwrap();
        RunFolder::open(&root).unwrap().log(&report(2)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        let second: Value = serde_json::from_str(lines[2]).unwrap();
        assert_eq!(second["step"], 2);
        assert_eq!(second["losses"]["D_Fake"], 1.25);
        assert!(second.get("epoch_images").is_none(), "{second}");
        let text = fs::read_to_string(root.join("loss_log.txt")).unwrap();
        let line = "(epoch: 1, iters: 4, time: 0.062) GAN: 0.500 D_Fake: 1.250\n";
        assert_eq!(text, line.repeat(2));
        let config: Config =
            toml::from_str(&fs::read_to_string(root.join("config.toml")).unwrap()).unwrap();
        assert_eq!(config, Config::default());
    }

    #[test]
    fn other_folders_are_not_continued() {
        let dir = tempfile::tempdir().unwrap();
        let error = RunFolder::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("no folder of a run"), "{error}");
    }
}
