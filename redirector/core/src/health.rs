//! Whether a backend may receive new connections, as its probes see it.
//!
//! Only consecutive outcomes count: one success among failures is a backend that still answers.
//! And only those of a backend that has ever answered this node: else a network policy that lets
//! applications through and probes not would be taken for a death.

use std::sync::Arc;

use redirector_common::HealthByte;

use crate::{
    input::{ClientId, Moment, ProbeFailure},
    service::{Probe, ProbeKind},
};

/// How a backend is probed that is ejected though no service configures a probe: as by default, but
/// one success is enough.
pub const TRIAL: Probe = Probe {
    kind: ProbeKind::Tcp,
    port: None,
    interval_ms: 1_000,
    fast_interval_ms: 200,
    timeout_ms: 500,
    unhealthy: 2,
    healthy: 1,
};

/// How a backend is, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendHealth {
    /// What this node's probes say of it.
    pub probes: ProbeHealth,
    /// Who objects; without any it receives new connections.
    pub objections: Vec<(HealthByte, Veto)>,
    /// What was seen of it that its probes are being asked about; that objects to nothing.
    pub suspicions: Vec<Suspicion>,
}

/// What is behind one byte that is not 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Veto {
    /// When it was raised.
    pub since: Moment,
    /// What was seen or ordered, in words for an operator.
    pub why: Arc<str>,
}

/// Something the kernel saw, as long as no probe has said whether it is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// What the kernel saw.
    pub sight: Sight,
    /// When the kernel's news came.
    pub since: Moment,
    /// Whether the kernel holds the backend back from everybody meanwhile; else that client avoids
    /// it.
    pub is_held: bool,
}

/// What the kernel sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Connects failed.
    Connects {
        /// They were refused; else they were not answered.
        refused: bool,
        /// The first client that saw it; `None` if an earlier agent was told.
        client: Option<ClientId>,
    },
    /// Connections were accepted, and what was sent by them was not answered.
    Unresponsive {
        /// As of `Connects`.
        client: Option<ClientId>,
    },
    /// The last local listener is gone.
    ListenerGone,
}

/// What the probes of this node say about a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeHealth {
    /// It has never answered a probe: failures say nothing.
    Unknown,
    /// It answered the last probe.
    Healthy,
    /// It has answered before; now it fails, or is still ejected.
    Failing {
        /// Failures in a row, up to 255; 0 if it answers again, or an earlier agent counted them.
        failures: u8,
    },
}

/// What the probes of one backend have shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    failures: u8,
    successes: u8,
    ejected: bool,
    /// A probe has succeeded, of this agent or of an earlier one.
    answered: bool,
    /// No failure since the last success, or of the row before it, was an answer: refused, or a
    /// wrong one.
    silent: bool,
}

impl Health {
    /// The health of a backend whose ejection by probes an earlier agent left in the maps.
    pub(crate) const EJECTED: Self =
        Self { failures: 0, successes: 0, ejected: true, answered: true, silent: false };

    /// The health of one that has answered an earlier agent, of which nothing else is known.
    pub(crate) const ANSWERED: Self = Self { ejected: false, ..Self::EJECTED };

    /// Whether probes object to new connections.
    #[must_use]
    pub const fn is_ejected(self) -> bool {
        self.ejected
    }

    /// Whether a probe has ever succeeded.
    #[must_use]
    pub const fn has_answered(self) -> bool {
        self.answered
    }

    /// Whether all failures of the last row were probes without an answer.
    #[must_use]
    pub const fn is_silent(self) -> bool {
        self.silent
    }

    /// Failures since the last success, up to 255.
    #[must_use]
    pub const fn failures(self) -> u8 {
        self.failures
    }

    /// Whether it answered the last probe.
    #[must_use]
    pub const fn is_answering(self) -> bool {
        self.successes > 0
    }

    /// What the probes say of the backend.
    #[must_use]
    pub const fn as_probes_see_it(self) -> ProbeHealth {
        match self {
            Self { answered: false, .. } => ProbeHealth::Unknown,
            Self { ejected: false, failures: 0, .. } => ProbeHealth::Healthy,
            Self { failures, .. } => ProbeHealth::Failing { failures },
        }
    }

    /// No service has it probed any more: it is not held back, and counting starts over.
    pub(crate) fn forget_failures(&mut self) {
        *self = Self { answered: self.answered, ..Self::default() };
    }

    /// Takes in a success. Returns whether it re-admits the backend: one that is ejected is back
    /// after `healthy` in a row.
    pub const fn succeeded(&mut self, healthy: u8) -> bool {
        self.answered = true;
        self.failures = 0;
        self.successes = self.successes.saturating_add(1);
        let is_back = self.ejected && self.successes >= healthy;
        self.ejected &= !is_back;
        is_back
    }

    /// Takes in a failure. Returns whether it ejects the backend: one that has ever answered is out
    /// after `unhealthy` in a row; `None` never ejects, and then the next failure may.
    pub fn failed(&mut self, failure: &ProbeFailure, unhealthy: Option<u8>) -> bool {
        self.successes = 0;
        self.silent = *failure == ProbeFailure::TimedOut && (self.silent || self.failures == 0);
        self.failures = self.failures.saturating_add(1);
        let is_enough = unhealthy.is_some_and(|unhealthy| self.failures >= unhealthy);
        let is_out = self.answered && !self.ejected && is_enough;
        self.ejected |= is_out;
        is_out
    }
}

/// One probe for a backend that two services share: as often, as impatient and as hard to please
/// as either asks for.
#[must_use]
pub fn strictest(one: &Probe, other: &Probe) -> Probe {
    let Probe { kind, port, interval_ms, fast_interval_ms, timeout_ms, unhealthy, healthy } = one;
    let (kind, port) = (kind, port).max((&other.kind, &other.port));
    Probe {
        kind: kind.clone(),
        port: *port,
        interval_ms: *interval_ms.min(&other.interval_ms),
        fast_interval_ms: *fast_interval_ms.min(&other.fast_interval_ms),
        timeout_ms: *timeout_ms.min(&other.timeout_ms),
        unhealthy: *unhealthy.min(&other.unhealthy),
        healthy: *healthy.max(&other.healthy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: Probe = Probe { healthy: 3, ..TRIAL };

    #[test]
    fn only_failures_in_a_row_eject() {
        let mut health = WELL;
        let outcomes = [false, true, false, true, false, false, false];
        let changes = outcomes.map(|success| probed(&mut health, success, &PROBE));
        assert_eq!(changes, [false, false, false, false, false, true, false]);
        assert!(health.is_ejected());
    }

    #[test]
    fn only_successes_in_a_row_readmit() {
        let mut health = Health::EJECTED;
        let outcomes = [true, true, false, true, true, true, true];
        let changes = outcomes.map(|success| probed(&mut health, success, &PROBE));
        assert_eq!(changes, [false, false, false, false, false, true, false]);
        assert!(!health.is_ejected());
    }

    #[test]
    fn what_has_never_answered_is_unknown_however_often_it_fails() {
        let mut health = Health::default();
        for _ in 0..1_000 {
            assert!(!probed(&mut health, false, &PROBE));
            assert_eq!(health.as_probes_see_it(), ProbeHealth::Unknown);
        }
        probed(&mut health, true, &PROBE);
        assert_eq!(health.as_probes_see_it(), ProbeHealth::Healthy);
        assert!(!probed(&mut health, false, &PROBE), "the earlier ones do not count");
        assert!(probed(&mut health, false, &PROBE));
        assert_eq!(health.as_probes_see_it(), ProbeHealth::Failing { failures: 2 });
    }

    #[test]
    fn who_may_not_eject_now_may_later() {
        let mut health = WELL;
        let changes = [None, None, None, Some(2)]
            .map(|unhealthy| health.failed(&ProbeFailure::TimedOut, unhealthy));
        assert_eq!(changes, [false, false, false, true]);
    }

    #[test]
    fn silence_is_a_row_of_failures_without_an_answer() {
        let refused = ProbeFailure::Failed("connection refused".into());
        let mut health = WELL;
        assert!(!health.is_silent());
        health.failed(&ProbeFailure::TimedOut, None);
        assert!(health.is_silent());
        health.failed(&refused, None);
        health.failed(&ProbeFailure::TimedOut, None);
        assert!(!health.is_silent(), "it answered in between");
        health.succeeded(1);
        health.failed(&ProbeFailure::TimedOut, None);
        assert!(health.is_silent());
    }

    #[test]
    fn counting_never_overflows() {
        let mut health = WELL;
        let patient = Probe { unhealthy: 100, ..PROBE };
        let ejections = (0..1_000).filter(|_| probed(&mut health, false, &patient)).count();
        assert_eq!(ejections, 1);
    }

    #[test]
    fn a_shared_backend_is_probed_with_the_strictest_of_each_field() {
        let other = Probe {
            interval_ms: 900,
            fast_interval_ms: 900,
            timeout_ms: 900,
            unhealthy: 5,
            healthy: 4,
            ..PROBE
        };
        let both = Probe { interval_ms: 900, healthy: 4, ..PROBE };
        assert_eq!((both.fast_interval_ms, both.timeout_ms, both.unhealthy), (200, 500, 2));
        assert_eq!(strictest(&PROBE, &other), both);
        assert_eq!(strictest(&other, &PROBE), both);
    }

    const WELL: Health =
        Health { failures: 0, successes: 0, ejected: false, answered: true, silent: false };

    fn probed(health: &mut Health, success: bool, probe: &Probe) -> bool {
        if success {
            health.succeeded(probe.healthy)
        } else {
            health.failed(&ProbeFailure::TimedOut, Some(probe.unhealthy))
        }
    }
}
