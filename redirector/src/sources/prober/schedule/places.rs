//! How many probes may be under way, and at whose expense.
//!
//! A black hole holds a place for its whole timeout, and a tenant can have as many black holes as
//! it likes. The rules:
//!
//! 1. One place in eight is kept for urgent probes.
//! 2. At most half of all places are held by probes of backends that fail.
//! 3. An owner takes another place only while it holds fewer than are free: one that wants all gets
//!    half, two get a third each, and an owner that comes later finds one free. The same holds
//!    among the places of those that fail, and among the urgent ones. A sole owner may have all.

use std::{collections::BTreeMap, sync::Arc};

/// A namespace.
pub(super) type Owner = Arc<str>;

/// One place in so many is kept for urgent probes.
const URGENT_SHARE: usize = 8;

/// The places that are free, and the owners that hold the others.
#[derive(Debug)]
pub(super) struct Places {
    /// By [`Kind`]. The pool of those that fail says how many of the ordinary places they may hold.
    pools: [Pool; 3],
}

/// A place that is held. It must be [given back](Places::give_back).
#[derive(Debug)]
pub(super) struct Place {
    pub owner: Owner,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A place for a backend that does not fail, as far as is known.
    Ordinary,
    /// A place for a backend that fails.
    Failing,
    /// One of the places that are kept for urgent probes.
    Urgent,
}

#[derive(Debug)]
struct Pool {
    free: usize,
    /// Places held, by owners that hold any.
    held: BTreeMap<Owner, usize>,
}

impl Kind {
    /// The pools from which a place of this kind is taken.
    fn pools(self) -> &'static [Self] {
        match self {
            Self::Ordinary => &[Self::Ordinary],
            Self::Failing => &[Self::Ordinary, Self::Failing],
            Self::Urgent => &[Self::Urgent],
        }
    }
}

impl Places {
    /// `at_once` places in all, at least one.
    pub fn new(at_once: usize) -> Self {
        let at_once = at_once.max(1);
        let urgent = at_once / URGENT_SHARE;
        let failing = (at_once / 2 - urgent).max(1);
        Self { pools: [at_once - urgent, failing, urgent].map(Pool::new) }
    }

    /// Whether any place of that kind is free.
    pub fn is_any_free(&self, kind: Kind) -> bool {
        kind.pools().iter().all(|pool| self.pools[*pool as usize].free > 0)
    }

    /// Whether an owner may take a place.
    pub fn has_room(&self, kind: Kind, owner: &Owner, is_sole: bool) -> bool {
        kind.pools().iter().all(|pool| self.pools[*pool as usize].has_room(owner, is_sole))
    }

    /// Takes a place; to be asked for only where there [is room](Self::has_room).
    pub fn take(&mut self, kind: Kind, owner: &Owner) -> Place {
        for pool in kind.pools() {
            self.pools[*pool as usize].take(owner);
        }
        Place { owner: Arc::clone(owner), kind }
    }

    pub fn give_back(&mut self, place: Place) {
        let Place { owner, kind } = place;
        for pool in kind.pools() {
            self.pools[*pool as usize].give_back(&owner);
        }
    }
}

impl Pool {
    fn new(free: usize) -> Self {
        Self { free, held: BTreeMap::new() }
    }

    fn has_room(&self, owner: &Owner, is_sole: bool) -> bool {
        let held = self.held.get(owner).copied().unwrap_or_default();
        self.free > 0 && (is_sole || held < self.free)
    }

    fn take(&mut self, owner: &Owner) {
        self.free -= 1;
        *self.held.entry(Arc::clone(owner)).or_default() += 1;
    }

    fn give_back(&mut self, owner: &Owner) {
        self.free += 1;
        if let Some(held) = self.held.get_mut(owner) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(owner);
            }
        }
    }
}
