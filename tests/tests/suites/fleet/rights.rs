//! What an importer may do in another cluster, what it does there, and what kube-proxy sees here.

use std::collections::BTreeSet;

use redirector_tests::{
    api::{Verb, kubectl},
    fleet::{Fleet, Setup},
    place::Place,
};

use super::joined::joined;

/// West's name for east's importer.
const IMPORTER: &str = "system:serviceaccount:redirector-exports:importer-east";
/// All that it may ask of west: three reads of its outbox, and a token for itself.
const ALLOWED: [&str; 4] =
    ["exportedservices", "endpointslices", "leases", "serviceaccounts/token"];
/// The reads among them.
const OUTBOX: [&str; 3] = ["exportedservices", "endpointslices", "leases"];

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
    west.api.forget_requests();
    for path in OTHERS {
        let watch = format!("{path}?watch=1");
        for arguments in [
            ["get", "--raw", path],
            ["get", "--raw", &watch],
            ["create", "--raw", path],
            ["delete", "--raw", path],
        ] {
            let has_body = arguments[0] == "create";
            let arguments = [&arguments[..], if has_body { &["-f", "-"] } else { &[] }].concat();
            run(&fleet, &kubeconfig, &arguments);
        }
    }
    let tried: BTreeSet<_> = west
        .api
        .requests()
        .into_iter()
        .filter(|request| request.user == IMPORTER && !request.resource.is_empty())
        .filter(|request| !OUTBOX.contains(&request.resource.as_str()))
        .map(|request| {
            (request.verb, request.path.split('?').next().map(str::to_owned), request.code)
        })
        .collect();
    println!("{} pairs of verb and resource were tried", tried.len());
    assert!(tried.len() >= 30, "{tried:#?}");
    assert!(tried.iter().all(|(.., code)| *code == 403), "{tried:#?}");
    assert!(west.api.get("namespaces", "", "kube-system").is_some());
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
    assert_eq!(seen, own, "neither what is imported nor the outbox");
}

fn run(fleet: &Fleet, kubeconfig: &std::path::Path, arguments: &[&str]) -> String {
    let cache = tempfile::tempdir().expect("a directory");
    let place = Place::netns(fleet.client.netns());
    let output = kubectl(kubeconfig, cache.path(), place, arguments, "{}").expect("kubectl runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What is no business of an importer.
const OTHERS: [&str; 9] = [
    "/api/v1/namespaces/redirector-clusters/secrets",
    "/api/v1/namespaces/redirector-exports/secrets",
    "/api/v1/namespaces/redirector-exports/configmaps",
    "/api/v1/namespaces/redirector-exports/serviceaccounts",
    "/api/v1/namespaces/kube-system/pods",
    "/api/v1/namespaces/shop/services",
    "/apis/multicluster.x-k8s.io/v1beta1/namespaces/shop/serviceexports",
    "/apis/redirector.dev/v1alpha1/remoteclusters",
    "/api/v1/nodes",
];
