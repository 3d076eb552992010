//! Definitions are removed while all runs, and every object of their kinds with them: what they said last
//! stays, the log or a condition names what to apply, and all goes on when they are back.

use std::{thread, time::Duration};

use redirector_tests::{
    api,
    fleet::{Fleet, Setup, by_cluster, define},
    wait::wait_until_or,
};

use super::{
    fixture::WEB,
    joined::{wait_for_backends, west_carries},
};

fn fleet() -> Fleet {
    let api = api::Options { needs_crd: true, ..api::Options::default() };
    west_carries(&Setup { clusters: 2, api, ..Setup::default() }, &[])
}

/// Removes a definition as the real server does: its objects, and the watches of them, go with it.
fn remove(fleet: &Fleet, cluster: &str, plural: &str, group: &str) {
    let api = &fleet.member(cluster).api;
    let name = format!("{plural}.{group}");
    api.delete("customresourcedefinitions", "", &name).expect("the definition");
    api.faults().close_watches(Some(plural));
}

fn wait_for_log(fleet: &Fleet, cluster: &str, words: &[&str]) {
    let log = || fleet.member(cluster).controllers[0].log();
    let is_said = || log().lines().any(|line| words.iter().all(|word| line.contains(word)));
    wait_until_or(&format!("{cluster} logs {words:?}"), is_said, || fleet.context());
}

fn all_by_west(fleet: &Fleet) {
    assert_eq!(by_cluster(&fleet.dial(WEB, 50)), [("west".to_owned(), 100)].into());
    assert_eq!(fleet.backends("web"), 8, "{}", fleet.context());
}

#[test]
fn an_exporter_without_its_definitions_takes_nothing_back() {
    let fleet = fleet();
    let (east, west) = (fleet.member("east"), fleet.member("west"));
    remove(&fleet, "west", "serviceexports", "multicluster.x-k8s.io");
    wait_for_log(&fleet, "west", &["serviceexports", "no definition", "deploy/crd"]);
    all_by_west(&fleet);
    assert_eq!(west.api.list("exportedservices").len(), 1, "{}", fleet.context());
    define(&west.api).expect("definitions");
    west.export("web");

    remove(&fleet, "west", "exportedservices", "redirector.dev");
    wait_for_log(&fleet, "west", &["ExportedService", "404"]);
    // Incomplete if the removals were heard before the watch ended, else PartlyHeard: both say what helps.
    let connected = || {
        let remote = east.api.get("remoteclusters", "", "west").unwrap_or_default();
        let all = remote["status"]["conditions"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|one| one["type"] == "Connected").unwrap_or_default()
    };
    let is_named = || {
        let message = connected()["message"].as_str().unwrap_or_default().to_owned();
        message.contains("no exportedservices (404)") && message.contains("deploy/crd")
    };
    wait_until_or("east names the definition", is_named, || fleet.context());
    println!("{}", connected());
    all_by_west(&fleet);
    define(&west.api).expect("definitions");
    let is_live = || east.phase("west").as_deref() == Some("Live");
    wait_until_or("west is Live again", is_live, || fleet.context());
    all_by_west(&fleet);
    west.unexport("web");
    wait_for_backends(&fleet, 4);
    west.export("web");
    wait_for_backends(&fleet, 8);
}

#[test]
fn an_importer_without_its_definitions_keeps_what_it_has_imported() {
    let mut fleet = fleet();
    let slices = |fleet: &Fleet| {
        let all = fleet.member("east").api.list("endpointslices").into_iter();
        all.filter(|slice| {
            slice["metadata"]["labels"]["multicluster.kubernetes.io/source-cluster"] == "west"
        })
        .count()
    };
    let before = slices(&fleet);
    let remotes = fleet.member("east").api.list("remoteclusters");
    remove(&fleet, "east", "remoteclusters", "redirector.dev");
    wait_for_log(&fleet, "east", &["remoteclusters", "no definition", "deploy/crd"]);
    thread::sleep(Duration::from_secs(1));
    assert_eq!(slices(&fleet), before, "{}", fleet.context());
    let east = fleet.member("east");
    define(&east.api).expect("definitions");
    for mut remote in remotes {
        for field in ["resourceVersion", "uid"] {
            remote["metadata"].as_object_mut().expect("metadata").remove(field);
        }
        east.api.put(remote).expect("a RemoteCluster");
    }
    fleet.wait_until_live();
    wait_for_backends(&fleet, 8);
    fleet.wait_for(WEB, &["west"]);

    remove(&fleet, "east", "serviceimports", "multicluster.x-k8s.io");
    wait_for_log(&fleet, "east", &["serviceimports", "deploy/crd/mcs"]);
    wait_for_backends(&fleet, 8);
    fleet.wait_for(WEB, &["west"]);
    let east = fleet.member("east");
    define(&east.api).expect("definitions");
    let is_there = || east.api.get("serviceimports", "shop", "web").is_some();
    wait_until_or("it is imported again", is_there, || fleet.context());
    assert!(fleet.member_mut("east").controllers[0].is_running());
}
