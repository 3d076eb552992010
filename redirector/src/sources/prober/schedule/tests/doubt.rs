//! How soon a backend is asked again while it is in doubt how it is, and at whose expense.

use std::time::Duration;

use redirector_core::{
    input::ProbeOrder,
    service::{BackendRef, Probe},
};
use tokio::time::Instant;

use super::{Answer, PROBE, SILENT, Simulation, WELL, backend, order};

const REFUSED: Answer = Answer { after: Duration::from_millis(1), is_well: false };
/// The fast interval with its jitter.
const FAST: Duration = Duration::from_millis(221);
/// The shortest interval with its jitter.
const SLOW: Duration = Duration::from_millis(900);
const ONE: u16 = 1;

fn patient() -> Probe {
    Probe { unhealthy: 4, ..PROBE }
}

/// Times between the probes of a backend that began after `from`, the one before it included.
fn gaps(world: &Simulation, of: &BackendRef, from: Instant) -> Vec<Duration> {
    let begins = &world.begins[of];
    let first = begins.iter().position(|at| *at > from).expect("a probe") - 1;
    begins[first..].windows(2).map(|two| two[1] - two[0]).collect()
}

#[test]
fn failures_hurry_until_they_eject_and_successes_until_they_readmit() {
    let mut world = Simulation::new(8, 1);
    let one = backend(1, ONE);
    world.want(one, order(&["shop"], &patient(), 0), WELL);
    world.adapt();
    world.run(Duration::from_secs(10), |_| {});
    world.want(one, order(&["shop"], &patient(), 0), REFUSED);
    let from = world.now;
    world.run(Duration::from_secs(6), |_| {});
    let failing = gaps(&world, &one, from);
    assert!(failing[1..4].iter().all(|gap| *gap <= FAST), "the first three say more: {failing:?}");
    assert!(failing[4..].iter().all(|gap| *gap >= SLOW), "four decide: {failing:?}");

    let out = ProbeOrder { is_out: true, ..order(&["shop"], &patient(), 0) };
    world.want(one, out, WELL);
    world.adapt();
    let from = world.now;
    world.run(Duration::from_secs(6), |_| {});
    let back = gaps(&world, &one, from);
    assert!(back[1..3].iter().all(|gap| *gap <= FAST), "two more are needed: {back:?}");
    assert!(back[3..].iter().all(|gap| *gap >= SLOW), "three decide: {back:?}");
}

#[test]
fn one_that_never_wavers_is_asked_at_its_interval_in_and_out() {
    for (is_out, answer) in [(false, WELL), (true, REFUSED)] {
        let mut world = Simulation::new(8, 2);
        let one = backend(1, ONE);
        world.want(one, ProbeOrder { is_out, ..order(&["shop"], &PROBE, 0) }, answer);
        world.adapt();
        world.run(Duration::from_secs(20), |_| {});
        let gaps = gaps(&world, &one, world.begins[&one][0]);
        assert!(gaps.iter().all(|gap| *gap >= SLOW), "out: {is_out}: {gaps:?}");
    }
}

#[test]
fn the_verdict_of_others_begins_the_row_of_successes_anew() {
    let mut world = Simulation::new(8, 3);
    let one = backend(1, ONE);
    world.want(one, order(&["shop"], &PROBE, 0), WELL);
    world.adapt();
    world.run(Duration::from_secs(10), |_| {});
    world.want(one, ProbeOrder { is_out: true, ..order(&["shop"], &PROBE, 0) }, WELL);
    world.adapt();
    let from = world.now;
    world.run(Duration::from_secs(4), |_| {});
    let gaps = gaps(&world, &one, from);
    assert!(gaps[1..3].iter().all(|gap| *gap <= FAST), "{gaps:?}");
    assert!(gaps[3..].iter().all(|gap| *gap >= SLOW), "{gaps:?}");
}

#[test]
fn a_fast_interval_that_is_the_interval_is_no_hurry() {
    let mut world = Simulation::new(8, 4);
    let one = backend(1, ONE);
    let even = Probe { fast_interval_ms: 1_000, ..patient() };
    world.want(one, order(&["shop"], &even, 0), REFUSED);
    world.adapt();
    world.run(Duration::from_secs(10), |_| {});
    let gaps = gaps(&world, &one, world.begins[&one][0]);
    assert!(gaps.iter().all(|gap| *gap >= SLOW), "{gaps:?}");
}

#[test]
fn a_tenants_thousand_doubtful_backends_neither_gain_much_nor_delay_another_tenants_few() {
    let mut world = Simulation::new(64, 5);
    let endless = Probe { unhealthy: 100, timeout_ms: 200, ..PROBE };
    for number in 0..1_000 {
        world.want(backend(2, number), order(&["evil"], &endless, 0), REFUSED);
    }
    let few: Vec<BackendRef> = (0..4).map(|number| backend(1, number)).collect();
    for one in &few {
        world.want(*one, order(&["shop"], &endless, 0), REFUSED);
    }
    world.adapt();
    world.run(Duration::from_secs(2), |_| {});
    let from = world.now;
    world.run(Duration::from_secs(10), |_| {});
    let evil = (0..1_000)
        .map(|number| world.begins[&backend(2, number)].iter().filter(|at| **at > from).count());
    let evil: usize = evil.sum();
    // 1,000 in doubt are 32 times 32: none of them hurries.
    assert!(evil <= 10 * 1_000 * 10 / 9, "{evil} probes in 10 s");
    for one in &few {
        let gap = world.longest_gap(one, from);
        assert!(gap <= FAST, "{one} waited {gap:?}");
    }
}

#[test]
fn many_tenants_in_doubt_share_what_is_for_all() {
    let mut world = Simulation::new(64, 6);
    let endless = Probe { unhealthy: 100, ..PROBE };
    for owner in 0..32 {
        for number in 0..32 {
            let name = format!("team-{owner}");
            world.want(backend(owner, number), order(&[&name], &endless, 0), REFUSED);
        }
    }
    world.adapt();
    world.run(Duration::from_secs(2), |_| {});
    let before: usize = world.begins.values().map(Vec::len).sum();
    world.run(Duration::from_secs(10), |_| {});
    let rate = (world.begins.values().map(Vec::len).sum::<usize>() - before) / 10;
    // 256 of them in 200 ms, less 10 % jitter.
    assert!((1_100..=1_450).contains(&rate), "{rate} a second");
}

#[test]
fn doubts_are_forgotten_with_their_backends_and_move_with_them() {
    let mut world = Simulation::new(8, 7);
    for number in 0..40 {
        world.want(backend(1, number), order(&["shop", "club"], &patient(), 0), SILENT);
    }
    world.adapt();
    // One probe of each has failed by then, and of some the second.
    world.run(Duration::from_secs(4), |_| {});
    assert!(world.schedule.in_doubt > 0);
    for number in 0..40 {
        world.want(backend(1, number), order(&["club"], &patient(), 0), SILENT);
    }
    world.adapt();
    assert!(world.schedule.in_doubt <= 32, "{}", world.schedule.in_doubt);
    world.wanted.clear();
    world.adapt();
    assert_eq!(world.schedule.in_doubt, 0);
}

#[test]
fn at_rest_a_doubt_is_decided_within_the_same_probes_a_second() {
    let mut world = Simulation::new(8, 8);
    let rest = |number: u16| {
        let rest = redirector_core::input::AtRest {
            cluster: "west".into(),
            owner: "shop".into(),
            rank: number.into(),
        };
        ProbeOrder { rest: Some(rest), ..order(&["shop"], &patient(), 0) }
    };
    for number in 0..20 {
        world.want(backend(1, number), rest(number), if number == 5 { REFUSED } else { WELL });
    }
    world.adapt();
    world.run(Duration::from_secs(20), |_| {});
    let dead = &world.begins[&backend(1, 5)];
    assert!(dead.len() >= 4 && dead[3] - dead[0] <= Duration::from_millis(3_010), "{dead:?}");
    let all: usize = world.begins.values().map(Vec::len).sum();
    assert!(all <= 21, "{all} in 20 s");
}
