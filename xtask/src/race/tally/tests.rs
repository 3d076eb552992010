use super::*;
use crate::race::{attempt::Step, cast::Member};

/// Seconds, as microseconds.
const S: u64 = 1_000_000;

#[test]
fn what_was_under_way_at_the_fault_counts_and_what_was_over_does_not() {
    let attempts = [
        lost(5 * S, S / 2),  // over
        lost(9 * S, 3 * S),  // under way
        lost(12 * S, S / 5), // after
        lost(41 * S, S / 5), // after the end
    ];

    let failed = failed(&attempts, 10 * S, 40 * S);

    assert_eq!(failed, Failed { count: 2, last: Some(2.0) });
}

#[test]
fn one_that_was_under_way_began_at_the_fault() {
    assert_eq!(failed(&[lost(9 * S, 3 * S)], 10 * S, 40 * S).last, Some(0.0));
    assert_eq!(failed(&[served("a1", 11 * S)], 10 * S, 40 * S), Failed::default());
}

#[test]
fn a_failed_attempt_is_of_the_fault_or_of_the_return_never_of_both() {
    let attempts = vec![lost(19 * S, 3 * S), lost(21 * S, 3 * S)];
    let seen = Seen { open: Report { attempts, held: Vec::new() }, ..Seen::default() };
    let times = Times { fault_us: 10 * S, took_us: 0, second_us: Some(20 * S), end_us: 30 * S };

    let figures = Figures::of(&seen, times, 100, true);

    assert_eq!((figures.failed.count, figures.second.map(|failed| failed.count)), (1, Some(1)));
    assert_eq!((figures.attempts, figures.planned, figures.before), (2, 2000, 0));
}

#[test]
fn a_zone_is_back_when_it_has_its_share_and_not_at_its_first_reply() {
    let mut attempts: Vec<_> = (0..100).map(|at| served("a1", at * S / 10)).collect();
    attempts.extend((100..200).map(|at| served("b1", at * S / 10)));
    // The first reply after one second, half of them after two, all of them after four.
    attempts.extend((200..210).map(|at| served("b1", at * S / 10)));
    attempts
        .extend((210..240).map(|at| served(if at % 2 == 0 { "a2" } else { "c1" }, at * S / 10)));
    attempts.extend((240..300).map(|at| served("a3", at * S / 10)));

    let back = back(&attempts, 10 * S, 20 * S, 30 * S);

    assert_eq!(back.first, Some(1.001));
    let most = back.most.expect("it is back");
    assert!((4.5..=5.1).contains(&most), "{most}");
}

#[test]
fn a_third_of_the_attempts_is_all_that_a_client_without_zones_had() {
    let thirds = |from: u64, to: u64| {
        (from..to).map(|at| served(["a1", "b1", "c1"][at as usize % 3], at * S / 10))
    };
    let away = (100..200).map(|at| served("b1", at * S / 10));
    let attempts: Vec<_> = thirds(0, 100).chain(away).chain(thirds(200, 300)).collect();

    assert!(back(&attempts, 10 * S, 20 * S, 30 * S).most.is_some_and(|most| most < 1.5));
}

#[test]
fn only_connections_to_the_lost_zone_shall_end() {
    let held = |name, ended_us| Held { by: Member::named(name), ended_us };
    let all =
        [held("a1", Some(12 * S)), held("a2", Some(18 * S)), held("a3", None), held("b1", None)];

    let ended = ended(&all, 10 * S);

    assert_eq!((ended.count, ended.alive), (3, 1));
    assert_eq!((ended.median, ended.last), (Some(5.0), Some(8.0)));
}

#[test]
fn a_median_is_in_the_middle() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[4.0, 1.0]), Some(2.5));
}

fn lost(at_us: u64, took_us: u64) -> Attempt {
    Attempt { at_us, took_us, outcome: Err(Step::Reply) }
}

fn served(by: &str, at_us: u64) -> Attempt {
    Attempt { at_us, took_us: S / 1000, outcome: Ok(Member::named(by)) }
}
