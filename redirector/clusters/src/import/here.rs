//! This cluster itself: which namespaces there are, which ranges are in use, what imports exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use redirector_kube::api::{Batch, Change, ObjectRef, Service};
use redirector_policy::{NamespacesSpec, RangeOwner, Taken};

use super::own::{Namespace, OwnImport, OwnNode};

/// What derived Services' names begin with, as mcs-api has it.
pub(super) const DERIVED: &str = "derived-";

/// What is known of this cluster.
#[derive(Debug, Default)]
pub(super) struct Here {
    namespaces: Known<Arc<str>, Namespace>,
    nodes: Known<Arc<str>, OwnNode>,
    services: Known<ObjectRef, Box<[IpAddr]>>,
    imports: Known<ObjectRef, Import>,
    /// Whether a range in use is another one than when [`taken`](Self::taken) was last made.
    ranges_changed: bool,
}

/// A ServiceImport here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    /// `None`: it was there and is gone.
    pub uid: Option<Arc<str>>,
    pub is_ours: bool,
}

#[derive(Debug)]
struct Known<K, V> {
    objects: BTreeMap<K, V>,
    is_synced: bool,
}

impl<K, V> Default for Known<K, V> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), is_synced: false }
    }
}

impl Here {
    /// Whether every kind has been listed.
    pub fn is_synced(&self) -> bool {
        let Self { namespaces, nodes, services, imports, .. } = self;
        namespaces.is_synced && nodes.is_synced && services.is_synced && imports.is_synced
    }

    /// Returns the namespaces that changed.
    pub fn take_namespaces(&mut self, batch: Batch<Namespace>) -> BTreeSet<Arc<str>> {
        let key = |object: &ObjectRef| Arc::clone(&object.name);
        self.namespaces.take(batch, key, |namespace| (Arc::clone(&namespace.name), namespace))
    }

    pub fn take_nodes(&mut self, batch: Batch<OwnNode>) {
        let key = |object: &ObjectRef| Arc::clone(&object.name);
        let changed = self.nodes.take(batch, key, |node| (Arc::clone(&node.name), node));
        self.ranges_changed |= !changed.is_empty();
    }

    /// Returns the derived Services whose addresses changed.
    pub fn take_services(&mut self, batch: Batch<Service>) -> BTreeSet<ObjectRef> {
        let addresses = |service: Service| {
            let usable = service.cluster_ips.iter().filter_map(|address| address.clone().ok());
            (service.object, usable.collect())
        };
        let mut changed = self.services.take(batch, ObjectRef::clone, addresses);
        self.ranges_changed |= !changed.is_empty();
        changed.retain(|object| object.name.starts_with(DERIVED));
        changed
    }

    /// Returns the imports that changed. One that is gone is remembered as such: what it owned stays.
    pub fn take_imports(&mut self, batch: Batch<OwnImport>) -> BTreeSet<ObjectRef> {
        let mut changed = BTreeSet::new();
        for change in batch.changes {
            let (object, import) = match change {
                Change::Put(OwnImport { object, uid, is_ours }) => {
                    (object, Import { uid: Some(uid), is_ours })
                }
                // It is made again, so it is ours.
                Change::Remove(object) => (object, Import { uid: None, is_ours: true }),
                Change::Rejected { .. } => continue,
            };
            if self.imports.objects.get(&object) != Some(&import) {
                self.imports.objects.insert(object.clone(), import);
                changed.insert(object);
            }
        }
        self.imports.is_synced |= batch.is_synced;
        changed
    }

    pub fn import(&self, object: &ObjectRef) -> Option<&Import> {
        self.imports.objects.get(object)
    }

    /// Nothing is imported under that name any more: what was there is not remembered.
    pub fn forget_import(&mut self, object: &ObjectRef) {
        if self.imports.objects.get(object).is_some_and(|import| import.uid.is_none()) {
            self.imports.objects.remove(object);
        }
    }

    /// The addresses of a Service of this cluster.
    pub fn addresses(&self, service: &ObjectRef) -> &[IpAddr] {
        self.services.objects.get(service).map_or(&[], |addresses| addresses)
    }

    /// Whether what is exported in that namespace is imported: it exists here, and is chosen.
    pub fn is_chosen(&self, namespace: &str, by: Option<&NamespacesSpec>) -> bool {
        self.namespaces.objects.get(namespace).is_some_and(|namespace| {
            let has = |(name, value)| namespace.labels.get(name) == Some(value);
            !namespace.is_leaving && by.is_none_or(|by| by.match_labels.iter().all(has))
        })
    }

    /// The ranges in use, if they are others than when this was last asked.
    pub fn take_ranges(&mut self) -> Option<Taken> {
        if !std::mem::take(&mut self.ranges_changed) {
            return None;
        }
        let mut taken = Taken::default();
        for (object, addresses) in &self.services.objects {
            let name: Arc<str> = object.to_string().into();
            let of = |address: &IpAddr| (*address, RangeOwner::Service(Arc::clone(&name)));
            taken.addresses.extend(addresses.iter().map(of));
        }
        for node in self.nodes.objects.values() {
            let of = |address: &IpAddr| (*address, RangeOwner::Node(Arc::clone(&node.name)));
            taken.addresses.extend(node.addresses.iter().map(of));
            let of = |cidr: &ipnet::IpNet| (*cidr, RangeOwner::Pods(Arc::clone(&node.name)));
            taken.ranges.extend(node.pod_cidrs.iter().map(of));
        }
        Some(taken)
    }
}

impl<K: Ord + Clone, V: PartialEq> Known<K, V> {
    /// Takes in a batch. Returns what is there, or is another version, or is gone.
    fn take<T>(
        &mut self,
        batch: Batch<T>,
        key: impl Fn(&ObjectRef) -> K,
        read: impl Fn(T) -> (K, V),
    ) -> BTreeSet<K> {
        let mut changed = BTreeSet::new();
        for change in batch.changes {
            match change {
                Change::Put(object) => {
                    let (key, value) = read(object);
                    if self.objects.get(&key) != Some(&value) {
                        self.objects.insert(key.clone(), value);
                        changed.insert(key);
                    }
                }
                Change::Remove(object) => {
                    let key = key(&object);
                    if self.objects.remove(&key).is_some() {
                        changed.insert(key);
                    }
                }
                // The last good version stays.
                Change::Rejected { .. } => {}
            }
        }
        self.is_synced |= batch.is_synced;
        changed
    }
}
