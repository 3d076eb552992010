//! What the kernel does to a backend by itself, and when that is undone.
//!
//! In order, for an ejection because connects failed:
//!
//! 1. Seen by a single client it is provisional: the first probe that succeeds undoes it, and that
//!    client's failures do not count for a while; the first that fails confirms it.
//! 2. Else as many successes in a row as the probe asks for undo it, at once if it is the first
//!    ejection in a row (Envoy's `successful_active_health_check_uneject_host`), else not before
//!    its time.
//! 3. A backend that has never answered this node's probes cannot be judged by them: when its time
//!    has passed, applications try, and one more row of failures ejects it for twice as long.
//!
//! For a listener's death: a new listener, or a probe that proves that somebody listens.

use std::time::Duration;

use redirector_common::{HealthByte, Limits};

use super::{
    World,
    trouble::{NO_LISTENER, Passive, Trouble},
};
use crate::{
    input::{Command, KernelEvent, Moment, Transition},
    service::{BackendRef, LIMITS},
};

/// How long a client's failures against a backend do not count after a false alarm.
const MUTED: Duration = Duration::from_mins(1);
/// How long the kernel's news and the agent's commands may take to cross each other.
const CROSSING: Duration = Duration::from_secs(1);

impl World {
    /// Takes in what the kernel did by itself.
    pub(super) fn seen_by_kernel(
        &mut self,
        backend: BackendRef,
        event: KernelEvent,
        now: Moment,
        happened: &mut Vec<Transition>,
    ) {
        if self.backends.get(&backend).is_none() {
            match event {
                KernelEvent::Ejected { .. } => self.restore(&[(backend, HealthByte::Passive)]),
                KernelEvent::ListenerGone => self.restore(&[(backend, HealthByte::Listener)]),
                KernelEvent::Readmitted => self.unrestore(&backend, HealthByte::Passive),
                KernelEvent::ListenerBack => self.unrestore(&backend, HealthByte::Listener),
            }
            return;
        }
        match event {
            KernelEvent::Ejected { refused, client, lasts, ejections } => {
                let passive = self.ejection(&backend, refused, client, lasts, ejections, now);
                self.ejected_by_kernel(&backend, passive, now, happened);
            }
            KernelEvent::Readmitted => {
                self.backends.change(&backend, |trouble| trouble.be_well(now));
                self.withdraw(&backend, HealthByte::Passive, happened);
            }
            KernelEvent::ListenerGone => {
                self.confirm(&backend, HealthByte::Listener, now);
                self.backends.change(&backend, |trouble| trouble.is_unheard = true);
                self.raise(&backend, HealthByte::Listener, NO_LISTENER.into(), happened);
                self.ask(&backend);
            }
            KernelEvent::ListenerBack => {
                self.backends.change(&backend, |trouble| trouble.is_unheard = false);
                self.withdraw(&backend, HealthByte::Listener, happened);
            }
        }
    }

    fn ejection(
        &mut self,
        backend: &BackendRef,
        is_refused: bool,
        witness: Option<u64>,
        lasts: Duration,
        ejections: u32,
        now: Moment,
    ) -> Passive {
        let limits = self.limits(backend);
        let (lasts, ejections) = if self.nodes.is_suspect() {
            // Whoever it is, it is not the backend: that is forgotten when the network answers.
            self.nodes.forgive_later(backend);
            (lasts.min(base(&limits)), 1)
        } else {
            (lasts, ejections.max(1))
        };
        Passive {
            until: later(now, lasts),
            is_served: false,
            ejections,
            is_refused,
            witness,
            successes: 0,
            forgiven_after: Duration::from_millis(limits.max_ejection_ms.into()),
        }
    }

    fn ejected_by_kernel(
        &mut self,
        backend: &BackendRef,
        passive: Passive,
        now: Moment,
        happened: &mut Vec<Transition>,
    ) {
        let (why, is_refused) = (passive.why(), passive.is_refused);
        self.confirm(backend, HealthByte::Passive, now);
        self.backends.change(backend, |trouble| {
            trouble.forgive = None;
            trouble.passive = Some(passive);
        });
        self.raise(backend, HealthByte::Passive, why, happened);
        self.ask(backend);
        if !is_refused {
            self.node_fails(backend, now);
        }
        self.fall_silent(backend, happened);
    }

    /// A command to re-admit may have crossed the news that the kernel has ejected again.
    fn confirm(&mut self, backend: &BackendRef, byte: HealthByte, now: Moment) {
        let trouble = self.backends.get(backend).and_then(|known| known.trouble.as_ref());
        let readmitted = trouble.and_then(|trouble| trouble.readmitted);
        if readmitted.is_some_and(|at| now < later(at, CROSSING)) {
            self.commands.push(Command::Eject { backend: *backend, byte });
        }
    }

    /// A probe succeeded: ends what that disproves.
    pub(super) fn answers_after_kernel(
        &mut self,
        backend: &BackendRef,
        healthy: u8,
        now: Moment,
        happened: &mut Vec<Transition>,
    ) {
        let ended = self.backends.change(backend, |trouble| {
            let was_unheard = std::mem::take(&mut trouble.is_unheard);
            let passive = trouble.passive.as_mut();
            let is_over = passive.is_some_and(|passive| {
                passive.successes = passive.successes.saturating_add(1);
                passive.is_disproved(healthy)
            });
            (was_unheard, is_over)
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
            let is_well = trouble.forgive.take_if(|at| *at <= now).is_some();
            let served = trouble.passive.as_mut().filter(|passive| passive.until <= now);
            let is_over = served.is_some_and(|passive| {
                passive.is_served = true;
                !has_answered || passive.is_disproved(healthy)
            });
            (is_well, is_over)
        });
        let Some((is_well, is_over)) = due else { return };
        if is_well {
            self.commands.push(Command::Forgive(*backend));
        }
        if is_over {
            self.end_ejection(backend, now, happened);
        }
    }

    fn end_ejection(&mut self, backend: &BackendRef, now: Moment, happened: &mut Vec<Transition>) {
        let passive = self.backends.change(backend, |trouble| trouble.be_well(now)).flatten();
        let Some(passive) = passive else { return };
        self.readmit(backend, HealthByte::Passive);
        if let Some(client) = passive.witness.filter(|_| passive.successes > 0) {
            self.commands.push(Command::Mute { client, backend: *backend, lasts: MUTED });
            if passive.ejections == 1 {
                // It was nothing.
                self.backends.change(backend, |trouble| trouble.forgive = None);
                self.commands.push(Command::Forgive(*backend));
            }
        }
        self.withdraw(backend, HealthByte::Passive, happened);
    }

    pub(super) fn readmit(&mut self, backend: &BackendRef, byte: HealthByte) {
        let now = self.now;
        self.commands.push(Command::Readmit { backend: *backend, byte });
        let note = |trouble: &mut Trouble| trouble.readmitted = Some(now);
        self.backends.change(backend, note);
    }

    /// Asks for a probe at once.
    pub(super) fn ask(&mut self, backend: &BackendRef) {
        self.urgency = self.urgency.wrapping_add(1).max(1);
        let urgency = self.urgency;
        self.backends.change(backend, |trouble| trouble.urgency = urgency);
    }

    /// The longest times of those services that list it: nobody says through which one it failed.
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

    /// The kernel has taken back what was found in its maps.
    fn unrestore(&mut self, backend: &BackendRef, byte: HealthByte) {
        if let Some(word) = self.restored.get_mut(backend) {
            *word = word.with(byte, 0);
            if word.is_usable() {
                self.restored.remove(backend);
            }
            self.lift(backend, byte);
        }
    }
}

/// An ejection that was found in the maps: since now, and several have seen it.
pub(super) fn since_restart(limits: &Limits, now: Moment) -> Passive {
    Passive {
        until: later(now, base(limits)),
        is_served: false,
        ejections: 1,
        is_refused: true,
        witness: None,
        successes: 0,
        forgiven_after: Duration::from_millis(limits.max_ejection_ms.into()),
    }
}

/// `now` and a while.
pub(super) fn later(now: Moment, by: Duration) -> Moment {
    Moment(now.0.saturating_add(by))
}

fn base(limits: &Limits) -> Duration {
    Duration::from_millis(limits.base_ejection_ms.into())
}

impl Passive {
    /// Whether probes have shown enough, if they can show anything.
    fn is_disproved(&self, healthy: u8) -> bool {
        if self.witness.is_some() {
            return self.successes > 0;
        }
        self.successes >= healthy && (self.ejections == 1 || self.is_served)
    }
}

impl Trouble {
    /// Ends an ejection; if all stays well its ejections are forgotten later.
    fn be_well(&mut self, now: Moment) -> Option<Passive> {
        let passive = self.passive.take()?;
        self.forgive = Some(later(now, passive.forgiven_after));
        Some(passive)
    }
}
