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

    /// What the core is to be told. Services are many and addresses that change hands few: only of
    /// those are there sets.
    pub fn inputs(self) -> impl Iterator<Item = Input> {
        let Self { removed, changed } = self;
        let pairs = || changed.iter().map(|(old, new)| (old.as_ref(), new));
        let gained: BTreeSet<Frontend> = pairs()
            .flat_map(|(old, new)| without(&new.frontends, old.map(|old| &old.frontends)))
            .collect();
        let lost: BTreeSet<Frontend> = pairs()
            .filter_map(|(old, new)| Some(without(&old?.frontends, Some(&new.frontends))))
            .flatten()
            .collect();
        let taken: BTreeSet<Frontend> = pairs()
            .flat_map(|(_, new)| new.backends.iter().map(|one| as_frontend(&one.backend)))
            .filter(|backend| lost.contains(backend))
            .chain(lost.intersection(&gained).copied())
            .collect();
        let smaller: Vec<Service> = pairs()
            .filter_map(|(old, new)| {
                let old = old?;
                let is_in_the_way = without(&old.frontends, Some(&new.frontends))
                    .any(|frontend| taken.contains(&frontend))
                    || old
                        .backends
                        .iter()
                        .map(|one| as_frontend(&one.backend))
                        .any(|address| gained.contains(&address) && !has(new, &address));
                is_in_the_way.then(|| what_stays(old, new))
            })
            .collect();
        let put = smaller.into_iter().chain(changed.into_iter().map(|(_, new)| new));
        removed.into_iter().map(Input::Remove).chain(put.map(Input::Put))
    }
}

/// What one list has and the other has not.
fn without<'a>(
    list: &'a [Frontend],
    other: Option<&'a Vec<Frontend>>,
) -> impl Iterator<Item = Frontend> + 'a {
    list.iter().copied().filter(move |one| !other.is_some_and(|other| other.contains(one)))
}

/// Whether a Service has a backend at an address.
fn has(service: &Service, frontend: &Frontend) -> bool {
    service.backends.iter().any(|one| as_frontend(&one.backend) == *frontend)
}

/// What a Service had and still has.
fn what_stays(old: &Service, new: &Service) -> Service {
    let backends: BTreeSet<BackendRef> = old.backends.iter().map(|one| one.backend).collect();
    let mut smaller = new.clone();
    smaller.frontends.retain(|one| old.frontends.contains(one));
    smaller.backends.retain(|one| backends.contains(&one.backend));
    smaller
}

fn as_frontend(backend: &BackendRef) -> Frontend {
    let BackendRef { address, port, protocol } = *backend;
    Frontend { address, port, protocol }
}
