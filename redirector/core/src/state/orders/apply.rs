//! Takes in what operators want, and brings the drains in line with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_common::HealthByte;

use crate::{
    failover::tiers::names,
    input::{Drained, Rerouter, Transition, Verb},
    service::{Backend, BackendRef, Service, ServiceRef},
    state::{State, recompile::TierLists},
};

impl State {
    /// Drains and forces that are in force; applied to a new state in any order they are again.
    #[must_use]
    pub fn orders(&self) -> BTreeSet<Verb> {
        self.orders.all()
    }

    /// Takes in an operator's wish. What is in force already changes nothing.
    pub(in crate::state) fn ordered(&mut self, verb: Verb) {
        let verb = verb.seen_from(self.node.cluster.as_ref());
        let is_new = match &verb {
            Verb::Drain(what) => self.orders.drains.insert(what.clone()),
            Verb::Undrain(what) => self.orders.drains.remove(what),
            Verb::Force { service, tier } => match self.force(service, tier) {
                Ok(is_new) => is_new,
                Err(why) => return self.reject(service, why.into()),
            },
            Verb::Failback { service } => {
                let is_known = self.service(service).is_some() || !self.is_synced();
                let had = self.orders.forced.remove(service).is_some();
                let installed = self.tables.services.get(service).map(AsRef::as_ref);
                let had = self.failback.end(service, installed) | had;
                if !had && !is_known {
                    return self.reject(service, "there is no such service".into());
                }
                had
            }
        };
        if !is_new {
            return;
        }
        self.happened.push(Transition::Ordered(verb.clone()));
        match verb {
            Verb::Drain(_) | Verb::Undrain(_) => {
                let changed = self.redrain_all();
                self.recompile_users_of(&changed);
            }
            Verb::Force { service, .. } => {
                self.recompile(&service, TierLists::AsBefore, Some(Rerouter::Operator));
            }
            Verb::Failback { service } => self.recompile(&service, TierLists::AsBefore, None),
        }
    }

    /// Forces a tier. Returns whether that is new. Until the services are known any name will do.
    fn force(&mut self, service: &ServiceRef, tier: &Arc<str>) -> Result<bool, String> {
        match self.service(service) {
            Some(known) => {
                let names: Vec<_> = names(known).into_iter().map(|(_, name)| name).collect();
                if !names.contains(tier) {
                    return Err(format!("it has no tier {tier:?}, but {}", names.join(", ")));
                }
            }
            None if self.is_synced() => return Err("there is no such service".into()),
            None => {}
        }
        let before = self.orders.forced.insert(service.clone(), Arc::clone(tier));
        Ok(before.as_ref() != Some(tier))
    }

    /// Whether an order keeps new connections from a backend.
    pub(super) fn is_drained(&self, backend: &BackendRef) -> bool {
        self.has_veto(backend, HealthByte::Operator)
    }

    /// Every drained backend, computed anew, and why it is.
    pub(in crate::state) fn drained(&self) -> BTreeMap<BackendRef, Arc<str>> {
        if self.orders.drains.is_empty() {
            return BTreeMap::new();
        }
        self.services().flat_map(|service| self.drained_of(service)).collect()
    }

    /// Brings the drains of all backends in line with the orders. Returns those that are drained
    /// now and were not, and the other way round: the caller recompiles their users.
    pub(in crate::state) fn redrain_all(&mut self) -> Vec<BackendRef> {
        let drained = self.drained();
        let vetoed = self.tables.objections.keys().filter(|it| self.is_drained(it));
        let left = vetoed.filter(|it| !drained.contains_key(it)).copied().collect();
        self.set_drains(drained, left)
    }

    /// As [`redrain_all`](Self::redrain_all) after a change of one service, which listed `before`.
    pub(in crate::state) fn redrain(
        &mut self,
        name: &ServiceRef,
        before: &[BackendRef],
    ) -> Vec<BackendRef> {
        if self.orders.drains.is_empty() && before.is_empty() {
            return Vec::new();
        }
        let drained = self.service(name).map(|service| self.drained_of(service));
        let drained = drained.unwrap_or_default();
        let is_elsewhere = |backend: &BackendRef| {
            let mut others = self.users(backend).filter(|service| service.name != *name);
            others.any(|service| self.drained_of(service).contains_key(backend))
        };
        let left = before.iter().filter(|it| !drained.contains_key(it) && self.is_drained(it));
        let left = left.filter(|it| !is_elsewhere(it)).copied().collect();
        self.set_drains(drained, left)
    }

    /// Backends that a service lists where a drain is, and why they are drained. A service that
    /// lists them elsewhere makes no difference.
    fn drained_of(&self, service: &Service) -> BTreeMap<BackendRef, Arc<str>> {
        if self.orders.drains.is_empty() {
            return BTreeMap::new();
        }
        let why = |listed: &Backend| Some(why(self.orders.drain_of(listed, &self.node)?));
        let listed = service.backends.iter();
        listed.filter_map(|listed| Some((listed.backend, why(listed)?))).collect()
    }

    /// Returns those of which that is new.
    fn set_drains(
        &mut self,
        drained: BTreeMap<BackendRef, Arc<str>>,
        mut left: Vec<BackendRef>,
    ) -> Vec<BackendRef> {
        let by = HealthByte::Operator;
        left.retain(|backend| self.clear_veto(backend, by));
        for (backend, why) in drained {
            if self.set_veto(backend, by, why) {
                left.push(backend);
            }
        }
        left
    }

    fn reject(&mut self, service: &ServiceRef, why: Arc<str>) {
        self.happened.push(Transition::Rejected { object: service.clone(), why });
    }
}

fn why(what: &Drained) -> Arc<str> {
    match what {
        Drained::Backend(_) => "drained".into(),
        Drained::Node(node) => format!("node {node} is drained").into(),
        Drained::Zone(zone) => format!("zone {zone} is drained").into(),
        Drained::Cluster(cluster) => format!("cluster {cluster} is drained").into(),
    }
}
