//! How long the importer waits for what.

use std::time::Duration;

/// Its times; each is divided by `divide_timeouts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// Without a change of the heartbeat a cluster is silent. 3 s, of heartbeats every second.
    pub silence: Duration,
    /// Heartbeats so long before a cluster is live. 3 s; doubled with each silence from the third in
    /// [`damped_for`](Self::damped_for) on.
    pub calm: Duration,
    /// The longest calm that is asked for. 60 s.
    pub longest_calm: Duration,
    /// Two heartbeats so far apart are no calm. 1.75 s: more than the 1.5 s after which the exporter's
    /// other replica renews, less than a link that is down for 2 s of every 4 takes.
    pub beat_gap: Duration,
    /// How long a silence is remembered. 10 min.
    pub damped_for: Duration,
    /// So long may what is held differ from every manifest. 10 s.
    pub incomplete: Duration,
    /// Between the two manifests that remove more than half. 2 s.
    pub confirm: Duration,
    /// Between slices of a lost cluster. 10 ms: 100/s.
    pub lost_slice: Duration,
    /// A status in which only numbers changed is written so seldom. 10 s: every agent watches it.
    pub counts: Duration,
}

impl Timing {
    /// The times divided by that; 0 counts as 1.
    pub fn divided_by(divisor: u32) -> Self {
        let divisor = divisor.max(1);
        let of = |millis: u64| Duration::from_millis(millis) / divisor;
        Self {
            silence: of(3_000),
            calm: of(3_000),
            longest_calm: of(60_000),
            beat_gap: of(1_750),
            damped_for: of(600_000),
            incomplete: of(10_000),
            confirm: of(2_000),
            lost_slice: of(10),
            counts: of(10_000),
        }
    }

    /// How long heartbeats must come before a cluster is live that was silent so often lately.
    pub fn calm_after(&self, silences: usize) -> Duration {
        let doublings = u32::try_from(silences.saturating_sub(2)).unwrap_or(u32::MAX).min(16);
        (self.calm * 2u32.pow(doublings)).min(self.longest_calm)
    }
}
