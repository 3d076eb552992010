//! What is wrong with one backend, or was not long ago.

use std::collections::BTreeMap;

use redirector_common::{HealthByte, HealthWord};

use crate::{
    health::{Sight, Suspicion},
    input::Moment,
};

/// What is wrong with a backend: nothing, until something happens.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble {
    /// The ejection by its probes, while they fail.
    pub(super) prober: Option<Failing>,
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

/// An ejection by probes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failing {
    /// Its probes were not answered, not even by a refusal.
    pub(super) is_silent: bool,
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
    /// Probes that succeeded in a row since then.
    pub(super) successes: u8,
}

impl Trouble {
    /// The next moment at which time alone changes something.
    pub(super) fn next(&self) -> Option<Moment> {
        let trial = self.passive.as_ref().filter(|passive| !passive.is_served);
        let trial = trial.map(|passive| passive.until);
        let questions = self.questions.values().map(|question| question.until);
        questions.chain(trial).chain(self.forgive).chain(self.vouched).chain(self.answer).min()
    }

    /// Whether there is nothing left to remember.
    pub(super) fn is_over(&self) -> bool {
        let has_timer = self.forgive.or(self.vouched).or(self.answer).is_some();
        !self.is_doubted() && !has_timer
    }

    /// Whether its probes are to say how it is.
    pub(super) fn is_doubted(&self) -> bool {
        self.is_objected() || !self.questions.is_empty()
    }

    /// Whether its probes, its clients or its listener object.
    pub(super) fn is_objected(&self) -> bool {
        !self.word().is_usable()
    }

    /// The bytes that object.
    pub(super) fn word(&self) -> HealthWord {
        let prober = self.prober.is_some() || self.is_node_silent;
        let confirmed = |is_verdict: bool, byte: HealthByte| {
            let is_believed = self.questions.get(&byte).is_some_and(|it| it.is_believed);
            if is_verdict || is_believed { HealthWord::CONFIRMED } else { 0 }
        };
        HealthWord::new(0)
            .with(HealthByte::Prober, prober.into())
            .with(HealthByte::Passive, confirmed(self.passive.is_some(), HealthByte::Passive))
            .with(HealthByte::Listener, confirmed(self.is_unheard, HealthByte::Listener))
    }

    /// Bytes by which the kernel holds it back from everybody without a verdict.
    pub(super) fn held(&self) -> HealthWord {
        let held = self.questions.iter().filter(|(_, question)| question.suspicion.is_held);
        let suspected = HealthWord::SUSPECTED;
        held.fold(HealthWord::new(0), |word, (byte, _)| word.with(*byte, suspected))
    }

    /// Whether it was lost without a word: nothing refused, and a probe has seen it.
    pub(super) fn is_silent(&self) -> bool {
        self.prober.as_ref().is_some_and(|failing| failing.is_silent)
            || self.passive.as_ref().is_some_and(|passive| !passive.is_refused)
    }

    /// Whether it answers, if only to refuse: a death that was announced.
    pub(super) fn is_refusing(&self) -> bool {
        self.is_unheard
            || self.prober.as_ref().is_some_and(|failing| !failing.is_silent)
            || self.passive.as_ref().is_some_and(|passive| passive.is_refused)
    }

    /// Whether its end was announced, as far as can be told: it may be finishing its requests.
    pub(super) fn is_announced(&self) -> bool {
        let has_said = |question: &Question| match question.suspicion.sight {
            Sight::ListenerGone => true,
            Sight::Connects { refused, .. } => refused && question.is_believed,
        };
        self.is_refusing() || self.questions.values().any(has_said)
    }
}
