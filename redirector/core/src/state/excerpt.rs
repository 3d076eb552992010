//! An excerpt of the state: enough to explain some services, or to try what an order would do to
//! them.
//!
//! A copy of all would take seconds where there are a million backends, and its owner has news to
//! take in meanwhile.

use std::collections::BTreeSet;

use redirector_common::HealthByte;

use super::{State, backends::BackendState};
use crate::{
    failover::tiers::others,
    input::Drained,
    remote_cluster::OnSilence,
    service::{BackendRef, Service, ServiceRef},
    tables::Tables,
};

impl State {
    /// A copy of all that is known of these services, of those that they have tiers of, and of the
    /// backends that these list. It explains them as the whole does, and takes no news of others.
    #[must_use]
    pub fn excerpt(&self, services: &[ServiceRef]) -> Self {
        let of_tiers = services.iter().filter_map(|name| self.service(name)).flat_map(others);
        let named = services.iter().chain(of_tiers.map(|(_, other)| other));
        let named: BTreeSet<&ServiceRef> = named.collect();
        let named: Vec<&Service> =
            named.into_iter().filter_map(|name| self.service(name)).collect();
        let backends: BTreeSet<BackendRef> =
            named.iter().flat_map(|service| service.backend_refs()).collect();
        let names = named.iter().map(|service| &service.name);
        let tables = names.clone().filter_map(|name| self.tables.services.get_key_value(name));
        let objections = backends.iter().filter_map(|it| self.tables.objections.get_key_value(it));
        Self {
            now: self.now,
            node: self.node.clone(),
            clusters: self.clusters.excerpt(named.iter().copied()),
            backends: self.backends.excerpt(&named, &backends),
            failback: self.failback.excerpt(names, self.is_synced()),
            orders: self.orders.clone(),
            vetoes: self.vetoes.excerpt(&backends),
            tables: Tables {
                synced: self.is_synced(),
                services: tables.map(|(name, of)| (name.clone(), of.clone())).collect(),
                objections: objections.map(|(backend, word)| (*backend, *word)).collect(),
            },
            services: named.into_iter().cloned().collect(),
            ..Self::default()
        }
    }

    /// An excerpt with the first of these services, as many as list about so many backends, at
    /// least one; and how many services that are.
    #[must_use]
    pub fn first_excerpt(&self, services: &[ServiceRef], backends: usize) -> (Self, usize) {
        let mut listed = 0;
        let is_beyond = |name: &ServiceRef| {
            let is_full = listed >= backends;
            listed += self.service(name).map_or(0, |service| 1 + service.backends.len());
            is_full
        };
        let count = services.iter().position(is_beyond).unwrap_or(services.len());
        (self.excerpt(&services[..count]), count)
    }

    /// What would be if all of these died at once, as probes would see it. Time stands still in it.
    #[must_use]
    pub fn with_dead(self, dead: &BTreeSet<BackendRef>) -> Self {
        self.supposing(dead, "supposed to be dead")
    }

    /// What would be if these were out because their cluster is silent.
    #[must_use]
    pub fn with_silent(self, out: &BTreeSet<BackendRef>) -> Self {
        self.supposing(out, "its cluster is supposed to be silent")
    }

    fn supposing(mut self, out: &BTreeSet<BackendRef>, why: &str) -> Self {
        self.failback.begin_window(self.is_synced());
        let out = out.iter().filter(|backend| self.backends.is_listed(backend));
        let out: Vec<BackendRef> = out.copied().collect();
        for backend in &out {
            self.set_veto(*backend, HealthByte::Prober, why.into());
        }
        self.recompile_users_of(&out);
        self.happened.clear();
        self
    }

    /// What silence of another cluster would mean, as far as is known: its backends that answer their
    /// probes now would answer then.
    #[must_use]
    pub fn if_silent(&self, cluster: &str) -> IfSilent {
        let told = self.remote_clusters().iter().find(|told| *told.name == *cluster);
        let meant = Drained::Cluster(cluster.into());
        let backends = self.meant(std::slice::from_ref(&meant));
        let is_well =
            |backend: &BackendRef| self.backends.get(backend).is_some_and(BackendState::is_well);
        IfSilent {
            on_silence: told.map_or(OnSilence::KeepReachable, |told| told.on_silence),
            is_answering: backends.iter().any(is_well),
            backends,
        }
    }

    /// Backends that services list where any of these is.
    #[must_use]
    pub fn meant(&self, what: &[Drained]) -> BTreeSet<BackendRef> {
        let own = self.node.cluster.as_ref();
        let what: Vec<Drained> = what.iter().map(|what| what.clone().seen_from(own)).collect();
        what.iter().flat_map(|what| self.listed_in(what)).map(|listed| listed.backend).collect()
    }
}

/// What silence of a cluster would mean for its backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IfSilent {
    /// All of its backends.
    pub backends: BTreeSet<BackendRef>,
    /// What becomes of them.
    pub on_silence: OnSilence,
    /// Whether any answers its probes.
    pub is_answering: bool,
}

impl IfSilent {
    /// The same cluster, as seen from other services too.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.backends.extend(other.backends);
        self.is_answering |= other.is_answering;
        self
    }

    /// Which of them would be out by that alone; those that fail their probes are, anyway.
    #[must_use]
    pub fn out(self) -> BTreeSet<BackendRef> {
        match self.on_silence {
            OnSilence::KeepReachable if self.is_answering => BTreeSet::new(),
            OnSilence::KeepReachable | OnSilence::Drop => self.backends,
        }
    }
}

#[cfg(test)]
mod tests;
