//! When a backend returns that was ejected because connects and a probe of it failed.
//!
//! In order:
//!
//! 1. As many successes in a row as the probe asks for end it, at once if it is the first ejection
//!    in a row (Envoy's `successful_active_health_check_uneject_host`), else not before its time.
//!    One that does not answer is not ended by a probe that only connects.
//! 2. One that was found after a restart, and has not answered since, ends when its time has passed:
//!    perhaps no probe can reach the backend. So does one for want of answers, where no probe asks.
//!
//! A listener's death ends with a new listener, or with a probe that is answered.

use std::time::Duration;

use redirector_common::{HealthByte, Limits};

use super::faults::Passive;
use crate::{
    input::{Command, Moment},
    service::{BackendRef, LIMITS},
    state::State,
};

impl State {
    /// A probe succeeded: ends the verdicts that it disproves.
    pub(super) fn answers_after_kernel(&mut self, backend: &BackendRef, healthy: u8) {
        let asks = self.asks_for_answers(backend);
        let ended = self.backends.change(backend, |faults| {
            let was_unheard = std::mem::take(&mut faults.is_unheard);
            if let Some(passive) = &mut faults.passive
                && (asks || !passive.is_unresponsive)
            {
                passive.successes = passive.successes.saturating_add(1);
            }
            (was_unheard, faults.is_disproved(healthy))
        });
        let Some((was_unheard, is_over)) = ended else { return };
        if was_unheard {
            self.readmit_in_kernel(backend, HealthByte::Listener);
            self.readmit(backend, HealthByte::Listener);
        }
        if is_over {
            self.end_ejection(backend);
        }
    }

    /// What is due for a backend comes before what is said of it at the same moment.
    pub(super) fn pass_if_due(&mut self, backend: &BackendRef) {
        let due = self.backends.faults(backend).and_then(|faults| faults.due);
        if due.is_some_and(|at| at <= self.now) {
            self.pass_for(backend);
        }
    }

    /// Does what is due for one backend.
    pub(super) fn pass_for(&mut self, backend: &BackendRef) {
        let now = self.now;
        let healthy = self.probe(backend).map_or(1, |probe| probe.healthy);
        let has_answered = self.backends.get(backend).is_some_and(|it| it.health.has_answered());
        let asks = self.asks_for_answers(backend);
        let due = self.backends.change(backend, |faults| {
            faults.vouched.take_if(|until| *until <= now);
            faults.vouched_answers.take_if(|until| *until <= now);
            let may_ask = faults.answer.take_if(|at| *at <= now).is_some();
            let is_well = faults.forgive.take_if(|at| *at <= now).is_some();
            if is_well {
                faults.ejections = 0;
            }
            let served = faults.passive.as_mut().filter(|passive| passive.until <= now);
            let is_served = served.map(|passive| passive.is_served = true).is_some();
            let unjudged = faults.questions.iter().filter(|(_, question)| question.until <= now);
            let unjudged: Vec<HealthByte> = unjudged.map(|(byte, _)| *byte).collect();
            let is_untold = |passive: &Passive| passive.is_unresponsive && !asks;
            let is_untold = !has_answered || faults.passive.as_ref().is_some_and(is_untold);
            let is_over = is_served && (is_untold || faults.is_disproved(healthy));
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
            self.end_ejection(backend);
        }
        for byte in unjudged {
            self.dismiss(backend, byte);
        }
    }

    fn end_ejection(&mut self, backend: &BackendRef) {
        let forgiven_at = self.forgiven_at(backend);
        self.backends.change(backend, |faults| faults.be_well(forgiven_at));
        self.readmit_in_kernel(backend, HealthByte::Passive);
        // A client that avoided it meanwhile was not worth a question.
        self.commands.push(Command::Answered(*backend));
        self.readmit(backend, HealthByte::Passive);
    }

    /// Clears the kernel's own byte.
    pub(super) fn readmit_in_kernel(&mut self, backend: &BackendRef, byte: HealthByte) {
        self.commands.push(Command::Readmit { backend: *backend, byte });
    }

    /// The longest times of the services that list it: through which one it failed is not known.
    pub(super) fn limits(&self, backend: &BackendRef) -> Limits {
        let limits = self.users(backend).map(|service| service.policy.limits);
        let longest = |one: Limits, other: Limits| Limits {
            base_ejection_ms: one.base_ejection_ms.max(other.base_ejection_ms),
            max_ejection_ms: one.max_ejection_ms.max(other.max_ejection_ms),
            ..one
        };
        limits.reduce(longest).unwrap_or(LIMITS)
    }

    /// When the ejections of a backend are forgotten that is well from now on.
    pub(super) fn forgiven_at(&self, backend: &BackendRef) -> Moment {
        self.now.after(Duration::from_millis(self.limits(backend).max_ejection_ms.into()))
    }
}
