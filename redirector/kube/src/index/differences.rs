//! What has changed since the core was last told, in an order in which it can take it.

use std::collections::{BTreeMap, BTreeSet};

use redirector_core::{
    Input,
    service::{BackendRef, Frontend, Service, ServiceRef},
};

use super::said::Said;

/// Differences of Services.
///
/// The core refuses a frontend that another service still has, and a backend that is the frontend
/// of one; two services that exchange something would refuse each other for ever. So services that
/// have to give way first lose what they lose, and then all get what is new.
#[derive(Default)]
pub(super) struct Differences {
    removed: Vec<ServiceRef>,
    /// Services as the core knows them, and as they are now.
    changed: Vec<(Option<Said>, Service)>,
}

impl Differences {
    /// One Service with its ports, before and now.
    pub fn add(&mut self, before: Vec<Said>, now: &[Said]) {
        let mut old: BTreeMap<ServiceRef, Said> =
            before.into_iter().map(|said| (said.name.clone(), said)).collect();
        for said in now {
            let old = old.remove(&said.name);
            if old.as_ref() != Some(said) {
                self.changed.push((old, said.service()));
            }
        }
        self.removed.extend(old.into_keys());
    }

    /// What the core is to be told.
    pub fn inputs(self) -> impl Iterator<Item = Input> {
        let Self { removed, changed } = self;
        let mut wanted = Wanted::default();
        for (old, new) in &changed {
            wanted.add(old.as_ref(), new);
        }
        let smaller: Vec<Service> =
            changed.iter().filter_map(|(old, new)| wanted.way_for(old.as_ref()?, new)).collect();
        let put = smaller.into_iter().chain(changed.into_iter().map(|(_, new)| new));
        removed.into_iter().map(Input::Remove).chain(put.map(Input::Put))
    }
}

/// What Services have now and did not have before.
#[derive(Default)]
struct Wanted {
    frontends: BTreeSet<Frontend>,
    backends: BTreeSet<Frontend>,
}

impl Wanted {
    fn add(&mut self, old: Option<&Said>, new: &Service) {
        let had = old.map(Had::of).unwrap_or_default();
        let frontends = new.frontends.iter().copied();
        self.frontends.extend(frontends.filter(|one| !had.frontends.contains(one)));
        let backends = new.backends.iter().map(|backend| as_frontend(&backend.backend));
        self.backends.extend(backends.filter(|one| !had.backends.contains(one)));
    }

    /// What is left of a Service that has something in another's way: what it had and still has.
    fn way_for(&self, old: &Said, new: &Service) -> Option<Service> {
        let had = Had::of(old);
        let has = Had {
            frontends: new.frontends.iter().copied().collect(),
            backends: new.backends.iter().map(|backend| as_frontend(&backend.backend)).collect(),
        };
        let mut lost = had.frontends.difference(&has.frontends);
        let mut gone = had.backends.difference(&has.backends);
        let is_in_the_way = lost
            .any(|one| self.frontends.contains(one) || self.backends.contains(one))
            || gone.any(|one| self.frontends.contains(one));
        is_in_the_way.then(|| {
            let mut smaller = new.clone();
            smaller.frontends.retain(|one| had.frontends.contains(one));
            smaller.backends.retain(|one| had.backends.contains(&as_frontend(&one.backend)));
            smaller
        })
    }
}

/// The addresses of a Service.
#[derive(Default)]
struct Had {
    frontends: BTreeSet<Frontend>,
    backends: BTreeSet<Frontend>,
}

impl Had {
    fn of(said: &Said) -> Self {
        Self {
            frontends: said.frontends.iter().copied().collect(),
            backends: said.backends.iter().map(|listed| as_frontend(&listed.backend)).collect(),
        }
    }
}

fn as_frontend(backend: &BackendRef) -> Frontend {
    let BackendRef { address, port, protocol } = *backend;
    Frontend { address, port, protocol }
}
