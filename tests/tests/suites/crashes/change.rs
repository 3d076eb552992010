//! The agent ends in the middle of a change: of its file, or of its orders.

use std::{collections::BTreeSet, fmt::Write as _};

use redirector_tests::{agent::Agent, size::sized, wait::wait_until};
use serde_json::{Value, json};

use super::{
    dials::{CONFIG, Dials, Programs},
    fixture::Fixture,
    lives::{self, CONTROL, End, ORDERS, Services},
    state::{HOOKS, assert_gone, assert_no_hook_has_two, programs, warnings},
};

/// Kills in mid-change are at least this many.
const LEAST: usize = 30;
/// Of the calls of a change of the file, one in so many, at CI size.
const EACH: usize = 2;
/// In force from the first life to the last: no dial may reach that node.
const DRAINED: &str = "node=n2";
/// Given and taken back; nothing that is dialled depends on it.
const TOGGLED: &str = "backend=10.77.3.1:9001";

/// Services beside those that are dialled: the name of each, its frontend's last number, the port of its
/// backends.
type Others = &'static [(&'static str, u8, u16)];

/// The agent is led from each to the next, and back.
const WORLDS: [Others; 5] = [
    &[("one", 1, 9001)],
    // Added.
    &[("one", 1, 9001), ("two", 2, 9002), ("three", 3, 9003), ("four", 4, 9004)],
    // Their backends changed.
    &[("one", 1, 9001), ("two", 2, 9012), ("three", 3, 9013), ("four", 4, 9014)],
    // Frontends moved: between services, to a new one, to new addresses.
    &[("one", 1, 9001), ("three", 2, 9013), ("two", 3, 9012), ("five", 4, 9014), ("four", 6, 9014)],
    // Removed.
    &[("one", 1, 9001), ("five", 7, 9004)],
];

#[test]
fn a_change_that_ends_anywhere_is_completed_by_the_next_life_and_no_order_is_lost() {
    let site = Fixture::new();
    site.write(&config(WORLDS[0]));
    let (mut agent, _) = lives::first(&site);
    assert!(order(&agent, "drain", DRAINED), "the drain");
    lives::await_quiet(&mut agent);
    let dials = Dials::start(&site, Programs::Serve).without("-n2");

    let mut kills = 0;
    let steps = WORLDS.windows(2).map(|pair| (pair[0], pair[1]));
    for (before, after) in steps.chain([(WORLDS[4], WORLDS[0])]) {
        for number in (1..).step_by(sized(1, EACH)) {
            // There and back: each way is ended before its call of that number.
            let there = change(&mut agent, &site, after, number);
            let back = change(&mut agent, &site, before, number);
            kills += usize::from(there) + usize::from(back);
            if !there && !back {
                break;
            }
        }
        assert!(!change(&mut agent, &site, after, usize::MAX), "nothing ends it");
    }
    for number in 1.. {
        let given = toggle(&mut agent, &site, "drain", number);
        let taken = toggle(&mut agent, &site, "undrain", number);
        kills += usize::from(given) + usize::from(taken);
        if !given && !taken {
            break;
        }
    }

    println!("changes: {kills} kills under {} dials", dials.stop());
    assert!(kills >= LEAST, "{kills} kills");
    let log = agent.log();
    // The drain, and each life that finds it in its file.
    let is_strange = |line: &&str| !line.contains("failed over") && !line.contains("rerouted");
    let strange: Vec<_> = warnings(&log).into_iter().filter(is_strange).collect();
    assert_eq!(strange, [""; 0]);
    site.crasher.set_end(None).expect("no end");
    agent.finish().expect("the agent");
    assert_gone(&site, "unload");
}

/// The file lists these from now on; the agent ends before its `number`-th call of what follows, if it
/// makes so many, and the next life makes good. Whether it ended.
fn change(agent: &mut Agent, site: &Fixture, others: Others, number: usize) -> bool {
    site.crasher.set_end(Some(number)).expect("an end");
    site.write(&config(others));
    let wanted = services(others);
    let has_crashed = loop {
        if agent.has_crashed().expect("no other end") {
            break true;
        }
        if lives::services(agent) == wanted && lives::await_quiet(agent) == End::Ready {
            break false;
        }
    };
    if has_crashed {
        let calls = site.crasher.calls().expect("its calls");
        begin_again(agent, site);
        lives::wait_for_services(agent, &wanted);
        let after = format!("a change that ended before its call {number} of {calls:?}");
        assert_sound(agent, site, &after);
        assert_eq!(lives::orders(agent), [json!({"drain": DRAINED})], "after {after}");
    }
    has_crashed
}

/// The same for an order. One that was said to be in force is; one that was not may be.
fn toggle(agent: &mut Agent, site: &Fixture, command: &str, number: usize) -> bool {
    site.crasher.set_end(Some(number)).expect("an end");
    let is_said = order(agent, command, TOGGLED);
    if !is_said {
        // Nothing else keeps the answer back.
        wait_until("the agent has ended", || agent.has_crashed().expect("no other end"));
    }
    let has_crashed = lives::await_quiet(agent) == End::Crashed;
    if has_crashed {
        begin_again(agent, site);
    }
    let after = format!("{command}, which ended before its call {number}");
    let orders: BTreeSet<String> = lives::orders(agent).iter().map(Value::to_string).collect();
    let is_kept = orders.contains(&json!({"drain": DRAINED}).to_string());
    let is_there = orders.contains(&json!({"drain": format!("{TOGGLED}/tcp")}).to_string());
    let is_done = is_there == (command == "drain");
    assert!(is_kept && (is_done || !is_said), "after {after}: {orders:?}");
    assert_eq!(orders.len(), 1 + usize::from(is_there), "after {after}: {orders:?}");
    if has_crashed {
        assert_sound(agent, site, &after);
    }
    if !is_done {
        site.crasher.set_end(None).expect("no end");
        assert!(order(agent, command, TOGGLED), "after {after}");
    }
    has_crashed
}

fn begin_again(agent: &mut Agent, site: &Fixture) {
    assert_eq!(programs(site).len(), HOOKS);
    assert_no_hook_has_two(site, "a change");
    lives::start_whole(agent, site);
}

/// There is nothing in its run directory that does not belong there.
fn assert_sound(agent: &Agent, site: &Fixture, after: &str) {
    assert_eq!(lives::files(agent), [CONTROL, ORDERS], "after {after}");
    assert_no_hook_has_two(site, after);
}

fn order(agent: &Agent, command: &str, subject: &str) -> bool {
    agent.ask(command, &[subject]).expect("it runs").status.success()
}

fn config(others: Others) -> String {
    let mut text = CONFIG.to_owned();
    for (name, last, port) in others {
        let _ = write!(
            text,
            "- name: other/{name}\n  frontends: ['10.96.1.{last}:80/tcp', '[fd00:96::1:{last}]:80/tcp']\n  \
             backends:\n  \
             - {{address: '10.77.3.1:{port}', node: n3, zone: a, region: eu}}\n  \
             - {{address: '[fd77::3:1]:{port}', node: n3, zone: a, region: eu}}\n"
        );
    }
    text
}

/// What the maps hold then.
fn services(others: Others) -> Services {
    let of = |frontends: [String; 2], backends: &[String]| {
        (frontends.into_iter().collect(), backends.iter().cloned().collect())
    };
    let both = |port: u16| {
        ["10.77.2.1", "10.77.3.1", "fd77::2:1", "fd77::3:1"].map(|at| format!("{at}:{port}"))
    };
    let dialled = |port: u16| ["10.77.4.1", "fd77::4:1"].map(|at| format!("{at}:{port}"));
    let mut services = Services::from([
        ("crash/web".to_owned(), of(dialled(80), &both(8081))),
        ("crash/dns".to_owned(), of(dialled(53), &both(8082))),
    ]);
    for (name, last, port) in others {
        let frontends = [format!("10.96.1.{last}:80"), format!("fd00:96::1:{last}:80")];
        let backends = [format!("10.77.3.1:{port}"), format!("fd77::3:1:{port}")];
        services.insert(format!("other/{name}"), of(frontends, &backends));
    }
    services
}
