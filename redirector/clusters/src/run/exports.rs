//! ServiceExports: watched in the version that the API server has, and their statuses written.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::jiff::Timestamp;
use redirector_kube::{
    api::{Batch, Object as _, ObjectRef},
    client::{Client, Error},
    watch::{Limits, Selector, State},
};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};
use tracing::{info, warn};

use super::{
    exporting::Conflicts,
    news::{Watches, mapped, path},
    timing::Timing,
};
use crate::{
    api::{AlphaServiceExport, ServiceExport},
    export::{ExportCondition, ExportState, Exporter, conditions, written},
    write::FIELD_MANAGER,
};

/// Statuses that are being written at once, at most.
const AT_ONCE: usize = 8;
/// How long an export may be on its way into the outbox before its status says so.
const PATIENCE: Duration = Duration::from_secs(1);

/// The statuses of ServiceExports, and what is under way.
#[derive(Debug)]
pub(super) struct Exports {
    client: Client,
    timing: Timing,
    /// The watch, and the collection that it found; ends with this.
    _watching: JoinSet<()>,
    collection: Arc<std::sync::OnceLock<&'static str>>,
    writes: JoinSet<(ObjectRef, Result<(), Error>)>,
    /// Being written, or not to be written again before then.
    blocked: BTreeMap<ObjectRef, Option<Instant>>,
    /// When all are compared again.
    compare_at: Option<Instant>,
    /// Since when each is valid and not in the outbox.
    pending: BTreeMap<ObjectRef, Instant>,
    is_failing: bool,
}

impl Exports {
    /// Begins to watch; what is heard goes to `heard`.
    pub(super) fn begin<N: Send + 'static>(
        client: Client,
        limits: Limits,
        timing: Timing,
        heard: mpsc::Sender<N>,
        news: fn(Batch<ServiceExport>) -> N,
    ) -> Self {
        let collection: Arc<std::sync::OnceLock<_>> = Arc::default();
        let mut watching = JoinSet::new();
        let watcher =
            Watcher { client: client.clone(), limits, timing: timing.clone(), heard, news };
        watching.spawn(watcher.run(Arc::clone(&collection)));
        Self {
            client: client.with_deadline(timing.request),
            timing,
            _watching: watching,
            collection,
            writes: JoinSet::new(),
            blocked: BTreeMap::new(),
            compare_at: Some(Instant::now()),
            pending: BTreeMap::new(),
            is_failing: false,
        }
    }

    /// Something has changed that a status may depend on.
    pub(super) fn doubt(&mut self) {
        let at = Instant::now() + self.timing.collect;
        self.compare_at = Some(self.compare_at.map_or(at, |before| before.min(at)));
    }

    /// When they are compared next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.compare_at
    }

    /// Waits for a write to end, for ever if there is none. May be dropped at any time.
    pub(super) async fn next(&mut self) {
        let Some(written) = self.writes.join_next().await else {
            return std::future::pending().await;
        };
        let (object, result) = match written {
            Ok(written) => written,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let now = Instant::now();
        match result {
            // What stands there now is heard by the watch.
            Ok(()) => {
                self.blocked.insert(object, Some(now + self.timing.beat / 4));
                self.is_failing = false;
            }
            Err(Error::Conflict { .. } | Error::NotFound { .. }) => {
                self.blocked.insert(object, Some(now + self.timing.beat / 4));
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    warn!(%object, %error, "cannot write the status of a ServiceExport; it is tried again");
                }
                self.blocked.insert(object, Some(now + self.timing.retry * 5));
            }
        }
        self.compare_at = Some(now + self.timing.beat / 4);
    }

    /// Writes the statuses that do not say what is so.
    pub(super) fn act(
        &mut self,
        exporter: &Exporter,
        conflicts: &Conflicts,
        is_written: impl Fn(&str) -> bool,
    ) {
        let now = Instant::now();
        let Some(collection) = self.collection.get().copied() else { return };
        if self.compare_at.is_none_or(|at| now < at) {
            return;
        }
        self.compare_at = None;
        self.blocked.retain(|_, until| until.is_none_or(|until| now < until));
        for (export, state) in exporter.exports() {
            if self.writes.len() >= AT_ONCE {
                self.compare_at = Some(now + self.timing.collect);
                break;
            }
            if let Some(until) = self.blocked.get(&export.object) {
                let at = until.unwrap_or(now + self.timing.beat);
                self.compare_at = Some(self.compare_at.map_or(at, |before| before.min(at)));
                continue;
            }
            let name = crate::api::export_name(&export.object.namespace, &export.object.name);
            let is_there = state != ExportState::Valid || is_written(&name);
            if !is_there {
                // What is there within moments is not said to be missing.
                let since = *self.pending.entry(export.object.clone()).or_insert(now);
                if now < since + PATIENCE / self.timing.divisor {
                    self.compare_at.get_or_insert(now + self.timing.collect);
                    continue;
                }
            } else {
                self.pending.remove(&export.object);
            }
            let mut wanted = conditions(export, state, is_there);
            wanted.extend(conflicts.get(&export.object).map(|conflict| ExportCondition {
                kind: "Conflict",
                holds: conflict.is_conflict(),
                reason: conflict.reason.clone(),
                message: conflict.message.clone(),
            }));
            if let Some(conditions) = written(export, &wanted, Timestamp::now()) {
                let path = format!(
                    "{}/status?fieldManager={FIELD_MANAGER}",
                    path(collection, &export.object)
                );
                let patch = json!({
                    "metadata": {"resourceVersion": &*export.version},
                    "status": {"conditions": conditions},
                });
                self.blocked.insert(export.object.clone(), None);
                let (client, object) = (self.client.clone(), export.object.clone());
                self.writes.spawn(async move {
                    let result = client.patch(&path, &patch).await.map(drop);
                    (object, result)
                });
            }
        }
        let exports = exporter;
        self.pending.retain(|object, _| exports.export_of(object).is_some());
    }
}

/// Finds out which version there is, and watches it.
struct Watcher<N> {
    client: Client,
    limits: Limits,
    timing: Timing,
    heard: mpsc::Sender<N>,
    news: fn(Batch<ServiceExport>) -> N,
}

impl<N: Send + 'static> Watcher<N> {
    async fn run(self, collection: Arc<std::sync::OnceLock<&'static str>>) {
        let mut wait = self.timing.retry;
        let mut missing = Missing::default();
        let is_alpha = loop {
            match self.is_alpha().await {
                Ok(Some(is_alpha)) => break is_alpha,
                Ok(None) => self.say_missing(&mut missing).await,
                Err(error) => warn!(%error, "cannot tell which version of ServiceExport there is"),
            }
            sleep(wait).await;
            wait = (wait * 2).min(self.timing.retry * 30);
        };
        let Self { client, limits, timing, heard, news } = &self;
        let watches = Watches { client, limits, heard };
        let mut tasks = JoinSet::new();
        let news = *news;
        let stats = if is_alpha {
            let _ = collection.set(AlphaServiceExport::PATH);
            watches.begin::<AlphaServiceExport>(Selector::default(), &mut tasks, move |batch| {
                news(mapped(batch, |AlphaServiceExport(export)| export))
            })
        } else {
            let _ = collection.set(ServiceExport::PATH);
            watches.begin::<ServiceExport>(Selector::default(), &mut tasks, news)
        };
        // A definition that is removed while it is watched takes nothing out of the outbox: what was said
        // last stays, and the log says what is missing.
        let mut is_missing = false;
        loop {
            sleep(timing.missing).await;
            let now_missing = stats.snapshot().state == State::Missing;
            if now_missing && !is_missing {
                warn!(
                    "this cluster does not know ServiceExports any more; what is exported stays so, and \
                     nothing is exported anew until their definition is back"
                );
            } else if is_missing && !now_missing {
                info!("this cluster knows ServiceExports again");
            }
            is_missing = now_missing;
        }
    }

    /// Whether the server has v1alpha1 only; `None`: it has neither.
    async fn is_alpha(&self) -> Result<Option<bool>, Error> {
        let group: Value = match self.client.get("/apis/multicluster.x-k8s.io").await {
            Ok(answer) => answer.object()?,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let versions = group["versions"].as_array().into_iter().flatten();
        let versions: Vec<&str> = versions.filter_map(|one| one["version"].as_str()).collect();
        Ok(match (versions.contains(&"v1beta1"), versions.contains(&"v1alpha1")) {
            (true, _) => Some(false),
            (false, true) => Some(true),
            (false, false) => None,
        })
    }

    /// A cluster that never knew the kind has none of it: after a while that is said, once.
    async fn say_missing(&self, missing: &mut Missing) {
        let Missing { since, is_said } = missing;
        let first = *since.get_or_insert_with(Instant::now);
        if *is_said || first.elapsed() < self.timing.missing {
            return;
        }
        *is_said = true;
        warn!(
            "this cluster does not know ServiceExports; apply the definitions of the Multi-Cluster \
             Services API (deploy/crd/mcs)"
        );
        let none = Batch { changes: Vec::new(), is_synced: true };
        // Who no longer listens needs no answer.
        let _ = self.heard.send((self.news)(none)).await;
    }
}

/// Since when the kind is missing, and whether that was said.
#[derive(Default)]
struct Missing {
    since: Option<Instant>,
    is_said: bool,
}
