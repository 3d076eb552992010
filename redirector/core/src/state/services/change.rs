//! Takes in changed services as one set: what it makes of them never depends on their order.
//!
//! What is in order, in itself and among the other services in force, is taken as a whole, so that
//! two services may exchange frontends, and a backend may move from one to the other, whatever is
//! wrong with a third one. The others are judged alone, in the order of the names, and a service that
//! has a frontend keeps it.

use std::collections::{BTreeMap, BTreeSet};

use super::judge::{Rejection, conflicts_with, validate};
use crate::{
    input::{Rerouter, Transition},
    service::{BackendRef, Frontend, Policy, Service, ServiceRef},
    state::{State, recompile::TierLists},
};

/// How often one input tries again what was refused before: enough for chains of moves, and a
/// bound for what a hostile source can cost.
const ROUNDS: usize = 8;

/// Services that change, and which of them use which backends: by their positions, sorted.
struct Batch {
    services: BTreeMap<ServiceRef, Service>,
    uses: Vec<(BackendRef, u32)>,
}

impl State {
    /// Takes in a list of all services: what is not in it is gone.
    pub(in crate::state) fn replace(&mut self, list: Vec<Service>) {
        let (services, twice) = by_name(list);
        let known = self.services.in_force.keys().chain(self.services.refused.keys());
        let is_twice = |name: &ServiceRef| twice.iter().any(|service| service.name == *name);
        let is_gone = |name: &&ServiceRef| !services.contains_key(*name) && !is_twice(name);
        let gone = known.filter(is_gone).cloned().collect();
        self.tables.synced = true;
        self.nodes.unlearn();
        self.take_set(services, twice, &gone);
        let doubted = self.tables.objections.keys().chain(self.backends.unjudged());
        let doubted: Vec<BackendRef> = doubted.copied().collect();
        self.reevaluate(doubted);
    }

    /// Takes in services that were added or changed, after those that are gone.
    pub(in crate::state) fn change(&mut self, put: Vec<Service>, gone: &BTreeSet<ServiceRef>) {
        let (services, twice) = by_name(put);
        self.take_set(services, twice, gone);
    }

    fn take_set(
        &mut self,
        mut services: BTreeMap<ServiceRef, Service>,
        twice: Vec<Service>,
        gone: &BTreeSet<ServiceRef>,
    ) {
        services.retain(|name, service| {
            let is_new = self.services.get(name) != Some(service);
            if !is_new {
                self.services.refused.remove(name);
            }
            is_new
        });
        let (batch, alone) = self.set_of(services, gone);
        self.take(batch, gone);
        for service in twice {
            self.rejected(service.name, &Rejection::Twice);
        }
        for service in alone.into_values() {
            self.take_alone(service);
        }
        // Others may have given way to what was refused.
        for _ in 0..ROUNDS {
            let refused = self.services.refused.values();
            let good = refused.filter(|service| self.judge_alone(service).is_ok());
            let good: Vec<Service> = good.cloned().collect();
            if good.is_empty() {
                return;
            }
            for service in good {
                self.take_alone(service);
            }
        }
    }

    /// Parts the services that can be taken in as one set from those that are to be judged alone: what
    /// is wrong in itself, in the way of another one, or needs one of these to give way.
    fn set_of(
        &self,
        mut services: BTreeMap<ServiceRef, Service>,
        gone: &BTreeSet<ServiceRef>,
    ) -> (Batch, BTreeMap<ServiceRef, Service>) {
        let mut alone: BTreeMap<ServiceRef, Service> =
            services.extract_if(.., |_, service| validate(service).is_err()).collect();
        let mut batch = Batch::from(services);
        if !batch.is_compatible() {
            let colliding = batch.colliding();
            let mut services = batch.services;
            alone.extend(services.extract_if(.., |name, _| colliding.contains(name)));
            batch = Batch::from(services);
        }
        for _ in 0..ROUNDS {
            let gives_way = |by: &ServiceRef| batch.services.contains_key(by) || gone.contains(by);
            let is_refused = |service: &&Service| {
                conflicts_with(service, &self.services, &self.backends, gives_way).is_err()
            };
            let refused: BTreeSet<ServiceRef> =
                batch.services.values().filter(is_refused).map(|it| it.name.clone()).collect();
            if refused.is_empty() {
                return (batch, alone);
            }
            let mut services = batch.services;
            alone.extend(services.extract_if(.., |name, _| refused.contains(name)));
            batch = Batch::from(services);
        }
        alone.append(&mut batch.services);
        (Batch::from(BTreeMap::new()), alone)
    }

    /// Why a service cannot be taken in, if it is the only one that changes.
    pub(in crate::state) fn judge_alone(&self, service: &Service) -> Result<(), Rejection> {
        validate(service)?;
        conflicts_with(service, &self.services, &self.backends, |by| *by == service.name)
    }

    fn take_alone(&mut self, service: Service) {
        match self.judge_alone(&service) {
            Ok(()) => {
                let alone = BTreeMap::from([(service.name.clone(), service)]);
                self.take(Batch::from(alone), &BTreeSet::new());
            }
            Err(why) if self.services.refused.get(&service.name) != Some(&service) => {
                self.rejected(service.name.clone(), &why);
                self.services.refused.insert(service.name.clone(), service);
            }
            Err(_) => {}
        }
    }

    fn rejected(&mut self, object: ServiceRef, why: &Rejection) {
        self.happened.push(Transition::Rejected { object, why: why.to_string().into() });
    }

    /// Puts services that are in order, and removes others.
    fn take(&mut self, Batch { services, uses }: Batch, gone: &BTreeSet<ServiceRef>) {
        let nothing = BTreeSet::new();
        let is_known = |service: &&Service| self.services.get(&service.name).is_some();
        let known = services.values().filter(is_known);
        let still: BTreeMap<&ServiceRef, BTreeSet<BackendRef>> =
            known.map(|service| (&service.name, service.backend_refs().collect())).collect();
        let still = |name: &ServiceRef| still.get(name).unwrap_or(&nothing);
        let names: Vec<ServiceRef> = services.keys().chain(gone).cloned().collect();
        let lost = names.iter().flat_map(|name| self.resets_if_gone(name, still(name))).collect();
        let take_out = |name: &ServiceRef| Some((name.clone(), self.services.remove(name)?));
        let earlier: BTreeMap<ServiceRef, Service> = names.iter().filter_map(take_out).collect();

        // A backend that moves from one service to another has users all the time.
        self.backends.link(&uses, &services.keys().collect::<Vec<_>>());
        let mut touched: Vec<BackendRef> = Vec::new();
        for (name, old) in &earlier {
            for backend in old.backend_refs().filter(|backend| !still(name).contains(backend)) {
                self.backends.unlink(&backend, name);
                touched.push(backend);
            }
        }
        let is_doubted = |it: &BackendRef| self.is_ejected(it) || self.backends.is_unjudged(it);
        touched.extend(uses.iter().map(|(backend, _)| *backend).filter(is_doubted));

        let wanted = services.values().map(|new| rerouter(earlier.get(&new.name), new));
        let mut stale: BTreeMap<ServiceRef, Option<Rerouter>> =
            services.keys().cloned().zip(wanted).collect();
        services.values().for_each(|service| self.nodes.put(service));
        let mut silenced = self.relist_clusters(earlier.values(), services.values());
        self.services.insert(services);
        silenced.extend(self.adopt_clusters());
        self.reask_clusters();
        for name in gone {
            self.services.refused.remove(name);
            self.failback.forget(name);
            self.backends.forget(name);
            if self.tables.services.remove(name).is_some() {
                self.changed.insert(name.clone());
            }
        }
        self.reset_gone(lost);
        let mut redrained = silenced;
        for name in &names {
            let before: Vec<BackendRef> =
                earlier.get(name).into_iter().flat_map(Service::backend_refs).collect();
            redrained.extend(self.redrain(name, &before));
        }
        let dependants = names.iter().flat_map(|name| self.services.dependants(name));
        for name in self.users_with_dependants(&redrained).into_iter().chain(dependants) {
            stale.entry(name.clone()).or_default();
        }
        for (name, wanted) in stale {
            self.recompile(&name, TierLists::Anew, wanted);
        }
        self.reevaluate(touched);
    }
}

impl From<BTreeMap<ServiceRef, Service>> for Batch {
    fn from(services: BTreeMap<ServiceRef, Service>) -> Self {
        let count = services.values().map(|service| service.backends.len()).sum();
        let mut uses: Vec<(BackendRef, u32)> = Vec::with_capacity(count);
        for (number, service) in (0..).zip(services.values()) {
            uses.extend(service.backend_refs().map(|backend| (backend, number)));
        }
        uses.sort_unstable();
        Self { services, uses }
    }
}

impl Batch {
    /// Whether no two of the services are in each other's way.
    fn is_compatible(&self) -> bool {
        let services = self.services.values();
        let mut frontends: Vec<Frontend> =
            services.flat_map(|service| service.frontends.iter().copied()).collect();
        frontends.sort_unstable();
        let mut backends = self.uses.iter().map(|(backend, _)| backend).peekable();
        frontends.windows(2).all(|pair| pair[0] != pair[1])
            && frontends.iter().all(|frontend| {
                while backends.next_if(|backend| *backend < frontend).is_some() {}
                backends.peek() != Some(&frontend)
            })
    }

    /// The services that want what another one of them has, or would send to it in a circle.
    fn colliding(&self) -> BTreeSet<ServiceRef> {
        let mut holders: BTreeMap<Frontend, Vec<&ServiceRef>> = BTreeMap::new();
        for service in self.services.values() {
            for frontend in &service.frontends {
                holders.entry(*frontend).or_default().push(&service.name);
            }
        }
        let shared = holders.values().filter(|names| names.len() > 1).flatten().copied();
        let circles = self.services.values().flat_map(|service| {
            let of = service.backend_refs().filter_map(|backend| holders.get(&backend));
            of.flatten().copied().flat_map(|holder| [holder, &service.name])
        });
        shared.chain(circles).cloned().collect()
    }
}

/// The services by name, and one service of each name that the list gives to different ones.
fn by_name(list: Vec<Service>) -> (BTreeMap<ServiceRef, Service>, Vec<Service>) {
    let mut services = BTreeMap::new();
    let mut twice: BTreeMap<ServiceRef, Service> = BTreeMap::new();
    for service in list {
        let name = service.name.clone();
        if services.get(&name).is_some_and(|other| *other != service) {
            twice.insert(name, service);
        } else {
            services.insert(name, service);
        }
    }
    services.retain(|name, _| !twice.contains_key(name));
    (services, twice.into_values().collect())
}

/// The policy, if a new version of it wants a service's traffic elsewhere: if it differs in what
/// decides which tiers there are and which of them carry load, whatever the backends' health.
fn rerouter(old: Option<&Service>, new: &Service) -> Option<Rerouter> {
    let wanted = |service: &Service| {
        let Policy { tiers, mode, overprovisioning_percent, min_healthy_percent, .. } =
            service.policy.clone();
        (tiers, mode, overprovisioning_percent, min_healthy_percent)
    };
    old.is_some_and(|old| old.policy != new.policy && wanted(old) != wanted(new))
        .then_some(Rerouter::Policy)
}
