//! Probes that are asked for at once.

use std::time::Duration;

use redirector_core::service::{BackendRef, Probe};

use super::{super::places::Kind, Answer, PROBE, Simulation, WELL, backend, order};

/// No scheduled probe after the first one meets a test.
const RARE: Probe = Probe { interval_ms: 3_600_000, ..PROBE };
const STUCK: Answer = Answer { after: Duration::from_mins(1), is_well: false };

/// Asks for a probe of a backend of that owner, and says how many began at once.
fn asked(simulation: &mut Simulation, backend: BackendRef, owner: &str, urgency: u32) -> usize {
    let count = |simulation: &Simulation| simulation.begins.get(&backend).map_or(0, Vec::len);
    let before = count(simulation);
    simulation.want(backend, order(&[owner], &RARE, urgency), WELL);
    simulation.adapt();
    simulation.run(Duration::ZERO, |_| {});
    count(simulation) - before
}

/// So many backends that hold the place of every probe, asked at once or not.
fn stuck(simulation: &mut Simulation, count: u16, owner: &str, urgency: u32) {
    for number in 0..count {
        simulation.want(backend(2, number), order(&[owner], &RARE, urgency), STUCK);
    }
    simulation.adapt();
    simulation.run(Duration::from_millis(200), |_| {});
}

#[test]
fn another_number_is_one_probe_at_once() {
    let mut simulation = Simulation::new(8, 1);
    let (often, other) = (backend(1, 1), backend(1, 2));
    for urgency in [3, 4, 2, 9, 10, 0, 1] {
        assert_eq!(asked(&mut simulation, often, "shop", urgency), 1);
        simulation.run(Duration::from_millis(10), |_| {});
        // The same number again asks for nothing.
        assert_eq!(asked(&mut simulation, often, "shop", urgency), 0);
        asked(&mut simulation, other, "shop", 7);
    }
    simulation.run(Duration::from_millis(300), |_| {});
    assert_eq!((simulation.begins[&often].len(), simulation.begins[&other].len()), (7, 1));
}

#[test]
fn the_schedule_stays_as_it_is() {
    let mut simulation = Simulation::new(8, 2);
    let probe = Probe { interval_ms: 400, ..PROBE };
    // An interval of urgent probes: were each of them to begin the interval anew, no scheduled one
    // would come.
    for urgency in 0..65 {
        simulation.want(backend(1, 1), order(&["shop"], &probe, urgency), WELL);
        simulation.adapt();
        simulation.run(Duration::from_millis(20), |_| {});
    }
    let scheduled = simulation.begins[&backend(1, 1)].len() - 64;
    assert!((3..=5).contains(&scheduled), "{scheduled} beside the urgent ones");
}

#[test]
fn a_new_backend_that_is_urgent_and_a_probe_of_another_kind_do_not_wait() {
    let mut simulation = Simulation::new(8, 3);
    assert_eq!(asked(&mut simulation, backend(1, 1), "shop", 1), 1);
    let other = Probe { timeout_ms: 900, ..RARE };
    simulation.want(backend(1, 1), order(&["shop"], &other, 2), WELL);
    simulation.adapt();
    simulation.run(Duration::ZERO, |_| {});
    assert_eq!(simulation.begins[&backend(1, 1)].len(), 2);
}

#[test]
fn an_urgent_probe_passes_those_that_wait_for_a_place() {
    let mut simulation = Simulation::new(8, 4);
    stuck(&mut simulation, 20, "shop", 0);
    assert_eq!(simulation.under_way.len(), 7, "every place but one is taken");
    for urgency in 1..6 {
        assert_eq!(asked(&mut simulation, backend(1, 1), "shop", urgency), 1);
        simulation.run(Duration::from_millis(1), |_| {});
    }
}

#[test]
fn urgent_probes_of_one_owner_delay_none_of_another() {
    let mut simulation = Simulation::new(16, 5);
    let (well, often) = (backend(1, 1), Probe { interval_ms: 20, ..PROBE });
    simulation.want(well, order(&["shop"], &often, 0), WELL);
    stuck(&mut simulation, 40, "evil", 1);
    let from = simulation.now;
    simulation.run(Duration::from_secs(1), |simulation| {
        let evil = simulation.under_way.values().filter(|begun| begun.backend != well).count();
        // Half of the 14 places that are not kept for urgent ones, and half of the 2 that are.
        assert_eq!(evil, 7 + 1, "it has all that one owner gets");
    });
    let gap = simulation.longest_gap(&well, from);
    assert!(gap < Duration::from_millis(25), "{gap:?}");
}

#[test]
fn urgent_probes_are_no_more_at_once_than_others() {
    let mut simulation = Simulation::new(8, 6);
    for urgency in 1..20 {
        stuck(&mut simulation, 20, "shop", urgency);
        simulation.run(Duration::from_mins(1), |simulation| {
            assert!(simulation.under_way.len() <= 8);
            assert!(simulation.held(Kind::Urgent) <= 1);
        });
    }
}
