//! When a backend returns that was ejected because connects and a probe of it failed.
//!
//! In order:
//!
//! 1. As many successes in a row as the probe asks for end it, at once if it is the first ejection
//!    in a row (Envoy's `successful_active_health_check_uneject_host`), else not before its time.
//! 2. One that was found after a restart, and has not answered since, ends when its time has passed:
//!    perhaps no probe can reach the backend.
//!
//! A listener's death ends with a new listener, or with a probe that is answered.

use std::time::Duration;

use redirector_common::{HealthByte, Limits};

use super::{
    State,
    trouble::{Passive, Trouble},
};
use crate::{
    input::{Command, Moment, Transition},
    service::{BackendRef, LIMITS},
};

impl State {
    /// A probe succeeded: ends the verdicts that it disproves.
    pub(super) fn answers_after_kernel(
        &mut self,
        backend: &BackendRef,
        healthy: u8,
        now: Moment,
        happened: &mut Vec<Transition>,
    ) {
        let ended = self.backends.change(backend, |trouble| {
            let was_unheard = std::mem::take(&mut trouble.is_unheard);
            if let Some(passive) = &mut trouble.passive {
                passive.successes = passive.successes.saturating_add(1);
            }
            (was_unheard, trouble.is_disproved(healthy))
        });
        let Some((was_unheard, is_over)) = ended else { return };
        if was_unheard {
            self.readmit(backend, HealthByte::Listener);
            self.withdraw(backend, HealthByte::Listener, happened);
        }
        if is_over {
            self.end_ejection(backend, now, happened);
        }
    }

    /// What is due for a backend comes before what is said of it at the same moment.
    pub(super) fn pass_if_due(
        &mut self,
        backend: &BackendRef,
        now: Moment,
        happened: &mut Vec<Transition>,
    ) {
        let trouble = self.backends.get(backend).and_then(|known| known.trouble.as_ref());
        if trouble.is_some_and(|trouble| trouble.due.is_some_and(|at| at <= now)) {
            self.pass_for(backend, now, happened);
        }
    }

    /// Does what is due for one backend.
    pub(super) fn pass_for(
        &mut self,
        backend: &BackendRef,
        now: Moment,
        happened: &mut Vec<Transition>,
    ) {
        let healthy = self.probe(backend).map_or(1, |probe| probe.healthy);
        let has_answered = self.backends.get(backend).is_some_and(|it| it.health.has_answered());
        let due = self.backends.change(backend, |trouble| {
            trouble.vouched.take_if(|until| *until <= now);
            let may_ask = trouble.answer.take_if(|at| *at <= now).is_some();
            let is_well = trouble.forgive.take_if(|at| *at <= now).is_some();
            if is_well {
                trouble.ejections = 0;
            }
            let served = trouble.passive.as_mut().filter(|passive| passive.until <= now);
            let is_served = served.map(|passive| passive.is_served = true).is_some();
            let unjudged = trouble.questions.iter().filter(|(_, question)| question.until <= now);
            let unjudged: Vec<HealthByte> = unjudged.map(|(byte, _)| *byte).collect();
            let is_over = is_served && (!has_answered || trouble.is_disproved(healthy));
            (may_ask, is_well, is_over, unjudged)
        });
        let Some((may_ask, is_well, is_over, unjudged)) = due else { return };
        if may_ask {
            self.commands.push(Command::Answered(*backend));
        }
        if is_well {
            self.commands.push(Command::Forgive(*backend));
        }
        if is_over {
            self.end_ejection(backend, now, happened);
        }
        for byte in unjudged {
            self.dismiss(backend, byte, happened);
        }
    }

    fn end_ejection(&mut self, backend: &BackendRef, now: Moment, happened: &mut Vec<Transition>) {
        let forgiven_at = self.forgiven_at(backend, now);
        self.backends.change(backend, |trouble| trouble.be_well(forgiven_at));
        self.readmit(backend, HealthByte::Passive);
        // A client that avoided it meanwhile was not worth a question.
        self.commands.push(Command::Answered(*backend));
        self.withdraw(backend, HealthByte::Passive, happened);
    }

    pub(super) fn readmit(&mut self, backend: &BackendRef, byte: HealthByte) {
        self.commands.push(Command::Readmit { backend: *backend, byte });
    }

    /// Asks for a probe at once.
    pub(super) fn ask(&mut self, backend: &BackendRef) {
        self.urgency = self.urgency.wrapping_add(1).max(1);
        let urgency = self.urgency;
        self.backends.change(backend, |trouble| trouble.urgency = urgency);
    }

    /// The longest times of the services that list it: through which one it failed is not known.
    pub(super) fn limits(&self, backend: &BackendRef) -> Limits {
        let users = self.backends.users(backend).into_iter();
        let limits = users.filter_map(|user| Some(self.services.get(user)?.policy.limits));
        let longest = |one: Limits, other: Limits| Limits {
            base_ejection_ms: one.base_ejection_ms.max(other.base_ejection_ms),
            max_ejection_ms: one.max_ejection_ms.max(other.max_ejection_ms),
            ..one
        };
        limits.reduce(longest).unwrap_or(LIMITS)
    }

    /// When the ejections of a backend are forgotten that is well from now on.
    pub(super) fn forgiven_at(&self, backend: &BackendRef, now: Moment) -> Moment {
        later(now, Duration::from_millis(self.limits(backend).max_ejection_ms.into()))
    }
}

/// An ejection that was found in the maps: its time begins now.
pub(super) fn since_restart(limits: &Limits, now: Moment) -> Passive {
    Passive { until: later(now, base(limits)), is_served: false, is_refused: true, successes: 0 }
}

/// The moment `by` after `now`.
pub(super) fn later(now: Moment, by: Duration) -> Moment {
    Moment(now.0.saturating_add(by))
}

/// How long a first ejection takes.
pub(super) fn base(limits: &Limits) -> Duration {
    Duration::from_millis(limits.base_ejection_ms.into())
}

impl Trouble {
    /// Whether probes have succeeded often enough to end its ejection.
    fn is_disproved(&self, healthy: u8) -> bool {
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
