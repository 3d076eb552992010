//! Credentials end, outboxes lie, names are taken: the last good state stays, and a condition says why.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use redirector_tests::{
    api,
    fleet::{Setup, by_cluster, export},
    wait::{wait_until_or, wait_within},
};
use serde_json::{Value, json};

use super::{
    fixture::WEB,
    joined::{joined, said, wait_for_backends, west_carries},
};

const EXPORTS: &str = "redirector-exports";
const HEARTBEAT: &str = "redirector-heartbeat";

fn two() -> Setup {
    Setup { clusters: 2, ..Setup::default() }
}

#[test]
fn a_revoked_account_is_said_and_takes_nothing_away_until_it_is_admitted_again() {
    let fleet = west_carries(&two(), &[]);
    let (east, west) = (fleet.member("east"), fleet.member("west"));
    west.api.delete("serviceaccounts", EXPORTS, "importer-east").expect("it was there");
    west.api.faults().cut_watches(None);
    said(&fleet, "Connected", "Unauthorized");
    assert_eq!(by_cluster(&fleet.dial(WEB, 50)), [("west".to_owned(), 100)].into());
    wait_for_backends(&fleet, 8);
    west.admit(east).expect("it is admitted");
    let is_live = || east.phase("west").as_deref() == Some("Live");
    wait_until_or("west is Live again", is_live, || fleet.context());
}

#[test]
fn a_token_is_renewed_before_it_ends() {
    let api = api::Options { longest_token: Duration::from_secs(8), ..api::Options::default() };
    let fleet = joined(&Setup { api, ..two() }, &[]);
    let (east, west) = (fleet.member("east"), fleet.member("west"));
    let token =
        || east.api.get("secrets", "redirector-clusters", "west").expect("it")["data"].clone();
    let first = token();
    let is_other = || token() != first;
    let longest = Duration::from_secs(12);
    let took = wait_within(longest, "the token is another", is_other, || fleet.context());
    println!("a token of 8 s was renewed {took:?} after all were Live");
    thread::sleep(Duration::from_secs(1));
    let refused = west.api.requests().iter().filter(|request| request.code == 401).count();
    assert_eq!((refused, east.phase("west").as_deref()), (0, Some("Live")), "{}", fleet.context());
}

#[test]
fn an_outbox_that_is_not_what_its_manifest_says_takes_nothing_away() {
    let mut fleet = west_carries(&two(), &[]);
    fleet.member_mut("west").controllers[0].kill();
    let west = fleet.member("west");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // An exporter that says one thing and does another.
        scope.spawn(|| {
            let mut beat = 0_u32;
            while !is_over.load(Ordering::Relaxed) {
                beat += 1;
                let time = format!("2026-12-01T00:00:00.{beat:06}Z");
                let wrong = json!({"spec": {"renewTime": time},
                    "metadata": {"annotations": {"clusters.redirector.dev/digest": "0".repeat(64)}}});
                west.api.patch("leases", EXPORTS, HEARTBEAT, wrong).expect("its heartbeat");
                thread::sleep(Duration::from_millis(50));
            }
        });
        for slice in west.api.list("endpointslices") {
            if slice["metadata"]["namespace"] == EXPORTS {
                let name = slice["metadata"]["name"].as_str().expect("a name");
                west.api.delete("endpointslices", EXPORTS, name).expect("it was there");
            }
        }
        said(&fleet, "Synced", "Incomplete");
        wait_for_backends(&fleet, 8);
        assert_eq!(by_cluster(&fleet.dial(WEB, 50)), [("west".to_owned(), 100)].into());
        is_over.store(true, Ordering::Relaxed);
    });
    fleet.member_mut("west").controllers[0].restart().expect("it starts");
    let is_live = || fleet.member("east").phase("west").as_deref() == Some("Live");
    wait_until_or("west is Live again", is_live, || fleet.context());
    wait_for_backends(&fleet, 8);
}

#[test]
fn another_cluster_under_the_name_is_refused_and_what_was_imported_stays() {
    let fleet = west_carries(&two(), &[]);
    let other = json!({"spec": {"uid": "00000000-0000-4000-8000-000000000000"}});
    fleet.member("east").api.patch("remoteclusters", "", "west", other).expect("its spec");
    said(&fleet, "Accepted", "IdentityChanged");
    wait_for_backends(&fleet, 8);
    assert_eq!(by_cluster(&fleet.dial(WEB, 50)), [("west".to_owned(), 100)].into());
}

#[test]
fn a_namespace_that_does_not_exist_here_is_imported_once_it_does() {
    let fleet = joined(&two(), &[]);
    let (east, west) = (fleet.member("east"), fleet.member("west"));
    let mut service =
        Value::from(api::builders::Service::new("only-west", "db").port("", "TCP", 80));
    service["spec"]["selector"] = json!({"app": "db"});
    west.api.put(service).expect("a Service");
    let mut exported = export("db");
    exported["metadata"]["namespace"] = json!("only-west");
    west.api.put(exported).expect("a ServiceExport");
    let is_out = || west.api.get("exportedservices", EXPORTS, "only-west.db").is_some();
    wait_until_or("it is exported", is_out, || fleet.context());
    thread::sleep(Duration::from_millis(500));
    assert!(east.api.list("serviceimports").iter().all(|one| one["metadata"]["name"] != "db"));
    east.api
        .put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "only-west"}}))
        .expect("a namespace");
    let is_in = || east.api.get("serviceimports", "only-west", "db").is_some();
    wait_until_or("it is imported", is_in, || fleet.context());
}
