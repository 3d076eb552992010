//! What the agent may do, as one list: a right that is added has to be added here.

use serde_json::{Value, json};

use super::render::{VARIANTS, kustomize, only};

/// Groups, resources, names (empty: all), verbs.
type Right =
    (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

const IN_THE_CLUSTER: &[Right] = &[
    ("", &["services", "nodes"], &[], &["get", "list", "watch"]),
    ("discovery.k8s.io", &["endpointslices"], &[], &["get", "list", "watch"]),
    ("redirector.dev", &["failoverpolicies"], &[], &["get", "list", "watch"]),
    ("redirector.dev", &["failoverpolicies/status"], &[], &["patch"]),
    ("events.k8s.io", &["events"], &[], &["create", "patch"]),
];

const IN_ITS_NAMESPACE: &[Right] = &[
    ("coordination.k8s.io", &["leases"], &[], &["create"]),
    ("coordination.k8s.io", &["leases"], &["redirector-report"], &["get", "update", "delete"]),
    ("apps", &["daemonsets"], &["redirector"], &["get"]),
    ("", &["pods"], &[], &["get"]),
];

#[test]
fn the_agent_may_do_what_is_listed_here_and_nothing_else() {
    for variant in VARIANTS {
        let Some(objects) = kustomize(variant) else { return };
        for (kind, rights) in [("ClusterRole", IN_THE_CLUSTER), ("Role", IN_ITS_NAMESPACE)] {
            assert_eq!(only(&objects, kind)["rules"], rules(rights), "{variant}: {kind}");
            let binding = only(&objects, &format!("{kind}Binding"));
            let role = json!({
                "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "redirector",
            });
            assert_eq!(binding["roleRef"], role, "{variant}");
            let account = json!([{
                "kind": "ServiceAccount", "name": "redirector", "namespace": "redirector-system",
            }]);
            assert_eq!(binding["subjects"], account, "{variant}");
        }
        let pod = &only(&objects, "DaemonSet")["spec"]["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], "redirector", "{variant}");
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
