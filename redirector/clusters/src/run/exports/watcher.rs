//! Finds out which version of ServiceExport the API server has, and watches it.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use redirector_kube::{
    api::{Batch, Object as _},
    client::{Client, Error},
    watch::Limits,
};
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinSet, time::sleep};
use tracing::warn;

use super::super::{
    news::{Watches, mapped},
    timing::Timing,
};
use crate::api::{AlphaServiceExport, ServiceExport};

/// Finds out which version there is, and watches it.
pub(super) struct Watcher<N> {
    pub(super) client: Client,
    pub(super) limits: Limits,
    pub(super) timing: Timing,
    pub(super) heard: mpsc::Sender<N>,
    pub(super) news: fn(Batch<ServiceExport>) -> N,
}

impl<N: Send + 'static> Watcher<N> {
    pub(super) async fn run(self, collection: Arc<OnceLock<&'static str>>) {
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
        if is_alpha {
            let _ = collection.set(AlphaServiceExport::PATH);
            let object = |AlphaServiceExport(export): &AlphaServiceExport| export.object.clone();
            watches.begin_defined(timing, object, &mut tasks, move |batch| {
                news(mapped(batch, |AlphaServiceExport(export)| export))
            });
        } else {
            let _ = collection.set(ServiceExport::PATH);
            let object = |export: &ServiceExport| export.object.clone();
            watches.begin_defined(timing, object, &mut tasks, news);
        }
        // The watches end with this task.
        std::future::pending::<()>().await;
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
