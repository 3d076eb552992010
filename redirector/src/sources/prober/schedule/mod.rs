//! When which backend is asked. Pure: it is told the time and randomness, and does no I/O.
//!
//! A backend is due every interval, with jitter, and at once when that is urgent; an urgent probe
//! leaves the interval as it is. While it is in [doubt] how a backend is, it is due sooner. What is
//! due begins when there is a [place](places) for one of the backend's owners, which take
//! [turns]. A backend fails when its last two probes have. Of other clusters those that
//! nothing depends on share [few probes](resting).

mod backoff;
mod doubt;
mod owners;
mod places;
mod resting;
#[cfg(test)]
mod tests;
mod turns;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use redirector_core::{
    input::{AtRest, ProbeOrder},
    service::{BackendRef, Probe, Protocol},
};
use tokio::time::Instant;

use self::{
    owners::Owned,
    places::{Kind, Owner, Place, Places},
    resting::Resting,
    turns::{Due, Turns},
};

/// The first probes of a set that appears at once are spread over at most this long.
const SPREAD: Duration = Duration::from_millis(100);
/// Failures in a row of a backend that fails.
const MIN_FAILURES: u32 = 2;

/// Everything that is asked, and what has come of it.
#[derive(Debug)]
pub(super) struct Schedule {
    backends: BTreeMap<BackendRef, BackendState>,
    owners: BTreeMap<Owner, Owned>,
    /// When those that rest are due, but for those that share a cluster's probes.
    timers: BTreeSet<(Instant, BackendRef)>,
    /// Those that do, by cluster, and how many they get in a second.
    resting: BTreeMap<Arc<str>, Resting>,
    remote_probes: u32,
    places: Places,
    /// Backends that wait for a place, by its [`Kind`]; an urgent one also for one of the others.
    turns: [Turns; 3],
    /// Whether a backend that fails is to begin before one that does not, if both can.
    is_failing_next: bool,
    tickets: u64,
    /// How many backends are [in doubt](doubt), of each owner at most so many as hurry.
    in_doubt: usize,
    /// When any backend answered last, or the first probe failed.
    answered: Option<Instant>,
}

#[derive(Debug)]
struct BackendState {
    probe: Probe,
    owners: Arc<[Owner]>,
    urgency: u32,
    phase: ProbePhase,
    /// When the interval is over.
    next: Instant,
    /// Whether it is held back from new connections.
    is_out: bool,
    /// In a row, up to now.
    failures: u32,
    /// In a row, up to now, since it is out or since it is not.
    successes: u32,
    /// Since when every probe has failed, or since something made it worth asking.
    failing_since: Option<Instant>,
    /// Whether it shares the probes of its cluster.
    rest: Option<AtRest>,
}

#[derive(Clone, Copy, Debug)]
enum ProbePhase {
    /// It rests until [`BackendState::next`].
    Resting,
    Waiting(Due),
    Asked {
        ticket: u64,
        since: Instant,
        /// It was due by the interval.
        is_scheduled: bool,
        /// Something has happened since that this probe may not have seen.
        again: bool,
    },
}

/// A probe to be made now. [`Schedule::ended`] wants it back.
#[derive(Debug)]
pub(super) struct Begun {
    pub backend: BackendRef,
    pub probe: Probe,
    /// The number of this probe, which no other probe has.
    pub ticket: u64,
    place: Place,
}

impl BackendState {
    fn interval(&self) -> Duration {
        Duration::from_millis(self.probe.interval_ms.into())
    }

    /// The kinds of places that it waits for, any of them.
    fn waits_for(&self, due: &Due) -> &'static [Kind] {
        match (self.failures >= MIN_FAILURES, due.is_routine) {
            (false, true) => &[Kind::Ordinary],
            (false, false) => &[Kind::Ordinary, Kind::Urgent],
            (true, true) => &[Kind::Failing],
            (true, false) => &[Kind::Failing, Kind::Urgent],
        }
    }
}

impl Schedule {
    /// With `at_once` places, at least one.
    pub fn new(at_once: usize) -> Self {
        Self {
            backends: BTreeMap::new(),
            owners: BTreeMap::new(),
            timers: BTreeSet::new(),
            resting: BTreeMap::new(),
            remote_probes: 1,
            places: Places::new(at_once),
            turns: Default::default(),
            is_failing_next: false,
            tickets: 0,
            in_doubt: 0,
            answered: None,
        }
    }

    /// Asks these backends from now on, and no others. Returns the tickets of probes under way that
    /// are no longer wanted: they are to be stopped. `random` is from 0 up to 1.
    pub fn adapt(
        &mut self,
        wanted: &BTreeMap<BackendRef, ProbeOrder>,
        now: Instant,
        mut random: impl FnMut() -> f64,
    ) -> BTreeSet<u64> {
        let is_other = |(backend, state): &(&BackendRef, &BackendState)| {
            wanted.get(backend).is_none_or(|order| order.probe != state.probe)
        };
        let others: Vec<_> = self.backends.iter().filter(is_other).map(|(it, _)| *it).collect();
        let mut stopped = BTreeSet::new();
        // A backend that is to be asked in another way was known before: it is urgent only if its
        // number has changed.
        let mut earlier = BTreeMap::new();
        for backend in &others {
            let Some(state) = self.forget(backend) else { continue };
            if let ProbePhase::Asked { ticket, .. } = state.phase {
                stopped.insert(ticket);
            }
            earlier.insert(*backend, state.urgency);
        }
        let askable = wanted.iter().filter(|(backend, _)| backend.protocol == Protocol::Tcp);
        for (backend, order) in askable {
            let Some(state) = self.backends.get_mut(backend) else {
                let before = earlier.get(backend).copied().unwrap_or_default();
                self.learn(*backend, order, before, now, &mut random);
                continue;
            };
            let is_urgent = state.urgency != order.urgency;
            state.urgency = order.urgency;
            let is_turned = state.is_out != order.is_out;
            if *state.owners != *order.owners {
                self.change_hands(backend, &order.owners, now);
            }
            self.set_rest(backend, order.rest.as_ref(), now, &mut random);
            if is_turned {
                self.doubt(backend, |state| (state.is_out, state.successes) = (order.is_out, 0));
            }
            if is_urgent {
                self.hurry(backend, now);
            }
        }
        stopped
    }

    /// A probe that may begin now; to be called again until there is none.
    pub fn begin(&mut self, now: Instant) -> Option<Begun> {
        while let Some((at, backend)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            self.wait(&backend, Due { is_routine: true, since: at, backend });
        }
        self.take_turns(now);
        let kinds = match self.is_failing_next {
            true => [Kind::Failing, Kind::Ordinary, Kind::Urgent],
            false => [Kind::Ordinary, Kind::Failing, Kind::Urgent],
        };
        let (kind, owner, backend) = kinds.into_iter().find_map(|kind| {
            let (owner, due) = self.next_of(kind)?;
            Some((kind, owner, due.backend))
        })?;
        if kind != Kind::Urgent {
            self.is_failing_next = kind == Kind::Ordinary;
        }
        self.dequeue(&backend);
        self.tickets += 1;
        let ticket = self.tickets;
        let state = self.backends.get_mut(&backend)?;
        let is_scheduled = state.next <= now;
        state.phase = ProbePhase::Asked { ticket, since: now, is_scheduled, again: false };
        let probe = state.probe.clone();
        Some(Begun { backend, probe, ticket, place: self.places.take(kind, &owner) })
    }

    /// A probe has ended, or was stopped. `answered` says whether the backend is well; `None` is
    /// that nothing was found out.
    pub fn ended(
        &mut self,
        begun: Begun,
        answered: Option<bool>,
        now: Instant,
        mut random: impl FnMut() -> f64,
    ) {
        let Begun { backend, ticket: ended, place, .. } = begun;
        self.places.give_back(place);
        let Some(state) = self.backends.get_mut(&backend) else { return };
        let ProbePhase::Asked { ticket, since, is_scheduled, again } = state.phase else { return };
        if ticket != ended {
            return;
        }
        self.doubt(&backend, |state| match answered {
            Some(true) => {
                (state.failures, state.successes) = (0, state.successes.saturating_add(1));
            }
            Some(false) => {
                (state.failures, state.successes) = (state.failures.saturating_add(1), 0);
            }
            None => {}
        });
        let Some(state) = self.backends.get_mut(&backend) else { return };
        match answered {
            Some(true) => {
                let was_long = state.has_failed_for_long(now);
                state.failing_since = None;
                self.note_long(&backend, false);
                let outage = now - self.answered.replace(now).unwrap_or(now);
                if was_long {
                    self.wake_others(&backend, outage, now, &mut random);
                }
            }
            Some(false) => {
                self.answered.get_or_insert(now);
                state.failing_since.get_or_insert(now);
                let is_long = state.has_failed_for_long(now);
                self.note_long(&backend, is_long);
            }
            None => {}
        }
        if answered == Some(false) {
            self.ask_again(&backend);
        }
        let jitter = 0.9 + 0.2 * random();
        let interval = self.interval(&backend, now);
        let Some(state) = self.backends.get_mut(&backend) else { return };
        let planned = since + state.pause(interval).mul_f64(jitter);
        state.next = if is_scheduled { planned } else { state.next.min(planned) };
        if again {
            self.wait(&backend, Due { is_routine: false, since: now, backend });
        } else {
            let next = state.next;
            self.rest(&backend, next);
        }
    }

    /// When [`begin`](Self::begin) is to be called again, if no probe ends before.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at).into_iter().chain(self.next_turn()).min()
    }

    fn next_of(&mut self, kind: Kind) -> Option<(Owner, Due)> {
        let Self { places, owners, turns, .. } = self;
        let is_sole = owners.len() == 1;
        places.is_any_free(kind).then_some(())?;
        turns[kind as usize].next(|owner| places.has_room(kind, owner, is_sole))
    }

    /// An urgent question is asked beside the interval; one that is being asked may have come too
    /// early to see what the question is about.
    fn hurry(&mut self, backend: &BackendRef, now: Instant) {
        let Some(state) = self.backends.get_mut(backend) else { return };
        state.failing_since = state.failing_since.map(|_| now);
        match &mut state.phase {
            ProbePhase::Asked { again, .. } => *again = true,
            ProbePhase::Waiting(due) if !due.is_routine => {}
            ProbePhase::Waiting(_) | ProbePhase::Resting => {
                self.dequeue(backend);
                self.wait(backend, Due { is_routine: false, since: now, backend: *backend });
            }
        }
        self.note_long(backend, false);
    }

    fn learn(
        &mut self,
        backend: BackendRef,
        order: &ProbeOrder,
        urgency: u32,
        now: Instant,
        random: &mut impl FnMut() -> f64,
    ) {
        let state = BackendState {
            probe: order.probe.clone(),
            owners: Arc::clone(&order.owners),
            urgency: order.urgency,
            phase: ProbePhase::Resting,
            next: now,
            is_out: order.is_out,
            failures: 0,
            successes: 0,
            failing_since: None,
            rest: None,
        };
        let spread = state.interval().min(SPREAD).mul_f64(random());
        self.backends.insert(backend, state);
        self.own(&backend);
        if order.urgency == urgency {
            self.rest(&backend, now + spread);
        } else {
            self.wait(&backend, Due { is_routine: false, since: now, backend });
        }
        self.set_rest(&backend, order.rest.as_ref(), now, random);
    }

    fn rest(&mut self, backend: &BackendRef, until: Instant) {
        if let Some(state) = self.backends.get_mut(backend) {
            state.next = until;
            state.phase = ProbePhase::Resting;
            if state.rest.is_none() {
                self.timers.insert((until, *backend));
            }
        }
    }

    fn forget(&mut self, backend: &BackendRef) -> Option<BackendState> {
        self.dequeue(backend);
        self.disown(backend);
        let state = self.backends.remove(backend)?;
        if let Some(rest) = &state.rest {
            self.leave_rest(backend, rest);
        }
        Some(state)
    }

    /// Queues a backend that is in no queue.
    fn wait(&mut self, backend: &BackendRef, due: Due) {
        let Some(state) = self.backends.get_mut(backend) else { return };
        state.phase = ProbePhase::Waiting(due);
        for kind in state.waits_for(&due) {
            for owner in &*state.owners {
                self.turns[*kind as usize].add(owner, due);
            }
        }
    }

    /// Takes a backend out of its queues, or its timer; and says where it was.
    fn dequeue(&mut self, backend: &BackendRef) -> Option<ProbePhase> {
        let state = self.backends.get(backend)?;
        match state.phase {
            ProbePhase::Resting => {
                self.timers.remove(&(state.next, *backend));
            }
            ProbePhase::Waiting(due) => {
                for kind in state.waits_for(&due) {
                    for owner in &*state.owners {
                        self.turns[*kind as usize].remove(owner, &due);
                    }
                }
            }
            ProbePhase::Asked { .. } => {}
        }
        Some(state.phase)
    }
}
