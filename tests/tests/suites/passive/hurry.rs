//! A few probes decide how a backend is: they follow each other sooner than probes do otherwise.

use std::time::Duration;

use redirector_tests::{replica::Replica, wait::wait_until};

use super::fixture::{REPLICA, backend, service, site, start};

/// Three in a row decide both ways. By the interval alone the second and the third take 4.5 s at
/// least, with its jitter of 10 %.
const PROBED: &str = "probe: {interval: 2500ms, fastInterval: 200ms, timeout: 200ms, unhealthy: 3, \
                      healthy: 3}, passive: {refused: 0, timeouts: 0, unresponsive: 0}";
/// An interval until the first one, two fast ones, and what a loaded machine takes.
const SOON: Duration = Duration::from_millis(4_200);

#[test]
fn three_failures_eject_and_three_successes_readmit_soon_after_the_first() {
    let site = site(&["n1", "n2"]);
    let node = site.lab.node("n2");
    let (netns, address) = (node.netns().clone(), node.socket4(REPLICA));
    let mut replica = Replica::start(&netns, "first", &[address]).expect("a replica");
    let site = start(site, &service("one", 1, &[backend(2, REPLICA)], PROBED));
    let says = |words: &str| site.agent.log().contains(words);
    wait_until("it has answered a probe", || site.accepted("n2") >= 1);
    replica.kill();
    let out = wait_until("three probes have failed", || says(" ejected "));
    let _back = Replica::start(&netns, "back", &[address]).expect("a replica");
    let back = wait_until("three probes have succeeded", || says("re-admitted"));
    println!("ejected {out:?} after its end, re-admitted {back:?} after its return");
    assert!(out < SOON, "ejected after {out:?}");
    assert!(back < SOON, "re-admitted after {back:?}");
}
