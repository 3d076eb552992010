//! A replica whose process stands still: the kernel accepts its connections, and no process answers them.

use std::net::SocketAddr;

use redirector_tests::{
    dialer::{Client, Dial},
    fixture::Fixture,
    wait::wait_until,
};

use super::fixture::{REPLICA, failed, site, start};
use crate::common::counter;

/// Requests in a row without an answer after which a client goes elsewhere.
const LIMIT: usize = 5;
const POLICY: &str = "probe: off, passive: {baseEjection: 2s, maxEjection: 4s}";
/// By itself it ejects nothing as long as a test takes.
const HTTP: &str =
    "probe: {http: {path: /}, interval: 300ms, timeout: 300ms, unhealthy: 100, healthy: 1}";
/// For which a client waits.
const PATIENCE: u64 = 350;
const FRONTENDS: [&str; 2] = ["10.96.0.1:80", "[fd96::1]:80"];

/// A service of two replicas, on `n2` and `n3`, that have answered.
fn two_replicas(policy: &str) -> Fixture {
    let site = site(&["n1", "n2", "n3"]).with_replicas(&["n2", "n3"], REPLICA);
    let backends: String = ["n2", "n3"]
        .map(|name| {
            let node = site.lab.node(name);
            let (four, six) = (node.socket4(REPLICA), node.socket6(REPLICA));
            format!(
                "  - {{address: '{four}', node: {name}}}\n  - {{address: '{six}', node: {name}}}\n"
            )
        })
        .concat();
    let [four, six] = FRONTENDS;
    let service = format!(
        "- name: passive/hung\n  frontends: ['{four}/tcp', '{six}/tcp']\n  policy: {{{policy}}}\n  \
         backends:\n{backends}"
    );
    start(site, &service)
}

fn dial(family: usize) -> Dial {
    let address: SocketAddr = FRONTENDS[family].parse().expect("an address");
    Dial { timeout_ms: PATIENCE, ..Dial::tcp(address) }
}

/// Both have answered this client.
fn warm_up(client: &mut Client, family: usize) {
    let dialled = client.dial(dial(family), 30).expect("dials");
    assert!(failed(&dialled).is_empty(), "{:?}", failed(&dialled)[0]);
    let to_it = dialled.iter().filter(|one| one.outcome.as_deref() == Ok("n2")).count();
    assert!((1..30).contains(&to_it), "{to_it} of 30");
}

#[test]
fn a_client_goes_elsewhere_after_five_requests_without_an_answer_and_comes_back_with_one() {
    for family in [0, 1] {
        let site = two_replicas(POLICY);
        site.agent.freeze().expect("a frozen agent");
        let mut client = site.client_in("n1", "client");
        warm_up(&mut client, family);
        site.replicas[0].freeze().expect("a process that stands still");
        let mut seen = 0;
        for _ in 0..60 {
            seen += failed(&client.dial(dial(family), 1).expect("dials")).len();
            if counter(&site, "avoid_begun") > 0 {
                break;
            }
        }
        assert_eq!(seen, LIMIT, "exactly so many requests meet the replica that hangs");
        let dialled = client.dial(dial(family), 400).expect("dials");
        let tries = counter(&site, "avoid_begun") as usize - 1;
        let later = failed(&dialled).len();
        println!(
            "hung, to {}: {seen} failed, then {later} of 400, {tries} tries",
            FRONTENDS[family]
        );
        assert!(later <= tries + 1, "{later} failures, {tries} tries");
        assert_eq!(counter(&site, "ejected"), 0, "one network is one witness");
        site.replicas[0].thaw().expect("a process that goes on");
        wait_until("it is tried, and has its share again", || {
            let dialled = client.dial(dial(family), 40).expect("dials");
            dialled.iter().filter(|one| one.outcome.as_deref() == Ok("n2")).count() > 5
        });
        site.agent.thaw().expect("an agent that goes on");
    }
}

#[test]
fn two_networks_eject_it_and_a_probe_that_only_connects_does_not_bring_it_back() {
    let site = two_replicas(POLICY);
    let mut witnesses = [site.client_in("n1", "one"), site.client_in("n3", "other")];
    witnesses.iter_mut().for_each(|witness| warm_up(witness, 0));
    site.replicas[0].freeze().expect("a process that stands still");
    wait_until("both networks' word counts", || {
        for witness in &mut witnesses {
            witness.dial(dial(0), 1).expect("dials");
        }
        counter(&site, "ejected") > 0
    });
    wait_until("the agent believes them", || {
        site.agent.log().contains("requests were not answered; its probes ask no request")
    });
    let dialled = site.client_in("n1", "later").dial(dial(0), 300).expect("dials");
    assert!(failed(&dialled).is_empty(), "{:?}", failed(&dialled)[0]);
    let log = site.agent.log();
    assert!(!log.contains("a probe can") && !log.contains("re-admitted"), "{log}");
    wait_until("its time is over", || site.agent.log().contains("re-admitted"));
    site.replicas[0].thaw().expect("a process that goes on");
}

#[test]
fn where_a_probe_asks_a_request_its_silence_is_a_verdict_and_its_answer_ends_it() {
    let site = two_replicas(HTTP);
    wait_until("both have answered a probe", || {
        site.accepted("n2") >= 2 && site.accepted("n3") >= 2
    });
    let mut client = site.client_in("n1", "client");
    warm_up(&mut client, 0);
    site.replicas[0].freeze().expect("a process that stands still");
    let mut seen = 0;
    wait_until("one client's word and two probes' are enough", || {
        seen += failed(&client.dial(dial(0), 1).expect("dials")).len();
        site.agent.log().contains(" ejected ")
    });
    println!("hung, with an HTTP probe: {seen} failed before the verdict");
    assert!(seen <= LIMIT + 1, "{seen}:\n{}", site.agent.log());
    let dialled = site.client_in("n1", "later").dial(dial(0), 300).expect("dials");
    assert!(failed(&dialled).is_empty(), "{:?}", failed(&dialled)[0]);
    assert!(site.agent.log().contains("requests were not answered"), "{}", site.agent.log());
    site.replicas[0].thaw().expect("a process that goes on");
}
