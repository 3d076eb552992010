//! What should be in this cluster of others' outboxes: pure.
//!
//! Nothing here does I/O, reads a clock or draws a number. The caller tells [`News`], says what time it
//! is by [`Importer::tick`], writes what [`Importer::desired`] has, and begins the watches of the
//! clusters anew that [`Importer::take_relists`] names.

mod bodies;
mod desired;
mod found;
mod heard;
mod here;
mod imports;
mod merge;
mod news;
mod outbox;
mod own;
mod remote;
mod slices;
mod status;
mod timing;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use found::Adopted;
use heard::State;
use here::Here;
use imports::{Imports, Out, View};
use outbox::{Outbox, Touched};
use redirector_core::Moment;
use redirector_kube::api::{Batch, Change, ObjectRef, RemoteCluster};
use redirector_policy::{Claim, Reach, Taken, ValidRemoteCluster, overlaps};
use remote::{Refusal, Remote};
use timing::Timing;

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
    /// When the numbers in a status last changed.
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

    /// When the heartbeat of a cluster last changed, for people; `None` if it is not heard.
    #[must_use]
    pub fn heard(&self, cluster: &str) -> Option<Moment> {
        let remote = self.remotes.get(cluster)?;
        remote.has_lease().then(|| remote.last())
    }

    /// The RemoteClusters whose outboxes are to be watched, in the versions that are in force.
    pub fn servers(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<ValidRemoteCluster>)> {
        let heard = self.remotes.iter().filter(|(_, remote)| remote.is_ours());
        heard
            .filter(|(_, remote)| !remote.object.is_leaving)
            .filter_map(|(name, remote)| Some((name, remote.spec.as_ref()?)))
    }

    fn hear(&mut self, news: News, now: Moment) {
        match news {
            News::Found(found) => {
                let Found { objects, clusters } = found;
                self.found = clusters;
                let mut adopted = found::adopt(&objects);
                if let Some(own) = adopted.clusters.remove(&self.settings.cluster) {
                    self.adopt(&self.settings.cluster.clone(), own);
                }
                self.adopted = Some(adopted);
            }
            News::RemoteClusters(batch) => self.take_clusters(batch, now),
            News::Namespaces(batch) => {
                for namespace in self.here.take_namespaces(batch) {
                    self.dirty_namespace(&namespace);
                }
            }
            News::Nodes(batch) => self.here.take_nodes(batch),
            News::Services(batch) => {
                for derived in self.here.take_services(batch) {
                    if let Some(object) = self.imports.of_derived(&derived) {
                        self.dirty.entry(object.clone()).or_default();
                    }
                }
            }
            News::Imports(batch) => {
                for object in self.here.take_imports(batch) {
                    self.dirty.entry(object).or_default();
                }
            }
            News::Outbox { cluster, news } if cluster == self.settings.cluster => {
                match news {
                    OutboxNews::Restarted => self.own.restart(),
                    OutboxNews::Services(batch) => self.own.told.take_services(batch),
                    OutboxNews::Slices(batch) => self.own.told.take_slices(batch),
                    // This cluster hears itself.
                    OutboxNews::Heartbeat(_) | OutboxNews::Failing(_) => {}
                }
            }
            News::Outbox { cluster, news } => {
                let Some(remote) = self.remotes.get_mut(&cluster) else { return };
                let before = (remote.uid.clone(), remote.is_own, Arc::clone(&remote.regions));
                let own_uid = self.settings.uid.as_deref();
                if remote.take(news, own_uid, now, &self.timing) {
                    self.stale.insert(Arc::clone(&cluster));
                }
                let (uid, is_own, regions) = before;
                self.claims_changed |= uid != remote.uid || is_own != remote.is_own;
                if regions != remote.regions {
                    self.dirty_cluster(&cluster);
                }
            }
        }
    }

    fn take_clusters(&mut self, batch: Batch<RemoteCluster>, now: Moment) {
        self.remotes_synced |= batch.is_synced;
        self.claims_changed = true;
        for change in batch.changes {
            match change {
                Change::Put(object) => self.put_cluster(object, now),
                Change::Remove(object) => {
                    self.dirty_cluster(&object.name);
                    self.remotes.remove(&object.name);
                    self.stale.insert(object.name);
                }
                Change::Rejected { object, why } => {
                    tracing::warn!(cluster = %object, why, "a RemoteCluster cannot be read");
                }
            }
        }
    }

    fn put_cluster(&mut self, object: RemoteCluster, now: Moment) {
        let name = Arc::clone(&object.name);
        let mut touched = Touched::new();
        let is_all = match self.remotes.get_mut(&name) {
            Some(remote) => remote.restate(object, &mut touched),
            None => {
                let found = self.found.remove(&name);
                self.remotes.insert(Arc::clone(&name), Remote::new(object, found.as_ref(), now));
                let adopted = self.adopted.as_mut().and_then(|all| all.clusters.remove(&name));
                if let Some(adopted) = adopted {
                    self.adopt(&name, adopted);
                }
                true
            }
        };
        self.touch(&name, touched);
        if is_all {
            self.dirty_cluster(&name);
        }
        self.stale.insert(name);
    }

    fn adopt(&mut self, cluster: &Arc<str>, adopted: found::AdoptedCluster) {
        let found::AdoptedCluster { services, numbers, regions } = adopted;
        for (object, spot, number) in numbers {
            self.imports.found(&object, cluster, spot, number);
        }
        let outbox = match self.remotes.get_mut(cluster) {
            Some(remote) => {
                remote.regions = Arc::new(regions);
                &mut remote.outbox
            }
            None => &mut self.own,
        };
        for (object, service) in services {
            self.dirty.entry(object.clone()).or_default().insert(Arc::clone(cluster));
            outbox.adopt(object, service);
        }
    }

    fn judge(&mut self, now: Moment) {
        let mut touched = Touched::new();
        self.own.trust(&mut touched);
        let own = Arc::clone(&self.settings.cluster);
        self.touch(&own, touched);
        let mut all_touched = Vec::new();
        for (name, remote) in &mut self.remotes {
            let mut touched = Touched::new();
            let (before, is_relist) = remote.judge(now, &self.timing, &mut touched);
            if let Some(before) = before {
                let (from, to) = (state_name(before), state_name(remote.state()));
                tracing::info!(cluster = %name, from, to, "another phase");
                self.stale.insert(Arc::clone(name));
            }
            if is_relist {
                self.relists.insert(Arc::clone(name));
                self.stale.insert(Arc::clone(name));
            }
            if !touched.is_empty() {
                all_touched.push((Arc::clone(name), touched));
            }
        }
        for (name, touched) in all_touched {
            self.touch(&name, touched);
        }
    }

    /// Refuses clusters that are another one, or whose addresses are in use.
    fn refuse(&mut self) {
        let mut claims = Vec::new();
        let mut by_uid: BTreeMap<Arc<str>, (i64, Arc<str>)> = BTreeMap::new();
        for (name, remote) in &self.remotes {
            let Some(spec) = remote.spec.as_ref().filter(|_| !remote.object.is_leaving) else {
                continue;
            };
            let created = remote.object.created;
            if spec.spec().reach == Reach::Pod {
                claims.push(Claim { name, created, cidrs: spec.cidrs() });
            }
            if let Some(uid) = &remote.uid {
                let first = by_uid.entry(Arc::clone(uid)).or_insert((created, Arc::clone(name)));
                *first = (created, Arc::clone(name)).min(first.clone());
            }
        }
        let mut overlapping = overlaps(&claims, &self.taken);
        let mut changed = Vec::new();
        for (name, remote) in &mut self.remotes {
            let first = remote.uid.as_ref().and_then(|uid| by_uid.get(uid));
            let same = first.filter(|(_, first)| first != name).map(|(_, first)| Arc::clone(first));
            let is_own = remote.is_own
                || *name == self.settings.cluster
                || remote.uid.is_some() && remote.uid == self.settings.uid;
            let refusal = if is_own {
                Some(Refusal::Own)
            } else {
                let overlap = overlapping.remove(name).map(Refusal::Overlap);
                same.map(Refusal::Same).or(overlap)
            };
            if remote.refusal != refusal {
                remote.refusal = refusal;
                changed.push(Arc::clone(name));
            }
        }
        for name in changed {
            self.dirty_cluster(&name);
            self.stale.insert(name);
        }
    }

    /// Makes what changed, once everything of this cluster is known.
    fn make(&mut self) {
        self.desired.is_complete =
            self.adopted.is_some() && self.remotes_synced && self.here.is_synced();
        if !self.desired.is_complete {
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

    /// Says what the statuses are. Returns when one is due in which only numbers changed.
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
            let status = status::status(remote, self.imports.counts(&name), now, &self.timing);
            let before = self.desired.statuses.get(&name);
            if before == Some(&status) {
                continue;
            }
            let due = self.counted.get(&name).map(|at| at.after(self.timing.counts));
            if let Some(due) = due.filter(|due| now < *due)
                && before.is_some_and(|before| before.is_same_but_counts(&status))
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

    fn touch(&mut self, cluster: &Arc<str>, touched: Touched) {
        if touched.is_empty() {
            return;
        }
        self.stale.insert(Arc::clone(cluster));
        for object in touched.into_keys() {
            self.dirty.entry(object).or_default().insert(Arc::clone(cluster));
        }
    }

    /// Everything of a cluster is to be made again.
    fn dirty_cluster(&mut self, cluster: &Arc<str>) {
        let Some(remote) = self.remotes.get(cluster) else { return };
        for object in remote.outbox.held().keys() {
            self.dirty.entry(object.clone()).or_default().insert(Arc::clone(cluster));
        }
    }

    fn dirty_namespace(&mut self, namespace: &Arc<str>) {
        let own = (&self.settings.cluster, &self.own);
        let others = self.remotes.iter().map(|(name, remote)| (name, &remote.outbox));
        for (name, outbox) in others.chain([own]) {
            let first = ObjectRef { namespace: Arc::clone(namespace), name: "".into() };
            let of = outbox.held().range(first..);
            for (object, _) in of.take_while(|(object, _)| object.namespace == *namespace) {
                self.dirty.entry(object.clone()).or_default().insert(Arc::clone(name));
            }
        }
    }
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Joining => "Joining",
        State::Live => "Live",
        State::Silent { .. } => "Silent",
        State::Lost => "Lost",
    }
}
