//! What the reporter counts, for metrics.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use crate::text::bounded;

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
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn failed(&self, what: &str, why: &str) {
        self.errors.fetch_add(1, Relaxed);
        let text = bounded(&format!("{what}: {why}"), 512);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    pub(super) fn drop_one(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }
}
