//! The agent ends in the middle of its start, and of its stop.

use redirector_tests::{agent::Agent, size::sized};

use super::{
    FIRST_START, NEXT_START,
    dials::{CONFIG, Dials, Programs},
    fixture::Fixture,
    lives::{self, CONTROL, End},
    points,
    state::{HOOKS, assert_gone, assert_loaded, assert_no_hook_has_two, pins, programs, warnings},
};

/// At CI size a whole life follows one crash in so many; the others are followed by the next crash.
const WHOLE: usize = 6;
/// Of the calls that a start has in common with `load`, one in so many, at CI size.
const OF_LOAD: usize = 7;

#[test]
fn a_first_start_that_ends_anywhere_leaves_what_the_next_one_makes_good() {
    let site = Fixture::new();
    site.write(CONFIG);
    let dials = Dials::start(&site, Programs::ComeOrGo);
    let (mut agent, calls) = lives::first(&site);
    let expected = pins(&site);
    let mut youngest = assert_loaded(&site, &expected, 0, "a whole start");
    agent.kill9();
    site.unload();

    let mut points = 0;
    for number in numbers(&calls) {
        let after = format!("a start that ended before its call {number}, {}", calls[number - 1]);
        if lives::start(&mut agent, &site, number) == End::Ready {
            // Its tasks are in no fixed order: this time it made fewer calls.
            agent.kill9();
        } else {
            points += 1;
        }
        assert_no_hook_has_two(&site, &after);
        if points % sized(1, WHOLE) == 0 {
            lives::start_whole(&mut agent, &site);
            assert_eq!(lives::files(&agent), [CONTROL], "after {after}");
            youngest = assert_loaded(&site, &expected, youngest, &after);
            agent.kill9();
        }
        site.unload();
        assert_gone(&site, &after);
    }
    assert!(points + 3 >= numbers(&calls).len(), "only {points} of {calls:?}");
    assert_eq!(warnings(&agent.log()), [""; 0]);
    assert!(points >= FIRST_START, "{points} crash points");
    println!("an agent's first start: {points} crash points under {} dials", dials.stop());
}

#[test]
fn a_start_in_an_unchanged_world_that_ends_anywhere_is_not_noticed() {
    let site = Fixture::new();
    site.write(CONFIG);
    let (mut agent, _) = lives::first(&site);
    let expected = pins(&site);
    let services = lives::services(&agent);
    let dials = Dials::start(&site, Programs::Serve);
    agent.kill9();
    lives::start_whole(&mut agent, &site);
    let calls = site.crasher.calls().expect("its calls");
    let mut youngest = assert_loaded(&site, &expected, 0, "a whole start");
    agent.kill9();

    let mut points = 0;
    for number in numbers(&calls) {
        let after = format!("a start that ended before its call {number}, {}", calls[number - 1]);
        if lives::start(&mut agent, &site, number) == End::Ready {
            agent.kill9();
        } else {
            points += 1;
        }
        assert_eq!(programs(&site).len(), HOOKS, "{after}");
        assert_no_hook_has_two(&site, &after);
        if points % sized(1, WHOLE) == 0 {
            lives::start_whole(&mut agent, &site);
            assert_eq!(lives::files(&agent), [CONTROL], "after {after}");
            assert_eq!(lives::services(&agent), services, "after {after}");
            youngest = assert_loaded(&site, &expected, youngest, &after);
            agent.kill9();
        }
    }
    assert!(points + 3 >= numbers(&calls).len(), "only {points} of {calls:?}");
    assert_eq!(warnings(&agent.log()), [""; 0]);
    assert!(points >= NEXT_START, "{points} crash points");
    println!("an agent's next start: {points} crash points under {} dials", dials.stop());
    finish(agent, &site);
}

/// Of the calls that are those of `load` some, of the others all.
fn numbers(calls: &[String]) -> Vec<usize> {
    let is_link = |call: &String| call.contains("link") || call.starts_with("rmdir");
    let of_load = calls.iter().rposition(is_link).map_or(0, |last| last + 1);
    let is_wanted = |number: &usize| *number > of_load || number.is_multiple_of(sized(1, OF_LOAD));
    points::of(calls).into_iter().filter(is_wanted).collect()
}

fn finish(mut agent: Agent, site: &Fixture) {
    lives::start_whole(&mut agent, site);
    agent.finish().expect("the agent");
    assert_gone(site, "unload");
}
