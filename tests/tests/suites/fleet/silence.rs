//! What the agent does when a cluster is not heard, as the importer says it in `status.phase`, or when
//! no importer is there to say anything.

use std::{
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    dialer::now_us,
    fleet::{Fleet, Setup, by_cluster},
    size::sized,
};
use serde_json::json;

use super::fixture::{WEB, kill, ordered, say};

/// From the word that a cluster is silent to its backends being out: jitter 0.3 s, probes of 0.5 s, the
/// verdict of the sample after 1 s.
const SILENCE: Duration = Duration::from_millis(2_000);

/// West carries: east has lost its replicas.
fn west_carries(phase: Option<&str>) -> Fleet {
    west_carries_with(&json!({}), phase)
}

fn west_carries_with(fields: &serde_json::Value, phase: Option<&str>) -> Fleet {
    let mut fleet = ordered(&Setup::default(), fields, phase);
    fleet.wait_for(WEB, &["east"]);
    fleet.wait_for_probes("web");
    kill(&mut fleet, "east");
    fleet.wait_for(WEB, &["west"]);
    fleet
}

#[test]
fn a_silent_cluster_that_is_dead_is_left_without_one_dial() {
    let fleet = west_carries(Some("Live"));
    // Nothing is under way: what is known of west comes from the word and from probes alone.
    thread::sleep(Duration::from_millis(sized(6_000, 500)));
    fleet.member("west").data.cut().expect("a cut");
    say(&fleet, "west", "Silent");
    thread::sleep(SILENCE);
    let dialled = fleet.dial(WEB, 50);
    assert_eq!(by_cluster(&dialled), [("north".to_owned(), 100)].into(), "{}", fleet.context());
    fleet.member("west").data.heal().expect("it heals");
    say(&fleet, "west", "Live");
    let back = fleet.wait_within(Duration::from_secs(60), WEB, &["west"]);
    println!("north without a dial in {SILENCE:?}; west again {back:?} after it was heard");
}

#[test]
fn a_silent_cluster_that_answers_keeps_its_traffic() {
    let fleet = west_carries(Some("Live"));
    let load = fleet.load(WEB, 200);
    say(&fleet, "west", "Silent");
    thread::sleep(Duration::from_secs(sized(60, 3)));
    let (all, sums) = load.stop().expect("a load");
    let seen = by_cluster(
        &all.into_iter().filter_map(redirector_tests::dialer::Line::dialled).collect::<Vec<_>>(),
    );
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["west"], "{seen:?}\n{}", fleet.context());
    println!("silent and alive: {} dials, {} failed, all to west", sums.dials, sums.failed);
}

#[test]
fn lost_is_out_although_it_answers_and_so_is_silent_where_that_was_asked_for() {
    let fleet = west_carries(Some("Live"));
    say(&fleet, "west", "Lost");
    let lost = fleet.wait_within(Duration::from_secs(5), WEB, &["north"]);
    drop(fleet);
    let fleet = west_carries_with(&json!({"onSilence": "Drop"}), Some("Live"));
    say(&fleet, "west", "Silent");
    let dropped = fleet.wait_within(Duration::from_secs(5), WEB, &["north"]);
    println!("lost: {lost:?}, silent with Drop: {dropped:?}");
}

#[test]
fn without_an_importer_a_dead_cluster_that_is_in_use_is_left_by_the_agent_itself() {
    let fleet = west_carries(None);
    let load = fleet.load(WEB, 50);
    thread::sleep(Duration::from_secs(1));
    let cut = now_us();
    fleet.member("west").data.cut().expect("a cut");
    let begun = Instant::now();
    thread::sleep(Duration::from_secs(6));
    let dialled = load.dialled().expect("a load");
    let to_west = |one: &&redirector_tests::dialer::Dialled| {
        one.outcome.as_ref().is_ok_and(|name| name.starts_with("west")) || one.outcome.is_err()
    };
    let after: Vec<_> = dialled.iter().filter(|one| one.at_us > cut).collect();
    let last = after.iter().copied().filter(to_west).map(|one| one.at_us - cut).max().unwrap_or(0);
    let first = after.iter().map(|one| one.at_us - cut).min().unwrap_or(0);
    let failed = after.iter().filter(|one| one.outcome.is_err()).count();
    let seconds = |us: u64| us as f64 / 1e6;
    println!(
        "no importer: first dial {:.2} s after the cut, last one to west {:.2} s, {failed} failed of {}",
        seconds(first),
        seconds(last),
        after.len()
    );
    assert!(last - first <= 5_000_000, "{last} µs\n{}", fleet.context());
    assert!(begun.elapsed() >= Duration::from_secs(5));
    assert_eq!(by_cluster(&fleet.dial(WEB, 20)), [("north".to_owned(), 40)].into());
}
