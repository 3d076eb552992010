//! ServiceImport (KEP-1645, v1beta1): what other clusters, and this one, export under one name.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{ExportedPort, ExportedType};

/// `spec` of a ServiceImport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceImportSpec {
    /// By precedence: that of the oldest export.
    #[serde(rename = "type")]
    pub kind: ExportedType,
    /// Ports of all exports, by name, then by protocol and number.
    pub ports: Vec<ExportedPort>,
    /// Addresses of the derived Service; empty without clusterset addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<IpAddr>,
    /// Their families.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_families: Vec<String>,
    /// `None` or `ClientIP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<String>,
    /// As in a Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity_config: Option<serde_json::Value>,
    /// As in a Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_traffic_policy: Option<String>,
    /// As in a Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_distribution: Option<String>,
    /// Labels of the import, not of its spec.
    #[serde(skip)]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the import, not of its spec.
    #[serde(skip)]
    pub annotations: BTreeMap<String, String>,
}
