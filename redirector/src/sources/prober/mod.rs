//! Asks backends whether they accept TCP connections, as often as the core wants.
//!
//! One task per backend, most of the time a timer: 1 KiB of memory each, and some 35 µs of a core
//! per probe, the kernel's share included. What a result means is the core's business: it
//! counts, ejects and re-admits. UDP is never asked.

mod dial;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redirector_core::{
    Input,
    input::ProbeOrder,
    service::{BackendRef, Probe, Protocol},
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, sleep_until},
};
use tracing::debug;

use self::dial::{Outcome, dial};

/// The first probes of a set that appears at once are spread over at most this long.
const SPREAD: Duration = Duration::from_millis(100);

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
    places: Arc<Semaphore>,
    local_failures: Arc<AtomicU64>,
}

/// A probe that runs.
struct Running {
    order: ProbeOrder,
    task: AbortHandle,
}

impl Prober {
    /// Results go to `results`; at most `at_once` probes, at least one, are under way at any
    /// moment.
    #[must_use]
    pub fn new(results: mpsc::Sender<Input>, at_once: usize) -> Self {
        let places = Arc::new(Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)));
        Self { results, places, local_failures: Arc::default() }
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

    /// Stops what is no longer wanted in this way, and starts what does not run.
    fn adapt(
        &self,
        wanted: &BTreeMap<BackendRef, ProbeOrder>,
        running: &mut BTreeMap<BackendRef, Running>,
        tasks: &mut JoinSet<()>,
    ) {
        running.retain(|backend, Running { order, task }| {
            let keep = wanted.get(backend) == Some(order);
            if !keep {
                task.abort();
            }
            keep
        });
        for (&backend, order) in wanted {
            if backend.protocol == Protocol::Tcp {
                running.entry(backend).or_insert_with(|| Running {
                    order: order.clone(),
                    task: tasks.spawn(self.probes(backend, order.probe.clone())),
                });
            }
        }
    }

    /// Probes one backend for ever.
    fn probes(&self, backend: BackendRef, probe: Probe) -> impl Future<Output = ()> + use<> {
        let Self { results, places, local_failures } = self;
        let (results, places) = (results.clone(), Arc::clone(places));
        let local_failures = Arc::clone(local_failures);
        async move {
            let interval = Duration::from_millis(probe.interval_ms.into());
            let timeout = Duration::from_millis(probe.timeout_ms.into());
            sleep(interval.min(SPREAD).mul_f64(rand::random_range(0.0..1.0))).await;
            // Neither the semaphore nor, before this task, the receiver goes away.
            while let Ok(place) = places.acquire().await {
                let next = Instant::now() + interval.mul_f64(rand::random_range(0.9..=1.1));
                let outcome = dial(backend, timeout).await;
                drop(place);
                match outcome {
                    Outcome::Answered(outcome) => {
                        if results.send(Input::Probed { backend, outcome }).await.is_err() {
                            return;
                        }
                    }
                    Outcome::Local(error) => {
                        let total = local_failures.fetch_add(1, Ordering::Relaxed) + 1;
                        debug!(%backend, %error, total, "could not probe");
                    }
                }
                sleep_until(next).await;
            }
        }
    }
}
