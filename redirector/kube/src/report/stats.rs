//! What the reporter counts, for metrics.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use crate::{client::lock, text::bounded};

/// Counters since the start, each exact by itself.
#[derive(Debug, Default)]
pub struct Stats {
    /// Whether this agent writes statuses and events now.
    pub is_leader: AtomicBool,
    /// How often it became the leader.
    pub terms: AtomicU64,
    /// Statuses written.
    pub statuses: AtomicU64,
    /// Statuses that stood there already.
    pub statuses_equal: AtomicU64,
    /// Events created.
    pub events: AtomicU64,
    /// Transitions and statuses that found no room, or were refused by the API server for good.
    pub dropped: AtomicU64,
    /// Requests that failed, those that were repeated included.
    pub errors: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Stats {
    /// What the last failed request was about and why it failed; at most 512 bytes.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        lock(&self.last_error).clone()
    }

    pub(super) fn failed(&self, what: &str, why: &str) {
        self.errors.fetch_add(1, Relaxed);
        let text = bounded(&format!("{what}: {why}"), 512);
        *lock(&self.last_error) = Some(text);
    }

    pub(super) fn drop_one(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }
}
