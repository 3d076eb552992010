//! Who writes: an election over one Lease, as a state machine.
//!
//! Nothing here does I/O, reads a clock or draws a random number. At no time do two lead:
//!
//! - The leader counts [`Timing::lead`] from the moment at which it *sent* the last renewal that
//!   succeeded. That lies before the renewal is in force, and so before any agent can see it.
//! - Every other agent counts the longer [`Timing::lease`] from the moment at which it *saw* a renewal
//!   first, by its own clock, and writes on condition that the Lease is still the version it has
//!   just read. Clocks of different nodes are never compared; only that they run at about the
//!   same rate is supposed.
//! - A Lease that is not there may have been deleted under a leader: it is created only after it
//!   has been missing for [`Timing::lease`], but by the leader at once. (Not covered: deleted
//!   twice within that time, for then no agent can know that it was there in between.)
//! - One's own name alone is no proof, since an old and a new agent of a node overlap in an update:
//!   a renewal is one's own if its time is that of a write one has sent.

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "the seed of a random test")]
mod tests;

use std::{sync::Arc, time::Duration};

use k8s_openapi::jiff::Timestamp;
use redirector_core::Moment;

use super::timing::Timing;

/// What is known of the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// `metadata.resourceVersion`.
    pub(super) version: String,
    /// Who holds it; empty if it was released.
    pub(super) holder: String,
    /// When it was renewed, by the holder's wall clock: only that it changes counts.
    pub(super) renewed: Option<Timestamp>,
    /// How often it changed hands.
    pub(super) transitions: i32,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Do nothing until then.
    Wait(Moment),
    /// Read the Lease; an old version will do unless `exact`.
    Read { exact: bool },
    /// Write the Lease: this agent holds it, renewed at that time.
    Write(Claim),
}

/// A renewal, or the beginning of a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The version that is replaced; `None`: it is created.
    pub(super) over: Option<String>,
    /// `renewTime`.
    pub(super) stamp: Timestamp,
    /// Whether the holder changes, and `acquireTime` with it.
    pub(super) is_new: bool,
    /// `leaseTransitions`.
    pub(super) transitions: i32,
    sent: Moment,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is in force, as this version.
    Done(String),
    /// It has no effect: there is another version, or none.
    Refused,
    /// It has no effect, and another one would not have either.
    Failed,
    /// Whether it has, or will have, an effect is not known.
    Unknown,
}

/// So many writes without an answer are remembered.
const UNSURE: usize = 16;

/// One candidate.
#[derive(Debug, Default)]
pub(super) struct Election {
    me: Arc<str>,
    timing: Timing,
    poll: Duration,
    step: Step,
    at: Moment,
    seen: Seen,
    /// When `seen` became what it is, but for its version.
    since: Moment,
    /// The stamp of the last write known to be in force.
    mine: Option<Timestamp>,
    /// Writes that may be in force, or become so.
    unsure: Vec<Claim>,
    leads_until: Moment,
    led_by_other: Option<Moment>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Look,
    Verify,
    Write,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Seen {
    #[default]
    Unknown,
    Absent,
    Present(Held),
}

impl Election {
    pub(super) fn new(me: Arc<str>, timing: Timing) -> Self {
        Self { me, poll: timing.look, timing, ..Self::default() }
    }

    /// How often to look while another one leads.
    pub(super) fn set_poll(&mut self, poll: Duration) {
        self.poll = poll;
    }

    /// Until when this agent leads, by its own clock.
    pub(super) fn leads_until(&self) -> Moment {
        self.leads_until
    }

    /// When another one was last seen to have renewed.
    pub(super) fn led_by_other(&self) -> Option<Moment> {
        self.led_by_other
    }

    /// What to do at `now`; `wall` stamps a write, and must differ from write to write.
    pub(super) fn next(&self, now: Moment, wall: Timestamp) -> Action {
        if now < self.at {
            return Action::Wait(self.at);
        }
        match (self.step, &self.seen) {
            (Step::Look, _) => Action::Read { exact: false },
            (Step::Verify, _) | (Step::Write, Seen::Unknown) => Action::Read { exact: true },
            (Step::Write, Seen::Absent) => Action::Write(Claim {
                over: None,
                stamp: wall,
                is_new: true,
                transitions: 0,
                sent: now,
            }),
            (Step::Write, Seen::Present(held)) => {
                let is_new = !self.is_mine(held);
                Action::Write(Claim {
                    over: Some(held.version.clone()),
                    stamp: wall,
                    is_new,
                    transitions: held.transitions.saturating_add(i32::from(is_new)),
                    sent: now,
                })
            }
        }
    }

    /// The answer to [`Action::Read`]: `Ok(None)` is that there is no Lease. `random` is between
    /// 0 and 1.
    pub(super) fn read(&mut self, answer: Result<Option<Held>, ()>, now: Moment, random: f64) {
        match answer {
            Err(()) => {
                let (step, wait) = if self.was_mine() {
                    (Step::Verify, self.timing.retry)
                } else {
                    (self.step, self.poll / 2)
                };
                self.then(step, after(now, wait, random));
            }
            Ok(None) => self.read_absent(now, random),
            Ok(Some(held)) => self.read_present(held, now, random),
        }
    }

    /// The answer to [`Action::Write`].
    pub(super) fn written(&mut self, claim: Claim, answer: Written, now: Moment, random: f64) {
        match answer {
            Written::Done(version) => {
                self.seen = Seen::Present(Held {
                    version,
                    holder: self.me.to_string(),
                    renewed: Some(claim.stamp),
                    transitions: claim.transitions,
                });
                self.since = now;
                self.unsure.clear();
                self.in_force(&claim);
            }
            Written::Refused => self.then(Step::Verify, soon_after(now, self.timing.retry, random)),
            Written::Failed => self.then(Step::Verify, after(now, self.poll / 2, random)),
            Written::Unknown => {
                // A forgotten write that takes effect after all counts as another agent's.
                if self.unsure.len() == UNSURE {
                    self.unsure.remove(0);
                }
                self.unsure.push(claim);
                self.then(Step::Verify, after(now, self.timing.retry, random));
            }
        }
    }

    fn read_absent(&mut self, now: Moment, random: f64) {
        let is_mine_to_heal = now < self.leads_until;
        // A Lease that was not looked at for longer may have been there meanwhile.
        let is_stale = now.0 > self.since.0 + self.timing.lease + 2 * self.timing.retry;
        if self.seen != Seen::Absent || is_stale {
            self.seen = Seen::Absent;
            self.since = now;
        }
        let free = Moment(self.since.0 + self.timing.lease);
        if is_mine_to_heal || (self.step == Step::Verify && now >= free) {
            self.then(Step::Write, now);
        } else {
            self.then(Step::Verify, soon_after(free.max(now), self.timing.retry, random));
        }
    }

    fn read_present(&mut self, held: Held, now: Moment, random: f64) {
        let claim = self.unsure.iter().find(|claim| self.wrote(&held, claim.stamp)).cloned();
        // Whatever was sent over another version can have no effect any more.
        self.unsure.retain(|claim| claim.over.as_ref() == Some(&held.version));
        let is_news = match &self.seen {
            Seen::Present(old) => (&old.holder, old.renewed) != (&held.holder, held.renewed),
            Seen::Unknown | Seen::Absent => true,
        };
        if is_news {
            self.since = now;
        }
        let is_exact = self.step != Step::Look;
        self.seen = Seen::Present(held.clone());
        if let Some(claim) = claim {
            self.in_force(&claim);
            self.at = self.at.max(now);
            return;
        }
        if self.is_mine(&held) {
            self.then(Step::Write, now);
            return;
        }
        self.leads_until = Moment::default();
        if held.holder.is_empty() {
            let step = if is_exact { Step::Write } else { Step::Verify };
            self.then(step, now);
            return;
        }
        if is_news {
            self.led_by_other = Some(now);
        }
        let free = Moment(self.since.0 + self.timing.lease);
        if is_news {
            self.then(Step::Look, after(now, self.poll, random));
        } else if now < free {
            self.then(Step::Verify, soon_after(free, self.timing.retry, random));
        } else if is_exact {
            self.then(Step::Write, now);
        } else {
            self.then(Step::Verify, now);
        }
    }

    fn in_force(&mut self, claim: &Claim) {
        self.mine = Some(claim.stamp);
        self.leads_until = Moment(claim.sent.0 + self.timing.lead);
        self.then(Step::Write, Moment(claim.sent.0 + self.timing.renew));
    }

    fn then(&mut self, step: Step, at: Moment) {
        self.step = step;
        self.at = at;
    }

    fn wrote(&self, held: &Held, stamp: Timestamp) -> bool {
        held.holder == *self.me && held.renewed == Some(stamp)
    }

    fn is_mine(&self, held: &Held) -> bool {
        self.mine.is_some_and(|stamp| self.wrote(held, stamp))
    }

    fn was_mine(&self) -> bool {
        !self.unsure.is_empty() || matches!(&self.seen, Seen::Present(held) if self.is_mine(held))
    }
}

/// When that wait, ± 20 %, is over.
fn after(now: Moment, wait: Duration, random: f64) -> Moment {
    Moment(now.0 + wait.mul_f64(0.8 + 0.4 * random))
}

/// When up to half that wait is over, so that candidates do not all come at once.
fn soon_after(now: Moment, wait: Duration, random: f64) -> Moment {
    Moment(now.0 + wait.mul_f64(0.5 * random))
}
