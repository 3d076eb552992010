//! What an importer has written when it dies, and what of ours there is in a cluster.

use redirector_tests::api::{Api, resources};
use serde_json::{Value, json};

/// Groups whose objects are all ours here.
const OURS: &str = "redirector.dev";

/// Imports of shop/web from west with an address for the cluster set, and an export.
pub(super) fn imported() -> Vec<Value> {
    let labels = json!({
        "multicluster.kubernetes.io/service-name": "web",
        "multicluster.kubernetes.io/source-cluster": "west",
        "endpointslice.kubernetes.io/managed-by": "clusters.redirector.dev",
        "kubernetes.io/service-name": "derived-web",
    });
    let ours = json!({"endpointslice.kubernetes.io/managed-by": "clusters.redirector.dev"});
    let import = json!({
        "apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceImport",
        "metadata": {
            "namespace": "shop", "name": "web", "labels": ours,
            "annotations": {"multicluster.kubernetes.io/derived-service": "derived-web"},
        },
        "spec": {"type": "ClusterSetIP", "ports": [{"port": 80, "protocol": "TCP"}]},
        "status": {"clusters": [{"cluster": "west"}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": "shop", "name": "web-west-1", "labels": labels},
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["10.2.0.7"], "conditions": {"ready": true}}],
    });
    let derived = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": "shop", "name": "derived-web", "labels": ours},
        "spec": {"ports": [{"port": 80, "protocol": "TCP"}]},
    });
    let exported = json!({
        "apiVersion": "redirector.dev/v1alpha1", "kind": "ExportedService",
        "metadata": {"namespace": "redirector-exports", "name": "shop.web"},
        "spec": {
            "namespace": "shop", "name": "web", "exportedAt": "2026-01-01T00:00:00Z", "type": "ClusterSetIP",
            "ports": [], "weight": 100, "ready": 1, "digest": "ab",
        },
    });
    let heartbeat = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"namespace": "redirector-exports", "name": "redirector-heartbeat"},
        "spec": {"holderIdentity": "redirector-clusters-0"},
    });
    vec![import, slice, derived, exported, heartbeat]
}

/// Objects of ours that a cluster has: those of our kinds, names and namespaces, and what an importer writes.
pub(super) fn left(api: &Api) -> Vec<String> {
    let mut found: Vec<String> = all(api).filter(is_ours).map(|object| shown(&object)).collect();
    found.sort();
    found.dedup();
    found
}

fn is_ours(object: &Value) -> bool {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (name, namespace) = (text("/metadata/name"), text("/metadata/namespace"));
    let is_of_importer = object["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
        == "clusters.redirector.dev";
    text("/apiVersion").starts_with(OURS)
        || name.ends_with(OURS)
        || name.starts_with("redirector")
        || namespace.starts_with("redirector")
        || is_of_importer
}

/// Objects with a finalizer that only a program of ours could take away.
pub(super) fn held(api: &Api) -> Vec<String> {
    let has_one = |object: &Value| {
        object["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
    };
    let held = all(api).filter(has_one);
    held.map(|object| {
        let kind = resources::of_kind(
            object["apiVersion"].as_str().unwrap_or_default(),
            object["kind"].as_str().unwrap_or_default(),
        );
        format!(
            "{} {}",
            kind.map_or("?", |kind| kind.plural),
            object["metadata"]["name"].as_str().unwrap_or("?")
        )
    })
    .collect()
}

/// Everything that a cluster serves.
fn all(api: &Api) -> impl Iterator<Item = Value> {
    let is_served = |group: &str, plural: &str| {
        let custom = ["redirector.dev", "multicluster.x-k8s.io", "about.k8s.io"].contains(&group);
        !custom || api.get("customresourcedefinitions", "", &format!("{plural}.{group}")).is_some()
    };
    let kinds = resources::ALL.iter().filter(|kind| is_served(kind.group, kind.plural));
    kinds.flat_map(|kind| api.list(kind.plural)).collect::<Vec<_>>().into_iter()
}

pub(super) fn shown(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}
