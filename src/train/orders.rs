//! Orders to a run in progress, taken between iterations: pause, single steps, save now, stop.

use std::collections::VecDeque;
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
    /// Orders that were heard and not followed yet.
    heard: VecDeque<Order>,
    is_stopping: bool,
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
    pub(super) fn draw_for(&mut self, wanted: Receiver<Sketch>) {
        self.sketches = Some(wanted);
    }

    /// Forgets that an earlier training of the same session was stopped.
    pub(super) fn begin(&mut self) {
        self.is_stopping = false;
    }

    /// Whether the run is to end, now or after orders that came before: long work gives way.
    pub(super) fn wants_stop(&mut self) -> bool {
        self.listen();
        self.is_stopping || self.heard.contains(&Order::Stop)
    }

    /// Hears what was ordered, up to the end of the run.
    fn listen(&mut self) {
        while self.heard.back() != Some(&Order::Stop) {
            let order = match self.taker.as_ref().map(Receiver::try_recv) {
                Some(Ok(order)) => order,
                Some(Err(TryRecvError::Disconnected)) => Order::Stop,
                Some(Err(TryRecvError::Empty)) | None => return,
            };
            self.heard.push_back(order);
        }
    }

    /// Says what to do next; while paused, waits for an order or for `stop`.
    pub(super) fn next(&mut self, stop: &AtomicBool) -> Next {
        loop {
            self.listen();
            match self.heard.pop_front() {
                None if self.paused => {
                    if let Some(next) = self.wait(stop) {
                        return next;
                    }
                }
                None => return self.proceed(),
                Some(Order::Pause) => self.paused = true,
                Some(Order::Resume) => self.paused = false,
                Some(Order::Step) => {
                    self.paused = true;
                    return Next::Iterate;
                }
                Some(Order::Save) => return Next::Save,
                Some(Order::Tune(knob, value)) => return Next::Tune(knob, value),
                Some(Order::Stop) => {
                    self.is_stopping = true;
                    return Next::Stop;
                }
            }
        }
    }

    /// Iterates, or draws what is wanted if nothing was drawn since the last iteration.
    fn proceed(&mut self) -> Next {
        if std::mem::take(&mut self.has_drawn) {
            return Next::Iterate;
        }
        match self.sketches.as_ref().map(Receiver::try_recv) {
            Some(Ok(sketch)) => {
                self.has_drawn = true;
                Next::Draw(sketch)
            }
            Some(Err(_)) | None => Next::Iterate,
        }
    }

    /// Waits a little for an order, which is heard, or for something else to do.
    fn wait(&mut self, stop: &AtomicBool) -> Option<Next> {
        let (no_orders, no_sketches) = (never(), never());
        let orders = self.taker.as_ref().unwrap_or(&no_orders);
        let sketches = self.sketches.as_ref().unwrap_or(&no_sketches);
        select! {
            recv(orders) -> order => {
                self.heard.push_back(order.unwrap_or(Order::Stop));
            }
            recv(sketches) -> sketch => match sketch {
                Ok(sketch) => return Some(Next::Draw(sketch)),
                // Nobody draws any more.
                Err(_) => self.sketches = None,
            },
            default(GLANCE) => return stop.load(Ordering::Relaxed).then_some(Next::Stop),
        }
        None
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
        let (giver, (sketches, wanted)) = (orders.giver(), unbounded());
        orders.draw_for(wanted);
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
    fn pictures_are_drawn_without_anyone_who_orders() {
        let stop = AtomicBool::new(false);
        let mut orders = Orders::default();
        let (sketches, wanted) = unbounded();
        orders.draw_for(wanted);
        sketches.send(style()).unwrap();
        assert!(matches!(orders.next(&stop), Next::Draw(_)));
        assert!(matches!(orders.next(&stop), Next::Iterate));
        drop(sketches);
        assert!(matches!(orders.next(&stop), Next::Iterate));
    }

    #[test]
    fn the_end_is_heard_before_its_turn_and_orders_keep_theirs() {
        let stop = AtomicBool::new(false);
        let mut orders = Orders::default();
        let giver = orders.giver();
        giver.send(Order::Save).unwrap();
        assert!(!orders.wants_stop());
        giver.send(Order::Save).unwrap();
        giver.send(Order::Stop).unwrap();
        assert!(orders.wants_stop());
        for _ in 0..2 {
            assert!(matches!(orders.next(&stop), Next::Save));
        }
        assert!(matches!(orders.next(&stop), Next::Stop));
        assert!(orders.wants_stop(), "while the run ends");
        orders.begin();
        assert!(!orders.wants_stop());
        assert!(matches!(orders.next(&stop), Next::Iterate));
        drop(giver);
        assert!(orders.wants_stop(), "nobody is left to order anything");
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
