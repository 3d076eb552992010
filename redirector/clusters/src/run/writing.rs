//! A writer with its requests under way.

use std::{
    collections::BTreeMap,
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

/// What an API server is brought to, and the requests for that.
#[derive(Debug)]
pub(super) struct Writing {
    /// What is desired and what there is.
    pub(super) writer: Writer,
    client: Client,
    ours: Ours,
    origin: Instant,
    requests: JoinSet<(Job, Outcome, Option<Error>)>,
    /// Which kinds of failure of which kinds of object have been told.
    told: BTreeMap<Kind, ErrorKind>,
    /// Requests that failed.
    pub(super) errors: u64,
}

impl Writing {
    /// Writes by that client, whose requests take at most `deadline`.
    pub(super) fn new(client: &Client, ours: Ours, deadline: Duration, divisor: u32) -> Self {
        Self {
            writer: Writer::new(divisor),
            client: client.with_deadline(deadline),
            ours,
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

    /// Waits for something to do: an answer, or a request that is due. Never returns while there is
    /// neither. May be dropped at any time.
    pub(super) async fn next(&mut self) {
        let due = self.writer.next_deadline().filter(|_| self.requests.len() < AT_ONCE);
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
