//! What is kept of this cluster's own objects, beside its Services.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use redirector_core::address::usable;
use redirector_kube::api::{Object, ObjectRef, labels::MANAGED_BY};
use serde::Deserialize;

/// A namespace of this cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// Whether it is about to be removed: nothing can be made in it.
    pub is_leaving: bool,
}

/// A Node of this cluster: what ranges it uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnNode {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// Its InternalIPs and ExternalIPs.
    pub addresses: Vec<IpAddr>,
    /// `spec.podCIDRs`.
    pub pod_cidrs: Vec<IpNet>,
}

/// A ServiceImport of this cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnImport {
    /// Which one.
    pub object: ObjectRef,
    /// `metadata.uid`: what its slices are owned by.
    pub uid: Arc<str>,
    /// Whether this importer writes it. That of another implementation is left as it is.
    pub is_ours: bool,
}

impl Object for Namespace {
    const PATH: &'static str = "/api/v1/namespaces";
    const KIND: &'static str = "Namespace";

    fn decode(json: &[u8]) -> Result<Self, String> {
        let Named { metadata } = read(json)?;
        Ok(Self {
            name: name(&metadata)?,
            is_leaving: metadata.deletion_timestamp.is_some(),
            labels: metadata.labels.unwrap_or_default(),
        })
    }
}

impl Object for OwnNode {
    const PATH: &'static str = "/api/v1/nodes";
    const KIND: &'static str = "Node";

    /// A range or an address that cannot be read is passed over: it is no reason to know nothing of
    /// the others.
    fn decode(json: &[u8]) -> Result<Self, String> {
        let NodeObject { metadata, spec, status } = read(json)?;
        let addresses = status.addresses.iter().flatten();
        let addresses = addresses
            .filter(|address| matches!(&*address.kind, "InternalIP" | "ExternalIP"))
            .filter_map(|address| usable(address.address.parse().ok()?).ok())
            .collect();
        let mut pod_cidrs: Vec<IpNet> =
            spec.pod_cidrs.iter().flatten().filter_map(|cidr| cidr.parse().ok()).collect();
        if pod_cidrs.is_empty() {
            pod_cidrs.extend(spec.pod_cidr.and_then(|cidr| cidr.parse::<IpNet>().ok()));
        }
        Ok(Self { name: name(&metadata)?, addresses, pod_cidrs })
    }
}

impl Object for OwnImport {
    const PATH: &'static str = "/apis/multicluster.x-k8s.io/v1beta1/serviceimports";
    const KIND: &'static str = "ServiceImport";

    fn decode(json: &[u8]) -> Result<Self, String> {
        let Named { metadata } = read(json)?;
        let managed_by = metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY));
        Ok(Self {
            object: ObjectRef {
                namespace: metadata.namespace.as_deref().unwrap_or_default().into(),
                name: name(&metadata)?,
            },
            is_ours: managed_by.is_some_and(|by| by == redirector_kube::api::labels::IMPORTER),
            uid: metadata.uid.unwrap_or_default().into(),
        })
    }
}

#[derive(Deserialize)]
struct Named {
    metadata: ObjectMeta,
}

#[derive(Deserialize)]
struct NodeObject {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeSpec {
    #[serde(rename = "podCIDR")]
    pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
struct NodeStatus {
    addresses: Option<Vec<NodeAddress>>,
}

#[derive(Deserialize)]
struct NodeAddress {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

fn read<'j, T: Deserialize<'j>>(json: &'j [u8]) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

fn name(metadata: &ObjectMeta) -> Result<Arc<str>, String> {
    let name = metadata.name.as_deref().filter(|name| !name.is_empty());
    name.map(Arc::from).ok_or_else(|| "metadata.name is missing".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_says_which_ranges_are_in_use() {
        let node = json!({
            "metadata": {"name": "n-1"},
            "spec": {"podCIDR": "10.1.4.0/24", "podCIDRs": ["10.1.4.0/24", "fd00:1:4::/64", "?"]},
            "status": {"addresses": [
                {"type": "InternalIP", "address": "192.0.2.7"},
                {"type": "Hostname", "address": "n-1"},
            ]},
        });
        let node = OwnNode::decode(node.to_string().as_bytes()).expect("a Node");
        assert_eq!(node.pod_cidrs.len(), 2);
        assert_eq!(node.addresses, ["192.0.2.7".parse::<IpAddr>().expect("an address")]);
    }
}
