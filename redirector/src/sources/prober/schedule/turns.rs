//! Which of the probes that are due is next: owner after owner, and of one owner the urgent ones
//! first, then as they became due.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use redirector_core::service::BackendRef;
use tokio::time::Instant;

use super::places::Owner;

/// Since when a backend waits for its place. The order is that within an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    pub is_routine: bool,
    pub since: Instant,
    pub backend: BackendRef,
}

/// A backend of several owners stands in the queue of each.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queues: BTreeMap<Owner, BTreeSet<Due>>,
    /// The owner that had the last turn.
    last: Option<Owner>,
}

impl Turns {
    pub fn add(&mut self, owner: &Owner, due: Due) {
        self.queues.entry(Arc::clone(owner)).or_default().insert(due);
    }

    pub fn remove(&mut self, owner: &Owner, due: &Due) {
        if let Some(queue) = self.queues.get_mut(owner) {
            queue.remove(due);
            if queue.is_empty() {
                self.queues.remove(owner);
            }
        }
    }

    /// The next owner that has room, and its first backend. That was the owner's turn; the backend
    /// stays in its queues.
    pub fn next(&mut self, has_room: impl Fn(&Owner) -> bool) -> Option<(Owner, Due)> {
        let after = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.queues.range::<Owner, _>((after, Bound::Unbounded));
        let (owner, queue) = later
            .chain(&self.queues)
            .find(|(owner, queue)| !queue.is_empty() && has_room(owner))?;
        let next = (Arc::clone(owner), *queue.first()?);
        self.last = Some(Arc::clone(owner));
        Some(next)
    }
}
