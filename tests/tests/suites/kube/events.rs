//! Failovers: real dials move, and the Service has an Event of it, once.

use std::time::Duration;

use redirector_tests::{
    api::{Verb, builders},
    cluster::{name, slice},
    dialer::{Dial, Dialled, Load, now_us},
    wait::{wait_until, wait_until_or},
};
use serde_json::Value;

use super::fixture::{Fixture, WEB};

const POLICY: &str = "
targetRefs: [{kind: Service, name: web}]
tiers:
- {name: own, locality: Cluster}
- {name: backup, service: {name: backup}}
failback: {holdDown: 0s, ramp: 0s}
passive: {refused: 2, timeouts: 5, baseEjection: 1s, maxEjection: 2s}
probe: {tcp: {}, interval: 200ms, timeout: 200ms, unhealthy: 2, healthy: 2}
";

#[test]
fn a_failover_moves_dials_first_and_is_one_event_then_however_often_it_repeats() {
    let mut site = Fixture::new(3);
    site.put_service("web", 10, &[1, 2]);
    site.put_service("backup", 11, &[3]);
    site.apply("web", POLICY);
    site.wait_for_condition("web", "Programmed", ("True", "Programmed"));
    site.wait_for_answers(&[1, 2]);
    site.wait_for_probes("shop/web");
    assert_eq!(events(&site, "FailedOver").len(), 0);

    let client = site.cluster.client().expect("a client");
    let dial = Dial::tcp(WEB.parse().expect("an address"));
    let load = Load { every: true, ..Load::new(dial, 200) };
    let load = client.load(load).expect("a load");
    kill(&mut site, &[1, 2]);
    wait_until("an Event", || !events(&site, "FailedOver").is_empty());
    assert_eq!(site.answers(200), [name(3)].into(), "the Event came before the map was live");
    let dialled = load.dialled().expect("dials");
    // Events about the Node, ejections, are elsewhere.
    let creation = site.requests().into_iter().find(|request| {
        request.verb == Verb::Create && request.path.contains("/namespaces/shop/events")
    });
    let told = now_us() - micros(creation.expect("a creation").at.elapsed());
    let failed = dialled.iter().filter(|one| one.outcome.is_err()).count();
    println!("kube: {} dials, {failed} failed, {}", dialled.len(), moved(&dialled, told));
    assert!(failed <= 2 * 2 + 12, "{failed} dials failed");

    start(&mut site, &[1, 2]);
    site.wait_for_answers(&[1, 2]);
    wait_until("the way back", || !events(&site, "FailedBack").is_empty());
    kill(&mut site, &[1, 2]);
    site.wait_for_answers(&[3]);
    wait_until("a count of 2", || {
        events(&site, "FailedOver").iter().any(|event| event["series"]["count"] == 2)
    });

    let [event] = &events(&site, "FailedOver")[..] else {
        panic!("not one Event: {:#?}", events(&site, "FailedOver"))
    };
    assert_eq!(event["note"], "traffic moved from tier 0 (own) to tier 1 (backup)");
    assert_eq!(
        (&event["type"], &event["reportingInstance"]),
        (&"Warning".into(), &"client".into())
    );
    let shown = site.kubectl(&["get", "events"], "");
    println!("{shown}");
    assert!(shown.contains("FailedOver") && shown.contains("service/web"), "{shown}");
    for (object, reason) in [("service/web", "FailedOver"), ("node/client", "BackendEjected")] {
        let described = site.kubectl(&["describe", object], "");
        let (_, events) = described.split_once("\nEvents:").expect("it shows Events");
        println!("{object}:{events}");
        assert!(events.contains(reason), "kubectl describe {object} shows no {reason}");
    }
    site.assert_only_reports_were_written();
    site.assert_nothing_was_forbidden();
}

#[test]
fn what_a_policy_changes_by_coming_is_no_failover() {
    let site = Fixture::new(2);
    site.put_service("web", 10, &[1]);
    site.put_service("backup", 11, &[2]);
    site.kubectl(&["label", "service", "web", "redirector.dev/failover=true"], "");
    site.cluster.wait_for(&[("shop/web", 1)]);
    wait_until("a leader", || site.cluster.agent.log().contains("writes statuses"));
    site.apply("web", POLICY);
    site.wait_for_condition("web", "Programmed", ("True", "Programmed"));
    site.kubectl(&["delete", "failoverpolicy", "web"], "");
    site.cluster.wait_for(&[("shop/web", 1)]);
    // Whatever happened before this was written before it: Events are written in order.
    put_marker(&site);
    site.cluster.agent.answer("drain", &["zone=first"]);
    wait_until("the drain's Event", || !events(&site, "Drained").is_empty());
    assert_eq!(events(&site, "FailedOver"), Vec::<Value>::new());
    let log = site.cluster.agent.log();
    assert!(!log.contains("failed over"), "{log}");
    let rerouted = log.lines().filter(|line| line.contains("rerouted"));
    assert_eq!(rerouted.count(), 2, "the policy came and went: {log}");
}

#[test]
fn the_first_endpoints_of_a_service_have_no_event_and_those_after_an_outage_have_one() {
    let mut site = Fixture::new(1);
    site.put_service("web", 10, &[]);
    let probe = "{tcp: {}, interval: 200ms, timeout: 200ms, unhealthy: 2, healthy: 1}";
    site.apply("web", &format!("targetRefs: [{{kind: Service, name: web}}]\nprobe: {probe}"));
    site.wait_for_condition("web", "Programmed", ("True", "Programmed"));
    let moves = |site: &Fixture| ["FailedOver", "FailedBack"].map(|reason| times(site, reason));
    let endpoints = |site: &Fixture, numbers| {
        site.cluster.api.put(slice("web", "", numbers)).expect("a slice");
    };
    let wait_for_moves = |site: &Fixture, wanted| {
        let is_so = || moves(site) == wanted;
        let what = || format!("not {wanted:?} but {:?}:\n{}", moves(site), log_of(site));
        wait_until_or("Events", is_so, what);
    };
    let drain = |site: &Fixture, zone: &str| {
        // Whatever happened before this was written before it: Events are written in order.
        site.cluster.agent.answer("drain", &[&format!("zone={zone}")]);
        let is_told = || {
            let mut events = events(site, "Drained").into_iter();
            events.any(|event| event["note"].as_str().is_some_and(|note| note.contains(zone)))
        };
        wait_until_or("the drain's Event", is_told, || log_of(site));
    };

    put_marker(&site);
    endpoints(&site, &[1]);
    site.wait_for_answers(&[1]);
    drain(&site, "first");
    assert_eq!(moves(&site), [0, 0]);
    endpoints(&site, &[]);
    wait_for_moves(&site, [1, 0]);
    endpoints(&site, &[1]);
    wait_for_moves(&site, [1, 1]);

    // Found without endpoints by an agent that starts it is as good as new.
    endpoints(&site, &[]);
    wait_for_moves(&site, [2, 1]);
    restart(&mut site, 2);
    endpoints(&site, &[1]);
    site.wait_for_answers(&[1]);
    drain(&site, "second");
    assert_eq!(moves(&site), [2, 1]);

    // Found ejected it is in an outage. What has never answered a probe is not ejected by one.
    site.wait_for_probes("shop/web");
    kill(&mut site, &[1]);
    wait_for_moves(&site, [3, 1]);
    restart(&mut site, 3);
    start(&mut site, &[1]);
    wait_for_moves(&site, [3, 2]);
    let log = site.cluster.agent.log();
    let said = log.lines().filter(|line| line.contains("failed over")).count();
    assert_eq!(said, 3, "{log}");
    site.assert_nothing_was_forbidden();
}

/// A Service whose drains move no traffic, so that their Events mark a point in time.
fn put_marker(site: &Fixture) {
    site.put_service("marker", 12, &[]);
    site.kubectl(&["label", "service", "marker", "redirector.dev/failover=true"], "");
    let zones = ["first", "second", "rest"];
    let empty = slice("marker", "", &[]);
    let slice = zones.into_iter().zip(201..).fold(empty, |slice, (zone, last)| {
        slice.endpoint(builders::Endpoint::new(&format!("10.77.2.{last}")).node("none").zone(zone))
    });
    site.cluster.api.put(slice).expect("a slice");
    let is_known = || {
        let asked =
            site.cluster.agent.ask("simulate", &["--dead", "zone=second"]).expect("it runs");
        asked.status.success()
    };
    wait_until("the marker", is_known);
}

fn kill(site: &mut Fixture, numbers: &[u8]) {
    numbers.iter().for_each(|number| site.cluster.replicas[usize::from(*number) - 1].kill());
}

fn start(site: &mut Fixture, numbers: &[u8]) {
    for number in numbers {
        site.cluster.replicas[usize::from(*number) - 1].restart().expect("a replica");
    }
}

fn events(site: &Fixture, reason: &str) -> Vec<Value> {
    let all = site.cluster.api.list("events").into_iter();
    all.filter(|event| event["reason"] == reason).collect()
}

/// Another agent, that leads: as the so-many-eth one. What an agent sees before it knows the Lease
/// is another one's to report.
fn restart(site: &mut Fixture, number: usize) {
    site.cluster.agent.restart().expect("another agent");
    let leads = || log_of(site).matches("writes statuses").count() == number;
    wait_until_or("it leads", leads, || log_of(site));
}

fn log_of(site: &Fixture) -> String {
    site.cluster.agent.log()
}

/// How often it happened, by the Events of that reason.
fn times(site: &Fixture, reason: &str) -> u64 {
    let count = |event: &Value| event["series"]["count"].as_u64().unwrap_or(1);
    events(site, reason).iter().map(count).sum()
}

/// How soon the dials had moved. Panics if one that began after the Event had not.
fn moved(dialled: &[Dialled], told: u64) -> String {
    let backup = name(3);
    let is_moved = |one: &&Dialled| one.outcome.as_deref() == Ok(backup.as_str());
    let first = dialled.iter().find(is_moved).expect("nobody was moved").at_us;
    let late: Vec<_> = dialled.iter().filter(|one| one.at_us > told && !is_moved(one)).collect();
    assert!(late.is_empty(), "not moved though the Event said so: {late:#?}");
    let after = Duration::from_micros(told.saturating_sub(first));
    format!("the Event came {after:?} after the first dial that was moved")
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).expect("not that long")
}
