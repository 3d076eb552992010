//! Whether a backend may receive new connections, as its probes see it.
//!
//! Only consecutive outcomes count: one success among failures is a backend that still answers.

use crate::service::Probe;

/// What the probes of one backend have shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    failures: u8,
    successes: u8,
    ejected: bool,
}

/// What one more outcome changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It failed once too often.
    Ejected,
    /// It succeeded often enough.
    Readmitted,
}

impl Health {
    /// As found in the maps of an earlier agent.
    pub(crate) const EJECTED: Self = Self { failures: 0, successes: 0, ejected: true };

    /// Whether probes object to new connections.
    #[must_use]
    pub const fn is_ejected(self) -> bool {
        self.ejected
    }

    /// Takes in one outcome. Out after `unhealthy` failures in a row, back after `healthy`
    /// successes in a row.
    pub fn probed(&mut self, success: bool, probe: &Probe) -> Option<Change> {
        if success {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
            (self.ejected && self.successes >= probe.healthy).then(|| {
                self.ejected = false;
                Change::Readmitted
            })
        } else {
            self.successes = 0;
            self.failures = self.failures.saturating_add(1);
            (!self.ejected && self.failures >= probe.unhealthy).then(|| {
                self.ejected = true;
                Change::Ejected
            })
        }
    }
}

/// One probe for a backend that two services share: as often, as impatient and as hard to please
/// as either asks for.
#[must_use]
pub fn strictest(one: &Probe, other: &Probe) -> Probe {
    let Probe { kind, port, interval_ms, timeout_ms, unhealthy, healthy } = one;
    let (kind, port) = (kind, port).max((&other.kind, &other.port));
    Probe {
        kind: kind.clone(),
        port: *port,
        interval_ms: *interval_ms.min(&other.interval_ms),
        timeout_ms: *timeout_ms.min(&other.timeout_ms),
        unhealthy: *unhealthy.min(&other.unhealthy),
        healthy: *healthy.max(&other.healthy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::ProbeKind;

    const PROBE: Probe = Probe {
        kind: ProbeKind::Tcp,
        port: None,
        interval_ms: 1_000,
        timeout_ms: 500,
        unhealthy: 2,
        healthy: 3,
    };

    #[test]
    fn only_failures_in_a_row_eject() {
        let mut health = Health::default();
        let outcomes = [false, true, false, true, false, false, false];
        let changes = outcomes.map(|success| health.probed(success, &PROBE));
        assert_eq!(changes, [None, None, None, None, None, Some(Change::Ejected), None]);
        assert!(health.is_ejected());
    }

    #[test]
    fn only_successes_in_a_row_readmit() {
        let mut health = Health::EJECTED;
        let outcomes = [true, true, false, true, true, true, true];
        let changes = outcomes.map(|success| health.probed(success, &PROBE));
        assert_eq!(changes, [None, None, None, None, None, Some(Change::Readmitted), None]);
        assert!(!health.is_ejected());
    }

    #[test]
    fn counting_never_overflows() {
        let mut health = Health::default();
        let patient = Probe { unhealthy: 100, ..PROBE };
        let ejections = (0..1_000).filter(|_| health.probed(false, &patient).is_some()).count();
        assert_eq!(ejections, 1);
    }

    #[test]
    fn a_shared_backend_is_probed_with_the_strictest_of_each_field() {
        let other = Probe { interval_ms: 200, timeout_ms: 900, unhealthy: 5, healthy: 4, ..PROBE };
        let both = Probe { interval_ms: 200, timeout_ms: 500, unhealthy: 2, healthy: 4, ..PROBE };
        assert_eq!(strictest(&PROBE, &other), both);
        assert_eq!(strictest(&other, &PROBE), both);
    }
}
