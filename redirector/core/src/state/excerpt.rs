//! An excerpt of the state: enough to explain some services, or to try what an order would do to
//! them.
//!
//! A copy of all would take seconds where there are a million backends, and its owner has news to
//! take in meanwhile.

use std::collections::BTreeSet;

use redirector_common::HealthByte;

use super::State;
use crate::{
    failover::tiers::others,
    input::Drained,
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
    pub fn with_dead(mut self, dead: &BTreeSet<BackendRef>) -> Self {
        self.failback.begin_window(self.is_synced());
        let dead = dead.iter().filter(|backend| self.backends.is_listed(backend));
        let dead: Vec<BackendRef> = dead.copied().collect();
        for backend in &dead {
            self.set_veto(*backend, HealthByte::Prober, "supposed to be dead".into());
        }
        self.recompile_users_of(&dead);
        self.happened.clear();
        self
    }

    /// Backends that services list where any of these is.
    #[must_use]
    pub fn meant(&self, what: &[Drained]) -> BTreeSet<BackendRef> {
        let own = self.node.cluster.as_ref();
        let what: Vec<Drained> = what.iter().map(|what| what.clone().seen_from(own)).collect();
        what.iter().flat_map(|what| self.listed_in(what)).map(|listed| listed.backend).collect()
    }
}

#[cfg(test)]
mod tests;
