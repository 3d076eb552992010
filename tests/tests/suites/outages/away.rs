//! The API server is away for 60 s, in every way that there is, and the agent is killed and started
//! meanwhile. All of the agent's times are a tenth, so that 6 s stand for the 60.

use std::{
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    api::{Fault, faults::FaultId},
    cluster::{Cluster, slice},
};
use serde_json::json;

use super::fixture::{
    FAST, answer, assert_ready, is_ejected, load, none_failed, objections, options, policy,
    service, until,
};

const OUTAGE: Duration = Duration::from_secs(6);
/// The longest wait between two attempts, and what an attempt itself may take: connecting, the
/// first byte and the list, on a machine that does other things too.
const BACKOFF: Duration = Duration::from_millis(3_000 + 1_500);
/// Dials per second at the Service whose replicas live on.
const RATE: u32 = 300;

/// How a server is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Connections are refused, and come back with its history.
    Refused,
    /// Every packet is lost: those of open connections too.
    Silent,
    /// Everything is answered by 503.
    Unavailable,
    /// It ends, and starts with nothing of its history.
    Restarted,
}

#[test]
fn refused_connections_change_no_traffic() {
    survives(Way::Refused);
}

#[test]
fn silence_changes_no_traffic() {
    survives(Way::Silent);
}

#[test]
fn an_unavailable_server_changes_no_traffic() {
    survives(Way::Unavailable);
}

#[test]
fn a_restarted_server_changes_no_traffic() {
    survives(Way::Restarted);
}

fn survives(way: Way) {
    let arguments = [&FAST[..], &["--namespace", "redirector"]].concat();
    let mut cluster = Cluster::new(options(5, &arguments)).expect("a cluster");
    fill(&cluster);
    let steady = load(&cluster, "10.96.0.10:80", RATE);
    let begun = Instant::now();
    let fault = cut_off(&cluster, way);

    if way != Way::Silent {
        // A watch that is being cut may still deliver what comes now.
        until(&cluster, "the agent has lost its watches", || {
            let (_, metrics) = cluster.agent.get("/metrics").expect("metrics");
            !metrics.contains("redirector_kube_watching{kind=\"EndpointSlice\"} 1")
        });
    }
    cluster.api.put(slice("steady", "", &[1, 2, 5])).expect("a change that nobody hears");
    let ejected = replica_dies_and_returns(&mut cluster, 3);
    let killed = Instant::now();
    cluster.agent.restart().expect("a start without API");
    let restart = killed.elapsed();
    let avoided = replica_is_avoided(&mut cluster, 4);
    cluster.replicas[3].restart().expect("replica 4 again");
    while begun.elapsed() < OUTAGE {
        assert_ready(&cluster);
        let against = objections(&cluster, "shop/steady");
        assert!(against.values().all(Vec::is_empty), "{way:?}: {against:?}");
        assert_eq!(against.len(), 2, "{way:?}: {against:?}");
        thread::sleep(Duration::from_millis(50));
    }

    come_back(&cluster, way, fault);
    let late = until(&cluster, "what has changed meanwhile", || {
        objections(&cluster, "shop/steady").len() == 3
    });
    assert!(late < BACKOFF, "{way:?}: a change came {late:?} after the server");
    let healed = until(&cluster, "replica 4 is back", || {
        answer(&cluster, "10.96.0.11:80").as_deref() == Some(cluster.replicas[3].name())
    });
    assert_ready(&cluster);
    let by = none_failed(&format!("{way:?}"), steady);
    assert_only_the_killed_were_ejected(&cluster, way);
    println!(
        "outages: {way:?}: {by:?} served, 0 failed; ejected after {ejected:?} and, beside an agent \
         without API, avoided after {avoided:?}; restart {restart:?}; changes after {late:?}, \
         replica 4 {healed:?} later"
    );
}

/// Two Services with probes, everything answered once.
fn fill(cluster: &Cluster) {
    let api = &cluster.api;
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "redirector"}}))
        .expect("the agent's namespace");
    for (name, address, replicas) in
        [("steady", "10.96.0.10", [1, 2]), ("frail", "10.96.0.11", [3, 4])]
    {
        api.put(service(name, address)).expect("a Service");
        api.put(policy(name)).expect("a policy");
        api.put(slice(name, "", &replicas)).expect("a slice");
    }
    cluster.wait_for(&[("shop/frail", 2), ("shop/steady", 2)]);
    until(cluster, "every replica has answered a probe", || {
        ["shop/steady", "shop/frail"].iter().all(|name| {
            let output = cluster.agent.ask("explain", &[name, "-o", "json"]).expect("explain");
            let text = String::from_utf8_lossy(&output.stdout);
            output.status.success() && text.contains("\"probes\"") && !text.contains("\"unknown\"")
        })
    });
}

/// The application notices its death, then it comes back and is used again, all of it without API.
fn replica_dies_and_returns(cluster: &mut Cluster, number: u8) -> Duration {
    let took = replica_dies(cluster, number);
    cluster.replicas[usize::from(number) - 1].restart().expect("a replica again");
    let address = format!("10.77.2.{number}");
    until(cluster, "a probe brings the replica back", || {
        !is_ejected(cluster, "shop/frail", &address)
    });
    took
}

/// How long until it gets nothing any more.
fn replica_dies(cluster: &mut Cluster, number: u8) -> Duration {
    cluster.replicas[usize::from(number) - 1].kill();
    let address = format!("10.77.2.{number}");
    let took = until(cluster, "the dead replica is ejected", || {
        // Some of these fail: nobody else knows yet.
        answer(cluster, "10.96.0.11:80");
        is_ejected(cluster, "shop/frail", &address)
    });
    let dialled = cluster.dial("10.96.0.11:80", 20).expect("dials");
    assert!(dialled.iter().all(|one| one.outcome.is_ok()), "{dialled:?}");
    took
}

/// The same beside an agent that knows no Service and so asks nobody: the client goes elsewhere.
fn replica_is_avoided(cluster: &mut Cluster, number: u8) -> Duration {
    let begun = cluster.agent.counter("avoid_begun");
    cluster.replicas[usize::from(number) - 1].kill();
    let took = until(cluster, "the client avoids the dead replica", || {
        answer(cluster, "10.96.0.11:80");
        cluster.agent.counter("avoid_begun") > begun
    });
    // It may avoid the other one, too, which was dead a moment ago: until that has answered it.
    let dialled = cluster.dial("10.96.0.11:80", 40).expect("dials");
    let later = dialled.iter().skip_while(|one| one.outcome.is_err());
    assert!(later.clone().count() > 20, "{dialled:?}");
    assert!(later.clone().all(|one| one.outcome.is_ok()), "{dialled:?}");
    took
}

fn cut_off(cluster: &Cluster, way: Way) -> Option<FaultId> {
    let Cluster { api, lab, .. } = cluster;
    match way {
        Way::Refused | Way::Restarted => api.stop(),
        Way::Silent => {
            let port = api.address().port();
            let rules = format!(
                "table inet away {{
                    chain input {{
                        type filter hook input priority filter;
                        tcp dport {port} drop
                        tcp sport {port} drop
                    }}
                }}"
            );
            lab.node("client").netns().nft(&rules).expect("silence");
        }
        Way::Unavailable => {
            let fault = api.faults().add(Fault::status(503));
            api.faults().cut_watches(None);
            return Some(fault);
        }
    }
    None
}

fn come_back(cluster: &Cluster, way: Way, fault: Option<FaultId>) {
    let Cluster { api, lab, .. } = cluster;
    match way {
        Way::Refused => api.restart().expect("the server again"),
        Way::Restarted => {
            api.compact();
            api.restart().expect("the server again");
        }
        Way::Silent => {
            lab.node("client").netns().nft("delete table inet away").expect("no silence");
        }
        Way::Unavailable => fault.into_iter().for_each(|fault| api.faults().remove(fault)),
    }
}

fn assert_only_the_killed_were_ejected(cluster: &Cluster, way: Way) {
    let log = cluster.agent.log();
    let killed = ["10.77.2.3", "10.77.2.4"];
    let wrong: Vec<_> = log
        .lines()
        .filter(|line| {
            // From none: the first endpoints of a Service, heard after the Service.
            let is_fail_over = line.contains("failed over") && !line.contains("from=none");
            is_fail_over || line.contains(" ejected") || line.contains("nothing answers this node")
        })
        .filter(|line| !killed.iter().any(|address| line.contains(address)))
        .collect();
    assert!(wrong.is_empty(), "{way:?}: {wrong:#?}\n{log}");
    assert!(log.contains(" ejected"), "{way:?}: the log says nothing of the killed\n{log}");
}
