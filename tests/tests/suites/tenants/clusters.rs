//! Nodes of two clusters with one name are two nodes.

use std::time::{Duration, Instant};

use redirector_tests::{
    dialer::{Dial, Second},
    wait::wait_until,
};

use super::{
    fixture::{Fixture, members},
    services::{Family, PORT, PROBED, backend, service},
    watch::assert_served_by,
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
fn site() -> Fixture {
    let at_home = [PORT, PORT + 1].map(|port| backend("near", port, N9)).concat();
    let in_west = backend("west", PORT, WEST_N9);
    // Answers probes: the agent's own network is in order.
    let other = backend("west", PORT + 1, WEST_N8);
    let services = [
        service(HOME, &format!("{CLUSTERS}, {PROBED}"), &[at_home, other]),
        service(UDP, &format!("{CLUSTERS}, allDown: Refuse"), &[in_west]).replace("/tcp'", "/udp'"),
    ];
    let replicas = [("near", PORT), ("near", PORT + 1), ("west", PORT), ("west", PORT + 1)];
    let site = Fixture::new(&replicas, &services.concat());
    site.wait_for_probes(&[HOME]);
    site
}

/// Every dial is answered by west: over UDP by its node `n9`.
fn assert_west_serves(site: &Fixture) {
    let mut client = site.client("victim", "victim");
    for family in Family::ALL {
        let udp = Dial { timeout_ms: 1_000, ..Dial::udp(family.frontend(UDP)) };
        assert_served_by("west", &Second::of(&client.dial(udp, 10).expect("dials")));
        let sums = Second::of(&client.dial(family.dial(HOME), 10).expect("dials"));
        assert_served_by("west-1", &sums);
    }
}

/// What objects to backends, other than those of the node near.
fn against_west(site: &Fixture) -> Vec<String> {
    let near = site.addresses("near").map(|address| address.to_string());
    let mut all = site.objections();
    all.retain(|one| !near.iter().any(|address| one.contains(address.as_str())));
    all
}

#[test]
fn a_silent_node_takes_no_node_of_the_same_name_in_another_cluster_with_it() {
    let site = site();
    site.lab.cut("near").expect("a cut cable");
    wait_until("home's replicas are out", || site.objections().len() >= 4);
    let begin = Instant::now();
    while begin.elapsed() < WATCHED {
        assert_west_serves(&site);
    }
    assert_eq!(against_west(&site), [""; 0]);
    let west = site.addresses("west").map(|address| address.to_string());
    let log = site.agent.log();
    let ejected = log.lines().filter(|line| line.contains(" ejected "));
    let of_west = |line: &&str| west.iter().any(|address| line.contains(address.as_str()));
    assert_eq!(ejected.filter(of_west).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_drain_of_a_node_drains_no_node_of_the_same_name_in_another_cluster() {
    let site = site();
    site.agent.answer("drain", &["node=n9"]);
    wait_until("home's replicas are drained", || site.objections().len() >= 4);
    assert_west_serves(&site);
    assert_eq!(against_west(&site), [""; 0]);
    let explained = site.explain(UDP);
    assert!(members(&explained).all(|member| member["objections"] == serde_json::json!([])));
}
