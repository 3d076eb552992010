//! A client whose own network swallows its packets harms nobody but itself.

use std::time::{Duration, Instant};

use redirector_tests::{
    dialer::{Dial, Line, Load},
    size::sized,
};

use crate::passive::stage::{Stage, accepted, tcp, wait_until};

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
    let (stage, _replica) = Stage::hostile("drop", POLICY);
    wait_until("probes were answered", || accepted(&stage.lab, "n2") >= 2);
    let load =
        |rate, threads| Load { dial: tcp(1), rate, threads, duration_ms: None, every: false };
    let good = stage.client("good").load(load(200, 8)).expect("a load");
    let begin = Instant::now();
    let impatient = Dial { timeout_ms: 2_000, ..tcp(1) };
    let hostile = Load { dial: impatient, ..load(10_000, AT_ONCE) };
    let hostile = stage.client_on("n3", "hostile").load(hostile).expect("a load");

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
    let log = stage.agent.log();
    println!(
        "{failures} failed connects in {took:.1?}; the other client: {} of {} failed, the longest \
         took {} ms",
        sums.failed,
        sums.dials,
        sums.slowest_us / 1_000
    );
    assert!(stage.counter("avoid_begun") > 0, "nothing was seen: the test is blind");
    assert!(log.contains("a client cannot reach it"), "it is reported");
    assert_eq!((stage.counter("ejected"), log.matches(" ejected ").count()), (0, 0));
    assert_eq!(sums.failed, 0, "{lines:?}");
    assert!(sums.dials > sized(1_000, 200), "{}", sums.dials);
}
