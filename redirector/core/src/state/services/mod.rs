//! Services in force, and those that are refused because others are in their way.

mod change;
mod judge;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    failover::tiers::others,
    service::{Frontend, Service, ServiceRef},
};

/// What the sources have said of services.
#[derive(Clone, Debug, Default)]
pub(super) struct Services {
    in_force: BTreeMap<ServiceRef, Service>,
    /// Newest versions that are not in force, to be tried again when others change.
    refused: BTreeMap<ServiceRef, Service>,
    frontends: BTreeMap<Frontend, ServiceRef>,
    /// Services with a tier for the key.
    dependants: BTreeMap<ServiceRef, BTreeSet<ServiceRef>>,
}

impl FromIterator<Service> for Services {
    /// These are in force, and no others.
    fn from_iter<I: IntoIterator<Item = Service>>(services: I) -> Self {
        let named = services.into_iter().map(|service| (service.name.clone(), service));
        let mut all = Self::default();
        all.insert(named.collect());
        all
    }
}

impl Services {
    /// Services in force, by name.
    pub(super) fn all(&self) -> &BTreeMap<ServiceRef, Service> {
        &self.in_force
    }

    /// A service in force.
    pub(super) fn get(&self, name: &ServiceRef) -> Option<&Service> {
        self.in_force.get(name)
    }

    /// The newest versions of services that are refused.
    pub(super) fn refused(&self) -> &BTreeMap<ServiceRef, Service> {
        &self.refused
    }

    /// The service in force that has a frontend.
    pub(super) fn holder(&self, frontend: &Frontend) -> Option<&ServiceRef> {
        self.frontends.get(frontend)
    }

    /// Services with a tier for this one.
    pub(super) fn dependants(&self, name: &ServiceRef) -> impl Iterator<Item = &ServiceRef> {
        self.dependants.get(name).into_iter().flatten()
    }

    /// Services are in force from now on.
    fn insert(&mut self, services: BTreeMap<ServiceRef, Service>) {
        for (name, service) in &services {
            self.refused.remove(name);
            self.frontends.extend(service.frontends.iter().map(|one| (*one, name.clone())));
            for (_, other) in others(service) {
                self.dependants.entry(other.clone()).or_default().insert(name.clone());
            }
        }
        if self.in_force.is_empty() {
            self.in_force = services;
        } else {
            self.in_force.extend(services);
        }
    }

    /// A service is not in force any more. Returns what it was.
    fn remove(&mut self, name: &ServiceRef) -> Option<Service> {
        let service = self.in_force.remove(name)?;
        for (_, other) in others(&service) {
            if let Some(dependants) = self.dependants.get_mut(other) {
                dependants.remove(name);
                if dependants.is_empty() {
                    self.dependants.remove(other);
                }
            }
        }
        for frontend in &service.frontends {
            self.frontends.remove(frontend);
        }
        Some(service)
    }
}
