use std::sync::Arc;

use redirector_core::remote_cluster::{ClusterPhase, OnSilence};
use serde_json::{Value, json};

use super::*;
use crate::api::Object as _;

fn cluster(name: &str, created: &str, cidrs: &[&str]) -> Value {
    json!({
        "metadata": {
            "name": name, "uid": format!("{name}-1"), "generation": 1,
            "creationTimestamp": format!("{created}T00:00:00Z"),
        },
        "spec": {"cidrs": cidrs, "encryption": {"mode": "Off"}},
    })
}

fn with(mut cluster: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
    if cluster.pointer(parent).is_none() {
        cluster[&parent[1..]] = json!({});
    }
    cluster.pointer_mut(parent).expect("a field")[field] = value;
    cluster
}

fn batch(clusters: &[Value]) -> Batch<RemoteCluster> {
    let decode = |it: &Value| RemoteCluster::decode(it.to_string().as_bytes()).expect("a cluster");
    Batch { changes: clusters.iter().map(|it| Change::Put(decode(it))).collect(), is_synced: true }
}

fn of(clusters: &[Value]) -> Clusters {
    let mut found = Clusters::default();
    found.set_own(OwnId::Is("east".into()));
    found.take(batch(clusters));
    found.judge();
    found
}

/// `name` or `name: reason`, of all.
fn standing(clusters: &Clusters) -> Vec<String> {
    let line = |name: &Arc<str>| match clusters.standing(name).expect("a cluster that is known") {
        Ok(_) => name.to_string(),
        Err(why) => format!("{name}: {}", why.reason()),
    };
    clusters.names().map(line).collect()
}

#[test]
fn each_refusal_says_what_to_do() {
    let west = || cluster("west", "2026-01-01", &["10.2.0.0/16"]);
    let said = |clusters: &Clusters| {
        let mut refused = clusters.refused().map(|(_, why)| why.to_string());
        refused.next().expect("one that is refused")
    };
    for (found, why) in [
        (of(&[with(west(), "/spec/cidrs", json!([]))]), "it is invalid: cidrs is empty"),
        (of(&[with(west(), "/metadata/name", json!("west.eu"))]), "is no id of a cluster"),
        (of(&[with(west(), "/metadata/name", json!("east"))]), "is this cluster itself"),
        (of(&[with(west(), "/spec/encryption/mode", json!("Required"))]), "no guard says"),
        (
            of(&[west(), cluster("north", "2026-01-02", &["10.2.9.0/24"])]),
            "its range 10.2.9.0/24 overlaps 10.2.0.0/16 of RemoteCluster west, which is older",
        ),
    ] {
        assert!(said(&found).contains(why), "{}", said(&found));
    }
    let mut none = of(&[west()]);
    none.set_own(OwnId::Unknown);
    assert!(none.judge() && said(&none).contains("make the ClusterProperty"), "{}", said(&none));
    let id = |text: &str| (!text.is_empty()).then(|| Arc::<str>::from(text));
    for (property, importer, flag, why) in [
        (
            "east",
            "",
            "home",
            "ClusterProperty cluster.clusterset.k8s.io says that this cluster is east, --cluster says home",
        ),
        (
            "",
            "east",
            "home",
            "(status.localCluster) says that this cluster is east, --cluster says home",
        ),
        ("east", "home", "", "says that this cluster is east, the Deployment redirector-clusters"),
    ] {
        none.set_own(OwnId::of(id(property), id(importer), id(flag)));
        none.judge();
        assert!(said(&none).contains(why), "{}", said(&none));
    }
    for (property, importer, flag) in
        [("east", "", "east"), ("", "east", ""), ("", "", "east"), ("east", "east", "east")]
    {
        none.set_own(OwnId::Unknown);
        none.judge();
        none.set_own(OwnId::of(id(property), id(importer), id(flag)));
        assert!(none.judge());
        assert_eq!(standing(&none), ["west"], "{property} {importer} {flag}");
    }
}

#[test]
fn the_older_of_two_keeps_its_ranges_also_if_something_else_is_wrong_with_it() {
    let young = || cluster("a", "2026-01-02", &["10.2.0.0/16", "10.7.0.0/16"]);
    let old = || cluster("b", "2026-01-01", &["10.2.0.0/24"]);
    let required = || with(old(), "/spec/encryption/mode", json!("Required"));
    assert_eq!(standing(&of(&[young(), old()])), ["a: CIDROverlap", "b"]);
    assert_eq!(standing(&of(&[required(), young()])), ["a: CIDROverlap", "b: NoGuard"]);
    let same = with(young(), "/metadata/creationTimestamp", json!("2026-01-01T00:00:00Z"));
    assert_eq!(standing(&of(&[old(), same])), ["a", "b: CIDROverlap"], "then by name");
    let balanced = with(young(), "/spec/reach", json!("LoadBalancer"));
    assert_eq!(standing(&of(&[old(), balanced])), ["a", "b"], "load balancers may be anywhere");
}

#[test]
fn whatever_comes_in_ends_the_conflict() {
    let mut found = of(&[cluster("west", "2026-01-01", &["10.2.0.0/16"])]);
    let service = |name: &str| ObjectRef { namespace: "shop".into(), name: name.into() };
    let here = |text: &str| text.parse().expect("an address");
    found.occupy(&service("a"), [here("10.1.0.1")]);
    assert!(!found.judge(), "it is elsewhere");
    found.occupy(&service("a"), [here("10.1.0.1"), here("10.2.0.1")]);
    found.occupy(&service("b"), [here("10.2.0.2")]);
    assert!(found.judge());
    assert_eq!(standing(&found), ["west: CIDROverlap"]);
    assert_eq!(found.holder(here("10.2.0.1")), None, "nothing of it is in force");
    found.occupy(&service("a"), []);
    assert!(!found.judge(), "one of two is left");
    found.occupy(&service("b"), [here("10.1.0.2")]);
    assert!(found.judge());
    assert_eq!(standing(&found), ["west"]);
    assert_eq!(found.holder(here("10.2.0.1")).map(|name| &**name), Some("west"));
    let other = cluster("west", "2026-01-01", &["10.3.0.0/16"]);
    assert!(found.take(batch(&[other])), "others have to be asked again");
    found.occupy(&service("b"), [here("10.3.0.2")]);
    assert!(found.judge());
    assert_eq!(standing(&found), ["west: CIDROverlap"]);
}

#[test]
fn nodes_and_the_own_pod_are_evidence_whichever_range_is_larger() {
    let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a range")).collect();
    let judged = |tell: &dyn Fn(&mut Clusters)| {
        let mut found = of(&[cluster("west", "2026-01-01", &["10.2.0.0/16", "fd00:2::/48"])]);
        tell(&mut found);
        found.judge();
        found.refused().next().map(|(_, why)| why.to_string()).unwrap_or_default()
    };
    for (ranges, why) in [
        (&["10.2.4.0/24"][..], "10.2.4.0/24 of"),
        (&["10.0.0.0/8"], "10.0.0.0/8 of"),
        (&["10.1.0.0/16", "10.2.255.255/32", "10.3.0.0/16"], "10.2.255.255/32 of"),
        (&["10.1.0.0/16", "192.168.0.1/32", "fd00:2:0:9::/64", "fd00:3::/48"], "fd00:2:0:9::/64"),
        // Two halves of one range.
        (&["10.2.1.0/24", "10.2.0.0/24", "fd00:1::/48"], "10.2.0.0/23 of Nodes"),
        (&["10.1.0.0/16", "10.3.0.0/16", "fd00:1::/48", "fd00:3::/48"], ""),
        (&[], ""),
    ] {
        let said = judged(&|found| found.set_nodes(nets(ranges)));
        assert!(said.contains(why) && said.is_empty() == why.is_empty(), "{ranges:?}: {said}");
    }
    let said = judged(&|found| found.set_node(nets(&["10.2.4.0/24"])));
    assert!(said.contains("10.2.4.0/24 of this Node"), "{said}");
    let agent = |text: &'static str| {
        move |found: &mut Clusters| found.set_agent(vec![text.parse().expect("an address")])
    };
    let said = judged(&agent("10.2.7.9"));
    assert!(said.contains("overlaps 10.2.7.9, the pod of this agent"), "{said}");
    assert_eq!(judged(&agent("10.1.7.9")), "");
}

#[test]
fn the_core_is_told_of_what_may_be_used_with_its_phase() {
    let west = || cluster("west", "2026-01-01", &["10.2.0.0/16"]);
    let told = |west: Value| {
        let clusters = of(&[west, cluster("east", "2026-01-01", &["10.3.0.0/16"])]).told();
        clusters
            .into_iter()
            .map(|it| (it.name.to_string(), it.phase, it.on_silence))
            .collect::<Vec<_>>()
    };
    let of_phase = |phase| vec![("west".to_owned(), phase, OnSilence::KeepReachable)];
    assert_eq!(told(west()), of_phase(ClusterPhase::Live), "nobody speaks for it");
    for (word, phase) in [
        ("Joining", ClusterPhase::Live),
        ("Live", ClusterPhase::Live),
        ("Silent", ClusterPhase::Silent),
        ("Lost", ClusterPhase::Lost),
        ("Leaving", ClusterPhase::Lost),
        ("Dancing", ClusterPhase::Live),
    ] {
        assert_eq!(told(with(west(), "/status/phase", json!(word))), of_phase(phase), "{word}");
    }
    let leaving = with(west(), "/metadata/deletionTimestamp", json!("2026-01-02T00:00:00Z"));
    assert_eq!(told(leaving), of_phase(ClusterPhase::Lost));
    let dropped = with(west(), "/spec/onSilence", json!("Drop"));
    assert_eq!(told(dropped)[0].2, OnSilence::Drop);
    assert_eq!(told(with(west(), "/spec/encryption/mode", json!("Required"))), []);
}

#[test]
fn a_phase_alone_changes_no_standing() {
    let west = cluster("west", "2026-01-01", &["10.2.0.0/16"]);
    let mut found = of(std::slice::from_ref(&west));
    assert!(
        !found.take(batch(&[with(west, "/status/phase", json!("Silent"))])),
        "no range changed"
    );
    assert!(!found.judge(), "no Service has to be looked at");
    assert_eq!(found.told()[0].phase, ClusterPhase::Silent);
}

#[test]
fn a_hundred_clusters_are_judged_alike_in_any_order() {
    let one = |number: usize| {
        let range = format!("10.{}.0.0/16", number % 60);
        cluster(&format!("c{number:03}"), &format!("2026-01-{:02}", 1 + number % 7), &[&range])
    };
    let mut all: Vec<Value> = (0..100).map(one).collect();
    let expected = standing(&of(&all));
    assert_eq!(expected.iter().filter(|line| line.contains("CIDROverlap")).count(), 40);
    all.reverse();
    assert_eq!(standing(&of(&all)), expected);
    all.rotate_left(37);
    let mut bit_by_bit = Clusters::default();
    bit_by_bit.set_own(OwnId::Is("east".into()));
    for cluster in &all {
        bit_by_bit.take(batch(std::slice::from_ref(cluster)));
        bit_by_bit.judge();
    }
    assert_eq!(standing(&bit_by_bit), expected);
}
