//! Where objects are: paths by kind, and names for people.

use serde_json::Value;

/// Every kind that the commands write or look for: group and version, kind, plural.
const KINDS: [(&str, &str, &str); 11] = [
    ("v1", "Namespace", "namespaces"),
    ("v1", "Secret", "secrets"),
    ("v1", "Service", "services"),
    ("v1", "ServiceAccount", "serviceaccounts"),
    ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
    ("rbac.authorization.k8s.io/v1", "Role", "roles"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
    ("redirector.dev/v1alpha1", "RemoteCluster", "remoteclusters"),
    ("redirector.dev/v1alpha1", "ExportedService", "exportedservices"),
    ("multicluster.x-k8s.io/v1beta1", "ServiceImport", "serviceimports"),
    ("multicluster.x-k8s.io/v1alpha1", "ServiceImport", "serviceimports"),
];

/// The collection that an object belongs to: `/api/v1/namespaces/shop/services`.
///
/// # Panics
///
/// If its kind is none of the table: objects of these commands only.
#[must_use]
pub(super) fn collection(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let row = KINDS.iter().find(|(of, named, _)| *of == version && *named == kind);
    let (_, _, plural) =
        row.unwrap_or_else(|| panic!("{version} {kind} is in no row of the table"));
    let root = if version.contains('/') { "apis" } else { "api" };
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("/{root}/{version}/namespaces/{namespace}/{plural}"),
        None => format!("/{root}/{version}/{plural}"),
    }
}

/// The object's own path.
#[must_use]
pub(super) fn path(object: &Value) -> String {
    format!("{}/{}", collection(object), object["metadata"]["name"].as_str().unwrap_or_default())
}

/// `Role redirector-exports/importer-east`.
#[must_use]
pub fn shown(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// `kubectl delete …` of the object.
#[must_use]
pub fn kubectl_delete(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]).to_lowercase(), text(&object["metadata"]["name"]));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => {
            format!("kubectl delete {kind} -n {namespace} {name} --ignore-not-found")
        }
        None => format!("kubectl delete {kind} {name} --ignore-not-found"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_found_by_its_path_and_deleted_by_its_command() {
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                          "metadata": {"name": "importer-east", "namespace": "redirector-exports"}});
        let below = "/apis/rbac.authorization.k8s.io/v1/namespaces/redirector-exports/roles";
        assert_eq!(path(&role), format!("{below}/importer-east"));
        assert_eq!(shown(&role), "Role redirector-exports/importer-east");
        let west = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}});
        assert_eq!(path(&west), "/api/v1/namespaces/x");
        assert_eq!(kubectl_delete(&west), "kubectl delete namespace x --ignore-not-found");
    }
}
