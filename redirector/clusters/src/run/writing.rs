//! A writer with its requests under way.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use redirector_core::Moment;
use redirector_kube::{
    api::{Batch, Change},
    client::{Client, Error, ErrorKind},
};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::write::{Job, KeptObject, Key, Kind, Ours, Outcome, Writer, perform};

/// Requests under way at once, at most.
const AT_ONCE: usize = 16;

/// The newest version of the own API server that was heard, of whatever object: its versions only grow, so
/// a write with an older one was made to a backup that was restored.
#[derive(Clone, Debug, Default)]
pub(super) struct Newest(Arc<(AtomicU64, AtomicU64)>);

/// So often a backup may be told by versions in one life: where kinds are kept in stores of their own
/// (`--etcd-servers-overrides`) their versions cannot be compared, and each write would tell one.
const MOST_BACKUPS: u64 = 3;

impl Newest {
    /// Takes note of a version. Versions are numbers in fact (KEP-5504); one that is none says nothing.
    pub(super) fn note(&self, version: &str) {
        self.0.0.fetch_max(version.parse().unwrap_or_default(), Relaxed);
    }

    /// The newest one.
    pub(super) fn get(&self) -> u64 {
        self.0.0.load(Relaxed)
    }

    /// Whether a write of that version was made to a backup, where this was the newest one before it.
    pub(super) fn tells_a_backup(&self, version: &str, before: u64) -> bool {
        let is_older = version.parse().is_ok_and(|version: u64| version <= before);
        is_older && self.0.1.fetch_add(1, Relaxed) < MOST_BACKUPS
    }

    /// Nothing that was heard holds any longer.
    pub(super) fn forget(&self) {
        self.0.0.store(0, Relaxed);
    }
}

/// What an API server is brought to, and the requests for that.
#[derive(Debug)]
pub(super) struct Writing {
    /// What is desired and what there is.
    pub(super) writer: Writer,
    client: Client,
    ours: Ours,
    newest: Newest,
    origin: Instant,
    requests: JoinSet<(Job, Outcome, Option<Error>)>,
    /// Which kinds of failure of which kinds of object have been told.
    told: BTreeMap<Kind, ErrorKind>,
    /// Requests that failed.
    pub(super) errors: u64,
}

impl Writing {
    /// Writes by that client, whose requests take at most `deadline`.
    pub(super) fn new(
        client: &Client,
        ours: Ours,
        deadline: Duration,
        divisor: u32,
        newest: &Newest,
    ) -> Self {
        Self {
            writer: Writer::new(divisor),
            client: client.with_deadline(deadline),
            ours,
            newest: newest.clone(),
            origin: Instant::now(),
            requests: JoinSet::new(),
            told: BTreeMap::new(),
            errors: 0,
        }
    }

    /// Takes in what a watch says of the objects that there are.
    pub(super) fn heard<T: KeptObject>(&mut self, kind: Kind, batch: Batch<T>) {
        for change in batch.changes {
            match change {
                Change::Put(object) => {
                    if let Some((key, actual)) = object.found() {
                        self.newest.note(&actual.version);
                        self.writer.found(key, actual);
                    }
                }
                Change::Remove(object) => {
                    let (namespace, name) = (object.namespace, object.name);
                    self.writer.lost(Key { kind, namespace, name });
                }
                // What there is of it is not known: the last good version is compared.
                Change::Rejected { .. } => {}
            }
        }
    }

    /// Begins as many requests as may be under way.
    pub(super) fn pump(&mut self) {
        while self.requests.len() < AT_ONCE {
            let Some(job) = self.writer.take(self.now()) else { return };
            let (client, ours) = (self.client.clone(), self.ours);
            self.requests.spawn(async move {
                let (outcome, error) = perform(&client, ours, &job).await;
                (job, outcome, error)
            });
        }
    }

    /// Waits for something to do: an answer, or, if requests may be made, one that is due. Never returns
    /// while there is neither. May be dropped at any time.
    pub(super) async fn next(&mut self, may_write: bool) {
        let has_room = may_write && self.requests.len() < AT_ONCE;
        let due = self.writer.next_deadline().filter(|_| has_room);
        let due = due.map(|due| self.origin + due.0);
        let sleep = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        let answered = tokio::select! {
            Some(answered) = self.requests.join_next() => answered,
            () = sleep => return,
        };
        match answered {
            Ok((job, outcome, error)) => {
                self.tell(&job, error.as_ref());
                if let Outcome::Written(actual) = &outcome {
                    self.newest.note(&actual.version);
                }
                self.writer.done(&job.key, outcome, self.now());
            }
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Says once for each kind what fails, and when it does no more.
    fn tell(&mut self, job: &Job, error: Option<&Error>) {
        let kind = job.key.kind;
        let Some(error) = error else {
            if self.told.remove(&kind).is_some() {
                info!(kind = kind.name(), "can be written again");
            }
            return;
        };
        self.errors += 1;
        if self.told.insert(kind, error.kind()) != Some(error.kind()) {
            warn!(object = %job.key, %error, "cannot write; it is tried again, and nothing is removed meanwhile that it should replace");
        }
    }

    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_is_older_than_what_was_heard_tells_a_backup_but_not_for_ever() {
        let newest = Newest::default();
        assert!(!newest.tells_a_backup("1", newest.get()));
        newest.note("70");
        newest.note("69");
        newest.note("opaque");
        assert!(!newest.tells_a_backup("71", newest.get()));
        assert!(!newest.tells_a_backup("opaque", newest.get()));
        for _ in 0..MOST_BACKUPS {
            assert!(newest.tells_a_backup("9", newest.get()));
        }
        assert!(!newest.tells_a_backup("9", newest.get()), "kinds in stores of their own");
        newest.forget();
        assert_eq!(newest.get(), 0);
    }
}
