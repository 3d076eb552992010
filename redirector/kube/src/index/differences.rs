//! What has changed since the core was last told, in an order in which it can take it.

use std::collections::{BTreeMap, BTreeSet};

use redirector_core::{
    Input,
    service::{BackendRef, Frontend, Service, ServiceRef},
};

use super::ports::PublishedPort;

/// Differences of Services.
///
/// The core refuses a frontend that another service still has, and a backend that is the frontend
/// of one; two services that exchange something would refuse each other for ever. So services that
/// have to give way first lose what they lose, and then all get what is new.
#[derive(Default)]
pub(super) struct Differences {
    removed: Vec<ServiceRef>,
    /// Services as the core knows them, and as they are now.
    changed: Vec<(Option<Service>, Service)>,
}

impl Differences {
    /// One Service with its ports, before and now.
    pub fn add(&mut self, before: Vec<PublishedPort>, now: &[PublishedPort]) {
        let mut before: BTreeMap<ServiceRef, Service> =
            before.into_iter().map(|port| (port.service.name.clone(), port.service)).collect();
        for PublishedPort { service, .. } in now {
            let old = before.remove(&service.name);
            if old.as_ref() != Some(service) {
                self.changed.push((old, service.clone()));
            }
        }
        self.removed.extend(before.into_keys());
    }

    /// What the core is to be told.
    pub fn inputs(self) -> impl Iterator<Item = Input> {
        let Self { removed, changed } = self;
        let mut gained = Addresses::default();
        for (old, new) in &changed {
            let mut new = Addresses::of(new);
            new.lose(&old.as_ref().map(Addresses::of).unwrap_or_default());
            gained.frontends.append(&mut new.frontends);
            gained.backends.append(&mut new.backends);
        }
        let smaller: Vec<Service> =
            changed.iter().filter_map(|(old, new)| gained.way_for(old.as_ref()?, new)).collect();
        let put = smaller.into_iter().chain(changed.into_iter().map(|(_, new)| new));
        removed.into_iter().map(Input::Remove).chain(put.map(Input::Put))
    }
}

/// The addresses of Services.
#[derive(Default)]
struct Addresses {
    frontends: BTreeSet<Frontend>,
    backends: BTreeSet<Frontend>,
}

impl Addresses {
    fn of(service: &Service) -> Self {
        Self {
            frontends: service.frontends.iter().copied().collect(),
            backends: service.backends.iter().map(|one| as_frontend(&one.backend)).collect(),
        }
    }

    fn lose(&mut self, other: &Self) {
        self.frontends.retain(|one| !other.frontends.contains(one));
        self.backends.retain(|one| !other.backends.contains(one));
    }

    /// What is left of a Service that has one of these in another's way: what it had and still has.
    fn way_for(&self, old: &Service, new: &Service) -> Option<Service> {
        let (had, mut lost) = (Self::of(old), Self::of(old));
        lost.lose(&Self::of(new));
        let is_in_the_way = !lost.frontends.is_disjoint(&self.frontends)
            || !lost.frontends.is_disjoint(&self.backends)
            || !lost.backends.is_disjoint(&self.frontends);
        is_in_the_way.then(|| {
            let mut smaller = new.clone();
            smaller.frontends.retain(|one| had.frontends.contains(one));
            smaller.backends.retain(|one| had.backends.contains(&as_frontend(&one.backend)));
            smaller
        })
    }
}

fn as_frontend(backend: &BackendRef) -> Frontend {
    let BackendRef { address, port, protocol } = *backend;
    Frontend { address, port, protocol }
}
