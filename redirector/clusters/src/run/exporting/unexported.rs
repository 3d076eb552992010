//! ServiceExports that users have deleted: each is asked for by its name, and what the API server does not
//! know is stated in the manifest, so that other clusters need not see its end twice.
//!
//! A list that comes back empty states nothing: an object of it is found by its name. After a restore from a
//! backup nothing is stated either, because the exporter begins anew and has heard of none of these.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use redirector_kube::{
    api::{Batch, Change, ObjectRef},
    client::{Client, Error},
};
use tokio::task::JoinSet;

use super::super::news::path;
use crate::{
    api::{ServiceExport, Unexport},
    export::Exporter,
};

/// Statements that a manifest has, and questions under way, at most. What is beyond them is believed as
/// anything else that vanishes.
const MOST: usize = 32;
/// How long one is stated: longer than an importer takes to hear it.
const STATED: Duration = Duration::from_mins(1);

/// What was deleted lately.
#[derive(Debug)]
pub(super) struct Unexported {
    client: Client,
    asking: JoinSet<(Unexport, Result<(), Error>)>,
    stated: VecDeque<(Instant, Unexport)>,
}

impl Unexported {
    pub(super) fn new(client: Client) -> Self {
        Self { client, asking: JoinSet::new(), stated: VecDeque::new() }
    }

    /// Takes in changes before `exporter` does, which knows when each was exported. `collection` is where
    /// the API server has them.
    pub(super) fn take(
        &mut self,
        batch: &Batch<ServiceExport>,
        exporter: &Exporter,
        collection: &str,
    ) {
        for change in &batch.changes {
            match change {
                Change::Put(export) if !export.is_leaving => {
                    self.stated.retain(|(_, stated)| stated.object() != export.object);
                }
                // One that has a time of deletion is taken for gone, but its removal is what is asked for.
                Change::Put(_) | Change::Rejected { .. } => {}
                Change::Remove(object) => {
                    if let Some((export, _)) = exporter.export_of(object) {
                        self.ask(object, export.created.clone(), collection);
                    }
                }
            }
        }
    }

    fn ask(&mut self, object: &ObjectRef, exported_at: String, collection: &str) {
        if self.asking.len() >= MOST {
            return;
        }
        let (client, path) = (self.client.clone(), path(collection, object));
        let unexport = Unexport {
            namespace: object.namespace.to_string(),
            name: object.name.to_string(),
            exported_at,
        };
        self.asking.spawn(async move { (unexport, client.get(&path).await.map(drop)) });
    }

    /// Waits for an answer, for ever if nothing was asked. May be dropped at any time. Returns whether
    /// there is something new to state.
    pub(super) async fn answered(&mut self, exporter: &Exporter) -> bool {
        let Some(answered) = self.asking.join_next().await else {
            return std::future::pending().await;
        };
        let (unexport, answer) = match answered {
            Ok(answered) => answered,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let is_back = exporter.export_of(&unexport.object()).is_some();
        if is_back || !matches!(answer, Err(Error::NotFound { .. })) {
            return false;
        }
        self.stated.push_back((Instant::now(), unexport));
        if self.stated.len() > MOST {
            self.stated.pop_front();
        }
        true
    }

    /// What the manifest states.
    pub(super) fn stated(&mut self, now: Instant) -> Vec<Unexport> {
        self.stated.retain(|(since, _)| now < *since + STATED);
        self.stated.iter().map(|(_, unexport)| unexport.clone()).collect()
    }
}
