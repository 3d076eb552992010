//! Slices of another cluster, as Cilium, Submariner, derived Services and the importer write them.

use redirector_tests::{
    fleet::{Fleet, Setup, by_cluster},
    size::sized,
    wait::{is_soon, wait_until_or},
};
use serde_json::{Value, json};

use super::fixture::{WEB, Writer, kill, told};

fn two() -> Setup {
    Setup { clusters: 2, ..Setup::default() }
}

#[test]
fn slices_of_others_wait_behind_the_own_cluster_and_carry_all_when_it_is_gone() {
    for writer in Writer::ALL {
        let mut fleet = told(&two(), writer, &json!({}), None);
        wait_for_backends(&fleet, 8);
        fleet.wait_for_probes("web");
        // Its last own replica is enough.
        fleet.member_mut("east").replicas[1].kill();
        fleet.member("east").put_slices("web", &[(1, true)]);
        wait_for_backends(&fleet, 6);
        let dials = sized(5_000, 500);
        let here = by_cluster(&fleet.dial(WEB, dials));
        assert_eq!(here, [("east".to_owned(), 2 * dials)].into(), "{writer:?}");
        kill(&mut fleet, "east");
        let took = fleet.wait_within(std::time::Duration::from_secs(10), WEB, &["west"]);
        let there = by_cluster(&fleet.dial(WEB, 200));
        assert_eq!(there, [("west".to_owned(), 400)].into(), "{writer:?}");
        println!("{writer:?}: {here:?}, then {there:?} after {took:?}");
    }
}

#[test]
fn a_slice_outside_the_ranges_of_its_cluster_is_left_out_alone() {
    let fleet = told(&two(), Writer::Cilium, &json!({}), None);
    wait_for_backends(&fleet, 8);
    let east = fleet.member("east");
    let [mut forged, _] = Writer::Redirector.slices(fleet.member("west"), &[1]);
    forged["metadata"]["name"] = json!("web-west-forged");
    forged["endpoints"][0]["addresses"] = json!(["10.83.2.1"]);
    east.api.put(forged).expect("a slice");
    let is_said = || fleet.agent.log().contains("10.83.2.1");
    wait_until_or("it is said which slice", is_said, || fleet.context());
    assert_eq!(fleet.backends("web"), 8, "all others stay\n{}", fleet.context());
    assert_eq!(by_cluster(&fleet.dial(WEB, 20)), [("east".to_owned(), 40)].into());
}

#[test]
fn without_a_statement_or_a_proof_of_encryption_slices_of_another_cluster_stay_out() {
    let fleet = told(&two(), Writer::Cilium, &json!({"encryption": {"mode": "Required"}}), None);
    wait_for_backends(&fleet, 4);
    let east = fleet.member("east");
    let off = json!({"spec": {"encryption": {"mode": "Report"}}});
    east.api.patch("remoteclusters", "", "west", off).expect("its RemoteCluster");
    wait_for_backends(&fleet, 8);
    east.api.delete("remoteclusters", "", "west").expect("its RemoteCluster");
    wait_for_backends(&fleet, 4);
    assert_eq!(by_cluster(&fleet.dial(WEB, 20)), [("east".to_owned(), 40)].into());
}

#[test]
fn a_statement_that_overlaps_the_own_nodes_refuses_reach_to_pods_as_a_whole() {
    let fleet = told(&two(), Writer::Redirector, &json!({"cidrs": ["10.80.0.0/14"]}), None);
    // Time enough to be wrong.
    assert!(!is_soon_within(&fleet, 8), "{}", fleet.context());
    assert_eq!(fleet.backends("web"), 4);
    let cidrs = json!({"spec": {"cidrs": redirector_tests::fleet::cidrs(2)}});
    fleet.member("east").api.patch("remoteclusters", "", "west", cidrs).expect("its RemoteCluster");
    wait_for_backends(&fleet, 8);
}

#[test]
fn kube_proxy_sees_no_slice_that_is_attached() {
    let fleet = told(&two(), Writer::Redirector, &json!({}), None);
    // Its informers' selector (`cmd/kube-proxy`): neither headless nor for another proxy.
    let is_seen = |slice: &&Value| {
        let labels = &slice["metadata"]["labels"];
        labels["service.kubernetes.io/service-proxy-name"].is_null()
            && labels["service.kubernetes.io/headless"].is_null()
    };
    let all = fleet.member("east").api.list("endpointslices");
    let seen: Vec<_> = all.iter().filter(is_seen).map(|one| &one["metadata"]["name"]).collect();
    assert_eq!(seen, ["web-ipv4", "web-ipv6"]);
}

fn wait_for_backends(fleet: &Fleet, count: usize) {
    let is_so = || fleet.backends("web") == count;
    let what = format!("{count} backends");
    wait_until_or(&what, is_so, || format!("{}\n{}", fleet.backends("web"), fleet.context()));
}

fn is_soon_within(fleet: &Fleet, count: usize) -> bool {
    let begun = std::time::Instant::now();
    is_soon(|| fleet.backends("web") == count || begun.elapsed().as_secs() >= 2)
        && fleet.backends("web") == count
}
