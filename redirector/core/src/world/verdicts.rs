//! Who may receive new connections: probes' outcomes, restored ejections, and their end.

use std::sync::Arc;

use redirector_common::{HealthByte, HealthWord};

use super::World;
use crate::{
    health::{Change, Health, strictest},
    input::{KernelEvent, Moment, ProbeFailure, Transition},
    service::{BackendRef, Probe, Protocol},
};

/// The prober's objection, and nobody else's.
pub(super) const BY_PROBER: HealthWord = HealthWord::new(0).with(HealthByte::Prober, 1);

/// UDP says nothing when nobody listens: only TCP can be probed.
pub(super) fn is_probed(backend: &BackendRef) -> bool {
    backend.protocol == Protocol::Tcp
}

impl World {
    pub(super) fn probed(
        &mut self,
        backend: BackendRef,
        outcome: Result<(), ProbeFailure>,
        _now: Moment,
        happened: &mut Vec<Transition>,
    ) {
        let Some(probe) = self.probe(&backend) else { return };
        let Some(health) = self.backends.health(&backend) else { return };
        match (health.probed(outcome.is_ok(), &probe), outcome) {
            (Some(Change::Ejected), Err(failure)) => {
                let why: Arc<str> = failure.to_string().into();
                let by = HealthByte::Prober;
                self.object(backend, by, Arc::clone(&why));
                happened.push(Transition::Ejected { backend, by, why });
            }
            (Some(Change::Readmitted), _) => {
                happened.push(Transition::Readmitted { backend, by: HealthByte::Prober });
                self.restored.remove(&backend);
                self.lift(&backend, HealthByte::Prober);
            }
            _ => return,
        }
        self.recompile_users(&backend, happened);
    }

    /// Takes in what the kernel did by itself.
    pub(super) fn seen_by_kernel(
        &mut self,
        _backend: BackendRef,
        _event: KernelEvent,
        _now: Moment,
        _happened: &mut Vec<Transition>,
    ) {
    }

    /// These are probed from here for a while.
    pub(super) fn used(&mut self, _backends: &[BackendRef], _now: Moment) {}

    /// Ends what has lasted long enough.
    pub(super) fn verdicts_pass(&mut self, _now: Moment, _happened: &mut Vec<Transition>) {}

    /// When the next of these ends.
    pub(super) fn verdicts_deadline(&self) -> Option<Moment> {
        None
    }

    /// Takes over what an earlier agent knew. Only the prober's objections: nobody else objects.
    pub(super) fn restore(&mut self, objections: &[(BackendRef, HealthByte)]) {
        for (backend, by) in objections {
            let is_known = self.backends.health(backend).is_some();
            if *by == HealthByte::Prober && (is_known || !self.is_synced()) {
                self.restored.insert(*backend);
                self.object(*backend, HealthByte::Prober, "found at start".into());
                self.recompile_users(backend, &mut Vec::new());
            }
        }
        let known: Vec<BackendRef> = self.restored.iter().copied().collect();
        self.settle(known, &mut Vec::new());
    }

    /// Brings the objections to these backends in line with who uses and probes them now: what
    /// nobody uses is forgotten, and what nobody probes could never be re-admitted.
    pub(super) fn settle(
        &mut self,
        backends: impl IntoIterator<Item = BackendRef>,
        happened: &mut Vec<Transition>,
    ) {
        for backend in backends {
            if !self.tables.objections.contains_key(&backend) {
                continue;
            }
            let is_probed = self.probe(&backend).is_some();
            let Some(health) = self.backends.health(&backend) else {
                if !self.restored.contains(&backend) || self.tables.synced {
                    self.restored.remove(&backend);
                    self.lift(&backend, HealthByte::Prober);
                }
                continue;
            };
            if is_probed {
                if self.restored.remove(&backend) {
                    *health = Health::EJECTED;
                }
            } else if !self.restored.contains(&backend) || self.tables.synced {
                *health = Health::default();
                self.restored.remove(&backend);
                self.lift(&backend, HealthByte::Prober);
                happened.push(Transition::Readmitted { backend, by: HealthByte::Prober });
                self.recompile_users(&backend, happened);
            }
        }
    }

    /// How a backend is probed, all its services considered.
    pub(super) fn probe(&self, backend: &BackendRef) -> Option<Probe> {
        if !is_probed(backend) {
            return None;
        }
        let users = self.backends.users(backend).into_iter();
        users
            .filter_map(|user| self.services.get(user)?.policy.probe.clone())
            .reduce(|one, other| strictest(&one, &other))
    }
}
