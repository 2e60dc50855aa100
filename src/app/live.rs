//! Training in a window: the same session as without one, on a thread of its own. Events out, orders in. Once it has
//! ended it can be started again, from its newest checkpoint.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select, unbounded};

use super::event::Events;
use super::follow::{Follower, Live, News};
use super::home::Home;
use super::sitter::Sitting;
use super::studio::Studio;
use crate::train::event::End;
use crate::train::{Session, Sketch, TrainEvent};
use crate::{Error, Result};

/// Time between looks at whether the program is to end, once training has.
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

/// Trains while a window shows it. `hear` is told everything as well. Closing the window saves and ends the run; raising
/// `stop` does so too, and closes the window.
///
/// `open` opens the session at first, and again whenever training has ended and shall go on.
///
/// # Errors
/// If a window cannot be opened, the session cannot be started, or training fails.
pub fn train(
    open: impl FnMut() -> Result<Session> + Send + 'static,
    stop: Arc<AtomicBool>,
    limit: Option<u64>,
    hear: impl FnMut(&TrainEvent) + Send + 'static,
) -> Result<End> {
    let (done, result) = bounded(1);
    super::show("Training – Spadework", move |window| {
        let (events, heard) = Events::new(window.clone());
        std::thread::spawn(move || {
            let end = serve(open, &stop, limit, &events, hear);
            // Nobody waits where the window could not be kept open.
            let _ = done.send(end);
        });
        Studio::new(window, heard, Home::folder_of_user())
    })?;
    // The window is closed, and with it the orders: the run saves and ends.
    result.recv().unwrap_or(Err(Error::Interrupted))
}

/// Trains as often as the window wants, until it is gone or `stop` is raised; says how training ended the last time.
///
/// # Errors
/// If the session could not be opened, or training failed, the last time.
pub fn serve(
    mut open: impl FnMut() -> Result<Session>,
    stop: &AtomicBool,
    limit: Option<u64>,
    told: &Events<News>,
    mut hear: impl FnMut(&TrainEvent),
) -> Result<End> {
    let drawing = unbounded();
    loop {
        // The window alone holds the other end: once it is gone, nothing more is wanted.
        let (start, wanted) = bounded(1);
        told.send(News::Opening(start));
        let end = open().and_then(|session| run(session, stop, limit, told, &drawing, &mut hear));
        if let Err(error) = &end {
            told.send(News::Broken(error.to_string()));
        }
        if !goes_on(&wanted, &drawing.1, stop) {
            // Whoever ends the program from outside wants no window left of it.
            told.close_window();
            return end;
        }
    }
}

/// Waits until training is to go on, the window is gone, or `stop` is raised. Meanwhile there is no network to draw with.
fn goes_on(wanted: &Receiver<()>, sketches: &Receiver<Sketch>, stop: &AtomicBool) -> bool {
    while !stop.load(Ordering::Relaxed) {
        select! {
            recv(wanted) -> start => return start.is_ok(),
            recv(sketches) -> sketch => if let Ok(sketch) = sketch {
                let reason = "training has stopped, and the network is gone until it is started again";
                sketch.refuse(Error::Usage(reason.into()));
            },
            default(BETWEEN_LOOKS) => {}
        }
    }
    false
}

fn run(
    mut session: Session,
    stop: &AtomicBool,
    limit: Option<u64>,
    told: &Events<News>,
    (sketches, wanted): &(Sender<Sketch>, Receiver<Sketch>),
    hear: &mut impl FnMut(&TrainEvent),
) -> Result<End> {
    let root = session.root().to_path_buf();
    let (follower, config) = Follower::start(Path::new(&root), told.clone(), true)?;
    let orders = session.take_orders();
    session.draw_for(wanted.clone());
    let sitting = Sitting::of(&session, sketches.clone());
    told.send(News::Live(Box::new(Live {
        root,
        config,
        follower,
        orders,
        manners: session.manners(),
        sitting,
    })));
    session.train(stop, limit, &mut |event| {
        hear(event);
        told.send(News::Train(event.clone()));
        Ok(())
    })
}
