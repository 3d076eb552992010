//! ExportedService: what the outbox says of one Service.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use redirector_kube::api::Object;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{OUTBOX, decode, object_ref};

/// An ExportedService, as the API server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedService {
    /// `metadata.name`: `<namespace>.<name>` of the Service, or its hash above 253 bytes.
    pub name: String,
    /// What it says.
    pub spec: ExportedServiceSpec,
}

/// What a cluster says of a Service that it exports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedServiceSpec {
    /// The Service's namespace, which has the same meaning in every cluster.
    pub namespace: String,
    /// The Service's name.
    pub name: String,
    /// When its ServiceExport was made, in RFC 3339: of several clusters that differ the oldest holds.
    pub exported_at: String,
    /// Whether it has an address.
    #[serde(rename = "type")]
    pub kind: ExportedType,
    /// Its ports; what a pod's port is, its slices say.
    pub ports: Vec<ExportedPort>,
    /// `sessionAffinity`: `None` or `ClientIP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<String>,
    /// Seconds of affinity by client address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity_seconds: Option<i32>,
    /// `internalTrafficPolicy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_traffic_policy: Option<String>,
    /// `trafficDistribution`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_distribution: Option<String>,
    /// `ipFamilies`, in order.
    #[serde(default)]
    pub ip_families: Vec<String>,
    /// `exportedLabels` of the ServiceExport, never the Service's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `exportedAnnotations` of the ServiceExport.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// 0 to 100: 0 is only when no other cluster has a healthy replica.
    pub weight: u8,
    /// Ready endpoints.
    pub ready: u32,
    /// Where it is reached without a route to its pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<Gateway>,
    /// SHA-256 of its slices' content, in hex: its endpoints are complete if theirs is the same.
    pub digest: String,
}

/// What kind of Service is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExportedType {
    #[serde(rename = "ClusterSetIP")]
    ClusterSetIp,
    Headless,
}

/// A port of an exported Service, in the outbox and in a ServiceImport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedPort {
    /// Empty for the only one.
    #[serde(default)]
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// What the application speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
    /// Where the Service listens, 1 to 65,535.
    pub port: u16,
}

/// An address of the exporting cluster behind which its pods are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// What stands there.
    pub kind: GatewayKind,
    /// Its address; or `hostname`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub address: Option<IpAddr>,
    /// Its name in DNS; or `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The zone of its node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its port for each port of the Service.
    pub ports: Vec<GatewayPort>,
}

/// What a gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GatewayKind {
    LoadBalancer,
    NodePort,
}

/// A port of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GatewayPort {
    /// The Service's port that it leads to.
    pub name: String,
    /// Where the gateway listens, 1 to 65,535.
    pub port: u16,
}

impl ExportedService {
    /// The object as the API server keeps it.
    #[must_use]
    pub fn object(&self) -> Value {
        let Self { name, spec } = self;
        json!({
            "apiVersion": "redirector.dev/v1alpha1",
            "kind": "ExportedService",
            "metadata": {"namespace": OUTBOX, "name": name},
            "spec": spec,
        })
    }
}

impl Object for ExportedService {
    const PATH: &'static str =
        "/apis/redirector.dev/v1alpha1/namespaces/redirector-exports/exportedservices";
    const KIND: &'static str = "ExportedService";

    fn decode(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Written {
            metadata: ObjectMeta,
            spec: ExportedServiceSpec,
        }
        let Written { metadata, spec } = decode(json)?;
        Ok(Self { name: object_ref(&metadata)?.name.to_string(), spec })
    }
}
