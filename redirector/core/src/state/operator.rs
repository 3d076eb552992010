//! What operators want: drains, forced tiers, and the end of both.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_common::HealthByte;

use super::State;
use crate::{
    failover::tiers::names,
    input::{Drained, Moment, Rerouter, Transition, Verb},
    service::{Backend, BackendRef, Service, ServiceRef},
};

/// Backends that are drained, with the services that list them where a drain is. A service that
/// lists them elsewhere makes no difference.
pub(super) type Drains = BTreeMap<BackendRef, BTreeSet<ServiceRef>>;

impl State {
    /// Drains and forces that are in force; applied to a new state in any order they are again.
    #[must_use]
    pub fn orders(&self) -> &BTreeSet<Verb> {
        &self.orders
    }

    /// Takes in an operator's wish. What is in force already changes nothing.
    pub(super) fn ordered(&mut self, verb: Verb, _now: Moment, happened: &mut Vec<Transition>) {
        let verb = verb.seen_from(self.node.cluster.as_ref());
        let is_new = match &verb {
            Verb::Drain(_) => self.orders.insert(verb.clone()),
            Verb::Undrain(what) => self.orders.remove(&Verb::Drain(what.clone())),
            Verb::Force { service, tier } => match self.force(service, tier) {
                Ok(is_new) => is_new,
                Err(why) => return happened.push(rejected(service, &why)),
            },
            Verb::Failback(service) => {
                let is_known = self.services.contains_key(service) || !self.is_synced();
                let had = self.end_force(service) | self.end_holds(service);
                if !had && !is_known {
                    return happened.push(rejected(service, "there is no such service"));
                }
                had
            }
        };
        if !is_new {
            return;
        }
        happened.push(Transition::Ordered(verb.clone()));
        match verb {
            Verb::Drain(_) | Verb::Undrain(_) => self.redrain_all(happened),
            Verb::Force { service, .. } => {
                self.recompile(&service, Some(Rerouter::Operator), happened);
            }
            Verb::Failback(service) => self.recompile(&service, None, happened),
        }
    }

    /// Forces a tier. Returns whether that is new. Until the services are known any name will do.
    fn force(&mut self, service: &ServiceRef, tier: &Arc<str>) -> Result<bool, String> {
        match self.services.get(service) {
            Some(known) => {
                let names: Vec<_> = names(known).into_iter().map(|(_, name)| name).collect();
                if !names.contains(tier) {
                    return Err(format!("it has no tier {tier:?}, but {}", names.join(", ")));
                }
            }
            None if self.is_synced() => return Err("there is no such service".into()),
            None => {}
        }
        if self.failbacks.forced.get(service) == Some(tier) {
            return Ok(false);
        }
        self.end_force(service);
        self.failbacks.forced.insert(service.clone(), Arc::clone(tier));
        let (service, tier) = (service.clone(), Arc::clone(tier));
        Ok(self.orders.insert(Verb::Force { service, tier }))
    }

    /// Ends the force on a service. Returns whether there was one.
    fn end_force(&mut self, service: &ServiceRef) -> bool {
        let Some(tier) = self.failbacks.forced.remove(service) else { return false };
        self.orders.remove(&Verb::Force { service: service.clone(), tier })
    }

    /// Drains that a listing of a backend falls under.
    pub(super) fn drains_of(&self, listed: &Backend) -> impl Iterator<Item = &Drained> {
        let drains = self.orders.iter().filter_map(|verb| match verb {
            Verb::Drain(what) => Some(what),
            Verb::Undrain(_) | Verb::Force { .. } | Verb::Failback(_) => None,
        });
        drains.filter(|what| self.is_meant(what, listed))
    }

    pub(super) fn is_meant(&self, what: &Drained, listed: &Backend) -> bool {
        let (place, own) = (&listed.locality, self.node.cluster.as_ref());
        match what {
            Drained::Backend(backend) => listed.backend == *backend,
            Drained::Node(node) => {
                place.node.as_ref() == Some(&node.name)
                    && place.other_cluster(own) == node.cluster.as_ref()
            }
            Drained::Zone(zone) => {
                place.zone.as_ref() == Some(&zone.name)
                    && place.other_cluster(own) == zone.cluster.as_ref()
            }
            Drained::Cluster(cluster) => place.cluster.as_ref().or(own) == Some(cluster),
        }
    }

    /// Whether an order keeps new connections from a backend.
    pub(super) fn is_drained(&self, backend: &BackendRef) -> bool {
        self.has_objection(backend, HealthByte::Operator)
    }

    /// Every drained backend, computed anew.
    pub(super) fn drained(&self) -> BTreeSet<BackendRef> {
        if self.orders.is_empty() {
            return BTreeSet::new();
        }
        let listed = self.services.values().flat_map(|service| &service.backends);
        let drained = listed.filter(|listed| self.drains_of(listed).next().is_some());
        drained.map(|listed| listed.backend).collect()
    }

    /// This node is in a cluster of another id: orders about that one are about the own one now.
    pub(super) fn see_orders_anew(&mut self) {
        let own = self.node.cluster.as_ref();
        let orders = std::mem::take(&mut self.orders).into_iter();
        self.orders = orders.map(|verb| verb.seen_from(own)).collect();
    }

    /// Brings the drains of all backends in line with the orders.
    pub(super) fn redrain_all(&mut self, happened: &mut Vec<Transition>) {
        if self.orders.is_empty() && self.drains.is_empty() {
            return;
        }
        let mut touched: Touched = self.drains.keys().map(|backend| (*backend, None)).collect();
        let mut drains = Drains::new();
        for service in self.services.values() {
            for (backend, why) in self.drained_of(service) {
                drains.entry(backend).or_default().insert(service.name.clone());
                touched.insert(backend, Some(why));
            }
        }
        self.drains = drains;
        self.mark_drained(touched, happened);
    }

    /// Brings the drains in line after a change of one service, which listed `before`.
    pub(super) fn redrain(
        &mut self,
        name: &ServiceRef,
        before: &[BackendRef],
        happened: &mut Vec<Transition>,
    ) {
        if self.orders.is_empty() && self.drains.is_empty() {
            return;
        }
        let service = self.services.get(name);
        let drained = service.map(|service| self.drained_of(service)).unwrap_or_default();
        let mut touched = Touched::new();
        for backend in before.iter().filter(|backend| !drained.contains_key(backend)) {
            let Some(listed) = self.drains.get_mut(backend) else { continue };
            if listed.remove(name) && listed.is_empty() {
                self.drains.remove(backend);
                touched.insert(*backend, None);
            }
        }
        for (backend, why) in drained {
            self.drains.entry(backend).or_default().insert(name.clone());
            touched.insert(backend, Some(why));
        }
        self.mark_drained(touched, happened);
    }

    /// Backends that a service lists where a drain is, and why they are drained.
    fn drained_of(&self, service: &Service) -> BTreeMap<BackendRef, Arc<str>> {
        let why = |listed: &Backend| Some(why(self.drains_of(listed).next()?));
        let listed = service.backends.iter();
        listed.filter_map(|listed| Some((listed.backend, why(listed)?))).collect()
    }

    fn mark_drained(&mut self, touched: Touched, happened: &mut Vec<Transition>) {
        let mut changed = Vec::new();
        for (backend, why) in touched {
            let has_changed = match why {
                Some(why) => self.object(backend, HealthByte::Operator, why),
                None => self.lift(&backend, HealthByte::Operator),
            };
            if has_changed {
                changed.push(backend);
            }
        }
        self.recompile_users_of(&changed, happened);
    }
}

/// Backends whose drain may have changed, and why they are drained now; `None`: they are not.
type Touched = BTreeMap<BackendRef, Option<Arc<str>>>;

fn why(what: &Drained) -> Arc<str> {
    match what {
        Drained::Backend(_) => "drained".into(),
        Drained::Node(node) => format!("node {node} is drained").into(),
        Drained::Zone(zone) => format!("zone {zone} is drained").into(),
        Drained::Cluster(cluster) => format!("cluster {cluster} is drained").into(),
    }
}

fn rejected(object: &ServiceRef, why: &str) -> Transition {
    Transition::Rejected { object: object.clone(), why: why.into() }
}
