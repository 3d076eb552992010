//! What an import is made from: what counts of each cluster, and what is here.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use redirector_kube::api::ObjectRef;
use redirector_policy::Reach;

use super::{
    Settings,
    here::Here,
    outbox::{HeldService, Outbox, Spot},
    remote::Remote,
    slices::Heading,
    status::Counts,
};

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'v> {
    pub settings: &'v Settings,
    pub here: &'v Here,
    pub own: &'v Outbox,
    pub remotes: &'v BTreeMap<Arc<str>, Remote>,
}

/// The ServiceImport that owns what is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// It has not been seen yet: what it owns waits for it.
    NotYet,
    /// It was there and is gone, and is made again: what it owned stays, with no owner.
    Gone,
    Ours(Arc<str>),
    /// Another implementation's: it is left as it is.
    Foreign(Arc<str>),
}

impl<'v> View<'v> {
    /// What counts under that name, by cluster.
    pub fn exports(self, object: &ObjectRef) -> Vec<(&'v Arc<str>, &'v HeldService)> {
        let own = self.own.held().get(object);
        let own = own.filter(|_| self.here.is_chosen(&object.namespace, None));
        let own = own.map(|held| (&self.settings.cluster, held));
        let others = self.remotes.iter().filter_map(|(name, remote)| {
            let held = remote.held(object)?;
            self.is_chosen(remote, object).then_some((name, held))
        });
        own.into_iter().chain(others).collect()
    }

    pub fn is_chosen(self, remote: &Remote, object: &ObjectRef) -> bool {
        let by = remote.spec.as_ref().and_then(|spec| spec.spec().namespaces.as_ref());
        self.here.is_chosen(&object.namespace, by)
    }

    /// Whether endpoints of that cluster are here. Without clusterset addresses this cluster's own are
    /// not copied, but they are here.
    pub fn is_used(self, cluster: &str) -> bool {
        self.remotes.get(cluster).is_none_or(Remote::is_used)
    }

    /// Whether an endpoint of that cluster may be at that address.
    pub fn is_inside(self, cluster: &str, address: IpAddr) -> bool {
        let remote = self.remotes.get(cluster);
        remote.is_none_or(|remote| remote.spec.as_ref().is_some_and(|spec| spec.has(address)))
    }

    pub fn counts(self, cluster: &str, held: &HeldService) -> Counts {
        let is_inside = |spot: &&Spot| self.is_inside(cluster, spot.address);
        let inside = held.endpoints.keys().filter(is_inside).count();
        let endpoints = if self.is_used(cluster) { inside } else { 0 };
        Counts { services: 1, endpoints, outside: held.endpoints.len() - inside, unchosen: 0 }
    }

    /// What the slices of a cluster have in common; `None` if it has none here.
    pub fn heading<'h>(
        self,
        object: &'h ObjectRef,
        cluster: &'h Arc<str>,
        held: &HeldService,
        owner: &'h Owner,
        derived: Option<&'h str>,
    ) -> Option<Heading<'h>>
    where
        'v: 'h,
    {
        let owner = match owner {
            Owner::NotYet => return None,
            Owner::Gone => None,
            Owner::Ours(uid) | Owner::Foreign(uid) => Some(&**uid),
        };
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        let (reach, regions) = match self.remotes.get(cluster) {
            Some(remote) => {
                if !remote.is_used() {
                    return None;
                }
                (remote.reach(), &*remote.regions)
            }
            // This cluster's own are copied for the clusterset address only.
            None if !self.settings.cluster_set_ips => return None,
            None => (Reach::Pod, &NONE),
        };
        let weight = held.spec.weight;
        Some(Heading { object, cluster, reach, weight, regions, derived, owner, ports: None })
    }

    pub fn owner(self, object: &ObjectRef, was_there: bool) -> Owner {
        match self.here.import(object) {
            Some(import) => match &import.uid {
                Some(uid) if import.is_ours => Owner::Ours(Arc::clone(uid)),
                Some(uid) => Owner::Foreign(Arc::clone(uid)),
                None => Owner::Gone,
            },
            None if was_there => Owner::Gone,
            None => Owner::NotYet,
        }
    }
}
