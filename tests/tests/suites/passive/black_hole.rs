//! Backends that swallow what is sent to them.

use std::time::Duration;

use redirector_tests::{
    dialer::{Load, LoadRun, Second},
    size::sized,
    wait::wait_until,
};

use super::fixture::{REPLICA, backend, failed, service, site, start, tcp};
use crate::common::counter;

const DEFAULT: &str = "probe: {interval: 500ms, timeout: 300ms}, \
                       passive: {refused: 3, timeouts: 5, baseEjection: 1s, maxEjection: 2s}";
const SHORT: &str = "probe: off, connectTimeout: 300ms";
/// Real time without any connect to what is ejected, and how much of it CI takes.
const QUIET: Duration = Duration::from_mins(1);
const SHORT_QUIET: Duration = Duration::from_secs(12);

#[test]
fn a_connect_is_bounded_and_nothing_goes_to_what_is_ejected_until_a_probe_succeeds() {
    let site = site(&["n1", "n2", "n3"]).with_replicas(&["n2", "n3"], REPLICA);
    let backends = [backend(2, REPLICA), backend(3, REPLICA)];
    let site = start(site, &service("default", 1, &backends, DEFAULT));
    let mut client = site.client_in("n1", "client");
    // Else its death would not be believed: somebody may be in the way of probes.
    wait_until("it has answered a probe", || site.accepted("n2") >= 2);
    assert!(failed(&client.dial(tcp(1), 50).expect("dials")).is_empty());

    site.agent.freeze().expect("a frozen agent");
    site.lab.node("n2").swallow(REPLICA).expect("a black hole");
    let mut failures = 0;
    while counter(&site, "avoid_begun") == 0 {
        let dialled = client.dial(tcp(1), 1).expect("a dial");
        let slowest = dialled[0].connect_us;
        assert!(slowest < 1_250_000, "{slowest} µs");
        failures += failed(&dialled).len();
        assert!(failures <= 5, "not avoided after {failures} failures");
    }
    println!("black hole: avoided after {failures} failed connects of at most 1.25 s");

    // The agent is back in time, and its probes fail.
    site.agent.thaw().expect("an agent that goes on");
    wait_until("its probe has failed", || site.agent.log().contains(" ejected "));
    let quiet = sized(QUIET, SHORT_QUIET);
    let duration_ms = Some(quiet.as_millis() as u64);
    let load = Load { duration_ms, ..Load::new(tcp(1), 100) };
    let (_, sums) =
        site.client_in("n1", "load").load(load).and_then(LoadRun::wait).expect("a load");
    let Second { dials, failed, by, slowest_us, .. } = sums;
    assert_eq!((failed, by.get("n2")), (0, None), "{by:?}");
    assert!(u128::from(dials) > quiet.as_millis() / 12, "{dials} dials");
    println!("{dials} dials in {quiet:?}, 0 to the black hole, the longest {slowest_us} µs");

    site.lab.node("n2").answer_again().expect("no black hole");
    wait_until("the probe re-admits it", || {
        let dialled = client.dial(tcp(1), 10).expect("dials");
        dialled.iter().any(|one| one.outcome.as_deref() == Ok("n2"))
    });
}

#[test]
fn a_shorter_limit_bounds_a_connect_to_half_a_second() {
    let site = site(&["n1", "n2"]);
    site.lab.node("n2").swallow(REPLICA).expect("a black hole");
    let site = start(site, &service("short", 1, &[backend(2, REPLICA)], SHORT));
    let dialled = site.client_in("n1", "client").dial(tcp(1), 4).expect("dials");
    assert_eq!(failed(&dialled).len(), 4);
    let slowest = dialled.iter().map(|one| one.connect_us).max().expect("dials");
    println!("connectTimeout 300ms: the longest connect took {slowest} µs");
    assert!(slowest < 500_000, "{slowest} µs");
    assert!(dialled.iter().all(|one| one.connect_us > 290_000), "{dialled:?}");
}
