//! What a watch has done, for metrics and for people.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use crate::client::{ErrorKind, lock};

/// What a watch is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It has asked for nothing yet.
    #[default]
    Starting,
    /// It reads a list.
    Listing,
    /// It asks for a watch.
    Connecting,
    /// It hears changes.
    Watching,
    /// It waits before it tries again.
    Waiting,
    /// The server does not know this kind (404 for the whole collection); it waits and asks again.
    Missing,
    /// The receiver of its batches is gone.
    Stopped,
}

/// What one watch has done so far.
#[derive(Debug, Default)]
pub struct Stats(Mutex<Snapshot>);

/// [`Stats`] at one time. Each counter only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What the watch is doing.
    pub state: State,
    /// Lists asked for, complete or not; their pages are not counted.
    pub lists: u64,
    /// Watches asked for.
    pub watches: u64,
    /// Events heard, bookmarks included.
    pub events: u64,
    /// Events that were no news: duplicates, older versions, removals of the unknown.
    pub ignored: u64,
    /// Versions of objects that could not be decoded.
    pub rejected: u64,
    /// Complete lists after the first one.
    pub relists: u64,
    /// Changes that relists have found, all together.
    pub differences: u64,
    /// Those of them that the watch had certainly missed.
    pub missed: u64,
    /// Errors by kind, those that occurred.
    pub errors: BTreeMap<ErrorKind, u64>,
    /// Why it has no news, while it has none.
    pub failing: Option<(ErrorKind, Arc<str>)>,
    /// When the server last said something useful.
    pub last_success: Option<SystemTime>,
}

impl Stats {
    /// All counters.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        lock(&self.0).clone()
    }

    /// Notes what has happened.
    pub(super) fn note(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut lock(&self.0));
    }

    /// The watch does something else now.
    pub(super) fn enter(&self, state: State) {
        self.note(|now| now.state = state);
    }
}
