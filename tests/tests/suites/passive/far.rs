//! A backend that is far away: its answers come, but not before the second SYN.

use std::thread;

use redirector_tests::{fixture::Fixture, wait::wait_until};

use super::fixture::{REPLICA, backend, failed, service, site, start, swallowed, tcp};
use crate::common::counter;

const POLICY: &str = "probe: off, passive: {refused: 3, timeouts: 5, baseEjection: 300s}";
/// How many connects are under way at once: twice what moves a client.
const AT_ONCE: usize = 10;

/// Dials at once, and loses what comes until `is_enough`: all of them succeed, late.
fn dial_late(site: &Fixture, at_once: usize, is_enough: impl Fn() -> bool) {
    let mut clients: Vec<_> =
        (0..at_once).map(|number| site.client_in("n1", &number.to_string())).collect();
    site.lab.node("n2").swallow(REPLICA).expect("a black hole");
    thread::scope(|scope| {
        let dials: Vec<_> = clients
            .iter_mut()
            .map(|client| scope.spawn(|| client.dial(tcp(1), 1).expect("a dial")))
            .collect();
        wait_until("enough SYNs are lost", is_enough);
        site.lab.node("n2").answer_again().expect("no black hole");
        for dial in dials {
            let dialled = dial.join().expect("a dialer");
            assert!(failed(&dialled).is_empty(), "{dialled:?}");
            assert!(dialled[0].connect_us > 200_000, "not late: {dialled:?}");
        }
    });
}

#[test]
fn a_backend_that_is_known_to_be_far_is_not_ejected_for_it() {
    let site = site(&["n1", "n2"]).with_replica("n2", "far", REPLICA);
    let site = start(site, &service("one", 1, &[backend(2, REPLICA)], POLICY));
    site.agent.freeze().expect("a frozen agent");

    let counted = || counter(&site, "connect_unanswered");
    let first_syns = |at_once| swallowed(&site.lab, "n2") >= at_once;

    dial_late(&site, 1, || first_syns(1));
    dial_late(&site, AT_ONCE, || first_syns(AT_ONCE as u64));
    assert_eq!(counted(), 1, "it is known to be far after the first");

    let mut near = site.client_in("n1", "near");
    // On a busy machine an answer may be late here too.
    wait_until("an answer in time", || {
        let near = near.dial(tcp(1), 1).expect("a dial");
        assert!(failed(&near).is_empty(), "{near:?}");
        near[0].connect_us < 100_000
    });
    let before = counted();
    dial_late(&site, AT_ONCE, || counted() >= before + AT_ONCE as u64);
    site.agent.thaw().expect("an agent that goes on");
}
