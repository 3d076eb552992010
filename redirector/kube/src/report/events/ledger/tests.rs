//! Occurrences in, writes out, by a clock of the test's own.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::jiff::Timestamp;
use redirector_core::Moment;

use super::{BURST, COMBINED, Job, Ledger, MAX_EVENTS, MAX_SIMILAR, OVERFLOW, Outcome, PER_SECOND};
use crate::{
    api::ObjectRef,
    report::{EventReport, Regarding, Timing},
};

/// A ledger whose writes all come to the same.
struct Site {
    ledger: Ledger,
    now: Moment,
    written: Vec<(Moment, Job)>,
    outcome: Outcome,
}

#[test]
fn what_flaps_every_two_seconds_is_written_once_a_minute_and_the_last_count_in_the_end() {
    let mut site = Site::new(Outcome::Written);
    for second in 0..300 {
        if second % 2 == 0 {
            site.occurs(&about("web", "moved"));
        }
        site.passes(Duration::from_secs(1));
    }
    assert!(!site.written[0].1.is_raise, "the first creates it");
    assert_eq!(site.written[0].0, Moment::default(), "the first is written at once");
    site.passes(Duration::from_mins(2));
    let counts: Vec<u32> = site.written.iter().map(|(_, job)| job.count).collect();
    assert_eq!(counts, [1, 31, 61, 91, 121, 150]);
    assert_eq!(site.ledger.next_deadline(), None, "nothing is left to write");
}

#[test]
fn a_repeat_after_a_quiet_minute_is_written_at_once() {
    let mut site = Site::new(Outcome::Written);
    for _ in 0..3 {
        site.occurs(&about("web", "moved"));
        site.settles();
        let (at, _) = site.written.last().expect("a write");
        assert_eq!(*at, site.now);
        site.passes(Duration::from_mins(2));
    }
}

#[test]
fn what_waits_for_its_minute_holds_up_no_other_event() {
    let mut site = Site::new(Outcome::Written);
    for _ in 0..2 {
        site.occurs(&about("web", "moved"));
        site.settles();
    }
    site.occurs(&about("shop", "moved"));
    site.settles();
    let counts: Vec<u32> = site.written.iter().map(|(_, job)| job.count).collect();
    assert_eq!(counts, [1, 1], "two were created, and no count was raised yet");
}

#[test]
fn an_object_of_which_ever_new_things_are_said_has_so_many_events_and_one_for_the_others() {
    let mut site = Site::new(Outcome::Written);
    let hours = 2;
    for second in 0..hours * 3_600 {
        site.occurs(&about("web", &format!("moved to tier {second}")));
        site.passes(Duration::from_secs(1));
    }
    let of_combined = |job: &Job| job.report.template == COMBINED;
    let first = site.written.iter().find(|(_, job)| of_combined(job)).expect("one is combined");
    assert!(first.1.report.note.contains("moved to tier 25"), "{}", first.1.report.note);
    let mut by_minute: BTreeMap<u64, usize> = BTreeMap::new();
    for (at, _) in &site.written {
        *by_minute.entry(at.0.as_secs() / 60).or_default() += 1;
    }
    let most = by_minute.values().max().copied().unwrap_or_default();
    assert!(most <= MAX_SIMILAR + 1, "{by_minute:?}");
}

#[test]
fn what_the_api_server_refuses_is_tried_no_more_often_than_what_it_takes() {
    let mut site = Site::new(Outcome::Moot);
    for _ in 0..300 {
        site.occurs(&about("web", "moved"));
        site.passes(Duration::from_secs(1));
    }
    assert_eq!(site.written.len(), 5, "once a minute");
    site.outcome = Outcome::Written;
    site.passes(Duration::from_mins(1));
    let (_, last) = site.written.last().expect("a write");
    assert!(!last.is_raise, "there is none to raise");
    assert_eq!(last.count, 59, "what was refused is not counted again");
}

#[test]
fn however_many_objects_flap_writes_are_bounded_and_no_deadline_lies_in_the_past() {
    let mut site = Site::new(Outcome::Written);
    let seconds = 400;
    for _ in 0..seconds {
        for object in 0..2 * MAX_EVENTS {
            site.occurs(&about(&format!("s{object}"), "moved"));
        }
        site.passes(Duration::from_secs(1));
    }
    let bound = BURST + PER_SECOND * f64::from(seconds);
    assert!(site.written.len() as f64 <= bound, "{} writes of {bound}", site.written.len());
    assert!(site.ledger.events.len() <= MAX_EVENTS + 1, "{} known", site.ledger.events.len());
    let is_said = |(_, job): &(Moment, Job)| job.report.reason == OVERFLOW;
    assert!(site.written.iter().any(is_said), "that occurrences are lost is said");
}

impl Site {
    fn new(outcome: Outcome) -> Self {
        let ledger = Ledger::new(&Timing::default());
        Self { ledger, now: Moment::default(), written: Vec::new(), outcome }
    }

    fn wall(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + self.now.0
    }

    fn occurs(&mut self, report: &EventReport) {
        self.ledger.count(report.clone(), self.now, self.wall(), false);
    }

    /// Writes all that is due. Panics if something is due for ever.
    fn settles(&mut self) {
        for _ in 0..1_000 {
            let Some(job) = self.ledger.take(self.now, self.wall()) else {
                let next = self.ledger.next_deadline();
                assert!(next.is_none_or(|next| next > self.now), "due at {next:?}, and not taken");
                return;
            };
            self.ledger.done(&job, &self.outcome, self.now);
            self.written.push((self.now, job));
        }
        panic!("a thousand writes at {:?}", self.now);
    }

    /// That time passes, and what comes due in it is written when it does.
    fn passes(&mut self, time: Duration) {
        let end = Moment(self.now.0 + time);
        self.settles();
        while let Some(next) = self.ledger.next_deadline().filter(|next| *next < end) {
            self.now = next;
            self.settles();
        }
        self.now = end;
    }
}

fn about(service: &str, note: &str) -> EventReport {
    let object = ObjectRef { namespace: "shop".into(), name: service.into() };
    EventReport {
        regarding: Regarding::Service(object),
        is_warning: true,
        reason: "FailedOver",
        action: "FailOver",
        template: note.to_owned(),
        note: note.to_owned(),
    }
}
