//! How soon what an exporting cluster says is so for applications in another one.

use std::{
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    fleet::{Fleet, Setup},
    size::{is_left_to_full, sized},
};

use super::{
    fixture::WEB,
    joined::{joined, wait_for_backends},
};

/// The times of production, and no replica in east. What the others export is one Service: its end is more
/// than half of each.
fn elsewhere_only(clusters: usize) -> Fleet {
    let fleet = joined(&Setup { clusters, divisor: 1, ..Setup::default() }, &[]);
    fleet.member("east").put_slices("web", &[]);
    fleet.wait_for(WEB, &["west"]);
    fleet
}

#[test]
fn an_export_is_dialled_in_two_seconds_and_taken_back_in_two() {
    let fleet = elsewhere_only(2);
    let west = fleet.member("west");
    for _ in 0..sized(20, 3) {
        west.unexport("web");
        let gone = fleet.wait_within(Duration::from_secs(2), WEB, &["failed"]);
        west.export("web");
        let there = fleet.wait_within(Duration::from_secs(2), WEB, &["west"]);
        println!("un-export to last dial {gone:?}, export to first dial {there:?}");
    }
}

#[test]
fn readiness_arrives_within_a_second() {
    if is_left_to_full("fleet::readiness") {
        return;
    }
    let fleet = elsewhere_only(3);
    let others = ["west", "north"].map(|name| fleet.member(name));
    let mut took = Vec::new();
    for number in 0..sized(1_000, 100) {
        let is_ready = number % 2 == 1;
        let begun = Instant::now();
        others[number / 2 % 2].put_slices("web", &[(1, true), (2, is_ready)]);
        wait_for_backends(&fleet, if is_ready { 8 } else { 6 });
        took.push(begun.elapsed());
        // As of a cluster that lives, not of a test that waits.
        thread::sleep(Duration::from_millis(5));
    }
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
    println!("{} changes: p50 {:?}, p99 {:?}, longest {:?}", took.len(), at(50), at(99), at(100));
    assert!(at(99) <= Duration::from_secs(1), "{took:?}");
}
