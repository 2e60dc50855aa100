//! Follows the folder of a run from outside: metrics, sample sheets and checkpoints as they are written, reading only.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, select};
use eframe::egui::ColorImage;
use serde::Deserialize;

use super::event::Events;
use super::sitter::Sitting;
use super::worker::{self, Slot};
use crate::config::Config;
use crate::data::files;
use crate::train::checkpoint::Shelf;
use crate::train::event::{Started, StepReport};
use crate::train::run::{CHANGES, SESSIONS};
use crate::train::{Change, Order, TrainEvent};
use crate::{Error, Result};

/// A line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Metrics {
    /// Iterations done.
    pub step: u64,
    /// Its epoch, from 1.
    pub epoch: u64,
    /// Pictures seen.
    pub images: u64,
    /// Learning rate of the generator.
    pub lr_g: f64,
    /// Learning rate of the discriminator.
    pub lr_d: f64,
    /// Weighted losses by their published names; none where a number was not finite.
    pub losses: BTreeMap<String, Option<f64>>,
    /// Time the iteration took.
    pub seconds: f64,
}

/// A run that this program trains.
pub struct Live {
    /// Its folder.
    pub root: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// Reads its sample sheets.
    pub follower: Follower,
    /// Takes orders to it.
    pub orders: Sender<Order>,
    /// Whether it gives way to the window.
    pub manners: Arc<AtomicBool>,
    /// Its network, to paint with.
    pub sitting: Sitting,
}

impl From<&StepReport> for Metrics {
    fn from(report: &StepReport) -> Self {
        let loss = |&(name, value): &(&str, f32)| (name.to_owned(), Some(f64::from(value)));
        Self {
            step: report.step,
            epoch: report.epoch,
            images: report.images,
            lr_g: report.lr_g,
            lr_d: report.lr_d,
            losses: report.losses.iter().map(loss).collect(),
            seconds: report.seconds,
        }
    }
}

/// What is new in a run.
pub enum News {
    /// Training here is being opened. Once it has ended, whoever has this may want it to go on.
    Opening(Sender<()>),
    /// Training here, which begins.
    Live(Box<Live>),
    /// Training here has failed, and ends.
    Broken(String),
    /// What training here tells.
    Train(TrainEvent),
    /// Training elsewhere began or went on.
    Session(Started),
    /// More lines of metrics.
    Metrics(Vec<Metrics>),
    /// The iterations that have a sample sheet.
    Sheets(Vec<u64>),
    /// The iterations that have a checkpoint.
    Checkpoints(Vec<u64>),
    /// The settings that were changed on the way.
    Changes(Vec<Change>),
    /// The sample sheet that was asked for.
    Sheet(u64, Arc<ColorImage>),
    /// Something cannot be read.
    Failed(String),
}

/// Time between looks at the folder.
const INTERVAL: Duration = Duration::from_millis(500);

/// Follows a run on a thread of its own.
pub struct Follower {
    sheets: Option<Slot<u64>>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Follows the run in a folder; also reads its configuration. Of a run that tells its steps itself (`is_live`) only
    /// what was measured before is read, at once.
    ///
    /// # Errors
    /// If it is no folder of a run.
    pub fn start(root: &Path, events: Events<News>, is_live: bool) -> Result<(Self, Config)> {
        let path = root.join("config.toml");
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::Data(format!(
                    "{} is no folder of a run: it has no config.toml",
                    root.display()
                )));
            }
            text => text.map_err(|e| Error::io("cannot read", &path, e))?,
        };
        let config = toml::from_str(&text)
            .map_err(|e| Error::Data(format!("configuration {}: {e}", path.display())))?;
        let slot = Slot::default();
        let wanted = slot.taker();
        let mut run = Run::new(root, events);
        if is_live {
            run.look()?;
            run.is_live = true;
        }
        let follower = Self {
            sheets: Some(slot),
            thread: Some(std::thread::spawn(move || run.follow(&wanted))),
        };
        Ok((follower, config))
    }

    /// Asks for a sample sheet, in the place of one that is not read yet.
    pub fn show(&self, step: u64) {
        if let Some(sheets) = &self.sheets {
            sheets.put(step);
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.sheets = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What has been seen of a run.
struct Run {
    root: PathBuf,
    events: Events<News>,
    read_bytes: u64,
    sheets: Vec<u64>,
    checkpoints: Vec<u64>,
    changes: Vec<Change>,
    session: Option<Started>,
    told: Option<String>,
    is_live: bool,
}

impl Run {
    fn new(root: &Path, events: Events<News>) -> Self {
        Self {
            root: root.to_path_buf(),
            events,
            read_bytes: 0,
            sheets: Vec::new(),
            checkpoints: Vec::new(),
            changes: Vec::new(),
            session: None,
            told: None,
            is_live: false,
        }
    }

    fn follow(&mut self, wanted: &Receiver<u64>) {
        loop {
            if let Err(error) = self.look() {
                self.tell(error.to_string());
            }
            select! {
                recv(wanted) -> step => match step {
                    Ok(step) => self.send_sheet(step),
                    Err(_) => return,
                },
                default(INTERVAL) => {}
            }
        }
    }

    /// The same trouble is told once.
    fn tell(&mut self, error: String) {
        if self.told.as_ref() != Some(&error) {
            self.events.send(News::Failed(error.clone()));
            self.told = Some(error);
        }
    }

    fn look(&mut self) -> Result<()> {
        let session = self.last_session()?;
        if session != self.session {
            self.session = session.clone();
            if let Some(session) = session {
                self.events.send(News::Session(session));
            }
        }
        let metrics = match self.is_live {
            true => Vec::new(),
            false => self.new_metrics()?,
        };
        if !metrics.is_empty() {
            self.events.send(News::Metrics(metrics));
        }
        let checkpoints = Shelf::new(self.root.join("checkpoints")).steps()?;
        if checkpoints != self.checkpoints {
            self.events.send(News::Checkpoints(checkpoints.clone()));
            self.checkpoints = checkpoints;
        }
        let changes = self.read_changes()?;
        if changes != self.changes {
            self.events.send(News::Changes(changes.clone()));
            self.changes = changes;
        }
        let sheets = self.list_sheets()?;
        if sheets != self.sheets {
            self.events.send(News::Sheets(sheets.clone()));
            self.sheets = sheets;
        }
        Ok(())
    }

    /// Lines that are complete and not read yet; the first line of a run that was cut off is passed over.
    fn new_metrics(&mut self) -> Result<Vec<Metrics>> {
        let path = self.root.join("metrics.jsonl");
        let failed = |e| Error::io("cannot read", &path, e);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            file => file.map_err(failed)?,
        };
        file.seek(SeekFrom::Start(self.read_bytes))
            .map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let complete = bytes
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |end| end + 1);
        self.read_bytes += complete as u64;
        let lines = bytes[..complete].split(|&byte| byte == b'\n');
        Ok(lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect())
    }

    /// The latest time that training began; runs of before it was kept have no file of it.
    fn last_session(&self) -> Result<Option<Started>> {
        let mut sessions = self.read_lines(SESSIONS)?;
        Ok(sessions.pop())
    }

    /// The changes so far; most runs have none, and no file of them.
    fn read_changes(&self) -> Result<Vec<Change>> {
        self.read_lines(CHANGES)
    }

    /// The lines of a small file; none where it is missing.
    fn read_lines<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Vec<T>> {
        let path = self.root.join(name);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            text => text.map_err(|e| Error::io("cannot read", &path, e))?,
        };
        let lines = text.lines();
        Ok(lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    fn sheet(&self, step: u64) -> PathBuf {
        self.root
            .join("samples")
            .join(format!("step-{step:08}.png"))
    }

    fn list_sheets(&self) -> Result<Vec<u64>> {
        let folder = self.root.join("samples");
        let failed = |e| Error::io("cannot list sample sheets in", &folder, e);
        let mut steps = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let digits = name
                .to_str()
                .and_then(|name| name.strip_prefix("step-")?.strip_suffix(".png"));
            steps.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    fn send_sheet(&mut self, step: u64) {
        match files::read_photo(&self.sheet(step)) {
            Ok(picture) => {
                let image = Arc::new(worker::fitting(&picture));
                self.events.send(News::Sheet(step, image));
            }
            Err(error) => self.tell(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn line(step: u64) -> String {
        format!(
            "{{\"step\":{step},\"epoch\":1,\"images\":{step},\"lr_g\":1e-4,\"lr_d\":4e-4,\
             \"losses\":{{\"GAN\":0.5,\"KLD\":null}},\"seconds\":0.25}}\n"
        )
    }

    #[test]
    fn lines_are_read_once_and_only_when_complete() {
        let dir = tempfile::tempdir().unwrap();
        let mut run = Run::new(dir.path(), Events::silent().0);
        assert_eq!(run.new_metrics().unwrap(), []);
        let mut file = File::create(dir.path().join("metrics.jsonl")).unwrap();
        let steps = |run: &mut Run| -> Vec<u64> {
            run.new_metrics().unwrap().iter().map(|m| m.step).collect()
        };
        let third = line(3);
        write!(file, "{}cut off\n{}{}", line(1), line(2), &third[..20]).unwrap();
        assert_eq!(steps(&mut run), [1, 2]);
        assert_eq!(steps(&mut run), [0; 0]);
        write!(file, "{}", &third[20..]).unwrap();
        assert_eq!(steps(&mut run), [3]);
    }

    #[test]
    fn a_run_is_followed_without_being_touched() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert!(Follower::start(root, Events::silent().0, false).is_err());
        let run = crate::train::RunFolder::create(&root.join("run"), &Config::default()).unwrap();
        std::fs::write(run.root().join("metrics.jsonl"), line(7)).unwrap();
        let session = |step| Started {
            adapter: format!("adapter {step}"),
            device_bytes: 1 << 20,
            memory: Default::default(),
            pictures: 10,
            batches_per_epoch: 5,
            epochs: 2,
            step,
            images: 0,
            total_images: 20,
        };
        run.enter(&session(0)).unwrap();
        run.enter(&session(4)).unwrap();
        let sheet = crate::data::Grid::new(1, 1, vec![[1, 2, 3]]);
        crate::picture::save(&run.sheet(7), &sheet).unwrap();
        let (events, heard) = Events::silent();
        let (follower, config) = Follower::start(run.root(), events, false).unwrap();
        assert_eq!(config, Config::default());
        assert!(matches!(heard.recv().unwrap(), News::Session(started) if started == session(4)));
        assert!(matches!(heard.recv().unwrap(), News::Metrics(m) if m[0].losses["KLD"].is_none()));
        assert!(matches!(heard.recv().unwrap(), News::Sheets(steps) if steps == [7]));
        follower.show(7);
        assert!(matches!(heard.recv().unwrap(), News::Sheet(7, image) if image.size == [1, 1]));
        follower.show(8);
        assert!(
            matches!(heard.recv().unwrap(), News::Failed(error) if error.contains("step-00000008"))
        );
    }
}
