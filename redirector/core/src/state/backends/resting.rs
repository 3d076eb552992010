//! Which backends of other clusters are at rest: they are asked, in turn, only so often that the link
//! between the clusters does not notice, however many nodes there are.
//!
//! At rest is a backend in another cluster that no service with a probe needs now: none of its tiers
//! with load has it, and no socket of this node has used it in the last 5 minutes. What is in doubt, or
//! is asked for its cluster, is not at rest. How many probes a cluster gets is the prober's business.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{is_probed, probed::rank_of};
use crate::{
    input::AtRest,
    service::{BackendRef, Service, ServiceRef},
    state::State,
};

/// So many of a cluster are asked in turn from one node, another choice on each: of a hundred thousand
/// each would be asked once a day.
const MOST: usize = 2_048;

/// How many of each cluster are asked.
#[derive(Debug, Default)]
pub(super) struct Resting(BTreeMap<Arc<str>, BTreeSet<BackendRef>>);

impl Resting {
    /// Those of these for which there is room.
    pub(super) fn admit(
        &mut self,
        at_rest: BTreeMap<BackendRef, AtRest>,
    ) -> impl Iterator<Item = (BackendRef, AtRest)> {
        at_rest.into_iter().filter(|(backend, rest)| {
            let known = self.0.entry(Arc::clone(&rest.cluster)).or_default();
            known.contains(backend) || known.len() < MOST && known.insert(*backend)
        })
    }
}

impl State {
    /// A service's own backends in other clusters that it could do without for now, so that they are
    /// asked only rarely; none of those that are in doubt.
    #[must_use]
    pub fn resting(&self, service: &ServiceRef) -> BTreeSet<BackendRef> {
        let Some(service) = self.services.get(service) else { return BTreeSet::new() };
        if service.policy.probe.is_none() {
            return BTreeSet::new();
        }
        let is_doubted =
            |it: &BackendRef| self.is_ejected(it) || self.backends.suspected.contains_key(it);
        self.at_rest(service).into_keys().filter(|backend| !is_doubted(backend)).collect()
    }

    /// A service's own backends that are at rest as far as it is concerned.
    pub(super) fn at_rest(&self, service: &Service) -> BTreeMap<BackendRef, AtRest> {
        if !self.clusters.is_any_used() {
            return BTreeMap::new();
        }
        let node = self.node.node.as_deref().unwrap_or_default();
        let own = self.node.cluster.as_ref();
        let needed = self.needed(&service.name);
        let at_rest = service.backends.iter().filter_map(|listed| {
            let cluster = Arc::clone(listed.locality.other_cluster(own)?);
            let backend = listed.backend;
            let is_needed = needed.contains(&backend) || self.backends.is_used(&backend);
            let rank = rank_of(node, &backend);
            (is_probed(&backend) && !is_needed).then_some((backend, AtRest { cluster, rank }))
        });
        at_rest.collect()
    }

    /// Backends in tiers that carry load, of a service or of those that have tiers for it.
    fn needed(&self, service: &ServiceRef) -> BTreeSet<BackendRef> {
        let users = std::iter::once(service).chain(self.services.dependants(service));
        let tables = users.filter_map(|user| self.tables.services.get(user));
        let families = tables.flat_map(|tables| [&tables.v4, &tables.v6]);
        let carrying = families.flat_map(|table| {
            let tiers = table.tiers.iter().enumerate();
            tiers.filter(|(position, _)| table.share(*position) > 0).map(|(_, tier)| tier)
        });
        let entries = carrying.flat_map(|tier| &tier.entries);
        let is_far = |backend: &BackendRef| self.clusters.is_abroad(backend);
        entries.map(|entry| entry.backend).filter(is_far).collect()
    }
}
