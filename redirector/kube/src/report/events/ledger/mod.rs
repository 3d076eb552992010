//! Which Events are to be written, once each: counting, limiting, remembering. Pure.
//!
//! How often is written, whatever occurs how often:
//! - the first occurrence at once; those that follow are counted here, and the count is written at
//!   most once in [`Timing::repeats`](crate::report::Timing::repeats), the last one too;
//! - of one object and reason at most `MAX_SIMILAR` Events that say different things, and one in
//!   which all others are counted;
//! - of all together `BURST` at once and `PER_SECOND`.
//!
//! client-go's `EventCorrelator` has the same three: counted repeats, combined similar ones, a
//! bucket. It writes each repeat, though, until its bucket for the object is empty, and says
//! nothing of what it drops.

mod queue;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use k8s_openapi::jiff::Timestamp;
use redirector_core::Moment;

use self::queue::Queue;
use super::{EventReport, Regarding};
use crate::{
    report::{Timing, wire::hash},
    text::bounded,
};

/// Events that are known at most, written or not.
const MAX_EVENTS: usize = 1_024;
/// Events of one object and reason at most that say different things, as many as client-go's
/// bucket for an object has.
const MAX_SIMILAR: usize = 25;
/// The template of the one in which further ones are counted, and how its note begins: client-go's
/// words.
const COMBINED: &str = "(combined from similar events)";
/// The reason of the Event about occurrences that no Event counts.
const OVERFLOW: &str = "EventsDropped";
/// Occurrences that are remembered while another agent leads, or none, for when this one leads next.
const MAX_REMEMBERED: usize = 256;
/// So many Events are written at once, and then five a second.
const BURST: f64 = 50.0;
const PER_SECOND: f64 = 5.0;

/// One entry per Event.
#[derive(Debug, Default)]
pub(in crate::report) struct Ledger {
    series: Duration,
    repeats: Duration,
    backoff: Duration,
    events: BTreeMap<Key, Event>,
    queue: Queue,
    not_before: Moment,
    failures: u32,
    tokens: f64,
    refilled: Moment,
    /// Occurrences that found no token or no room since that was said last.
    lost: u64,
    remembered: VecDeque<(Moment, Timestamp, EventReport)>,
}

type Key = (Regarding, &'static str, String);

#[derive(Debug)]
struct Event {
    report: EventReport,
    first: Timestamp,
    last: Timestamp,
    last_at: Moment,
    /// How often it has occurred.
    count: u32,
    /// The count that the API server knows; 0: it has no Event.
    written: u32,
    /// The count in a creation whose fate is unknown.
    tried: Option<u32>,
    /// Occurrences that the leader before may have reported too.
    inherited: u32,
    /// The leader before has an Event of the name that this one would have.
    is_apart: bool,
    is_queued: bool,
    /// It has been written, or refused, so lately that it is not written again before.
    not_before: Moment,
}

/// What is to be written next.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) struct Job {
    key: Key,
    /// The end of the Event's name, after that of its object: 16 hexadecimal digits.
    pub(in crate::report) suffix: String,
    /// What happened first.
    pub(in crate::report) report: EventReport,
    /// When it happened first.
    pub(in crate::report) first: Timestamp,
    /// When it happened last.
    pub(in crate::report) last: Timestamp,
    /// How often it happened.
    pub(in crate::report) count: u32,
    /// Whether the Event is there and only its count changes.
    pub(in crate::report) is_raise: bool,
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::report) enum Outcome {
    /// The Event says so now.
    Written,
    /// An Event of that name is there: an earlier attempt's, or another agent's.
    Exists,
    /// The Event whose count was to change is gone.
    Missing,
    /// The API server has refused it for good.
    Moot,
    /// It is to be tried again; whether it had an effect is not known.
    Unknown,
    /// It had no effect, and is to be tried again.
    NotYet,
}

impl Ledger {
    pub(in crate::report) fn new(timing: &Timing) -> Self {
        let Timing { series, repeats, backoff, .. } = *timing;
        Self { series, repeats, backoff, tokens: BURST, ..Self::default() }
    }

    /// Something happened while this agent does not lead.
    pub(in crate::report) fn remember(
        &mut self,
        report: EventReport,
        now: Moment,
        wall: Timestamp,
    ) {
        if self.remembered.len() == MAX_REMEMBERED {
            self.remembered.pop_front();
        }
        self.remembered.push_back((now, wall, report));
    }

    /// Another agent led at that time: it has reported what happened before.
    pub(in crate::report) fn led_by_other(&mut self, at: Moment) {
        self.remembered.retain(|(happened, ..)| *happened >= at);
        self.events.clear();
        self.queue.clear();
        self.lost = 0;
    }

    /// This agent leads from now on, and reports what perhaps no leader has reported. Returns how
    /// many occurrences will not be.
    pub(in crate::report) fn inherit(&mut self, now: Moment) -> u64 {
        let remembered = std::mem::take(&mut self.remembered);
        let mut lost = 0;
        for (_, wall, report) in remembered {
            lost += u64::from(!self.count(report, now, wall, true));
        }
        lost
    }

    /// When the next job is due.
    pub(in crate::report) fn next_deadline(&self) -> Option<Moment> {
        let missing = (1.0 - self.tokens).max(0.0);
        let refilled = Moment(self.refilled.0 + Duration::from_secs_f64(missing / PER_SECOND));
        let overflow = (self.lost > 0).then_some(refilled);
        let first = self.queue.first_due().into_iter().chain(overflow).min()?;
        Some(first.max(self.not_before))
    }

    /// Takes the next job that is due; [`Ledger::done`] must follow.
    pub(in crate::report) fn take(&mut self, now: Moment, wall: Timestamp) -> Option<Job> {
        if now < self.not_before {
            return None;
        }
        let is_due = self.queue.first_due().is_some_and(|due| due <= now);
        if !is_due && self.lost > 0 {
            let lost = self.lost;
            if self.count(overflow(lost), now, wall, false) {
                self.lost -= lost;
            } else {
                // The Event about lost ones is not counted as lost itself: only what happened is.
                self.lost = lost;
            }
        }
        let key = self.queue.pop(now)?;
        let event = self.events.get_mut(&key)?;
        event.is_queued = false;
        let bucket = event.first.as_microsecond() / micros(self.series);
        let (kind, namespace, name) = match &event.report.regarding {
            Regarding::Service(object) => ("Service", &*object.namespace, &*object.name),
            Regarding::Policy(object) => ("FailoverPolicy", &*object.namespace, &*object.name),
            Regarding::Node => ("Node", "", ""),
        };
        // Beside another agent's Event, whose count is not known, there is one of this agent's own.
        let own = event.is_apart.then(|| event.first.as_microsecond().to_string());
        let bucket = own.unwrap_or_else(|| bucket.to_string());
        let parts = [kind, namespace, name, key.1, key.2.as_str(), &bucket];
        Some(Job {
            suffix: format!("{:016x}", hash(&parts)),
            report: event.report.clone(),
            first: event.first,
            last: event.last,
            count: event.count,
            is_raise: event.written > 0,
            key,
        })
    }

    /// Notes what became of the job that was taken.
    pub(in crate::report) fn done(&mut self, job: &Job, outcome: &Outcome, now: Moment) {
        if matches!(outcome, Outcome::Unknown | Outcome::NotYet) {
            self.not_before = Moment(now.0 + self.backoff * 2_u32.pow(self.failures.min(5)));
            self.failures += 1;
        } else {
            self.failures = 0;
        }
        let Some(event) = self.events.get_mut(&job.key) else { return };
        match outcome {
            Outcome::Written => {
                event.written = job.count;
                event.not_before = Moment(now.0 + self.repeats);
            }
            Outcome::Exists => {
                match event.tried.take() {
                    Some(tried) => event.written = tried,
                    None if event.is_apart => event.written = job.count,
                    // What was inherited is in it, and what happened here since is not.
                    None => {
                        event.count -= event.inherited;
                        event.is_apart = true;
                    }
                }
                event.inherited = 0;
            }
            Outcome::Missing => {
                event.written = 0;
                event.tried = None;
            }
            // What recurs is tried again, no more often than what is written.
            Outcome::Moot => {
                (event.count, event.written, event.inherited) = (0, 0, 0);
                event.tried = None;
                event.not_before = Moment(now.0 + self.repeats);
            }
            Outcome::Unknown if !job.is_raise => event.tried = event.tried.or(Some(job.count)),
            Outcome::Unknown | Outcome::NotYet => {}
        }
        if event.written < event.count && !event.is_queued {
            event.is_queued = true;
            let due = match outcome {
                // Before all others: Events are written in order.
                Outcome::Unknown | Outcome::NotYet => Moment::default(),
                _ => now.max(event.not_before),
            };
            self.queue.push(due, job.key.clone());
        }
    }

    /// Something happened while this agent leads; with `is_inherited` it may be that the leader
    /// before has reported it too. Returns whether it will be reported.
    pub(in crate::report) fn count(
        &mut self,
        report: EventReport,
        now: Moment,
        wall: Timestamp,
        is_inherited: bool,
    ) -> bool {
        let report = self.combined(report, now);
        let key = (report.regarding.clone(), report.reason, report.template.clone());
        let series = self.series;
        let is_over = |event: &Event| !event.is_queued && now.0 > event.last_at.0 + series;
        if self.events.get(&key).is_some_and(is_over) {
            self.events.remove(&key);
        }
        let is_free = self.events.get(&key).is_some_and(|event| event.is_queued);
        if !is_free && (!self.has_room(&key, now) || !self.has_token(now)) {
            self.lost += 1;
            return false;
        }
        let event = self.events.entry(key.clone()).or_insert_with(|| Event {
            report,
            first: wall,
            last: wall,
            last_at: now,
            count: 0,
            written: 0,
            tried: None,
            inherited: 0,
            is_apart: false,
            is_queued: false,
            not_before: now,
        });
        if event.count == 0 {
            event.first = wall;
        }
        event.count = event.count.saturating_add(1);
        event.inherited += u32::from(is_inherited);
        event.last = event.last.max(wall);
        event.last_at = now;
        if !event.is_queued {
            event.is_queued = true;
            self.queue.push(now.max(event.not_before), key);
        }
        true
    }

    /// The report itself, or the one in which it is counted since its object has so many Events of
    /// its reason.
    fn combined(&self, report: EventReport, now: Moment) -> EventReport {
        let key = (report.regarding.clone(), report.reason, report.template.clone());
        let is_current = |event: &Event| event.is_queued || now.0 <= event.last_at.0 + self.series;
        if self.events.get(&key).is_some_and(is_current) {
            return report;
        }
        let from = (report.regarding.clone(), report.reason, String::new());
        let similar = self
            .events
            .range(from..)
            .take_while(|(key, _)| (&key.0, key.1) == (&report.regarding, report.reason));
        let current = similar.filter(|(key, event)| key.2 != COMBINED && is_current(event));
        if current.count() < MAX_SIMILAR {
            return report;
        }
        let note = bounded(&format!("{COMBINED}: {}", report.note), 1_024);
        EventReport { template: COMBINED.to_owned(), note, ..report }
    }

    /// There is always room for the Event about those that find none.
    fn has_room(&mut self, key: &Key, now: Moment) -> bool {
        if self.events.len() < MAX_EVENTS || key.1 == OVERFLOW || self.events.contains_key(key) {
            return true;
        }
        let series = self.series;
        self.events.retain(|_, event| event.is_queued || now.0 <= event.last_at.0 + series);
        self.events.len() < MAX_EVENTS
    }

    fn has_token(&mut self, now: Moment) -> bool {
        let passed = now.0.saturating_sub(self.refilled.0).as_secs_f64();
        self.tokens = (self.tokens + passed * PER_SECOND).min(BURST);
        self.refilled = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

fn overflow(lost: u64) -> EventReport {
    EventReport {
        regarding: Regarding::Node,
        is_warning: true,
        reason: OVERFLOW,
        action: "Limit",
        template: String::new(),
        note: format!("{lost} events were not written: too many at once; see the agent's log"),
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX).max(1)
}
