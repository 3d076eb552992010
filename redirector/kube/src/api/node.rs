//! What is kept of Nodes: where they are, and their addresses.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use k8s_openapi::{api::core::v1::NodeAddress, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde::Deserialize;

use super::{Object, ObjectRef, address::read, decode, object_ref};

const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";

/// What is kept of a Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Which Node it is; it has no namespace.
    pub object: ObjectRef,
    /// `topology.kubernetes.io/zone`.
    pub zone: Option<Arc<str>>,
    /// `topology.kubernetes.io/region`.
    pub region: Option<Arc<str>>,
    /// Its InternalIPs and ExternalIPs that may be used, each once: where its NodePorts are.
    pub addresses: Box<[IpAddr]>,
    /// `spec.podCIDRs`: where its pods are.
    pub pod_cidrs: Box<[IpNet]>,
}

impl Object for Node {
    const PATH: &'static str = "/api/v1/nodes";
    const KIND: &'static str = "Node";

    fn decode(json: &[u8]) -> Result<Self, String> {
        // A Node lists all its images: they are not read.
        let Partial { metadata, spec, status } = decode(json)?;
        let object = object_ref(&metadata)?;
        let mut addresses: Vec<IpAddr> = status
            .iter()
            .flat_map(|status| status.addresses.iter().flatten())
            .filter(|address| matches!(address.type_.as_str(), "InternalIP" | "ExternalIP"))
            .filter_map(|address| read(&address.address).ok())
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(Self {
            object,
            zone: label(&metadata, ZONE),
            region: label(&metadata, REGION),
            addresses: addresses.into(),
            pod_cidrs: spec
                .iter()
                .flat_map(|spec| spec.pod_cidrs.iter().flatten().chain(&spec.pod_cidr))
                .filter_map(|cidr| cidr.parse().ok())
                .collect(),
        })
    }
}

impl Node {
    /// Every range that it occupies: of its pods, and each of its addresses.
    pub fn ranges(&self) -> impl Iterator<Item = IpNet> {
        let addresses = self.addresses.iter().copied().map(IpNet::from);
        self.pod_cidrs.iter().copied().chain(addresses)
    }
}

#[derive(Deserialize)]
struct Partial {
    metadata: ObjectMeta,
    spec: Option<PartialSpec>,
    status: Option<PartialStatus>,
}

#[derive(Deserialize)]
struct PartialSpec {
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Option<Vec<String>>,
    /// The first of them, once more.
    #[serde(rename = "podCIDR")]
    pod_cidr: Option<String>,
}

#[derive(Deserialize)]
struct PartialStatus {
    addresses: Option<Vec<NodeAddress>>,
}

/// Which region each zone is in. A zone whose nodes disagree is in none that is known: names of
/// zones may repeat.
pub fn regions<'n>(nodes: impl IntoIterator<Item = &'n Node>) -> BTreeMap<Arc<str>, Arc<str>> {
    let mut found: BTreeMap<Arc<str>, Option<Arc<str>>> = BTreeMap::new();
    for node in nodes {
        let (Some(zone), Some(region)) = (&node.zone, &node.region) else { continue };
        let known = found.entry(Arc::clone(zone)).or_insert_with(|| Some(Arc::clone(region)));
        if known.as_ref() != Some(region) {
            *known = None;
        }
    }
    found.into_iter().filter_map(|(zone, region)| Some((zone, region?))).collect()
}

fn label(metadata: &ObjectMeta, name: &str) -> Option<Arc<str>> {
    let value = metadata.labels.as_ref()?.get(name)?;
    (!value.is_empty()).then(|| value.as_str().into())
}
