//! Measuring while nobody paints: which kernels are the fastest for the model at hand, from the next start on.
//!
//! A thread with a device of its own, so that the worker can draw meanwhile. A turn takes some hundredths of a second, the
//! first of a convolution as long as its kernels compile, and none begins until nothing was drawn for a while. Another model
//! and the end of the window wait for the turn at hand.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::event::{Event, Events};
use crate::Result;
use crate::config::ModelConfig;
use crate::gpu::Gpu;
use crate::model::cost::synthesis_plan;
use crate::ops::winograd::Choices;
use crate::tune::{Cache, Tuner, Turn};

/// How long nothing must have been drawn: people look at a picture before the next stroke.
const CALM: Duration = Duration::from_secs(2);
/// Between two turns, for windows that the same card draws.
const PAUSE: Duration = Duration::from_millis(50);

/// Measures in the background until it is dropped.
pub struct Idle {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What both threads know.
struct Shared {
    /// Since when nothing is drawn; none while something is.
    calm_since: Mutex<Option<Instant>>,
    ends: AtomicBool,
    calm: Duration,
    pause: Duration,
}

/// What is measured, and where.
pub struct Subject {
    /// The adapter.
    pub adapter: Option<String>,
    /// The network.
    pub model: ModelConfig,
    /// The folder that remembers it; the user's own where there is none.
    pub folder: Option<PathBuf>,
}

impl Idle {
    /// Waits until nothing is drawn.
    pub fn start(subject: Subject, events: Events) -> Self {
        Self::after([CALM, PAUSE], subject, events)
    }

    fn after([calm, pause]: [Duration; 2], subject: Subject, events: Events) -> Self {
        let shared = Arc::new(Shared {
            calm_since: Mutex::new(None),
            ends: AtomicBool::new(false),
            calm,
            pause,
        });
        let own = shared.clone();
        let thread = std::thread::spawn(move || {
            // Nobody waits for this: what goes wrong leaves everything as it was.
            match measure(&subject, &own) {
                Ok(0) => {}
                Ok(count) => events.send(Event::Notice(format!(
                    "{count} convolutions of this model were measured; from the next start on the fastest kernels draw."
                ))),
                Err(error) => tracing::warn!("tuning in the background: {error}"),
            }
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Something is drawn from now on.
    pub fn disturb(&self) {
        self.shared.set(None);
    }

    /// Nothing is drawn from now on.
    pub fn rest(&self) {
        self.shared.set(Some(Instant::now()));
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        // A device must not be torn down by the end of the program while it measures.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn set(&self, calm_since: Option<Instant>) {
        *self.calm_since.lock().unwrap_or_else(|e| e.into_inner()) = calm_since;
    }

    fn is_calm(&self) -> bool {
        let since = *self.calm_since.lock().unwrap_or_else(|e| e.into_inner());
        since.is_some_and(|since| since.elapsed() >= self.calm)
    }

    /// Waits until nothing was drawn for a while; false if there is no need to go on.
    fn wait(&self) -> bool {
        loop {
            std::thread::sleep(self.pause);
            if self.ends.load(Ordering::Relaxed) {
                return false;
            }
            if self.is_calm() {
                return true;
            }
        }
    }
}

/// Measures what nobody has measured yet, remembers it, and tells how much that was. An early end remembers what there is.
fn measure(subject: &Subject, shared: &Shared) -> Result<usize> {
    if !shared.wait() {
        return Ok(0);
    }
    let gpu = Gpu::open(subject.adapter.as_deref())?;
    gpu.manners().store(true, Ordering::Relaxed);
    let cache = match &subject.folder {
        Some(folder) => Some(Cache::at(folder, &gpu)),
        None => Cache::of_user(&gpu),
    };
    let Some(cache) = cache else {
        return Ok(0);
    };
    let plan = synthesis_plan(&subject.model, &gpu.target())?;
    let mut tuner = Tuner::new(&gpu, [&plan]);
    tuner.skip(&cache.read().unwrap_or_default());
    let mut measured = Choices::default();
    let mut ended = Ok(());
    while shared.wait() {
        match tuner.turn() {
            Ok(Turn::Taken) => {}
            Ok(Turn::Measured(one)) => measured.extend([(one.convolution, one.best)]),
            Ok(Turn::Done) => break,
            Err(error) => {
                ended = Err(error);
                break;
            }
        }
    }
    if !measured.is_empty() {
        cache.add(&measured)?;
    }
    ended.map(|()| measured.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: [Duration; 2] = [Duration::ZERO, Duration::from_millis(1)];

    fn subject(folder: &std::path::Path) -> Subject {
        Subject {
            adapter: None,
            model: ModelConfig {
                ngf: 1,
                spade_hidden: 2,
                crop_size: 32,
                label_nc: 2,
                ..ModelConfig::default()
            },
            folder: Some(folder.to_path_buf()),
        }
    }

    #[test]
    fn what_nobody_has_measured_is_measured_once_nothing_is_drawn() {
        let dir = tempfile::tempdir().unwrap();
        let gpu = Gpu::open(None).unwrap();
        let cache = Cache::at(dir.path(), &gpu);
        // While something is drawn, no turn is taken.
        let (events, heard) = Events::silent();
        let busy = Idle::after(AT_ONCE, subject(dir.path()), events.clone());
        busy.disturb();
        drop(busy);
        assert!(heard.try_recv().is_err());
        assert!(cache.read().unwrap().is_empty());

        let plan = synthesis_plan(&subject(dir.path()).model, &gpu.target()).unwrap();
        let idle = Idle::after(AT_ONCE, subject(dir.path()), events.clone());
        idle.rest();
        let told = heard.recv().unwrap();
        let count = plan.methods.len();
        let says = |text: &str| text.starts_with(&format!("{count} convolutions"));
        assert!(
            matches!(&told, Event::Notice(text) if says(text)),
            "{told:?}"
        );
        drop(idle);
        let known = cache.read().unwrap();
        assert_eq!(known.len(), count);

        // Nothing is left for the next one, which ends by itself.
        let again = Idle::after(AT_ONCE, subject(dir.path()), events);
        again.rest();
        while !again.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            std::thread::sleep(PAUSE);
        }
        assert!(heard.try_recv().is_err());
        assert_eq!(cache.read().unwrap(), known);
    }
}
