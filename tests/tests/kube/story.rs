//! The first thing that a newcomer does.

use redirector_tests::{
    api::builders,
    cluster::{Cluster, Options, name, replica, slice},
};

#[test]
fn a_labelled_service_is_redirected_and_follows_its_slices() {
    let cluster = Cluster::new(Options { replicas: 2, ..Options::default() }).expect("a cluster");
    let service = builders::Service::new("shop", "web")
        .port("", "TCP", 80)
        .cluster_ips(&["10.96.0.10"])
        .spec("selector", serde_json::json!({"app": "web"}))
        .label("redirector.dev/failover", "true");
    cluster.api.put(service).expect("a Service");
    cluster.api.put(slice("web", "", &[1])).expect("a slice");
    cluster.wait_for(&[("shop/web", 1)]).expect("one backend");
    for dialled in cluster.dial("10.96.0.10:80", 20).expect("dials") {
        assert_eq!(dialled.outcome, Ok(name(1)));
        assert_eq!(dialled.peer, Some("10.96.0.10:80".parse().expect("an address")));
    }

    cluster.api.put(slice("web", "", &[2])).expect("another slice");
    let moved = || {
        let dialled = cluster.dial("10.96.0.10:80", 1).expect("a dial");
        dialled[0].outcome == Ok(name(2))
    };
    redirector_tests::zones::wait_until("the other replica serves", moved).expect("it does");

    cluster.api.delete("services", "shop", "web").expect("no Service");
    cluster.wait_for(&[]).expect("nothing");
    println!("kube: {} and {} served", replica(1)[0], replica(2)[0]);
}
