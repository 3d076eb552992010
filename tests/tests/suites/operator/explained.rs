//! What `explain` and `simulate` say, held against what connects do.

use std::collections::BTreeMap;

use redirector_tests::{fixture::Fixture, tables::list, zones::answers};
use serde_json::Value;

use super::fixture::{FLAT, TIERED, wait_for, zones};

const DIALS: u32 = 20_000;
/// In points: more than five standard deviations of so many dials, whatever the share.
const TOLERANCE: f64 = 2.0;

/// Who answers where.
const REPLICAS: [(&str, &str); 4] = [
    ("10.77.2.1:8001/tcp", "a1"),
    ("10.77.2.1:8002/tcp", "a2"),
    ("10.77.3.1:8001/tcp", "b"),
    ("10.77.4.1:8001/tcp", "x"),
];

#[test]
fn an_explanation_is_what_connects_do() {
    let zones = zones();
    agree(&zones, FLAT, &zones.agent.answer_json("explain", &["operator/flat"]));
    agree(&zones, TIERED, &zones.agent.answer_json("explain", &["operator/tiered"]));

    zones.agent.answer("drain", &["zone=b"]);
    let explained = zones.agent.answer_json("explain", &["operator/flat"]);
    agree(&zones, FLAT, &explained);
    let drained = member(&explained, "b");
    assert_eq!(drained["objections"][0]["by"], "operator", "{drained:#}");
    assert_eq!(drained["probes"], "healthy", "{drained:#}");

    zones.agent.answer("force", &["operator/tiered", "west"]);
    let explained = zones.agent.answer_json("explain", &["operator/tiered"]);
    assert_eq!(explained["forced"], "west");
    assert_eq!(loads(&explained), [("near", 0), ("far", 0), ("west", 100)]);
    agree(&zones, TIERED, &explained);
    zones.agent.finish().expect("the agent");
}

#[test]
fn a_backend_is_explained_with_its_place_from_the_cluster_to_the_node() {
    let zones = zones();
    let explained = zones.agent.answer_json("explain", &["operator/flat"]);
    let place = |name| {
        ["cluster", "region", "zone", "node"].map(|part| member(&explained, name)[part].clone())
    };
    let west = ["west", "us", "x", "n4"];
    assert_eq!(place("x"), west.map(Value::from));
    let text = zones.agent.answer("explain", &["operator/flat"]);
    let [cluster, region, zone, node] = west;
    let said = format!("cluster {cluster}, region {region}, zone {zone}, node {node}; probes:");
    assert!(text.contains(&said), "{said} is not in\n{text}");
    zones.agent.finish().expect("the agent");
}

#[test]
fn what_was_simulated_is_what_happens() {
    let mut zones = zones();
    let now = zones.agent.answer_json("explain", &["operator/flat"]);
    let then = zones.agent.answer_json("simulate", &["operator/flat", "--dead", "zone=b"]);
    let tiers =
        zones.agent.answer_json("simulate", &["operator/tiered", "--dead", "node=n2", "zone=b"]);
    assert_eq!(loads(&tiers), [("near", 0), ("far", 0), ("west", 100)]);
    assert_eq!(zones.agent.answer_json("orders", &[]), serde_json::json!([]));
    agree(&zones, FLAT, &now);

    zones.replicas[2].kill();
    wait_for(&zones, FLAT, &["a1", "a2", "x"]);
    agree(&zones, FLAT, &then);
    let explained = zones.agent.answer_json("explain", &["operator/flat"]);
    assert_eq!(shares(&explained), shares(&then));
    let dead = member(&explained, "b");
    assert_eq!(dead["probes"], "failing", "{dead:#}");

    zones.replicas[..2].iter_mut().for_each(redirector_tests::replica::Replica::kill);
    wait_for(&zones, TIERED, &["x"]);
    agree(&zones, TIERED, &tiers);
    zones.agent.finish().expect("the agent");
}

/// Dials, and asserts that each replica answers as often as the explanation says.
fn agree(zones: &Fixture, address: &str, explanation: &Value) {
    let dialled = zones.dial(address, DIALS);
    let answers = answers(&dialled);
    let shares = shares(explanation);
    println!("{}: said {shares:?} %; did {answers:?} of {DIALS}", explanation["service"]);
    for (name, share) in shares {
        let count = answers.get(name).copied().unwrap_or_default();
        let did = 100.0 * f64::from(count) / f64::from(DIALS);
        assert!((did - share).abs() <= TOLERANCE, "{name}: {did} %: {explanation:#}");
        assert!(share > 0.0 || count == 0, "{name} should get nothing: {explanation:#}");
    }
}

/// Percent of each replica.
fn shares(explanation: &Value) -> BTreeMap<&'static str, f64> {
    let share = |name| member(explanation, name)["share"].as_f64().expect("a share");
    REPLICAS.into_iter().map(|(_, name)| (name, share(name))).collect()
}

/// What is said of a replica.
fn member<'e>(explanation: &'e Value, name: &str) -> &'e Value {
    let (backend, _) = REPLICAS.into_iter().find(|(_, other)| *other == name).expect("a replica");
    let mut members = tiers(explanation).flat_map(|tier| list(&tier["backends"]));
    let found = members.find(|member| member["backend"] == backend);
    found.unwrap_or_else(|| panic!("no {backend} in {explanation:#}"))
}

fn loads(explanation: &Value) -> Vec<(&str, u64)> {
    let load = |tier: &'_ Value| tier["load"].as_u64().expect("a load");
    tiers(explanation).map(|tier| (tier["name"].as_str().expect("a name"), load(tier))).collect()
}

fn tiers(explanation: &Value) -> impl Iterator<Item = &Value> {
    list(&explanation["families"]).flat_map(|family| list(&family["tiers"]))
}
