//! What the OpenAPI schemas of the real server say of lists and maps: which are merged, and by
//! which keys. Everything that is not in the table is one whole (lists) or merged (maps).

use crate::api::resources::Resource;

/// How a list is merged by server-side apply (`x-kubernetes-list-type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// The list is one whole.
    Atomic,
    /// The list is merged by these fields of its items, which may have defaults.
    Map(&'static [&'static str]),
    /// The list is a set of scalars.
    Set,
}

/// How server-side apply merges the list at `path` (names of fields with dots, no items).
pub(super) fn list(resource: &Resource, path: &str) -> List {
    let path = path.strip_prefix("spec.template.").unwrap_or(path);
    match (resource.plural, path) {
        (_, "metadata.finalizers") => List::Set,
        (_, "metadata.ownerReferences") => List::Map(&["uid"]),
        (_, "status.conditions") => List::Map(&["type"]),
        ("services", "spec.ports") => List::Map(&["port", "protocol"]),
        ("serviceimports", "status.clusters") => List::Map(&["cluster"]),
        ("nodes", "status.addresses") => List::Map(&["type"]),
        ("pods" | "daemonsets", _) => match path {
            "spec.containers" | "spec.initContainers" | "spec.volumes" => List::Map(&["name"]),
            "spec.containers.env" | "spec.initContainers.env" => List::Map(&["name"]),
            "spec.containers.volumeMounts" | "spec.initContainers.volumeMounts" => {
                List::Map(&["mountPath"])
            }
            "spec.containers.ports" => List::Map(&["containerPort", "protocol"]),
            _ => List::Atomic,
        },
        _ => List::Atomic,
    }
}

/// By which field a strategic merge patch merges the list at `path` (`patchMergeKey`).
pub(super) fn merge_key(resource: &Resource, path: &str) -> Option<&'static str> {
    let path = path.strip_prefix("spec.template.").unwrap_or(path);
    match (resource.plural, path) {
        ("nodes", "spec.taints") => Some("key"),
        ("endpointslices", _) => None,
        ("pods" | "daemonsets", "spec.containers.ports") => Some("containerPort"),
        _ => match list(resource, path) {
            List::Map(keys) => keys.first().copied(),
            List::Atomic | List::Set => None,
        },
    }
}

/// Maps that are one whole (`x-kubernetes-map-type: atomic`).
pub(super) fn is_atomic_map(resource: &Resource, path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or_default();
    matches!(resource.plural, "services" | "daemonsets") && path == "spec.selector"
        || matches!(last, "nodeSelector" | "fieldRef" | "configMapKeyRef" | "secretKeyRef")
        || path == "spec.nodeSelector"
}
