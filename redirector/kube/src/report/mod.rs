//! What is said back to the API: policies' statuses and Events, by one elected agent.
//!
//! Written are the Lease `redirector-report`, the `status` subresource of FailoverPolicies and
//! Events; never a user's object. Who leads makes no difference to traffic. [`owner`] asks the one
//! question that an agent has when it is told to end.

mod candidate;
mod election;
mod events;
mod lease;
pub mod owner;
mod stats;
mod status;
mod timing;
mod wire;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, OnceLock, atomic::Ordering::Relaxed},
    time::Instant,
};

use k8s_openapi::jiff::Timestamp;
use redirector_core::{Moment, Transition};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

pub use self::{
    candidate::{Candidate, Standing},
    events::{EventReport, Regarding, event_of},
    lease::LEASE,
    stats::Stats,
    timing::Timing,
};
use self::{events::Ledger, owner::OwnerRef, status::Pending};
use crate::{
    api::ObjectRef,
    client::{Client, Error},
    policies::PolicyStatus,
    text::bounded,
};

/// Reports that wait to be looked at; looking takes no request.
const INBOX: usize = 1_024;

/// Who reports.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name of the node, the holder of the Lease and the instance in Events.
    pub node: Arc<str>,
    /// Namespace of the agent, where the Lease is.
    pub namespace: Arc<str>,
}

/// The task: [`Reporter::run`].
#[derive(Debug)]
pub struct Reporter {
    shared: Arc<Shared>,
    reports: mpsc::Receiver<Report>,
}

/// Where the agent says what there is to report. Nothing here waits.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// What all parts of the reporter know.
#[derive(Debug)]
struct Shared {
    client: Client,
    identity: Identity,
    timing: Timing,
    stats: Arc<Stats>,
    /// The DaemonSet that owns the Lease, once it is known.
    owner: OnceLock<OwnerRef>,
    term: watch::Sender<Term>,
    statuses: watch::Sender<BTreeMap<ObjectRef, PolicyStatus>>,
    inbox: mpsc::Sender<Report>,
    origin: Instant,
}

/// When something happened, by both clocks, and what.
type Report = (Moment, Timestamp, EventReport);

/// Who leads, as far as this agent knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Term {
    /// How often this agent became the leader.
    number: u64,
    /// Until when it leads.
    until: Moment,
    /// When another agent was last seen to have renewed.
    led_by_other: Option<Moment>,
}

impl Reporter {
    /// A reporter, and where to tell it things. Nothing is sent before [`Reporter::run`].
    #[must_use]
    pub fn with_timing(client: Client, identity: Identity, timing: Timing) -> (Self, Handle) {
        let (inbox, reports) = mpsc::channel(INBOX);
        let shared = Arc::new(Shared {
            client: client.with_deadline(timing.request),
            identity,
            timing,
            stats: Arc::default(),
            owner: OnceLock::new(),
            term: watch::Sender::new(Term::default()),
            statuses: watch::Sender::new(BTreeMap::new()),
            inbox,
            origin: Instant::now(),
        });
        (Self { shared: shared.clone(), reports }, Handle { shared })
    }

    /// Stands for election and writes while it leads. Never returns; may be dropped at any time:
    /// the Lease then runs out by itself.
    pub async fn run(mut self) -> Infallible {
        let shared = &*self.shared;
        tokio::join!(
            lease::elect(shared),
            write_statuses(shared, shared.statuses.subscribe()),
            write_events(shared, &mut self.reports),
        );
        unreachable!("none of them ends")
    }
}

impl Handle {
    /// These are the statuses of all policies now; earlier ones that were not written yet are
    /// forgotten. At most 10,000; what is beyond is counted as dropped.
    pub fn statuses(&self, statuses: BTreeMap<ObjectRef, PolicyStatus>) {
        self.shared.statuses.send_replace(statuses);
    }

    /// Takes note of transitions that have happened and are in force.
    pub fn happened(&self, transitions: &[Transition]) {
        self.reported(transitions.iter().filter_map(event_of));
    }

    /// As [`Handle::happened`], for what only the caller can say: another object, a conflict of
    /// policies.
    pub fn reported(&self, reports: impl IntoIterator<Item = EventReport>) {
        let (now, wall) = (self.shared.now(), wire::wall());
        for report in reports {
            let EventReport { template, note, .. } = &report;
            let (template, note) = (bounded(template, 1_024), bounded(note, 1_024));
            let report = EventReport { template, note, ..report };
            if self.shared.inbox.try_send((now, wall, report)).is_err() {
                self.shared.stats.drop_one();
            }
        }
    }

    /// The agents' DaemonSet, which says how many nodes there are ([`Timing::poll`]): the Lease goes with
    /// it, by Kubernetes' garbage collection. Once said it stays.
    pub fn set_owner(&self, daemonset: &OwnerRef) {
        let _ = self.shared.owner.set(daemonset.clone());
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        self.shared.stats.clone()
    }
}

impl Shared {
    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    async fn sleep_until(&self, until: Moment) {
        tokio::time::sleep_until((self.origin + until.0).into()).await;
    }

    /// As [`Shared::sleep_until`]; for ever if there is no such time.
    async fn sleep_until_some(&self, until: Option<Moment>) {
        match until {
            Some(until) => self.sleep_until(until).await,
            None => std::future::pending().await,
        }
    }

    /// Whether this agent leads, by its own clock.
    fn is_leader(&self) -> bool {
        self.now() < self.term.borrow().until
    }

    /// What the election has come to.
    fn leads(&self, until: Moment, led_by_other: Option<Moment>) {
        let now = self.now();
        let (is_leader, was_leader) = (now < until, self.stats.is_leader.load(Relaxed));
        let has_lapsed = self.term.borrow().until <= now;
        self.term.send_if_modified(|term| {
            let number = term.number + u64::from(is_leader && (has_lapsed || !was_leader));
            let new = Term { number, until, led_by_other };
            std::mem::replace(term, new) != new
        });
        self.stats.is_leader.store(is_leader, Relaxed);
        if is_leader && !was_leader {
            self.stats.terms.fetch_add(1, Relaxed);
            info!(lease = LEASE, "writes statuses and events for the cluster from now on");
        } else if was_leader && !is_leader {
            info!(lease = LEASE, "writes no statuses and events any more");
        }
    }

    fn failed(&self, what: &str, error: &Error) {
        let was_well = self.stats.last_error().is_none();
        self.stats.failed(what, &error.to_string());
        if was_well {
            warn!(%error, "{what}; it is repeated, and further failures are only counted");
        }
    }
}

/// Writes statuses while this agent leads.
async fn write_statuses(
    shared: &Shared,
    mut wanted: watch::Receiver<BTreeMap<ObjectRef, PolicyStatus>>,
) {
    let mut pending = Pending::new(shared.timing.status, shared.timing.backoff);
    let mut term = shared.term.subscribe();
    let (mut number, mut is_news) = (0, true);
    loop {
        if std::mem::take(&mut is_news) || wanted.has_changed().unwrap_or(false) {
            let lost = pending.want(&wanted.borrow_and_update(), shared.now());
            shared.stats.dropped.fetch_add(lost as u64, Relaxed);
        }
        let mut due = None;
        if shared.is_leader() {
            let now_number = term.borrow_and_update().number;
            if std::mem::replace(&mut number, now_number) != now_number {
                pending.doubt_all(shared.now());
            }
            if let Some((object, status)) = pending.take(shared.now()) {
                let said = status::write(shared, &object, &status).await;
                pending.done(&object, &said, shared.now());
                continue;
            }
            due = pending.next_deadline();
        }
        tokio::select! {
            _ = wanted.changed() => is_news = true,
            _ = term.changed() => {}
            () = shared.sleep_until_some(due) => {}
        }
    }
}

/// Writes events while this agent leads.
async fn write_events(shared: &Shared, reports: &mut mpsc::Receiver<Report>) {
    let mut ledger = Ledger::new(&shared.timing);
    let mut term = shared.term.subscribe();
    let mut known = Term::default();
    loop {
        let current = *term.borrow_and_update();
        let is_leader = shared.is_leader();
        if let Some(at) =
            current.led_by_other.filter(|_| current.led_by_other != known.led_by_other)
        {
            ledger.led_by_other(at);
        }
        if is_leader && current.number != known.number {
            let lost = ledger.inherit(shared.now());
            shared.stats.dropped.fetch_add(lost, Relaxed);
            known.number = current.number;
        }
        known.led_by_other = current.led_by_other;
        while let Ok(report) = reports.try_recv() {
            note(shared, &mut ledger, report);
        }
        let mut due = None;
        if is_leader {
            if let Some(job) = ledger.take(shared.now(), wire::wall()) {
                let outcome = events::write(shared, &job).await;
                ledger.done(&job, &outcome, shared.now());
                continue;
            }
            due = ledger.next_deadline();
        }
        tokio::select! {
            report = reports.recv() => {
                report.into_iter().for_each(|report| note(shared, &mut ledger, report));
            }
            _ = term.changed() => {}
            () = shared.sleep_until_some(due) => {}
        }
    }
}

/// Takes note of one report: to be written, or for when this agent leads next.
fn note(shared: &Shared, ledger: &mut Ledger, (at, wall, report): Report) {
    if !shared.is_leader() {
        ledger.remember(report, at, wall);
    } else if !ledger.count(report, at, wall, false) {
        shared.stats.drop_one();
    }
}
