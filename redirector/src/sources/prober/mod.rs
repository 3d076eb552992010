//! Asks backends whether they are well, as often as the core wants: by TCP, HTTP or gRPC.
//!
//! One task per backend, most of the time a timer: 1 KiB of memory each, and some 35 µs of a core
//! per TCP probe, the kernel's share included. What a result means is the core's business: it
//! counts, ejects and re-admits. UDP is never asked.

mod ask;
mod dial;
mod frugal;
mod grpc;
mod http;
mod schedule;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, atomic::AtomicU64},
};

use redirector_core::{
    Input,
    input::ProbeOrder,
    service::{BackendRef, Protocol},
};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::{AbortHandle, JoinSet},
};

use self::schedule::{Places, Schedule};

/// Which backends to ask, and how.
type Wanted = Arc<BTreeMap<BackendRef, ProbeOrder>>;

/// Probes what `wanted` says until its sender or the receiver of the results is gone; at most
/// `at_once` probes, at least one, are under way at any moment. Dropping the future ends all of
/// them.
pub async fn run(wanted: watch::Receiver<Wanted>, results: mpsc::Sender<Input>, at_once: usize) {
    Prober::new(results, at_once).run(wanted).await;
}

/// Runs the probes, and counts those that said nothing about their backend.
#[derive(Debug)]
pub struct Prober {
    results: mpsc::Sender<Input>,
    places: Arc<Places>,
    local_failures: Arc<AtomicU64>,
}

/// A probe that runs.
struct Running {
    order: ProbeOrder,
    urgent: Arc<Notify>,
    task: AbortHandle,
}

impl Prober {
    /// Results go to `results`; at most `at_once` probes, at least one, are under way at any
    /// moment. Some of these places are kept for urgent ones.
    #[must_use]
    pub fn new(results: mpsc::Sender<Input>, at_once: usize) -> Self {
        Self { results, places: Arc::new(Places::new(at_once)), local_failures: Arc::default() }
    }

    /// How many probes failed on this machine: no descriptor, no port, no route, forbidden. They
    /// are not reported.
    #[must_use]
    pub fn local_failures(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.local_failures)
    }

    /// Probes what `wanted` says, as [`run`] does.
    pub async fn run(self, mut wanted: watch::Receiver<Wanted>) {
        let mut tasks = JoinSet::new();
        let mut running = BTreeMap::new();
        loop {
            let now_wanted = Arc::clone(&wanted.borrow_and_update());
            self.adapt(&now_wanted, &mut running, &mut tasks);
            loop {
                tokio::select! {
                    // Ended tasks are taken out, or they would be kept for ever.
                    Some(_) = tasks.join_next() => {}
                    () = self.results.closed() => return,
                    changed = wanted.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                }
            }
        }
    }

    /// Stops what is no longer wanted in this way, starts what does not run, and hurries what has
    /// become urgent.
    fn adapt(
        &self,
        wanted: &BTreeMap<BackendRef, ProbeOrder>,
        running: &mut BTreeMap<BackendRef, Running>,
        tasks: &mut JoinSet<()>,
    ) {
        running.retain(|backend, Running { task, .. }| {
            let keep = wanted.contains_key(backend);
            if !keep {
                task.abort();
            }
            keep
        });
        let askable = wanted.iter().filter(|(backend, _)| backend.protocol == Protocol::Tcp);
        for (&backend, order) in askable {
            match running.entry(backend) {
                Entry::Vacant(free) => {
                    free.insert(self.start(backend, order, order.urgency != 0, tasks));
                }
                Entry::Occupied(mut known) => {
                    let Running { order: before, urgent, task } = known.get_mut();
                    let is_urgent = before.urgency != order.urgency;
                    if before.probe != order.probe {
                        task.abort();
                        known.insert(self.start(backend, order, is_urgent, tasks));
                    } else if is_urgent {
                        before.urgency = order.urgency;
                        urgent.notify_one();
                    }
                }
            }
        }
    }

    fn start(
        &self,
        backend: BackendRef,
        order: &ProbeOrder,
        begins_at_once: bool,
        tasks: &mut JoinSet<()>,
    ) -> Running {
        let urgent = Arc::new(Notify::new());
        let schedule = Schedule {
            backend,
            probe: order.probe.clone(),
            begins_at_once,
            urgent: Arc::clone(&urgent),
            places: Arc::clone(&self.places),
            results: self.results.clone(),
            local_failures: Arc::clone(&self.local_failures),
        };
        Running { order: order.clone(), urgent, task: tasks.spawn(schedule.run()) }
    }
}
