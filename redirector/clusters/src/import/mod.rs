//! What should be in this cluster of others' outboxes: pure.
//!
//! Nothing here does I/O, reads a clock or draws a number. The caller tells [`News`], says what time it
//! is by [`Importer::tick`], writes what [`Importer::desired`] has, and begins the watches of the
//! clusters anew that [`Importer::take_relists`] names.

mod bodies;
mod desired;
mod found;
mod hear;
mod heard;
mod here;
mod imports;
mod judge;
mod merge;
mod news;
mod out;
mod outbox;
mod own;
mod remote;
mod slices;
mod status;
mod timing;
mod view;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use found::Adopted;
use here::Here;
use imports::Imports;
use out::Out;
use outbox::Outbox;
use redirector_core::Moment;
use redirector_kube::api::{ObjectRef, Phase};
use redirector_policy::Taken;
use remote::Remote;
use timing::Timing;
use view::View;

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
    timing: Timing,
    news: Vec<News>,
    /// What was found of clusters that have not been told of yet.
    adopted: Option<Adopted>,
    found: BTreeMap<Arc<str>, FoundCluster>,
    here: Here,
    /// This cluster's own outbox.
    own: Outbox,
    remotes: BTreeMap<Arc<str>, Remote>,
    remotes_synced: bool,
    taken: Taken,
    /// Whether clusters may be refused otherwise than before.
    claims_changed: bool,
    /// Clusters whose slices are to be made again, by Service.
    dirty: BTreeMap<ObjectRef, BTreeSet<Arc<str>>>,
    /// Clusters whose status may be another one.
    stale: BTreeSet<Arc<str>>,
    /// When each status last changed.
    counted: BTreeMap<Arc<str>, Moment>,
    imports: Imports,
    desired: Desired,
    changes: Changes,
    relists: BTreeSet<Arc<str>>,
}

impl Importer {
    /// An importer that knows nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            timing: Timing::divided_by(settings.divide_timeouts),
            settings,
            news: Vec::new(),
            adopted: None,
            found: BTreeMap::new(),
            here: Here::default(),
            own: Outbox::default(),
            remotes: BTreeMap::new(),
            remotes_synced: false,
            taken: Taken::default(),
            claims_changed: false,
            dirty: BTreeMap::new(),
            stale: BTreeSet::new(),
            counted: BTreeMap::new(),
            imports: Imports::default(),
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
        for news in mem::take(&mut self.news) {
            self.hear(news, now);
        }
        if let Some(taken) = self.here.take_ranges() {
            self.taken = taken;
            self.claims_changed = true;
        }
        self.judge(now);
        if mem::take(&mut self.claims_changed) {
            self.refuse();
        }
        self.make();
        let counted = self.say(now);
        let deadlines =
            self.remotes.values().filter_map(|remote| remote.deadline(now, &self.timing));
        deadlines.chain(counted).min()
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

    /// Makes what changed, once everything of this cluster is known.
    fn make(&mut self) {
        let is_complete = self.adopted.is_some() && self.remotes_synced && self.here.is_synced();
        if is_complete != mem::replace(&mut self.desired.is_complete, is_complete) {
            // Now it is known how much of each is imported.
            self.stale.extend(self.remotes.keys().cloned());
        }
        if !is_complete {
            return;
        }
        for (object, clusters) in mem::take(&mut self.dirty) {
            let Self { settings, here, own, remotes, imports, desired, changes, .. } = self;
            let view = View { settings, here, own, remotes };
            let is_left = imports.make(&object, &clusters, view, &mut Out { desired, changes });
            if !is_left {
                self.here.forget_import(&object);
            }
            self.stale.extend(clusters);
        }
    }

    /// Says what the statuses are. Returns when one is due that agents do not act upon.
    fn say(&mut self, now: Moment) -> Option<Moment> {
        let mut next: Option<Moment> = None;
        for name in mem::take(&mut self.stale) {
            let Some(remote) = self.remotes.get(&name) else {
                self.counted.remove(&name);
                if self.desired.statuses.remove(&name).is_some() {
                    self.changes.statuses.insert(name);
                }
                continue;
            };
            let counts = self.desired.is_complete.then(|| self.imports.counts(&name));
            let local = &self.settings.cluster;
            let status = status::status(remote, counts, local, now, &self.timing);
            let before = self.desired.statuses.get(&name);
            if before == Some(&status) {
                continue;
            }
            // An operator who has just joined a cluster waits for what comes of it.
            let wait = match status.phase {
                Some(Phase::Joining) => self.timing.confirm,
                _ => self.timing.counts,
            };
            let due = self.counted.get(&name).map(|at| at.after(wait));
            if let Some(due) = due.filter(|due| now < *due)
                && before.is_some_and(|before| before.is_alike(&status))
            {
                next = Some(next.map_or(due, |next| next.min(due)));
                self.stale.insert(name);
                continue;
            }
            self.counted.insert(Arc::clone(&name), now);
            self.desired.statuses.insert(Arc::clone(&name), status);
            self.changes.statuses.insert(name);
        }
        next
    }
}
