//! What becomes of a run after an error: the last whole iteration is saved, and the error names the way out.

use super::*;

/// What tells a checkpoint from that of a later state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    step: u64,
    /// Settings changed on the way to it.
    changes: usize,
}

impl Mark {
    pub fn of(progress: &Progress) -> Self {
        Self {
            step: progress.step,
            changes: progress.changes.len(),
        }
    }
}

impl Session {
    /// Adds what to do about numbers out of bounds. To resume would lead to the same ones, bit for bit.
    pub(super) fn with_way_out(&self, error: Error) -> Error {
        let Error::NonFinite(what) = error else {
            return error;
        };
        if self.config.train.half {
            return Error::NonFinite(self.without_half(&what));
        }
        let lr = self.config.optim.lr / 2.0;
        let root = self.run.root().display();
        let now = Mark::of(&self.progress);
        let last = now.step;
        // Between iterations the last one was saved, or cannot be. What settings were changed to is not made again.
        let is_lost = !self.trainer.is_between_iterations();
        let comes_again =
            |changes: usize, step: u64| is_lost && step < last && changes == now.changes;
        Error::NonFinite(match self.saved {
            Some(Mark { step, changes }) if comes_again(changes, step) => format!(
                "{what}: --resume --out {root} --max-steps {last} brings back what came after iteration {step}, bit for \
                 bit; then start a new run with the networks of iteration {last}, --from {root} --lr {lr}; --resume \
                 without --max-steps would end here again"
            ),
            Some(Mark { step, changes }) if changes == now.changes => format!(
                "{what}: start a new run with the networks of iteration {step}, --from {root} --lr {lr}; --resume would \
                 end here again"
            ),
            Some(Mark { step, .. }) => format!(
                "{what}: start a new run with the networks of iteration {step}, --from {root} --lr {lr}, or --resume: \
                 what settings were changed to since is forgotten then"
            ),
            None if comes_again(0, 0) => format!(
                "{what}: start a new run with --lr {lr}; no checkpoint had been written yet, but the same command with \
                 another folder and --max-steps {last} brings back the iterations before this one, bit for bit"
            ),
            None => format!(
                "{what}: start a new run with --lr {lr}; no checkpoint had been written yet"
            ),
        })
    }

    /// The way out where maps may have been too large for their 16 bits.
    fn without_half(&self, what: &str) -> String {
        let root = self.run.root().display();
        let way_out = match self.saved {
            Some(Mark { step, .. }) => {
                format!(
                    "--resume --out {root} --half=false goes on from iteration {step} in 32 bits"
                )
            }
            None => "no checkpoint had been written yet: start a new run without --half".into(),
        };
        format!("{what}: with --half, the numbers of maps end at 65504; {way_out}")
    }

    /// Saves the last whole iteration after an error, if it is not saved yet and can be: with training's own statistics,
    /// because what estimates them anew may be what failed.
    pub(super) fn rescue(&mut self, hear: &mut Listener) -> Result<()> {
        let step = self.progress.step;
        let is_new = step > 0 && !self.is_saved();
        if !is_new || !self.trainer.is_between_iterations() {
            return Ok(());
        }
        match self.write(hear) {
            Ok(()) => Ok(()),
            Err(error) => hear(&TrainEvent::Notice(format!(
                "iteration {step} could not be saved: {error}"
            ))),
        }
    }

    /// Ends the reloading of the page after an error, whatever became of the rest.
    pub(super) fn end_page(&self, hear: &mut Listener) -> Result<()> {
        let root = self.run.root();
        if !self.config.train.html || !root.join(report::PAGE).exists() {
            return Ok(());
        }
        match report::write(root, false) {
            Ok(()) => Ok(()),
            Err(error) => hear(&TrainEvent::Notice(format!(
                "the page of the run still reloads: {error}"
            ))),
        }
    }
}
