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

/// What services have at rest in each cluster, and which of it is asked: one owner's backends leave room
/// for those of any other, however many it lists.
#[derive(Debug, Default)]
pub(super) struct Resting<'s> {
    /// Backends and their ranks, by cluster and owner, in the order in which services are asked.
    by_owner: BTreeMap<Arc<str>, ByOwner<'s>>,
}

/// Backends at rest and their ranks, of each owner.
type ByOwner<'s> = BTreeMap<&'s str, Vec<(BackendRef, u64)>>;

impl<'s> Resting<'s> {
    /// Adds what a service of that owner has at rest.
    pub(super) fn add(&mut self, owner: &'s str, at_rest: BTreeMap<BackendRef, (Arc<str>, u64)>) {
        for (backend, (cluster, rank)) in at_rest {
            let owners = self.by_owner.entry(cluster).or_default();
            owners.entry(owner).or_default().push((backend, rank));
        }
    }

    /// Those for which there is room: one of each owner before the second of any. What several owners
    /// list is at the expense of the one that lists fewest.
    pub(super) fn admit(self) -> BTreeMap<BackendRef, AtRest> {
        let mut admitted = BTreeMap::new();
        for (cluster, owners) in self.by_owner {
            let mut owners: Vec<_> = owners.into_iter().collect();
            owners.sort_by_key(|(owner, backends)| (backends.len(), *owner));
            let mut seen = BTreeSet::new();
            for (_, backends) in &mut owners {
                backends.retain(|(backend, _)| seen.insert(*backend));
            }
            let longest = owners.iter().map(|(_, backends)| backends.len()).max().unwrap_or(0);
            let owners: Vec<(Arc<str>, _)> =
                owners.into_iter().map(|(owner, backends)| (owner.into(), backends)).collect();
            let in_turns = (0..longest).flat_map(|turn| {
                let of = move |(owner, backends): &(Arc<str>, Vec<_>)| {
                    Some((Arc::clone(owner), *backends.get(turn)?))
                };
                owners.iter().filter_map(of)
            });
            for (owner, (backend, rank)) in in_turns.take(MOST) {
                let cluster = Arc::clone(&cluster);
                admitted.entry(backend).or_insert(AtRest { cluster, owner, rank });
            }
        }
        admitted
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

    /// A service's own backends that are at rest as far as it is concerned: their clusters, and their
    /// places in this node's own order.
    pub(super) fn at_rest(&self, service: &Service) -> BTreeMap<BackendRef, (Arc<str>, u64)> {
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
            (is_probed(&backend) && !is_needed).then_some((backend, (cluster, rank)))
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
