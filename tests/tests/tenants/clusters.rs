//! Nodes of two clusters with one name are two nodes.

use redirector_tests::{dialer::Dial, wait::wait_until};

use crate::{
    stage::{Family, PORT, PROBED, Stage, backend, members, service},
    watch::{assert_served_by, count},
};

const TCP: u16 = 1;
const UDP: u16 = 2;
const HOME: &str = "node: n9, zone: a, region: eu, cluster: home";
const WEST: &str = "node: n9, zone: a, region: eu, cluster: west";
const CLUSTERS: &str = "tiers: [{name: home, clusters: [home]}, {name: west, clusters: [west]}]";

/// Both clusters have a node `n9`; that of home has two replicas over TCP.
fn stage() -> Stage {
    let at_home = [PORT, PORT + 1].map(|port| backend("near", port, HOME));
    let in_west = backend("west", PORT, WEST);
    let tcp = service(TCP, &format!("{CLUSTERS}, {PROBED}"), &[at_home.concat(), in_west.clone()]);
    let udp = service(UDP, CLUSTERS, &[in_west]).replace("/tcp'", "/udp'");
    let replicas = [("near", PORT), ("near", PORT + 1), ("west", PORT)];
    let stage = Stage::new(&replicas, &[tcp, udp].concat());
    stage.wait_for_probes(&[TCP]);
    stage
}

/// Every dial of both protocols and families is answered by west.
fn assert_west_serves(stage: &Stage) {
    let mut client = stage.client("victim", "victim");
    for family in Family::ALL {
        let udp = Dial { timeout_ms: 1_000, ..Dial::udp(family.frontend(UDP)) };
        for dial in [udp, family.dial(TCP)] {
            assert_served_by("west", &count(&client.dial(dial, 10).expect("dials")));
        }
    }
}

/// What objects to backends, other than those of the node near.
fn against_west(stage: &Stage) -> Vec<String> {
    let near = stage.addresses("near").map(|address| address.to_string());
    let mut all = stage.objections();
    all.retain(|one| !near.iter().any(|address| one.contains(address.as_str())));
    all
}

#[test]
fn a_silent_node_takes_no_node_of_the_same_name_in_another_cluster_with_it() {
    let stage = stage();
    stage.lab.cut("near").expect("a cut cable");
    wait_until("home's replicas are out", || stage.objections().len() >= 4);
    assert_west_serves(&stage);
    assert_eq!(against_west(&stage), [""; 0]);
}

#[test]
fn a_drain_of_a_node_drains_no_node_of_the_same_name_in_another_cluster() {
    let stage = stage();
    stage.order("drain", "node=n9");
    wait_until("home's replicas are drained", || stage.objections().len() >= 4);
    assert_west_serves(&stage);
    assert_eq!(against_west(&stage), [""; 0]);
    let explained = stage.explain(UDP);
    assert!(members(&explained).all(|member| member["objections"] == serde_json::json!([])));
}
