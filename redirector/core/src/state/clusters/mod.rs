//! Other clusters: what was said of them, and which backends are in which.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    failover::vacancies::Standing,
    remote_cluster::{ClusterPhase, RemoteCluster},
    service::{BackendRef, Service},
};

/// Other clusters than the own one.
#[derive(Clone, Debug, Default)]
pub(super) struct Clusters {
    /// The id of the own one, which is none of these.
    own: Option<Arc<str>>,
    /// What was said of them, by name, each once.
    told: Vec<RemoteCluster>,
    /// Which backends services list in which, and how many services do. A backend that two services
    /// list in different ones is in both.
    members: BTreeMap<Arc<str>, BTreeMap<BackendRef, u32>>,
}

impl Clusters {
    /// These are all that there are said to be. Of two with one name the last counts.
    pub(super) fn tell(&mut self, clusters: Vec<RemoteCluster>) {
        let named = clusters.into_iter().map(|cluster| (Arc::clone(&cluster.name), cluster));
        self.told = named.collect::<BTreeMap<_, _>>().into_values().collect();
    }

    /// What was said of each, by name.
    pub(super) fn told(&self) -> &[RemoteCluster] {
        &self.told
    }

    /// What was said of one.
    pub(super) fn get(&self, name: &str) -> Option<&RemoteCluster> {
        let at = self.told.binary_search_by(|cluster| (*cluster.name).cmp(name)).ok()?;
        self.told.get(at)
    }

    /// All that something was said of, or where a backend is; without the own one.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        let told = self.told.iter().map(|cluster| &cluster.name);
        let named = told.chain(self.members.keys()).filter(|name| Some(*name) != self.own.as_ref());
        named.cloned().collect()
    }

    /// How one stands that a tier names.
    pub(super) fn standing(&self, name: &Arc<str>) -> Standing {
        if Some(name) == self.own.as_ref() {
            return Standing::Heard;
        }
        match self.get(name).map(|told| told.phase) {
            None if !self.members.contains_key(name) => Standing::Unknown,
            None | Some(ClusterPhase::Live) => Standing::Heard,
            Some(ClusterPhase::Silent | ClusterPhase::Lost) => Standing::Silent,
        }
    }

    /// Services list other backends now, or elsewhere.
    pub(super) fn relist<'s>(
        &mut self,
        earlier: impl Iterator<Item = &'s Service>,
        services: impl Iterator<Item = &'s Service>,
    ) {
        for (cluster, backend) in services.flat_map(|service| abroad(service, self.own.clone())) {
            match self.members.get_mut(cluster) {
                Some(members) => *members.entry(backend).or_default() += 1,
                None => _ = self.members.insert(Arc::clone(cluster), [(backend, 1)].into()),
            }
        }
        for (cluster, backend) in earlier.flat_map(|service| abroad(service, self.own.clone())) {
            let Some(members) = self.members.get_mut(cluster) else { continue };
            if let Some(users) = members.get_mut(&backend) {
                *users -= 1;
                if *users == 0 {
                    members.remove(&backend);
                }
            }
            if members.is_empty() {
                self.members.remove(cluster);
            }
        }
    }

    /// Another cluster is the own one.
    pub(super) fn be_in<'s>(
        &mut self,
        own: Option<&Arc<str>>,
        services: impl Iterator<Item = &'s Service>,
    ) {
        self.own = own.cloned();
        self.members.clear();
        self.relist(std::iter::empty(), services);
    }
}

/// The backends of a service that are in other clusters than the one with the id `own`.
fn abroad(
    service: &Service,
    own: Option<Arc<str>>,
) -> impl Iterator<Item = (&Arc<str>, BackendRef)> {
    let listed = service.backends.iter();
    listed.filter_map(move |listed| {
        Some((listed.locality.other_cluster(own.as_ref())?, listed.backend))
    })
}
