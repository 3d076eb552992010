//! Free space of the arena, in lines of 4 slots. Best fit; neighbours that are free are one run.

use std::collections::{BTreeMap, BTreeSet};

use redirector_common::SLOTS_PER_LINE;

/// Free runs, each known by where it begins and by how long it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Arena {
    lengths: BTreeMap<u32, u32>,
    by_length: BTreeSet<(u32, u32)>,
    free: u32,
    lines: u32,
}

impl Arena {
    /// Everything is free, but the first line: slot 0 means "nothing published".
    pub(super) fn new(slots: u32) -> Self {
        let lines = slots / SLOTS_PER_LINE;
        let mut arena = Self { lines, ..Self::default() };
        if lines > 1 {
            arena.insert(1, lines - 1);
        }
        arena
    }

    /// Everything but `used` is free: (slot, slots) of regions that ascend and do not overlap.
    pub(super) fn without(slots: u32, used: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut arena = Self { lines: slots / SLOTS_PER_LINE, ..Self::default() };
        let mut next = 1;
        for (slot, length) in used {
            let first = slot / SLOTS_PER_LINE;
            if first > next {
                arena.insert(next, first - next);
            }
            next = first + lines(length);
        }
        if next < arena.lines {
            arena.insert(next, arena.lines - next);
        }
        arena
    }

    /// Takes a run that holds `slots`; returns its first slot.
    pub(super) fn take(&mut self, slots: u32) -> Option<u32> {
        let wanted = lines(slots);
        let (length, first) = *self.by_length.range((wanted, 0)..).next()?;
        self.remove(first, length);
        if length > wanted {
            self.insert(first + wanted, length - wanted);
        }
        Some(first * SLOTS_PER_LINE)
    }

    /// Frees the run that [`take`](Self::take) returned for as many `slots`.
    pub(super) fn give_back(&mut self, slot: u32, slots: u32) {
        let (mut first, mut length) = (slot / SLOTS_PER_LINE, lines(slots));
        if let Some((&before, &its)) = self.lengths.range(..first).next_back()
            && before + its == first
        {
            self.remove(before, its);
            (first, length) = (before, length + its);
        }
        if let Some(&its) = self.lengths.get(&(first + length)) {
            self.remove(first + length, its);
            length += its;
        }
        self.insert(first, length);
    }

    /// Free slots, in however many pieces.
    pub(super) fn free(&self) -> u32 {
        self.free * SLOTS_PER_LINE
    }

    /// Slots in use.
    pub(super) fn used(&self) -> u32 {
        self.lines.saturating_sub(1).saturating_sub(self.free) * SLOTS_PER_LINE
    }

    fn insert(&mut self, first: u32, length: u32) {
        self.lengths.insert(first, length);
        self.by_length.insert((length, first));
        self.free += length;
    }

    fn remove(&mut self, first: u32, length: u32) {
        self.lengths.remove(&first);
        self.by_length.remove(&(length, first));
        self.free -= length;
    }
}

/// Lines that hold so many slots.
fn lines(slots: u32) -> u32 {
    slots.div_ceil(SLOTS_PER_LINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_are_free_become_one_run() {
        let mut arena = Arena::new(10 * SLOTS_PER_LINE);
        let taken = [3, 5, 12].map(|slots| arena.take(slots).expect("there is room"));
        assert_eq!(taken, [4, 8, 16]);
        assert_eq!((arena.used(), arena.free()), (24, 12));
        arena.give_back(4, 3);
        arena.give_back(16, 12);
        assert_eq!(arena.take(36), None, "8 to 16 are in use");
        arena.give_back(8, 5);
        assert_eq!(arena.take(36), Some(4));
        assert_eq!((arena.take(1), arena.free()), (None, 0));
    }

    #[test]
    fn the_run_that_fits_best_is_taken() {
        let used = [(4, 4), (16, 8), (28, 1)];
        let mut arena = Arena::without(80, used);
        assert_eq!(arena.free(), 80 - 4 - 16);
        assert_eq!(arena.take(4), Some(24), "one line between two regions");
        assert_eq!(arena.take(8), Some(8), "two lines between two regions");
        assert_eq!(arena.take(48), Some(32), "the rest");
    }

    #[test]
    fn the_first_line_is_never_used() {
        for slots in 0..8 {
            assert_eq!(Arena::new(slots).take(1), None);
        }
        assert_eq!(Arena::new(8).take(1), Some(4));
    }
}
