//! Which buffer every value lives in, given from which step to which it is needed.
//!
//! Slots cannot be split or grown, so the largest values choose first: each takes the smallest slot that is idle
//! whenever the value is needed. Small values fill the gaps that large ones leave, and never hold a large slot that a
//! large value could have had.

/// Kept for reading after the last step.
pub(super) const KEPT: usize = usize::MAX;

/// Memory needed from one step to another, both included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    /// Bytes.
    pub bytes: u64,
    /// First step.
    pub start: usize,
    /// Last step, or [`KEPT`].
    pub end: usize,
}

impl Interval {
    fn overlaps(&self, other: &Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }
}

/// Slot of each interval, and bytes of each slot. What is kept has a slot of its own, so that other plans may share
/// the rest.
pub(super) fn assign(intervals: &[Interval]) -> (Vec<usize>, Vec<u64>) {
    let mut order: Vec<usize> = (0..intervals.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(intervals[i].bytes));
    let mut slots: Vec<(u64, Vec<Interval>)> = Vec::new();
    let mut assigned = vec![0; intervals.len()];
    for i in order {
        let wanted = intervals[i];
        let is_free = |(_, users): &(u64, Vec<Interval>)| {
            let in_the_way = |user: &Interval| user.end == KEPT || user.overlaps(&wanted);
            !users.iter().any(in_the_way)
        };
        // Slots were made in falling order of size, so the last one that is free fits best.
        let found = slots.iter().rposition(is_free);
        assigned[i] = match found.filter(|_| wanted.end != KEPT) {
            Some(slot) => {
                slots[slot].1.push(wanted);
                slot
            }
            None => {
                slots.push((wanted.bytes, vec![wanted]));
                slots.len() - 1
            }
        };
    }
    (
        assigned,
        slots.into_iter().map(|(bytes, _)| bytes).collect(),
    )
}

/// For each size wanted, which of the buffers there are it may take, each once: the smallest that is large enough, where
/// there is one. The largest chooses first.
pub(crate) fn reuse(have: &[u64], wanted: &[u64]) -> Vec<Option<usize>> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(wanted[i]));
    let mut unused: Vec<usize> = (0..have.len()).collect();
    unused.sort_by_key(|&i| std::cmp::Reverse(have[i]));
    let mut found = vec![None; wanted.len()];
    for i in order {
        let fits = unused.iter().rposition(|&at| have[at] >= wanted[i]);
        found[i] = fits.map(|at| unused.remove(at));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(bytes: u64, start: usize, end: usize) -> Interval {
        Interval { bytes, start, end }
    }

    #[test]
    fn small_values_do_not_hold_large_slots() {
        // A large value comes and goes, a small one then stays, and another large one follows.
        let intervals = [
            interval(1000, 0, 1),
            interval(8, 2, 9),
            interval(1000, 3, 4),
        ];
        let (assigned, slots) = assign(&intervals);
        assert_eq!(assigned[0], assigned[2]);
        assert_eq!(slots.iter().sum::<u64>(), 1008);
    }

    #[test]
    fn buffers_are_taken_once_and_by_who_fits_best() {
        assert_eq!(
            reuse(&[8, 64, 32], &[16, 40, 40, 1]),
            [Some(2), Some(1), None, Some(0)]
        );
        assert_eq!(reuse(&[], &[1]), [None]);
    }

    #[test]
    fn no_two_values_share_a_slot_at_one_step() {
        let mut intervals = Vec::new();
        for i in 0..200usize {
            let start = i * 7 % 90;
            let end = if i % 31 == 0 { KEPT } else { start + i % 13 };
            intervals.push(interval((i * i % 97 + 1) as u64 * 16, start, end));
        }
        let (assigned, slots) = assign(&intervals);
        for (i, a) in intervals.iter().enumerate() {
            assert!(slots[assigned[i]] >= a.bytes);
            for (j, b) in intervals.iter().enumerate().skip(i + 1) {
                let shares = assigned[i] == assigned[j];
                let clash = a.overlaps(b) || a.end == KEPT || b.end == KEPT;
                assert!(!(shares && clash), "{a:?} and {b:?}");
            }
        }
    }
}
