//! Drains and their ends: how soon connects follow, and what a death of the agent changes.

use std::{thread, time::Duration};

use redirector_tests::dialer::{Dialled, now_us};
use serde_json::json;

use super::fixture::{FLAT, load, names, zones};

/// How soon connects must follow an operator.
const PROMPT_US: u64 = 100_000;
/// How long is watched what has changed.
const WATCHED: Duration = Duration::from_millis(300);

/// What is drained, and who is that.
const DRAINS: [(&str, &[&str]); 6] = [
    ("backend=10.77.2.1:8001", &["a1"]),
    ("node=n2", &["a1", "a2"]),
    ("zone=b", &["b"]),
    ("node=west/n4", &["x"]),
    ("zone=west/x", &["x"]),
    ("cluster=west", &["x"]),
];

#[test]
fn connects_follow_a_drain_and_its_end_within_100_ms() {
    let zones = zones();
    let load = load(&zones, FLAT);
    let mut times = Vec::new();
    for (subject, _) in DRAINS {
        times.push([("drain", now_us()), ("undrain", 0)].map(|(verb, _)| {
            let ordered = now_us();
            zones.agent.answer(verb, &[subject]);
            let in_force = now_us();
            thread::sleep(WATCHED);
            (ordered, in_force, now_us())
        }));
    }
    let dialled = load.dialled().expect("the end of a load");

    for ((subject, gone), [drain, undrain]) in DRAINS.into_iter().zip(times) {
        let in_time =
            |from: u64, to: u64| dialled.iter().filter(move |one| (from..to).contains(&one.at_us));
        let by_gone = |one: &&Dialled| gone.iter().any(|name| one.outcome.as_deref() == Ok(name));
        let (ordered, in_force, end) = drain;
        let last = in_time(ordered, end).rfind(by_gone).map_or(0, |one| one.at_us - ordered);
        let after = in_time(in_force, end).filter(by_gone).count();
        let (ordered, _, end) = undrain;
        let back = |name: &&str| {
            let mut answers = in_time(ordered, end);
            let first = answers.find(|one| one.outcome.as_deref() == Ok(name));
            first.unwrap_or_else(|| panic!("{name} does not come back")).at_us - ordered
        };
        let back = gone.iter().map(back).max().expect("somebody");
        println!(
            "drain {subject}: the last connect {last} µs after the order; {after} of {} after the \
             command; undrain: the first {back} µs after the order",
            in_time(in_force, drain.2).count(),
        );
        assert!(last <= PROMPT_US, "{subject}: {last} µs");
        assert_eq!(after, 0, "{subject}: it was said to be in force");
        assert!(back <= PROMPT_US, "{subject}: {back} µs");
    }
    assert_eq!(dialled.iter().find(|one| one.outcome.is_err()), None, "nobody fails");
    assert_eq!(zones.agent.answer_json("orders", &[]), json!([]));
    zones.agent.finish().expect("the agent");
}

#[test]
fn a_drain_outlives_the_agent_and_the_maps() {
    let mut zones = zones();
    let orders = json!([{"drain": "backend=10.77.2.1:8001/tcp"}, {"drain": "zone=b"}]);
    zones.agent.answer("drain", &["zone=b", "backend=10.77.2.1:8001"]);
    assert_eq!(zones.agent.answer_json("orders", &[]), orders);

    let running = load(&zones, FLAT);
    for _ in 0..5 {
        zones.agent.restart().expect("the agent after a crash");
        assert_eq!(zones.agent.answer_json("orders", &[]), orders);
    }
    thread::sleep(WATCHED);
    let dialled = running.dialled().expect("the end of a load");
    println!("5 crashes of the agent: {} connects", dialled.len());
    assert!(names(&dialled).iter().eq(&["a2", "x"]), "{:?}", names(&dialled));
    assert_eq!(dialled.iter().find(|one| one.outcome.is_err()), None, "nobody fails");

    // Nothing but the file with the orders knows of them now.
    zones.agent.stop().expect("the end of the agent");
    zones.agent.printed("unload", &[]);
    let running = load(&zones, FLAT);
    zones.agent.spawn_again().expect("the agent");
    zones.agent.wait_until_ready().expect("it is ready");
    assert_eq!(zones.agent.answer_json("orders", &[]), orders);
    thread::sleep(WATCHED);
    let dialled = running.dialled().expect("the end of a load");
    let first = dialled.iter().position(|one| one.outcome.is_ok()).expect("an answer");
    println!("new maps: {} connects, {first} before there were any", dialled.len());
    assert!(names(&dialled).iter().eq(&["a2", "x"]), "{:?}", names(&dialled));

    zones.agent.answer("undrain", &["zone=b", "backend=10.77.2.1:8001"]);
    let dialled = zones.dial(FLAT, 200);
    assert!(names(&dialled).iter().eq(&["a1", "a2", "b", "x"]), "{:?}", names(&dialled));
    zones.agent.restart().expect("the agent after a crash");
    assert_eq!(zones.agent.answer_json("orders", &[]), json!([]), "its end is kept, too");
    zones.agent.finish().expect("the agent");
}
