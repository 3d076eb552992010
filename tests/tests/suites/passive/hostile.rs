//! A client whose own network swallows its packets harms nobody but itself.

use std::time::{Duration, Instant};

use redirector_tests::{
    dialer::{Dial, Line, Load},
    size::sized,
    wait::wait_until,
};

use super::fixture::{hostile, tcp};
use crate::common::counter;

/// A connect that is swallowed takes 300 ms.
const POLICY: &str = "connectTimeout: 300ms, probe: {interval: 1s, timeout: 500ms}";
/// Failed connects of the hostile client, and how many of them CI waits for.
const FAILURES: u64 = 100_000;
const FEW_FAILURES: u64 = 20_000;
/// Connects that it has under way at any moment.
const AT_ONCE: u32 = 1_500;
/// However busy the machine is.
const LONGEST: Duration = Duration::from_secs(110);

#[test]
fn a_client_in_a_network_that_swallows_everything_ejects_nothing() {
    let site = hostile("drop", POLICY);
    wait_until("probes were answered", || site.accepted("n2") >= 2);
    let load = |dial, rate, threads| Load { threads, ..Load::new(dial, rate) };
    let good = site.client_in("n1", "good").load(load(tcp(1), 200, 8)).expect("a load");
    let begin = Instant::now();
    let impatient = Dial { timeout_ms: 2_000, ..tcp(1) };
    let hostile = load(impatient, 10_000, AT_ONCE);
    let hostile = site.client_in("n3", "hostile").load(hostile).expect("a load");

    let mut failures = 0;
    while failures < sized(FAILURES, FEW_FAILURES) {
        let left = LONGEST.saturating_sub(begin.elapsed());
        match hostile.lines.recv_timeout(left).expect("100,000 failures in time") {
            Line::Second(second) => {
                let answered = second.dials - second.failed;
                assert_eq!(answered, 0, "its own network let something through");
                failures += second.failed;
            }
            Line::Dialled(_) | Line::Ended(_) => {}
        }
    }
    let took = begin.elapsed();
    hostile.stop().expect("its end");
    let (lines, sums) = good.stop().expect("its end");
    let log = site.agent.log();
    println!(
        "{failures} failed connects in {took:.1?}; the other client: {} of {} failed, the longest \
         took {} ms",
        sums.failed,
        sums.dials,
        sums.slowest_us / 1_000
    );
    assert!(counter(&site, "avoid_begun") > 0, "nothing was seen: the test is blind");
    assert!(log.contains("a client cannot reach it"), "it is reported");
    assert_eq!((counter(&site, "ejected"), log.matches(" ejected ").count()), (0, 0));
    assert_eq!(sums.failed, 0, "{lines:?}");
    assert!(sums.dials > sized(1_000, 200), "{}", sums.dials);
}
