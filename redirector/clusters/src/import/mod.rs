//! What should be in this cluster of others' outboxes: pure.
//!
//! Nothing here does I/O, reads a clock or draws a number. The caller tells [`News`], says what time it
//! is by [`Importer::tick`], writes what [`Importer::desired`] has, and begins the watches of the
//! clusters anew that [`Importer::take_relists`] names.

mod desired;
mod news;
mod own;

use std::{collections::BTreeSet, mem, sync::Arc};

use redirector_core::Moment;

pub use desired::{
    Body, Changes, ClusterCondition, ClusterStatus, Conflict, Desired, DesiredKind, DesiredRef,
    Pace,
};
pub use news::{Failure, Found, FoundCluster, News, OutboxNews};
pub use own::{Namespace, OwnImport, OwnNode};

/// What an importer is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// This cluster's id.
    pub cluster: Arc<str>,
    /// `metadata.uid` of its namespace kube-system: a RemoteCluster with it is this cluster.
    pub uid: Option<Arc<str>>,
    /// Whether each import gets an address of its own (`clusterset.local`), served by kube-proxy too.
    pub cluster_set_ips: bool,
    /// What all times are divided by, 1 or more: tests wait less.
    pub divide_timeouts: u32,
}

/// What is known of all clusters, and what follows for this one.
#[derive(Debug)]
pub struct Importer {
    settings: Settings,
    news: Vec<News>,
    desired: Desired,
    changes: Changes,
    relists: BTreeSet<Arc<str>>,
}

impl Importer {
    /// An importer that knows nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            news: Vec::new(),
            desired: Desired::default(),
            changes: Changes::default(),
            relists: BTreeSet::new(),
        }
    }

    /// Takes in news. It counts as of the next [`tick`](Self::tick), which the caller asks for at once
    /// when no more news is waiting.
    pub fn take(&mut self, news: News) {
        self.news.push(news);
    }

    /// Judges all news as of now; `now` never moves back. Returns when to ask again if no news comes
    /// before.
    pub fn tick(&mut self, now: Moment) -> Option<Moment> {
        let _ = (now, &self.settings, mem::take(&mut self.news));
        None
    }

    /// What should be in this cluster, as of the last tick.
    #[must_use]
    pub fn desired(&self) -> &Desired {
        &self.desired
    }

    /// What changed of it since this was last asked.
    pub fn take_changes(&mut self) -> Changes {
        mem::take(&mut self.changes)
    }

    /// Clusters whose outbox is to be listed anew: the caller drops their watches, says
    /// [`OutboxNews::Restarted`] and begins others.
    pub fn take_relists(&mut self) -> BTreeSet<Arc<str>> {
        mem::take(&mut self.relists)
    }
}
