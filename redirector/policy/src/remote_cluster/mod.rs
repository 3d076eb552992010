//! The `spec` of a RemoteCluster: what this cluster states about another one.
//!
//! Without `server` others discover its endpoints (Cilium, Submariner, a controller of the user's); then
//! the object says that the cluster exists, and where its endpoints may be.

mod overlap;
mod valid;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{bounds::KEEP_FOR, read, remote_cluster_schema};

pub use overlap::{Claim, Overlap, RangeOwner, Taken, overlaps};
pub use valid::ValidRemoteCluster;

/// Another cluster, as this one may use it. `metadata.name` is its id: what `tiers[].clusters` and
/// the label `multicluster.kubernetes.io/source-cluster` call it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoteClusterSpec {
    /// The URL of its API server, `https://` always. Omitted: its endpoints are discovered by others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 1024), regex(pattern = r"^https://[!-~]+$"))]
    pub server: Option<String>,
    /// Certificates that vouch for the API server, as PEM in base64. Omitted: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 262_144))]
    pub ca_bundle: Option<String>,
    /// What the importer shows to the API server; required with `server`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CredentialsSpec")]
    pub credentials: Option<CredentialsSpec>,
    /// `metadata.uid` of its namespace kube-system: a cluster with another one is refused. `redirector
    /// cluster join` writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 64))]
    pub uid: Option<String>,
    /// Where its services are reached: at their pods, at their load balancers, or at node ports.
    #[serde(default)]
    pub reach: Reach,
    /// Where its endpoints are, 1 to 64 ranges such as `10.2.0.0/16` or `fd00:2::/48`. None counts
    /// outside. With reach `Pod` they overlap no range of this cluster and of no other one.
    #[schemars(length(min = 1, max = MAX_CIDRS), inner(length(min = 1, max = 49)))]
    pub cidrs: Vec<String>,
    /// Which namespaces are imported, by their labels here. Omitted: every namespace that exists here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NamespacesSpec")]
    pub namespaces: Option<NamespacesSpec>,
    /// Whether the way there must be encrypted. There is no default: whoever joins decides.
    pub encryption: EncryptionSpec,
    /// What becomes of its endpoints when it is not heard any more.
    #[serde(default)]
    pub on_silence: OnSilenceWord,
    /// How long endpoints are kept that are silent but answer, `0s` to `24h`. Default: 15m with reach `Pod`,
    /// because addresses of pods are used again, else 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", transform = KEEP_FOR.schema())]
    pub keep_for: Option<String>,
}

/// Where the importer's credentials are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsSpec {
    /// Name of a Secret in the importer's namespace, with `token`.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// Namespaces by their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespacesSpec {
    /// Labels that a namespace has, all of them, with these values.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
}

/// How the way to another cluster is secured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EncryptionSpec {
    /// `Required`: without proof that it is encrypted its endpoints stay out. `Report`: they are used,
    /// and the condition Secure says what is known. `Off`: they are used.
    pub mode: EncryptionMode,
    /// Devices that encrypt, such as `wg0`, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 15)))]
    pub interfaces: Vec<String>,
    /// Whether IPsec policies of the node count.
    #[serde(default)]
    pub ipsec: bool,
}

/// Whether the way to another cluster must be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EncryptionMode {
    // Without doc comments: with them it would be a `oneOf`, which is not structural.
    Required,
    Report,
    Off,
}

/// What of another cluster connections go to.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Reach {
    #[default]
    Pod,
    LoadBalancer,
    NodePort,
}

/// What becomes of the endpoints of a cluster that is silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnSilenceWord {
    #[default]
    KeepReachable,
    Drop,
}

impl RemoteClusterSpec {
    /// The fields of a `spec`. Unknown fields are ignored, as the API server prunes them.
    ///
    /// # Errors
    ///
    /// The first field that does not hold what it should, and what it should hold.
    pub fn read(spec: &serde_json::Value) -> Result<Self, String> {
        read::fields(&read::cleaned(remote_cluster_schema(), spec, "spec")?)
    }
}

/// Most ranges of one cluster.
const MAX_CIDRS: usize = 64;

#[cfg(test)]
mod tests;
