//! Who may receive new connections: what probes and an earlier agent say, and how objections are
//! raised and withdrawn.

use std::{collections::BTreeMap, sync::Arc};

use redirector_common::{HealthByte, HealthWord};

use super::{State, objections::value, passive::since_restart, trouble::Failing};
use crate::{
    health::{BackendHealth, Change, Health, Sight, strictest},
    input::{Command, Moment, ProbeFailure, Transition},
    service::{BackendRef, Probe, Protocol},
};

/// Bytes that an earlier agent's maps may say something by. The plan sees to discovery, and
/// operators say themselves what they want.
const RESTORED: [HealthByte; 3] = [HealthByte::Prober, HealthByte::Passive, HealthByte::Listener];

/// A UDP port without a listener says nothing: only TCP can be probed.
pub(super) fn is_probed(backend: &BackendRef) -> bool {
    backend.protocol == Protocol::Tcp
}

impl State {
    /// How a backend is, and who objects to it. `None` if no service lists it.
    #[must_use]
    pub fn health_of(&self, backend: &BackendRef) -> Option<BackendHealth> {
        let known = self.backends.get(backend)?;
        let objections = self.objections_to(backend);
        let questions = known.trouble.iter().flat_map(|trouble| trouble.questions.values());
        let open = questions.filter(|question| !question.is_believed);
        Some(BackendHealth {
            suspicions: open.map(|question| question.suspicion).collect(),
            probes: known.health.as_probes_see_it(),
            objections: objections.map(|(by, objection)| (by, objection.clone())).collect(),
        })
    }

    pub(super) fn probed(
        &mut self,
        backend: BackendRef,
        outcome: Result<(), ProbeFailure>,
        now: Moment,
        happened: &mut Vec<Transition>,
    ) {
        if self.backends.get(&backend).is_none() {
            return;
        }
        self.pass_if_due(&backend, now, happened);
        match outcome {
            Ok(()) => self.answered(&backend, now, happened),
            Err(failure) => self.unanswered(&backend, &failure, now, happened),
        }
    }

    fn answered(&mut self, backend: &BackendRef, now: Moment, happened: &mut Vec<Transition>) {
        let healthy = self.probe(backend).map_or(1, |probe| probe.healthy);
        self.node_answers(backend, happened);
        let Some(health) = self.backends.health(backend) else { return };
        let change = health.succeeded(healthy);
        if self.backends.get(backend).is_none_or(|known| known.trouble.is_none()) {
            return;
        }
        if change == Some(Change::Readmitted) {
            self.backends.change(backend, |trouble| trouble.prober = None);
            self.withdraw(backend, HealthByte::Prober, happened);
        }
        self.contradict(backend, happened);
        self.answers_after_kernel(backend, healthy, now, happened);
    }

    fn unanswered(
        &mut self,
        backend: &BackendRef,
        failure: &ProbeFailure,
        now: Moment,
        happened: &mut Vec<Transition>,
    ) {
        let is_suspect = self.nodes.is_suspect();
        let unhealthy = self.probe(backend).map(|probe| probe.unhealthy);
        let Some(health) = self.backends.health(backend) else { return };
        let change = health.failed(failure, unhealthy.filter(|_| !is_suspect));
        let (is_silent, has_answered) = (health.is_silent(), health.has_answered());
        if has_answered && *failure == ProbeFailure::TimedOut {
            self.node_fails(backend, now);
        }
        if change == Some(Change::Ejected) {
            let failing = Failing { is_silent };
            self.backends.change(backend, |trouble| trouble.prober = Some(failing));
            self.raise(backend, HealthByte::Prober, failure.to_string().into(), happened);
        }
        if self.backends.get(backend).is_none_or(|known| known.trouble.is_none()) {
            return;
        }
        self.backends.change(backend, |trouble| {
            if let Some(prober) = &mut trouble.prober {
                prober.is_silent = is_silent;
            }
            if let Some(passive) = &mut trouble.passive {
                passive.successes = 0;
                passive.is_refused |= *failure != ProbeFailure::TimedOut;
            }
        });
        self.judge_seen(backend, failure, has_answered, happened);
        self.fall_silent(backend, happened);
    }

    /// What should follow from a backend that may have been lost without a word.
    pub(super) fn fall_silent(&mut self, backend: &BackendRef, happened: &mut Vec<Transition>) {
        let trouble = self.backends.get(backend).and_then(|known| known.trouble.as_ref());
        if trouble.is_some_and(|trouble| trouble.is_silent()) {
            self.reset(backend);
            self.silence_node(backend, happened);
        }
    }

    /// Does what time has brought, one thing after the other.
    pub(super) fn verdicts_pass(&mut self, now: Moment, happened: &mut Vec<Transition>) {
        while let Some((at, backend)) = self.backends.first_due()
            && at <= now
        {
            self.pass_for(&backend, now, happened);
        }
        self.suspect(now, happened);
        self.forget_unused(now);
    }

    /// When [`verdicts_pass`](Self::verdicts_pass) has something to do next.
    pub(super) fn verdicts_deadline(&self) -> Option<Moment> {
        let first = self.backends.first_due().map(|(at, _)| at);
        first.into_iter().chain(self.nodes.deadline()).chain(self.unused_at()).min()
    }

    /// Every objection of probes and the kernel, computed anew.
    pub(super) fn watched_objections(&self) -> BTreeMap<BackendRef, HealthWord> {
        let mut objections = self.restored.clone();
        objections.values_mut().for_each(|word| *word = verdicts(*word));
        for (backend, trouble) in self.backends.troubled() {
            let word = objections.entry(*backend).or_default();
            word.0 |= trouble.word().0;
        }
        objections.retain(|_, word| !word.is_usable());
        objections
    }

    /// Takes over what an earlier agent, or the kernel while this one was not listening, has done.
    /// For a backend that no service lists yet it is remembered until the services are known.
    pub(super) fn restore(&mut self, found: &[(BackendRef, HealthByte, u8)]) {
        for (backend, by, found) in found {
            let is_known = self.backends.get(backend).is_some();
            let is_kept = is_known || !self.is_synced();
            if !RESTORED.contains(by) || !is_kept {
                continue;
            }
            let word = self.restored.entry(*backend).or_default();
            *word = word.with(*by, word.byte(*by) | found);
            if verdicts(*word).byte(*by) == 0 || self.has_objection(backend, *by) {
                continue;
            }
            self.object(*backend, *by, "found in the maps".into());
            self.recompile_users(backend, &mut Vec::new());
        }
        let known: Vec<BackendRef> = self.restored.keys().copied().collect();
        self.settle(known, &mut Vec::new());
    }

    /// The kernel has taken back what was found in its maps.
    pub(super) fn unrestore(&mut self, backend: &BackendRef, byte: HealthByte) {
        if let Some(word) = self.restored.get_mut(backend) {
            *word = word.with(byte, 0);
            if word.is_usable() {
                self.restored.remove(backend);
            }
            self.lift(backend, byte);
        }
    }

    /// Brings the objections to these backends in line with the services that list them now: a
    /// backend without one is forgotten, and one without a probe is not held back by its probes.
    pub(super) fn settle(
        &mut self,
        backends: impl IntoIterator<Item = BackendRef>,
        happened: &mut Vec<Transition>,
    ) {
        for backend in backends {
            let Some(known) = self.backends.get(&backend) else {
                self.nodes.remove(&backend);
                if self.tables.synced || !self.restored.contains_key(&backend) {
                    self.forget(&backend);
                }
                continue;
            };
            let is_ejected = known.health.is_ejected();
            let is_found = self.restored.contains_key(&backend);
            if !is_found && !self.tables.objections.contains_key(&backend) {
                continue;
            }
            let is_probed = self.probe(&backend).is_some();
            self.take_over(&backend, is_probed, happened);
            self.unsilence_moved(&backend, happened);
            if is_ejected && !is_probed {
                if let Some(health) = self.backends.health(&backend) {
                    health.forget_failures();
                }
                self.backends.change(&backend, |trouble| trouble.prober = None);
                self.withdraw(&backend, HealthByte::Prober, happened);
            }
        }
        self.settle_nodes(happened);
    }

    /// An earlier agent's objections become this one's, once it is known who lists the backend.
    fn take_over(&mut self, backend: &BackendRef, is_probed: bool, happened: &mut Vec<Transition>) {
        let Some(found) = self.restored.remove(backend) else { return };
        let (now, limits, verdicts) = (self.now, self.limits(backend), verdicts(found));
        if verdicts.byte(HealthByte::Passive) != 0 {
            self.backends.change(backend, |trouble| {
                trouble.ejections = trouble.ejections.max(1);
                trouble.passive.get_or_insert_with(|| since_restart(&limits, now));
            });
            self.ask(backend);
        }
        if verdicts.byte(HealthByte::Listener) != 0 {
            self.backends.change(backend, |trouble| trouble.is_unheard = true);
            self.ask(backend);
        }
        // The maps do not say which client saw it.
        let connects = Sight::Connects { refused: true, client: None };
        for sight in [connects, Sight::ListenerGone] {
            let by = sight.byte();
            if found.byte(by) != 0 && verdicts.byte(by) == 0 {
                self.suspects(backend, sight, true);
            }
        }
        if found.byte(HealthByte::Prober) == 0 {
            return;
        }
        if is_probed {
            if let Some(health) = self.backends.health(backend) {
                *health = Health::EJECTED;
            }
            let failing = Failing { is_silent: false };
            self.backends.change(backend, |trouble| *trouble.prober.get_or_insert(failing));
        } else if self.tables.synced {
            self.withdraw(backend, HealthByte::Prober, happened);
        } else {
            // A service that probes it may still come.
            let by_prober = HealthWord::new(0).with(HealthByte::Prober, 1);
            self.restored.insert(*backend, by_prober);
        }
    }

    /// No service lists it any more: if it comes back it starts anew, in the kernel too.
    fn forget(&mut self, backend: &BackendRef) {
        let restored = self.restored.remove(backend).unwrap_or_default();
        let suspected = self.backends.take_suspected(backend);
        let held = suspected.unwrap_or(restored);
        self.lift(backend, HealthByte::Prober);
        for byte in [HealthByte::Passive, HealthByte::Listener] {
            if self.lift(backend, byte) || held.byte(byte) != 0 {
                self.readmit(backend, byte);
            }
        }
        if suspected.is_some() {
            self.commands.push(Command::Answered(*backend));
        }
    }

    /// `by` objects to new connections from now on; reported if it did not before.
    pub(super) fn raise(
        &mut self,
        backend: &BackendRef,
        by: HealthByte,
        why: Arc<str>,
        happened: &mut Vec<Transition>,
    ) {
        if self.object(*backend, by, Arc::clone(&why)) {
            happened.push(Transition::Ejected { backend: *backend, by, why });
            self.recompile_users(backend, happened);
        }
    }

    /// `by` objects no longer, unless for another reason.
    pub(super) fn withdraw(
        &mut self,
        backend: &BackendRef,
        by: HealthByte,
        happened: &mut Vec<Transition>,
    ) {
        let trouble = self.backends.get(backend).and_then(|known| known.trouble.as_ref());
        if trouble.is_some_and(|trouble| trouble.word().byte(by) != 0) {
            return;
        }
        self.backends.change(backend, |trouble| trouble.is_reset &= trouble.is_objected());
        if self.lift(backend, by) {
            happened.push(Transition::Readmitted { backend: *backend, by });
            self.recompile_users(backend, happened);
        }
    }

    /// How a backend is probed, all its services considered.
    pub(super) fn probe(&self, backend: &BackendRef) -> Option<Probe> {
        if !is_probed(backend) {
            return None;
        }
        let users = self.backends.users(backend).into_iter();
        users
            .filter_map(|user| self.services.get(user)?.policy.probe.clone())
            .reduce(|one, other| strictest(&one, &other))
    }
}

/// The bytes that are verdicts of an agent; what else the kernel has written is a suspicion.
fn verdicts(found: HealthWord) -> HealthWord {
    RESTORED.into_iter().fold(HealthWord::new(0), |word, by| {
        let byte = found.byte(by);
        let is_verdict = by == HealthByte::Prober || byte & HealthWord::CONFIRMED != 0;
        word.with(by, if is_verdict && byte != 0 { value(by) } else { 0 })
    })
}
