//! Takes news in: what is known of which cluster, and what is to be made again.

use std::sync::Arc;

use redirector_core::Moment;
use redirector_kube::api::{Batch, Change, ObjectRef, RemoteCluster};

use super::{
    Found, Importer, News, OutboxNews,
    found::{self, AdoptedCluster},
    outbox::Touched,
    remote::Remote,
};

impl Importer {
    pub(super) fn hear(&mut self, news: News, now: Moment) {
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

    fn adopt(&mut self, cluster: &Arc<str>, adopted: AdoptedCluster) {
        let AdoptedCluster { services, numbers, regions } = adopted;
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

    pub(super) fn touch(&mut self, cluster: &Arc<str>, touched: Touched) {
        if touched.is_empty() {
            return;
        }
        self.stale.insert(Arc::clone(cluster));
        for object in touched {
            self.dirty.entry(object).or_default().insert(Arc::clone(cluster));
        }
    }

    /// Everything of a cluster is to be made again.
    pub(super) fn dirty_cluster(&mut self, cluster: &Arc<str>) {
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
