//! Which Events are to be written, once each: counting, limiting, remembering. Pure.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use k8s_openapi::jiff::Timestamp;
use redirector_core::Moment;

use super::{EventReport, Regarding};
use crate::report::wire::hash;

/// Events that are known at most, written or not.
const MAX_EVENTS: usize = 1_024;
/// Occurrences that are remembered while another agent leads, or none, for when this one leads next.
const MAX_REMEMBERED: usize = 256;
/// So many Events are written at once, and then five a second.
const BURST: f64 = 50.0;
const PER_SECOND: f64 = 5.0;

/// One entry per Event.
#[derive(Debug, Default)]
pub(in crate::report) struct Ledger {
    series: Duration,
    backoff: Duration,
    events: BTreeMap<Key, Event>,
    queue: VecDeque<Key>,
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
    pub(in crate::report) fn new(series: Duration, backoff: Duration) -> Self {
        Self { series, backoff, tokens: BURST, ..Self::default() }
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
        if !self.queue.is_empty() {
            return Some(self.not_before);
        }
        let missing = (1.0 - self.tokens).max(0.0);
        let refilled = Moment(self.refilled.0 + Duration::from_secs_f64(missing / PER_SECOND));
        (self.lost > 0).then(|| self.not_before.max(refilled))
    }

    /// Takes the next job that is due; [`Ledger::done`] must follow.
    pub(in crate::report) fn take(&mut self, now: Moment, wall: Timestamp) -> Option<Job> {
        if now < self.not_before {
            return None;
        }
        if self.queue.is_empty() && self.lost > 0 {
            let lost = self.lost;
            if self.count(overflow(lost), now, wall, false) {
                self.lost -= lost;
            } else {
                // The Event about lost ones is not counted as lost itself: only what happened is.
                self.lost = lost;
            }
        }
        let key = self.queue.pop_front()?;
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
            Outcome::Written => event.written = job.count,
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
            Outcome::Moot => {
                self.events.remove(&job.key);
                return;
            }
            Outcome::Unknown if !job.is_raise => event.tried = event.tried.or(Some(job.count)),
            Outcome::Unknown | Outcome::NotYet => {}
        }
        if event.written < event.count && !event.is_queued {
            event.is_queued = true;
            match outcome {
                Outcome::Unknown | Outcome::NotYet => self.queue.push_front(job.key.clone()),
                _ => self.queue.push_back(job.key.clone()),
            }
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
        });
        event.count = event.count.saturating_add(1);
        event.inherited += u32::from(is_inherited);
        event.last = event.last.max(wall);
        event.last_at = now;
        if !event.is_queued {
            event.is_queued = true;
            self.queue.push_back(key);
        }
        true
    }

    fn has_room(&mut self, key: &Key, now: Moment) -> bool {
        if self.events.len() < MAX_EVENTS || self.events.contains_key(key) {
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
        reason: "EventsDropped",
        action: "Limit",
        template: String::new(),
        note: format!("{lost} events were not written: too many at once; see the agent's log"),
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX).max(1)
}
