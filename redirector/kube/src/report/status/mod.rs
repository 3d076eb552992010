//! Policies' statuses: what is to be said and when. Pure; [`apply`] says it.

mod apply;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub(super) use apply::write;
use redirector_core::Moment;

use crate::{api::ObjectRef, policies::PolicyStatus};

/// So many policies' statuses are kept; those after them, by name, have none.
pub(super) const MAX_POLICIES: usize = 10_000;

/// Doublings of the wait after a failure: some 4 minutes, since 10,000 policies may be refused
/// alike. An agent that becomes the leader begins anew.
const MAX_DOUBLINGS: u32 = 8;

/// The newest status of each policy, and when it may be written.
///
/// In order: a changed status at once, but a policy's at most once per interval; after a failure
/// later and later; one that stands there is not written again.
#[derive(Debug)]
pub(super) struct Pending {
    interval: Duration,
    backoff: Duration,
    wanted: BTreeMap<ObjectRef, Wanted>,
    queue: BTreeSet<(Moment, ObjectRef)>,
}

#[derive(Debug)]
struct Wanted {
    status: PolicyStatus,
    /// Its place in the queue.
    at: Option<Moment>,
    /// When it may be written again: one interval after the last write.
    not_before: Moment,
    failures: u32,
}

/// What became of a status.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    /// Written.
    Written,
    /// It stood there already.
    Equal,
    /// The policy is gone.
    Moot,
    /// It is to be tried again.
    Failed,
}

impl Pending {
    pub(super) fn new(interval: Duration, backoff: Duration) -> Self {
        Self { interval, backoff, wanted: BTreeMap::new(), queue: BTreeSet::new() }
    }

    /// These are the statuses now; of a policy that is not among them nothing is written any more.
    /// Returns how many found no room.
    pub(super) fn want(
        &mut self,
        statuses: &BTreeMap<ObjectRef, PolicyStatus>,
        now: Moment,
    ) -> usize {
        let queue = &mut self.queue;
        self.wanted.retain(|object, wanted| {
            let is_kept = statuses.contains_key(object);
            if let Some(at) = wanted.at.filter(|_| !is_kept) {
                queue.remove(&(at, object.clone()));
            }
            is_kept
        });
        for (object, status) in statuses.iter().take(MAX_POLICIES) {
            match self.wanted.get_mut(object) {
                Some(wanted) if wanted.status == *status => {}
                Some(wanted) => {
                    wanted.status = status.clone();
                    if wanted.at.is_none() {
                        let at = wanted.not_before.max(now);
                        wanted.at = Some(at);
                        self.queue.insert((at, object.clone()));
                    }
                }
                None => {
                    let status = status.clone();
                    let wanted = Wanted { status, at: Some(now), not_before: now, failures: 0 };
                    self.wanted.insert(object.clone(), wanted);
                    self.queue.insert((now, object.clone()));
                }
            }
        }
        statuses.len().saturating_sub(MAX_POLICIES)
    }

    /// Another agent may have written something else: everything is to be compared again.
    pub(super) fn doubt_all(&mut self, now: Moment) {
        self.queue.clear();
        for (object, wanted) in &mut self.wanted {
            let at = wanted.not_before.max(now);
            wanted.at = Some(at);
            wanted.failures = 0;
            self.queue.insert((at, object.clone()));
        }
    }

    /// When the next status is due.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes the next status that is due; [`Pending::done`] must follow.
    pub(super) fn take(&mut self, now: Moment) -> Option<(ObjectRef, PolicyStatus)> {
        if self.next_deadline()? > now {
            return None;
        }
        let (_, object) = self.queue.pop_first()?;
        let wanted = self.wanted.get_mut(&object)?;
        wanted.at = None;
        Some((object, wanted.status.clone()))
    }

    /// Notes what became of the status that was taken.
    pub(super) fn done(&mut self, object: &ObjectRef, outcome: &WriteOutcome, now: Moment) {
        let Some(wanted) = self.wanted.get_mut(object) else { return };
        match outcome {
            WriteOutcome::Written => {
                wanted.failures = 0;
                wanted.not_before = Moment(now.0 + self.interval);
            }
            WriteOutcome::Equal | WriteOutcome::Moot => wanted.failures = 0,
            WriteOutcome::Failed => {
                let wait = self.backoff * 2_u32.pow(wanted.failures.min(MAX_DOUBLINGS));
                wanted.failures += 1;
                let at = Moment(now.0 + wait).max(wanted.not_before);
                wanted.at = Some(at);
                self.queue.insert((at, object.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::{Condition, ConditionKind};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_policys_hundred_changes_are_written_once_per_interval_and_the_newest_wins() {
        let mut pending = Pending::new(5 * SECOND, SECOND);
        let mut written = Vec::new();
        for change in 0..100 {
            let now = Moment(SECOND / 10 * change);
            pending.want(&statuses([("a", change.into())]), now);
            while let Some((object, status)) = pending.take(now) {
                written.push((now.0, status.generation));
                pending.done(&object, &WriteOutcome::Written, now);
            }
        }
        assert_eq!(written, [(Duration::ZERO, 0), (5 * SECOND, 50)]);
        assert_eq!(pending.next_deadline(), Some(Moment(10 * SECOND)));
        let (_, status) = pending.take(Moment(10 * SECOND)).expect("the last change is due");
        assert_eq!(status.generation, 99);
    }

    #[test]
    fn what_stands_there_is_not_said_again() {
        let mut pending = Pending::new(5 * SECOND, SECOND);
        let now = Moment(SECOND);
        pending.want(&statuses([("a", 1)]), now);
        let (object, _) = pending.take(now).expect("new");
        pending.done(&object, &WriteOutcome::Equal, now);
        pending.want(&statuses([("a", 1)]), now);
        assert_eq!(pending.next_deadline(), None);
        pending.doubt_all(now);
        assert_eq!(pending.take(now), Some((object, status(1))));
    }

    #[test]
    fn failures_are_repeated_later_and_later() {
        let mut pending = Pending::new(5 * SECOND, SECOND);
        let mut now = Moment(SECOND);
        pending.want(&statuses([("a", 1)]), now);
        let mut waits = Vec::new();
        for _ in 0..10 {
            let (object, _) = pending.take(now).expect("due");
            pending.done(&object, &WriteOutcome::Failed, now);
            let next = pending.next_deadline().expect("to be repeated");
            waits.push((next.0 - now.0).as_secs());
            now = next;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 256]);
    }

    #[test]
    fn a_policy_that_is_gone_is_forgotten_and_too_many_are_counted() {
        let mut pending = Pending::new(5 * SECOND, SECOND);
        let now = Moment(SECOND);
        pending.want(&statuses([("a", 1), ("b", 1)]), now);
        pending.want(&statuses([("b", 1)]), now);
        let (object, _) = pending.take(now).expect("b is due");
        assert_eq!(&*object.name, "b");
        assert_eq!(pending.take(now), None);

        let names: Vec<String> = (0..MAX_POLICIES + 3).map(|number| format!("p{number}")).collect();
        let many = names.iter().map(|name| (object_ref(name), status(1))).collect();
        assert_eq!(pending.want(&many, now), 3);
    }

    fn statuses<const N: usize>(of: [(&str, i64); N]) -> BTreeMap<ObjectRef, PolicyStatus> {
        of.map(|(name, generation)| (object_ref(name), status(generation))).into()
    }

    fn object_ref(name: &str) -> ObjectRef {
        ObjectRef { namespace: "shop".into(), name: name.into() }
    }

    fn status(generation: i64) -> PolicyStatus {
        let message = "valid".to_owned();
        let kind = ConditionKind::Accepted;
        let condition = Condition { kind, status: Some(true), reason: "Valid", message };
        PolicyStatus { generation, conditions: vec![condition] }
    }
}
