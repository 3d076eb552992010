//! What a watch has done, for metrics and for people.

use std::{
    sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use crate::client::{Error, ErrorKind};

/// What a watch is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It has asked for nothing yet.
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

impl State {
    const ALL: [Self; 7] = [
        Self::Starting,
        Self::Listing,
        Self::Connecting,
        Self::Watching,
        Self::Waiting,
        Self::Missing,
        Self::Stopped,
    ];
}

/// Counters of one watch; each only grows.
#[derive(Debug, Default)]
pub struct Stats {
    state: AtomicU8,
    lists: AtomicU64,
    watches: AtomicU64,
    events: AtomicU64,
    ignored: AtomicU64,
    rejected: AtomicU64,
    relists: AtomicU64,
    differences: AtomicU64,
    missed: AtomicU64,
    errors: [AtomicU64; ErrorKind::ALL.len()],
    last_success: AtomicU64,
    throttled_until: AtomicU64,
}

/// [`Stats`] at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub errors: Vec<(ErrorKind, u64)>,
    /// When the server last said something useful.
    pub last_success: Option<SystemTime>,
    /// Until when the server has asked to be left alone (`Retry-After`), if that is to come.
    pub throttled_until: Option<SystemTime>,
}

impl Stats {
    /// All counters. Those that change meanwhile may be of different instants.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let count = |kind: ErrorKind| (kind, self.errors[kind as usize].load(Relaxed));
        let now = millis(SystemTime::now());
        Snapshot {
            state: State::ALL[usize::from(self.state.load(Relaxed)) % State::ALL.len()],
            lists: self.lists.load(Relaxed),
            watches: self.watches.load(Relaxed),
            events: self.events.load(Relaxed),
            ignored: self.ignored.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            relists: self.relists.load(Relaxed),
            differences: self.differences.load(Relaxed),
            missed: self.missed.load(Relaxed),
            errors: ErrorKind::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect(),
            last_success: time(self.last_success.load(Relaxed)),
            throttled_until: time(self.throttled_until.load(Relaxed).max(now))
                .filter(|until| millis(*until) > now),
        }
    }

    pub(super) fn enter(&self, state: State) {
        self.state.store(state as u8, Relaxed);
    }

    pub(super) fn listed(&self) {
        self.lists.fetch_add(1, Relaxed);
    }

    pub(super) fn watched(&self) {
        self.watches.fetch_add(1, Relaxed);
    }

    pub(super) fn heard(&self, is_news: bool) {
        self.events.fetch_add(1, Relaxed);
        self.ignored.fetch_add(u64::from(!is_news), Relaxed);
        self.succeeded();
    }

    pub(super) fn rejected(&self) {
        self.rejected.fetch_add(1, Relaxed);
    }

    pub(super) fn relisted(&self, differences: usize, missed: usize) {
        self.relists.fetch_add(1, Relaxed);
        self.differences.fetch_add(differences as u64, Relaxed);
        self.missed.fetch_add(missed as u64, Relaxed);
    }

    pub(super) fn succeeded(&self) {
        self.last_success.store(millis(SystemTime::now()), Relaxed);
    }

    pub(super) fn failed(&self, error: &Error) {
        self.errors[error.kind() as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn throttled(&self, wait: Duration) {
        self.throttled_until.store(millis(SystemTime::now() + wait), Relaxed);
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time after so many milliseconds since 1970; 0 is never.
fn time(millis: u64) -> Option<SystemTime> {
    (millis > 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_place() {
        for (index, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, index, "{state:?}");
        }
    }

    #[test]
    fn throttling_is_visible_until_it_is_over() {
        let stats = Stats::default();
        assert_eq!(stats.snapshot().throttled_until, None);
        stats.throttled(Duration::from_secs(60));
        assert!(stats.snapshot().throttled_until.is_some());
        stats.throttled(Duration::ZERO);
        assert_eq!(stats.snapshot().throttled_until, None);
    }
}
