//! What cannot act says so: tiers without clusters, ranges that overlap.

use std::time::Duration;

use redirector_tests::{
    api::builders,
    fleet::{Fleet, NAMESPACE, PORT, Setup},
    wait::wait_within,
};
use serde_json::json;

use super::{
    fixture::WEB,
    joined::{joined, wait_for_backends},
};

const LONGEST: Duration = Duration::from_secs(10);

#[test]
fn a_tier_that_can_have_no_member_is_degraded_with_its_reason() {
    let fleet = joined(&Setup { clusters: 2, ..Setup::default() }, &[]);
    let east = fleet.member("east");
    east.put_service("other", WEB + 1);
    east.put_slices("other", &[(1, true)]);
    for (policy, service, cluster, reason) in
        [("unknown", "web", "north", "NoSuchCluster"), ("missing", "other", "west", "NotExported")]
    {
        // Of two policies for one Service the older one holds.
        let _ = east.api.delete("failoverpolicies", NAMESPACE, "web");
        put(&fleet, policy, service, cluster);
        println!("{cluster} for {service}: {reason} after {:?}", degraded(&fleet, policy, reason));
        east.api.delete("failoverpolicies", NAMESPACE, policy).expect("it was there");
    }
    let west = fleet.member("west");
    // Two ports there, another one here: none of them is the same, and none is the only one.
    for member in [east, west] {
        member.put_service("odd", WEB + 2);
        member.put_slices("odd", &[(1, true)]);
    }
    let ports = |number: u16| {
        let port = |name| json!({"name": name, "protocol": "TCP", "port": number});
        json!([port("one"), port("two")])
    };
    let mut spec = json!({"spec": {"ports": ports(80)}});
    spec["spec"]["ports"][1]["port"] = json!(81);
    west.api.patch("services", NAMESPACE, "odd", spec).expect("the Service");
    for slice in ["odd-ipv4", "odd-ipv6"] {
        let ports = json!({"ports": ports(PORT)});
        west.api.patch("endpointslices", NAMESPACE, slice, ports).expect("its slice");
    }
    west.export("odd");
    put(&fleet, "ports", "odd", "west");
    println!(
        "other ports in west: PortMismatch after {:?}",
        degraded(&fleet, "ports", "PortMismatch")
    );

    put(&fleet, "silent", "web", "west");
    west.control.cut().expect("a cut");
    west.data.cut().expect("a cut");
    println!("west dead: ClusterSilent after {:?}", degraded(&fleet, "silent", "ClusterSilent"));
}

#[test]
fn ranges_that_overlap_the_own_nodes_are_refused_as_a_whole() {
    let fleet = joined(&Setup { clusters: 2, ..Setup::default() }, &[]);
    let east = fleet.member("east");
    let overlap = json!({"spec": {"cidrs": ["10.80.0.0/14", "fd80:2::/48"]}});
    east.api.patch("remoteclusters", "", "west", overlap).expect("its spec");
    let refused = Some(("False".to_owned(), "CIDROverlap".to_owned()));
    let is_refused = || east.condition("west", "Accepted") == refused;
    let longest = Duration::from_secs(2);
    let took = wait_within(longest, "west is refused", is_refused, || fleet.context());
    wait_for_backends(&fleet, 4);
    println!("overlapping: refused after {took:?}, 0 of its endpoints are programmed");
    let right = json!({"spec": {"cidrs": redirector_tests::fleet::cidrs(2)}});
    east.api.patch("remoteclusters", "", "west", right).expect("its spec");
    wait_for_backends(&fleet, 8);
}

fn put(fleet: &Fleet, policy: &str, service: &str, cluster: &str) {
    let spec = format!(
        "targetRefs: [{{kind: Service, name: {service}}}]\ntiers:\n\
         - {{name: here, locality: Cluster}}\n- {{name: there, clusters: [{cluster}]}}\n"
    );
    let object = builders::FailoverPolicy::new(NAMESPACE, policy, &spec);
    fleet.member("east").api.put(object).expect("a policy");
}

/// Waits until a policy is Degraded for that reason, and returns how long it took.
fn degraded(fleet: &Fleet, policy: &str, reason: &str) -> Duration {
    let east = fleet.member("east");
    let found = || {
        let object = east.api.get("failoverpolicies", NAMESPACE, policy).unwrap_or_default();
        let mut all = object["status"]["conditions"].as_array().cloned().into_iter().flatten();
        all.find(|one| one["type"] == "Degraded").unwrap_or_default()
    };
    let is_so = || found()["status"] == "True" && found()["reason"] == reason;
    let what = format!("{policy} is Degraded, {reason}");
    wait_within(LONGEST, &what, is_so, || format!("{}\n{}", found(), fleet.context()))
}
