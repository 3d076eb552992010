//! Two pods whom the network denies a backend, and who merely try again: several witnesses.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    dialer::Second,
    tenant::{Attempt, Tenant},
    wait::wait_until,
};

use super::{
    fixture::{AgentIs, Fixture, REJECT},
    services::{PORT, PROBED, TIERS, backend, frontends, near, service, west},
    watch::{Victim, Watch, assert_served_by, dial_many},
};

const SERVICE: u16 = 1;
/// Of the victim in each family, without and under the attack.
const DIALS: u32 = 10_000;
/// Of the denied backend's share, in percent points.
const MOST_MOVED: f64 = 1.0;
/// An ejection that a probe contradicts; 50 ms and a round trip are meant, on an idle machine.
const LONGEST: Duration = Duration::from_millis(500);
/// A minute and backend, of those.
const MOST_EJECTIONS: usize = 3;
const PODS: [&str; 2] = ["pod1", "pod2"];
/// In each pod: an application that is restarted comes back in a new cgroup.
const CGROUPS: usize = 8;
/// A pod's connects in each family before it is asked how they ended, milliseconds between two, and
/// how often it does that where nobody says when it is enough.
const ROUND: u32 = 8;
const PAUSE: u64 = 10;
const ROUNDS: u32 = 15;
/// So long an ejection may last after the attack while there is no agent, and a trial after it.
const LONGEST_ALONE: Duration = Duration::from_millis(2_000 + 1_000);

/// Both pods, in several cgroups each; `PORT` of the node near is denied to them.
struct Denied {
    pods: Vec<(Tenant, Attempt)>,
    failed: u32,
}

impl Denied {
    fn new(site: &Fixture) -> Self {
        let one = |pod: &str| {
            site.deny(pod, "near", &[PORT], REJECT);
            let cgroups: Vec<_> =
                (0..CGROUPS).map(|number| site.cgroup_of(&format!("{pod}/{number}"))).collect();
            let attempt = Attempt::new(&frontends([SERVICE]), ROUND).every(PAUSE).from(&cgroups);
            (site.tenant(pod, &format!("{pod}/0")), attempt)
        };
        Self { pods: PODS.map(one).into(), failed: 0 }
    }

    /// Both dial for a while, side by side.
    fn dial(&mut self) {
        for (pod, attempt) in &mut self.pods {
            pod.begin(attempt.clone()).expect("connects");
        }
        for (pod, _) in &mut self.pods {
            self.failed += pod.end().expect("their end").failed();
        }
    }
}

/// Percent of all answers.
fn shares(sums: &Second) -> BTreeMap<&str, f64> {
    let all: u64 = sums.by.values().sum();
    sums.by
        .iter()
        .map(|(name, times)| (name.as_str(), 100.0 * *times as f64 / all as f64))
        .collect()
}

/// No ejection outlived the next probe, and there were few.
fn assert_brief(ejections: &[(String, Duration)]) {
    for (backend, lasted) in ejections {
        assert!(*lasted <= LONGEST, "{backend} was out for {lasted:?}");
        let times = ejections.iter().filter(|(other, _)| other == backend).count();
        assert!(times <= MOST_EJECTIONS, "{backend} was out {times} times");
    }
}

#[test]
fn two_denied_pods_leave_the_shares_of_a_third_as_they_are() {
    let heavy = backend("near", PORT, "node: near, zone: a, region: eu, cluster: home, weight: 9");
    let replicas = [("near", PORT), ("near", PORT + 1), ("west", PORT)];
    let policy = format!("{TIERS}, {PROBED}");
    let services = service(SERVICE, &policy, &[heavy, near(PORT + 1), west(PORT)]);
    let site = Fixture::new(&replicas, &services);
    site.wait_for_probes(&[SERVICE]);

    let without = dial_many(&site, SERVICE, DIALS);
    let mut pods = Denied::new(&site);
    let watch = Watch::start(&site);
    let with = thread::scope(|scope| {
        let victim = scope.spawn(|| dial_many(&site, SERVICE, DIALS));
        while !victim.is_finished() {
            pods.dial();
        }
        victim.join().expect("the victim")
    });
    let denied = pods.failed;
    let mut ejections = watch.end();
    ejections.sort_by_key(|(_, lasted)| *lasted);
    let longest = ejections.last().map_or(Duration::ZERO, |(_, lasted)| *lasted);
    let contradicted = site.transitions("contradicted");
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
    assert_brief(&ejections);
    assert!(contradicted > 0, "what a probe contradicts is counted");
    let log = site.agent.log();
    assert!(!log.contains("failed over") && !log.contains("reset the connections"), "{log}");
    site.assert_no_hold(SERVICE);
}

/// Nobody's success speaks against them, and there is no other backend near.
#[test]
fn two_denied_pods_alone_keep_a_backend_out_for_no_longer_than_a_probe_takes() {
    let policy = format!("{TIERS}, failback: {{mode: Manual}}, {PROBED}");
    let services = service(SERVICE, &policy, &[near(PORT), west(PORT)]);
    let site = Fixture::new(&[("near", PORT), ("west", PORT)], &services);
    site.wait_for_probes(&[SERVICE]);
    let watch = Watch::start(&site);
    let mut pods = Denied::new(&site);
    for _ in 0..ROUNDS {
        pods.dial();
    }
    let ejections = watch.end();
    let contradicted = site.transitions("contradicted");
    println!(
        "{} failed, nobody else dials: {ejections:?}; {contradicted} contradicted",
        pods.failed
    );
    assert_brief(&ejections);
    assert!(contradicted > 0, "what a probe contradicts is counted");
    let log = site.agent.log();
    assert!(!log.contains("failed over"), "{log}");
    site.assert_no_hold(SERVICE);
    assert_served_by("near", &dial_many(&site, SERVICE, 50));
}

#[test]
fn without_an_agent_two_pods_eject_for_a_bounded_time_and_an_answer_readmits() {
    let replicas = [("near", PORT), ("near", PORT + 1)];
    let passive = "passive: {refused: 3, timeouts: 5, baseEjection: 1s, maxEjection: 2s}";
    let policy = format!("allDown: Refuse, {passive}, {PROBED}");
    let services = service(SERVICE, &policy, &[near(PORT), near(PORT + 1)]);
    let mut site = Fixture::new(&replicas, &services);
    site.wait_for_probes(&[SERVICE]);
    site.let_agent_be(AgentIs::Killed);

    let mut pods = Denied::new(&site);
    let watch = Watch::start(&site);
    let begun = Instant::now();
    // As long as nobody's success speaks against them.
    wait_until("both pods' word counts", || {
        pods.dial();
        !site.objections().is_empty()
    });
    let victim = Victim::start(&site, SERVICE, 100);
    for _ in 0..ROUNDS {
        pods.dial();
    }
    let longest = begun.elapsed() + LONGEST_ALONE;
    let denied = pods.failed;
    wait_until("the backend is back", || site.objections().is_empty());
    let after = dial_many(&site, SERVICE, 200);
    let ejections = watch.end();
    let sums = victim.end();
    println!(
        "{denied} failed, no agent: {ejections:?}; the victim: {} of {}",
        sums.failed, sums.dials
    );

    assert_eq!((sums.failed, after.failed), (0, 0), "the service was never down: {:?}", sums.by);
    let is_bounded = |(_, lasted): &(String, Duration)| *lasted <= longest;
    assert!(ejections.iter().all(is_bounded), "{ejections:?}");
    let back = after.by.get("near").copied().unwrap_or(0);
    assert!(back >= 100, "{back} of 400");
}
