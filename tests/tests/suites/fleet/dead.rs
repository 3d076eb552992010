//! Clusters die, whole or in part, with the importer's real times: who carries then, and how soon.

use std::{thread, time::Duration};

use redirector_tests::{
    api::Verb,
    dialer::Dial,
    fleet::{Controller, Fleet, Setup, by_cluster, frontends},
    size::{is_left_to_full, sized},
};

use super::{
    fixture::{WEB, kill},
    joined::{Seen, joined, now, west_carries},
};

/// What a cluster that is dead may keep.
const LONGEST: Duration = Duration::from_secs(5);

/// The times of production.
fn real() -> Setup {
    Setup { divisor: 1, ..Setup::default() }
}

#[test]
fn when_all_own_replicas_die_west_carries_and_gives_back() {
    let mut fleet = joined(&Setup::default(), &[]);
    let load = fleet.load(WEB, 200);
    thread::sleep(Duration::from_millis(500));
    let from = now();
    kill(&mut fleet, "east");
    let longest = Duration::from_secs(5);
    fleet.wait_within(longest, WEB, &["west"]);
    thread::sleep(Duration::from_millis(500));
    let seen = Seen::of(load, from);
    println!(
        "own replicas killed: {} failed of {}, {:?}, the first to west after {:?}",
        seen.failed(),
        seen.dialled.len(),
        seen.by_cluster(),
        seen.first_to("west")
    );
    // As in a single cluster: each backend of one family is left at its third refusal.
    assert!(seen.failed() <= 6, "{}", seen.failed());
    assert_eq!(seen.by_cluster().get("north"), None);

    let load = fleet.load(WEB, 200);
    let from = now();
    fleet.member_mut("east").replicas.iter_mut().for_each(|one| one.restart().expect("it starts"));
    fleet.wait_within(Duration::from_secs(60), WEB, &["east"]);
    let seen = Seen::of(load, from);
    println!(
        "own replicas again: {} failed, first to east after {:?}",
        seen.failed(),
        seen.first_to("east")
    );
    assert_eq!(seen.failed(), 0);
}

#[test]
fn a_cluster_that_dies_is_left_in_five_seconds_without_one_dial_and_nothing_is_deleted() {
    let fleet = west_carries(&real(), &[]);
    // What its sockets did last is forgotten only after 5 min: nothing more is dialled from here on.
    die(&fleet);
    thread::sleep(LONGEST);
    let dialled = fleet.dial(WEB, 100);
    println!("dead in control and data, first dials {LONGEST:?} later: {:?}", by_cluster(&dialled));
    assert_eq!(by_cluster(&dialled), [("north".to_owned(), 200)].into(), "{}", fleet.context());
    assert_eq!(fleet.member("east").phase("west").as_deref(), Some("Silent"));
    let deletes = deletes(&fleet);
    assert_eq!(deletes, 0, "{}", fleet.context());

    fleet.member("west").control.heal().expect("it heals");
    fleet.member("west").data.heal().expect("it heals");
    let load = fleet.load(WEB, 100);
    let from = now();
    let back = fleet.wait_within(Duration::from_secs(90), WEB, &["west"]);
    let seen = Seen::of(load, from);
    println!(
        "healed: west again after {back:?}, {} failed of {}",
        seen.failed(),
        seen.dialled.len()
    );
    assert_eq!(seen.failed(), 0);
}

#[test]
fn a_cluster_that_dies_in_use_is_left_after_a_few_connects() {
    for family in 0..sized(2, 1) {
        let fleet = west_carries(&Setup::default(), &[]);
        let mut client = fleet.client();
        let dial = Dial { timeout_ms: 5_000, ..Dial::tcp(frontends(WEB)[family]) };
        client.dial(dial, 50).expect("dials");
        die(&fleet);
        let from = now();
        let dialled = client.dial(dial, 30).expect("dials");
        let seen = Seen { dialled, from };
        println!(
            "{}: dead in use: {} connects failed, the last of them began {:?} after; {:?}",
            dial.address,
            seen.failed(),
            seen.last_to("west"),
            seen.by_cluster()
        );
        assert!(seen.failed() <= 5, "{}\n{}", seen.failed(), fleet.context());
        assert!(seen.last_to("west") <= Duration::from_millis(1_100), "{:?}", seen.last_to("west"));
        assert_eq!(
            by_cluster(&seen.dialled[seen.failed()..]).keys().collect::<Vec<_>>(),
            ["north"]
        );
    }
}

#[test]
fn without_an_importer_a_cluster_that_dies_is_left_five_seconds_after_the_first_dial() {
    if is_left_to_full("fleet::dead_without_an_importer") {
        return;
    }
    let mut fleet = west_carries(&real(), &[]);
    fleet.member_mut("east").controllers.iter_mut().for_each(Controller::kill);
    let from = now();
    fleet.member("west").data.cut().expect("a cut");
    let load = fleet.load(WEB, 50);
    thread::sleep(LONGEST + Duration::from_secs(2));
    let seen = Seen::of(load, from);
    let took = seen.last_to("west").saturating_sub(seen.first());
    println!(
        "no importer: {} failed, the last to west {took:?} after the first dial",
        seen.failed()
    );
    assert!(took <= LONGEST, "{took:?}\n{}", fleet.context());
    assert_eq!(by_cluster(&fleet.dial(WEB, 50)), [("north".to_owned(), 100)].into());
    assert_eq!(deletes(&fleet), 0);
}

/// West is cut off, in control and in data.
fn die(fleet: &Fleet) {
    fleet.member("east").api.forget_requests();
    fleet.member("west").control.cut().expect("a cut");
    fleet.member("west").data.cut().expect("a cut");
}

/// Deletions at east's API server since [`die`].
fn deletes(fleet: &Fleet) -> usize {
    let requests = fleet.member("east").api.requests().into_iter();
    requests.filter(|request| matches!(request.verb, Verb::Delete | Verb::DeleteCollection)).count()
}
