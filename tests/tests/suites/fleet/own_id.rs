//! How an agent knows what its own cluster is called, without a right to read ClusterProperties.

use std::time::Duration;

use redirector_tests::{
    fleet::{Fleet, Setup},
    wait::wait_within,
};

use super::{
    fixture::WEB,
    joined::{joined, wait_for_backends},
};

const LONGEST: Duration = Duration::from_secs(10);

#[test]
fn an_agent_that_is_told_no_id_goes_by_what_the_importer_says() {
    let fleet = joined(&Setup { clusters: 2, told: None, ..Setup::default() }, &[]);
    let remote = fleet.member("east").api.get("remoteclusters", "", "west").expect("it is joined");
    assert_eq!(remote["status"]["localCluster"], "east");
    // All of both clusters are in the tables, and the policy's first tier is the own one.
    assert_eq!(fleet.backends("web"), 8);
}

#[test]
fn an_agent_that_is_told_another_id_uses_no_other_cluster_and_says_so_once() {
    let fleet = Fleet::joined(
        &Setup { clusters: 2, told: Some("home"), ..Setup::default() },
        &[],
        |members| {
            for member in members {
                member.put_service("web", WEB);
                member.put_slices("web", &[(1, true), (2, true)]);
                member.export("web");
            }
        },
    );
    let fleet = fleet.expect("a fleet");
    let said = || fleet.agent.log().matches("OwnClusterDiffers").count();
    wait_within(LONGEST, "it is said", || said() > 0, || fleet.context());
    let log = fleet.agent.log();
    let why = "says that this cluster is east, --cluster says home";
    assert!(log.contains(why), "{log}");
    wait_for_backends(&fleet, 4);
    fleet.wait_for(WEB, &["east"]);
    assert_eq!(said(), 1, "{}", fleet.agent.log());
}
