//! Thousands of worlds, an hour each: replicas, nodes and zones fail and return, the kernel ejects,
//! the agent stops and starts; after each step the kernel's own decision says where a connect goes.
//!
//! `REDIRECTOR_SEED=n` replays one world; `REDIRECTOR_WORLDS=n` runs fewer of them.

#[path = "../support/mod.rs"]
mod support;

mod episodes;
mod fleet;
mod kernel;
mod lies;
mod oracle;
mod run;
mod tally;
mod truth;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use self::{
    run::Run,
    tally::{Fault, Tally},
    truth::Condition,
};

/// Worlds, unless `REDIRECTOR_WORLDS` says otherwise.
const WORLDS: u64 = 10_000;

#[test]
fn no_connect_reaches_what_everybody_knows_is_dead() {
    if let Some(seed) = number("REDIRECTOR_SEED") {
        let mut tally = Tally::default();
        let mut run = Run::new(seed, &mut tally);
        run.is_loud = true;
        run.hour();
        return say(&tally.to_string());
    }
    let worlds = number("REDIRECTOR_WORLDS").unwrap_or(WORLDS);
    let tally = in_parallel(worlds, |seed, tally| Run::new(seed, tally).hour());
    say(&tally.to_string());
    assert_eq!(tally.worlds, worlds);
    assert!(tally.inputs >= 500 * worlds, "{} inputs", tally.inputs);
    if worlds >= WORLDS {
        for fault in Fault::ALL {
            assert!(tally.count(fault) >= 500, "{fault:?} only {} times", tally.count(fault));
        }
    }
}

#[test]
fn for_ten_minutes_nothing_reaches_an_ejected_backend_before_a_probe_has_succeeded() {
    let mut tally = Tally::default();
    for seed in 0..20 {
        let mut run = Run::small(seed, &mut tally);
        let dead = run.fleet[0].backend;
        while run.reached(dead) == 0 {
            run.second();
            assert!(run.now < Duration::from_mins(1), "seed {seed}: it is well, and never used");
        }
        run.truth.states[0] = Condition::Silent;
        while !run.state.is_ejected(&dead) {
            run.second();
        }
        run.forget_reached();
        for _ in 0..600 {
            run.second();
            assert_eq!(run.reached(dead), 0, "seed {seed}, at {:?}", run.now);
        }
        run.truth.states[0] = Condition::Well;
        let healed = run.now;
        while run.reached(dead) == 0 {
            run.second();
            assert!(run.now < healed + Duration::from_mins(6), "seed {seed}: it never returned");
        }
    }
}

#[test]
fn who_cannot_reach_what_answers_every_probe_moves_nobody_but_itself() {
    let worlds = number("REDIRECTOR_WORLDS").unwrap_or(WORLDS).div_ceil(20);
    let tally = in_parallel(worlds, |seed, tally| Run::new(seed, tally).lies());
    say(&tally.to_string());
    assert!(tally.contradictions >= 20 * worlds && tally.suspected >= worlds, "{tally}");
}

#[test]
fn a_death_among_lies_is_found_by_two_probes_at_most() {
    let mut tally = Tally::default();
    for seed in 0..200 {
        Run::small(seed, &mut tally).death_among_lies();
    }
}

/// Runs worlds on all processors; the first that fails is named.
#[expect(clippy::disallowed_methods, reason = "worlds know nothing of each other")]
fn in_parallel(worlds: u64, live: impl Fn(u64, &mut Tally) + Sync) -> Tally {
    let (next, has_failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= worlds || has_failed.load(Ordering::Relaxed) {
                return tally;
            }
            if catch_unwind(AssertUnwindSafe(|| live(seed, &mut tally))).is_err() {
                has_failed.store(true, Ordering::Relaxed);
                say(&format!("seed {seed} failed: replay it with REDIRECTOR_SEED={seed}"));
            }
        }
    };
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let tally = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        let tallies = workers.into_iter().map(|worker| worker.join().expect("it catches panics"));
        tallies.fold(Tally::default(), Tally::and)
    });
    assert!(!has_failed.load(Ordering::Relaxed), "a world failed; its seed is above");
    tally
}

#[expect(clippy::disallowed_methods, reason = "a test is told what to run")]
fn number(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().expect("a number"))
}

#[expect(clippy::print_stderr, reason = "what the worlds went through")]
pub fn say(text: &str) {
    eprintln!("{text}");
}
