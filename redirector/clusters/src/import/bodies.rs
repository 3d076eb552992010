//! What a ServiceImport and its derived Service look like.

use std::{net::IpAddr, sync::Arc};

use redirector_kube::api::{
    Family, ObjectRef,
    labels::{IMPORTER, MANAGED_BY},
};
use serde_json::{Value, json};

use super::{
    desired::{Body, DesiredKind},
    merge::Merged,
    slices::owned,
};
use crate::api::{ExportedPort, ServiceImportSpec, short_hash};

/// The annotation by which mcs-api says which Service has the addresses of an import.
pub(super) const DERIVED_SERVICE: &str = "multicluster.kubernetes.io/derived-service";
/// What each cluster exports, as JSON: an importer that begins merges without having heard them again.
pub(super) const EXPORTS: &str = "clusters.redirector.dev/exports";

/// Longest value of [`EXPORTS`], in bytes: an API server takes 256 KiB of annotations in all.
const MAX_EXPORTS: usize = 128 * 1024;

/// `derived-<hash>`.
pub(super) fn derived_name(object: &ObjectRef) -> String {
    format!("{}{}", super::here::DERIVED, short_hash(&object.to_string(), 10))
}

/// A ServiceImport. `said` is what each cluster exports, as JSON; `clusters` are those whose endpoints
/// are here.
pub(super) fn import(
    object: &ObjectRef,
    merged: &Merged,
    said: String,
    clusters: &[Arc<str>],
    derived: Option<(&str, &[IpAddr])>,
) -> Body {
    let mut spec = merged.spec.clone();
    let mut labels = std::mem::take(&mut spec.labels);
    let mut annotations = std::mem::take(&mut spec.annotations);
    // Ours are last: what another cluster exports does not take their place.
    labels.insert(MANAGED_BY.to_owned(), IMPORTER.to_owned());
    annotations.remove(EXPORTS);
    annotations.remove(DERIVED_SERVICE);
    // Of what is too long for an object the next importer knows the slices, and hears the rest.
    if said.len() <= MAX_EXPORTS {
        annotations.insert(EXPORTS.to_owned(), said);
    }
    if let Some((name, addresses)) = derived {
        annotations.insert(DERIVED_SERVICE.to_owned(), name.to_owned());
        spec.ips = addresses.to_vec();
        // Those that this cluster has given it, which may be fewer than the exporter's.
        if !addresses.is_empty() {
            let families = addresses.iter().map(|address| family(*address).to_owned());
            spec.ip_families = families.collect();
        }
    }
    let clusters: Vec<Value> = clusters.iter().map(|cluster| json!({"cluster": cluster})).collect();
    Body::from(&json!({
        "apiVersion": DesiredKind::ServiceImport.api_version(),
        "kind": DesiredKind::ServiceImport.name(),
        "metadata": {
            "name": object.name,
            "namespace": object.namespace,
            "labels": labels,
            "annotations": annotations,
        },
        "spec": spec,
        "status": {"clusters": clusters},
    }))
}

/// The derived Service: the address of the import, which kube-proxy serves from its slices.
pub(super) fn derived(
    object: &ObjectRef,
    name: &str,
    spec: &ServiceImportSpec,
    owner: Option<&str>,
) -> Body {
    let ServiceImportSpec { ports, ip_families, session_affinity, .. } = spec;
    let port = |port: &ExportedPort| {
        let ExportedPort { name, protocol, app_protocol, port } = port;
        let mut json = json!({"name": name, "protocol": protocol, "port": port});
        if let Some(app_protocol) = app_protocol {
            json["appProtocol"] = json!(app_protocol);
        }
        json
    };
    let mut service = json!({
        "type": "ClusterIP",
        "ports": ports.iter().map(port).collect::<Vec<_>>(),
        "sessionAffinity": session_affinity.as_deref().unwrap_or("None"),
    });
    // This cluster may lack a family that the exporter has: then it gives what it has.
    match &ip_families[..] {
        [one] => {
            service["ipFamilyPolicy"] = json!("SingleStack");
            service["ipFamilies"] = json!([one]);
        }
        [] => {}
        _ => service["ipFamilyPolicy"] = json!("PreferDualStack"),
    }
    for (field, value) in [
        ("sessionAffinityConfig", spec.session_affinity_config.clone()),
        ("internalTrafficPolicy", spec.internal_traffic_policy.clone().map(Value::from)),
        ("trafficDistribution", spec.traffic_distribution.clone().map(Value::from)),
    ] {
        if let Some(value) = value {
            service[field] = value;
        }
    }
    let mut metadata = json!({
        "name": name,
        "namespace": object.namespace,
        "labels": {MANAGED_BY: IMPORTER},
        "annotations": {"clusters.redirector.dev/service-import": object.name},
    });
    if let Some(owner) = owner {
        metadata["ownerReferences"] = owned(&object.name, owner);
    }
    Body::from(&json!({
        "apiVersion": DesiredKind::Service.api_version(),
        "kind": DesiredKind::Service.name(),
        "metadata": metadata,
        "spec": service,
    }))
}

fn family(address: IpAddr) -> &'static str {
    match Family::of(address) {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}
