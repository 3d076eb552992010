//! How much sooner a backend is asked again while it is in doubt how it is.
//!
//! In doubt is one that serves and has failed, but less often in a row than ejects it, and one that
//! is out and has answered, but less often in a row than re-admits it. A few more probes decide, so
//! these come after [`Probe::fast_interval_ms`] instead of the interval. In order:
//!
//! 1. A hurried probe waits for a place like any other, and never for one of the urgent ones.
//! 2. Of an owner up to 32 backends in doubt hurry; of more, the time is so much longer that 32 of
//!    them are asked in the time of one. A backend of several owners counts for each, and the one
//!    with the fewest counts for it.
//! 3. The same holds of all owners together beyond 256, each with at most its 32: some 1,300 probes
//!    a second, 5 % of a core, with times as they are by default.
//! 4. The interval is never exceeded: what others have in doubt leaves a backend what it has without
//!    any hurry.
//!
//! [`Probe::fast_interval_ms`]: redirector_core::service::Probe::fast_interval_ms

use std::time::Duration;

use redirector_core::service::BackendRef;

use super::{BackendState, Schedule};

/// So many backends in doubt of an owner hurry as much as they may.
const FEW: usize = 32;
/// The same of all owners.
const FEW_IN_ALL: usize = 256;

impl BackendState {
    /// Whether a few more probes decide how it is.
    pub(super) fn is_in_doubt(&self) -> bool {
        let (row, enough) = match self.is_out {
            true => (self.successes, self.probe.healthy),
            false => (self.failures, self.probe.unhealthy),
        };
        (1..u32::from(enough)).contains(&row)
    }
}

impl Schedule {
    /// The time from one probe of it to the next, unless it has failed for long.
    pub(super) fn hurried(&self, state: &BackendState) -> Duration {
        if !state.is_in_doubt() {
            return state.interval();
        }
        let owners = state.owners.iter().filter_map(|owner| self.owners.get(owner));
        let fewest = owners.map(|owned| owned.in_doubt).min().unwrap_or_default();
        let crowd = fewest.div_ceil(FEW).max(self.in_doubt.div_ceil(FEW_IN_ALL)).max(1);
        let fast = Duration::from_millis(state.probe.fast_interval_ms.into());
        fast.saturating_mul(u32::try_from(crowd).unwrap_or(u32::MAX)).min(state.interval())
    }

    /// Changes what a backend's doubt depends on, and keeps the counts true.
    pub(super) fn doubt(&mut self, backend: &BackendRef, change: impl FnOnce(&mut BackendState)) {
        self.count_doubt(backend, false);
        if let Some(state) = self.backends.get_mut(backend) {
            change(state);
        }
        self.count_doubt(backend, true);
    }

    /// Counts a backend among those in doubt, if it is, or not any more.
    pub(super) fn count_doubt(&mut self, backend: &BackendRef, is_more: bool) {
        let Some(state) = self.backends.get(backend).filter(|state| state.is_in_doubt()) else {
            return;
        };
        for owner in &*state.owners {
            let Some(owned) = self.owners.get_mut(owner) else { continue };
            self.in_doubt -= owned.in_doubt.min(FEW);
            if is_more {
                owned.in_doubt += 1;
            } else {
                owned.in_doubt -= 1;
            }
            self.in_doubt += owned.in_doubt.min(FEW);
        }
    }
}
