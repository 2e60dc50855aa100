//! Methods of one convolution, timed in turns, so that other work on the machine slows all alike.

use serde::Serialize;

use crate::Result;
use crate::ops::winograd::{Convolution, Method};

/// Times of each method that count. One before them warms up: it compiles.
const ROUNDS: usize = 5;
/// A method must be so many times faster than the rule's to take its place: two runs of one method may differ by less.
const LEAST_GAIN: f64 = 1.05;

/// A method, and what times it.
pub struct Lane<'a> {
    method: Method,
    time: Box<dyn FnMut() -> Result<f64> + 'a>,
    /// The shortest time. Whatever disturbs a measurement makes it longer.
    best: f64,
}

impl<'a> Lane<'a> {
    /// `time` tells the seconds of one application.
    pub fn new(method: Method, time: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self {
            method,
            time: Box::new(time),
            best: f64::INFINITY,
        }
    }
}

/// A convolution, and the methods that fit it.
pub struct Race<'a> {
    convolution: Convolution,
    rule: Method,
    lanes: Vec<Lane<'a>>,
    turns: usize,
}

/// What came of a race.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// The convolution.
    #[serde(flatten)]
    pub convolution: Convolution,
    /// Its method by the rule.
    pub rule: Method,
    /// Its method from now on: the rule's, unless another is clearly faster.
    pub best: Method,
    /// Seconds of each method.
    pub seconds: Vec<(Method, f64)>,
}

impl Measured {
    /// How many times faster the best is than the rule's; unknown where that could not be measured.
    pub fn gain(&self) -> Option<f64> {
        Some(self.seconds_of(self.rule)? / self.seconds_of(self.best)?)
    }

    /// Seconds of a method.
    pub fn seconds_of(&self, method: Method) -> Option<f64> {
        let mut found = self.seconds.iter().filter(|(of, _)| *of == method);
        found.next().map(|&(_, seconds)| seconds)
    }
}

impl<'a> Race<'a> {
    /// Between methods that fit.
    pub fn new(convolution: Convolution, rule: Method, lanes: Vec<Lane<'a>>) -> Self {
        Self {
            convolution,
            rule,
            lanes,
            turns: 0,
        }
    }

    fn is_over(&self) -> bool {
        self.turns >= (ROUNDS + 1) * self.lanes.len()
    }

    /// Times the method whose turn it is.
    ///
    /// # Errors
    /// Those of what is timed.
    pub fn turn(&mut self) -> Result<()> {
        if self.is_over() {
            return Ok(());
        }
        let count = self.lanes.len();
        let lane = &mut self.lanes[self.turns % count];
        let seconds = (lane.time)()?;
        if self.turns >= count {
            lane.best = lane.best.min(seconds);
        }
        self.turns += 1;
        Ok(())
    }

    /// The result, once every method has had all its turns.
    pub fn result(&self) -> Option<Measured> {
        if !self.is_over() {
            return None;
        }
        let lanes = self.lanes.iter();
        let seconds: Vec<(Method, f64)> = lanes.map(|lane| (lane.method, lane.best)).collect();
        let mut measured = Measured {
            convolution: self.convolution,
            rule: self.rule,
            best: self.rule,
            seconds,
        };
        let fastest = measured.seconds.iter().min_by(|a, b| a.1.total_cmp(&b.1));
        if let Some(&(method, seconds)) = fastest {
            let limit = measured.seconds_of(self.rule).unwrap_or(f64::INFINITY);
            if seconds * LEAST_GAIN < limit {
                measured.best = method;
            }
        }
        Some(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::ops::winograd::Pass;
    use std::cell::RefCell;

    fn convolution() -> Convolution {
        Convolution {
            pass: Pass::Forward,
            map: [1, 8, 8],
            channels: [4, 4],
        }
    }

    /// Runs a race whose methods take these milliseconds at each turn, and then the last of them.
    fn run(rule: Method, times: &[(Method, &[f64])]) -> Measured {
        let lane = |&(method, times): &(Method, &[f64])| {
            let mut times = times.to_vec();
            Lane::new(method, move || {
                Ok(1e-3
                    * match times.len() {
                        1 => times[0],
                        _ => times.remove(0),
                    })
            })
        };
        let lanes = times.iter().map(lane).collect();
        let mut race = Race::new(convolution(), rule, lanes);
        while race.result().is_none() {
            race.turn().unwrap();
        }
        race.result().unwrap()
    }

    use Method::{Plain, TilesOfFour, TilesOfTwo};

    #[test]
    fn the_fastest_takes_the_place_of_the_rules_where_it_is_clearly_faster() {
        for (rule, times, best, gain) in [
            (Plain, [2.0, 1.0, 3.0], TilesOfTwo, 2.0),
            (TilesOfFour, [2.0, 1.0, 3.0], TilesOfTwo, 3.0),
            (TilesOfTwo, [2.0, 1.0, 3.0], TilesOfTwo, 1.0),
            // Four in a hundred are noise, six are not.
            (Plain, [1.04, 1.0, 3.0], Plain, 1.0),
            (Plain, [1.06, 1.0, 3.0], TilesOfTwo, 1.06),
        ] {
            let [plain, two, four] = times.map(|time| [time]);
            let measured = run(
                rule,
                &[(Plain, &plain), (TilesOfTwo, &two), (TilesOfFour, &four)],
            );
            assert_eq!(measured.best, best, "{measured:?}");
            assert!((measured.gain().unwrap() - gain).abs() < 1e-9);
        }
    }

    #[test]
    fn the_first_time_compiles_and_the_shortest_of_the_others_counts() {
        // A first time that is too short, as of nothing done, does not count either.
        let measured = run(
            Plain,
            &[
                (Plain, &[0.1, 5.0, 2.0, 9.0, 5.0]),
                (TilesOfTwo, &[900.0, 7.0, 7.0, 7.0, 1.0, 7.0]),
            ],
        );
        assert_eq!(measured.seconds_of(Plain), Some(2e-3));
        assert_eq!(measured.seconds_of(TilesOfTwo), Some(1e-3));
        assert_eq!(measured.seconds_of(TilesOfFour), None);
        assert_eq!(measured.best, TilesOfTwo);
    }

    #[test]
    fn methods_take_turns_and_an_error_ends_the_race() {
        let order = RefCell::new(Vec::new());
        let lane = |method, fails_at: usize| {
            let order = &order;
            Lane::new(method, move || {
                order.borrow_mut().push(method);
                match order.borrow().len() < fails_at {
                    true => Ok(1.0),
                    false => Err(Error::Device("lost".into())),
                }
            })
        };
        let lanes = vec![lane(Plain, 5), lane(TilesOfTwo, 5)];
        let mut race = Race::new(convolution(), Plain, lanes);
        let mut turns = 0;
        while race.turn().is_ok() {
            turns += 1;
        }
        assert_eq!(turns, 4);
        assert!(race.result().is_none());
        let expected = [Plain, TilesOfTwo, Plain, TilesOfTwo, Plain];
        assert_eq!(*order.borrow(), expected);
    }

    #[test]
    fn a_method_alone_stays() {
        assert_eq!(run(Plain, &[(Plain, &[3.0])]).best, Plain);
        // Had the rule's no room on the device, one that has takes its place.
        let measured = run(TilesOfFour, &[(Plain, &[3.0])]);
        assert_eq!((measured.best, measured.gain()), (Plain, None));
    }
}
