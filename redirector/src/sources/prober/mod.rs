//! Asks backends whether they are well, as often as the core wants: by TCP, HTTP or gRPC.
//!
//! When which backend is asked is decided by `schedule`, which is pure. A probe under way is a task
//! of at most 1 KiB, and some 35 µs of a core if it is TCP, the kernel's share included. What a result means is the
//! core's business: it counts, ejects and re-admits. UDP is never asked.

mod ask;
mod connect;
mod failure;
mod grpc;
mod http;
mod limited;
mod local_failures;
mod schedule;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use redirector_core::{
    Input,
    input::ProbeOrder,
    service::{BackendRef, Probe},
};
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, sleep_until},
};

pub use self::local_failures::LocalFailures;
use self::{
    ask::ask,
    failure::Failure,
    schedule::{Begun, Schedule},
};

/// Which backends to ask, and how.
type Wanted = Arc<BTreeMap<BackendRef, ProbeOrder>>;

/// Runs the probes, and counts those that said nothing about their backend.
#[derive(Debug)]
pub struct Prober {
    results: mpsc::Sender<Input>,
    at_once: usize,
    remote_probes: u32,
    local_failures: Arc<LocalFailures>,
}

/// Probes under way, and those that wait.
struct Running {
    schedule: Schedule,
    tasks: JoinSet<Option<bool>>,
    begun: HashMap<Id, (Begun, AbortHandle)>,
}

impl Prober {
    /// Results go to `results`; at most `at_once` probes, at least one, are under way at any
    /// moment. They are divided among the owners of the backends; some are kept for urgent ones.
    #[must_use]
    pub fn new(results: mpsc::Sender<Input>, at_once: usize) -> Self {
        Self { results, at_once, remote_probes: 1, local_failures: Arc::default() }
    }

    /// Asks so many backends a second, at least one, of all those at rest of each other cluster.
    #[must_use]
    pub fn with_remote_probes(self, a_second: u32) -> Self {
        Self { remote_probes: a_second, ..self }
    }

    /// Which probes failed on this machine: no descriptor, no port, no route, forbidden. They are not
    /// reported.
    #[must_use]
    pub fn local_failures(&self) -> Arc<LocalFailures> {
        Arc::clone(&self.local_failures)
    }

    /// Probes what `wanted` says until its sender or the receiver of the results is gone. Dropping
    /// the future ends all probes.
    pub async fn run(self, mut wanted: watch::Receiver<Wanted>) {
        let mut running = Running {
            schedule: Schedule::new(self.at_once),
            tasks: JoinSet::new(),
            begun: HashMap::new(),
        };
        running.schedule.set_remote_probes(self.remote_probes);
        running.adapt(&Arc::clone(&wanted.borrow_and_update()));
        loop {
            self.begin(&mut running);
            let due = running.schedule.deadline();
            tokio::select! {
                Some(ended) = running.tasks.join_next_with_id() => {
                    running.end(ended);
                    while let Some(ended) = running.tasks.try_join_next_with_id() {
                        running.end(ended);
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                () = self.results.closed() => return,
                changed = wanted.changed() => match changed {
                    Ok(()) => running.adapt(&Arc::clone(&wanted.borrow_and_update())),
                    Err(_) => return,
                },
            }
        }
    }

    /// Begins all probes that may.
    fn begin(&self, running: &mut Running) {
        let Running { schedule, tasks, begun } = running;
        while let Some(next) = schedule.begin(Instant::now()) {
            let (results, failures) = (self.results.clone(), Arc::clone(&self.local_failures));
            let task = tasks.spawn(report(next.backend, next.probe.clone(), results, failures));
            begun.insert(task.id(), (next, task));
        }
    }
}

impl Running {
    fn adapt(&mut self, wanted: &Wanted) {
        let stopped = self.schedule.adapt(wanted, Instant::now(), rand::random);
        for (begun, task) in self.begun.values() {
            if stopped.contains(&begun.ticket) {
                task.abort();
            }
        }
    }

    /// A probe's place is free when its task has ended, also if it was stopped.
    fn end(&mut self, ended: Result<(Id, Option<bool>), JoinError>) {
        let (id, answered) = ended.unwrap_or_else(|error| (error.id(), None));
        if let Some((begun, _)) = self.begun.remove(&id) {
            self.schedule.ended(begun, answered, Instant::now(), rand::random);
        }
    }
}

/// Asks, reports, and says whether the backend is well; `None` is that this machine could not ask.
async fn report(
    backend: BackendRef,
    probe: Probe,
    results: mpsc::Sender<Input>,
    local_failures: Arc<LocalFailures>,
) -> Option<bool> {
    let outcome = match ask(backend, &probe).await {
        Ok(()) => Ok(()),
        Err(Failure::Backend(failure)) => Err(failure),
        Err(Failure::Local(error)) => {
            local_failures.count(&backend, &error);
            return None;
        }
    };
    let answered = outcome.is_ok();
    // The receiver may be gone: then the prober ends.
    _ = results.send(Input::Probed { backend, outcome }).await;
    Some(answered)
}
