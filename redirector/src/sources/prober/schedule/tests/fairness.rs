//! What one owner can do to the others: nearly nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use redirector_core::service::{BackendRef, Probe};
use tokio::time::Instant;

use super::{
    super::{
        MIN_FAILURES, ProbePhase,
        places::{Kind, Owner},
    },
    Answer, PROBE, SILENT, Simulation, WELL, backend, order,
    simulation::Random,
};

const PLACES: usize = 256;
const MANY: u16 = 20_000;
/// An interval, a fifth more.
const STRETCHED: Duration = Duration::from_millis(1_200);

#[test]
fn twenty_thousand_silent_backends_of_one_owner_delay_nobody_else() {
    let mut simulation = Simulation::new(PLACES, 1);
    let healthy = ten(&mut simulation, WELL);
    for number in 0..MANY {
        simulation.want(backend(2, number), order(&["evil"], &PROBE, 0), SILENT);
    }
    simulation.adapt();
    let start = simulation.start;
    simulation.run(Duration::from_mins(5), |simulation| {
        let failing = simulation.held(Kind::Failing) + simulation.held(Kind::Urgent);
        assert!(failing <= PLACES / 2, "{failing} places are held by what fails");
    });
    for backend in &healthy {
        let gap = simulation.longest_gap(backend, start);
        assert!(gap <= STRETCHED, "{backend} waited {gap:?}");
    }
    let asked = |from: Duration, to: Duration| {
        let is_in = |at: &&Instant| (start + from..start + to).contains(*at);
        let silent = simulation.begins.iter().filter(|(it, _)| !healthy.contains(it));
        silent.map(|(_, begins)| begins.iter().filter(is_in).count()).sum::<usize>()
    };
    // Each of the places for what fails is good for two of these probes a second.
    let at_most = (PLACES / 2 - PLACES / 8) * 2;
    let last = asked(Duration::from_mins(4), Duration::from_mins(5)) / 60;
    assert!((1..=at_most).contains(&last), "{last} of them are asked a second");
}

#[test]
fn urgent_questions_and_long_timeouts_of_one_owner_delay_nobody_else() {
    let mut simulation = Simulation::new(PLACES, 2);
    let healthy = ten(&mut simulation, WELL);
    let slow = Probe { timeout_ms: 60_000, ..PROBE };
    let holes = Answer { after: Duration::from_mins(1), is_well: false };
    for urgency in 1..120 {
        for number in 0..2_000 {
            simulation.want(backend(2, number), order(&["evil"], &slow, urgency), holes);
        }
        // One of the others is asked for at once each time.
        let asked = healthy[urgency as usize % healthy.len()];
        simulation.want(asked, order(&["shop"], &PROBE, urgency), WELL);
        simulation.adapt();
        let before = simulation.begins.get(&asked).map_or(0, Vec::len);
        let now = simulation.now;
        simulation.run(Duration::from_secs(1), |_| {});
        assert_eq!(simulation.begins[&asked][before], now, "at once");
    }
    for backend in &healthy {
        let gap = simulation.longest_gap(backend, simulation.start);
        assert!(gap <= STRETCHED, "{backend} waited {gap:?}");
    }
}

#[test]
fn seven_owners_that_hold_what_they_can_leave_a_place_and_more_are_waited_for_once() {
    let slow = Probe { timeout_ms: 10_000, interval_ms: 10_000, ..PROBE };
    let holes = Answer { after: Duration::from_secs(10), is_well: false };
    for (owners, longest) in [(7, STRETCHED), (20, STRETCHED + holes.after)] {
        let mut simulation = Simulation::new(PLACES, 7);
        let healthy = ten(&mut simulation, WELL);
        for owner in 0..owners {
            // One after the other: each takes half of what is left.
            for number in 0..500 {
                let name = format!("evil-{owner}");
                simulation.want(backend(2 + owner, number), order(&[&name], &slow, 1), holes);
            }
            simulation.adapt();
            simulation.run(Duration::from_millis(1), |_| {});
        }
        let from = simulation.start;
        simulation.run(Duration::from_mins(2), |_| {});
        for backend in &healthy {
            let gap = simulation.longest_gap(backend, from);
            assert!(gap <= longest, "{owners} owners: {backend} waited {gap:?}");
        }
        // Who waits is not overtaken: later no more than ever.
        let gap = simulation.longest_gap(&healthy[0], from + Duration::from_secs(30));
        assert!(gap <= STRETCHED, "{owners} owners: {gap:?}");
    }
}

#[test]
fn a_small_outage_beside_a_large_one_is_over_as_soon_as_ever() {
    let mut simulation = Simulation::new(PLACES, 3);
    let own = ten(&mut simulation, SILENT);
    for number in 0..MANY {
        simulation.want(backend(2, number), order(&["evil"], &PROBE, 0), SILENT);
    }
    simulation.adapt();
    simulation.run(Duration::from_mins(6), |_| {});
    let from = simulation.start + Duration::from_mins(3);
    for backend in &own {
        let gap = simulation.longest_gap(backend, from);
        assert!(gap <= STRETCHED, "{backend} waited {gap:?}");
    }
}

#[test]
fn who_lists_the_backend_of_another_does_not_delay_it() {
    let mut simulation = Simulation::new(PLACES, 4);
    let healthy = ten(&mut simulation, WELL);
    for backend in &healthy {
        simulation.want(*backend, order(&["evil", "shop"], &PROBE, 0), WELL);
    }
    for number in 0..MANY {
        simulation.want(backend(2, number), order(&["evil"], &PROBE, 0), SILENT);
    }
    simulation.adapt();
    simulation.run(Duration::from_mins(1), |_| {});
    for backend in &healthy {
        let gap = simulation.longest_gap(backend, simulation.start);
        assert!(gap <= STRETCHED, "{backend} waited {gap:?}");
    }
}

#[test]
fn a_sole_owner_may_have_every_place_that_is_not_kept() {
    let mut simulation = Simulation::new(PLACES, 5);
    for number in 0..MANY {
        simulation.want(backend(2, number), order(&["shop"], &PROBE, 0), SILENT);
    }
    simulation.adapt();
    simulation.run(Duration::from_millis(200), |_| {});
    assert_eq!(simulation.held(Kind::Ordinary), PLACES - PLACES / 8);
    simulation.run(Duration::from_mins(5), |_| {});
    assert_eq!(simulation.held(Kind::Failing), PLACES / 2 - PLACES / 8);
}

#[test]
fn where_there_is_one_place_what_fails_and_what_answers_slowly_take_turns() {
    let mut simulation = Simulation::new(1, 6);
    let slow = Answer { after: Duration::from_millis(400), is_well: true };
    for number in 0..10 {
        simulation.want(backend(1, number), order(&["shop"], &PROBE, 0), slow);
        simulation.want(backend(2, number), order(&["shop"], &PROBE, 0), SILENT);
    }
    simulation.adapt();
    simulation.run(Duration::from_mins(5), |_| {});
    for (backend, begins) in &simulation.begins {
        // Ten of each, 900 ms for one of each.
        assert!(begins.len() >= 30, "{backend} was asked {} times", begins.len());
    }
}

/// Whatever owners have and ask for: no place is given twice, at most half are held by what fails,
/// and an owner that holds none waits for at most the turns of all others, each of which ends with
/// the timeout.
#[test]
fn no_owner_waits_longer_than_its_share_of_the_timeout() {
    for seed in 1..=40 {
        chaos(seed);
    }
}

const TIMEOUT: Duration = Duration::from_millis(500);

fn chaos(seed: u64) {
    let mut random = Random::new(seed);
    let at_once = 1 + random.below(40) as usize;
    let owners = 1 + random.below(25);
    let mut simulation = Simulation::new(at_once, seed);
    let names: Vec<String> = (0..owners).map(|owner| format!("owner-{owner}")).collect();
    for round in 0..6 {
        for (owner, name) in (1..).zip(&names) {
            let has_many = random.below(4) == 0;
            for number in 0..random.below(if has_many { 60 } else { 6 }) {
                let backend = backend(owner, u16::try_from(number).expect("few"));
                if random.below(10) == 0 {
                    simulation.wanted.remove(&backend);
                    continue;
                }
                let second = &names[random.below(owners) as usize];
                let both = [name.as_str(), second.as_str()];
                let is_shared = random.below(8) == 0 && name < second;
                let owners = if is_shared { &both[..] } else { &both[..1] };
                let urgency = if random.below(3) == 0 { round } else { 0 };
                simulation.want(backend, order(owners, &PROBE, urgency), any(&mut random));
            }
        }
        simulation.adapt();
        observe(&mut simulation, at_once, owners, seed);
    }
}

fn any(random: &mut Random) -> Answer {
    match random.below(3) {
        0 => SILENT,
        1 => WELL,
        _ => Answer {
            after: Duration::from_millis(random.below(500)),
            is_well: random.below(2) == 0,
        },
    }
}

fn observe(simulation: &mut Simulation, at_once: usize, owners: u64, seed: u64) {
    let urgent = at_once / 8;
    let (ordinary, failing) = (at_once - urgent, (at_once / 2 - urgent).max(1));
    let share = |places: usize| u32::try_from((2 * owners).div_ceil(places as u64)).expect("few");
    let bound = |kind| match kind {
        Kind::Failing => TIMEOUT * (share(failing) + 1),
        Kind::Ordinary | Kind::Urgent => TIMEOUT * share(ordinary),
    };
    let mut without: BTreeMap<(Owner, Kind), Instant> = BTreeMap::new();
    simulation.run(Duration::from_secs(3), |simulation| {
        assert!(simulation.held(Kind::Urgent) <= urgent, "seed {seed}");
        assert!(simulation.held(Kind::Failing) <= failing, "seed {seed}");
        let all = simulation.held(Kind::Ordinary) + simulation.held(Kind::Failing);
        assert!(all <= ordinary, "seed {seed}");
        let holders: BTreeSet<&Owner> =
            simulation.under_way.values().map(|begun| &begun.place.owner).collect();
        let mut starving: BTreeSet<(&Owner, Kind)> = BTreeSet::new();
        for state in simulation.schedule.backends.values() {
            if matches!(state.phase, ProbePhase::Waiting(_)) {
                let is_failing = state.failures >= MIN_FAILURES;
                let kind = if is_failing { Kind::Failing } else { Kind::Ordinary };
                let without = state.owners.iter().filter(|owner| !holders.contains(owner));
                starving.extend(without.map(|owner| (owner, kind)));
            }
        }
        without.retain(|(owner, kind), _| starving.contains(&(owner, *kind)));
        for (owner, kind) in starving {
            let now = simulation.now;
            let waits = now - *without.entry((owner.clone(), kind)).or_insert(now);
            assert!(waits <= bound(kind), "seed {seed}: {owner} waits {waits:?} for {kind:?}");
        }
    });
}

/// Ten backends of an owner called shop.
fn ten(simulation: &mut Simulation, answer: Answer) -> Vec<BackendRef> {
    let ten: Vec<BackendRef> = (0..10).map(|number| backend(1, number)).collect();
    for backend in &ten {
        simulation.want(*backend, order(&["shop"], &PROBE, 0), answer);
    }
    ten
}
