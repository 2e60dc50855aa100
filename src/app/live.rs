//! Training in a window: the same session as without one, on a thread of its own. Events out, orders in.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::bounded;

use super::event::Events;
use super::follow::{Follower, Live, News};
use super::home::Home;
use super::sitter::Sitting;
use super::studio::Studio;
use crate::train::event::End;
use crate::train::{Session, TrainEvent};
use crate::{Error, Result};

/// Trains while a window shows it. `hear` is told everything as well. Closing the window saves and ends the run.
///
/// # Errors
/// If a window cannot be opened, the session cannot be started, or training fails.
pub fn train(
    start: impl FnOnce() -> Result<Session> + Send + 'static,
    stop: Arc<AtomicBool>,
    limit: Option<u64>,
    hear: impl FnMut(&TrainEvent) + Send + 'static,
) -> Result<End> {
    let (done, result) = bounded(1);
    super::show("Training – Spadework", move |window| {
        let (events, heard) = Events::new(window.clone());
        let told = events.clone();
        std::thread::spawn(move || {
            let end = start().and_then(|session| run(session, &stop, limit, &told, hear));
            if let Err(error) = &end {
                told.send(News::Failed(error.to_string()));
            }
            // Nobody waits where the window could not be kept open.
            let _ = done.send(end);
        });
        Studio::new(window, heard, Home::folder_of_user())
    })?;
    // The window is closed, and with it the orders: the run saves and ends.
    result.recv().unwrap_or(Err(Error::Interrupted))
}

fn run(
    mut session: Session,
    stop: &AtomicBool,
    limit: Option<u64>,
    told: &Events<News>,
    mut hear: impl FnMut(&TrainEvent),
) -> Result<End> {
    let root = session.root().to_path_buf();
    let (follower, config) = Follower::start(Path::new(&root), told.clone(), true)?;
    let orders = session.take_orders();
    let sitting = Sitting::of(&mut session);
    told.send(News::Live(Box::new(Live {
        root,
        config,
        follower,
        orders,
        sitting,
    })));
    session.train(stop, limit, &mut |event| {
        hear(event);
        told.send(News::Train(event.clone()));
        Ok(())
    })
}
