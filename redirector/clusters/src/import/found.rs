//! What an importer before this one has left, read back: it counts until a manifest proves otherwise.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use redirector_kube::api::{
    ObjectRef,
    labels::{MCS_SERVICE_NAME, REGIONS, SOURCE_CLUSTER, WEIGHT},
};
use serde_json::Value;

use super::{
    bodies::EXPORTS,
    desired::DesiredKind,
    outbox::{HeldService, Spot},
    slices::prefix,
};
use crate::api::{ExportedPort, ExportedServiceSpec, ExportedType, OutboxEndpoint, OutboxPort};

/// What was found of all clusters.
#[derive(Debug, Default)]
pub(super) struct Adopted {
    /// By cluster.
    pub clusters: BTreeMap<Arc<str>, AdoptedCluster>,
}

/// What was found of one.
#[derive(Debug, Default)]
pub(super) struct AdoptedCluster {
    pub services: BTreeMap<ObjectRef, HeldService>,
    /// In which slice each endpoint was.
    pub numbers: Vec<(ObjectRef, Spot, u32)>,
    /// Which region each zone was said to be in.
    pub regions: BTreeMap<String, String>,
}

/// Reads the objects; what cannot be read is none of the importer's making, and left out.
pub(super) fn adopt(objects: &[Value]) -> Adopted {
    let mut adopted = Adopted::default();
    let of_kind = |kind: DesiredKind| move |object: &&Value| object["kind"] == kind.name();
    for import in objects.iter().filter(of_kind(DesiredKind::ServiceImport)) {
        let Some(object) = object_ref(import) else { continue };
        let said = import["metadata"]["annotations"][EXPORTS].as_str().unwrap_or_default();
        let exports: BTreeMap<String, ExportedServiceSpec> =
            serde_json::from_str(said).unwrap_or_default();
        for (cluster, spec) in exports {
            let of = adopted.clusters.entry(cluster.into()).or_default();
            of.services.insert(object.clone(), HeldService::found(spec));
        }
    }
    for slice in objects.iter().filter(of_kind(DesiredKind::EndpointSlice)) {
        if adopt_slice(&mut adopted, slice).is_none() {
            tracing::debug!(slice = %slice["metadata"]["name"], "a slice that was found is not read");
        }
    }
    adopted
}

fn adopt_slice(adopted: &mut Adopted, slice: &Value) -> Option<()> {
    let metadata = &slice["metadata"];
    let label = |name: &str| metadata["labels"][name].as_str().filter(|value| !value.is_empty());
    let cluster = label(SOURCE_CLUSTER)?;
    let namespace = metadata["namespace"].as_str()?.into();
    let object = ObjectRef { namespace, name: label(MCS_SERVICE_NAME)?.into() };
    let number: u32 =
        metadata["name"].as_str()?.strip_prefix(&*prefix(&object, cluster))?.parse().ok()?;
    let ports: Arc<[OutboxPort]> = slice["ports"].as_array()?.iter().filter_map(port).collect();
    let of = adopted.clusters.entry(cluster.into()).or_default();
    let annotation = |name: &str| metadata["annotations"][name].as_str().unwrap_or_default();
    let regions: BTreeMap<String, String> =
        serde_json::from_str(annotation(REGIONS)).unwrap_or_default();
    of.regions.extend(regions);
    let held = of.services.entry(object.clone()).or_insert_with(|| {
        HeldService::found(unknown(&object, &ports, annotation(WEIGHT).parse().unwrap_or(100)))
    });
    for endpoint in slice["endpoints"].as_array()?.iter().filter_map(endpoint) {
        let spot = Spot { ports: Arc::clone(&ports), address: endpoint.address };
        held.add_found(spot.clone(), endpoint);
        of.numbers.push((object.clone(), spot, number));
    }
    Some(())
}

/// What an export is taken for whose ServiceImport does not say: the newest, with the slice's ports.
fn unknown(object: &ObjectRef, ports: &[OutboxPort], weight: u8) -> ExportedServiceSpec {
    let port = |port: &OutboxPort| ExportedPort {
        name: port.name.clone(),
        protocol: port.protocol.clone(),
        app_protocol: port.app_protocol.clone(),
        port: port.port,
    };
    ExportedServiceSpec {
        namespace: object.namespace.to_string(),
        name: object.name.to_string(),
        exported_at: "9999-12-31T23:59:59Z".to_owned(),
        kind: ExportedType::ClusterSetIp,
        ports: ports.iter().map(port).collect(),
        session_affinity: None,
        affinity_seconds: None,
        internal_traffic_policy: None,
        traffic_distribution: None,
        ip_families: Vec::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        weight: weight.min(100),
        ready: 0,
        gateways: Vec::new(),
        digest: String::new(),
    }
}

fn object_ref(object: &Value) -> Option<ObjectRef> {
    let text = |field: &str| object["metadata"][field].as_str().map(Arc::from);
    Some(ObjectRef { namespace: text("namespace")?, name: text("name")? })
}

fn port(port: &Value) -> Option<OutboxPort> {
    let text = |field: &str| port[field].as_str().filter(|text| !text.is_empty());
    let protocol = text("protocol").unwrap_or("TCP");
    Some(OutboxPort {
        name: port["name"].as_str().unwrap_or_default().to_owned(),
        protocol: protocol.to_owned(),
        app_protocol: text("appProtocol").map(str::to_owned),
        port: u16::try_from(port["port"].as_u64()?).ok()?,
    })
}

fn endpoint(endpoint: &Value) -> Option<OutboxEndpoint> {
    let address: IpAddr = endpoint["addresses"][0].as_str()?.parse().ok()?;
    let condition = |name: &str| endpoint["conditions"][name].as_bool();
    let is_ready = condition("ready").unwrap_or(true);
    let text = |field: &str| endpoint[field].as_str().map(Arc::from);
    Some(OutboxEndpoint {
        address,
        is_ready,
        is_serving: condition("serving").unwrap_or(is_ready),
        is_terminating: condition("terminating").unwrap_or(false),
        node: text("nodeName"),
        zone: text("zone"),
        hostname: text("hostname"),
    })
}
