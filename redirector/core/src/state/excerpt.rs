//! An excerpt of the state: enough to explain some services, or to try what an order would do to them.
//!
//! A copy of all would take seconds where there are a million backends, and its owner has news to
//! take in meanwhile.

use std::collections::BTreeSet;

use redirector_common::HealthByte;

use super::{State, instant::Instant};
use crate::{
    failover::tiers::others,
    input::Drained,
    service::{Backend, BackendRef, Service, ServiceRef},
    tables::Tables,
};

impl State {
    /// A copy of all that is known of these services, of those that they have tiers of, and of the
    /// backends that these list. It explains them as the whole does, and takes no news of others.
    #[must_use]
    pub fn excerpt(&self, services: &[ServiceRef]) -> Self {
        let mut excerpt = Self {
            now: self.now,
            node: self.node.clone(),
            orders: self.orders.clone(),
            tables: Tables { synced: self.tables.synced, ..Tables::default() },
            ..Self::default()
        };
        // Also those of services that are gone: an order may end them.
        let forced = services.iter().filter_map(|name| Some((name, self.overrides(name).forced?)));
        excerpt.failbacks.forced =
            forced.map(|(name, tier)| (name.clone(), tier.clone())).collect();
        let of_tiers = services.iter().filter_map(|name| self.services.get(name)).flat_map(others);
        let named = services.iter().chain(of_tiers.map(|(_, other)| other));
        let named: BTreeSet<&ServiceRef> = named.collect();
        let named: Vec<&Service> =
            named.into_iter().filter_map(|name| self.services.get(name)).collect();
        for service in &named {
            let name = &service.name;
            excerpt.services.insert(name.clone(), (*service).clone());
            let tables = self.tables.services.get(name);
            excerpt.tables.services.extend(tables.map(|tables| (name.clone(), tables.clone())));
            if let Some(held) = self.overrides(name).held {
                excerpt.failbacks.hold(name, held.clone());
            }
            excerpt.depend(name);
        }
        let names = named.iter().map(|service| service.name.clone()).collect();
        let uses = (0..).zip(named).flat_map(|(number, service)| {
            service.backends.iter().map(move |listed| (listed.backend, number))
        });
        let mut uses: Vec<(BackendRef, u32)> = uses.collect();
        uses.sort_unstable();
        excerpt.backends.rebuild(&uses, names);
        for same in uses.chunk_by(|one, other| one.0 == other.0) {
            self.copy_backend(&same[0].0, &mut excerpt);
        }
        (excerpt.now, excerpt.instant) = (self.now, Instant::new(self.tables.synced));
        excerpt
    }

    /// An excerpt with the first of these services, as many as list about so many backends, at least one;
    /// and how many services that are.
    #[must_use]
    pub fn first_excerpt(&self, services: &[ServiceRef], backends: usize) -> (Self, usize) {
        let mut listed = 0;
        let is_beyond = |name: &ServiceRef| {
            let is_full = listed >= backends;
            listed += self.services.get(name).map_or(0, |service| 1 + service.backends.len());
            is_full
        };
        let count = services.iter().position(is_beyond).unwrap_or(services.len());
        (self.excerpt(&services[..count]), count)
    }

    fn copy_backend(&self, backend: &BackendRef, excerpt: &mut Self) {
        let Some(known) = self.backends.get(backend) else { return };
        if let Some(health) = excerpt.backends.health(backend) {
            *health = known.health;
        }
        if let Some(trouble) = &known.trouble {
            excerpt.backends.change(backend, |new| new.clone_from(trouble));
        }
        let Some(word) = self.tables.objections.get(backend) else { return };
        for (by, objection) in self.objections_to(backend) {
            excerpt.now = objection.since;
            excerpt.object(*backend, by, objection.why.clone());
        }
        excerpt.tables.objections.insert(*backend, *word);
    }

    /// What would be if all of these died at once, as probes would see it. Time stands still in it.
    #[must_use]
    pub fn with_dead(mut self, dead: &BTreeSet<BackendRef>) -> Self {
        self.instant = Instant::new(self.is_synced());
        let listed = self.services.values().flat_map(|service| &service.backends);
        let listed: BTreeSet<BackendRef> = listed.map(|listed| listed.backend).collect();
        let dead: Vec<BackendRef> = listed.intersection(dead).copied().collect();
        for backend in &dead {
            self.object(*backend, HealthByte::Prober, "supposed to be dead".into());
        }
        self.recompile_users_of(&dead, &mut Vec::new());
        self
    }

    /// Backends that services list where any of these is.
    #[must_use]
    pub fn meant(&self, what: &[Drained]) -> BTreeSet<BackendRef> {
        let own = self.node.cluster.as_ref();
        let what: Vec<Drained> = what.iter().map(|what| what.clone().seen_from(own)).collect();
        let listed = self.services.values().flat_map(|service| &service.backends);
        let is_meant = |listed: &&Backend| what.iter().any(|what| self.is_meant(what, listed));
        listed.filter(is_meant).map(|listed| listed.backend).collect()
    }
}

#[cfg(test)]
mod tests;
