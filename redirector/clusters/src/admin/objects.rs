//! The objects that joining makes: the account there, and here the Secret and the RemoteCluster.

use redirector_policy::RemoteClusterSpec;
use serde_json::{Value, json};

use crate::api::{CLUSTER, NAMESPACE, OUTBOX, importer_account};

/// What the importer may do in the outbox, and nothing else but asking for its own next token: API group
/// and resource.
pub const READS: [(&str, &str); 3] = [
    ("redirector.dev", "exportedservices"),
    ("discovery.k8s.io", "endpointslices"),
    ("coordination.k8s.io", "leases"),
];
/// The verbs of each of [`READS`].
pub const READ_VERBS: [&str; 3] = ["get", "list", "watch"];
/// Which kinds are given by [`remote`], and so are to be deleted, in that order: what grants goes first.
const DELETED: [&str; 3] = ["RoleBinding", "Role", "ServiceAccount"];

/// The outbox's namespace, which the exporter has made unless it was not there yet.
#[must_use]
pub fn outbox() -> Value {
    namespace(OUTBOX)
}

/// The namespace of the importer and of its credentials.
#[must_use]
pub fn credentials_namespace() -> Value {
    namespace(NAMESPACE)
}

/// What lets the cluster `importer` read the outbox of the cluster that these objects are in: an account
/// of its own, three reads of one namespace, and a token of that account.
#[must_use]
pub fn remote(importer: &str) -> Vec<Value> {
    let account = importer_account(importer);
    let token = format!("{account}-token");
    let metadata =
        |name: &str| json!({"name": name, "namespace": OUTBOX, "labels": {CLUSTER: importer}});
    let reads = READS.map(|(group, resource)| {
        json!({"apiGroups": [group], "resources": [resource], "verbs": READ_VERBS})
    });
    let own_token = json!({
        "apiGroups": [""],
        "resources": ["serviceaccounts/token"],
        "resourceNames": [account],
        "verbs": ["create"],
    });
    let rbac = "rbac.authorization.k8s.io";
    let role = |name: &str, rules: Value| {
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": metadata(name),
               "rules": rules})
    };
    let binding = |name: &str| {
        json!({
            "apiVersion": format!("{rbac}/v1"),
            "kind": "RoleBinding",
            "metadata": metadata(name),
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": OUTBOX}],
        })
    };
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(&account),
               "automountServiceAccountToken": false}),
        role(&account, json!(reads)),
        role(&token, json!([own_token])),
        binding(&account),
        binding(&token),
    ]
}

/// [`remote`] in the order in which it is deleted.
#[must_use]
pub fn remote_deleted(importer: &str) -> Vec<Value> {
    let objects = remote(importer);
    let of_kind = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
    DELETED.into_iter().flat_map(of_kind).cloned().collect()
}

/// The path at which the account's tokens are asked for.
#[must_use]
pub fn token_path(importer: &str) -> String {
    let account = importer_account(importer);
    format!("/api/v1/namespaces/{OUTBOX}/serviceaccounts/{account}/token")
}

/// The statement about the other cluster.
#[must_use]
pub fn remote_cluster(name: &str, spec: &RemoteClusterSpec) -> Value {
    json!({
        "apiVersion": "redirector.dev/v1alpha1",
        "kind": "RemoteCluster",
        "metadata": {"name": name},
        "spec": spec,
    })
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_importer_gets_three_reads_of_the_outbox_and_its_own_token() {
        let objects = remote("east");
        let kinds: Vec<_> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
        assert_eq!(kinds, ["ServiceAccount", "Role", "Role", "RoleBinding", "RoleBinding"]);
        let rules = |object: &Value| object["rules"].as_array().cloned().unwrap_or_default();
        let rules: Vec<_> = objects.iter().flat_map(rules).collect();
        assert_eq!(rules.len(), 4);
        for rule in &rules[..3] {
            assert_eq!(rule["verbs"], json!(["get", "list", "watch"]), "{rule}");
        }
        assert_eq!(rules[3]["resourceNames"], json!(["importer-east"]));
        for object in &objects {
            assert_eq!(object["metadata"]["namespace"], OUTBOX, "{object}");
        }
        let deleted = remote_deleted("east");
        assert_eq!(deleted.len(), objects.len(), "what is made is deleted");
        assert_eq!(
            (&deleted[0]["kind"], &deleted[4]["kind"]),
            (&json!("RoleBinding"), &json!("ServiceAccount"))
        );
    }
}
