//! Most backends down, and all of them.

use redirector_tests::{dialer::Failure, replica::Replica, wait::wait_until};

use super::fixture::{REPLICA, backend, failed, service, site, start, tcp};
use crate::common::counter;

const BACKENDS: u16 = 64;
const DEAD: u16 = 60;
/// Dead replicas are ejected by their probes.
const PROBED: &str =
    "probe: {interval: 300ms, timeout: 200ms, unhealthy: 1}, passive: {refused: 0, timeouts: 0}";
const REFUSED: &str = "probe: off, passive: {refused: 2, timeouts: 5, baseEjection: 300s}";

#[test]
fn a_client_that_avoids_sixty_of_sixty_four_is_served_by_the_others() {
    let site = site(&["n1", "n2"]);
    let node = site.lab.node("n2");
    let ports = REPLICA..REPLICA + BACKENDS;
    let alive: Vec<_> = ports.clone().skip(DEAD.into()).map(|port| node.socket4(port)).collect();
    let _alive = Replica::start(node.netns(), "alive", &alive).expect("a replica");
    let backends: Vec<_> = ports.map(|port| backend(2, port)).collect();
    let site = start(site, &service("many", 1, &backends, REFUSED));
    site.agent.freeze().expect("a frozen agent");
    let mut client = site.client_in("n1", "client");
    let mut failures = 0;
    for _ in 0..40 {
        failures += failed(&client.dial(tcp(1), 50).expect("dials")).len() as u64;
    }
    // Two each to the limit; what is tried again later fails once each. Now and then (4 of 60 runs) both
    // places of a backend are taken by others' that this client avoids: each failure of that one counts.
    let counted = || (counter(&site, "avoid_begun"), counter(&site, "avoid_full"));
    let (begun, full) = counted();
    println!(
        "{failures} of 2000 failed: {begun} times one of {DEAD} dead of {BACKENDS} was avoided, {full} \
         failures had no place"
    );
    assert!(begun >= u64::from(DEAD) - 2, "{begun}");
    assert!(failures <= u64::from(DEAD) + begun + full, "{failures} failed connects");
    let dialled = client.dial(tcp(1), 200).expect("dials");
    let (begun_then, full_then) = counted();
    let (tries, without) = (begun_then - begun, full_then - full);
    let failed = failed(&dialled);
    assert!(failed.len() as u64 <= tries + without + u64::from(DEAD), "{:?}", failed[0]);
    // None is tried twice: else nearly all of them would fail.
    assert!(failed.len() as u64 <= u64::from(DEAD) + without, "{} of 200", failed.len());
    site.agent.thaw().expect("an agent that goes on");
}

#[test]
fn each_policy_does_its_thing_when_all_are_down() {
    let site = site(&["n1", "n2"]);
    let node = site.lab.node("n2");
    let netns = node.netns().clone();
    let addresses = [1, 2, 3].map(|number| node.socket4(REPLICA + number));
    let mut replica = Replica::start(&netns, "all", &addresses).expect("a replica");
    let policies = ["Panic", "Refuse", "PassThrough"];
    let services: String = (1..)
        .zip(policies)
        .map(|(number, policy)| {
            let backends = [backend(2, REPLICA + u16::from(number))];
            service(policy, number, &backends, &format!("{PROBED}, allDown: {policy}"))
        })
        .collect();
    let site = start(site, &services);
    wait_until("they have answered probes", || site.accepted("n2") >= 9);
    replica.kill();
    let ejections = || site.agent.log().matches(" ejected ").count();
    wait_until("probes have ejected all three", || ejections() >= 3);
    site.agent.freeze().expect("a frozen agent");
    let mut client = site.client_in("n1", "client");

    let errno = |failure: &Result<String, Failure>| failure.as_ref().err().and_then(|f| f.errno);
    let panic = client.dial(tcp(1), 1).expect("a dial");
    assert_eq!(errno(&panic[0].outcome), Some(libc::ECONNREFUSED));
    assert_eq!(counter(&site, "all_down_panic"), 1, "it was asked all the same");
    let _back = Replica::start(&netns, "back", &[addresses[0]]).expect("a replica");
    let panic = client.dial(tcp(1), 1).expect("a dial");
    assert_eq!(panic[0].outcome.as_deref(), Ok("back"));

    let mut refused = client.dial(tcp(2), 101).expect("dials");
    assert!(refused.iter().all(|one| errno(&one.outcome) == Some(libc::ECONNREFUSED)));
    assert_eq!(counter(&site, "all_down_refused"), 101, "by the kernel, not by a replica");
    refused.sort_by_key(|one| one.connect_us);
    let (median, longest) = (refused[50].connect_us, refused[100].connect_us);
    println!("a refusal takes {median} µs, at most {longest} µs");
    assert!(median < 1_000, "{median} µs");

    let passed = client.dial(tcp(3), 1).expect("a dial");
    // Nobody else serves the address here, and there is no way to it.
    assert_eq!(errno(&passed[0].outcome), Some(libc::ENETUNREACH));
    assert_eq!(counter(&site, "all_down_passed"), 1);
    site.agent.thaw().expect("an agent that goes on");
}
