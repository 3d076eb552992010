//! What the core should know, kept apart from it: from what it was told and what the kernel did.

use std::{collections::BTreeSet, time::Duration};

use redirector_core::{
    Input, Transition,
    input::{KernelEvent, ProbeFailure},
    remote_cluster::{ClusterPhase, OnSilence},
    service::Backend,
};

use super::fleet::number_of;

/// How long a question of the kernel is open: as long as a first ejection.
const ASKED: Duration = Duration::from_secs(10);

/// Before so long nothing follows from a silence: a round of questions, and a moment.
const ROUND: Duration = Duration::from_millis(1_001);
/// The most successes that a probe of these worlds asks for.
const HEALTHY: u32 = 3;

#[derive(Clone, Debug, Default)]
pub struct Oracle {
    seen: Vec<Seen>,
    pub is_suspect: bool,
    /// What was said of west, and since when that is so and has gone unanswered.
    west: Option<(ClusterPhase, OnSilence)>,
    west_since: Duration,
    /// Numbers of backends in west.
    in_west: BTreeSet<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Whether a probe of this agent has succeeded.
    pub has_answered: bool,
    /// Probes that failed since the last success.
    pub failures: u32,
    /// Successes since the last failure.
    pub successes: u32,
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
    pub fn new(fleet: &[Backend]) -> Self {
        let is_there = |backend: &Backend| backend.locality.cluster.as_deref() == Some("west");
        let there = fleet.iter().filter(|backend| is_there(backend));
        let in_west = there.map(|backend| number_of(&backend.backend)).collect();
        Self { seen: vec![Seen::default(); fleet.len()], in_west, ..Self::default() }
    }

    pub fn is_in_west(&self, number: usize) -> bool {
        self.in_west.contains(&number)
    }

    /// What of west must be out at this moment, whatever its probes say of each: all or nothing.
    pub fn is_west_out(&self, now: Duration) -> bool {
        match self.west {
            Some((ClusterPhase::Lost, _) | (ClusterPhase::Silent, OnSilence::Drop)) => true,
            Some((ClusterPhase::Silent, OnSilence::KeepReachable)) => {
                !self.is_suspect && now >= self.west_since + ROUND
            }
            _ => false,
        }
    }

    /// Whether probes must not object to a backend: it has just answered as often as any of them asks.
    pub fn is_well(&self, number: usize) -> bool {
        let is_never = match self.west {
            Some((phase, on_silence)) => {
                phase == ClusterPhase::Lost
                    || phase == ClusterPhase::Silent && on_silence == OnSilence::Drop
            }
            None => false,
        };
        self.seen[number].successes >= HEALTHY && !(is_never && self.is_in_west(number))
    }

    /// The time that west has had to answer begins anew: nobody could ask meanwhile.
    pub fn was_away(&mut self, now: Duration) {
        self.west_since = now;
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
                if outcome.is_ok() && self.in_west.contains(&number_of(backend)) {
                    // From now on some of it may be in.
                    self.west_since = Duration::MAX / 2;
                }
                seen.successes = if outcome.is_ok() { seen.successes + 1 } else { 0 };
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
                    KernelEvent::Avoided { .. }
                    | KernelEvent::Suspected { .. }
                    | KernelEvent::Unresponsive { .. } => {
                        (seen.asked_until, seen.failed_since) = (now + ASKED, 0);
                    }
                    KernelEvent::Readmitted => seen.asked_until = Duration::ZERO,
                    KernelEvent::ListenerGone | KernelEvent::ListenerBack => {}
                }
            }
            Input::RemoteClusters(clusters) => {
                let told = clusters.iter().find(|cluster| &*cluster.name == "west");
                let told = told.map(|cluster| (cluster.phase, cluster.on_silence));
                if told != self.west {
                    (self.west, self.west_since) = (told, now);
                    self.in_west.iter().for_each(|number| self.seen[*number].told += 1);
                }
            }
            _ => {}
        }
    }

    /// The core has reported a transition.
    pub fn heard(&mut self, transition: &Transition, now: Duration) {
        match transition {
            Transition::Ejected { backend, .. } | Transition::Readmitted { backend, .. } => {
                self.seen[number_of(backend)].transitions += 1;
            }
            Transition::NodeSuspect(is_suspect) => {
                self.is_suspect = *is_suspect;
                if !is_suspect && self.west_since < now {
                    self.west_since = now;
                }
            }
            _ => {}
        }
    }

    /// Another agent knows nothing of earlier probes; what it lifts or takes over are changes.
    pub fn restarted(&mut self) {
        self.is_suspect = false;
        self.west = None;
        for seen in &mut self.seen {
            (seen.has_answered, seen.failures, seen.asked_until) = (false, 0, Duration::ZERO);
            seen.successes = 0;
            seen.told += 2;
        }
    }

    /// What is ejected in the maps is to answer as often as a new one would.
    pub fn restored(&mut self) {
        self.seen.iter_mut().for_each(|seen| seen.successes = 0);
    }

    /// No service configures a probe for it: counting starts over.
    pub fn unprobed(&mut self, number: usize) {
        self.seen[number].failures = 0;
        self.seen[number].successes = 0;
    }

    /// No service lists it any more: if one does again it starts anew.
    pub fn relisted(&mut self, number: usize) {
        let Seen { told, transitions, .. } = self.seen[number];
        self.seen[number] = Seen { told: told + 1, transitions, ..Seen::default() };
    }
}
