//! What keeps the clusters that a tier names from serving a Service: so that a tier which cannot take
//! over says so while nothing has failed yet.

use std::sync::Arc;

use redirector_core::{remote_cluster::ClusterPhase, service::ANY_OTHER};
use redirector_policy::TierInClusters;

use super::{Index, remote::RemoteSlices};
use crate::{
    api::{ObjectRef, Service},
    clusters::Refusal,
    policies::ClusterTrouble,
};

type Trouble = (ClusterTrouble, String);

/// What is wrong with each cluster that is named; with any other one ([`ANY_OTHER`]) only if none of
/// them serves.
pub(super) fn of(index: &Index, service: &ObjectRef, tier: &TierInClusters<'_>) -> Vec<Trouble> {
    let exported = tier.service.map(|other| ObjectRef {
        namespace: Arc::clone(&service.namespace),
        name: other.name.as_str().into(),
    });
    let served = index.served(exported.as_ref().unwrap_or(service));
    let slices = served.as_deref().map(|service| index.remote_slices(service)).unwrap_or_default();
    let name = exported.as_ref().map_or(&*service.name, |other| &*other.name);
    let of = Of { index, service: served.as_deref(), name, slices };
    let own = index.clusters.own().id().or(index.settings.cluster.as_ref());
    let mut found = Vec::new();
    for cluster in tier.clusters {
        if cluster == ANY_OTHER {
            found.extend(of.any_other());
        } else if own.is_none_or(|own| **own != **cluster) {
            found.extend(of.one(cluster));
        }
    }
    found
}

struct Of<'a> {
    index: &'a Index,
    /// The Service whose exports are asked for; `None` is none here and none there.
    service: Option<&'a Service>,
    name: &'a str,
    slices: RemoteSlices<'a>,
}

impl Of<'_> {
    /// In order: unknown; refused; silent; exporting nothing, or nothing that may be used, or no port
    /// that fits.
    fn one(&self, cluster: &str) -> Option<Trouble> {
        let Self { index, name, .. } = self;
        match index.clusters.standing(cluster) {
            None => {
                let why = format!("there is no RemoteCluster {cluster}");
                return Some((ClusterTrouble::NoSuchCluster, why));
            }
            Some(Err(why)) => {
                let kind = match why {
                    Refusal::NoGuard => ClusterTrouble::Insecure,
                    _ => ClusterTrouble::Refused,
                };
                let why = format!("cluster {cluster} is not used ({}): {why}", why.reason());
                return Some((kind, why));
            }
            Some(Ok(_)) => {}
        }
        let silent = |why: &str| Some((ClusterTrouble::Silent, format!("cluster {cluster} {why}")));
        match index.clusters.phase(cluster) {
            ClusterPhase::Silent => return silent("is not heard; only what answers is used"),
            ClusterPhase::Lost => return silent("is lost or about to be removed"),
            ClusterPhase::Live => {}
        }
        if !self.slices.used.keys().any(|used| ***used == *cluster) {
            let is_left_out = self.slices.left_out.iter().any(|out| ***out == *cluster);
            let (kind, why) = match is_left_out {
                true => (ClusterTrouble::Refused, "is left out by its RemoteCluster"),
                false if self.service.is_some_and(|service| service.is_internal_local) => (
                    ClusterTrouble::NotExported,
                    "stays on its node (internalTrafficPolicy: Local)",
                ),
                false => (ClusterTrouble::NotExported, "is not exported there"),
            };
            return Some((kind, format!("Service {name} of cluster {cluster} {why}")));
        }
        let ports = self.service.into_iter().flat_map(|service| {
            let ours = service.ports.iter().filter(|port| port.protocol.is_some());
            ours.filter(move |port| {
                self.slices.mismatched(port, service).iter().any(|missed| ***missed == *cluster)
            })
        });
        let ports: Vec<String> = ports
            .map(|port| match &*port.name {
                "" => port.port.to_string(),
                name => name.to_owned(),
            })
            .collect();
        (!ports.is_empty()).then(|| {
            let ports = ports.join(", ");
            let why = format!("cluster {cluster} exports no port that fits port {ports} of {name}");
            (ClusterTrouble::PortMismatch, why)
        })
    }

    /// The trouble of the one that is nearest to serving, if each has one.
    fn any_other(&self) -> Option<Trouble> {
        let own = self.index.clusters.own().id();
        let mut nearest: Option<Trouble> = None;
        for cluster in self.index.clusters.names().filter(|name| Some(*name) != own) {
            let trouble = self.one(cluster)?;
            if nearest.as_ref().is_none_or(|(kind, _)| trouble.0 > *kind) {
                nearest = Some(trouble);
            }
        }
        let none = || {
            let why = "there is no RemoteCluster, so no other cluster".to_owned();
            (ClusterTrouble::NoSuchCluster, why)
        };
        Some(nearest.unwrap_or_else(none))
    }
}
