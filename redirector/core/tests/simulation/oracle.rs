//! What the core should know, kept apart from it: from what it was told and what the kernel did.

use std::time::Duration;

use redirector_core::{
    Input, Transition,
    input::{KernelEvent, ProbeFailure},
};

use super::fleet::number_of;

/// How long a question of the kernel is open: as long as a first ejection.
const ASKED: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default)]
pub struct Oracle {
    seen: Vec<Seen>,
    pub is_suspect: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Whether a probe of this agent has succeeded.
    pub has_answered: bool,
    /// Probes that failed since the last success.
    pub failures: u32,
    /// Until when the core asks its probes whether connects fail.
    pub asked_until: Duration,
    /// Probes that have failed since the kernel asked last.
    pub failed_since: u32,
    /// Whether one of those was refused or two had no answer, until a probe or trial succeeds.
    pub is_given_up: bool,
    /// How often the core was told something else than before.
    pub told: u64,
    /// Ejections and re-admissions.
    pub transitions: u64,
}

impl Oracle {
    pub fn new(count: usize) -> Self {
        Self { seen: vec![Seen::default(); count], is_suspect: false }
    }

    pub fn of(&self, number: usize) -> &Seen {
        &self.seen[number]
    }

    /// Whether kernel and probes both call a backend dead that has answered before.
    pub fn is_dead(&self, number: usize) -> bool {
        let Seen { has_answered, is_given_up, .. } = self.seen[number];
        has_answered && is_given_up
    }

    pub fn dead(&self) -> impl Iterator<Item = usize> {
        (0..self.seen.len()).filter(|number| self.is_dead(*number))
    }

    /// The kernel has acted on a backend.
    pub fn done(&mut self, number: usize, event: KernelEvent) {
        if event == KernelEvent::Readmitted {
            self.seen[number].is_given_up = false;
            self.seen[number].failures = 0;
        }
    }

    /// The core is about to be told an input.
    pub fn told(&mut self, input: &Input, now: Duration) {
        match input {
            Input::Probed { backend, outcome } => {
                let seen = &mut self.seen[number_of(backend)];
                seen.told += u64::from(outcome.is_ok() == (seen.failures > 0));
                match outcome {
                    Ok(()) => {
                        (seen.has_answered, seen.failures, seen.is_given_up) = (true, 0, false);
                        seen.asked_until = Duration::ZERO;
                    }
                    Err(failure) => {
                        seen.failures += 1;
                        if seen.has_answered && !self.is_suspect && now < seen.asked_until {
                            seen.failed_since += 1;
                            let is_answer = *failure != ProbeFailure::TimedOut;
                            seen.is_given_up |= is_answer || seen.failed_since > 1;
                        }
                    }
                }
            }
            Input::Kernel { backend, event } => {
                let seen = &mut self.seen[number_of(backend)];
                seen.told += 1;
                match event {
                    KernelEvent::Avoided { .. } | KernelEvent::Suspected { .. } => {
                        (seen.asked_until, seen.failed_since) = (now + ASKED, 0);
                    }
                    KernelEvent::Readmitted => seen.asked_until = Duration::ZERO,
                    KernelEvent::ListenerGone | KernelEvent::ListenerBack => {}
                }
            }
            _ => {}
        }
    }

    /// The core has reported a transition.
    pub fn heard(&mut self, transition: &Transition) {
        match transition {
            Transition::Ejected { backend, .. } | Transition::Readmitted { backend, .. } => {
                self.seen[number_of(backend)].transitions += 1;
            }
            Transition::NodeSuspect(is_suspect) => self.is_suspect = *is_suspect,
            _ => {}
        }
    }

    /// Another agent knows nothing of earlier probes; what it lifts or takes over are changes.
    pub fn restarted(&mut self) {
        self.is_suspect = false;
        for seen in &mut self.seen {
            (seen.has_answered, seen.failures, seen.asked_until) = (false, 0, Duration::ZERO);
            seen.told += 2;
        }
    }

    /// No service configures a probe for it: counting starts over.
    pub fn unprobed(&mut self, number: usize) {
        self.seen[number].failures = 0;
    }

    /// No service lists it any more: if one does again it starts anew.
    pub fn relisted(&mut self, number: usize) {
        let Seen { told, transitions, .. } = self.seen[number];
        self.seen[number] = Seen { told: told + 1, transitions, ..Seen::default() };
    }
}
