//! What operators want: drains, forced tiers, and the end of both.

mod apply;
mod subjects;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    input::{Drained, Verb},
    locality::Locality,
    service::{Backend, ServiceRef},
};

/// How much a node, zone, cluster or backend is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Backends that some service lists there.
    pub backends: usize,
    /// Services that list them, themselves or by a tier.
    pub services: usize,
    /// Those of the backends that are drained, by whatever order.
    pub drained: usize,
}

/// Drains and forces that are in force.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    drains: BTreeSet<Drained>,
    /// Tiers that are to carry everything.
    forced: BTreeMap<ServiceRef, Arc<str>>,
}

impl Orders {
    /// All of them.
    fn all(&self) -> BTreeSet<Verb> {
        let drains = self.drains.iter().cloned().map(Verb::Drain);
        let force = |(service, tier): (&ServiceRef, &Arc<str>)| Verb::Force {
            service: service.clone(),
            tier: Arc::clone(tier),
        };
        drains.chain(self.forced.iter().map(force)).collect()
    }

    /// The tier that is to carry all of a service's load.
    pub(super) fn forced(&self, service: &ServiceRef) -> Option<&Arc<str>> {
        self.forced.get(service)
    }

    /// This node is in a cluster of another id: orders about that one are about the own one now.
    pub(super) fn see_anew(&mut self, own: Option<&Arc<str>>) {
        let drains = std::mem::take(&mut self.drains).into_iter();
        self.drains = drains.map(|what| what.seen_from(own)).collect();
    }

    /// The first drain that a listing of a backend falls under, seen from `node`.
    fn drain_of(&self, listed: &Backend, node: &Locality) -> Option<&Drained> {
        self.drains.iter().find(|what| is_meant(what, listed, node))
    }
}

/// Whether a listing of a backend is in what is named, seen from `node`.
fn is_meant(what: &Drained, listed: &Backend, node: &Locality) -> bool {
    let (place, own) = (&listed.locality, node.cluster.as_ref());
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
