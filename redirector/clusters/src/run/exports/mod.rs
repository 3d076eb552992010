//! ServiceExports: watched in the version that the API server has, and their statuses written.

mod watcher;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::jiff::Timestamp;
use redirector_kube::{
    api::{Batch, ObjectRef},
    client::{Client, Error},
    watch::Limits,
};
use serde_json::json;
use tokio::{sync::mpsc, task::JoinSet};
use tracing::warn;

use self::watcher::Watcher;
use super::{exporting::Conflicts, news::path, timing::Timing};
use crate::{
    api::ServiceExport,
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

    /// Where the API server has them, once that is known.
    pub(super) fn collection(&self) -> Option<&'static str> {
        self.collection.get().copied()
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
        if self.compare_at.is_none_or(|at| now < at) {
            return;
        }
        self.compare_at = None;
        let Some(collection) = self.collection.get().copied() else { return };
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
