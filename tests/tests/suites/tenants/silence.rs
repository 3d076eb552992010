//! Half a request and a close: how a tenant feigns that a backend does not answer.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    fixture::Site,
    script::{Kind, RawAddress, Scripter, Step},
    wait::wait_until,
};

use super::{
    fixture::{AgentIs, Fixture},
    services::{Family, NODES, PORT, PROBED, TIERS, near, service, west},
    watch::{Victim, Watch, assert_served_by, dial_many},
};
use crate::common::{
    counter,
    obedient::{HALF_A_REQUEST, Obedient},
};

const SERVICE: u16 = 1;
/// An answer is asked for, not a connection alone.
const ASKED: &str =
    "probe: {http: {path: /}, interval: 200ms, timeout: 200ms, unhealthy: 2, healthy: 1}";
/// So long half a request waits: longer than the 250 ms for which at least one is unanswered.
const WAITS: u16 = 300;
/// So many make a row, and more.
const ROW: usize = 6;
/// An ejection that a probe contradicts.
const LONGEST: Duration = Duration::from_millis(500);

/// Servers near and in the west that answer whole requests, and clients that have been answered.
fn world(policy: &str) -> Fixture {
    let site = Site::new("tenants", &NODES);
    for name in ["near", "west"] {
        let node = site.lab.node(name);
        Obedient::start(node, name, &[node.socket4(PORT), node.socket6(PORT)]);
    }
    let policy = format!("{TIERS}, failback: {{mode: Manual}}, {policy}");
    let site = Fixture::on(site, &service(SERVICE, &policy, &[near(PORT), west(PORT)]));
    if policy.contains("interval") {
        site.wait_for_probes(&[SERVICE]);
    }
    assert_served_by("near", &dial_many(&site, SERVICE, 50));
    site
}

/// In this pod half a request after the other waits and is closed.
fn feign(site: &Fixture, pod: &str, times: usize) {
    let mut client = Scripter::start(site.place_on(pod)).expect("a client");
    for number in 0..times {
        let address: SocketAddr = Family::ALL[number % 2].frontend(SERVICE);
        let domain = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let script = [
            Step::Socket(Kind { domain, kind: libc::SOCK_STREAM, protocol: 0 }),
            Step::Connect(RawAddress::from(address)),
            Step::Send(HALF_A_REQUEST.to_owned()),
            Step::Pause(WAITS),
            Step::Close,
        ];
        client.run(&script).expect("replies");
    }
}

#[test]
fn one_pod_moves_itself_alone() {
    let site = world(PROBED);
    let begun = Instant::now();
    feign(&site, "pod1", 2 * ROW);
    let (unanswered, begun_to_avoid) =
        (counter(&site, "request_unanswered"), counter(&site, "avoid_begun"));
    println!("{unanswered} halves of requests in {:?}, {begun_to_avoid} rows", begun.elapsed());
    assert!(begun_to_avoid >= 1, "the attack is none: {unanswered} halves of requests");
    assert_eq!(counter(&site, "ejected"), 0);
    site.assert_unmoved(&[SERVICE], AgentIs::Alive);
    assert_served_by("near", &dial_many(&site, SERVICE, 200));
}

#[test]
fn while_others_are_answered_two_pods_are_not_believed_without_a_probe_either() {
    let site = world("probe: off");
    let victim = Victim::start(&site, SERVICE, 50);
    thread::scope(|scope| {
        for pod in ["pod1", "pod2"] {
            let site = &site;
            scope.spawn(move || feign(site, pod, 2 * ROW));
        }
    });
    let sums = victim.end();
    let unanswered = counter(&site, "request_unanswered");
    println!(
        "{unanswered} halves of requests counted; the victim: {} of {}",
        sums.failed, sums.dials
    );
    assert_eq!((counter(&site, "ejected"), sums.failed), (0, 0));
    site.assert_unmoved(&[SERVICE], AgentIs::Alive);
    assert_served_by("near", &sums);
}

#[test]
fn two_pods_alone_keep_it_out_for_no_longer_than_a_probe_takes() {
    let site = world(ASKED);
    let watch = Watch::start(&site);
    thread::scope(|scope| {
        for pod in ["pod1", "pod2"] {
            let site = &site;
            scope.spawn(move || feign(site, pod, 2 * ROW));
        }
    });
    wait_until("the agent has contradicted them", || site.transitions("contradicted") > 0);
    let ejections = watch.end();
    println!("two pods: {ejections:?}; {} contradicted", site.transitions("contradicted"));
    assert!(ejections.iter().all(|(_, lasted)| *lasted <= LONGEST), "{ejections:?}");
    let log = site.agent.log();
    assert!(!log.contains("failed over"), "{log}");
    site.assert_no_hold(SERVICE);
    assert_served_by("near", &dial_many(&site, SERVICE, 50));
}
