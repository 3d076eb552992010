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
    /// A kind of its outbox has been refused for as long as a silence.
    pub is_unauthorized: bool,
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
        // What may not be read is not known, whether the heartbeat is heard or not.
        if facts.is_unauthorized {
            return Some(Silence::Unauthorized);
        }
        if now >= self.last.after(timing.silence) {
            return Some(facts.failure.unwrap_or(Silence::ExporterSilent));
        }
        facts.is_incomplete.then_some(Silence::Incomplete)
    }

    fn is_calm(&self, now: Moment, facts: Facts, timing: &Timing) -> bool {
        let Facts { is_complete, is_incomplete, is_refused, is_unauthorized, is_other, .. } = facts;
        if !is_complete || is_incomplete || is_refused || is_unauthorized || is_other {
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
mod tests;
