//! What the kernel saw of a backend, and what its probes say of that.
//!
//! What a client or a listener shows is a question, never a verdict: no table, hold, Event, node or
//! connection changes for it. The kernel has moved that client, or holds the backend back from
//! everybody if several have seen it. The probe that is asked for at once decides. In order:
//!
//! 1. It succeeds: what was seen is contradicted, and nothing is left of it. The kernel may ask
//!    again after [`ASKED_AGAIN`]. If several had seen it, the kernel takes no client's word for
//!    the backend's death for [`VOUCHED`], so that one that answers is out three times a minute at
//!    most, for a round trip.
//! 2. It fails while this node's own network is suspect: the question stays.
//! 3. It fails, and the backend has answered this node before: that is the verdict. From then on it
//!    is ejected as if probes had found it. A probe without an answer may have been lost: beside one
//!    client's word, or a listener's, it takes a second one.
//! 4. It fails, and no probe has ever reached the backend: perhaps none can. A listener's death is
//!    believed for the time of a first ejection, and what several clients saw as `hearsay.rs` says.
//! 5. It succeeds, what was seen is that requests are not answered, and the probe asks none: it says
//!    nothing of that. The same.
//! 6. No probe ends in the time of a first ejection: the question is dropped, and asked anew when
//!    the kernel sees it again.

use std::{sync::Arc, time::Duration};

use redirector_common::{HealthByte, HealthWord};

use super::faults::{BackendFaults, Passive, Question, first_ejection};
use crate::{
    health::{Sight, Suspicion},
    input::{Command, KernelEvent, ProbeFailure, Transition},
    service::BackendRef,
    state::State,
};

/// How long clients are not believed of a backend that has just answered.
const VOUCHED: Duration = Duration::from_secs(20);
/// How long after a contradiction the kernel may ask about a backend again. One client can fail and
/// succeed as often as it likes: each question is a probe, and a lost one may make a verdict.
const ASKED_AGAIN: Duration = Duration::from_secs(1);
/// Bytes that the kernel writes.
const SEEN: [HealthByte; 2] = [HealthByte::Passive, HealthByte::Listener];
/// How long the kernel's news and the agent's commands may take to cross each other.
const READMIT_GRACE: Duration = Duration::from_secs(1);

impl State {
    /// Whether the state knows why the kernel's byte of a backend is not 0.
    #[must_use]
    pub fn is_told(&self, backend: &BackendRef, byte: HealthByte) -> bool {
        let held = self.backends.suspected.get(backend);
        self.has_veto(backend, byte) || held.is_some_and(|word| word.byte(byte) != 0)
    }

    /// Whether clients' failures are a question that no probe has answered yet.
    #[must_use]
    pub fn is_asked(&self, backend: &BackendRef) -> bool {
        let faults = self.backends.faults(backend);
        faults.is_some_and(|faults| faults.questions.contains_key(&HealthByte::Passive))
    }

    /// Takes in what the kernel did by itself.
    pub(in crate::state) fn seen_by_kernel(&mut self, backend: BackendRef, event: KernelEvent) {
        if !self.backends.is_listed(&backend) {
            let found = |byte| [(backend, byte, HealthWord::SUSPECTED)];
            match event {
                KernelEvent::Avoided { .. } | KernelEvent::Unresponsive { is_held: false, .. } => {
                    self.commands.push(Command::Answered(backend));
                }
                KernelEvent::Unresponsive { is_held: true, .. } => {
                    let seen = HealthWord::SUSPECTED | HealthWord::UNRESPONSIVE;
                    self.restore(&[(backend, HealthByte::Passive, seen)]);
                }
                KernelEvent::Suspected { .. } => self.restore(&found(HealthByte::Passive)),
                KernelEvent::ListenerGone => self.restore(&found(HealthByte::Listener)),
                KernelEvent::Readmitted => SEEN.iter().for_each(|it| self.unrestore(&backend, *it)),
                KernelEvent::ListenerBack => self.unrestore(&backend, HealthByte::Listener),
            }
            return;
        }
        self.pass_if_due(&backend);
        match event {
            KernelEvent::Avoided { refused, client }
            | KernelEvent::Suspected { refused, client, .. } => {
                let is_held = matches!(event, KernelEvent::Suspected { .. });
                let sight = Sight::Connects { refused, client: Some(client) };
                self.suspects(&backend, sight, is_held);
            }
            KernelEvent::Unresponsive { client, is_held } => {
                let sight = Sight::Unresponsive { client: Some(client) };
                self.suspects(&backend, sight, is_held);
            }
            KernelEvent::ListenerGone => self.suspects(&backend, Sight::ListenerGone, true),
            // Where a connect succeeds a process listens, too.
            KernelEvent::Readmitted => self.readmitted_by_kernel(&backend, &SEEN),
            KernelEvent::ListenerBack => {
                self.readmitted_by_kernel(&backend, &[HealthByte::Listener]);
            }
        }
    }

    /// Has a probe asked about what the kernel saw. What the backend is ejected for already is no
    /// question.
    pub(in crate::state) fn suspects(&mut self, backend: &BackendRef, sight: Sight, is_held: bool) {
        let now = self.now;
        let byte = sight.byte();
        let state = self.backends.get(backend);
        if state.is_some_and(|state| state.word().byte(byte) != 0) {
            if is_held {
                // What the kernel wrote may have replaced the verdict, or crossed its end.
                self.eject_in_kernel(backend, byte);
            }
            return;
        }
        let is_silence = matches!(sight, Sight::Unresponsive { .. });
        let vouched = self
            .backends
            .faults(backend)
            .and_then(|faults| if is_silence { faults.vouched_answers } else { faults.vouched });
        let is_vouched = byte == HealthByte::Passive && vouched.is_some_and(|until| now < until);
        if is_held && is_vouched {
            self.readmit_in_kernel(backend, byte);
        }
        let is_held = is_held && !is_vouched;
        let until = now.after(first_ejection(&self.limits(backend)));
        let is_new = self.backends.change(backend, |faults| {
            let asked = faults.questions.get_mut(&byte);
            if let Some(asked) = asked {
                if is_held && !asked.suspicion.is_held {
                    (asked.suspicion.sight, asked.suspicion.is_held) = (sight, true);
                    asked.until = until;
                }
                return false;
            }
            let suspicion = Suspicion { sight, since: now, is_held };
            faults.questions.insert(
                byte,
                Question { suspicion, until, is_believed: false, is_asked_twice: false },
            );
            true
        });
        if is_new == Some(true) {
            self.backends.ask(backend);
        }
    }

    /// A probe succeeded: whatever was seen is not so, or not so any more; unless it was that requests
    /// are not answered, and the probe asks none.
    pub(in crate::state) fn contradict(&mut self, backend: &BackendRef) {
        let asks = self.asks_for_answers(backend);
        for byte in SEEN {
            let faults = self.backends.faults(backend);
            let question = faults.and_then(|faults| faults.questions.get(&byte));
            let Some(Question { suspicion, is_believed, .. }) = question.copied() else { continue };
            let Suspicion { sight, is_held, .. } = suspicion;
            let is_silence = matches!(sight, Sight::Unresponsive { .. });
            if is_silence && !asks && is_held {
                if !is_believed {
                    self.hear(backend, sight);
                }
                continue;
            }
            self.end_question(backend, byte);
            if byte == HealthByte::Passive {
                let at = self.now.after(ASKED_AGAIN);
                self.backends.change(backend, |faults| faults.answer = Some(at));
            }
            if is_silence && !asks {
                continue;
            }
            if is_held {
                self.vouch(backend, VOUCHED, asks);
            }
            let (client, refused) = match sight {
                Sight::Connects { refused, client } => (client, refused),
                Sight::Unresponsive { client } => (client, false),
                Sight::ListenerGone => (None, true),
            };
            self.happened.push(Transition::Contradicted {
                backend: *backend,
                client,
                refused,
                unresponsive: is_silence,
            });
        }
    }

    /// A probe failed: confirms what was seen, if probes can tell.
    pub(in crate::state) fn judge_seen(
        &mut self,
        backend: &BackendRef,
        failure: &ProbeFailure,
        has_answered: bool,
    ) {
        if self.nodes.is_suspect() {
            return;
        }
        for byte in SEEN {
            let faults = self.backends.faults(backend);
            let question = faults.and_then(|faults| faults.questions.get(&byte));
            let Some(Question { suspicion, is_asked_twice, .. }) =
                question.filter(|it| !it.is_believed).copied()
            else {
                continue;
            };
            let is_silence = matches!(suspicion.sight, Sight::Unresponsive { .. });
            if is_silence && *failure != ProbeFailure::TimedOut {
                // It has answered, if only to say no: what that means is for its probes' own threshold.
                self.dismiss(backend, byte);
                continue;
            }
            let is_weak = *failure == ProbeFailure::TimedOut
                && (byte == HealthByte::Listener || !suspicion.is_held);
            if has_answered && is_weak && !is_asked_twice {
                self.backends.change(backend, |faults| {
                    if let Some(question) = faults.questions.get_mut(&byte) {
                        question.is_asked_twice = true;
                    }
                });
                self.backends.ask(backend);
            } else if has_answered {
                self.confirm(backend, suspicion.sight, failure);
            } else if !suspicion.is_held {
                self.dismiss(backend, byte);
            } else {
                self.hear(backend, suspicion.sight);
            }
        }
    }

    /// What was seen is the case: the backend is ejected.
    fn confirm(&mut self, backend: &BackendRef, sight: Sight, failure: &ProbeFailure) {
        let (now, limits) = (self.now, self.limits(backend));
        let asks = self.asks_for_answers(backend);
        self.backends.change(backend, |faults| {
            faults.questions.remove(&sight.byte());
            (faults.vouched, faults.vouched_answers) = (None, None);
            match sight {
                Sight::ListenerGone => faults.is_unheard = true,
                Sight::Connects { .. } | Sight::Unresponsive { .. } => {
                    let refused = matches!(sight, Sight::Connects { refused: true, .. });
                    let is_silence = matches!(sight, Sight::Unresponsive { .. });
                    let lasts = Duration::from_nanos(limits.ejection(faults.ejections));
                    faults.ejections = faults.ejections.saturating_add(1);
                    faults.forgive = None;
                    faults.passive = Some(Passive {
                        until: now.after(lasts),
                        is_served: false,
                        is_refused: refused || *failure != ProbeFailure::TimedOut,
                        is_unresponsive: is_silence && asks,
                        successes: 0,
                    });
                }
            }
        });
        self.eject_in_kernel(backend, sight.byte());
        if sight.byte() == HealthByte::Passive {
            self.commands.push(Command::Answered(*backend));
        }
        self.eject(backend, sight.byte(), sight.why());
    }

    /// Ends a question without a verdict, and lets the kernel ask anew.
    pub(in crate::state) fn dismiss(&mut self, backend: &BackendRef, byte: HealthByte) {
        let ended = self.end_question(backend, byte);
        if ended.is_some() && byte == HealthByte::Passive {
            self.commands.push(Command::Answered(*backend));
        }
    }

    /// Ends a question without a verdict. Failures that no probe has confirmed make no later
    /// ejection longer.
    fn end_question(&mut self, backend: &BackendRef, byte: HealthByte) -> Option<Question> {
        let end =
            |faults: &mut BackendFaults| Some((faults.questions.remove(&byte)?, faults.ejections));
        let (question, ejections) = self.backends.change(backend, end).flatten()?;
        let is_held = question.suspicion.is_held;
        if is_held {
            self.readmit_in_kernel(backend, byte);
        }
        if byte == HealthByte::Passive && is_held && ejections == 0 {
            self.commands.push(Command::Forgive(*backend));
        }
        self.readmit(backend, byte);
        Some(question)
    }

    pub(super) fn eject_in_kernel(&mut self, backend: &BackendRef, byte: HealthByte) {
        let now = self.now;
        let is_unresponsive = self.backends.change(backend, |faults| {
            faults.ejected = Some(now);
            faults.is_unresponsive()
        });
        let unresponsive = byte == HealthByte::Passive && is_unresponsive == Some(true);
        self.commands.push(Command::Eject { backend: *backend, byte, unresponsive });
    }

    /// For so long the kernel ejects for no client's word; where that is for `answers` too, for as long
    /// as it was promised before.
    pub(super) fn vouch(&mut self, backend: &BackendRef, lasts: Duration, answers: bool) {
        let (now, until) = (self.now, self.now.after(lasts));
        let promised = self.backends.change(backend, |faults| {
            faults.vouched = faults.vouched.max(Some(until));
            if answers {
                faults.vouched_answers = faults.vouched_answers.max(Some(until));
            }
            faults.vouched_answers.filter(|until| now < *until)
        });
        let (lasts, answers) = match promised.flatten() {
            Some(until) => (lasts.max(until.0.saturating_sub(now.0)), true),
            None => (lasts, answers),
        };
        self.commands.push(Command::Vouch { backend: *backend, lasts, answers });
    }

    /// The kernel has re-admitted a backend: neither a question nor a verdict stands any more.
    fn readmitted_by_kernel(&mut self, backend: &BackendRef, bytes: &[HealthByte]) {
        let now = self.now;
        let forgiven_at = self.forgiven_at(backend);
        for byte in bytes {
            let ended = self.backends.change(backend, |faults| {
                match byte {
                    HealthByte::Listener => faults.is_unheard = false,
                    _ => faults.be_well(forgiven_at),
                }
                let has_crossed = faults.ejected.is_some_and(|at| now < at.after(READMIT_GRACE));
                (faults.questions.remove(byte), has_crossed)
            });
            let Some((question, has_crossed)) = ended else { return };
            if has_crossed {
                // The verdict may have come later.
                self.readmit_in_kernel(backend, *byte);
            }
            if question.is_some() && *byte == HealthByte::Passive {
                self.commands.push(Command::Answered(*backend));
            }
            self.readmit(backend, *byte);
        }
    }
}

impl Sight {
    /// The byte by which the kernel says it.
    pub(in crate::state) fn byte(&self) -> HealthByte {
        match self {
            Self::Connects { .. } | Self::Unresponsive { .. } => HealthByte::Passive,
            Self::ListenerGone => HealthByte::Listener,
        }
    }

    /// What was seen, in words for an operator.
    pub(super) fn why(&self) -> Arc<str> {
        match self {
            Self::Connects { refused: true, .. } => "connects were refused",
            Self::Connects { refused: false, .. } => "connects were not answered or found no route",
            Self::Unresponsive { .. } => "requests were not answered",
            Self::ListenerGone => "nobody listens there any more",
        }
        .into()
    }
}
