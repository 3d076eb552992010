//! What each account may do, as one list: a right that is added has to be added here.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::render::{VARIANTS, helm, kind, kustomize, name, named, only};

/// Groups, resources, names (empty: all), verbs.
type Right =
    (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// A role, and who has it.
struct Granted {
    kind: &'static str,
    name: &'static str,
    /// Where it holds; `None` is everywhere.
    namespace: Option<&'static str>,
    account: (&'static str, &'static str),
    rights: &'static [Right],
}

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["get", "list", "watch", "create", "update", "delete"];
const ALL: &[&str] = &["get", "list", "watch", "create", "update", "patch", "delete"];

const AGENT: [Granted; 2] = [
    Granted {
        kind: "ClusterRole",
        name: "redirector",
        namespace: None,
        account: ("redirector-system", "redirector"),
        rights: &[
            ("", &["services", "nodes"], &[], READ),
            ("discovery.k8s.io", &["endpointslices"], &[], READ),
            ("redirector.dev", &["failoverpolicies", "remoteclusters"], &[], READ),
            ("redirector.dev", &["failoverpolicies/status"], &[], &["patch"]),
            ("events.k8s.io", &["events"], &[], &["create", "patch"]),
        ],
    },
    Granted {
        kind: "Role",
        name: "redirector",
        namespace: Some("redirector-system"),
        account: ("redirector-system", "redirector"),
        rights: &[
            ("coordination.k8s.io", &["leases"], &[], &["create"]),
            (
                "coordination.k8s.io",
                &["leases"],
                &["redirector-report"],
                &["get", "update", "delete"],
            ),
            ("apps", &["daemonsets"], &["redirector"], &["get"]),
            ("", &["pods"], &[], &["get"]),
        ],
    },
];

const CLUSTERS: (&str, &str) = ("redirector-clusters", "redirector-clusters");

/// MULTICLUSTER: an exporter reads, and writes into the outbox; an importer writes slices, imports and
/// derived Services everywhere, and reads no Secret but its own.
const EXPORTER: [Granted; 2] = [
    Granted {
        kind: "ClusterRole",
        name: "redirector-exporter",
        namespace: None,
        account: CLUSTERS,
        rights: &[
            ("", &["services", "namespaces", "nodes"], &[], READ),
            ("discovery.k8s.io", &["endpointslices"], &[], READ),
            ("multicluster.x-k8s.io", &["serviceexports"], &[], READ),
            ("multicluster.x-k8s.io", &["serviceexports/status"], &[], &["patch"]),
            ("about.k8s.io", &["clusterproperties"], &[], READ),
        ],
    },
    Granted {
        kind: "Role",
        name: "redirector-exporter",
        namespace: Some("redirector-exports"),
        account: CLUSTERS,
        rights: &[
            ("redirector.dev", &["exportedservices"], &[], ALL),
            ("discovery.k8s.io", &["endpointslices"], &[], ALL),
            ("coordination.k8s.io", &["leases"], &[], ALL),
        ],
    },
];

const IMPORTER: [Granted; 2] = [
    Granted {
        kind: "ClusterRole",
        name: "redirector-importer",
        namespace: None,
        account: CLUSTERS,
        rights: &[
            ("discovery.k8s.io", &["endpointslices"], &[], WRITE),
            ("discovery.k8s.io", &["endpointslices/restricted"], &[], &["create"]),
            ("", &["services"], &[], WRITE),
            ("multicluster.x-k8s.io", &["serviceimports"], &[], WRITE),
            ("multicluster.x-k8s.io", &["serviceimports/status"], &[], &["update"]),
            ("", &["namespaces", "nodes"], &[], READ),
            ("redirector.dev", &["remoteclusters"], &[], READ),
            ("redirector.dev", &["remoteclusters/status"], &[], &["patch"]),
        ],
    },
    Granted {
        kind: "Role",
        name: "redirector-importer",
        namespace: Some("redirector-clusters"),
        account: CLUSTERS,
        rights: &[
            ("", &["secrets"], &[], &["get", "update"]),
            ("coordination.k8s.io", &["leases"], &[], &["create"]),
            ("coordination.k8s.io", &["leases"], &["redirector-clusters"], &["get", "update"]),
        ],
    },
];

#[test]
fn each_account_may_do_what_is_listed_here_and_nothing_else() {
    for variant in VARIANTS {
        let Some(objects) = kustomize(variant) else { return };
        check(variant, &objects, *variant == "components/clusters");
        let pod = &only(&objects, "DaemonSet")["spec"]["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], "redirector", "{variant}");
    }
    let Some(objects) = helm(&["multicluster.enabled=true"]) else { return };
    check("chart", &objects, true);
    let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "redirector-clusters");
}

fn check(variant: &str, objects: &[Value], has_clusters: bool) {
    let others = EXPORTER.iter().chain(&IMPORTER).filter(|_| has_clusters);
    let granted: Vec<_> = AGENT.iter().chain(others).collect();
    for Granted { kind, name, namespace, account, rights } in &granted {
        let role = named(objects, kind, name);
        assert_eq!(role["rules"], rules(rights), "{variant}: {kind} {name}");
        let binding = named(objects, &format!("{kind}Binding"), name);
        for object in [role, binding] {
            assert_eq!(object["metadata"]["namespace"].as_str(), *namespace, "{variant}: {name}");
        }
        let reference = json!({
            "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name,
        });
        assert_eq!(binding["roleRef"], reference, "{variant}");
        let (of, account) = account;
        let subjects = json!([{"kind": "ServiceAccount", "name": account, "namespace": of}]);
        assert_eq!(binding["subjects"], subjects, "{variant}");
    }
    let roles = |suffix: &str| -> BTreeSet<(String, String)> {
        let all = objects.iter().map(|object| (kind(object).to_owned(), name(object).to_owned()));
        all.filter(|(kind, _)| {
            *kind == format!("ClusterRole{suffix}") || *kind == format!("Role{suffix}")
        })
        .collect()
    };
    let listed = |suffix: &str| {
        granted.iter().map(|one| (format!("{}{suffix}", one.kind), one.name.to_owned())).collect()
    };
    assert_eq!(roles(""), listed(""), "{variant}: another role");
    assert_eq!(roles("Binding"), listed("Binding"), "{variant}: another binding");
}

/// A credential of this cluster's importer that leaks is a pod's token; what it must not reach.
#[test]
fn no_account_reads_secrets_of_another_namespace_or_makes_tokens() {
    for Granted { name, namespace, rights, .. } in AGENT.iter().chain(&EXPORTER).chain(&IMPORTER) {
        for (_, resources, _, verbs) in *rights {
            let is_secret = resources.contains(&"secrets");
            assert!(!is_secret || *namespace == Some("redirector-clusters"), "{name}");
            assert!(!resources.iter().any(|one| one.contains("token")), "{name}");
            assert!(!resources.contains(&"*") && !verbs.contains(&"*"), "{name}");
        }
    }
}

fn rules(rights: &[Right]) -> Value {
    rights
        .iter()
        .map(|(group, resources, names, verbs)| {
            let mut rule = json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
            if !names.is_empty() {
                rule["resourceNames"] = json!(names);
            }
            rule
        })
        .collect()
}
