//! Which endpoints of other clusters a Service gets, and what keeps the others out.
//!
//! A slice says only that it is another cluster's; what counts is the RemoteCluster of
//! that name. So a forged slice can bring nothing but addresses that an administrator has declared to
//! be that cluster's, and only to Services of its own namespace.
//!
//! Likewise a slice that lists a pod of this cluster inside the ranges of another one, where no Node
//! shows that these are in use here: it is a forgery, or a mistake in the RemoteCluster. Its Service
//! keeps its own endpoints, as kube-proxy would use them, and gets none of that cluster; no other Service
//! notices.

mod matched;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_core::service::Protocol;
use redirector_policy::{Reach, ValidRemoteCluster};

use super::{
    Index,
    notice::{Notice, reason},
};
use crate::api::{EndpointSlice, ObjectRef, Service, ServicePort, Source};

pub(super) use matched::RemoteEndpoint;

/// The slices of other clusters that a Service has.
#[derive(Debug, Default)]
pub(super) struct RemoteSlices<'a> {
    /// Those that count, by cluster.
    pub used: BTreeMap<&'a Arc<str>, Vec<(&'a EndpointSlice, &'a Source)>>,
    /// Clusters of which there are slices that do not count.
    pub left_out: BTreeSet<&'a Arc<str>>,
    /// What people are to be told of those.
    pub notices: Vec<Notice>,
}

impl Index {
    /// Whether a Service gets endpoints of other clusters: one with a policy or the label, also where
    /// all Services are ours, and one whose exports a policy names. Never with
    /// `internalTrafficPolicy: Local`.
    pub(super) fn is_attached(&self, service: &Service) -> bool {
        let object = &service.object;
        !service.is_internal_local
            && (service.label == Some(true) || self.has_policy(object) || self.is_exported(object))
    }

    /// Whether a policy names what other clusters export of a Service.
    pub(super) fn is_exported(&self, object: &ObjectRef) -> bool {
        let mut by = self.referrers.get(object).into_iter().flatten();
        by.any(|by| self.adoptions.get(by).is_some_and(|by| by.exports.contains(object)))
    }

    /// A Service as the API server has it; or, if policies name what other clusters export under a name
    /// that no Service has here, one without an address that has the ports of these exports.
    pub(super) fn served(&self, object: &ObjectRef) -> Option<Cow<'_, Service>> {
        if let Some(service) = self.cache.services.get(object) {
            return Some(Cow::Borrowed(service));
        }
        if !self.is_exported(object) {
            return None;
        }
        let ports = self.cache.remote_slices(object).flat_map(|(slice, _)| &slice.ports);
        let ports: BTreeSet<(&Arc<str>, Protocol)> =
            ports.map(|port| (&port.name, port.protocol)).collect();
        let ports = ports.into_iter().map(|(name, protocol)| ServicePort {
            name: Arc::clone(name),
            protocol: Some(protocol),
            // It is not dialled.
            port: 0,
            node_port: None,
        });
        Some(Cow::Owned(Service::exported(object.clone(), ports.collect())))
    }

    /// The slices of other clusters that a Service gets, as their RemoteClusters allow.
    ///
    /// In order: one that names no cluster is not used; what this cluster exports itself is a copy of
    /// its own endpoints, and silent; a gateway of Linkerd is never a backend; without a RemoteCluster
    /// that is accepted nothing is used; addresses are of the kind and in the ranges that it says, and none
    /// of the Service's own pods is there.
    pub(super) fn remote_slices(&self, service: &Service) -> RemoteSlices<'_> {
        let mut found = RemoteSlices::default();
        if !self.is_attached(service) {
            return found;
        }
        let object = &service.object;
        let mut unknown: BTreeSet<&str> = BTreeSet::new();
        for (slice, source) in self.cache.remote_slices(object) {
            let mut leave = |reason, message| {
                found.notices.push(Notice { object: slice.object.clone(), reason, message });
            };
            let Some(cluster) = &source.cluster else {
                unknown.insert("");
                continue;
            };
            if self.clusters.own().id() == Some(cluster) {
                continue;
            }
            if source.is_linkerd_gateway {
                let message = "its endpoints are gateways that only Linkerd's proxies can use; it is \
                               left out";
                leave(reason::LINKERD_GATEWAY, message.to_owned());
                found.left_out.insert(cluster);
                continue;
            }
            let remote = match self.clusters.standing(cluster) {
                Some(Ok(remote)) => remote,
                Some(Err(_)) => {
                    // The RemoteCluster has a notice itself.
                    found.left_out.insert(cluster);
                    continue;
                }
                None => {
                    unknown.insert(cluster);
                    found.left_out.insert(cluster);
                    continue;
                }
            };
            if let Some((reason, message)) = objection(slice, source, cluster, remote) {
                leave(reason, message);
                found.left_out.insert(cluster);
                continue;
            }
            if self.has_pod_in(service, remote) {
                // The Service's own slice has a notice.
                found.left_out.insert(cluster);
                continue;
            }
            if !self.is_wanted(object, cluster) {
                continue;
            }
            let is_its_own = slice.service.as_ref() == Some(&object.name);
            if source.is_proxied && is_its_own && slice.lent_to.is_none() {
                found.notices.push(in_kube_proxy(cluster));
            }
            found.used.entry(cluster).or_default().push((slice, source));
        }
        found.notices.extend(unknown.into_iter().map(|cluster| unknown_cluster(object, cluster)));
        found
    }

    /// Whether a Service lists a pod of this cluster inside the ranges of a cluster: only with reach Pod
    /// is that a contradiction.
    fn has_pod_in(&self, service: &Service, remote: &ValidRemoteCluster) -> bool {
        let mut pods = self.cache.pod_slices(service).flat_map(|slice| &slice.endpoints);
        remote.spec().reach == Reach::Pod && pods.any(|pod| remote.has(pod.address))
    }

    /// Slices of a Service that list pods of this cluster inside the ranges of one that is used.
    pub(super) fn suspected(&self, service: &Service) -> Vec<Notice> {
        if !self.clusters.has_ranges() {
            return Vec::new();
        }
        let notice = |slice: &EndpointSlice| {
            let mut pods = slice.endpoints.iter().map(|endpoint| endpoint.address);
            let (address, cluster) =
                pods.find_map(|address| Some((address, self.clusters.holder(address)?)))?;
            let message = format!(
                "lists {address} as a pod of this cluster, and RemoteCluster {cluster} says that it is in \
                 that one; one of both is wrong, and Service {} gets no endpoint of {cluster}",
                service.object
            );
            let object = slice.object.clone();
            Some(Notice { object, reason: reason::OVERLAP_SUSPECTED, message })
        };
        self.cache.pod_slices(service).filter_map(notice).collect()
    }

    /// Whether any tier could have backends of a cluster.
    fn is_wanted(&self, object: &ObjectRef, cluster: &str) -> bool {
        let own = self.clusters.own().id().map_or("", |own| own);
        self.is_exported(object)
            || self.policies.of(object).is_none_or(|policy| policy.valid.admits(cluster, own))
    }
}

/// What forbids a slice of a cluster that may be used.
fn objection(
    slice: &EndpointSlice,
    source: &Source,
    cluster: &str,
    remote: &ValidRemoteCluster,
) -> Option<(&'static str, String)> {
    let says = remote.spec().reach;
    if let Some(reach) = source.reach.filter(|reach| *reach != says) {
        let message = format!(
            "its addresses are of reach {reach:?}, RemoteCluster {cluster} says {says:?}; it is left out"
        );
        return Some((reason::REACH_DIFFERS, message));
    }
    let outside = |what: &str| {
        format!("{what} is outside the ranges of RemoteCluster {cluster}; it is left out")
    };
    if let Some(refused) = slice.refused.first() {
        return Some((reason::OUTSIDE_CIDRS, outside(&refused.text)));
    }
    let stray = slice.endpoints.iter().find(|endpoint| !remote.has(endpoint.address))?;
    Some((reason::OUTSIDE_CIDRS, outside(&stray.address.to_string())))
}

fn in_kube_proxy(cluster: &Arc<str>) -> Notice {
    Notice {
        object: ObjectRef { namespace: "".into(), name: Arc::clone(cluster) },
        reason: reason::REMOTE_IN_KUBE_PROXY,
        message: format!(
            "EndpointSlices of cluster {cluster} are kube-proxy's, too: where no agent redirects, it \
             spreads connections over both clusters at all times"
        ),
    }
}

fn unknown_cluster(object: &ObjectRef, cluster: &str) -> Notice {
    let message = if cluster.is_empty() {
        "EndpointSlices of another cluster do not say which (multicluster.kubernetes.io/source-cluster); \
         they are left out"
            .to_owned()
    } else {
        format!(
            "there are EndpointSlices of cluster {cluster}, and no RemoteCluster of that name says where \
             its endpoints are; they are left out"
        )
    };
    Notice { object: object.clone(), reason: reason::UNKNOWN_CLUSTER, message }
}
