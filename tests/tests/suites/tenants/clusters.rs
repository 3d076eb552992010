//! Nodes of two clusters with one name are two nodes.

use std::time::{Duration, Instant};

use redirector_tests::{dialer::Dial, wait::wait_until};

use crate::tenants::{
    services::{Family, PORT, PROBED, backend, service},
    stage::{Stage, members},
    watch::{assert_served_by, count},
};

const HOME: u16 = 1;
/// UDP is not probed: nothing says that west's node lives.
const UDP: u16 = 2;
/// How long after the verdicts about the replicas one about their node may come.
const WATCHED: Duration = Duration::from_secs(2);
const N9: &str = "node: n9, zone: a, region: eu, cluster: home";
const WEST_N9: &str = "node: n9, zone: a, region: eu, cluster: west";
const WEST_N8: &str = "node: n8, zone: a, region: eu, cluster: west";
const CLUSTERS: &str = "tiers: [{name: home, clusters: [home]}, {name: west, clusters: [west]}]";

/// Both clusters have a node `n9`; that of home has two replicas that are probed.
fn stage() -> Stage {
    let at_home = [PORT, PORT + 1].map(|port| backend("near", port, N9)).concat();
    let in_west = backend("west", PORT, WEST_N9);
    // Answers probes: the agent's own network is in order.
    let other = backend("west", PORT + 1, WEST_N8);
    let services = [
        service(HOME, &format!("{CLUSTERS}, {PROBED}"), &[at_home, other]),
        service(UDP, &format!("{CLUSTERS}, allDown: Refuse"), &[in_west]).replace("/tcp'", "/udp'"),
    ];
    let replicas = [("near", PORT), ("near", PORT + 1), ("west", PORT), ("west", PORT + 1)];
    let stage = Stage::new(&replicas, &services.concat());
    stage.wait_for_probes(&[HOME]);
    stage
}

/// Every dial is answered by west: over UDP by its node `n9`.
fn assert_west_serves(stage: &Stage) {
    let mut client = stage.client("victim", "victim");
    for family in Family::ALL {
        let udp = Dial { timeout_ms: 1_000, ..Dial::udp(family.frontend(UDP)) };
        assert_served_by("west", &count(&client.dial(udp, 10).expect("dials")));
        let sums = count(&client.dial(family.dial(HOME), 10).expect("dials"));
        assert_served_by("west-1", &sums);
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
    let begin = Instant::now();
    while begin.elapsed() < WATCHED {
        assert_west_serves(&stage);
    }
    assert_eq!(against_west(&stage), [""; 0]);
    let west = stage.addresses("west").map(|address| address.to_string());
    let log = stage.agent.log();
    let ejected = log.lines().filter(|line| line.contains(" ejected "));
    let of_west = |line: &&str| west.iter().any(|address| line.contains(address.as_str()));
    assert_eq!(ejected.filter(of_west).collect::<Vec<_>>(), [""; 0]);
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
