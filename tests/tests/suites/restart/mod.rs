//! The agent dies and comes back, at any moment, while its file changes: connects do not notice, and
//! nothing of what it was doing when it died stays behind.

mod fixture;
mod state;

use std::{
    thread,
    time::{Duration, Instant},
};

use fixture::Fixture;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use redirector_tests::{
    dialer::{Line, Transport},
    size::sized,
    wait::wait_until,
};

/// The suite `crashes` ends lives at chosen points; this one at any, also between two stores.
const FULL_SIZE: usize = 200;
const CI_SIZE: usize = 100;
/// A life ends at any moment from its first: loading, adopting, reading the file, writing.
const LONGEST_LIFE: Duration = Duration::from_millis(320);
/// One life in so many begins to count when the agent is ready, however busy the machine is.
const FULL_LIVES: usize = 8;
/// The longest pause between two changes of the file.
const LONGEST_PAUSE: Duration = Duration::from_millis(150);
/// How long a world that does not change is watched: two probes.
const WATCHED: Duration = Duration::from_millis(600);

#[test]
fn no_connect_fails_while_the_agent_is_killed_and_its_file_changes() {
    let seed = rand::rng().random();
    println!("seed {seed:#x}");
    let mut random = SmallRng::seed_from_u64(seed);
    let lives = sized(FULL_SIZE, CI_SIZE);
    let site = Fixture::new();
    site.write(&site.any_config(&mut random));
    let mut agent = site.agent();
    let loads = site.dial(&[Transport::Tcp, Transport::UdpUnconnected]);

    let (mut changes, mut ready) = (0, 0);
    let start = Instant::now();
    for life in 0..lives {
        agent.kill9();
        agent.spawn_again().expect("an agent");
        if life % FULL_LIVES == 0 {
            agent.wait_until_ready().expect("it is ready");
        }
        let end = Instant::now() + random.random_range(Duration::ZERO..LONGEST_LIFE);
        while Instant::now() < end {
            site.write(&site.any_config(&mut random));
            changes += 1;
            let pause = random.random_range(Duration::ZERO..LONGEST_PAUSE);
            thread::sleep(pause.min(end.saturating_duration_since(Instant::now())));
        }
        ready += usize::from(agent.is_ready().expect("it runs until it is killed"));
    }
    let took = start.elapsed();
    agent.restart().expect("the last life");
    let (mut dials, mut failures) = (0, Vec::new());
    for load in loads {
        let (lines, sums) = load.stop().expect("the end of a load");
        dials += sums.dials;
        failures.extend(lines.into_iter().filter(|line| matches!(line, Line::Dialled(_))));
    }
    let metrics = agent.metrics();

    println!(
        "{lives} lives, {ready} of them ready when they were killed, and {changes} changes of the \
         file in {took:.1?}: {} of {dials} dials failed",
        failures.len()
    );
    assert!(failures.is_empty(), "{} failed, for example {:?}", failures.len(), failures[0]);
    for nothing in ["not_service", "unpublished", "inconsistent", "no_backends"] {
        let name = format!("redirector_dials_total{{reason=\"{nothing}\"}}");
        assert_eq!(metrics[&name], 0.0, "{nothing}");
    }
    let are_mixed = (lives / FULL_LIVES..lives).contains(&ready);
    assert!(are_mixed, "{ready} lives were long enough");
    assert!(dials >= 10_000, "{dials} dials");

    // What all those lives have left is what an agent makes that never knew them.
    let fresh = site.fresh_agent();
    let expected = state::services(&fresh);
    assert!(expected.as_array().is_some_and(|tables| tables.len() >= 6), "{expected}");
    wait_until("the maps are as if nothing had happened", || {
        state::is_same(&state::services(&agent), &expected)
    });
    fresh.finish().expect("the fresh agent");
    agent.finish().expect("the agent");
}

#[test]
fn a_restart_in_an_unchanged_world_writes_nothing() {
    let mut site = Fixture::new();
    site.write(&site.whole_config());
    let mut agent = site.agent();
    // The death of one that has never answered a probe is not believed.
    wait_until("every replica has answered a probe", || state::are_probed(&agent));
    site.kill_one();
    // One backend of each family: an agent killed between the two would leave the other to be
    // ejected by the next one.
    wait_until("the prober ejects the dead replica", || state::ejected(&agent).len() == 2);
    let (before, ejected) = (state::services(&agent), state::ejected(&agent));
    // UDP is not probed: nobody would notice there.
    let loads = site.dial(&[Transport::Tcp]);

    for _ in 0..5 {
        agent.kill9();
        let start = Instant::now();
        agent.spawn_again().expect("an agent");
        agent.wait_until_ready().expect("it is ready");
        let took = start.elapsed();
        let watched = Instant::now();
        while watched.elapsed() < WATCHED {
            assert_eq!(agent.metrics()["redirector_map_writes_total"], 0.0, "map writes");
            assert_eq!(state::ejected(&agent), ejected, "a dead backend was re-admitted");
        }
        println!("ready after {took:.0?}, with 0 map writes");
    }

    assert_eq!(state::services(&agent), before);
    for load in loads {
        let (lines, sums) = load.stop().expect("the end of a load");
        assert_eq!(sums.failed, 0, "{lines:?}");
    }
    agent.finish().expect("the agent");
}
