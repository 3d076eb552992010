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
//! 4. It fails, and no probe has ever reached the backend: perhaps none can. One client's word
//!    moves only that client. Several, and a listener's death, are believed for the time of a first
//!    ejection, however often. Of no service more than half of the backends of a family are out on
//!    the word of clients alone, so that they cannot take a service down.
//! 5. No probe ends in the time of a first ejection: the question is dropped, and asked anew when
//!    the kernel sees it again.

use std::{sync::Arc, time::Duration};

use redirector_common::{HealthByte, HealthWord};

use super::{
    State,
    passive::{base, later},
    trouble::{Passive, Question, Trouble},
};
use crate::{
    health::{Sight, Suspicion},
    input::{Command, KernelEvent, Moment, ProbeFailure, Transition},
    service::{BackendRef, Service},
};

/// How long clients are not believed of a backend that has just answered.
const VOUCHED: Duration = Duration::from_secs(20);
/// How long after a contradiction the kernel may ask about a backend again. One client can fail and
/// succeed as often as it likes: each question is a probe, and a lost one may make a verdict.
const ASKED_AGAIN: Duration = Duration::from_secs(1);
/// Bytes that the kernel writes.
const SEEN: [HealthByte; 2] = [HealthByte::Passive, HealthByte::Listener];
/// How long the kernel's news and the agent's commands may take to cross each other.
const CROSSING: Duration = Duration::from_secs(1);

impl State {
    /// Whether the state knows why the kernel's byte of a backend is not 0.
    #[must_use]
    pub fn is_told(&self, backend: &BackendRef, byte: HealthByte) -> bool {
        let held = self.backends.held(backend).unwrap_or_default();
        self.has_objection(backend, byte) || held.byte(byte) != 0
    }

    /// Whether clients' failures are a question that no probe has answered yet.
    #[must_use]
    pub fn is_asked(&self, backend: &BackendRef) -> bool {
        let trouble = self.backends.get(backend).and_then(|known| known.trouble.as_ref());
        trouble.is_some_and(|trouble| trouble.questions.contains_key(&HealthByte::Passive))
    }

    /// Takes in what the kernel did by itself.
    pub(super) fn seen_by_kernel(
        &mut self,
        backend: BackendRef,
        event: KernelEvent,
        now: Moment,
        happened: &mut Vec<Transition>,
    ) {
        if self.backends.get(&backend).is_none() {
            let found = |byte| [(backend, byte, HealthWord::SUSPECTED)];
            match event {
                KernelEvent::Avoided { .. } => self.commands.push(Command::Answered(backend)),
                KernelEvent::Suspected { .. } => self.restore(&found(HealthByte::Passive)),
                KernelEvent::ListenerGone => self.restore(&found(HealthByte::Listener)),
                KernelEvent::Readmitted => SEEN.iter().for_each(|it| self.unrestore(&backend, *it)),
                KernelEvent::ListenerBack => self.unrestore(&backend, HealthByte::Listener),
            }
            return;
        }
        self.pass_if_due(&backend, now, happened);
        match event {
            KernelEvent::Avoided { refused, client } => {
                let sight = Sight::Connects { refused, client: Some(client) };
                self.suspects(&backend, sight, false);
            }
            KernelEvent::Suspected { refused, client, .. } => {
                let sight = Sight::Connects { refused, client: Some(client) };
                self.suspects(&backend, sight, true);
            }
            KernelEvent::ListenerGone => {
                self.suspects(&backend, Sight::ListenerGone, true);
            }
            // Where a connect succeeds a process listens, too.
            KernelEvent::Readmitted => self.readmitted_by_kernel(&backend, &SEEN, now, happened),
            KernelEvent::ListenerBack => {
                self.readmitted_by_kernel(&backend, &[HealthByte::Listener], now, happened);
            }
        }
    }

    /// Has a probe asked about what the kernel saw. What the backend is ejected for already is no
    /// question.
    pub(super) fn suspects(&mut self, backend: &BackendRef, sight: Sight, is_held: bool) {
        let now = self.now;
        let byte = sight.byte();
        let trouble = self.backends.get(backend).and_then(|known| known.trouble.as_ref());
        if trouble.is_some_and(|trouble| trouble.word().byte(byte) != 0) {
            if is_held {
                // What the kernel wrote may have replaced the verdict, or crossed its end.
                self.eject(backend, byte);
            }
            return;
        }
        let vouched = trouble.and_then(|trouble| trouble.vouched);
        let is_vouched = byte == HealthByte::Passive && vouched.is_some_and(|until| now < until);
        if is_held && is_vouched {
            self.readmit(backend, byte);
        }
        let is_held = is_held && !is_vouched;
        let until = later(now, base(&self.limits(backend)));
        let is_new = self.backends.change(backend, |trouble| {
            let asked = trouble.questions.get_mut(&byte);
            if let Some(asked) = asked {
                if is_held && !asked.suspicion.is_held {
                    (asked.suspicion.is_held, asked.until) = (true, until);
                }
                return false;
            }
            let suspicion = Suspicion { sight, since: now, is_held };
            trouble.questions.insert(
                byte,
                Question { suspicion, until, is_believed: false, is_asked_twice: false },
            );
            true
        });
        if is_new == Some(true) {
            self.ask(backend);
        }
    }

    /// Asks all open questions again: this node's network answers.
    pub(super) fn ask_again(&mut self) {
        let suspected: Vec<BackendRef> = self.backends.suspected().copied().collect();
        for backend in suspected {
            self.ask(&backend);
        }
    }

    /// A probe succeeded: whatever was seen is not so, or not so any more.
    pub(super) fn contradict(&mut self, backend: &BackendRef, happened: &mut Vec<Transition>) {
        for byte in SEEN {
            let Some(question) = self.end_question(backend, byte, happened) else { continue };
            if byte == HealthByte::Passive {
                let at = later(self.now, ASKED_AGAIN);
                self.backends.change(backend, |trouble| trouble.answer = Some(at));
            }
            let Suspicion { sight, is_held, .. } = question.suspicion;
            if is_held {
                self.vouch(backend, VOUCHED);
            }
            let (client, refused) = match sight {
                Sight::Connects { refused, client } => (client, refused),
                Sight::ListenerGone => (None, true),
            };
            happened.push(Transition::Contradicted { backend: *backend, client, refused });
        }
    }

    /// A probe failed: confirms what was seen, if probes can tell.
    pub(super) fn judge_seen(
        &mut self,
        backend: &BackendRef,
        failure: &ProbeFailure,
        has_answered: bool,
        happened: &mut Vec<Transition>,
    ) {
        if self.nodes.is_suspect() {
            return;
        }
        for byte in SEEN {
            let trouble = self.backends.get(backend).and_then(|known| known.trouble.as_ref());
            let question = trouble.and_then(|trouble| trouble.questions.get(&byte));
            let Some(Question { suspicion, is_asked_twice, .. }) =
                question.filter(|it| !it.is_believed).copied()
            else {
                continue;
            };
            let is_weak = *failure == ProbeFailure::TimedOut
                && (byte == HealthByte::Listener || !suspicion.is_held);
            if has_answered && is_weak && !is_asked_twice {
                self.backends.change(backend, |trouble| {
                    if let Some(question) = trouble.questions.get_mut(&byte) {
                        question.is_asked_twice = true;
                    }
                });
                self.ask(backend);
            } else if has_answered {
                self.confirm(backend, suspicion.sight, failure, happened);
            } else if !suspicion.is_held {
                self.dismiss(backend, byte, happened);
            } else if byte == HealthByte::Listener || self.has_room_for_hearsay(backend) {
                self.believe(backend, suspicion.sight, happened);
            } else {
                self.dismiss(backend, byte, happened);
                self.vouch(backend, base(&self.limits(backend)));
            }
        }
    }

    /// What was seen is the case: the backend is ejected.
    fn confirm(
        &mut self,
        backend: &BackendRef,
        sight: Sight,
        failure: &ProbeFailure,
        happened: &mut Vec<Transition>,
    ) {
        let (now, limits) = (self.now, self.limits(backend));
        self.backends.change(backend, |trouble| {
            trouble.questions.remove(&sight.byte());
            trouble.vouched = None;
            match sight {
                Sight::ListenerGone => trouble.is_unheard = true,
                Sight::Connects { refused, .. } => {
                    let lasts = Duration::from_nanos(limits.ejection(trouble.ejections));
                    trouble.ejections = trouble.ejections.saturating_add(1);
                    trouble.forgive = None;
                    trouble.passive = Some(Passive {
                        until: later(now, lasts),
                        is_served: false,
                        is_refused: refused || *failure != ProbeFailure::TimedOut,
                        successes: 0,
                    });
                }
            }
        });
        self.eject(backend, sight.byte());
        if sight.byte() == HealthByte::Passive {
            self.commands.push(Command::Answered(*backend));
        }
        self.raise(backend, sight.byte(), sight.why(), happened);
    }

    /// Nothing but what was seen can tell: the backend is out for a while.
    fn believe(&mut self, backend: &BackendRef, sight: Sight, happened: &mut Vec<Transition>) {
        let byte = sight.byte();
        self.backends.change(backend, |trouble| {
            if let Some(question) = trouble.questions.get_mut(&byte) {
                question.is_believed = true;
            }
        });
        self.eject(backend, byte);
        let why = format!("{}; no probe has ever reached it", sight.why());
        self.raise(backend, byte, why.into(), happened);
    }

    /// Whether one more backend may be out on the word of clients: then at least half of the
    /// backends of its family are not, of each service that lists it, and one is usable.
    fn has_room_for_hearsay(&self, backend: &BackendRef) -> bool {
        let is_out = |other: &BackendRef| {
            let trouble = self.backends.get(other).and_then(|known| known.trouble.as_ref());
            let question = trouble.and_then(|it| it.questions.get(&HealthByte::Passive));
            question.is_some_and(|question| question.is_believed)
        };
        let has_room = |service: &Service| {
            let listed = service.backends.iter().map(|listed| &listed.backend);
            let family = listed.filter(|it| it.address.is_ipv6() == backend.address.is_ipv6());
            let (mut all, mut out, mut usable) = (0, 1, false);
            for other in family {
                all += 1;
                if other != backend {
                    out += u32::from(is_out(other));
                    usable |= self.word_of(other).is_usable();
                }
            }
            usable && out <= all / 2
        };
        let mut users = self.backends.users(backend).into_iter();
        users.all(|user| self.services.get(user).is_none_or(has_room))
    }

    /// Ends a question without a verdict, and lets the kernel ask anew.
    pub(super) fn dismiss(
        &mut self,
        backend: &BackendRef,
        byte: HealthByte,
        happened: &mut Vec<Transition>,
    ) {
        let ended = self.end_question(backend, byte, happened);
        if ended.is_some() && byte == HealthByte::Passive {
            self.commands.push(Command::Answered(*backend));
        }
    }

    /// Ends a question without a verdict. Failures that no probe has confirmed make no later
    /// ejection longer.
    fn end_question(
        &mut self,
        backend: &BackendRef,
        byte: HealthByte,
        happened: &mut Vec<Transition>,
    ) -> Option<Question> {
        let end =
            |trouble: &mut Trouble| Some((trouble.questions.remove(&byte)?, trouble.ejections));
        let (question, ejections) = self.backends.change(backend, end).flatten()?;
        let is_held = question.suspicion.is_held;
        if is_held {
            self.readmit(backend, byte);
        }
        if byte == HealthByte::Passive && is_held && ejections == 0 {
            self.commands.push(Command::Forgive(*backend));
        }
        self.withdraw(backend, byte, happened);
        Some(question)
    }

    fn eject(&mut self, backend: &BackendRef, byte: HealthByte) {
        let now = self.now;
        self.backends.change(backend, |trouble| trouble.ejected = Some(now));
        self.commands.push(Command::Eject { backend: *backend, byte });
    }

    fn vouch(&mut self, backend: &BackendRef, lasts: Duration) {
        let until = later(self.now, lasts);
        self.backends.change(backend, |trouble| trouble.vouched = trouble.vouched.max(Some(until)));
        self.commands.push(Command::Vouch { backend: *backend, lasts });
    }

    /// The kernel has re-admitted a backend: neither a question nor a verdict stands any more.
    fn readmitted_by_kernel(
        &mut self,
        backend: &BackendRef,
        bytes: &[HealthByte],
        now: Moment,
        happened: &mut Vec<Transition>,
    ) {
        let forgiven_at = self.forgiven_at(backend, now);
        for byte in bytes {
            let ended = self.backends.change(backend, |trouble| {
                match byte {
                    HealthByte::Listener => trouble.is_unheard = false,
                    _ => trouble.be_well(forgiven_at),
                }
                let has_crossed = trouble.ejected.is_some_and(|at| now < later(at, CROSSING));
                (trouble.questions.remove(byte), has_crossed)
            });
            let Some((question, has_crossed)) = ended else { return };
            if has_crossed {
                // The verdict may have come later.
                self.readmit(backend, *byte);
            }
            if question.is_some() && *byte == HealthByte::Passive {
                self.commands.push(Command::Answered(*backend));
            }
            self.withdraw(backend, *byte, happened);
        }
    }
}

impl Sight {
    /// The byte by which the kernel says it.
    pub(super) fn byte(&self) -> HealthByte {
        match self {
            Self::Connects { .. } => HealthByte::Passive,
            Self::ListenerGone => HealthByte::Listener,
        }
    }

    /// What was seen, in words for an operator.
    fn why(&self) -> Arc<str> {
        match self {
            Self::Connects { refused: true, .. } => "connects were refused",
            Self::Connects { refused: false, .. } => "connects were not answered or found no route",
            Self::ListenerGone => "nobody listens there any more",
        }
        .into()
    }
}
