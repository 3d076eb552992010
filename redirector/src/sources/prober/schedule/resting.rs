//! Backends of other clusters at rest: in turn, as many a second and cluster as
//! [`Schedule::set_remote_probes`] says, whatever their intervals are. Owners take turns, and of each
//! its backends do, in this node's own order.
//!
//! None is asked again within [`FLOOR`]. One that is [in doubt](super::doubt) is next but for its fast
//! interval: it takes several failures to eject it. What is urgent is asked beside that.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use redirector_core::{input::AtRest, service::BackendRef};
use tokio::time::Instant;

use super::{BackendState, ProbePhase, Schedule, turns::Due};

/// No backend at rest that answers is asked more often than this.
const FLOOR: Duration = Duration::from_secs(5);
/// So many are looked at to find one that may be asked.
const LOOKED_AT: usize = 64;

/// Backends of one cluster at rest.
#[derive(Debug)]
pub(super) struct Resting {
    owners: BTreeMap<Arc<str>, Share>,
    /// The owner that had the last turn.
    last: Option<Arc<str>>,
    /// Those that have failed and should be asked again.
    again: VecDeque<BackendRef>,
    /// When the next may be asked.
    next: Instant,
}

/// Those of one owner.
#[derive(Debug, Default)]
struct Share {
    order: BTreeSet<(u64, BackendRef)>,
    /// The one that had the last turn.
    last: Option<(u64, BackendRef)>,
}

impl Share {
    /// The next one that may be asked, of so many that are looked at.
    fn next(&self, may_be_asked: impl Fn(&BackendRef) -> bool) -> Option<(u64, BackendRef)> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.order.range((after, Bound::Unbounded)).chain(&self.order);
        let mut later = later.take(LOOKED_AT.min(self.order.len()));
        later.find(|(_, backend)| may_be_asked(backend)).copied()
    }
}

impl BackendState {
    /// How long it rests after a probe.
    pub(super) fn pause(&self, interval: Duration) -> Duration {
        if self.rest.is_some() && !self.is_in_doubt() { interval.max(FLOOR) } else { interval }
    }
}

impl Schedule {
    /// How many backends of a cluster at rest are asked in a second.
    pub fn set_remote_probes(&mut self, a_second: u32) {
        self.remote_probes = a_second.max(1);
    }

    fn gap(&self) -> Duration {
        Duration::from_secs(1) / self.remote_probes
    }

    /// A backend is at rest from now on, or not any more.
    pub(super) fn set_rest(
        &mut self,
        backend: &BackendRef,
        rest: Option<&AtRest>,
        now: Instant,
        random: &mut impl FnMut() -> f64,
    ) {
        let Some(state) = self.backends.get_mut(backend) else { return };
        if state.rest.as_ref() == rest {
            return;
        }
        let before = std::mem::replace(&mut state.rest, rest.cloned());
        let resting = matches!(state.phase, ProbePhase::Resting).then_some(state.next);
        if let Some(before) = before {
            self.leave_rest(backend, &before);
        }
        if let Some(AtRest { cluster, owner, rank }) = rest {
            let next = now + self.gap().mul_f64(random());
            let of = self.resting.entry(Arc::clone(cluster)).or_insert_with(|| Resting {
                owners: BTreeMap::new(),
                last: None,
                again: VecDeque::new(),
                next,
            });
            let share = of.owners.entry(Arc::clone(owner)).or_default();
            share.order.insert((*rank, *backend));
        }
        if let Some(next) = resting {
            self.timers.remove(&(next, *backend));
            let spread = Duration::from_secs(1).mul_f64(random());
            self.rest(backend, if rest.is_some() { next } else { next.min(now + spread) });
        }
    }

    pub(super) fn leave_rest(&mut self, backend: &BackendRef, rest: &AtRest) {
        let Some(of) = self.resting.get_mut(&rest.cluster) else { return };
        if let Some(share) = of.owners.get_mut(&rest.owner) {
            share.order.remove(&(rest.rank, *backend));
            if share.order.is_empty() {
                of.owners.remove(&rest.owner);
            }
        }
        of.again.retain(|other| other != backend);
        if of.owners.is_empty() {
            self.resting.remove(&rest.cluster);
        }
    }

    /// A probe of a backend at rest has failed: a few more of it in a row say whether it is dead.
    pub(super) fn ask_again(&mut self, backend: &BackendRef) {
        let Some(state) = self.backends.get(backend) else { return };
        let Some(rest) = &state.rest else { return };
        if state.failures < u32::from(state.probe.unhealthy)
            && let Some(of) = self.resting.get_mut(&rest.cluster)
            && !of.again.contains(backend)
        {
            of.again.push_back(*backend);
        }
    }

    /// Those whose turn it is wait for a place from now on.
    pub(super) fn take_turns(&mut self, now: Instant) {
        let gap = self.gap();
        let mut turns = Vec::new();
        for of in self.resting.values_mut().filter(|of| of.next <= now) {
            of.next = now + gap;
            let may_be_asked = |backend: &BackendRef| {
                self.backends.get(backend).is_some_and(|state| {
                    matches!(state.phase, ProbePhase::Resting) && state.next <= now
                })
            };
            if let Some(first) = of.again.iter().position(may_be_asked) {
                turns.extend(of.again.remove(first));
                continue;
            }
            let after = of.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let later = of.owners.range::<Arc<str>, _>((after, Bound::Unbounded));
            let mut later = later.chain(&of.owners).take(LOOKED_AT.min(of.owners.len()));
            let found = later
                .find_map(|(owner, share)| Some((Arc::clone(owner), share.next(may_be_asked)?)));
            let Some((owner, next)) = found else { continue };
            if let Some(share) = of.owners.get_mut(&owner) {
                share.last = Some(next);
            }
            of.last = Some(owner);
            turns.push(next.1);
        }
        for backend in turns {
            self.wait(&backend, Due { is_routine: true, since: now, backend });
        }
    }

    /// When the next turn is.
    pub(super) fn next_turn(&self) -> Option<Instant> {
        self.resting.values().map(|of| of.next).min()
    }
}
