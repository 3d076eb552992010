//! What an importer may do in another cluster, what it does there, and what kube-proxy sees here.

use std::collections::BTreeSet;

use redirector_tests::{
    api::{Verb, kubectl},
    fleet::{Fleet, Setup},
    place::Place,
    size::sized,
};

use super::joined::joined;

/// West's name for east's importer.
const IMPORTER: &str = "system:serviceaccount:redirector-exports:importer-east";
/// All that it may ask of west: three reads of its outbox, and a token for itself.
const ALLOWED: [&str; 4] =
    ["exportedservices", "endpointslices", "leases", "serviceaccounts/token"];

#[test]
fn an_importer_may_read_the_outbox_and_nothing_else_and_does_nothing_else() {
    let fleet = joined(&Setup { clusters: 2, ..Setup::default() }, &[]);
    let west = fleet.member("west");
    let asked: BTreeSet<_> = west
        .api
        .requests()
        .into_iter()
        .filter(|request| request.user == IMPORTER)
        .map(|request| (request.verb, request.resource, request.code))
        .collect();
    println!("asked of west by east: {asked:?}");
    assert!(asked.iter().any(|(verb, ..)| *verb == Verb::Watch), "{asked:?}");
    for (verb, resource, code) in &asked {
        let is_token = resource == "serviceaccounts/token" && *verb == Verb::Create;
        assert!(
            ALLOWED.contains(&resource.as_str()) && (is_token || verb.is_reading()),
            "{asked:?}"
        );
        assert_ne!(*code, 403, "{asked:?}");
    }

    let token = west.api.issue("redirector-exports", "importer-east").expect("a token");
    let kubeconfig = west.kubeconfig(&token).expect("a kubeconfig");
    let mut refused = 0;
    for (resource, namespace) in PAIRS {
        for verb in VERBS.iter().take(sized(VERBS.len(), 3)) {
            refused += 1;
            let answer = can(&fleet, &kubeconfig, verb, resource, namespace);
            assert_eq!(answer, "no", "{verb} {resource} in {namespace}");
        }
    }
    for resource in ["exportedservices.redirector.dev", "endpointslices.discovery.k8s.io"] {
        assert_eq!(can(&fleet, &kubeconfig, "watch", resource, "redirector-exports"), "yes");
    }
    println!("{refused} pairs of verb and resource are refused");
    assert!(refused >= 30);
}

#[test]
fn without_clusterset_addresses_kube_proxy_sees_nothing_of_other_clusters() {
    let fleet = joined(&Setup { clusters: 2, ..Setup::default() }, &["--cluster-set-ips=false"]);
    let east = fleet.member("east");
    // The selector of its informers (`cmd/kube-proxy`).
    let selector = "!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless";
    let arguments = ["get", "endpointslices,services", "-A", "-l", selector, "-o", "name"];
    let seen = run(&fleet, &east.kubeconfig("admin-token").expect("a kubeconfig"), &arguments);
    let seen: BTreeSet<_> = seen.lines().map(str::to_owned).collect();
    println!("kube-proxy in east sees {seen:?}");
    let own: BTreeSet<_> = ["web-ipv4", "web-ipv6"]
        .map(|name| format!("endpointslice.discovery.k8s.io/{name}"))
        .into_iter()
        .chain(["service/web".to_owned()])
        .collect();
    let outbox = |name: &String| {
        east.api
            .get("endpointslices", "redirector-exports", name.rsplit('/').next().unwrap_or(""))
            .is_some()
    };
    assert_eq!(seen.into_iter().filter(|name| !outbox(name)).collect::<BTreeSet<_>>(), own);
}

fn can(
    fleet: &Fleet,
    kubeconfig: &std::path::Path,
    verb: &str,
    resource: &str,
    namespace: &str,
) -> String {
    let answer = run(fleet, kubeconfig, &["auth", "can-i", verb, resource, "-n", namespace]);
    answer.trim().to_owned()
}

fn run(fleet: &Fleet, kubeconfig: &std::path::Path, arguments: &[&str]) -> String {
    let cache = tempfile::tempdir().expect("a directory");
    let place = Place::netns(fleet.client.netns());
    let output = kubectl(kubeconfig, cache.path(), place, arguments, "").expect("kubectl runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const VERBS: [&str; 6] = ["create", "delete", "update", "get", "list", "watch"];
const PAIRS: [(&str, &str); 10] = [
    ("secrets", "redirector-clusters"),
    ("secrets", "redirector-exports"),
    ("configmaps", "redirector-exports"),
    ("pods", "kube-system"),
    ("services", "shop"),
    ("endpointslices.discovery.k8s.io", "shop"),
    ("serviceexports.multicluster.x-k8s.io", "shop"),
    ("remoteclusters.redirector.dev", "shop"),
    ("nodes", ""),
    ("namespaces", ""),
];
