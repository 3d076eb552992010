//! How often a backend is asked that fails.

use std::time::Duration;

use redirector_core::service::{BackendRef, Probe};

use super::{PROBE, SILENT, Simulation, WELL, backend, order};

/// Enough for everybody.
const PLACES: usize = 4_096;
/// So many of one owner that 16 of them are a sixteenth.
const CROWD: u16 = 256;

#[test]
fn of_many_that_fail_for_long_each_is_asked_ever_less_often() {
    let mut simulation = crowd(PROBE);
    simulation.run(Duration::from_mins(10), |_| {});
    for (from, to, seconds) in
        [(2, 28, 1), (33, 58, 2), (64, 118, 4), (129, 238, 8), (257, 600, 16)]
    {
        let gaps = gaps(&simulation, &backend(1, 7), from, to);
        let expected = Duration::from_secs(seconds);
        let is_so = |gap: &Duration| *gap >= expected.mul_f64(0.9) && *gap <= expected.mul_f64(1.1);
        assert!(!gaps.is_empty() && gaps.iter().all(is_so), "{from} s to {to} s: {gaps:?}");
    }
}

#[test]
fn no_interval_is_made_longer_than_half_a_minute_and_long_ones_stay() {
    for (interval_ms, longest) in [(5_000, 30), (60_000, 60)] {
        let mut simulation = crowd(Probe { interval_ms, ..PROBE });
        simulation.run(Duration::from_mins(20), |_| {});
        let longest = Duration::from_secs(longest);
        let gaps = gaps(&simulation, &backend(1, 7), 400, 1_200);
        assert!(
            !gaps.is_empty() && gaps.iter().all(|gap| *gap <= longest.mul_f64(1.1)),
            "{gaps:?}"
        );
        assert!(gaps.iter().all(|gap| *gap >= longest.mul_f64(0.9)), "{gaps:?}");
    }
}

#[test]
fn a_few_keep_their_interval_also_beside_the_many_of_another_owner() {
    let mut simulation = crowd(PROBE);
    for number in 0..16 {
        simulation.want(backend(2, number), order(&["shop"], &PROBE, 0), SILENT);
        // These belong to both.
        let both = order(&["crowd", "zoo"], &PROBE, 0);
        simulation.want(backend(3, number), both, SILENT);
    }
    simulation.adapt();
    simulation.run(Duration::from_mins(10), |_| {});
    for owner in [2, 3] {
        let gaps = gaps(&simulation, &backend(owner, 5), 300, 600);
        assert!(gaps.iter().all(|gap| *gap <= Duration::from_millis(1_100)), "{owner}: {gaps:?}");
        assert!(gaps.len() > 250, "{}", gaps.len());
    }
}

#[test]
fn the_first_that_answers_brings_all_of_its_owner_forward() {
    let mut simulation = crowd(PROBE);
    simulation.want(backend(2, 0), order(&["crowd", "zoo"], &PROBE, 0), SILENT);
    simulation.adapt();
    simulation.run(Duration::from_mins(10), |_| {});
    // All are well again; each of them is asked at some time in the next 16 s.
    for number in 0..CROWD {
        simulation.want(backend(1, number), order(&["crowd"], &PROBE, 0), WELL);
    }
    let back = simulation.now;
    simulation.run(Duration::from_secs(3), |_| {});
    for number in 0..CROWD {
        let asked = simulation.begins[&backend(1, number)].iter().find(|at| **at >= back);
        let asked = *asked.expect("it is asked") - back;
        assert!(asked <= Duration::from_millis(1_600), "{number}: {asked:?}");
    }
    // Who answers is asked as often as its probe says.
    simulation.run(Duration::from_secs(30), |_| {});
    let often = gaps(&simulation, &backend(1, 7), 602, 630);
    assert!(often.iter().all(|gap| *gap <= Duration::from_millis(1_100)), "{often:?}");
    // A few that fail later are not taken for many.
    for number in 0..8 {
        simulation.want(backend(1, number), order(&["crowd"], &PROBE, 0), SILENT);
    }
    simulation.run(Duration::from_mins(10), |_| {});
    let often = gaps(&simulation, &backend(1, 7), 900, 1_200);
    assert!(often.iter().all(|gap| *gap <= Duration::from_millis(1_100)), "{often:?}");
}

#[test]
fn the_end_of_an_outage_of_this_node_brings_all_forward_and_of_one_owner_its_own_alone() {
    for is_own_outage in [true, false] {
        let mut simulation = crowd(PROBE);
        simulation.want(backend(2, 0), order(&["shop"], &PROBE, 0), SILENT);
        let other = if is_own_outage { SILENT } else { WELL };
        simulation.want(backend(3, 0), order(&["other"], &PROBE, 0), other);
        simulation.adapt();
        simulation.run(Duration::from_mins(10), |_| {});
        simulation.want(backend(2, 0), order(&["shop"], &PROBE, 0), WELL);
        let back = simulation.now;
        simulation.run(Duration::from_millis(2_200), |_| {});
        let is_asked = |number: &u16| simulation.begins[&backend(1, *number)].last() >= Some(&back);
        let asked = (0..CROWD).filter(is_asked).count();
        assert_eq!(asked == usize::from(CROWD), is_own_outage, "{asked}");
    }
}

#[test]
fn an_urgent_question_restores_the_interval_of_that_backend_alone() {
    let mut simulation = crowd(PROBE);
    simulation.run(Duration::from_mins(10), |_| {});
    let asked = backend(1, 7);
    simulation.want(asked, order(&["crowd"], &PROBE, 1), SILENT);
    simulation.adapt();
    let now = simulation.now;
    simulation.run(Duration::from_mins(1), |_| {});
    assert!(simulation.begins[&asked].contains(&now), "at once");
    let restored = gaps(&simulation, &asked, 600, 628);
    assert!(restored.len() > 20, "{restored:?}");
    assert!(restored.iter().all(|gap| *gap <= Duration::from_millis(1_100)), "{restored:?}");
    assert!(gaps(&simulation, &backend(1, 8), 600, 628).len() <= 2);
}

#[test]
fn what_nobody_wants_is_forgotten_with_its_owner() {
    let mut simulation = crowd(PROBE);
    simulation.run(Duration::from_mins(1), |_| {});
    simulation.wanted.clear();
    simulation.adapt();
    let schedule = &simulation.schedule;
    assert!(schedule.owners.is_empty() && schedule.timers.is_empty(), "{schedule:?}");
    assert!(schedule.backends.is_empty() && simulation.under_way.is_empty());
    simulation.want(backend(1, 7), order(&["crowd"], &PROBE, 0), SILENT);
    simulation.adapt();
    let begins = simulation.begins[&backend(1, 7)].len();
    simulation.run(Duration::from_millis(100), |_| {});
    assert_eq!(simulation.begins[&backend(1, 7)].len(), begins + 1, "it starts anew");
}

/// Silent backends of one owner.
fn crowd(probe: Probe) -> Simulation {
    let mut simulation = Simulation::new(PLACES, 11);
    for number in 0..CROWD {
        simulation.want(backend(1, number), order(&["crowd"], &probe, 0), SILENT);
    }
    simulation.adapt();
    simulation
}

/// Times between probes that began in these seconds.
fn gaps(simulation: &Simulation, backend: &BackendRef, from: u64, to: u64) -> Vec<Duration> {
    let at = |seconds| simulation.start + Duration::from_secs(seconds);
    let begins = simulation.begins[backend].iter().copied();
    let begins: Vec<_> = begins.filter(|begin| (at(from)..=at(to)).contains(begin)).collect();
    begins.windows(2).map(|pair| pair[1] - pair[0]).collect()
}
