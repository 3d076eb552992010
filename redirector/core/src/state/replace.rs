//! Takes in a whole list of services at once: what is not in it is gone.
//!
//! The judgement depends on the set, never on its order. A list that is in order in itself is
//! taken as a whole, so that two services may exchange frontends. Otherwise each service is
//! judged alone, in the order of the names, and a service that has a frontend keeps it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Compiler, State,
    judge::{Flaw, alone, are_compatible},
    rerouter,
};
use crate::{
    compile::View,
    failover::tiers::others,
    input::Transition,
    service::{BackendRef, Frontend, Service, ServiceRef},
};

impl State {
    pub(super) fn replace(&mut self, list: Vec<Service>, happened: &mut Vec<Transition>) {
        let (services, twice) = by_name(list);
        let uses = uses(&services);
        let frontends = frontends(&services);
        let is_in_order = twice.is_empty()
            && services.values().all(|service| alone(service).is_ok())
            && are_compatible(&frontends, &uses);
        self.tables.synced = true;
        if is_in_order {
            self.take(services, &uses, happened);
        } else {
            self.take_one_by_one(services, twice, happened);
        }
        let objected = self.tables.objections.keys().chain(self.restored.keys());
        let doubted: Vec<BackendRef> = objected.chain(self.backends.suspected()).copied().collect();
        self.settle(doubted, happened);
    }

    /// Takes all of them: they are in order.
    fn take(
        &mut self,
        services: BTreeMap<ServiceRef, Service>,
        uses: &[(BackendRef, u32)],
        happened: &mut Vec<Transition>,
    ) {
        let names: Vec<ServiceRef> = services.keys().cloned().collect();
        self.refused.clear();
        let lost = self.resets_in(&services);
        self.backends.rebuild(uses, names);
        self.reset_gone(lost);
        self.nodes.unlearn();
        self.frontends = services
            .values()
            .flat_map(|service| service.frontends.iter().map(|key| (*key, service.name.clone())))
            .collect();
        let earlier = std::mem::replace(&mut self.services, services);
        self.failbacks.retain(&self.services);
        self.outages.retain(|name| self.services.contains_key(name));
        self.instant.before.retain(|name, _| self.services.contains_key(name));
        self.dependants.clear();
        let dependants: Vec<ServiceRef> = self
            .services
            .values()
            .filter(|service| others(service).next().is_some())
            .map(|service| service.name.clone())
            .collect();
        for name in &dependants {
            self.depend(name);
        }
        self.redrain_all(&mut Vec::new());
        self.compile_all(&earlier, happened);
    }

    /// Compiles what has changed since the services were `earlier`.
    fn compile_all(
        &mut self,
        earlier: &BTreeMap<ServiceRef, Service>,
        happened: &mut Vec<Transition>,
    ) {
        let Self { services, tables, failbacks, outages, instant, node, now, changed, .. } = self;
        let mut compiled = std::mem::take(&mut tables.services);
        let is_same = |name: &ServiceRef| earlier.get(name) == services.get(name);
        let view = View { node, services, objections: &tables.objections };
        tables.services = services
            .values()
            .map(|service| {
                let name = &service.name;
                let old = compiled.remove(name);
                if let Some(old) = &old
                    && is_same(name)
                    && others(service).all(|(_, other)| is_same(other))
                {
                    return (name.clone(), Arc::clone(old));
                }
                let wanted = rerouter(earlier.get(name), service);
                let compiler = Compiler { view, failbacks, outages, instant, now: *now, wanted };
                let new = compiler.compile(service, old.as_ref(), happened);
                if new.is_some() {
                    changed.insert(name.clone());
                }
                (name.clone(), new.or(old).unwrap_or_default())
            })
            .collect();
        changed.extend(compiled.into_keys());
    }

    fn take_one_by_one(
        &mut self,
        services: BTreeMap<ServiceRef, Service>,
        twice: Vec<Service>,
        happened: &mut Vec<Transition>,
    ) {
        let is_listed = |name: &ServiceRef| {
            services.contains_key(name) || twice.iter().any(|service| service.name == *name)
        };
        let known = self.services.keys().chain(self.refused.keys());
        let gone: Vec<ServiceRef> = known.filter(|name| !is_listed(name)).cloned().collect();
        for name in &gone {
            self.remove(name, happened);
        }
        for service in twice {
            let object = service.name.clone();
            happened.push(Transition::Rejected { object, why: Flaw::Twice.to_string().into() });
        }
        for service in services.into_values() {
            self.put(service, happened);
        }
        self.retry(happened);
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

/// Which backend is used by which service, by its number; sorted.
fn uses(services: &BTreeMap<ServiceRef, Service>) -> Vec<(BackendRef, u32)> {
    let count = services.values().map(|service| service.backends.len()).sum();
    let mut uses: Vec<(BackendRef, u32)> = Vec::with_capacity(count);
    for (number, service) in (0..).zip(services.values()) {
        uses.extend(service.backends.iter().map(|backend| (backend.backend, number)));
    }
    uses.sort_unstable();
    uses
}

fn frontends(services: &BTreeMap<ServiceRef, Service>) -> Vec<Frontend> {
    let mut frontends: Vec<Frontend> =
        services.values().flat_map(|service| service.frontends.iter().copied()).collect();
    frontends.sort_unstable();
    frontends
}
