//! Which indices of a map are free. The lowest free one is next, so that maps stay dense.

use std::{cmp::Reverse, collections::BinaryHeap};

/// Indices of one map.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    first: u32,
    capacity: u32,
    /// Nothing from here on has been taken.
    next: u32,
    freed: BinaryHeap<Reverse<u32>>,
}

impl Pool {
    /// All of `first..capacity` are free.
    pub(super) fn new(first: u32, capacity: u32) -> Self {
        Self { first, capacity, next: first, freed: BinaryHeap::new() }
    }

    /// All but `used` are free; `used` ascends.
    pub(super) fn without(first: u32, capacity: u32, used: impl IntoIterator<Item = u32>) -> Self {
        let mut pool = Self::new(first, capacity);
        for index in used {
            pool.freed.extend((pool.next..index).map(Reverse));
            pool.next = pool.next.max(index.saturating_add(1));
        }
        pool
    }

    pub(super) fn take(&mut self) -> Option<u32> {
        if let Some(Reverse(index)) = self.freed.pop() {
            return Some(index);
        }
        let index = self.next;
        (index < self.capacity).then(|| {
            self.next += 1;
            index
        })
    }

    pub(super) fn give_back(&mut self, index: u32) {
        self.freed.push(Reverse(index));
    }

    pub(super) fn free(&self) -> u32 {
        let freed = u32::try_from(self.freed.len()).unwrap_or(u32::MAX);
        self.capacity.saturating_sub(self.next).saturating_add(freed)
    }

    pub(super) fn used(&self) -> u32 {
        self.capacity.saturating_sub(self.first).saturating_sub(self.free())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_index_is_next() {
        let mut pool = Pool::without(1, 8, [2, 3, 6]);
        assert_eq!((pool.free(), pool.used()), (4, 3));
        assert_eq!([pool.take(), pool.take()], [Some(1), Some(4)]);
        pool.give_back(3);
        assert_eq!([pool.take(), pool.take(), pool.take()], [Some(3), Some(5), Some(7)]);
        assert_eq!((pool.take(), pool.free(), pool.used()), (None, 0, 7));
    }

    #[test]
    fn a_map_without_entries_gives_nothing() {
        let mut pool = Pool::new(1, 0);
        assert_eq!((pool.take(), pool.free(), pool.used()), (None, 0, 0));
    }
}
