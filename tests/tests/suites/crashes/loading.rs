//! `load` and `unload` end in the middle of what they do.

use std::{fs, path::Path};

use redirector_tests::size::sized;

use crate::crashes::{
    FIRST_LOAD, OTHER_LAYOUT, OVER_A_LOAD, UNLOAD,
    dials::{CONFIG, Dials, Programs},
    points,
    stage::{LARGER, Stage},
    state::{HOOKS, assert_gone, assert_loaded, assert_no_hook_has_two, pins, programs, warnings},
};

/// At CI size a whole load follows one crash in so many; the others are followed by `unload`, or by the
/// next load that is ended.
const WHOLE: usize = 10;
/// Maps whose capacity the command line says, and `LARGER` says differently.
const SIZED: usize = 10;

#[test]
fn a_first_load_that_ends_anywhere_leaves_what_the_next_one_or_unload_makes_good() {
    let stage = Stage::new();
    let dials = Dials::start(&stage, Programs::ComeOrGo);
    let calls = stage.calls_of_load(&[]);
    let expected = pins(&stage);
    let mut youngest = assert_loaded(&stage, &expected, 0, "a whole load");
    stage.unload();
    assert_gone(&stage, "unload");

    let points = points::of(&calls);
    for (count, number) in points.iter().enumerate() {
        let after = format!("a load that ended before its call {number}, {}", calls[number - 1]);
        assert!(stage.crash_load(*number, &[]), "{after}: it has not");
        assert_no_hook_has_two(&stage, &after);
        if count % sized(1, WHOLE) == 0 {
            let log = stage.load(&[]);
            assert_eq!(warnings(&log), [""; 0], "after {after}");
            youngest = assert_loaded(&stage, &expected, youngest, &after);
            stage.unload();
            assert!(stage.crash_load(*number, &[]), "{after}: it has not");
        }
        stage.unload();
        assert_gone(&stage, &after);
    }
    assert!(points.len() >= FIRST_LOAD, "{} crash points", points.len());
    println!("a first load: {} crash points under {} dials", points.len(), dials.stop());
}

#[test]
fn a_load_over_an_earlier_one_that_ends_anywhere_is_not_noticed() {
    let stage = Stage::new();
    stage.write(CONFIG);
    let agent = stage.fill();
    let expected = pins(&stage);
    let calls = stage.calls_of_load(LARGER);
    let mut youngest = assert_loaded(&stage, &expected, 0, "a whole load");
    let dials = Dials::start(&stage, Programs::Serve);

    let points = points::of(&calls);
    for (count, number) in points.iter().enumerate() {
        let after = format!("a load that ended before its call {number}, {}", calls[number - 1]);
        assert!(stage.crash_load(*number, LARGER), "{after}: it has not");
        assert_eq!(programs(&stage).len(), HOOKS, "{after}");
        assert_no_hook_has_two(&stage, &after);
        if count % sized(1, WHOLE) == 0 {
            let log = stage.load(LARGER);
            let warnings = warnings(&log);
            // What is pinned keeps its capacity, and each of the maps that are sized says so.
            let is_so = |line: &&str| line.contains("the pinned map keeps its capacity");
            let kept = warnings.iter().filter(|line| is_so(line)).count();
            assert_eq!((kept, warnings.len()), (SIZED, SIZED), "after {after}: {warnings:?}");
            youngest = assert_loaded(&stage, &expected, youngest, &after);
        }
    }
    assert!(points.len() >= OVER_A_LOAD, "{} crash points", points.len());
    println!("a load over one: {} crash points under {} dials", points.len(), dials.stop());
    agent.finish().expect("the agent");
    assert_gone(&stage, "unload");
}

#[test]
fn a_load_over_maps_of_another_layout_that_ends_anywhere_leaves_what_serves() {
    let stage = Stage::new();
    stage.write(CONFIG);
    let agent = stage.fill();
    let expected = pins(&stage);
    let dials = Dials::start(&stage, Programs::ComeOrGo);
    // They are what they were, under the name of one that nothing can be made of.
    let (maps, earlier) = (stage.bpffs.maps_path(), stage.bpffs.pin_path().join("v0"));
    let set_back = || {
        take_away(&earlier);
        if maps.exists() {
            fs::rename(&maps, &earlier).expect("an earlier layout");
        }
    };
    set_back();
    let calls = stage.calls_of_load(&[]);
    let mut youngest = assert_loaded(&stage, &expected, 0, "a whole load");

    let points = points::of(&calls);
    for (count, number) in points.iter().enumerate() {
        let after = format!("a load that ended before its call {number}, {}", calls[number - 1]);
        set_back();
        assert!(stage.crash_load(*number, &[]), "{after}: it has not");
        assert_eq!(programs(&stage).len(), HOOKS, "{after}");
        assert_no_hook_has_two(&stage, &after);
        if count % sized(1, WHOLE) == 0 {
            assert_eq!(warnings(&stage.load(&[])), [""; 0], "after {after}");
            youngest = assert_loaded(&stage, &expected, youngest, &after);
        }
    }
    assert!(points.len() >= OTHER_LAYOUT, "{} crash points", points.len());
    println!("another layout: {} crash points under {} dials", points.len(), dials.stop());
    agent.finish().expect("the agent");
    assert_gone(&stage, "unload");
}

#[test]
fn an_unload_that_ends_anywhere_leaves_what_the_next_one_or_a_load_makes_good() {
    let stage = Stage::new();
    stage.write(CONFIG);
    let agent = stage.fill();
    let expected = pins(&stage);
    let dials = Dials::start(&stage, Programs::ComeOrGo);
    let mut youngest = assert_loaded(&stage, &expected, 0, "a whole load");

    // One call further each time: where the last one ended, the next one begins.
    let (mut points, mut repeated) = (0, 0);
    while stage.crash_unload(repeated + 2) {
        let calls = stage.crasher.calls().expect("its calls");
        points += 1;
        let done = &calls[repeated];
        let after = format!("an unload that ended after its call {points}, {done}");
        // A link is detached once more before its pin goes.
        repeated = usize::from(done.starts_with("link detach"));
        assert_no_hook_has_two(&stage, &after);
        if points % sized(1, WHOLE) == 0 {
            assert_eq!(warnings(&stage.load(&[])), [""; 0], "after {after}");
            youngest = assert_loaded(&stage, &expected, youngest, &after);
            assert!(stage.crash_unload(points + 1), "{after}: all at once it is shorter");
        }
    }
    assert_gone(&stage, "unload");
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
