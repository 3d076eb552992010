//! Who may receive new connections: what probes say, and how a backend is ejected and re-admitted.

use std::{collections::BTreeMap, sync::Arc};

use redirector_common::{HealthByte, HealthWord};

use super::{faults::BackendState, is_probed};
use crate::{
    health::{BackendHealth, strictest},
    input::{Moment, ProbeFailure, Transition},
    service::{BackendRef, Probe},
    state::{State, vetoes::value},
};

impl State {
    /// How a backend is, and who objects to it. `None` if no service lists it.
    #[must_use]
    pub fn health_of(&self, backend: &BackendRef) -> Option<BackendHealth> {
        let state = self.backends.get(backend)?;
        let questions = state.faults.iter().flat_map(|faults| faults.questions.values());
        let open = questions.filter(|question| !question.is_believed);
        Some(BackendHealth {
            suspicions: open.map(|question| question.suspicion).collect(),
            probes: state.health.as_probes_see_it(),
            objections: self.vetoes.of(backend).map(|(by, veto)| (by, veto.clone())).collect(),
        })
    }

    /// Whether there is a veto on that backend.
    #[must_use]
    pub fn is_ejected(&self, backend: &BackendRef) -> bool {
        self.tables.objections.contains_key(backend)
    }

    /// All bytes of a backend; the generation is 0.
    pub(in crate::state) fn word_of(&self, backend: &BackendRef) -> HealthWord {
        self.tables.objections.get(backend).copied().unwrap_or_default()
    }

    /// Whether that byte of a backend is not 0.
    pub(in crate::state) fn has_veto(&self, backend: &BackendRef, by: HealthByte) -> bool {
        self.word_of(backend).byte(by) != 0
    }

    pub(in crate::state) fn probed(
        &mut self,
        backend: &BackendRef,
        outcome: Result<(), ProbeFailure>,
    ) {
        if !self.backends.is_listed(backend) {
            return;
        }
        self.pass_if_due(backend);
        match outcome {
            Ok(()) => self.answered(backend),
            Err(failure) => self.unanswered(backend, &failure),
        }
    }

    fn answered(&mut self, backend: &BackendRef) {
        let healthy = self.probe(backend).map_or(1, |probe| probe.healthy);
        self.node_answers(backend);
        self.cluster_answers(backend);
        let Some(health) = self.backends.health(backend) else { return };
        let is_readmitted = health.succeeded(healthy);
        if self.backends.faults(backend).is_none() && !is_readmitted {
            return;
        }
        if is_readmitted {
            self.readmit(backend, HealthByte::Prober);
        }
        self.contradict(backend);
        self.answers_after_kernel(backend, healthy);
    }

    fn unanswered(&mut self, backend: &BackendRef, failure: &ProbeFailure) {
        // While all are out its own failures add nothing: the way back would take longer by them.
        let is_excused = self.nodes.is_suspect() || self.clusters.is_left_alone(backend);
        let unhealthy = self.probe(backend).map(|probe| probe.unhealthy);
        let Some(health) = self.backends.health(backend) else { return };
        let is_ejected = health.failed(failure, unhealthy.filter(|_| !is_excused));
        let (has_answered, failures) = (health.has_answered(), health.failures());
        let is_silence = *failure == ProbeFailure::TimedOut;
        if has_answered && is_silence {
            self.node_fails(backend);
        }
        self.cluster_fails(backend, is_silence && failures == 1);
        if is_ejected {
            self.eject(backend, HealthByte::Prober, failure.to_string().into());
        }
        let state = self.backends.get(backend);
        if !state.is_some_and(|state| state.health.is_ejected() || state.faults.is_some()) {
            return;
        }
        self.backends.change(backend, |faults| {
            if let Some(passive) = &mut faults.passive {
                passive.successes = 0;
                passive.is_refused |= *failure != ProbeFailure::TimedOut;
            }
        });
        self.judge_seen(backend, failure, has_answered);
        self.fall_silent(backend);
    }

    /// What should follow from a backend that may have been lost without a word.
    fn fall_silent(&mut self, backend: &BackendRef) {
        if self.backends.get(backend).is_some_and(BackendState::is_silent) {
            self.reset(backend);
            self.silence_node(backend);
        }
    }

    /// Does what time has brought, one thing after the other.
    pub(in crate::state) fn verdicts_pass(&mut self) {
        while let Some((at, backend)) = self.backends.first_due()
            && at <= self.now
        {
            self.pass_for(&backend);
        }
        self.suspect();
        self.clusters_pass();
        self.backends.forget_unused(self.now);
    }

    /// When [`verdicts_pass`](Self::verdicts_pass) has something to do next.
    pub(in crate::state) fn verdicts_deadline(&self) -> Option<Moment> {
        let first = self.backends.first_due().map(|(at, _)| at);
        let others = [self.nodes.deadline(), self.clusters.deadline(), self.backends.unused_at()];
        first.into_iter().chain(others.into_iter().flatten()).min()
    }

    /// Every byte of probes and the kernel, computed anew.
    pub(in crate::state) fn watched_words(&self) -> BTreeMap<BackendRef, HealthWord> {
        let mut words = self.backends.restored_verdicts();
        for (backend, listed) in &self.backends.listed {
            let word = listed.state.word();
            if !word.is_usable() {
                words.entry(*backend).or_default().0 |= word.0;
            }
        }
        words
    }

    /// `by` objects to new connections from now on; reported if it did not before.
    pub(in crate::state) fn eject(&mut self, backend: &BackendRef, by: HealthByte, why: Arc<str>) {
        if self.set_veto(*backend, by, Arc::clone(&why)) {
            self.happened.push(Transition::Ejected { backend: *backend, by, why });
            self.recompile_users_of(&[*backend]);
        }
    }

    /// `by` objects no longer, unless for another reason.
    pub(in crate::state) fn readmit(&mut self, backend: &BackendRef, by: HealthByte) {
        if self.lift(backend, by) {
            self.happened.push(Transition::Readmitted { backend: *backend, by });
            self.recompile_users_of(&[*backend]);
        }
    }

    /// As [`readmit`](Self::readmit), without a word. Returns whether `by` did object; the caller
    /// recompiles the users.
    pub(in crate::state) fn lift(&mut self, backend: &BackendRef, by: HealthByte) -> bool {
        let state = self.backends.get(backend);
        let word = state.map(BackendState::word).unwrap_or_default();
        if word.byte(by) != 0 {
            return false;
        }
        if state.is_some_and(|state| state.faults.is_some()) {
            self.backends.change(backend, |faults| faults.is_reset &= !word.is_usable());
        }
        self.clear_veto(backend, by)
    }

    /// Sets a veto. Returns whether there was none by that byte. The caller recompiles the users.
    pub(in crate::state) fn set_veto(
        &mut self,
        backend: BackendRef,
        by: HealthByte,
        why: Arc<str>,
    ) -> bool {
        if by != HealthByte::Operator {
            self.failback.note_ejection(backend);
        }
        let is_new = self.vetoes.set(backend, by, why, self.now);
        self.tables.objections.insert(backend, self.vetoes.word(&backend));
        is_new
    }

    /// As [`set_veto`](Self::set_veto), on each of these, which are sorted: at a fraction of its cost.
    /// Returns those on which there was none by that byte.
    pub(in crate::state) fn set_vetoes(
        &mut self,
        backends: &[BackendRef],
        by: HealthByte,
        why: &Arc<str>,
    ) -> Vec<BackendRef> {
        self.failback.note_ejections(backends);
        let objections = &mut self.tables.objections;
        let mut fresh = Vec::with_capacity(backends.len());
        for backend in backends {
            match objections.get_mut(backend) {
                Some(word) => *word = word.with(by, value(by)),
                None => fresh.push((*backend, HealthWord::new(0).with(by, value(by)))),
            }
        }
        objections.append(&mut fresh.into_iter().collect());
        self.vetoes.set_all(backends, by, why, self.now)
    }

    /// Clears a veto. Returns whether there was one. The caller recompiles the users.
    pub(in crate::state) fn clear_veto(&mut self, backend: &BackendRef, by: HealthByte) -> bool {
        let was = self.vetoes.clear(backend, by);
        let word = self.vetoes.word(backend);
        if word.is_usable() {
            self.tables.objections.remove(backend);
        } else {
            self.tables.objections.insert(*backend, word);
        }
        was
    }

    /// How a backend is probed, all its services considered.
    pub(in crate::state) fn probe(&self, backend: &BackendRef) -> Option<Probe> {
        if !is_probed(backend) {
            return None;
        }
        self.users(backend)
            .filter_map(|service| service.policy.probe.clone())
            .reduce(|one, other| strictest(&one, &other))
    }
}
