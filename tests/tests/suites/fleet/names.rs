//! Nodes and zones have the same names in every cluster: what is said of one is said of the own cluster's.

use redirector_tests::{
    api::builders,
    fleet::{Fleet, NAMESPACE, Setup, by_cluster},
};
use serde_json::json;

use super::{
    fixture::{WEB, Writer, kill, told},
    joined::wait_for_backends,
};

fn two() -> Fleet {
    let fleet =
        told(&Setup { clusters: 2, ..Setup::default() }, Writer::Redirector, &json!({}), None);
    wait_for_backends(&fleet, 8);
    fleet.wait_for_probes("web");
    fleet
}

#[test]
fn a_drained_node_is_the_own_clusters() {
    let mut fleet = two();
    let drained = fleet.agent.ask("drain", &["node=worker-1"]).expect("it runs");
    assert!(drained.status.success(), "{drained:?}");
    let answered = |fleet: &Fleet, name: &str| {
        let all = fleet.dial(WEB, 40);
        all.iter().filter(|one| one.outcome.as_deref() == Ok(name)).count()
    };
    assert_eq!((answered(&fleet, "east-1"), answered(&fleet, "east-2")), (0, 80));
    kill(&mut fleet, "east");
    fleet.wait_for(WEB, &["west"]);
    let there = answered(&fleet, "west-1");
    println!("worker-1 drained: of 80 dials {there} go to west's worker-1");
    assert!(there > 10, "{there}");
}

#[test]
fn a_zone_without_a_cluster_is_the_own_clusters() {
    let mut fleet = two();
    let spec = "
targetRefs: [{kind: Service, name: web}]
tiers:
- {name: a, zones: [a]}
- {name: b, zones: [b]}
- {name: west, clusters: [west]}
";
    let policy = builders::FailoverPolicy::new(NAMESPACE, "web", spec);
    fleet.member("east").api.put(policy).expect("a policy");
    fleet.member_mut("east").replicas[0].kill();
    // Zone a of east is empty; that of west is none of this tier.
    redirector_tests::wait::wait_until("east's zone b alone carries", || {
        let all = fleet.dial(WEB, 20);
        all.iter().all(|one| one.outcome.as_deref() == Ok("east-2"))
    });
    fleet.member_mut("east").replicas[1].kill();
    fleet.wait_for(WEB, &["west"]);
    assert_eq!(by_cluster(&fleet.dial(WEB, 20)), [("west".to_owned(), 40)].into());
}
