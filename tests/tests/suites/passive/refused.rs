//! Backends that refuse.

use redirector_tests::{fixture::Fixture, wait::wait_until};

use super::fixture::{REPLICA, backend, failed, service, site, start, tcp};
use crate::common::counter;

const LIMIT: usize = 3;
/// Asked by urgent questions alone for as long as a test takes.
const PROBED: &str = "probe: {interval: 60s, timeout: 300ms}, passive: {refused: 3}";
const POLICY: &str = "probe: off, passive: {refused: 3, timeouts: 5, baseEjection: 300s}";

/// Whose replica on `n3` is alive and that on `n2` is not, through three services.
fn half_dead(policy: &str) -> Fixture {
    let site = site(&["n1", "n2", "n3"]).with_replica("n3", "alive", REPLICA);
    let backends = [backend(2, REPLICA), backend(3, REPLICA)];
    let services: String =
        [1, 2, 3].map(|number| service(&format!("s{number}"), number, &backends, policy)).concat();
    start(site, &services)
}

#[test]
fn three_refusals_move_the_client_that_met_them_through_all_services() {
    let site = half_dead(POLICY);
    site.agent.freeze().expect("a frozen agent");
    // Of one network, so that they are one witness; each learns for itself.
    for name in ["first", "second"] {
        let begun = counter(&site, "avoid_begun");
        let mut client = site.client_in("n1", name);
        let mut seen = 0;
        for _ in 0..20 {
            seen += failed(&client.dial(tcp(1), 20).expect("dials")).len();
            if counter(&site, "avoid_begun") > begun {
                break;
            }
        }
        assert_eq!(seen, LIMIT, "exactly so many connects of {name} meet the dead replica");
        let mut later = 0;
        for number in [1, 2, 3] {
            let dialled = client.dial(tcp(number), 200).expect("dials");
            later += failed(&dialled).len();
        }
        let tries = (counter(&site, "avoid_begun") - begun) as usize - 1;
        println!("refused: {seen} failed connects of {name}, then {later} of 600, {tries} tries");
        assert!(later <= tries, "{later} failures, {tries} tries");
    }
    assert_eq!(counter(&site, "ejected"), 0, "one network is one witness");
    site.agent.thaw().expect("an agent that goes on");
}

#[test]
fn two_networks_eject_for_everybody_while_the_agent_stands_still() {
    let site = half_dead(POLICY);
    site.agent.freeze().expect("a frozen agent");
    let mut witnesses = [site.client_in("n1", "one"), site.client_in("n3", "other")];
    let mut seen = 0;
    for _ in 0..20 {
        for witness in &mut witnesses {
            seen += failed(&witness.dial(tcp(1), 10).expect("dials")).len();
        }
        if counter(&site, "ejected") > 0 {
            break;
        }
    }
    assert_eq!((counter(&site, "ejected"), seen), (1, 2 * LIMIT));
    let mut later = 0;
    for number in [1, 2, 3] {
        let mut client = site.client_in("n1", &format!("later{number}"));
        let dialled = client.dial(tcp(number), 3_400).expect("dials");
        assert!(failed(&dialled).is_empty(), "{:?}", failed(&dialled)[0]);
        later += dialled.len();
    }
    println!("refused: {seen} failed connects of two networks, then 0 of {later}");
    site.agent.thaw().expect("an agent that goes on");
}

#[test]
fn a_probe_that_fails_too_makes_it_everybodys() {
    let site = site(&["n1", "n2", "n3"]).with_replicas(&["n2", "n3"], REPLICA);
    let backends = [backend(2, REPLICA), backend(3, REPLICA)];
    let mut site = start(site, &service("two", 1, &backends, PROBED));
    wait_until("it has answered a probe", || site.accepted("n2") >= 1);
    site.replicas[0].kill();
    let mut client = site.client_in("n1", "client");
    let mut seen = 0;
    for _ in 0..40 {
        seen += failed(&client.dial(tcp(1), 5).expect("dials")).len();
        if seen >= LIMIT {
            break;
        }
    }
    assert_eq!(seen, LIMIT);
    wait_until("the agent has said so", || site.agent.log().contains(" ejected "));
    let dialled = site.client_in("n1", "later").dial(tcp(1), 1_000).expect("dials");
    assert!(failed(&dialled).is_empty(), "{:?}", failed(&dialled)[0]);
}

#[test]
fn a_success_between_failures_begins_the_count_again() {
    let site = site(&["n1", "n2"]).with_replica("n2", "flaky", REPLICA);
    let mut site = start(site, &service("one", 1, &[backend(2, REPLICA)], POLICY));
    site.agent.freeze().expect("a frozen agent");
    let mut client = site.client_in("n1", "client");
    for _ in 0..3 {
        site.replicas[0].kill();
        assert_eq!(failed(&client.dial(tcp(1), 2).expect("dials")).len(), 2);
        site.replicas[0].restart().expect("the replica");
        assert!(failed(&client.dial(tcp(1), 1).expect("dials")).is_empty());
    }
    assert_eq!(counter(&site, "ejected"), 0);
    assert_eq!(counter(&site, "connect_failed"), 6);
    site.agent.thaw().expect("an agent that goes on");
}
