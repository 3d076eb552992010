//! Brings which backends are out because of their cluster in line with what is known of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_common::HealthByte;

use crate::{
    health::Health,
    input::Transition,
    service::{BackendRef, OnBackendLost, Service},
    state::{State, backends::BackendState},
};

/// Backends that are out now and were not, and the other way round. The caller recompiles their users.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) out: Vec<BackendRef>,
    pub(super) back: Vec<BackendRef>,
}

impl Changed {
    pub(super) fn all(&self) -> Vec<BackendRef> {
        self.out.iter().chain(&self.back).copied().collect()
    }
}

impl State {
    /// Brings all backends of a cluster in line.
    pub(super) fn reconcile_cluster(&mut self, cluster: &str) -> Changed {
        let members: Vec<BackendRef> = self.clusters.members(cluster).copied().collect();
        self.reconcile_silenced(&members, Some(cluster))
    }

    /// Brings these in line, and says what happens to each.
    pub(super) fn reconcile_each(&mut self, backends: &[BackendRef]) {
        let changed = self.reconcile_silenced(backends, None);
        let by = HealthByte::Prober;
        for backend in &changed.out {
            let objections = self.vetoes.of(backend).find(|(byte, _)| *byte == by);
            let why = objections.map(|(_, veto)| Arc::clone(&veto.why)).unwrap_or_default();
            self.happened.push(Transition::Ejected { backend: *backend, by, why });
        }
        let back = changed.back.iter();
        let back = back.map(|backend| Transition::Readmitted { backend: *backend, by });
        self.happened.extend(back);
        self.recompile_users_of(&changed.all());
    }

    /// Brings these in line, which are sorted, and known to be `of` that cluster.
    fn reconcile_silenced(&mut self, backends: &[BackendRef], of: Option<&str>) -> Changed {
        let mut changed = Changed::default();
        let mut out: BTreeMap<Arc<str>, Vec<BackendRef>> = BTreeMap::new();
        let mut back = Vec::new();
        let clusters = &self.clusters;
        self.backends.visit(backends, |backend, state| {
            match (state.is_cluster_silent(), clusters.is_member_out(backend, of)) {
                (false, Some((cluster, _))) => match out.get_mut(cluster) {
                    Some(out) => out.push(*backend),
                    None => _ = out.insert(Arc::clone(cluster), vec![*backend]),
                },
                (true, None) => back.push(*backend),
                _ => return,
            }
            state.set_cluster_silent(!state.is_cluster_silent());
        });
        for backend in back {
            if self.lift(&backend, HealthByte::Prober) {
                changed.back.push(backend);
            } else if self.has_veto(&backend, HealthByte::Prober) {
                let why = "its own probes failed, too".into();
                self.vetoes.set(backend, HealthByte::Prober, why, self.now);
            }
        }
        for (cluster, out) in out {
            let why = self.clusters.silences.get(&cluster).map(|silence| silence.why(&cluster));
            changed.out.extend(self.set_vetoes(&out, HealthByte::Prober, &why.unwrap_or_default()));
        }
        changed
    }

    /// Connections to backends that were lost without a word are reset where a policy wants it.
    pub(super) fn reset_silenced(&mut self, cluster: &str) {
        let wants_reset =
            |service: &Service| service.policy.on_backend_lost == OnBackendLost::Reset;
        if self.services.all().values().any(wants_reset) {
            let members: Vec<BackendRef> = self.clusters.members(cluster).copied().collect();
            members.iter().for_each(|backend| self.reset(backend));
        }
    }

    /// Services have changed. Returns the backends for which their cluster now makes a difference, or
    /// does no more: the caller recompiles their users.
    pub(in crate::state) fn relist_clusters<'s>(
        &mut self,
        earlier: impl Iterator<Item = &'s Service> + Clone,
        services: impl Iterator<Item = &'s Service> + Clone,
    ) -> Vec<BackendRef> {
        self.clusters.relist(earlier.clone(), services.clone());
        if self.clusters.silences.is_empty() {
            return Vec::new();
        }
        let backends = earlier.chain(services).flat_map(|service| &service.backends);
        let is_abroad = |it: &BackendRef| {
            self.clusters.is_abroad(it)
                || self.backends.get(it).is_some_and(BackendState::is_cluster_silent)
        };
        let backends: BTreeSet<BackendRef> =
            backends.map(|listed| listed.backend).filter(is_abroad).collect();
        let backends: Vec<BackendRef> = backends.into_iter().collect();
        self.reconcile_silenced(&backends, None).all()
    }

    /// An earlier agent has left a backend out. Returns whether that may have been because its cluster
    /// is silent, and is therefore to be found out for the cluster as a whole.
    pub(in crate::state) fn is_left_to_cluster(&mut self, backend: &BackendRef) -> bool {
        let clusters: Vec<Arc<str>> = self.clusters.of(backend).cloned().collect();
        for cluster in &clusters {
            if let Some(trial) = self.clusters.trial_mut(cluster).filter(|trial| trial.is_told) {
                trial.leave_out(*backend);
            }
        }
        let is_left = self.clusters.is_out(backend).is_some();
        if is_left {
            self.backends.set_cluster_silent(backend, true);
            // It has answered that agent, or it would not have been out.
            self.backends.set_health(backend, Health::ANSWERED);
        }
        is_left
    }

    /// As [`is_left_to_cluster`](Self::is_left_to_cluster), for those that were taken over before it was
    /// said how their cluster is.
    pub(super) fn leave_to_cluster(&mut self, cluster: &str) {
        let is_found = |backend: &&BackendRef| {
            self.backends.get(backend).is_some_and(|state| state.health() == Health::EJECTED)
        };
        let found: Vec<BackendRef> =
            self.clusters.members(cluster).filter(is_found).copied().collect();
        for backend in &found {
            _ = self.is_left_to_cluster(backend);
        }
    }
}
