//! The worker: a thread with a device and a generator of its own, which draws what the window shows.
//!
//! The window never waits for it. Requests go into a slot that holds the latest alone, so no stale work queues up;
//! what comes of them is an [`Event`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, never, select_biased, unbounded};
use eframe::egui::{Color32, ColorImage};

use super::event::{Event, Events, Model};
use super::idle::{Idle, Subject};
use super::styling::{Ability, Wanted};
use crate::data::files::read_photo;
use crate::data::resample::bicubic;
use crate::data::{Grid, LabelSpace};
use crate::gpu::Gpu;
use crate::model::Effort;
use crate::picture::Picture;
use crate::train::Checkpoint;
use crate::train::checkpoint::{SHIPPED, Shelf};
use crate::tune::tuned;
use crate::{Error, Generator, Layout, Result, Style};

/// Longest side of what the window shows, in pixels: every device has textures of this size.
pub const LARGEST: usize = 4096;

/// What a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Number of the layout.
    pub layout: u64,
    /// Number of the style.
    pub style: u64,
    /// Whether borders between classes are outlined, for generators that were trained with instance maps.
    pub outlines: bool,
}

/// A picture the window asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it shows, which the picture carries.
    pub sight: Sight,
    /// Class of every pixel.
    pub labels: Arc<Grid<u8>>,
    /// The style, for generators that have any.
    pub style: Option<Style>,
}

/// Something to do before any more pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Takes another generator: of a checkpoint, or of the newest one in the folder of a run.
    Load(PathBuf),
    /// Finds the style of a picture.
    Encode(Wanted),
}

/// What came of a request.
#[derive(Clone)]
pub struct Drawn {
    /// What it shows.
    pub sight: Sight,
    /// Number of the picture; no other has it.
    pub number: u64,
    /// The picture.
    pub picture: Arc<Picture>,
    /// The same as the window shows it.
    pub image: Arc<ColorImage>,
    /// The same small, for the strip of styles.
    pub thumb: Arc<ColorImage>,
    /// Time it took.
    pub seconds: f64,
    /// What had to be computed for it; unknown of a network in training.
    pub effort: Option<Effort>,
}

/// Holds the latest of what is put in; never makes the giver wait.
pub struct Slot<T> {
    sender: Sender<T>,
    receiver: Receiver<T>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        let (sender, receiver) = bounded(1);
        Self { sender, receiver }
    }
}

impl<T> Slot<T> {
    /// Puts a value in the place of the one before.
    pub fn put(&self, mut value: T) {
        while let Err(TrySendError::Full(back)) = self.sender.try_send(value) {
            value = back;
            // The taker may have been faster.
            let _ = self.receiver.try_recv();
        }
    }

    /// The side that takes.
    pub fn taker(&self) -> Receiver<T> {
        self.receiver.clone()
    }
}

/// The window's end of the worker.
pub struct Worker {
    tasks: Option<Sender<Task>>,
    requests: Option<Slot<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the worker on an adapter.
    pub fn start(adapter: Option<String>, events: Events) -> Self {
        Self::measuring(adapter, false, events)
    }

    /// As [`Worker::start`], measuring meanwhile, if that is wanted, which kernels are the fastest.
    pub fn measuring(adapter: Option<String>, measures: bool, events: Events) -> Self {
        Self::with(move |tasks, requests| {
            Studio {
                adapter,
                measures,
                idle: None,
                events,
                gpu: None,
                path: None,
                generator: None,
                drawn: 0,
            }
            .serve(&tasks, &requests);
        })
    }

    /// Starts a thread in the place of the worker, which gets tasks and pictures to draw.
    pub fn with(run: impl FnOnce(Receiver<Task>, Receiver<Request>) + Send + 'static) -> Self {
        let (tasks, taker) = unbounded();
        let slot = Slot::default();
        let requests = slot.taker();
        Self {
            tasks: Some(tasks),
            requests: Some(slot),
            thread: Some(std::thread::spawn(move || run(taker, requests))),
        }
    }

    /// Gives something to do.
    pub fn give(&self, task: Task) {
        if let Some(tasks) = &self.tasks {
            // A worker that is gone has told why.
            let _ = tasks.send(task);
        }
    }

    /// Asks for a picture, in the place of a request that has not been begun.
    pub fn draw(&self, request: Request) {
        if let Some(slot) = &self.requests {
            slot.put(request);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.tasks = None;
        self.requests = None;
        // A device must not be torn down by the end of the program while it draws.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The worker's own state.
struct Studio {
    adapter: Option<String>,
    /// Whether kernels are measured while nothing is drawn.
    measures: bool,
    /// What measures them, for the generator in use.
    idle: Option<Idle>,
    events: Events,
    gpu: Option<Arc<Gpu>>,
    /// The checkpoint in use.
    path: Option<PathBuf>,
    /// Its generator; none where its device was lost and cannot be opened again.
    generator: Option<Generator>,
    drawn: u64,
}

impl Studio {
    fn serve(&mut self, tasks: &Receiver<Task>, requests: &Receiver<Request>) {
        loop {
            // Requests wait while there is nothing to draw them with.
            let idle = never();
            let requests = if self.path.is_some() { requests } else { &idle };
            select_biased! {
                recv(tasks) -> task => match task {
                    Ok(task) => self.undisturbed(|studio| studio.take(task)),
                    Err(_) => return,
                },
                recv(requests) -> request => match request {
                    Ok(request) => self.undisturbed(|studio| studio.draw(&request)),
                    Err(_) => return,
                },
            }
        }
    }

    fn take(&mut self, task: Task) {
        match task {
            Task::Load(path) => self.load(&path),
            Task::Encode(wanted) => self.encode(wanted),
        }
    }

    /// Does something while nothing is measured.
    fn undisturbed(&mut self, work: impl FnOnce(&mut Self)) {
        self.idle.iter().for_each(Idle::disturb);
        work(self);
        self.idle.iter().for_each(Idle::rest);
    }

    fn load(&mut self, path: &Path) {
        match self.open(path) {
            Ok(model) => {
                self.events.send(Event::Model(Box::new(model)));
                self.measure();
            }
            Err(error) => self.events.send(Event::NoModel {
                path: path.to_path_buf(),
                error: error.to_string(),
            }),
        }
    }

    fn open(&mut self, path: &Path) -> Result<Model> {
        // The model that comes with the program, whatever else has that name.
        let is_shipped = path.as_os_str() == SHIPPED;
        let file = match path.is_dir() && !is_shipped {
            true => Shelf::new(path.join("checkpoints")).newest()?,
            false => path.to_path_buf(),
        };
        let gpu = match &self.gpu {
            Some(gpu) => gpu.clone(),
            None => self.open_gpu()?,
        };
        // Nothing is drawn but for a window that is looked at.
        gpu.manners().store(true, Ordering::Relaxed);
        self.gpu = Some(gpu.clone());
        let checkpoint = Checkpoint::load(&file)?;
        let step = checkpoint.progress.step;
        let generator = Generator::new(&gpu, checkpoint)?;
        let model = Model {
            path: match is_shipped {
                true => file,
                false => std::fs::canonicalize(&file).unwrap_or(file),
            },
            space: Arc::new(generator.space().clone()),
            size: generator.size(),
            styles: generator.has_styles().then(|| Ability {
                z_dim: generator.config().z_dim,
                has_encoder: generator.has_encoder(),
            }),
            step,
            adapter: gpu.info.name.clone(),
        };
        self.path = Some(model.path.clone());
        self.generator = Some(generator);
        Ok(model)
    }

    /// Has the kernels of the generator measured while nothing is drawn, if that is wanted.
    fn measure(&mut self) {
        let generator = self.generator.as_ref().filter(|_| self.measures);
        self.idle = generator.map(|generator| {
            let subject = Subject {
                adapter: self.adapter.clone(),
                model: generator.config().clone(),
                folder: None,
            };
            Idle::start(subject, self.events.clone())
        });
    }

    /// Opens the adapter, with what `spadework tune` measured on it.
    fn open_gpu(&self) -> Result<Arc<Gpu>> {
        let (gpu, notice) = tuned(Gpu::open(self.adapter.as_deref())?);
        if let Some(notice) = notice {
            self.events.send(Event::Notice(notice));
        }
        Ok(gpu)
    }

    fn encode(&mut self, wanted: Wanted) {
        let encoded = read_photo(&wanted.path)
            .and_then(|photo| self.attempt(|generator| generator.encode(&photo)));
        self.events.send(match encoded {
            Ok(encoded) => Event::Encoded {
                wanted,
                style: encoded.mean(),
            },
            Err(error) => Event::NotEncoded(error.to_string()),
        });
    }

    fn draw(&mut self, request: &Request) {
        let start = Instant::now();
        self.drawn += 1;
        let drawn = self.attempt(|generator| {
            let layout = layout(request, generator.space());
            match &request.style {
                Some(style) => generator.synth_in_style(&layout, style),
                None => generator.synth(&layout),
            }
        });
        match drawn {
            Ok(picture) => self.events.send(Event::Drawn(Drawn {
                sight: request.sight,
                number: self.drawn,
                image: Arc::new(image(&picture)),
                thumb: Arc::new(thumb(&picture)),
                picture: Arc::new(picture),
                seconds: start.elapsed().as_secs_f64(),
                effort: self.generator.as_ref().map(Generator::effort),
            })),
            Err(error) => self.events.send(Event::NotDrawn {
                sight: request.sight,
                error: error.to_string(),
            }),
        }
    }

    /// Does something with the generator. A device that was lost, as by a driver's update, is opened anew; once.
    fn attempt<T>(&mut self, work: impl Fn(&mut Generator) -> Result<T>) -> Result<T> {
        match work(self.generator()?) {
            Err(Error::Device(reason)) => {
                self.events.send(Event::Notice(format!(
                    "The device was lost and is opened again: {reason}."
                )));
                (self.gpu, self.generator) = (None, None);
                work(self.generator()?)
            }
            done => done,
        }
    }

    fn generator(&mut self) -> Result<&mut Generator> {
        let path = self.path.clone();
        if let (None, Some(path)) = (&self.generator, path) {
            self.open(&path)?;
        }
        let none = || Error::Usage("no checkpoint is open".into());
        self.generator.as_mut().ok_or_else(none)
    }
}

/// A request as the generator takes it.
///
/// A painted layout has no instance map: where one was trained with, each region of a class counts as one thing.
pub fn layout(request: &Request, space: &LabelSpace) -> Layout {
    let labels = Grid::clone(&request.labels).map(u32::from);
    let instances = (space.instances && request.sight.outlines).then(|| labels.clone());
    Layout { labels, instances }
}

/// A picture as the window shows it.
pub fn image(picture: &Picture) -> ColorImage {
    let colour = |&[r, g, b]: &[u8; 3]| Color32::from_rgb(r, g, b);
    ColorImage::new(
        [picture.width, picture.height],
        picture.data.iter().map(colour).collect(),
    )
}

/// A picture as the strip of styles shows it.
pub fn thumb(picture: &Picture) -> ColorImage {
    // Sharp on a display with two pixels a point.
    within(picture, 120)
}

/// A picture of any size as the window shows it: made smaller where textures are not that large.
pub fn fitting(picture: &Picture) -> ColorImage {
    within(picture, LARGEST)
}

fn within(picture: &Picture, side: usize) -> ColorImage {
    let longest = picture.width.max(picture.height).max(1);
    if longest <= side {
        return image(picture);
    }
    let small = |length: usize| (length * side / longest).max(1);
    image(&bicubic(
        picture,
        small(picture.width),
        small(picture.height),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_holds_the_latest_and_never_waits() {
        let slot = Slot::default();
        (0..1000).for_each(|value| slot.put(value));
        assert_eq!(slot.taker().try_recv(), Ok(999));
        assert!(slot.taker().try_recv().is_err());
        let taker = slot.taker();
        drop(slot);
        assert!(
            taker.recv().is_err(),
            "the taker hears that nothing follows"
        );
    }

    #[cfg(feature = "shipped-model")]
    #[test]
    fn a_lost_device_is_opened_again_and_draws_the_same() {
        let (events, heard) = Events::silent();
        let mut studio = Studio {
            adapter: None,
            measures: false,
            idle: None,
            events,
            gpu: None,
            path: None,
            generator: None,
            drawn: 0,
        };
        studio.load(Path::new(SHIPPED));
        let Event::Model(model) = heard.recv().unwrap() else {
            panic!("no model")
        };
        let [width, height] = model.size;
        let scene = crate::data::landscape::layout(3, width, height).unwrap();
        let request = Request {
            sight: Sight {
                layout: 1,
                style: 2,
                outlines: true,
            },
            labels: Arc::new(Grid::new(width, height, scene.labels)),
            style: model.styles.map(|styles| Style::random(styles.z_dim, 5)),
        };
        let picture = |event| match event {
            Event::Drawn(drawn) => drawn.picture,
            other => panic!("{other:?}"),
        };
        studio.draw(&request);
        let first = picture(heard.recv().unwrap());
        studio.gpu.as_ref().unwrap().device.destroy();
        studio.draw(&request);
        let notice = heard.recv().unwrap();
        assert!(
            matches!(&notice, Event::Notice(text) if text.contains("lost")),
            "{notice:?}"
        );
        assert_eq!(*picture(heard.recv().unwrap()), *first);
        // What asks in between is told what is wrong, and the next one tries again.
        (studio.gpu, studio.generator) = (None, None);
        studio.adapter = Some("no such adapter".into());
        studio.draw(&request);
        let told = heard.recv().unwrap();
        assert!(
            matches!(&told, Event::NotDrawn { error, .. } if error.contains("no such")),
            "{told:?}"
        );
        studio.adapter = None;
        studio.draw(&request);
        assert_eq!(*picture(heard.recv().unwrap()), *first);
    }

    #[test]
    fn what_cannot_be_loaded_is_told_and_the_worker_goes_on() {
        let (events, heard) = Events::silent();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("broken.safetensors");
        std::fs::write(&file, b"nothing").unwrap();
        let worker = Worker::start(None, events);
        for path in [dir.path().join("none"), dir.path().to_path_buf(), file] {
            worker.give(Task::Load(path.clone()));
            match heard.recv().unwrap() {
                Event::NoModel { path: told, error } => {
                    assert_eq!(told, path);
                    assert!(!error.is_empty());
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
