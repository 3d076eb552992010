//! What the outbox says of one exported Service.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ipnet::IpNet;
use redirector_kube::api::{Family, Node};

use super::{
    gateways::{self, Published},
    local::{LocalKind, LocalService, LocalSlice},
    slices,
};
use crate::api::{
    ExportedPort, ExportedService, ExportedServiceSpec, ExportedType, OutboxSlice, ServiceExport,
    export_name, slices_digest,
};

/// An exported Service with its slices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// What is said of it.
    pub service: ExportedService,
    /// Its endpoints, by the slices' names.
    pub slices: Vec<OutboxSlice>,
    /// What the manifest's digest has of it.
    pub fingerprint: [u8; 32],
}

impl Exported {
    /// How many endpoints its slices have.
    #[must_use]
    pub fn endpoints(&self) -> usize {
        self.slices.iter().map(|slice| slice.endpoints.len()).sum()
    }
}

/// What follows for the outbox of a Service with a ServiceExport; `None` for an ExternalName, which has
/// no endpoints.
pub(super) fn exported<'s>(
    export: &ServiceExport,
    service: &LocalService,
    listed: impl IntoIterator<Item = &'s LocalSlice>,
    nodes: &BTreeMap<Arc<str>, Node>,
    trusted: &[IpNet],
) -> Option<Exported> {
    let kind = match service.kind {
        LocalKind::Addressed => ExportedType::ClusterSetIp,
        LocalKind::Headless => ExportedType::Headless,
        LocalKind::ExternalName => return None,
    };
    let publishes = |reach: &str| {
        export.reach.as_deref().is_none_or(|reaches| reaches.split(',').any(|one| one == reach))
    };
    let mut copies = Vec::new();
    let mut ready: BTreeMap<Family, BTreeSet<_>> = BTreeMap::new();
    let mut hosts = BTreeSet::new();
    for slice in listed {
        let endpoints = slices::exported(service, slice, trusted);
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.is_ready) {
            ready.entry(slice.family).or_default().insert(endpoint.address);
            hosts.extend(endpoint.node.as_deref());
        }
        if publishes("Pod") {
            copies.extend(slices::copies(slice, &endpoints));
        }
    }
    copies.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    // A pod of two families is listed in a slice of each.
    let ready = ready.values().map(BTreeSet::len).max().unwrap_or_default();
    let published =
        Published { load_balancer: publishes("LoadBalancer"), node_port: publishes("NodePort") };
    let gateways = if ready == 0 || kind == ExportedType::Headless {
        Vec::new()
    } else {
        gateways::of(service, nodes, &hosts, published)
    };
    let ports = service.ports.iter().map(|port| ExportedPort {
        name: port.name.clone(),
        protocol: port.protocol.clone(),
        app_protocol: port.app_protocol.clone(),
        port: port.port,
    });
    let spec = ExportedServiceSpec {
        namespace: service.object.namespace.to_string(),
        name: service.object.name.to_string(),
        exported_at: export.created.clone(),
        kind,
        ports: ports.collect(),
        session_affinity: service.session_affinity.clone(),
        affinity_seconds: service.affinity_seconds,
        internal_traffic_policy: service.internal_traffic_policy.clone(),
        traffic_distribution: service.traffic_distribution.clone(),
        ip_families: service.ip_families.clone(),
        labels: export.labels.clone(),
        annotations: export.annotations.clone(),
        weight: export.weight,
        ready: u32::try_from(ready).unwrap_or(u32::MAX),
        gateways,
        digest: slices_digest(&copies),
    };
    let name = export_name(&service.object.namespace, &service.object.name);
    let fingerprint = crate::api::export_fingerprint(&name, &spec);
    Some(Exported { service: ExportedService { name, spec }, slices: copies, fingerprint })
}
