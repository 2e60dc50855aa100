//! The clerk: a thread that reads and writes files one after another, so that the window never waits for a disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::event::{Event, Events, Opened, Purpose};
use super::home::{Home, Recent};
use super::mapping::Mapping;
use super::sheet::{self, Project};
use super::worker;
use crate::data::landscape::{self, CLASSES};
use crate::data::{ClassTable, Grid, LabelSpace, files};
use crate::picture::{self, Picture};
use crate::{Error, Result};

/// Something to do with files.
pub enum Job {
    /// Reads a layout; one without a project means these classes.
    Open(PathBuf, Arc<LabelSpace>),
    /// Draws a built-in layout of a size.
    Landscape(u64, [usize; 2]),
    /// Reads a photograph to trace.
    Trace(PathBuf),
    /// Writes a layout.
    Save {
        /// The file.
        path: PathBuf,
        /// Class of every pixel.
        labels: Arc<Grid<u8>>,
        /// What the file says besides.
        project: Box<Project>,
        /// What it is written for.
        purpose: Purpose,
        /// Whether it may take another file's place.
        replace: bool,
    },
    /// Writes a picture.
    Export {
        /// The file.
        path: PathBuf,
        /// The picture.
        picture: Arc<Picture>,
        /// Whether it may take another file's place.
        replace: bool,
    },
    /// Remembers a file as the latest, in the folder of the window's memory.
    Recall(PathBuf, Recent),
    /// Removes a file of ours, if it is there.
    Remove(PathBuf),
}

/// The window's end of the clerk.
pub struct Clerk {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Clerk {
    /// Starts the clerk.
    pub fn start(events: Events) -> Self {
        let (jobs, taker) = unbounded();
        Self {
            jobs: Some(jobs),
            thread: Some(std::thread::spawn(move || serve(&taker, &events))),
        }
    }

    /// Gives a job.
    pub fn give(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The clerk lives as long as this.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.jobs = None;
        // What was to be saved is saved before the program ends.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(jobs: &Receiver<Job>, events: &Events) {
    for job in jobs {
        match perform(job) {
            Ok(Some(event)) => events.send(event),
            Ok(None) => {}
            Err(error) => events.send(Event::Failed(error.to_string())),
        }
    }
}

fn perform(job: Job) -> Result<Option<Event>> {
    Ok(Some(match job {
        Job::Open(path, space) => {
            let (labels, project) = match sheet::read(&path, &space) {
                Ok(read) => read,
                // What is no class is asked about, if it is that which is wrong with the file.
                Err(Error::Data(reason)) => {
                    return match Mapping::read(&path, &space)? {
                        None => Ok(Some(Event::NoMap(path))),
                        Some(mapping) if mapping.foreign.is_empty() => Err(Error::Data(reason)),
                        Some(mapping) => {
                            refuse_giant(&path, mapping.size())?;
                            Ok(Some(Event::Foreign(Box::new(mapping))))
                        }
                    };
                }
                Err(error) => return Err(error),
            };
            refuse_giant(&path, [labels.width, labels.height])?;
            let own = project
                .as_ref()
                .map(|project| Arc::new(project.space.clone()));
            Event::Opened(Box::new(Opened {
                path: Some(path),
                labels,
                space: own.unwrap_or(space),
                project,
            }))
        }
        Job::Landscape(seed, [width, height]) => {
            let scene = landscape::layout(seed, width, height)?;
            Event::Opened(Box::new(Opened {
                path: None,
                labels: Grid::new(width, height, scene.labels),
                space: Arc::new(landscape_space()),
                project: None,
            }))
        }
        Job::Trace(path) => {
            let image = Arc::new(worker::fitting(&files::read_photo(&path)?));
            Event::Traced { path, image }
        }
        Job::Save {
            path,
            labels,
            project,
            purpose,
            replace,
        } => {
            if !replace && path.exists() {
                return Ok(Some(Event::Exists { path }));
            }
            // A folder of ours may be missing; one that a person names is there or written wrongly.
            if matches!(purpose, Purpose::Autosave(_) | Purpose::Aside) {
                make_folder(&path)?;
            }
            sheet::write(&path, &labels, &project)?;
            Event::Saved { path, purpose }
        }
        Job::Export {
            path,
            picture,
            replace,
        } => {
            if !replace && path.exists() {
                return Ok(Some(Event::Exists { path }));
            }
            picture::save(&path, &picture)?;
            let purpose = Purpose::Picture;
            Event::Saved { path, purpose }
        }
        Job::Recall(folder, recent) => {
            Home::revise(&folder, |memory| memory.recall(&recent))?;
            return Ok(None);
        }
        Job::Remove(path) => {
            return match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::io("cannot remove", path, e))
                }
                _ => Ok(None),
            };
        }
    }))
}

/// Layouts are shown pixel by pixel, never smaller, since labels are not blended.
fn refuse_giant(path: &Path, [width, height]: [usize; 2]) -> Result<()> {
    let largest = worker::LARGEST;
    match width.max(height) > largest {
        false => Ok(()),
        true => Err(Error::Data(format!(
            "{} is {width}x{height}, and a side of a layout has at most {largest} pixels here: make it smaller without \
             blending, as by `magick IN -sample {largest}x{largest} OUT`",
            path.display()
        ))),
    }
}

fn make_folder(path: &Path) -> Result<()> {
    match path.parent().filter(|folder| *folder != Path::new("")) {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|e| Error::io("cannot create", folder, e))
        }
        None => Ok(()),
    }
}

/// The classes of the built-in landscapes.
pub fn landscape_space() -> LabelSpace {
    let mut space = LabelSpace::new(CLASSES.len(), false, false);
    space.table = ClassTable::landscapes();
    space
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::worker::Sight;

    #[test]
    fn what_is_too_large_to_show_is_refused_or_made_smaller() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long.png");
        let water = landscape_space().colour(6);
        let strip = |colour| Grid::new(2 * worker::LARGEST, 2, vec![colour; 4 * worker::LARGEST]);
        let (events, heard) = Events::silent();
        let clerk = Clerk::start(events);
        for colour in [water, [1, 2, 3]] {
            picture::save(&path, &strip(colour)).unwrap();
            clerk.give(Job::Open(path.clone(), Arc::new(landscape_space())));
            match heard.recv().unwrap() {
                Event::Failed(error) => assert!(error.contains("8192x2"), "{error}"),
                other => panic!("{other:?}"),
            }
        }
        clerk.give(Job::Trace(path));
        match heard.recv().unwrap() {
            Event::Traced { image, .. } => assert_eq!(image.size, [worker::LARGEST, 1]),
            other => panic!("{other:?}"),
        }
    }

    const SIGHT: Sight = Sight {
        layout: 1,
        style: 1,
        outlines: false,
    };

    #[test]
    fn jobs_are_done_in_order_and_failures_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let (events, heard) = Events::silent();
        let clerk = Clerk::start(events);
        let space = Arc::new(landscape_space());
        let path = dir.path().join("lake.png");
        clerk.give(Job::Landscape(3, [32, 24]));
        let Event::Opened(opened) = heard.recv().unwrap() else {
            panic!("no layout")
        };
        assert_eq!((opened.labels.width, opened.labels.height), (32, 24));
        let labels = Arc::new(opened.labels);
        for replace in [false, false, true] {
            clerk.give(Job::Save {
                path: path.clone(),
                labels: labels.clone(),
                project: Box::new(Project::new(LabelSpace::clone(&space))),
                purpose: Purpose::Autosave(SIGHT),
                replace,
            });
        }
        clerk.give(Job::Open(path.clone(), space.clone()));
        clerk.give(Job::Remove(path.clone()));
        clerk.give(Job::Remove(path.clone()));
        clerk.give(Job::Open(path.clone(), space));
        clerk.give(Job::Trace(path.clone()));
        let saved: [Event; 3] = std::array::from_fn(|_| heard.recv().unwrap());
        assert!(
            matches!(
                saved,
                [
                    Event::Saved {
                        purpose: Purpose::Autosave(SIGHT),
                        ..
                    },
                    Event::Exists { .. },
                    Event::Saved { .. }
                ]
            ),
            "{saved:?}"
        );
        let Event::Opened(opened) = heard.recv().unwrap() else {
            panic!("no layout")
        };
        assert_eq!(opened.labels, *labels);
        for _ in 0..2 {
            match heard.recv().unwrap() {
                Event::Failed(error) => assert!(error.contains("lake.png"), "{error}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
