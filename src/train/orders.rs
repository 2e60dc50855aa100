//! Orders to a run in progress, taken between iterations: pause, single steps, save now, stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, unbounded};

/// What a person may want of a run in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Does nothing more until told to.
    Pause,
    /// Goes on after a pause.
    Resume,
    /// Does one iteration, then pauses.
    Step,
    /// Writes a checkpoint now.
    Save,
    /// Saves and ends.
    Stop,
}

/// What a run does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Iterate,
    Save,
    Stop,
}

/// The run's end of the orders. Without anyone who holds the other end it runs freely.
#[derive(Debug, Default)]
pub(super) struct Orders {
    taker: Option<Receiver<Order>>,
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

    /// Says what to do next; while paused, waits for an order or for `stop`.
    pub(super) fn next(&mut self, stop: &AtomicBool) -> Next {
        let Some(taker) = &self.taker else {
            return Next::Iterate;
        };
        loop {
            let order = match self.paused {
                false => match taker.try_recv() {
                    Ok(order) => order,
                    Err(TryRecvError::Empty) => return Next::Iterate,
                    Err(TryRecvError::Disconnected) => Order::Stop,
                },
                true => match taker.recv_timeout(GLANCE) {
                    Ok(order) => order,
                    Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => Order::Stop,
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => Order::Stop,
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
        assert_eq!(orders.next(&stop), Next::Iterate);
        let giver = orders.giver();
        assert_eq!(orders.next(&stop), Next::Iterate);
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
        assert_eq!(
            next,
            [
                Next::Iterate,
                Next::Save,
                Next::Iterate,
                Next::Iterate,
                Next::Iterate
            ]
        );
        giver.send(Order::Stop).unwrap();
        assert_eq!(orders.next(&stop), Next::Stop);
    }

    #[test]
    fn a_pause_ends_with_the_flag_or_with_who_ordered_it() {
        let stop = AtomicBool::new(false);
        let mut orders = Orders::default();
        let giver = orders.giver();
        giver.send(Order::Pause).unwrap();
        drop(giver);
        assert_eq!(orders.next(&stop), Next::Stop);
        let giver = orders.giver();
        giver.send(Order::Pause).unwrap();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(orders.next(&stop), Next::Stop);
    }
}
