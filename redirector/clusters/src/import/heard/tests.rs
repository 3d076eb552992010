//! Phases by heartbeats alone.

use super::*;

const FACTS: Facts = Facts {
    is_complete: true,
    is_incomplete: false,
    is_refused: false,
    is_unauthorized: false,
    is_other: false,
    failure: None,
    keep_for: Duration::from_mins(15),
};

fn at(millis: u64) -> Moment {
    Moment(Duration::from_millis(millis))
}

/// Lets time pass until then, in steps of 50 ms; a heartbeat comes every second while the link is
/// up, and what was missed comes with the first one after it. Returns how often the phase changed.
fn pass(heard: &mut Heard, from: u64, to: u64, is_up: impl Fn(u64) -> bool) -> usize {
    let timing = Timing::divided_by(1);
    let (mut changes, mut told) = (0, from / 1_000);
    for now in (from..to).step_by(50) {
        if is_up(now) && now / 1_000 > told {
            told = now / 1_000;
            heard.beat(at(now), &timing);
        }
        changes += usize::from(heard.judge(at(now), FACTS, &timing).is_some());
    }
    changes
}

#[test]
fn a_cluster_is_live_after_calm_silent_after_three_seconds_and_lost_after_keep_for() {
    let mut heard = Heard::new(State::Joining, at(0));
    assert_eq!(pass(&mut heard, 0, 4_000, |_| true), 0, "heartbeats at 1 s, 2 s, 3 s");
    assert_eq!(pass(&mut heard, 4_000 - 50, 4_050, |_| true), 1);
    assert_eq!(heard.state(), State::Live);
    assert_eq!(pass(&mut heard, 4_050, 10_000, |_| false), 1);
    assert!(
        matches!(heard.state(), State::Silent { since, why: Silence::ExporterSilent } if since == at(7_000))
    );
    assert_eq!(pass(&mut heard, 10_000, 907_000, |_| false), 0);
    assert_eq!(pass(&mut heard, 907_000, 907_050, |_| false), 1);
    assert_eq!(heard.state(), State::Lost);
    assert_eq!(pass(&mut heard, 908_000, 920_000, |_| true), 1);
    assert_eq!(heard.state(), State::Live);
}

#[test]
#[expect(clippy::print_stdout, reason = "how often the phase changed")]
fn a_link_toggled_every_two_seconds_for_five_minutes_changes_the_phase_at_most_four_times() {
    for period in [1_000, 1_500, 1_900, 2_000, 2_050, 2_500, 3_000, 4_000] {
        let mut most = 0;
        for offset in (0..1_000).step_by(50) {
            let mut heard = Heard::new(State::Joining, at(0));
            pass(&mut heard, 0, 10_000, |_| true);
            assert_eq!(heard.state(), State::Live);
            let is_up = |now: u64| ((now + offset) / period).is_multiple_of(2);
            let changes = pass(&mut heard, 10_000, 310_000, is_up);
            most = most.max(changes);
            assert!(period != 2_000 || changes <= 4, "{changes} changes at offset {offset}");
            // Slower ones are real outages; damping bounds them: at least one per calm.
            assert!(changes <= 20, "{changes} changes at period {period}, offset {offset}");
        }
        println!("toggled every {period} ms for 5 min: at most {most} changes");
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "how often the phase changed")]
fn the_third_silence_in_ten_minutes_doubles_the_calm_up_to_a_minute() {
    let timing = Timing::divided_by(1);
    let calms: Vec<u64> = (0..9).map(|silences| timing.calm_after(silences).as_secs()).collect();
    assert_eq!(calms, [3, 3, 3, 6, 12, 24, 48, 60, 60]);
    // Up for 20 s, down for 5 s: each outage is a silence, and the way back takes longer and longer.
    let mut heard = Heard::new(State::Joining, at(0));
    let changes = pass(&mut heard, 0, 600_000, |now| now % 25_000 < 20_000);
    println!("20 s up, 5 s down for 10 min: {changes} changes");
    assert!(changes <= 12, "{changes}");
    // After 10 min of peace the calm is 3 s again.
    pass(&mut heard, 600_000, 1_300_000, |_| true);
    assert_eq!(pass(&mut heard, 1_300_000, 1_304_000, |_| false), 1);
    assert_eq!(pass(&mut heard, 1_304_000, 1_309_000, |_| true), 1);
    assert_eq!(heard.state(), State::Live);
}

#[test]
fn what_is_incomplete_refused_or_another_cluster_is_not_live() {
    let timing = Timing::divided_by(1);
    let mut beating = Heard::new(State::Joining, at(0));
    for second in 1..6 {
        beating.beat(at(second * 1_000), &timing);
    }
    for facts in [
        Facts { is_complete: false, ..FACTS },
        Facts { is_incomplete: true, ..FACTS },
        Facts { is_refused: true, ..FACTS },
        Facts { is_other: true, ..FACTS },
    ] {
        let mut heard = beating.clone();
        assert_eq!(heard.judge(at(5_100), facts, &timing), None, "{facts:?}");
    }
    assert_eq!(beating.judge(at(5_100), FACTS, &timing), Some(State::Joining));
    for (facts, why) in [
        (Facts { is_incomplete: true, ..FACTS }, Silence::Incomplete),
        (Facts { is_other: true, ..FACTS }, Silence::Identity),
    ] {
        let mut heard = beating.clone();
        assert_eq!(heard.judge(at(5_200), facts, &timing), Some(State::Live));
        assert_eq!(heard.state(), State::Silent { since: at(5_200), why });
    }
    let unreachable = Facts { failure: Some(Silence::Unreachable), ..FACTS };
    assert_eq!(beating.judge(at(7_900), unreachable, &timing), None, "a gap is no silence");
    assert!(beating.judge(at(8_000), unreachable, &timing).is_some());
    let unauthorized = Facts { failure: Some(Silence::Unauthorized), ..FACTS };
    beating.judge(at(8_100), unauthorized, &timing);
    assert_eq!(beating.state(), State::Silent { since: at(8_000), why: Silence::Unauthorized });
}
