//! The story: what happens to whom, and who has to serve afterwards.

use std::time::Duration;

/// Probes of the demo's file, as quick as they may be.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_millis(200);
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_millis(100);
/// Failures that eject, and successes that re-admit.
pub(super) const PROBE_COUNT: u32 = 2;

/// The last part of an act: by then its outcome must be stable.
pub(super) const SETTLED: Duration = Duration::from_millis(500);

/// One event and the time to watch what comes of it.
#[derive(Debug)]
pub(super) struct Act {
    pub(super) event: &'static str,
    pub(super) change: Change,
    /// Index of the tier that must serve at the end.
    pub(super) served_by: usize,
    pub(super) lasts: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    /// SIGKILL to these replicas.
    Kill(&'static [&'static str]),
    /// These replicas start again on their addresses.
    Start(&'static [&'static str]),
    /// SIGKILL to the agent.
    KillAgent,
    StartAgent,
}

pub(super) const STORY: [Act; 8] = [
    act("all replicas are up", Change::Nothing, 0, 2_000),
    act("replica a1 is dead", Change::Kill(&["a1"]), 0, 2_500),
    act("zone a is down", Change::Kill(&["a2"]), 1, 3_000),
    act("the cluster is down", Change::Kill(&["b1", "b2"]), 2, 3_000),
    act("zone b is back", Change::Start(&["b1", "b2"]), 1, 3_000),
    act("zone a is back", Change::Start(&["a1", "a2"]), 0, 3_000),
    act("the agent is killed", Change::KillAgent, 0, 1_500),
    act("the agent is back", Change::StartAgent, 0, 2_000),
];

const fn act(event: &'static str, change: Change, served_by: usize, lasts_ms: u64) -> Act {
    Act { event, change, served_by, lasts: Duration::from_millis(lasts_ms) }
}

impl Act {
    /// How long after the event connects may fail: until the probes have seen the death, and some
    /// more for jitter and a busy machine. Nothing but a death may cost a connect.
    pub(super) fn may_fail_for(&self) -> Duration {
        match self.change {
            Change::Kill(_) => {
                PROBE_INTERVAL * PROBE_COUNT + PROBE_TIMEOUT + Duration::from_millis(500)
            }
            _ => Duration::ZERO,
        }
    }

    /// Whether the event is bad news for clients, as opposed to good news or none.
    pub(super) fn is_loss(&self) -> bool {
        matches!(self.change, Change::Kill(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_ends_in_time_and_every_act_outlasts_its_window() {
        let total: Duration = STORY.iter().map(|act| act.lasts).sum();

        assert!(total <= Duration::from_secs(30), "{total:?}");
        for act in &STORY {
            assert!(act.may_fail_for() + SETTLED < act.lasts, "{}", act.event);
        }
    }
}
