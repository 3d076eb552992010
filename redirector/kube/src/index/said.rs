//! What the core was told of a Service, in the shortest form that can be compared as a whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use redirector_core::service::{
    Backend, BackendRef, Frontend, Locality, Policy, Rank, Service, ServiceRef,
};

use crate::api::ObjectRef;

/// The name of a Service port: `namespace/name:port`, without the port's name where it has none.
#[must_use]
pub fn service_ref(object: &ObjectRef, port: &str) -> ServiceRef {
    if port.is_empty() {
        return ServiceRef(object.to_string().into());
    }
    ServiceRef(format!("{object}:{port}").into())
}

/// The Service that a name of [`service_ref`] means.
#[must_use]
pub fn object_of(service: &ServiceRef) -> Option<ObjectRef> {
    let (namespace, name) = service.0.split_once('/')?;
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    Some(ObjectRef { namespace: namespace.into(), name: name.into() })
}

/// One Service port.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Said {
    pub name: ServiceRef,
    pub frontends: Vec<Frontend>,
    /// Its cluster addresses: no host has them.
    pub virtual_addresses: Vec<IpAddr>,
    pub affinity_seconds: Option<u32>,
    pub unreachable: bool,
    /// The backends in the order of [`BackendRef`], each once.
    pub backends: Box<[Listed]>,
    pub policy: Policy,
}

/// One backend; the weight of all is 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    pub backend: BackendRef,
    pub rank: Rank,
    pub locality: Arc<Locality>,
}

impl Said {
    pub fn service(&self) -> Service {
        let Self {
            name,
            frontends,
            virtual_addresses,
            affinity_seconds,
            unreachable,
            backends,
            policy,
        } = self;
        Service {
            name: name.clone(),
            frontends: frontends.clone(),
            affinity_seconds: *affinity_seconds,
            virtual_addresses: virtual_addresses.clone(),
            also_served: true,
            unreachable: *unreachable,
            backends: backends.iter().map(Listed::backend).collect(),
            policy: policy.clone(),
        }
    }
}

impl Listed {
    fn backend(&self) -> Backend {
        let Self { backend, rank, locality } = self;
        Backend { backend: *backend, locality: Locality::clone(locality), weight: 1, rank: *rank }
    }
}

/// One copy of each place.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// The places by node and zone.
    known: BTreeMap<[Option<Arc<str>>; 2], Arc<Locality>>,
    limit: usize,
}

impl Places {
    /// The place of a node and zone.
    pub fn of(
        &mut self,
        node: Option<&Arc<str>>,
        zone: Option<&Arc<str>>,
        regions: &BTreeMap<Arc<str>, Arc<str>>,
    ) -> Arc<Locality> {
        let key = [node.cloned(), zone.cloned()];
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.limit {
            self.known.retain(|_, known| Arc::strong_count(known) > 1);
            self.limit = 1_024.max(self.known.len() * 2);
        }
        let region = zone.and_then(|zone| regions.get(zone)).cloned();
        let place = Locality { node: node.cloned(), zone: zone.cloned(), region, cluster: None };
        let place = Arc::new(place);
        self.known.insert(key, Arc::clone(&place));
        place
    }

    /// Zones that are in use and in no region.
    pub fn without_region(&self) -> BTreeSet<Arc<str>> {
        let used = self.known.values().filter(|place| Arc::strong_count(place) > 1);
        used.filter(|place| place.region.is_none()).filter_map(|place| place.zone.clone()).collect()
    }

    /// Zones may be in other regions now.
    pub fn forget(&mut self) {
        self.known.clear();
    }
}
