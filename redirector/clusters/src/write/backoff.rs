//! How long a request waits that has failed.

use std::time::Duration;

/// The first wait and the longest one, which is reached by doubling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Backoff {
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

impl Backoff {
    /// The wait after so many failures in a row, 1 or more; at least what the server asks for, up to the
    /// longest.
    pub(super) fn after(self, failures: u32, asked: Option<Duration>) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let own = self.first.saturating_mul(1 << doublings).min(self.longest);
        own.max(asked.unwrap_or_default().min(self.longest))
    }
}
