//! Worker threads that keep the device fed.
//!
//! Worker i of n makes every n-th batch and holds one finished ahead; the consumer visits them in turn. So batches
//! arrive in order, memory is bounded, and a slow worker delays nobody but its own batch.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use serde::{Deserialize, Serialize};

use super::batch::{Batch, Batcher};
use crate::{Error, Result};

/// Place of a batch in a training run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Epoch, from 0.
    pub epoch: u64,
    /// Batch of the epoch, from 0.
    pub batch: u64,
}

/// An endless stream of training batches.
#[derive(Debug)]
pub struct Loader {
    queues: Vec<Receiver<Result<Batch>>>,
    workers: Vec<JoinHandle<()>>,
    per_epoch: u64,
    /// Number of the next batch, over all epochs.
    next: u64,
}

impl Loader {
    /// Starts the workers at any place of a run: the batches are those an uninterrupted run would have seen.
    pub fn start(batcher: Arc<Batcher>, from: Position, threads: usize) -> Result<Self> {
        batcher.validate()?;
        let per_epoch = batcher.batches_per_epoch() as u64;
        let next = from.epoch * per_epoch + from.batch;
        let threads = threads.max(1);
        let mut queues = Vec::with_capacity(threads);
        let mut workers = Vec::with_capacity(threads);
        for worker in 0..threads as u64 {
            let (sender, queue) = bounded(1);
            let batcher = batcher.clone();
            let work = move || produce(&batcher, (next + worker..).step_by(threads), &sender);
            let thread = std::thread::Builder::new().name(format!("loader {worker}"));
            let handle = thread.spawn(work).map_err(|source| {
                Error::io("cannot start a thread for the data set at", ".", source)
            })?;
            queues.push(queue);
            workers.push(handle);
        }
        // Queues are visited by batch number; the first belongs to worker 0.
        queues.rotate_right((next % threads as u64) as usize);
        Ok(Self {
            queues,
            workers,
            per_epoch,
            next,
        })
    }

    /// Number of batches of an epoch.
    pub fn batches_per_epoch(&self) -> u64 {
        self.per_epoch
    }

    /// Place of the batch that comes next: what a checkpoint stores.
    pub fn position(&self) -> Position {
        Position {
            epoch: self.next / self.per_epoch,
            batch: self.next % self.per_epoch,
        }
    }

    /// Waits for the next batch.
    pub fn next_batch(&mut self) -> Result<(Position, Batch)> {
        let position = self.position();
        let queue = &self.queues[(self.next % self.queues.len() as u64) as usize];
        let stopped = || Error::Data("a loader thread stopped; an earlier error says why".into());
        let batch = queue.recv().map_err(|_| stopped())??;
        self.next += 1;
        Ok((position, batch))
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // A worker notices at its next send that nobody listens.
        self.queues.clear();
        for worker in self.workers.drain(..) {
            // A panic was reported when it happened, and the missing batch was an error.
            let _ = worker.join();
        }
    }
}

/// Makes the batches of one worker until somebody stops listening or one fails.
fn produce(batcher: &Batcher, numbers: impl Iterator<Item = u64>, queue: &Sender<Result<Batch>>) {
    let per_epoch = batcher.batches_per_epoch() as u64;
    let mut order: Option<(u64, Vec<usize>)> = None;
    for number in numbers {
        let epoch = number / per_epoch;
        let (_, order) = match order.take() {
            Some(known) if known.0 == epoch => order.insert(known),
            _ => order.insert((epoch, batcher.order(epoch))),
        };
        let batch = batcher.train(epoch, (number % per_epoch) as usize, order);
        let failed = batch.is_err();
        if queue.send(batch).is_err() || failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fixture::{write_grey, write_photo};
    use crate::data::{DataConfig, LabelSpace, Phase, Preprocess};
    use crate::windows::{Tier, WindowSpec, WindowView};

    fn batcher(dir: &std::path::Path) -> Arc<Batcher> {
        for i in 0..7u8 {
            let size = [20 + u32::from(i), 18];
            let labels: Vec<u8> = (0..size[0] * 18)
                .map(|p| (p / 7 + u32::from(i)) as u8 % 4)
                .collect();
            write_photo(&dir.join(format!("train_img/{i}.png")), size);
            write_grey(&dir.join(format!("train_label/{i}.png")), size, &labels);
            write_grey(&dir.join(format!("train_inst/{i}.png")), size, &labels);
        }
        let config = DataConfig {
            load_size: 20,
            crop_size: 16,
            ..DataConfig::of_dir(dir)
        };
        let space = LabelSpace::new(4, false, true);
        let spec = |tier| WindowSpec {
            h: 8,
            w: 8,
            k: 3,
            stride: 1,
            pad: 1,
            tier,
        };
        let mut batcher = Batcher::open(&config, Phase::Train, &space, [16, 16], 2, 11).unwrap();
        batcher.windows = vec![spec(Tier::Labels), spec(Tier::Of(0))];
        Arc::new(batcher)
    }

    fn take(
        batcher: &Arc<Batcher>,
        from: Position,
        threads: usize,
        count: usize,
    ) -> Vec<(Position, Batch)> {
        let mut loader = Loader::start(batcher.clone(), from, threads).unwrap();
        (0..count).map(|_| loader.next_batch().unwrap()).collect()
    }

    #[test]
    fn batches_do_not_depend_on_threads_or_on_where_a_run_resumes() {
        let dir = tempfile::tempdir().unwrap();
        let batcher = batcher(dir.path());
        let run = take(&batcher, Position::default(), 1, 8);
        assert_eq!(
            run[4].0,
            Position { epoch: 1, batch: 1 },
            "7 pictures fill 3 batches"
        );
        for threads in [2, 3] {
            assert!(
                take(&batcher, Position::default(), threads, 8) == run,
                "{threads} threads"
            );
            for start in [1, 4, 5] {
                let resumed = take(&batcher, run[start].0, threads, 8 - start);
                assert!(
                    resumed == run[start..],
                    "from {start} with {threads} threads"
                );
            }
        }
        let mut other = Batcher::clone(&batcher);
        other.seed = 12;
        assert!(take(&Arc::new(other), Position::default(), 1, 8) != run);
    }

    #[test]
    fn an_epoch_shows_each_picture_once_and_differs_from_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let batcher = batcher(dir.path());
        let run = take(&batcher, Position::default(), 2, 6);
        let names = |epoch: &[(Position, Batch)]| -> Vec<String> {
            epoch
                .iter()
                .flat_map(|(_, batch)| batch.names.clone())
                .collect()
        };
        let epochs = [names(&run[..3]), names(&run[3..])];
        for epoch in &epochs {
            let distinct: std::collections::BTreeSet<_> = epoch.iter().collect();
            assert_eq!(distinct.len(), 6, "{epoch:?}");
        }
        assert_ne!(epochs[0], epochs[1]);
    }

    #[test]
    fn serial_batches_come_in_the_order_of_names() {
        let dir = tempfile::tempdir().unwrap();
        let mut batcher = Batcher::clone(&batcher(dir.path()));
        batcher.shuffle = false;
        let run = take(&Arc::new(batcher), Position::default(), 2, 6);
        let names: Vec<_> = run.iter().flat_map(|(_, batch)| &batch.names).collect();
        assert_eq!(
            names,
            ["0", "1", "2", "3", "4", "5"]
                .repeat(2)
                .iter()
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_batch_agrees_with_itself() {
        let dir = tempfile::tempdir().unwrap();
        let (_, batch) = take(&batcher(dir.path()), Position::default(), 1, 1).remove(0);
        assert_eq!([batch.n, batch.h, batch.w], [2, 16, 16]);
        assert_eq!(batch.images.len(), 2 * 16 * 16 * 3);
        assert!(
            batch
                .images
                .iter()
                .all(|value| (-1.0..=1.0).contains(value))
        );
        assert_eq!(batch.edges.as_ref().map(Vec::len), Some(batch.labels.len()));
        let [first, second] = [0, 1].map(|i| WindowView::new(&batch.windows[i]));
        assert_eq!((first.pixels(), first.channels()), (2 * 8 * 8, 5));
        assert_eq!(second.channels(), first.windows());
        let small = batch.map.resize_floor(8, 8);
        for (pixel, &symbol) in small.ids.iter().enumerate() {
            // The middle of a window is its pixel, in both tiers.
            assert_eq!(first.window(first.ids()[pixel] as usize)[4], symbol);
            assert_eq!(
                second.window(second.ids()[pixel] as usize)[4],
                first.ids()[pixel]
            );
        }
    }

    #[test]
    fn evaluation_shows_whole_pictures_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let batch = batcher(dir.path()).eval(&[4, 0, 2]).unwrap();
        assert_eq!(batch.names, ["4", "0", "2"]);
        assert_eq!((batch.n, batch.labels.len()), (3, 3 * 16 * 16));
    }

    #[test]
    fn errors_reach_the_consumer() {
        let dir = tempfile::tempdir().unwrap();
        let batcher = batcher(dir.path());
        write_grey(
            &dir.path().join("train_label/3.png"),
            [23, 18],
            &[9; 23 * 18],
        );
        let mut loader = Loader::start(batcher.clone(), Position::default(), 2).unwrap();
        let error = (0..6)
            .find_map(|_| loader.next_batch().err())
            .unwrap()
            .to_string();
        assert!(error.contains("3.png: id 9 at pixel (0, 0)"), "{error}");

        let mut wide = Batcher::clone(&batcher);
        wide.geometry.preprocess = Preprocess::ScaleWidth;
        let error = wide.train(0, 0, &wide.order(0)).unwrap_err().to_string();
        assert!(error.contains("but the model makes 16x16"), "{error}");

        wide.batch_size = 8;
        let error = Loader::start(Arc::new(wide), Position::default(), 1).unwrap_err();
        assert!(
            error.to_string().contains("the data set has 7 pictures"),
            "{error}"
        );
    }
}
