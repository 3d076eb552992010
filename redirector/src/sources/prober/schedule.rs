//! When one backend is asked: every interval, with jitter, and at once when that is urgent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redirector_core::{
    Input,
    service::{BackendRef, Probe},
};
use tokio::{
    sync::{AcquireError, Notify, Semaphore, SemaphorePermit, mpsc},
    time::{Instant, sleep_until},
};
use tracing::debug;

use super::{ask::ask, dial::Failure};

/// The first probes of a set that appears at once are spread over at most this long.
const SPREAD: Duration = Duration::from_millis(100);

/// One place in so many is kept for urgent probes: a black hole holds a place for the whole
/// timeout, and a zone that dies is many of them.
const URGENT_SHARE: usize = 8;

/// How many probes may be under way.
#[derive(Debug)]
pub(super) struct Places {
    everyone: Semaphore,
    urgent: Semaphore,
}

impl Places {
    /// `at_once` in all, at least one.
    pub fn new(at_once: usize) -> Self {
        let at_once = at_once.clamp(1, Semaphore::MAX_PERMITS);
        let urgent = at_once / URGENT_SHARE;
        Self { everyone: Semaphore::new(at_once - urgent), urgent: Semaphore::new(urgent) }
    }

    async fn take(&self, is_urgent: bool) -> Result<SemaphorePermit<'_>, AcquireError> {
        if !is_urgent {
            return self.everyone.acquire().await;
        }
        tokio::select! {
            biased;
            place = self.everyone.acquire() => place,
            place = self.urgent.acquire() => place,
        }
    }
}

/// The probes of one backend.
pub(super) struct Schedule {
    pub backend: BackendRef,
    pub probe: Probe,
    /// Whether the first probe is urgent.
    pub begins_at_once: bool,
    /// Asks for one probe beside the interval.
    pub urgent: Arc<Notify>,
    pub places: Arc<Places>,
    pub results: mpsc::Sender<Input>,
    pub local_failures: Arc<AtomicU64>,
}

impl Schedule {
    /// Probes for ever, or until nobody wants the results.
    pub async fn run(self) {
        let interval = Duration::from_millis(self.probe.interval_ms.into());
        let jitter = || interval.mul_f64(rand::random_range(0.9..=1.1));
        let spread = if self.begins_at_once { Duration::ZERO } else { interval.min(SPREAD) };
        let mut next = Instant::now() + spread.mul_f64(rand::random_range(0.0..1.0));
        loop {
            let is_urgent = tokio::select! {
                biased;
                () = self.urgent.notified() => true,
                () = sleep_until(next) => false,
            };
            // A probe that waits for its place may become urgent.
            let place = if is_urgent {
                self.places.take(true).await
            } else {
                tokio::select! {
                    biased;
                    place = self.places.take(false) => place,
                    () = self.urgent.notified() => self.places.take(true).await,
                }
            };
            // The semaphores are never closed.
            let Ok(place) = place else { return };
            // An urgent probe leaves the schedule as it is.
            if !is_urgent {
                next = Instant::now() + jitter();
            }
            let outcome = ask(self.backend, &self.probe).await;
            drop(place);
            if !self.report(outcome).await {
                return;
            }
        }
    }

    /// Whether anybody listens.
    async fn report(&self, outcome: Result<(), Failure>) -> bool {
        let backend = self.backend;
        let outcome = match outcome {
            Ok(()) => Ok(()),
            Err(Failure::Backend(failure)) => Err(failure),
            Err(Failure::Local(error)) => {
                let total = self.local_failures.fetch_add(1, Ordering::Relaxed) + 1;
                debug!(%backend, %error, total, "could not probe");
                return true;
            }
        };
        self.results.send(Input::Probed { backend, outcome }).await.is_ok()
    }
}
