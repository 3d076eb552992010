//! How often a backend is asked.
//!
//! What has failed for 30 s is asked less often: the interval is twice as long, four times after
//! 60 s, then 8 and 16 times, but at most 30 s. In order:
//!
//! 1. A success ends that for the backend, and for all others of its owners: outages end together.
//!    Those are due within an interval, and less often again only after another 30 s. If no probe at
//!    all has succeeded for 30 s, this node was cut off, and the success ends it for all owners.
//! 2. An urgent question ends it for the backend: the kernel has seen something of it.
//! 3. Up to 16 backends of an owner keep their interval, however long they have failed; of more, the
//!    interval is only so much longer that 16 of them are asked in the time of one. So a small
//!    service, or a tier of one, that is down as a whole keeps it: its return is noticed as fast as
//!    ever. Of a backend with several owners the one with the fewest such backends counts.

use std::{collections::BTreeSet, time::Duration};

use redirector_core::service::BackendRef;
use tokio::time::Instant;

use super::{BackendState, ProbePhase, Schedule, places::Owner};

/// A backend that has failed for so long may be asked less often.
const LONG: Duration = Duration::from_secs(30);
/// How many times less often.
const MAX_TIMES: u32 = 16;
/// No interval is made longer than this.
const MAX_INTERVAL: Duration = Duration::from_secs(30);
/// So many of an owner that have failed for long keep their interval.
const FEW: usize = 16;

impl BackendState {
    pub(super) fn has_failed_for_long(&self, now: Instant) -> bool {
        self.failing_since.is_some_and(|since| now.duration_since(since) >= LONG)
    }
}

impl Schedule {
    /// The time from one probe to the next.
    pub(super) fn interval(&self, backend: &BackendRef, now: Instant) -> Duration {
        let Some(state) = self.backends.get(backend) else { return MAX_INTERVAL };
        let Some(since) = state.failing_since else { return self.hurried(state) };
        let Some(doublings) =
            (now.duration_since(since).as_secs() / LONG.as_secs()).checked_ilog2()
        else {
            return self.hurried(state);
        };
        let interval = state.interval();
        let long = state.owners.iter().filter_map(|owner| self.owners.get(owner));
        let fewest = long.map(|owned| owned.long.len()).min().unwrap_or_default();
        let crowd = u32::try_from(fewest.div_ceil(FEW)).unwrap_or(MAX_TIMES).max(1);
        let by_age = 2_u32.saturating_pow(doublings + 1);
        let times = by_age.min(crowd).min(MAX_TIMES);
        interval.max(interval.saturating_mul(times).min(MAX_INTERVAL))
    }

    /// A backend that had failed for long answers, and no other has for as long as `outage`: others
    /// are worth asking, too.
    pub(super) fn wake_others(
        &mut self,
        backend: &BackendRef,
        outage: Duration,
        now: Instant,
        random: &mut impl FnMut() -> f64,
    ) {
        let Some(state) = self.backends.get(backend) else { return };
        let is_meant = |owner: &Owner| outage >= LONG || state.owners.contains(owner);
        let meant = self.owners.iter().filter(|(owner, _)| is_meant(owner));
        let others: BTreeSet<BackendRef> =
            meant.flat_map(|(_, owned)| &owned.long).copied().collect();
        for other in &others {
            self.note_long(other, false);
            let Some(state) = self.backends.get_mut(other) else { continue };
            state.failing_since = Some(now);
            if matches!(state.phase, ProbePhase::Resting) {
                self.timers.remove(&(state.next, *other));
                state.next = state.next.min(now + state.interval().mul_f64(random()));
                if state.rest.is_none() {
                    self.timers.insert((state.next, *other));
                }
            }
        }
    }
}
