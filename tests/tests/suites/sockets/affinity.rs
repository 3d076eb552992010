//! Session affinity: one client, one backend, until the timeout or until that backend goes.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    bpftool,
    script::{Outcome, Scripter, Step},
};
use serde_json::Value;

use super::{
    dialogue::answerer,
    fixture::{Family, Fixture, PLAIN, Spot, backends, file, number, service_at},
};

/// So often a client dials: with three replicas a chance hit has 1 in 3^19.
const DIALS: usize = 20;
/// Fast, so that an ejection is soon seen.
const PROBE: &str = "policy: {probe: {interval: 100ms, timeout: 100ms, unhealthy: 1, healthy: 1}}";

fn spot() -> Spot {
    Spot::service(3, 40)
}

fn services(protocol: &str, backends: &[u8], timeout: &str) -> String {
    let probe = if protocol == "tcp" { PROBE } else { "" };
    let rest = format!("affinity: {{timeout: {timeout}}}\n{probe}");
    file(&[service_at("test/affinity", protocol, &[spot()], backends, &rest)])
}

#[test]
fn a_client_keeps_its_backend_when_others_come_and_loses_it_when_it_goes() {
    let mut site = Fixture::new(&services("tcp", &[1, 2, 3], "3h"), &[]);
    let mut client = site.client();
    let first = Family::ALL.map(|family| who_serves(&mut client, family, libc::SOCK_STREAM));
    let all_same = |client: &mut Scripter| {
        Family::ALL.map(|family| who_serves(client, family, libc::SOCK_STREAM))
    };
    assert_eq!(first[0], first[2], "v4-mapped is IPv4");
    // Each family has its own addresses, and none takes the other's place.
    assert_eq!(all_same(&mut client), first);

    let more = [1, 2, 3, PLAIN];
    site.change(&services("tcp", &more, "3h"), |dump| backends(dump, |_| true) == 8);
    assert_eq!(all_same(&mut client), first, "one more backend");

    // An ejected one is left, and not gone back to.
    let lost = number(&first[0]);
    site.replicas[usize::from(lost) - 1].kill();
    site.wait_until("the ejection", |dump| backends(dump, is_usable) == 6);
    let second = all_same(&mut client);
    assert_ne!(second[0], first[0], "its backend is ejected");
    site.replicas[usize::from(lost) - 1].restart().expect("the replica is back");
    site.wait_until("the re-admission", |dump| backends(dump, is_usable) == 8);
    assert_eq!(all_same(&mut client), second, "its old one is back");

    // A removed one likewise.
    let lost = number(&second[0]);
    let rest: Vec<_> = more.into_iter().filter(|other| *other != lost).collect();
    site.change(&services("tcp", &rest, "3h"), |dump| backends(dump, |_| true) == 6);
    let third = all_same(&mut client);
    assert_ne!(third[0], second[0], "its backend is gone");
    assert_eq!(all_same(&mut client), third);
}

#[test]
fn fresh_udp_sockets_of_one_client_share_a_backend() {
    let site = Fixture::new(&services("udp", &[1, 2, 3], "3h"), &[]);
    let mut client = site.client();
    let first = Family::ALL.map(|family| who_serves(&mut client, family, libc::SOCK_DGRAM));
    let again = Family::ALL.map(|family| who_serves(&mut client, family, libc::SOCK_DGRAM));
    assert_eq!(first, again);
}

#[test]
fn affinity_ends_with_its_timeout_and_is_renewed_by_use() {
    const TIMEOUT: Duration = Duration::from_secs(2);
    let site = Fixture::new(&services("tcp", &[1, 2, 3], "2s"), &[]);
    let mut client = site.client();
    let mut dial = || {
        let before = site.agent.counter("resumed");
        who_serves_once(&mut client, Family::Ipv4, libc::SOCK_STREAM);
        (Instant::now(), site.agent.counter("resumed") > before)
    };
    let (first, _) = dial();
    // Used every half second, for longer than the timeout; the kernel counts whole seconds.
    let mut last = first;
    while first.elapsed() < TIMEOUT + Duration::from_secs(1) {
        thread::sleep(Duration::from_millis(500));
        let idle = last.elapsed();
        let (now, is_resumed) = dial();
        // On a machine that stood still meanwhile there is nothing to see.
        assert!(is_resumed || idle > TIMEOUT, "idle for {idle:?}");
        last = now;
    }
    // It may last a second longer.
    thread::sleep(TIMEOUT + Duration::from_millis(1_100));
    let (_, is_resumed) = dial();
    assert!(!is_resumed, "after its timeout the client should have been given any backend");
}

#[test]
fn another_network_namespace_is_another_client() {
    let site = Fixture::new(&services("tcp", &[1, 2, 3], "3h"), &[]);
    let mut here = site.client();
    let mut there = Scripter::start(site.place_on("replicas")).expect("a client");
    for client in [&mut here, &mut there] {
        who_serves(client, Family::Ipv4, libc::SOCK_STREAM);
    }
    let entries = bpftool::dump(&site.map("AFFINITY")).expect("the map");
    let clients: BTreeSet<_> =
        entries.iter().map(|entry| entry["key"]["client"].to_string()).collect();
    assert_eq!((entries.len(), clients.len()), (2, 2), "{entries:?}");
}

/// The one replica that answers many fresh sockets.
fn who_serves(client: &mut Scripter, family: Family, kind: i32) -> String {
    let all: BTreeSet<_> = (0..DIALS).map(|_| who_serves_once(client, family, kind)).collect();
    assert_eq!(all.len(), 1, "{family:?}: not always the same replica: {all:?}");
    all.into_iter().next().expect("one")
}

fn who_serves_once(client: &mut Scripter, family: Family, kind: i32) -> String {
    let address = spot().seen_by(family);
    let mut script = vec![Step::Socket(family.socket(kind))];
    if kind == libc::SOCK_DGRAM {
        script.push(Step::SendTo(address, 0, "who?".to_owned()));
    } else {
        script.push(Step::Connect(address));
    }
    script.push(Step::Receive);
    let replies = client.run(&script).expect("replies");
    let Some(Outcome::Received(text, _)) = replies.last().map(|reply| &reply.outcome) else {
        panic!("{family:?}: {replies:?}");
    };
    answerer(text).unwrap_or_else(|| panic!("{text:?}")).to_owned()
}

fn is_usable(backend: &Value) -> bool {
    backend["usable"] == true
}
