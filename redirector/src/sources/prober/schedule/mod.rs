//! When which backend is asked. Pure: it is told the time and randomness, and does no I/O.
//!
//! A backend is due every interval, with jitter, and at once when that is urgent; an urgent probe
//! leaves the interval as it is. What is due begins when there is a [place](places) for one of
//! the backend's owners, which take [turns](turns). A backend fails when its last two probes have.

mod owners;
mod patience;
mod places;
#[cfg(test)]
mod tests;
mod turns;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use redirector_core::{
    input::ProbeOrder,
    service::{BackendRef, Probe, Protocol},
};
use tokio::time::Instant;

use self::{
    owners::Owned,
    places::{Kind, Owner, Place, Places},
    turns::{Due, Turns},
};

/// The first probes of a set that appears at once are spread over at most this long.
const SPREAD: Duration = Duration::from_millis(100);
/// Failures in a row of a backend that fails.
const SEVERAL: u32 = 2;

/// Everything that is asked, and what has come of it.
#[derive(Debug)]
pub(super) struct Schedule {
    backends: BTreeMap<BackendRef, Known>,
    owners: BTreeMap<Owner, Owned>,
    /// When those that rest are due.
    timers: BTreeSet<(Instant, BackendRef)>,
    places: Places,
    /// Backends that wait for a place, by its [`Kind`]; an urgent one also for one of the others.
    turns: [Turns; 3],
    /// Whether a backend that fails is to begin before one that does not, if both can.
    is_failing_next: bool,
    tickets: u64,
    /// When any backend answered last, or the first probe failed.
    answered: Option<Instant>,
}

#[derive(Debug)]
struct Known {
    probe: Probe,
    owners: Arc<[Owner]>,
    urgency: u32,
    stage: Stage,
    /// When the interval is over.
    next: Instant,
    failures: u32,
    /// Since when every probe has failed, or since something made it worth asking.
    failing_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// It rests until [`Known::next`].
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

impl Known {
    fn interval(&self) -> Duration {
        Duration::from_millis(self.probe.interval_ms.into())
    }

    /// The kinds of places that it waits for, any of them.
    fn waits_for(&self, due: &Due) -> &'static [Kind] {
        match (self.failures >= SEVERAL, due.is_patient) {
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
            places: Places::new(at_once),
            turns: Default::default(),
            is_failing_next: false,
            tickets: 0,
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
        let is_other = |(backend, known): &(&BackendRef, &Known)| {
            wanted.get(backend).is_none_or(|order| order.probe != known.probe)
        };
        let others: Vec<_> = self.backends.iter().filter(is_other).map(|(it, _)| *it).collect();
        let mut stopped = BTreeSet::new();
        // A backend that is to be asked in another way was known before: it is urgent only if its
        // number has changed.
        let mut earlier = BTreeMap::new();
        for backend in &others {
            let Some(known) = self.forget(backend) else { continue };
            if let Stage::Asked { ticket, .. } = known.stage {
                stopped.insert(ticket);
            }
            earlier.insert(*backend, known.urgency);
        }
        let askable = wanted.iter().filter(|(backend, _)| backend.protocol == Protocol::Tcp);
        for (backend, order) in askable {
            let Some(known) = self.backends.get_mut(backend) else {
                let before = earlier.get(backend).copied().unwrap_or_default();
                self.learn(*backend, order, before, now, &mut random);
                continue;
            };
            let is_urgent = known.urgency != order.urgency;
            known.urgency = order.urgency;
            if *known.owners != *order.owners {
                self.change_hands(backend, &order.owners, now);
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
            self.wait(&backend, Due { is_patient: true, since: at, backend });
        }
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
        self.leave(&backend);
        self.tickets += 1;
        let ticket = self.tickets;
        let known = self.backends.get_mut(&backend)?;
        let is_scheduled = known.next <= now;
        known.stage = Stage::Asked { ticket, since: now, is_scheduled, again: false };
        let probe = known.probe.clone();
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
        let Some(known) = self.backends.get_mut(&backend) else { return };
        let Stage::Asked { ticket, since, is_scheduled, again } = known.stage else { return };
        if ticket != ended {
            return;
        }
        match answered {
            Some(true) => {
                known.failures = 0;
                let was_long = known.has_failed_for_long(now);
                known.failing_since = None;
                self.note_long(&backend, false);
                let outage = now - self.answered.replace(now).unwrap_or(now);
                if was_long {
                    self.wake_others(&backend, outage, now, &mut random);
                }
            }
            Some(false) => {
                self.answered.get_or_insert(now);
                known.failures = known.failures.saturating_add(1);
                known.failing_since.get_or_insert(now);
                let is_long = known.has_failed_for_long(now);
                self.note_long(&backend, is_long);
            }
            None => {}
        }
        let jitter = 0.9 + 0.2 * random();
        let planned = since + self.interval(&backend, now).mul_f64(jitter);
        let Some(known) = self.backends.get_mut(&backend) else { return };
        known.next = if is_scheduled { planned } else { known.next.min(planned) };
        if again {
            self.wait(&backend, Due { is_patient: false, since: now, backend });
        } else {
            let next = known.next;
            self.rest(&backend, next);
        }
    }

    /// When [`begin`](Self::begin) is to be called again, if no probe ends before.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
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
        let Some(known) = self.backends.get_mut(backend) else { return };
        known.failing_since = known.failing_since.map(|_| now);
        match &mut known.stage {
            Stage::Asked { again, .. } => *again = true,
            Stage::Waiting(due) if !due.is_patient => {}
            Stage::Waiting(_) | Stage::Resting => {
                self.leave(backend);
                self.wait(backend, Due { is_patient: false, since: now, backend: *backend });
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
        let known = Known {
            probe: order.probe.clone(),
            owners: Arc::clone(&order.owners),
            urgency: order.urgency,
            stage: Stage::Resting,
            next: now,
            failures: 0,
            failing_since: None,
        };
        let spread = known.interval().min(SPREAD).mul_f64(random());
        self.backends.insert(backend, known);
        self.own(&backend);
        if order.urgency == urgency {
            self.rest(&backend, now + spread);
        } else {
            self.wait(&backend, Due { is_patient: false, since: now, backend });
        }
    }

    fn rest(&mut self, backend: &BackendRef, until: Instant) {
        if let Some(known) = self.backends.get_mut(backend) {
            known.next = until;
            known.stage = Stage::Resting;
            self.timers.insert((until, *backend));
        }
    }

    fn forget(&mut self, backend: &BackendRef) -> Option<Known> {
        self.leave(backend);
        self.disown(backend);
        self.backends.remove(backend)
    }

    /// Queues a backend that is in no queue.
    fn wait(&mut self, backend: &BackendRef, due: Due) {
        let Some(known) = self.backends.get_mut(backend) else { return };
        known.stage = Stage::Waiting(due);
        for kind in known.waits_for(&due) {
            for owner in &*known.owners {
                self.turns[*kind as usize].add(owner, due);
            }
        }
    }

    /// Takes a backend out of its queues, or its timer; and says where it was.
    fn leave(&mut self, backend: &BackendRef) -> Option<Stage> {
        let known = self.backends.get(backend)?;
        match known.stage {
            Stage::Resting => {
                self.timers.remove(&(known.next, *backend));
            }
            Stage::Waiting(due) => {
                for kind in known.waits_for(&due) {
                    for owner in &*known.owners {
                        self.turns[*kind as usize].remove(owner, &due);
                    }
                }
            }
            Stage::Asked { .. } => {}
        }
        Some(known.stage)
    }
}
