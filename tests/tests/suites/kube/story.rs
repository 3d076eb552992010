//! The first thing that a newcomer does.

use redirector_tests::{
    api::builders,
    cluster::{Cluster, Options, name, replica, slice},
};

#[test]
fn a_labelled_service_is_redirected_and_follows_its_slices() {
    let cluster = Cluster::new(Options { replicas: 2, ..Options::default() }).expect("a cluster");
    let service = builders::Service::redirected("shop", "web", "10.96.0.10");
    cluster.api.put(service).expect("a Service");
    cluster.api.put(slice("web", "", &[1])).expect("a slice");
    cluster.wait_for(&[("shop/web", 1)]);
    for dialled in cluster.dial("10.96.0.10:80", 20).expect("dials") {
        assert_eq!(dialled.outcome, Ok(name(1)));
        assert_eq!(dialled.peer, Some("10.96.0.10:80".parse().expect("an address")));
    }

    cluster.api.put(slice("web", "", &[2])).expect("another slice");
    let moved = || {
        let dialled = cluster.dial("10.96.0.10:80", 1).expect("a dial");
        dialled[0].outcome == Ok(name(2))
    };
    redirector_tests::wait::wait_until("the other replica serves", moved);

    cluster.api.delete("services", "shop", "web").expect("no Service");
    cluster.wait_for(&[]);
    println!("kube: {} and {} served", replica(1)[0], replica(2)[0]);
}

#[test]
fn a_backend_is_explained_with_what_the_cluster_says_of_its_place() {
    let cluster = Cluster::new(Options::default()).expect("a cluster");
    let service = builders::Service::redirected("shop", "web", "10.96.0.10");
    cluster.api.put(service).expect("a Service");
    let endpoint = |last| builders::Endpoint::new(&format!("10.77.2.{last}"));
    let slice = builders::EndpointSlice::new("shop", "web-1", "web").port("", "TCP", 8080);
    // The client's Node says in which region zone a is; nobody says it of zone b.
    let slice = slice.endpoint(endpoint(1).node("n2").zone("a"));
    let slice = slice.endpoint(endpoint(2).node("n3").zone("b")).endpoint(endpoint(3));
    cluster.api.put(slice).expect("a slice");
    cluster.wait_for(&[("shop/web", 3)]);
    let explained = || {
        let explained = cluster.agent.ask("explain", &["shop/web"]).expect("it runs");
        String::from_utf8_lossy(&explained.stdout).into_owned()
    };
    let text = explained();
    for (address, place) in [
        ("10.77.2.1:8080/tcp", "region eu, zone a, node n2;"),
        ("10.77.2.2:8080/tcp", "zone b, node n3;"),
        ("10.77.2.3:8080/tcp", "place unknown;"),
    ] {
        let line = text.lines().find(|line| line.contains(address)).expect("a backend");
        assert!(line.contains(&format!("%  {place}")), "{place} is not in {line}");
    }

    let rules = "targetRefs: [{kind: Service, name: web}]\ntiers: [{name: near, zones: [a]}]";
    cluster.api.put(builders::FailoverPolicy::new("shop", "web", rules)).expect("a policy");
    cluster.wait_for(&[("shop/web", 1)]);
    let outside = "10.77.2.2:8080/tcp (zone b, node n3) fits no tier";
    assert!(explained().contains(outside), "{outside} is not in\n{}", explained());
}
