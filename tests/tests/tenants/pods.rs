//! Two pods whom the network denies a backend, and who merely try again: several witnesses.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use redirector_tests::{
    dialer::Second,
    tenant::{Attempt, Tenant},
    wait::wait_until,
};

use crate::{
    stage::{AgentIs, PORT, PROBED, REJECT, Stage, TIERS, backend, frontends, near, service, west},
    watch::{Victim, Watch, dial_many},
};

const SERVICE: u16 = 1;
/// Of the victim in each family, without and with the attack; the latter at least.
const DIALS: u32 = 10_000;
/// How many dials of them are made before the attack is asked for its end.
const PART: u32 = 1_000;
/// Of the denied backend's share, in percent points.
const MOST_MOVED: f64 = 1.0;
/// An ejection that a probe contradicts; 50 ms and a round trip are meant, on an idle machine.
const LONGEST: Duration = Duration::from_millis(500);
/// A minute and backend, of those.
const MOST_EJECTIONS: usize = 3;
const PODS: [&str; 2] = ["pod1", "pod2"];
/// In each pod: an application that is restarted comes back in a new cgroup.
const CGROUPS: usize = 8;
/// So long an ejection may last while there is no agent, and a trial after it.
const LONGEST_ALONE: Duration = Duration::from_millis(2_000 + 1_000);

/// Both pods, ready to dial; `PORT` of the node near is denied to them.
fn denied_pods(stage: &Stage, times: u32, pause: u64) -> Vec<(Tenant, Attempt)> {
    let one = |pod: &str| {
        stage.deny(pod, "near", &[PORT], REJECT);
        let cgroups: Vec<_> =
            (0..CGROUPS).map(|number| stage.cgroup(&format!("{pod}/{number}"))).collect();
        let attempt = Attempt {
            timeout_ms: 500,
            ..Attempt::new(&frontends([SERVICE]), times).every(pause).from(&cgroups)
        };
        (stage.tenant(pod, &format!("{pod}/0")), attempt)
    };
    PODS.map(one).into()
}

fn begin(pods: Vec<(Tenant, Attempt)>) -> Vec<Tenant> {
    let begin = |(mut tenant, attempt): (Tenant, Attempt)| {
        tenant.begin(attempt).expect("an application");
        tenant
    };
    pods.into_iter().map(begin).collect()
}

fn failed(pods: Vec<Tenant>) -> u32 {
    pods.into_iter().map(|mut pod| pod.end().expect("its end").failed()).sum()
}

/// Percent of all answers.
fn shares(sums: &Second) -> BTreeMap<&str, f64> {
    let all: u64 = sums.by.values().sum();
    sums.by
        .iter()
        .map(|(name, times)| (name.as_str(), 100.0 * *times as f64 / all as f64))
        .collect()
}

/// At least as many dials as without, and on until the attack is over.
fn dial_during(stage: &Stage, is_over: &AtomicBool) -> Second {
    let mut total = Second::default();
    while total.dials < u64::from(2 * DIALS) || !is_over.load(Ordering::Relaxed) {
        let part = dial_many(stage, SERVICE, PART);
        total.dials += part.dials;
        total.failed += part.failed;
        for (name, times) in part.by {
            *total.by.entry(name).or_default() += times;
        }
    }
    total
}

#[test]
fn two_denied_pods_leave_the_shares_of_a_third_as_they_are() {
    let heavy = backend("near", PORT, "node: near, zone: a, region: eu, cluster: home, weight: 9");
    let replicas = [("near", PORT), ("near", PORT + 1), ("west", PORT)];
    let policy = format!("{TIERS}, {PROBED}");
    let services = service(SERVICE, &policy, &[heavy, near(PORT + 1), west(PORT)]);
    let stage = Stage::new(&replicas, &services);
    stage.wait_for_probes(&[SERVICE]);

    let without = dial_many(&stage, SERVICE, DIALS);
    let pods = denied_pods(&stage, 250, 10);
    let watch = Watch::start(&stage);
    let is_over = AtomicBool::new(false);
    let (with, denied) = thread::scope(|scope| {
        let victim = scope.spawn(|| dial_during(&stage, &is_over));
        let denied = failed(begin(pods));
        is_over.store(true, Ordering::Relaxed);
        (victim.join().expect("the victim"), denied)
    });
    let mut ejections = watch.end();
    ejections.sort_by_key(|(_, lasted)| *lasted);
    let longest = ejections.last().map_or(Duration::ZERO, |(_, lasted)| *lasted);
    let contradicted = stage.transitions("contradicted");
    println!(
        "{denied} connects of denied pods failed: shares {:?} without, {:?} with; {} ejections, p99 \
         {longest:?}; {contradicted} contradicted",
        shares(&without),
        shares(&with),
        ejections.len()
    );

    assert!(denied >= 12, "the attack is none: {denied}");
    assert_eq!((without.failed, with.failed), (0, 0), "{with:?}");
    let (before, after) = (shares(&without), shares(&with));
    for name in before.keys().chain(after.keys()) {
        let share = |of: &BTreeMap<&str, f64>| of.get(name).copied().unwrap_or(0.0);
        let moved = (share(&before) - share(&after)).abs();
        assert!(moved <= MOST_MOVED, "{name} by {moved:.2} points");
    }
    assert!(longest <= LONGEST, "{ejections:?}");
    for (backend, _) in &ejections {
        let times = ejections.iter().filter(|(other, _)| other == backend).count();
        assert!(times <= MOST_EJECTIONS, "{backend} {times} times");
    }
    assert!(contradicted > 0, "what a probe contradicts is counted");
    let log = stage.agent.log();
    assert!(!log.contains("failed over") && !log.contains("reset the connections"), "{log}");
    stage.assert_no_hold(SERVICE);
}

#[test]
fn without_an_agent_two_pods_eject_for_a_bounded_time_and_an_answer_readmits() {
    let replicas = [("near", PORT), ("near", PORT + 1)];
    let passive = "passive: {refused: 3, timeouts: 5, baseEjection: 1s, maxEjection: 2s}";
    let policy = format!("allDown: Refuse, {passive}, {PROBED}");
    let services = service(SERVICE, &policy, &[near(PORT), near(PORT + 1)]);
    let mut stage = Stage::new(&replicas, &services);
    stage.wait_for_probes(&[SERVICE]);
    stage.let_agent_be(AgentIs::Killed);

    let pods = denied_pods(&stage, 100, 10);
    let watch = Watch::start(&stage);
    let victim = Victim::start(&stage, SERVICE, 100);
    let denied = failed(begin(pods));
    wait_until("the backend is back", || stage.objections().is_empty());
    let after = dial_many(&stage, SERVICE, 200);
    let ejections = watch.end();
    let sums = victim.end();
    println!(
        "{denied} failed, no agent: {ejections:?}; the victim: {} of {}",
        sums.failed, sums.dials
    );

    assert_eq!((sums.failed, after.failed), (0, 0), "the service was never down: {:?}", sums.by);
    assert!(!ejections.is_empty(), "nobody else would keep others from a dead backend");
    let is_bounded = |(_, lasted): &(String, Duration)| *lasted <= LONGEST_ALONE;
    assert!(ejections.iter().all(is_bounded), "{ejections:?}");
    let back = after.by.get("near").copied().unwrap_or(0);
    assert!(back >= 100, "{back} of 400");
}
