//! Failovers: real dials move, and the Service has an Event of it, once.

use std::time::Duration;

use redirector_tests::{
    api::{Verb, builders},
    cluster::{name, slice},
    dialer::{Dial, Dialled, Load, now_us},
    zones::{self, wait_until},
};
use serde_json::Value;

use super::stage::{Stage, WEB};

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
    let mut stage = Stage::new(3);
    stage.put_service("web", 10, &[1, 2]);
    stage.put_service("backup", 11, &[3]);
    stage.apply("web", POLICY);
    stage.wait_for_condition("web", "Programmed", ("True", "Programmed"));
    stage.wait_for_answers(&[1, 2]);
    stage.wait_for_probes("shop/web");
    assert_eq!(events(&stage, "FailedOver").len(), 0);

    let client = stage.cluster.client().expect("a client");
    let dial = Dial::tcp(WEB.parse().expect("an address"));
    let load = Load { dial, rate: 200, threads: 4, duration_ms: None, every: true };
    let load = client.load(load).expect("a load");
    kill(&mut stage, &[1, 2]);
    wait_until("an Event", || !events(&stage, "FailedOver").is_empty()).expect("it is written");
    assert_eq!(stage.answers(200), [name(3)].into(), "the Event came before the map was live");
    let dialled = zones::stop(load).expect("dials");
    // Events about the Node, ejections, are elsewhere.
    let creation = stage.requests().into_iter().find(|request| {
        request.verb == Verb::Create && request.path.contains("/namespaces/shop/events")
    });
    let told = now_us() - micros(creation.expect("a creation").at.elapsed());
    let failed = dialled.iter().filter(|one| one.outcome.is_err()).count();
    println!("kube: {} dials, {failed} failed, {}", dialled.len(), moved(&dialled, told));
    assert!(failed <= 2 * 2 + 12, "{failed} dials failed");

    start(&mut stage, &[1, 2]);
    stage.wait_for_answers(&[1, 2]);
    wait_until("the way back", || !events(&stage, "FailedBack").is_empty()).expect("an Event");
    kill(&mut stage, &[1, 2]);
    stage.wait_for_answers(&[3]);
    wait_until("a count of 2", || {
        events(&stage, "FailedOver").iter().any(|event| event["series"]["count"] == 2)
    })
    .expect("it is raised");

    let [event] = &events(&stage, "FailedOver")[..] else {
        panic!("not one Event: {:#?}", events(&stage, "FailedOver"))
    };
    assert_eq!(event["note"], "traffic moved from tier 0 (own) to tier 1 (backup)");
    assert_eq!(
        (&event["type"], &event["reportingInstance"]),
        (&"Warning".into(), &"client".into())
    );
    let shown = stage.kubectl(&["get", "events"], "");
    println!("{shown}");
    assert!(shown.contains("FailedOver") && shown.contains("service/web"), "{shown}");
    for (object, reason) in [("service/web", "FailedOver"), ("node/client", "BackendEjected")] {
        let described = stage.kubectl(&["describe", object], "");
        let (_, events) = described.split_once("\nEvents:").expect("it shows Events");
        println!("{object}:{events}");
        assert!(events.contains(reason), "kubectl describe {object} shows no {reason}");
    }
    stage.assert_only_reports_were_written();
    stage.assert_nothing_was_forbidden();
}

#[test]
fn what_a_policy_changes_by_coming_is_no_failover() {
    let stage = Stage::new(2);
    stage.put_service("web", 10, &[1]);
    stage.put_service("backup", 11, &[2]);
    stage.kubectl(&["label", "service", "web", "redirector.dev/failover=true"], "");
    stage.cluster.wait_for(&[("shop/web", 1)]).expect("one backend");
    wait_until("a leader", || stage.cluster.agent.log().contains("writes statuses")).expect("one");
    stage.apply("web", POLICY);
    stage.wait_for_condition("web", "Programmed", ("True", "Programmed"));
    stage.kubectl(&["delete", "failoverpolicy", "web"], "");
    stage.cluster.wait_for(&[("shop/web", 1)]).expect("without the tier");
    // Whatever happened before this was written before it: Events are written in order.
    put_marker(&stage);
    let drained = stage.cluster.agent.ask("drain", &["zone=first"]).expect("it runs");
    assert!(drained.status.success(), "{drained:?}");
    wait_until("the drain's Event", || !events(&stage, "Drained").is_empty()).expect("an Event");
    assert_eq!(events(&stage, "FailedOver"), Vec::<Value>::new());
    let log = stage.cluster.agent.log();
    assert!(!log.contains("failed over"), "{log}");
    let rerouted = log.lines().filter(|line| line.contains("rerouted"));
    assert_eq!(rerouted.count(), 2, "the policy came and went: {log}");
}

#[test]
fn the_first_endpoints_of_a_service_have_no_event_and_those_after_an_outage_have_one() {
    let mut stage = Stage::new(1);
    stage.put_service("web", 10, &[]);
    let probe = "{tcp: {}, interval: 200ms, timeout: 200ms, unhealthy: 2, healthy: 1}";
    stage.apply("web", &format!("targetRefs: [{{kind: Service, name: web}}]\nprobe: {probe}"));
    stage.wait_for_condition("web", "Programmed", ("True", "Programmed"));
    let moves = |stage: &Stage| ["FailedOver", "FailedBack"].map(|reason| times(stage, reason));
    let endpoints = |stage: &Stage, numbers| {
        stage.cluster.api.put(slice("web", "", numbers)).expect("a slice");
    };
    let wait_for_moves = |stage: &Stage, wanted| {
        let is_so = || moves(stage) == wanted;
        if wait_until("Events", is_so).is_err() {
            panic!("not {wanted:?} but {:?}:\n{}", moves(stage), stage.cluster.agent.log());
        }
    };
    let drain = |stage: &Stage, zone: &str| {
        // Whatever happened before this was written before it: Events are written in order.
        let drained =
            stage.cluster.agent.ask("drain", &[&format!("zone={zone}")]).expect("it runs");
        assert!(drained.status.success(), "{drained:?}");
        let is_told = || {
            let mut events = events(stage, "Drained").into_iter();
            events.any(|event| event["note"].as_str().is_some_and(|note| note.contains(zone)))
        };
        if wait_until("the drain's Event", is_told).is_err() {
            panic!("no Event of the drain of {zone}:\n{}", stage.cluster.agent.log());
        }
    };

    put_marker(&stage);
    endpoints(&stage, &[1]);
    stage.wait_for_answers(&[1]);
    drain(&stage, "first");
    assert_eq!(moves(&stage), [0, 0]);
    endpoints(&stage, &[]);
    wait_for_moves(&stage, [1, 0]);
    endpoints(&stage, &[1]);
    wait_for_moves(&stage, [1, 1]);

    // Found without endpoints by an agent that starts it is as good as new.
    endpoints(&stage, &[]);
    wait_for_moves(&stage, [2, 1]);
    restart(&mut stage, 2);
    endpoints(&stage, &[1]);
    stage.wait_for_answers(&[1]);
    drain(&stage, "second");
    assert_eq!(moves(&stage), [2, 1]);

    // Found ejected it is in an outage. What has never answered a probe is not ejected by one.
    stage.wait_for_probes("shop/web");
    kill(&mut stage, &[1]);
    wait_for_moves(&stage, [3, 1]);
    restart(&mut stage, 3);
    start(&mut stage, &[1]);
    wait_for_moves(&stage, [3, 2]);
    let log = stage.cluster.agent.log();
    let said = log.lines().filter(|line| line.contains("failed over")).count();
    assert_eq!(said, 3, "{log}");
    stage.assert_nothing_was_forbidden();
}

/// A Service whose drains move no traffic, so that their Events mark a point in time.
fn put_marker(stage: &Stage) {
    stage.put_service("marker", 12, &[]);
    stage.kubectl(&["label", "service", "marker", "redirector.dev/failover=true"], "");
    let zones = ["first", "second", "rest"];
    let empty = slice("marker", "", &[]);
    let slice = zones.into_iter().zip(201..).fold(empty, |slice, (zone, last)| {
        slice.endpoint(builders::Endpoint::new(&format!("10.77.2.{last}")).node("none").zone(zone))
    });
    stage.cluster.api.put(slice).expect("a slice");
    let is_known = || {
        let asked =
            stage.cluster.agent.ask("simulate", &["--dead", "zone=second"]).expect("it runs");
        asked.status.success()
    };
    wait_until("the marker", is_known).expect("it is heard of");
}

fn kill(stage: &mut Stage, numbers: &[u8]) {
    numbers.iter().for_each(|number| stage.cluster.replicas[usize::from(*number) - 1].kill());
}

fn start(stage: &mut Stage, numbers: &[u8]) {
    for number in numbers {
        stage.cluster.replicas[usize::from(*number) - 1].restart().expect("a replica");
    }
}

fn events(stage: &Stage, reason: &str) -> Vec<Value> {
    let all = stage.cluster.api.list("events").into_iter();
    all.filter(|event| event["reason"] == reason).collect()
}

/// Another agent, that leads: as the so-many-eth one. What an agent sees before it knows the Lease
/// is another one's to report.
fn restart(stage: &mut Stage, number: usize) {
    stage.cluster.agent.restart().expect("another agent");
    let log = || stage.cluster.agent.log();
    let leads = || log().matches("writes statuses").count() == number;
    wait_until("it leads", leads).unwrap_or_else(|_| panic!("it does not lead:\n{}", log()));
}

/// How often it happened, by the Events of that reason.
fn times(stage: &Stage, reason: &str) -> u64 {
    let count = |event: &Value| event["series"]["count"].as_u64().unwrap_or(1);
    events(stage, reason).iter().map(count).sum()
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
