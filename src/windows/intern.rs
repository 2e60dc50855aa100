//! Numbers for tuples, in order of first occurrence.

/// No tuple: an unused slot.
const EMPTY: u32 = u32::MAX;

/// An open-addressing table from tuples to consecutive numbers that compares whole tuples.
pub(super) struct Interner<const K: usize> {
    keys: Vec<[u32; K]>,
    /// A power of two, at most half full.
    slots: Vec<u32>,
    last: u32,
}

impl<const K: usize> Interner<K> {
    pub(super) fn new() -> Self {
        Self {
            keys: Vec::new(),
            slots: vec![EMPTY; 1024],
            last: EMPTY,
        }
    }

    /// The tuples, by number.
    pub(super) fn keys(&self) -> &[[u32; K]] {
        &self.keys
    }

    /// The tuple's number; a new tuple gets the next one.
    #[inline]
    pub(super) fn number(&mut self, key: [u32; K]) -> u32 {
        // Label maps are flat: most tuples equal the one before.
        if self.last != EMPTY && self.keys[self.last as usize] == key {
            return self.last;
        }
        let slot = self.find(&key);
        if self.slots[slot] == EMPTY {
            self.slots[slot] = self.keys.len() as u32;
            self.keys.push(key);
        }
        self.last = self.slots[slot];
        if self.keys.len() * 2 > self.slots.len() {
            self.grow();
        }
        self.last
    }

    /// The slot that holds the tuple, or the empty one where it belongs.
    #[inline]
    fn find(&self, key: &[u32; K]) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = (hash(key) >> 32) as usize & mask;
        loop {
            let number = self.slots[slot];
            if number == EMPTY || self.keys[number as usize] == *key {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        self.slots = vec![EMPTY; self.slots.len() * 4];
        for number in 0..self.keys.len() {
            let slot = self.find(&self.keys[number]);
            self.slots[slot] = number as u32;
        }
    }
}

/// Multiply and fold per symbol; the upper half is used, where the product mixes best.
#[inline]
fn hash(key: &[u32]) -> u64 {
    // 2^64 divided by the golden ratio, made odd.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = key.iter().fold(0u64, |state, &symbol| {
        (state.rotate_left(23) ^ u64::from(symbol)).wrapping_mul(FACTOR)
    });
    (mixed ^ (mixed >> 29)).wrapping_mul(FACTOR)
}
