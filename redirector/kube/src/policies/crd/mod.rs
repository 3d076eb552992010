//! The CustomResourceDefinitions of FailoverPolicy and RemoteCluster, from the Rust types of their specs.

mod definition;
mod status;
#[cfg(test)]
mod tests;

use redirector_policy::{object_schema, remote_cluster_schema};
use serde_json::{Value, json};

pub use definition::{Definition, age, column, condition, yaml};

/// The API group of a policy.
pub const GROUP: &str = "redirector.dev";
/// Its only version.
pub const VERSION: &str = "v1alpha1";
/// Its kind.
pub const KIND: &str = "FailoverPolicy";
/// Its resource.
pub const PLURAL: &str = "failoverpolicies";

/// The definition of FailoverPolicy as JSON.
#[must_use]
pub fn crd() -> Value {
    let definition = Definition {
        kind: KIND,
        plural: PLURAL,
        singular: "failoverpolicy",
        short: "fop",
        scope: "Namespaced",
        description: "Which backends of Services receive new connections when some of them fail: \
                      tiers, health, and the way back.",
        spec: object_schema().clone(),
        status: Some(status::of_policy()),
        // Of several targets only the first: a column has one value.
        columns: json!([
            column("Target", ".spec.targetRefs[0].name", "The first Service it is for"),
            column("Mode", ".spec.mode", "When later tiers carry load"),
            condition("Accepted", "Whether it is valid and holds for a Service"),
            condition("Programmed", "Whether it is in force in the kernel"),
            condition("Degraded", "Whether something of it does not work"),
            age(),
        ]),
    };
    definition.json()
}

/// The definition of FailoverPolicy as YAML: `deploy/crd/failoverpolicies.yaml`.
#[must_use]
pub fn crd_yaml() -> String {
    yaml(&crd())
}

/// The definition of RemoteCluster as JSON; as YAML it is `deploy/crd/remoteclusters.yaml`.
#[must_use]
pub fn remote_cluster_crd() -> Value {
    let number = |name: &str, path: &str, description: &str| json!({"name": name, "type": "integer", "jsonPath": path, "description": description});
    let definition = Definition {
        kind: "RemoteCluster",
        plural: "remoteclusters",
        singular: "remotecluster",
        short: "rcl",
        scope: "Cluster",
        description: "Another cluster, as this one may use it: where its endpoints are, how it is \
                      reached, and what becomes of it when it is not heard.",
        spec: remote_cluster_schema().clone(),
        status: Some(status::of_remote_cluster()),
        columns: json!([
            column(
                "Reach",
                ".spec.reach",
                "What connections go to: pods, load balancers, node ports"
            ),
            column("Phase", ".status.phase", "Whether it is heard"),
            number("Services", ".status.services", "How many Services of it are imported"),
            number("Endpoints", ".status.endpoints", "How many endpoints of it are imported"),
            condition("Accepted", "Whether it is valid, and its ranges are its own"),
            condition("Synced", "Whether everything that it exports is known"),
            condition("Secure", "Whether the way there is encrypted"),
            age(),
        ]),
    };
    definition.json()
}
