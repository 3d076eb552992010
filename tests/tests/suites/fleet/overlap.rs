//! A cluster whose ranges overlap this one's: no pod of it is dialled, its load balancers may be.

use std::{net::SocketAddr, time::Duration};

use redirector_tests::{
    fleet::{Fleet, NAMESPACE, Setup, by_cluster, cidrs},
    replica::Replica,
    wait::wait_within,
};
use serde_json::json;

use super::{
    fixture::{WEB, kill},
    joined::{joined, wait_for_backends},
};

/// How soon a cluster whose ranges overlap is refused.
const REFUSED: Duration = Duration::from_secs(2);

#[test]
fn a_cluster_whose_ranges_overlap_serves_through_its_load_balancers() {
    let mut fleet = joined(&Setup { clusters: 2, ..Setup::default() }, &[]);
    let _balancer = balance(&fleet);
    let overlapping = json!({"spec": {"cidrs": ["10.80.0.0/14", cidrs(2)[1]]}});
    change(&fleet, &overlapping);
    let refused = wait_for_accepted(&fleet, "False", "CIDROverlap");
    wait_for_backends(&fleet, 4);
    kill(&mut fleet, "east");
    let seen = by_cluster(&fleet.dial(WEB, 20));
    assert_eq!(seen.get("west"), None, "{seen:?}");

    change(&fleet, &json!({"spec": {"reach": "LoadBalancer"}}));
    let accepted = wait_for_accepted(&fleet, "True", "Accepted");
    wait_for_backends(&fleet, 6);
    fleet.wait_for(WEB, &["west"]);
    let seen = by_cluster(&fleet.dial(WEB, 50));
    assert_eq!(seen, [("west".to_owned(), 100)].into());
    println!(
        "overlapping: refused after {refused:?}, 0 of its endpoints are programmed; with reach \
         LoadBalancer accepted after {accepted:?}, {seen:?}"
    );
}

/// Gives `web` of west a load balancer, and returns what answers there.
fn balance(fleet: &Fleet) -> Replica {
    let west = fleet.member("west");
    let addresses = ["10.82.3.1", "fd80:2::3:1"].map(|text| text.parse().expect("an address"));
    addresses.iter().for_each(|address| west.data.add_address(*address).expect("an address"));
    let sockets = addresses.map(|address| SocketAddr::new(address, 80));
    let replica = Replica::start(west.data.netns(), "west-balancer", &sockets).expect("a replica");
    let ingress = addresses.map(|address| json!({"ip": address}));
    let balanced = json!({
        "spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false},
        "status": {"loadBalancer": {"ingress": ingress}},
    });
    west.api.patch("services", NAMESPACE, "web", balanced).expect("its Service");
    replica
}

fn change(fleet: &Fleet, patch: &serde_json::Value) {
    let east = fleet.member("east");
    east.api.patch("remoteclusters", "", "west", patch.clone()).expect("its spec");
}

/// Waits until east says so of west, and returns how long it took.
fn wait_for_accepted(fleet: &Fleet, status: &str, reason: &str) -> Duration {
    let wanted = Some((status.to_owned(), reason.to_owned()));
    let is_so = || fleet.member("east").condition("west", "Accepted") == wanted;
    wait_within(REFUSED, reason, is_so, || fleet.context())
}
