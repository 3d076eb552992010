//! How a tier that was down gets its traffic back: after the hold-down, by the ramp, or when an
//! operator says so; and one that flaps, not at all.

use std::{
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    dialer::{Dialled, now_us},
    fixture::Fixture,
    wait::{wait_until, wait_until_or},
    zones::{Group, answers},
};

const NAME: &str = "loads/returning";
const ADDRESS: &str = "10.96.0.10:80";
const SECOND_US: u64 = 1_000_000;
/// The first tier's replicas.
const NEAR: usize = 0;

#[test]
fn a_tier_waits_for_its_hold_down_and_then_its_share_grows_by_the_ramp() {
    const HOLD_DOWN: u64 = SECOND_US;
    const RAMP: u64 = 6 * SECOND_US;
    // Of a ramp so short a step is 5 points.
    const STEP: u64 = RAMP / 20;
    let mut zones = zones("{holdDown: 1s, ramp: 6s}");
    fail_over(&mut zones);
    let load = zones.load(ADDRESS, 2_000);
    let returned = now_us();
    zones.replicas[NEAR].restart().expect("the replica");
    wait_for(&zones, &[100, 0]);
    let complete = now_us();
    thread::sleep(Duration::from_secs(1));
    let dialled = load.dialled().expect("the end of a load");

    let is_near = |dialled: &&Dialled| dialled.outcome.as_deref() == Ok("a");
    let first = dialled.iter().find(is_near).expect("it has got its traffic back").at_us;
    let waited = first - returned;
    println!("the first connect came {waited} µs after the return");
    assert!((HOLD_DOWN..HOLD_DOWN + 2 * SECOND_US).contains(&waited), "{waited} µs");
    let mut before = 0.0;
    for second in 0..RAMP / SECOND_US {
        let from = first + second * SECOND_US;
        let now = dialled.iter().filter(|one| (from..from + SECOND_US).contains(&one.at_us));
        let (all, near) = (now.clone().count(), now.clone().filter(is_near).count());
        let share = 100.0 * near as f64 / all as f64;
        // The first step has just been taken when the first connect comes.
        let due = now.map(|one| (5 * ((one.at_us - first) / STEP + 1)).min(100)).sum::<u64>();
        let due = due as f64 / all as f64;
        println!("second {}: {near} of {all}, {share:.1} %, due are {due:.1} %", second + 1);
        assert!((share - due).abs() <= 5.0, "{share} %, not {due} %");
        assert!(share >= before - 5.0, "{share} % after {before} %");
        before = share;
    }
    let rest: Vec<_> = dialled.into_iter().filter(|one| one.at_us > complete).collect();
    assert_eq!(names(&rest), ["a"], "its full share");
    zones.agent.finish().expect("the agent");
}

#[test]
fn nothing_returns_by_itself_where_an_operator_decides() {
    let mut zones = zones("{mode: Manual}");
    fail_over(&mut zones);
    zones.replicas[NEAR].restart().expect("the replica");
    wait_until("it is re-admitted", || zones.agent.logged("re-admitted") == 2);

    assert_eq!(names(&zones.dial(ADDRESS, 20_000)), ["b"]);
    zones.agent.answer("failback", &[NAME]);
    assert_eq!(names(&zones.dial(ADDRESS, 2_000)), ["a"]);
    zones.agent.finish().expect("the agent");
}

#[test]
fn a_tier_that_flaps_fails_over_once() {
    const FLAPS: usize = 4;
    let mut zones = zones("{holdDown: 3s, ramp: 0s}");
    zones.wait_for_probes();
    let load = zones.load(ADDRESS, 500);
    let start = Instant::now();
    for flap in 0..FLAPS {
        zones.replicas[NEAR].kill();
        sleep_until(start + Duration::from_secs(2 * flap as u64 + 1));
        zones.replicas[NEAR].restart().expect("the replica");
        sleep_until(start + Duration::from_secs(2 * flap as u64 + 2));
    }
    let changes = (zones.agent.logged("failed over"), zones.agent.logged("failed back"));
    let dialled = load.dialled().expect("the end of a load");
    let is_far = |dialled: &Dialled| dialled.outcome.as_deref() == Ok("b");
    let first = dialled.iter().position(is_far).expect("the second tier has got the traffic");
    let (before, after) = dialled.split_at(first);

    println!(
        "{FLAPS} flaps in {:.1?}: {} fail-overs, {} fail-backs; {} of {} connects failed, all in \
         the first {:.0?}",
        start.elapsed(),
        changes.0,
        changes.1,
        before.iter().filter(|one| one.outcome.is_err()).count(),
        dialled.len(),
        Duration::from_micros(after[0].at_us - before[0].at_us),
    );
    assert_eq!(changes, (1, 0), "fail-overs and fail-backs");
    assert_eq!(names(after), ["b"]);
    wait_for(&zones, &[100, 0]);
    assert_eq!(zones.agent.logged("failed back"), 1, "once it has stayed");
    zones.agent.finish().expect("the agent");
}

/// Two tiers; the first one's fail-back as given.
fn zones(failback: &str) -> Fixture {
    let groups = [Group::new("a", 8001..=8002), Group::new("b", 8001..=8002)];
    let backends: String = groups.iter().map(Group::backends).collect();
    let service = format!(
        "- name: {NAME}\n  frontends: ['{ADDRESS}/tcp']\n  policy:\n    \
         tiers: [{{name: near, zones: [a]}}, {{name: far, zones: [b]}}]\n    \
         failback: {failback}\n    \
         probe: {{tcp: {{}}, interval: 100ms, timeout: 100ms, unhealthy: 2, healthy: 1}}\n  \
         backends:\n{backends}"
    );
    Fixture::of_zones(&groups, &service)
}

fn fail_over(zones: &mut Fixture) {
    zones.wait_for_probes();
    zones.replicas[NEAR].kill();
    wait_for(zones, &[0, 100]);
}

fn wait_for(zones: &Fixture, loads: &[u64]) {
    let what = format!("the loads are {loads:?}");
    wait_until_or(&what, || zones.loads(NAME) == loads, || zones.agent.log());
}

/// Who answered. Nobody may have failed.
fn names(dialled: &[Dialled]) -> Vec<&str> {
    answers(dialled).into_keys().collect()
}

fn sleep_until(when: Instant) {
    thread::sleep(when.saturating_duration_since(Instant::now()));
}
