//! How long something takes: median and best of as many runs as there is patience for.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Result;

/// Times of several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Timing {
    /// Of an even number of runs the slower one in the middle.
    pub median_ms: f64,
    /// The shortest.
    pub best_ms: f64,
    /// How many there were.
    pub runs: usize,
}

impl Timing {
    /// Of times in seconds; none without any.
    pub fn of(seconds: &[f64]) -> Option<Self> {
        let median = median(seconds)?;
        Some(Self {
            median_ms: median * 1e3,
            best_ms: seconds.iter().copied().fold(f64::MAX, f64::min) * 1e3,
            runs: seconds.len(),
        })
    }

    /// The median in seconds.
    pub fn seconds(&self) -> f64 {
        self.median_ms * 1e-3
    }
}

/// The value in the middle, of an even number the greater one.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// How long a measurement lasts.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A new round begins until this has passed.
    pub time: Duration,
    /// Rounds there are in any case.
    pub fewest: usize,
}

impl Patience {
    /// So many seconds, and three rounds in any case.
    pub fn seconds(seconds: f64) -> Self {
        Self {
            time: Duration::from_secs_f64(seconds),
            fewest: 3,
        }
    }

    /// Does rounds of something until time is up.
    ///
    /// # Errors
    /// That of the first round that fails.
    pub fn rounds(&self, mut round: impl FnMut(usize) -> Result<()>) -> Result<()> {
        let start = Instant::now();
        let mut done = 0;
        while done < self.fewest || start.elapsed() < self.time {
            round(done)?;
            done += 1;
        }
        Ok(())
    }
}

/// Seconds that something takes.
///
/// # Errors
/// Its own.
pub fn seconds(run: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let timing = Timing::of(&[0.5, 0.25, 0.125, 4.0]).unwrap();
        assert_eq!(
            (timing.median_ms, timing.best_ms, timing.runs),
            (500.0, 125.0, 4)
        );
        assert_eq!(Timing::of(&[]), None);
    }

    #[test]
    fn the_fewest_rounds_take_place_however_long_they_last() {
        let mut rounds = Vec::new();
        let patience = Patience::seconds(0.0);
        let done = patience.rounds(|round| {
            rounds.push(round);
            Ok(())
        });
        assert!(done.is_ok());
        assert_eq!(rounds, [0, 1, 2]);
    }
}
