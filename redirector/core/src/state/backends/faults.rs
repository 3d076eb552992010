//! What is wrong with one backend, or was not long ago.

use std::{collections::BTreeMap, time::Duration};

use redirector_common::{HealthByte, HealthWord, Limits};

use crate::{
    health::{Health, ProbeHealth, Sight, Suspicion},
    input::Moment,
};

/// What is known of one backend.
#[derive(Clone, Debug, Default)]
pub(in crate::state) struct BackendState {
    pub(super) health: Health,
    /// Whether it is out because its cluster is silent: of ten thousand at once, so that it is none of
    /// the faults, which would be allocated for each.
    pub(super) is_cluster_silent: bool,
    /// Nearly all backends have none.
    pub(super) faults: Option<Box<BackendFaults>>,
}

/// What is wrong with a backend, beside what its probes say: nothing, until something happens.
#[derive(Clone, Debug, Default)]
pub(super) struct BackendFaults {
    /// Whether it is out because its node is silent.
    pub(super) is_node_silent: bool,
    /// What the kernel saw that is no verdict, by its byte.
    pub(super) questions: BTreeMap<HealthByte, Question>,
    /// The ejection because its connects failed, and a probe too.
    pub(super) passive: Option<Passive>,
    /// Whether its local listener is gone, and a probe failed.
    pub(super) is_unheard: bool,
    /// Ejections in a row for failed connects, without those that a probe contradicted.
    pub(super) ejections: u32,
    /// When these are forgotten, since it is well again.
    pub(super) forgive: Option<Moment>,
    /// Until when several clients' failures do not take it from everybody.
    pub(super) vouched: Option<Moment>,
    /// The same for requests that were not answered.
    pub(super) vouched_answers: Option<Moment>,
    /// When the kernel may ask about it again: a probe has contradicted a client.
    pub(super) answer: Option<Moment>,
    /// When the kernel was last asked to eject it: news that it has re-admitted it may cross that.
    pub(super) ejected: Option<Moment>,
    /// A probe is asked for at once when this changes; 0: none was yet.
    pub(super) urgency: u32,
    /// Whether its established sockets have been destroyed.
    pub(super) is_reset: bool,
    /// [`next`](Self::next), as the timers have it.
    pub(super) due: Option<Moment>,
}

/// What the kernel saw of a backend, and what its probes have said of that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) suspicion: Suspicion,
    /// When the question ends if no probe has succeeded.
    pub(super) until: Moment,
    /// Whether several clients, or the end of its listener, are believed until then, because no
    /// probe has ever reached the backend and a failure proves nothing.
    pub(super) is_believed: bool,
    /// Whether one probe was not answered: packets get lost, so one more was asked for.
    pub(super) is_asked_twice: bool,
}

/// An ejection for failed connects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passive {
    /// Before that moment only a first ejection may end.
    pub(super) until: Moment,
    /// Whether `until` has passed.
    pub(super) is_served: bool,
    /// Whether connects or probes were refused; else they were not answered.
    pub(super) is_refused: bool,
    /// Whether requests were not answered: then only a probe that asks one says that it is well.
    pub(super) is_unresponsive: bool,
    /// Probes that succeeded in a row since then.
    pub(super) successes: u8,
}

impl BackendFaults {
    /// The next moment at which time alone changes something.
    pub(super) fn next(&self) -> Option<Moment> {
        let trial = self.passive.as_ref().filter(|passive| !passive.is_served);
        let trial = trial.map(|passive| passive.until);
        let questions = self.questions.values().map(|question| question.until);
        let vouched = self.vouched.into_iter().chain(self.vouched_answers);
        questions.chain(trial).chain(self.forgive).chain(vouched).chain(self.answer).min()
    }

    /// Whether a timer is to be remembered though nothing is wrong.
    pub(super) fn has_timer(&self) -> bool {
        self.forgive.or(self.vouched).or(self.vouched_answers).or(self.answer).is_some()
    }

    /// Bytes by which the kernel holds it back from everybody without a verdict.
    pub(super) fn held(&self) -> HealthWord {
        let held = self.questions.iter().filter(|(_, question)| question.suspicion.is_held);
        let suspected = HealthWord::SUSPECTED;
        held.fold(HealthWord::new(0), |word, (byte, _)| word.with(*byte, suspected))
    }

    /// Whether it is held back because it does not answer, by a verdict or before one.
    pub(super) fn is_unresponsive(&self) -> bool {
        let question = self.questions.get(&HealthByte::Passive);
        let is_said = |question: &Question| {
            question.suspicion.is_held
                && matches!(question.suspicion.sight, Sight::Unresponsive { .. })
        };
        self.passive.is_some_and(|passive| passive.is_unresponsive) || question.is_some_and(is_said)
    }

    /// Whether probes have succeeded often enough to end its ejection.
    pub(super) fn is_disproved(&self, healthy: u8) -> bool {
        self.passive.is_some_and(|passive| {
            passive.successes >= healthy && (self.ejections == 1 || passive.is_served)
        })
    }

    /// Ends an ejection; if all stays well its ejections are forgotten then.
    pub(super) fn be_well(&mut self, forgiven_at: Moment) {
        if self.passive.take().is_some() {
            self.forgive = Some(forgiven_at);
        }
    }
}

impl Passive {
    /// An ejection that was found in the maps: its time begins now.
    pub(super) fn since_restart(limits: &Limits, now: Moment, is_unresponsive: bool) -> Self {
        let until = now.after(first_ejection(limits));
        Self { until, is_served: false, is_refused: true, is_unresponsive, successes: 0 }
    }
}

/// How long a first ejection takes.
pub(super) fn first_ejection(limits: &Limits) -> Duration {
    Duration::from_millis(limits.base_ejection_ms.into())
}

impl BackendState {
    /// The bytes that object: its probes', its clients' and its listener's.
    pub(super) fn word(&self) -> HealthWord {
        let is_ejected = self.health.is_ejected() || self.is_cluster_silent;
        let Some(faults) = &self.faults else {
            return HealthWord::new(0).with(HealthByte::Prober, is_ejected.into());
        };
        let confirmed = |is_verdict: bool, byte: HealthByte| {
            let is_believed = faults.questions.get(&byte).is_some_and(|it| it.is_believed);
            if is_verdict || is_believed { HealthWord::CONFIRMED } else { 0 }
        };
        HealthWord::new(0)
            .with(HealthByte::Prober, (is_ejected || faults.is_node_silent).into())
            .with(HealthByte::Passive, confirmed(faults.passive.is_some(), HealthByte::Passive))
            .with(HealthByte::Listener, confirmed(faults.is_unheard, HealthByte::Listener))
    }

    /// Whether its probes are to say how it is.
    pub(super) fn is_doubted(&self) -> bool {
        let has_question = |faults: &BackendFaults| !faults.questions.is_empty();
        !self.word().is_usable() || self.faults.as_deref().is_some_and(has_question)
    }

    /// What its probes have shown.
    pub(in crate::state) fn health(&self) -> Health {
        self.health
    }

    /// Whether it answered its last probe, and nothing is said against it by its probes.
    pub(in crate::state) fn is_well(&self) -> bool {
        self.health.as_probes_see_it() == ProbeHealth::Healthy
    }

    /// Whether it was lost without a word: nothing refused, and a probe has seen it.
    pub(in crate::state) fn is_silent(&self) -> bool {
        (self.health.is_ejected() && self.health.is_silent())
            || self.passive().is_some_and(|passive| !passive.is_refused)
    }

    /// Whether something of its node answers: it refuses connections, or accepts them and leaves them alone.
    pub(in crate::state) fn is_reached(&self) -> bool {
        self.is_refusing() || self.passive().is_some_and(|passive| passive.is_unresponsive)
    }

    /// Whether it answers, if only to refuse: a death that was announced.
    pub(in crate::state) fn is_refusing(&self) -> bool {
        self.faults.as_ref().is_some_and(|faults| faults.is_unheard)
            || (self.health.is_ejected() && !self.health.is_silent())
            || self.passive().is_some_and(|passive| passive.is_refused)
    }

    /// Whether its end was announced, as far as can be told: it may be finishing its requests.
    pub(super) fn is_announced(&self) -> bool {
        let has_said = |question: &Question| match question.suspicion.sight {
            Sight::ListenerGone => true,
            Sight::Connects { refused, .. } => refused && question.is_believed,
            Sight::Unresponsive { .. } => false,
        };
        let mut questions = self.faults.iter().flat_map(|faults| faults.questions.values());
        self.is_refusing() || questions.any(has_said)
    }

    /// Whether it is out because its node is silent.
    pub(in crate::state) fn is_node_silent(&self) -> bool {
        self.faults.as_ref().is_some_and(|faults| faults.is_node_silent)
    }

    /// Whether it is out because its cluster is silent.
    pub(in crate::state) fn is_cluster_silent(&self) -> bool {
        self.is_cluster_silent
    }

    /// Whether it is, from now on.
    pub(in crate::state) fn set_cluster_silent(&mut self, is_silent: bool) {
        self.is_cluster_silent = is_silent;
    }

    fn passive(&self) -> Option<&Passive> {
        self.faults.as_ref()?.passive.as_ref()
    }
}
