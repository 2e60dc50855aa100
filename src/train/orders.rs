//! Orders to a run in progress, taken between iterations: pause, single steps, save now, stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, never, select, unbounded};

use super::knob::Knob;
use super::sketch::Sketch;

/// What a person may want of a run in progress.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// Does nothing more until told to.
    Pause,
    /// Goes on after a pause.
    Resume,
    /// Does one iteration, then pauses.
    Step,
    /// Writes a checkpoint now.
    Save,
    /// Changes a setting, from the next iteration on.
    Tune(Knob, f64),
    /// Saves and ends.
    Stop,
}

/// What a run does next.
#[derive(Debug)]
pub(super) enum Next {
    Iterate,
    Save,
    Tune(Knob, f64),
    Draw(Sketch),
    Stop,
}

/// The run's end of the orders. Without anyone who holds the other end it runs freely.
#[derive(Debug, Default)]
pub(super) struct Orders {
    taker: Option<Receiver<Order>>,
    sketches: Option<Receiver<Sketch>>,
    /// Whether a picture was drawn since the last iteration: training goes before the next one.
    has_drawn: bool,
    paused: bool,
}

/// Time after which a pause looks at the stop flag.
const GLANCE: Duration = Duration::from_millis(100);

impl Orders {
    /// The other end. Once it is dropped, the run stops.
    pub(super) fn giver(&mut self) -> Sender<Order> {
        let (giver, taker) = unbounded();
        self.taker = Some(taker);
        giver
    }

    /// Takes wishes for pictures from now on.
    pub(super) fn take_sketches(&mut self) -> Sender<Sketch> {
        let (giver, taker) = unbounded();
        self.sketches = Some(taker);
        giver
    }

    /// Says what to do next; while paused, waits for an order or for `stop`.
    pub(super) fn next(&mut self, stop: &AtomicBool) -> Next {
        let Some(taker) = &self.taker else {
            return Next::Iterate;
        };
        let nobody = never();
        loop {
            let sketches = self.sketches.as_ref().unwrap_or(&nobody);
            let order = match self.paused {
                false => match taker.try_recv() {
                    Ok(order) => order,
                    Err(TryRecvError::Empty) if std::mem::take(&mut self.has_drawn) => {
                        return Next::Iterate;
                    }
                    Err(TryRecvError::Empty) => match sketches.try_recv() {
                        Ok(sketch) => {
                            self.has_drawn = true;
                            return Next::Draw(sketch);
                        }
                        Err(_) => return Next::Iterate,
                    },
                    Err(TryRecvError::Disconnected) => Order::Stop,
                },
                true => select! {
                    recv(taker) -> order => order.unwrap_or(Order::Stop),
                    recv(sketches) -> sketch => match sketch {
                        Ok(sketch) => return Next::Draw(sketch),
                        // Nobody draws any more.
                        Err(_) => {
                            self.sketches = None;
                            continue;
                        }
                    },
                    default(GLANCE) => match stop.load(Ordering::Relaxed) {
                        true => Order::Stop,
                        false => continue,
                    },
                },
            };
            match order {
                Order::Pause => self.paused = true,
                Order::Resume => self.paused = false,
                Order::Step => {
                    self.paused = true;
                    return Next::Iterate;
                }
                Order::Save => return Next::Save,
                Order::Tune(knob, value) => return Next::Tune(knob, value),
                Order::Stop => return Next::Stop,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_taken_one_after_another() {
        let stop = AtomicBool::new(false);
        let mut orders = Orders::default();
        assert!(matches!(orders.next(&stop), Next::Iterate));
        let giver = orders.giver();
        assert!(matches!(orders.next(&stop), Next::Iterate));
        for order in [
            Order::Pause,
            Order::Step,
            Order::Save,
            Order::Step,
            Order::Resume,
        ] {
            giver.send(order).unwrap();
        }
        let next: [Next; 5] = std::array::from_fn(|_| orders.next(&stop));
        assert!(
            matches!(
                next,
                [
                    Next::Iterate,
                    Next::Save,
                    Next::Iterate,
                    Next::Iterate,
                    Next::Iterate
                ]
            ),
            "{next:?}"
        );
        giver.send(Order::Stop).unwrap();
        assert!(matches!(orders.next(&stop), Next::Stop));
    }

    fn style() -> Sketch {
        Sketch::Style {
            photo: Vec::new(),
            reply: crossbeam_channel::bounded(1).0,
        }
    }

    #[test]
    fn training_goes_between_two_pictures_and_a_pause_draws() {
        let stop = AtomicBool::new(false);
        let mut orders = Orders::default();
        let (giver, sketches) = (orders.giver(), orders.take_sketches());
        for _ in 0..4 {
            sketches.send(style()).unwrap();
        }
        for _ in 0..2 {
            assert!(matches!(orders.next(&stop), Next::Draw(_)));
            assert!(matches!(orders.next(&stop), Next::Iterate));
        }
        giver.send(Order::Pause).unwrap();
        for _ in 0..2 {
            assert!(matches!(orders.next(&stop), Next::Draw(_)));
        }
        drop(sketches);
        giver.send(Order::Stop).unwrap();
        assert!(matches!(orders.next(&stop), Next::Stop));
    }

    #[test]
    fn a_pause_ends_with_the_flag_or_with_who_ordered_it() {
        let stop = AtomicBool::new(false);
        let mut orders = Orders::default();
        let giver = orders.giver();
        giver.send(Order::Pause).unwrap();
        drop(giver);
        assert!(matches!(orders.next(&stop), Next::Stop));
        let giver = orders.giver();
        giver.send(Order::Pause).unwrap();
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(orders.next(&stop), Next::Stop));
    }
}
