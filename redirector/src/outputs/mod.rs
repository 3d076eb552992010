//! Says what happened and how things are: metrics, and whether this process is alive and ready.

pub mod admin;
mod metrics;

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redirector_core::{Transition, World, plan::Installed};
use redirector_kube::report::Handle;

pub use metrics::Metrics;

/// What the agent tells, and everybody else may read.
#[derive(Debug)]
pub struct Outputs {
    metrics: Metrics,
    started: Instant,
    last_beat_ms: AtomicU64,
    is_ready: AtomicBool,
    /// What of the programs and maps is gone, and what is done about it.
    lost: RwLock<Option<Arc<str>>>,
    reports: Option<Handle>,
}

/// How long the main loop may be silent: longer than any plan takes.
const SILENCE: Duration = Duration::from_secs(15);

impl Outputs {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            started: Instant::now(),
            last_beat_ms: AtomicU64::new(0),
            is_ready: AtomicBool::new(false),
            lost: RwLock::default(),
            reports: None,
        }
    }

    /// Tells a reporter too what has happened.
    #[must_use]
    pub fn reporting(self, reports: Option<Handle>) -> Self {
        Self { reports, ..self }
    }

    /// Whether anybody reports what has happened.
    #[must_use]
    pub fn reports(&self) -> bool {
        self.reports.is_some()
    }

    /// These are in force.
    pub fn happened(&self, transitions: &[Transition]) {
        if let Some(reports) = &self.reports {
            reports.happened(transitions);
        }
    }

    /// Ready from now on: what was pinned is in force, whatever the source will say.
    pub fn is_served(&self) {
        self.is_ready.store(true, Ordering::Relaxed);
    }

    /// The metrics, to be rendered.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The main loop is alive.
    pub fn beat(&self) {
        self.last_beat_ms.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Whether the main loop has been heard of lately.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let beat = Duration::from_millis(self.last_beat_ms.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(beat) < SILENCE
    }

    /// Whether the kernel has had what the sources say at least once, and has it still.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn is_ready(&self) -> Result<(), Arc<str>> {
        if let Some(lost) = self.lost() {
            return Err(lost);
        }
        let is_ready = self.is_ready.load(Ordering::Relaxed);
        is_ready.then_some(()).ok_or_else(|| "the sources have not been heard yet".into())
    }

    /// So many programs and maps are gone, and what is to be said about it; nothing is if `why` is
    /// `None`.
    pub fn set_lost(&self, count: usize, why: Option<Arc<str>>) {
        self.metrics.lost(count);
        *self.lost.write().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// What of the programs and maps is gone, and what is done about it.
    #[must_use]
    pub fn lost(&self) -> Option<Arc<str>> {
        self.lost.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something happened.
    pub fn count(&self, transition: &Transition) {
        self.metrics.count(transition);
    }

    /// Single stores were made outside of a plan.
    pub fn wrote(&self, writes: u64) {
        self.metrics.wrote(writes);
    }

    /// A plan was applied.
    pub fn applied(&self, writes: u64, took: Duration) {
        self.metrics.applied(writes, took);
    }

    /// The kernel has been brought to what the world wants, or as far as it goes.
    pub fn settled(&self, installed: &Installed, world: &World, rejected: usize) {
        self.metrics.settled(installed, rejected);
        if world.is_synced() {
            self.is_ready.store(true, Ordering::Relaxed);
        }
    }
}
