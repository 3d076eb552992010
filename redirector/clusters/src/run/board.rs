//! What the Deployment tells of itself: whether it lives, is ready and leads, and how the clusters are.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use redirector_kube::api::Phase;

/// How long the tasks may be silent.
const SILENCE: Duration = Duration::from_secs(15);

/// What is told; written by the tasks, read by an endpoint.
#[derive(Debug)]
pub struct Board(Mutex<State>);

#[derive(Debug)]
struct State {
    beat: Instant,
    /// Why it is not ready; `None` is ready.
    unready: Option<Arc<str>>,
    figures: Figures,
}

/// Numbers for metrics.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Whether this replica leads.
    pub leads: bool,
    /// Services in the outbox.
    pub exported_services: usize,
    /// Objects that are not as desired.
    pub backlog: usize,
    /// Requests to the own API server that failed.
    pub write_errors: u64,
    /// Each cluster that is joined; empty in a replica that does not lead.
    pub clusters: BTreeMap<Arc<str>, ClusterFigures>,
}

/// Numbers of one cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterFigures {
    /// Its phase; `None`: others discover it.
    pub phase: Option<Phase>,
    /// When it was last heard, by the own clock.
    pub heard: Option<Instant>,
    /// Its endpoints that are imported.
    pub endpoints: usize,
}

impl Default for Board {
    fn default() -> Self {
        let unready = Some("the API server has not been heard yet".into());
        let figures = Figures::default();
        Self(Mutex::new(State { beat: Instant::now(), unready, figures }))
    }
}

impl Board {
    /// Whether the tasks have been heard of lately.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.lock().beat.elapsed() < SILENCE
    }

    /// Whether this replica could lead at once.
    ///
    /// # Errors
    ///
    /// Why not, for people.
    pub fn is_ready(&self) -> Result<&'static str, Arc<str>> {
        match &self.lock().unready {
            None => Ok("ready"),
            Some(why) => Err(why.clone()),
        }
    }

    /// All numbers.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.lock().figures.clone()
    }

    pub(super) fn beat(&self) {
        self.lock().beat = Instant::now();
    }

    pub(super) fn set_ready(&self, ready: Result<(), Arc<str>>) {
        self.lock().unready = ready.err();
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.lock().figures);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No value here is half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
