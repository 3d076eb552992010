//! Whether a cluster is heard: its phase, from heartbeats.
//!
//! ```text
//!   Joining ──calm, complete──▶ Live ◀──calm, complete──┐
//!                                │ no heartbeat, or      │
//!                                ▼ incomplete            │
//!                              Silent ──keepFor──▶ Lost ─┘
//! ```
//!
//! A heartbeat is a *change* of the Lease; when it comes is this cluster's own time, and what the Lease
//! says of times is never read.

use std::{collections::VecDeque, time::Duration};

use redirector_core::Moment;

use super::timing::Timing;

/// Silences that are remembered: beyond them calm is at its longest.
const SILENCES: usize = 16;
/// Heartbeats before a cluster is live.
const BEATS: u32 = 3;

/// What is known of the heartbeats of one cluster.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    state: State,
    /// When the Lease last changed, or when it was first asked for.
    last: Moment,
    /// The heartbeats that came one soon after the other until now.
    run: Option<Run>,
    /// When it became silent lately, the oldest first.
    silences: VecDeque<Moment>,
}

/// Where a cluster is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Never heard in full: nothing is imported.
    Joining,
    /// Heard.
    Live,
    /// Not heard, since then.
    Silent { since: Moment, why: Silence },
    /// Not heard for `keepFor`.
    Lost,
}

/// Why a cluster is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Its API server does not answer.
    Unreachable,
    /// Its API server refuses the credentials.
    Unauthorized,
    /// Its API server answers, but the Lease does not change.
    ExporterSilent,
    /// What is held is not what the manifest says.
    Incomplete,
    /// Another cluster answers under its name.
    Identity,
}

/// What decides besides the heartbeats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// What is held was complete since the watches began, and has not differed for too long.
    pub is_complete: bool,
    /// What is held has differed from the manifest for too long.
    pub is_incomplete: bool,
    /// Something else stands against using it: it does not become live.
    pub is_refused: bool,
    /// Another cluster answers: its heartbeats are none.
    pub is_other: bool,
    /// What the API server's answers say.
    pub failure: Option<Silence>,
    /// How long it is kept while silent.
    pub keep_for: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    first: Moment,
    last: Moment,
    count: u32,
}

impl Heard {
    /// A cluster that was found in that state. One that was live gets the time of a silence to be heard.
    pub fn new(state: State, now: Moment) -> Self {
        Self { state, last: now, run: None, silences: VecDeque::new() }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// When the Lease last changed.
    pub fn last(&self) -> Moment {
        self.last
    }

    /// The Lease has changed.
    pub fn beat(&mut self, now: Moment, timing: &Timing) {
        self.last = now;
        self.run = Some(match self.run {
            Some(run) if now < run.last.after(timing.beat_gap) => {
                Run { last: now, count: run.count.saturating_add(1), ..run }
            }
            _ => Run { first: now, last: now, count: 1 },
        });
    }

    /// What state it is in now. Returns the one before if it is another one.
    pub fn judge(&mut self, now: Moment, facts: Facts, timing: &Timing) -> Option<State> {
        let before = self.state;
        self.silences.retain(|silent| now < silent.after(timing.damped_for));
        self.state = match before {
            State::Live => match self.silence(now, facts, timing) {
                Some(why) => {
                    self.run = None;
                    self.silences.push_back(now);
                    if self.silences.len() > SILENCES {
                        self.silences.pop_front();
                    }
                    State::Silent { since: now, why }
                }
                None => before,
            },
            State::Joining | State::Silent { .. } | State::Lost
                if self.is_calm(now, facts, timing) =>
            {
                State::Live
            }
            State::Silent { since, .. } if now >= since.after(facts.keep_for) => State::Lost,
            State::Silent { since, why } => {
                State::Silent { since, why: self.silence(now, facts, timing).unwrap_or(why) }
            }
            State::Joining | State::Lost => before,
        };
        (self.state != before).then_some(before)
    }

    /// When [`judge`](Self::judge) may say something else without news.
    pub fn deadline(&self, facts: Facts, timing: &Timing) -> Option<Moment> {
        match self.state {
            State::Live => Some(self.last.after(timing.silence)),
            State::Silent { since, .. } => Some(since.after(facts.keep_for)),
            // A heartbeat is news, and ends the calm.
            State::Joining | State::Lost => None,
        }
    }

    fn silence(&self, now: Moment, facts: Facts, timing: &Timing) -> Option<Silence> {
        if facts.is_other {
            return Some(Silence::Identity);
        }
        if now >= self.last.after(timing.silence) {
            return Some(facts.failure.unwrap_or(Silence::ExporterSilent));
        }
        facts.is_incomplete.then_some(Silence::Incomplete)
    }

    fn is_calm(&self, now: Moment, facts: Facts, timing: &Timing) -> bool {
        let Facts { is_complete, is_incomplete, is_refused, is_other, .. } = facts;
        if !is_complete || is_incomplete || is_refused || is_other {
            return false;
        }
        let calm = timing.calm_after(self.silences.len());
        self.run.is_some_and(|run| {
            run.count >= BEATS
                && run.last >= run.first.after(calm)
                && now < run.last.after(timing.beat_gap)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts = Facts {
        is_complete: true,
        is_incomplete: false,
        is_refused: false,
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
    fn a_link_toggled_every_two_seconds_for_five_minutes_changes_the_phase_at_most_four_times() {
        for period in [1_000, 1_500, 1_900, 2_000, 2_050, 2_500, 3_000, 4_000] {
            for offset in (0..1_000).step_by(50) {
                let mut heard = Heard::new(State::Joining, at(0));
                pass(&mut heard, 0, 10_000, |_| true);
                assert_eq!(heard.state(), State::Live);
                let is_up = |now: u64| (now + offset) / period % 2 == 0;
                let changes = pass(&mut heard, 10_000, 310_000, is_up);
                println!("every {period} ms, offset {offset} ms: {changes} changes");
                assert!(period != 2_000 || changes <= 4, "{changes} changes at offset {offset}");
                // Slower ones are real outages; damping bounds them: at least one per calm.
                assert!(changes <= 20, "{changes} changes at period {period}, offset {offset}");
            }
        }
    }

    #[test]
    fn the_third_silence_in_ten_minutes_doubles_the_calm_up_to_a_minute() {
        let timing = Timing::divided_by(1);
        let calms: Vec<u64> =
            (0..9).map(|silences| timing.calm_after(silences).as_secs()).collect();
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
}
