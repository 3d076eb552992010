//! Two replicas of `redirector clusters` in each cluster: one leads, and its death is no silence.

use std::{
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    fleet::{Fleet, Setup},
    size::sized,
    wait::wait_within,
};

use super::joined::{joined, wait_for_backends};

/// The Lease by which they are elected.
const LEASE: &str = "redirector-clusters";

#[test]
fn when_a_leader_dies_the_other_replica_goes_on_and_nobody_is_silent() {
    let setup = Setup { clusters: 2, divisor: sized(1, 4), ..Setup::default() };
    let mut fleet = joined(&setup, &[]);
    let divisor = setup.divisor.to_string();
    let arguments = ["--divide-timeouts", &divisor].map(str::to_owned);
    for name in ["east", "west"] {
        fleet.member_mut(name).control(&arguments).expect("a second replica");
    }
    // It has to know what there is before it can say it.
    thread::sleep(Duration::from_secs(sized(2, 1)));
    for name in ["west", "east"] {
        let leader = leader(&fleet, name);
        fleet.member_mut(name).controllers[leader].kill();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(sized(20, 3)) {
            let phase = fleet.member("east").phase("west");
            assert_eq!(phase.as_deref(), Some("Live"), "{name}\n{}", fleet.context());
            thread::sleep(Duration::from_millis(5));
        }
        let is_other = || self::leader(&fleet, name) != leader;
        let longest = Duration::from_secs(20);
        wait_within(longest, "the other one leads", is_other, || fleet.context());
        let took = begun.elapsed();
        fleet.member("west").put_slices("web", &[(1, true)]);
        wait_for_backends(&fleet, 6);
        fleet.member("west").put_slices("web", &[(1, true), (2, true)]);
        wait_for_backends(&fleet, 8);
        println!("{name}: replica {leader} led, another one within {took:?}, west was Live always");
        fleet.member_mut(name).controllers[leader].restart().expect("it starts");
    }
}

/// Which replica leads, by its number.
fn leader(fleet: &Fleet, name: &str) -> usize {
    let lease = fleet.member(name).api.get("leases", "redirector-clusters", LEASE);
    let lease = lease.unwrap_or_default();
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
    let number = holder.rsplit("redirector-clusters-").next().unwrap_or_default();
    // After the pod's name there may be more.
    usize::from(number.starts_with('1'))
}
