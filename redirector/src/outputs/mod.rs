//! Says what happened and how things are: metrics, and whether this process is alive and ready.

pub mod admin;
pub mod clusters;
mod metrics;

use std::{
    ops::Deref,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use redirector_core::{State, Transition, plan::Installed};
use redirector_kube::report::Handle;
use tokio::sync::watch;

pub use metrics::Metrics;

use crate::sources::{Left, Shortfall};

/// What the agent tells, and everybody else may read.
#[derive(Debug)]
pub struct Outputs {
    /// To be counted and rendered.
    pub metrics: Metrics,
    started: Instant,
    last_beat_ms: AtomicU64,
    is_ready: AtomicBool,
    /// What of the programs and maps is gone, and what is done about it.
    lost: watch::Sender<Option<Arc<str>>>,
    /// Why the maps are not as the sources want them.
    unapplied: watch::Sender<Option<Arc<str>>>,
    /// Services for which there is no room.
    rejected: AtomicUsize,
    /// Services that the source leaves to others.
    left: Left,
    reports: Option<Handle>,
}

/// How long the main loop may be silent: longer than any plan takes.
const SILENCE: Duration = Duration::from_secs(15);

impl Outputs {
    /// Outputs that have been told of nothing yet; `left` is what the source leaves to others, and a
    /// reporter, if there is one, is told too what has happened.
    #[must_use]
    pub fn new(metrics: Metrics, left: Left, reports: Option<Handle>) -> Self {
        Self {
            metrics,
            started: Instant::now(),
            last_beat_ms: AtomicU64::new(0),
            is_ready: AtomicBool::new(false),
            lost: watch::Sender::default(),
            unapplied: watch::Sender::default(),
            rejected: AtomicUsize::new(0),
            left,
            reports,
        }
    }

    /// Services that are not in the kernel as the source has them, and why.
    pub fn left(&self) -> impl Deref<Target = Shortfall> {
        self.left.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a reporter is told what has happened.
    #[must_use]
    pub fn reports(&self) -> bool {
        self.reports.is_some()
    }

    /// Takes note of transitions that are in force.
    pub fn happened(&self, transitions: &[Transition]) {
        if let Some(reports) = &self.reports {
            reports.happened(transitions);
        }
    }

    /// Ready from now on: what was pinned is in force, whatever the source will say.
    pub fn is_served(&self) {
        self.is_ready.store(true, Ordering::Relaxed);
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

    /// Whether the kernel has had what the sources say at least once, and has it still. What is
    /// missing nevertheless is said, without names: the client need not be allowed to know them. A
    /// service for which there is no room leaves the node ready, or one tenant's could hold up the
    /// roll-out on all nodes.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn is_ready(&self) -> Result<String, Arc<str>> {
        let unapplied = self.unapplied.borrow().clone();
        if let Some(why) = self.lost().or(unapplied) {
            return Err(why);
        }
        if !self.is_ready.load(Ordering::Relaxed) {
            return Err("the sources have not been heard yet".into());
        }
        Ok(match self.rejected.load(Ordering::Relaxed) {
            0 if self.left().file.is_some() => {
                "ready, but the file's newest version is refused; `redirector status` says why"
                    .to_owned()
            }
            0 => "ready".to_owned(),
            count => format!(
                "ready, but services are not installed for want of room ({count}); `redirector \
                 status` says which"
            ),
        })
    }

    /// Why the maps are not as the sources want them; `None` is that they are.
    pub fn set_unapplied(&self, why: Option<Arc<str>>) {
        self.metrics.unapplied(why.is_some());
        self.unapplied.send_replace(why);
    }

    /// Notes how many programs and maps are gone, and what is to be said about it; nothing is if
    /// `why` is `None`.
    pub fn set_lost(&self, count: usize, why: Option<Arc<str>>) {
        self.metrics.lost(count);
        self.lost.send_replace(why);
    }

    /// What of the programs and maps is gone, and what is done about it.
    #[must_use]
    pub fn lost(&self) -> Option<Arc<str>> {
        self.lost.borrow().clone()
    }

    /// The kernel has been brought to what the state wants, or as far as it goes.
    pub fn reconciled(&self, installed: &Installed, state: &State, rejected: usize) {
        self.metrics.reconciled(installed, rejected);
        self.rejected.store(rejected, Ordering::Relaxed);
        if state.is_synced() {
            self.is_ready.store(true, Ordering::Relaxed);
        }
    }
}

/// The maps whose room is limited: what they hold and what there is room for. Frontends of both
/// families are held against the room for one.
pub fn room(installed: &Installed) -> [(&'static str, u32, u32); 5] {
    let (used, capacity) = (installed.usage(), installed.capacities());
    [
        ("frontends", used.frontends, capacity.frontends),
        ("services", used.services, capacity.services),
        ("backends", used.backends, capacity.backends),
        ("nodes", used.nodes, capacity.nodes),
        ("slots", used.slots, capacity.slots),
    ]
}
