//! `load` and `unload` end in the middle of what they do.

use std::{fs, path::Path};

use redirector_tests::size::sized;

use super::{
    FIRST_LOAD, OTHER_LAYOUT, OVER_A_LOAD, UNLOAD,
    dials::{CONFIG, Dials, Programs},
    fixture::{Fixture, LARGER},
    points,
    state::{HOOKS, assert_gone, assert_loaded, assert_no_hook_has_two, pins, programs, warnings},
};

/// At CI size a whole load follows one crash in so many; the others are followed by `unload`, or by the
/// next load that is ended.
const WHOLE: usize = 10;
/// Maps whose capacity the command line says, and `LARGER` says differently.
const SIZED: usize = 11;

#[test]
fn a_first_load_that_ends_anywhere_leaves_what_the_next_one_or_unload_makes_good() {
    let site = Fixture::new();
    let dials = Dials::start(&site, Programs::ComeOrGo);
    let calls = site.calls_of_load(&[]);
    let expected = pins(&site);
    let mut youngest = assert_loaded(&site, &expected, 0, "a whole load");
    site.unload();
    assert_gone(&site, "unload");

    let points = points::of(&calls);
    for (count, number) in points.iter().enumerate() {
        let after = format!("a load that ended before its call {number}, {}", calls[number - 1]);
        assert!(site.crash_load(*number, &[]), "{after}: it has not");
        assert_no_hook_has_two(&site, &after);
        if count % sized(1, WHOLE) == 0 {
            let log = site.load(&[]);
            assert_eq!(warnings(&log), [""; 0], "after {after}");
            youngest = assert_loaded(&site, &expected, youngest, &after);
            site.unload();
            assert!(site.crash_load(*number, &[]), "{after}: it has not");
        }
        site.unload();
        assert_gone(&site, &after);
    }
    assert!(points.len() >= FIRST_LOAD, "{} crash points", points.len());
    println!("a first load: {} crash points under {} dials", points.len(), dials.stop());
}

#[test]
fn a_load_over_an_earlier_one_that_ends_anywhere_is_not_noticed() {
    let site = Fixture::new();
    site.write(CONFIG);
    let agent = site.fill();
    let expected = pins(&site);
    let calls = site.calls_of_load(LARGER);
    let mut youngest = assert_loaded(&site, &expected, 0, "a whole load");
    let dials = Dials::start(&site, Programs::Serve);

    let points = points::of(&calls);
    for (count, number) in points.iter().enumerate() {
        let after = format!("a load that ended before its call {number}, {}", calls[number - 1]);
        assert!(site.crash_load(*number, LARGER), "{after}: it has not");
        assert_eq!(programs(&site).len(), HOOKS, "{after}");
        assert_no_hook_has_two(&site, &after);
        if count % sized(1, WHOLE) == 0 {
            let log = site.load(LARGER);
            let warnings = warnings(&log);
            // What is pinned keeps its capacity, and each of the maps that are sized says so.
            let is_so = |line: &&str| line.contains("the pinned map keeps its capacity");
            let kept = warnings.iter().filter(|line| is_so(line)).count();
            assert_eq!((kept, warnings.len()), (SIZED, SIZED), "after {after}: {warnings:?}");
            youngest = assert_loaded(&site, &expected, youngest, &after);
        }
    }
    assert!(points.len() >= OVER_A_LOAD, "{} crash points", points.len());
    println!("a load over one: {} crash points under {} dials", points.len(), dials.stop());
    agent.finish().expect("the agent");
    assert_gone(&site, "unload");
}

#[test]
fn a_load_over_maps_of_another_layout_that_ends_anywhere_leaves_what_serves() {
    let site = Fixture::new();
    site.write(CONFIG);
    let agent = site.fill();
    let expected = pins(&site);
    let dials = Dials::start(&site, Programs::ComeOrGo);
    // They are what they were, under the name of one that nothing can be made of.
    let (maps, earlier) = (site.bpffs.maps_path(), site.bpffs.pin_path().join("v0"));
    let set_back = || {
        take_away(&earlier);
        if maps.exists() {
            fs::rename(&maps, &earlier).expect("an earlier layout");
        }
    };
    set_back();
    let calls = site.calls_of_load(&[]);
    let mut youngest = assert_loaded(&site, &expected, 0, "a whole load");

    let points = points::of(&calls);
    for (count, number) in points.iter().enumerate() {
        let after = format!("a load that ended before its call {number}, {}", calls[number - 1]);
        set_back();
        assert!(site.crash_load(*number, &[]), "{after}: it has not");
        assert_eq!(programs(&site).len(), HOOKS, "{after}");
        assert_no_hook_has_two(&site, &after);
        if count % sized(1, WHOLE) == 0 {
            assert_eq!(warnings(&site.load(&[])), [""; 0], "after {after}");
            youngest = assert_loaded(&site, &expected, youngest, &after);
        }
    }
    assert!(points.len() >= OTHER_LAYOUT, "{} crash points", points.len());
    println!("another layout: {} crash points under {} dials", points.len(), dials.stop());
    agent.finish().expect("the agent");
    assert_gone(&site, "unload");
}

#[test]
fn an_unload_that_ends_anywhere_leaves_what_the_next_one_or_a_load_makes_good() {
    let site = Fixture::new();
    site.write(CONFIG);
    let agent = site.fill();
    let expected = pins(&site);
    let dials = Dials::start(&site, Programs::ComeOrGo);
    let mut youngest = assert_loaded(&site, &expected, 0, "a whole load");

    // One call further each time: where the last one ended, the next one begins.
    let (mut points, mut repeated) = (0, 0);
    while site.crash_unload(repeated + 2) {
        let calls = site.crasher.calls().expect("its calls");
        points += 1;
        let done = &calls[repeated];
        let after = format!("an unload that ended after its call {points}, {done}");
        // A link is detached once more before its pin goes.
        repeated = usize::from(done.starts_with("link detach"));
        assert_no_hook_has_two(&site, &after);
        if points % sized(1, WHOLE) == 0 {
            assert_eq!(warnings(&site.load(&[])), [""; 0], "after {after}");
            youngest = assert_loaded(&site, &expected, youngest, &after);
            assert!(site.crash_unload(points + 1), "{after}: all at once it is shorter");
        }
    }
    assert_gone(&site, "unload");
    // Each pin and directory, the uppermost one too, and each link; the last call ends it all.
    assert_eq!(points, expected.len() + HOOKS);
    assert!(points >= UNLOAD, "{points} crash points");
    println!("unload: {points} crash points under {} dials", dials.stop());
    agent.finish().expect("the agent");
}

/// The pins of maps, and their directory.
fn take_away(maps: &Path) {
    for pin in fs::read_dir(maps).into_iter().flatten().flatten() {
        fs::remove_file(pin.path()).expect("a pin");
    }
    let _ = fs::remove_dir(maps);
}
