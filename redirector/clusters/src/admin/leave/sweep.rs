//! Which objects of an importer go with a cluster, and which Services need it: pure.

use std::collections::{BTreeMap, BTreeSet};

use redirector_kube::api::labels::MCS_SERVICE_NAME;
use serde_json::{Value, json};

use super::source;

/// Where ServiceImports are, by version, the newest first.
pub(super) const SERVICE_IMPORTS: [(&str, &str); 2] = [
    ("multicluster.x-k8s.io/v1beta1", "/apis/multicluster.x-k8s.io/v1beta1/serviceimports"),
    ("multicluster.x-k8s.io/v1alpha1", "/apis/multicluster.x-k8s.io/v1alpha1/serviceimports"),
];

/// The annotation of a ServiceImport with the name of its derived Service (mcs-api).
const DERIVED: &str = "multicluster.kubernetes.io/derived-service";
/// The Service of a slice.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// What is done about one cluster's objects.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sweep {
    /// Slices first: what no other object points to any more goes last.
    pub(super) delete: Vec<Value>,
    /// ServiceImports that stay for other clusters, with these.
    pub(super) forget: Vec<(Value, Vec<Value>)>,
}

/// What of the importer's slices and imports goes with the cluster `name`.
pub(super) fn sweep(slices: &[Value], imports: &[Value], name: &str) -> Sweep {
    let mut sweep = Sweep::default();
    let (of_it, others): (Vec<_>, Vec<_>) =
        slices.iter().partition(|slice| source(slice) == Some(name));
    sweep
        .delete
        .extend(of_it.iter().map(|slice| reference("discovery.k8s.io/v1", "EndpointSlice", slice)));
    let is_used: BTreeSet<_> = others.iter().filter_map(|slice| service(slice)).collect();
    let was_used: BTreeSet<_> = of_it.iter().filter_map(|slice| service(slice)).collect();
    for import in imports {
        let key = (text(&import["metadata"]["namespace"]), text(&import["metadata"]["name"]));
        let listed = import["status"]["clusters"].as_array();
        let is_of_it = |cluster: &Value| cluster["cluster"] == name;
        let (gone, left): (Vec<_>, Vec<_>) =
            listed.into_iter().flatten().cloned().partition(is_of_it);
        let is_only_its = left.is_empty() && !is_used.contains(&key);
        if is_only_its && (!gone.is_empty() || was_used.contains(&key)) {
            let version = text(&import["apiVersion"]).to_owned();
            if let Some(derived) = import["metadata"]["annotations"][DERIVED].as_str() {
                let metadata = json!({"name": derived, "namespace": key.0});
                sweep
                    .delete
                    .push(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata}));
            }
            sweep.delete.push(reference(&version, "ServiceImport", import));
        } else if !gone.is_empty() {
            let version = text(&import["apiVersion"]).to_owned();
            sweep.forget.push((reference(&version, "ServiceImport", import), left));
        }
    }
    sweep
}

/// Services whose only ready endpoints are in the cluster `name`, as `namespace/name`.
pub(super) fn last_endpoints(slices: &[Value], name: &str) -> Vec<String> {
    let (mut there, mut elsewhere) = (BTreeMap::new(), BTreeSet::new());
    for slice in slices {
        let Some(key) = service(slice) else { continue };
        let endpoints = slice["endpoints"].as_array().into_iter().flatten();
        // An endpoint that does not say is ready (EndpointSlice API).
        let ready = endpoints.filter(|one| one["conditions"]["ready"] != false).count();
        if source(slice) == Some(name) {
            *there.entry(key).or_insert(0) += ready;
        } else if ready > 0 {
            elsewhere.insert(key);
        }
    }
    let only = there.into_iter().filter(|(key, ready)| *ready > 0 && !elsewhere.contains(key));
    only.map(|((namespace, name), _)| format!("{namespace}/{name}")).collect()
}

/// The Service that a slice is for, of this cluster or of another one.
fn service(slice: &Value) -> Option<(&str, &str)> {
    let labels = &slice["metadata"]["labels"];
    let name = labels[MCS_SERVICE_NAME].as_str().or_else(|| labels[SERVICE_NAME].as_str())?;
    Some((text(&slice["metadata"]["namespace"]), name))
}

fn reference(version: &str, kind: &str, object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!({"apiVersion": version, "kind": kind,
           "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]}})
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use redirector_kube::api::labels::SOURCE_CLUSTER;

    fn slice(name: &str, service: &str, source: Option<&str>, ready: &[bool]) -> Value {
        let endpoints: Vec<_> =
            ready.iter().map(|ready| json!({"conditions": {"ready": ready}})).collect();
        let labels = match source {
            Some(cluster) => json!({MCS_SERVICE_NAME: service, SOURCE_CLUSTER: cluster}),
            None => json!({SERVICE_NAME: service}),
        };
        json!({"metadata": {"name": name, "namespace": "shop", "labels": labels},
               "endpoints": endpoints})
    }

    fn import(name: &str, clusters: &[&str]) -> Value {
        let clusters: Vec<_> = clusters.iter().map(|name| json!({"cluster": name})).collect();
        json!({
            "apiVersion": "multicluster.x-k8s.io/v1beta1",
            "metadata": {"name": name, "namespace": "shop",
                         "annotations": {DERIVED: format!("derived-{name}")}},
            "status": {"clusters": clusters},
        })
    }

    #[test]
    fn what_only_that_cluster_exports_goes_and_the_rest_forgets_it() {
        let slices = [
            slice("web-west", "web", Some("west"), &[true]),
            slice("web-north", "web", Some("north"), &[true]),
            slice("cart-west", "cart", Some("west"), &[true]),
        ];
        let imports = [
            import("web", &["north", "west"]),
            import("cart", &["west"]),
            import("own", &["east"]),
        ];
        let Sweep { delete, forget } = sweep(&slices, &imports, "west");
        let shown: Vec<_> = delete.iter().map(crate::admin::shown).collect();
        assert_eq!(
            shown,
            [
                "EndpointSlice shop/web-west",
                "EndpointSlice shop/cart-west",
                "Service shop/derived-cart",
                "ServiceImport shop/cart",
            ]
        );
        assert_eq!(forget.len(), 1);
        assert_eq!(forget[0].1, [json!({"cluster": "north"})]);
    }

    #[test]
    fn an_import_without_status_goes_by_its_slices_and_one_of_others_stays() {
        let slices = [slice("web-west", "web", Some("west"), &[])];
        let imports = [import("web", &[]), import("cart", &[])];
        let Sweep { delete, forget } = sweep(&slices, &imports, "west");
        assert_eq!(delete.len(), 3, "the slice, the derived Service and the import: {delete:?}");
        assert!(forget.is_empty());
    }

    #[test]
    fn a_service_needs_the_cluster_if_nothing_else_of_it_is_ready() {
        let slices = [
            slice("web-west", "web", Some("west"), &[true]),
            slice("web-own", "web", None, &[false]),
            slice("cart-west", "cart", Some("west"), &[true]),
            slice("cart-north", "cart", Some("north"), &[true]),
            slice("idle-west", "idle", Some("west"), &[false]),
        ];
        assert_eq!(last_endpoints(&slices, "west"), ["shop/web"]);
    }
}
