//! The painter's worker while training runs here: pictures come from the network in training, between two iterations.
//!
//! A layout that rests is drawn again now and then, since the network changes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::event::{Event, Events, Model};
use super::styling::Ability;
use super::worker::{Drawn, Request, Task, Worker, image, layout, thumb};
use crate::data::{LabelSpace, batch, files};
use crate::train::{Session, Sketch};
use crate::{Error, Result, Style};

/// Time after which a layout that rests is drawn again.
const AGAIN: Duration = Duration::from_secs(2);

/// A network in training, as the painter sees it.
pub struct Sitting {
    /// Takes what is wanted to the run.
    pub sketches: Sender<Sketch>,
    /// What it is; the path is the folder of the run.
    pub model: Model,
}

impl Sitting {
    /// The network of a session, and of those that go on after it: all draw what the same sender takes to them.
    pub fn of(session: &Session, sketches: Sender<Sketch>) -> Self {
        let model = &session.config().model;
        let [height, width] = model.output();
        let styles = model.use_vae.then_some(Ability {
            z_dim: model.z_dim,
            has_encoder: true,
        });
        Self {
            model: Model {
                path: session.root().to_path_buf(),
                space: Arc::new(session.space().clone()),
                size: [width, height],
                styles,
                step: 0,
                adapter: "the network in training".into(),
            },
            sketches,
        }
    }

    /// Starts a worker that draws with the network. It draws again by itself while `is_watched`.
    pub fn start(self, events: Events, is_watched: Arc<AtomicBool>) -> Worker {
        events.send(Event::Model(Box::new(self.model.clone())));
        Worker::with(move |tasks, requests| {
            let sitter = Sitter {
                sitting: self,
                events,
                latest: None,
                drawn: 0,
            };
            sitter.serve(&tasks, &requests, &is_watched);
        })
    }
}

struct Sitter {
    sitting: Sitting,
    events: Events,
    /// The latest request, and the iteration after which it was drawn.
    latest: Option<(Request, u64)>,
    drawn: u64,
}

impl Sitter {
    fn serve(
        mut self,
        tasks: &Receiver<Task>,
        requests: &Receiver<Request>,
        is_watched: &AtomicBool,
    ) {
        loop {
            select! {
                recv(tasks) -> task => match task {
                    Ok(Task::Load(path)) => self.events.send(Event::NoModel {
                        path,
                        error: "this window paints with the network in training; `spadework paint` opens others".into(),
                    }),
                    Ok(Task::Encode(wanted)) => self.events.send(match self.style(&wanted.path) {
                        Ok(style) => Event::Encoded { wanted, style },
                        Err(error) => Event::NotEncoded(error.to_string()),
                    }),
                    Err(_) => return,
                },
                recv(requests) -> request => match request {
                    Ok(request) => self.draw(request, None),
                    Err(_) => return,
                },
                default(AGAIN) => {
                    if let (true, Some((request, step))) = (is_watched.load(Ordering::Relaxed), self.latest.clone()) {
                        self.draw(request, Some(step));
                    }
                }
            }
        }
    }

    fn draw(&mut self, request: Request, seen: Option<u64>) {
        let start = Instant::now();
        let sight = request.sight;
        match self.picture(&request, seen) {
            Ok(Some((step, picture))) => {
                self.drawn += 1;
                self.latest = Some((request, step));
                self.events.send(Event::Drawn(Drawn {
                    sight,
                    number: self.drawn,
                    image: Arc::new(image(&picture)),
                    thumb: Arc::new(thumb(&picture)),
                    picture: Arc::new(picture),
                    seconds: start.elapsed().as_secs_f64(),
                    effort: None,
                }));
            }
            Ok(None) => {}
            Err(error) => {
                // Told once, not again and again.
                self.latest = None;
                let error = error.to_string();
                self.events.send(Event::NotDrawn { sight, error });
            }
        }
    }

    fn picture(
        &self,
        request: &Request,
        seen: Option<u64>,
    ) -> Result<Option<(u64, crate::picture::Picture)>> {
        let model = &self.sitting.model;
        let space: &LabelSpace = &model.space;
        let wanted = layout(request, space);
        let map = batch::layout(&wanted.labels, wanted.instances.as_ref(), space, model.size);
        let style = request.style.clone();
        self.ask(|reply| Sketch::Picture {
            map,
            style,
            seen,
            reply,
        })
    }

    fn style(&self, path: &Path) -> Result<Style> {
        let photo = batch::photo(&files::read_photo(path)?, self.sitting.model.size);
        self.ask(|reply| Sketch::Style { photo, reply })
    }

    /// Waits for the run, which answers between two iterations.
    fn ask<T>(&self, sketch: impl FnOnce(Sender<Result<T>>) -> Sketch) -> Result<T> {
        let (reply, answer) = bounded(1);
        let ended = || {
            Error::Usage(
                "training has ended, and the network is gone: paint with its newest checkpoint"
                    .into(),
            )
        };
        let asked = self.sitting.sketches.send(sketch(reply));
        asked.map_err(|_| ended())?;
        answer.recv().map_err(|_| ended())?
    }
}
