//! Which Events are written next, and which of them not before a time. Pure.

use std::collections::BTreeMap;

use redirector_core::Moment;

use super::Key;

/// Keys by when they are due; those that are due at the same time in the order of their coming.
#[derive(Debug, Default)]
pub(super) struct Queue {
    keys: BTreeMap<(Moment, u64), Key>,
    /// How many have come.
    number: u64,
}

impl Queue {
    /// It is to be written then; the caller knows that it is not here already.
    pub(super) fn push(&mut self, due: Moment, key: Key) {
        self.number += 1;
        self.keys.insert((due, self.number), key);
    }

    /// When the first is due.
    pub(super) fn first_due(&self) -> Option<Moment> {
        self.keys.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes the first, if it is due.
    pub(super) fn pop(&mut self, now: Moment) -> Option<Key> {
        let first = self.keys.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
    }
}
