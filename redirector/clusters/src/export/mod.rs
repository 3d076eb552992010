//! What this cluster exports: pure. Services, slices, ServiceExports and Nodes in, the outbox out.
//!
//! Nothing here does I/O or reads a clock. Endpoints of other clusters are never exported again, so there
//! are no loops through a third cluster.

mod gateways;
mod heard;
mod local;
mod service;
mod slices;
mod status;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ipnet::IpNet;
use redirector_kube::api::{Batch, Change, Node, ObjectRef, regions};

pub use self::{
    local::{LocalKind, LocalNamespace, LocalNode, LocalPort, LocalService, LocalSlice, Place},
    service::Exported,
    slices::{EXPORTER, object as slice_object},
    status::{ExportCondition, ExportState, conditions, written},
};
use crate::api::{Manifest, ServiceExport, outbox_digest};

/// The namespace whose UID is that of the cluster.
const IDENTITY: &str = "kube-system";

/// News of this cluster's own objects.
#[derive(Clone, Debug)]
pub enum LocalNews {
    /// Services.
    Services(Batch<LocalService>),
    /// Slices, those of other clusters too.
    Slices(Batch<LocalSlice>),
    /// ServiceExports.
    Exports(Batch<ServiceExport>),
    /// Namespaces.
    Namespaces(Batch<LocalNamespace>),
    /// Nodes.
    Nodes(Batch<LocalNode>),
}

/// One difference of the outbox: a Service as it was exported, and as it is.
#[derive(Clone, Debug)]
pub struct Difference {
    /// What it was; `None`: it was not exported.
    pub before: Option<Arc<Exported>>,
    /// What it is; `None`: it is not exported any more.
    pub after: Option<Arc<Exported>>,
}

/// Which kinds have been said in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Synced {
    services: bool,
    slices: bool,
    exports: bool,
    namespaces: bool,
    nodes: bool,
}

/// What is known of this cluster, and what follows for its outbox.
#[derive(Debug, Default)]
pub struct Exporter {
    trusted: Vec<IpNet>,
    services: BTreeMap<ObjectRef, LocalService>,
    slices: BTreeMap<ObjectRef, LocalSlice>,
    /// The slices of each Service.
    slices_of: BTreeMap<ObjectRef, BTreeSet<ObjectRef>>,
    exports: BTreeMap<ObjectRef, ServiceExport>,
    nodes: BTreeMap<Arc<str>, Node>,
    pod_cidrs: BTreeMap<Arc<str>, Vec<IpNet>>,
    uid: Option<Arc<str>>,
    synced: Synced,
    dirty: BTreeSet<ObjectRef>,
    exported: BTreeMap<ObjectRef, Arc<Exported>>,
    states: BTreeMap<ObjectRef, ExportState>,
}

impl Exporter {
    /// An exporter that knows nothing yet. `trusted` are the ranges of `--export-cidr`: what is listed
    /// in them is exported, whichever controller lists it.
    #[must_use]
    pub fn new(trusted: Vec<IpNet>) -> Self {
        Self { trusted, ..Self::default() }
    }

    /// Takes in news. A version that cannot be read leaves the last good one in force.
    pub fn take(&mut self, news: LocalNews) {
        match news {
            LocalNews::Services(batch) => {
                self.synced.services |= batch.is_synced;
                for change in batch.changes {
                    self.service(change);
                }
            }
            LocalNews::Slices(batch) => {
                self.synced.slices |= batch.is_synced;
                for change in batch.changes {
                    self.slice(change);
                }
            }
            LocalNews::Exports(batch) => {
                self.synced.exports |= batch.is_synced;
                for change in batch.changes {
                    self.export(change);
                }
            }
            LocalNews::Namespaces(batch) => {
                self.synced.namespaces |= batch.is_synced;
                for change in batch.changes {
                    // Another UID of kube-system cannot be: it is never deleted.
                    if let Change::Put(LocalNamespace { name, uid }) = change
                        && &*name == IDENTITY
                    {
                        self.uid = Some(uid);
                    }
                }
            }
            LocalNews::Nodes(batch) => {
                self.synced.nodes |= batch.is_synced;
                self.take_nodes(batch.changes);
            }
        }
    }

    /// Whether everything has been heard: before that nothing may be written, removed or vouched for.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        let all =
            Synced { services: true, slices: true, exports: true, namespaces: true, nodes: true };
        self.synced == all && self.uid.is_some()
    }

    /// `metadata.uid` of the namespace kube-system.
    #[must_use]
    pub fn uid(&self) -> Option<&Arc<str>> {
        self.uid.as_ref()
    }

    /// Whether something has changed that has not been judged.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Judges what has changed; none before everything has been heard.
    pub fn refresh(&mut self) -> Vec<Difference> {
        if !self.is_synced() {
            return Vec::new();
        }
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().filter_map(|object| self.judge(object)).collect()
    }

    /// Everything that is exported, by Service.
    #[must_use]
    pub fn exported(&self) -> &BTreeMap<ObjectRef, Arc<Exported>> {
        &self.exported
    }

    /// The ServiceExports, and what became of each.
    pub fn exports(&self) -> impl Iterator<Item = (&ServiceExport, ExportState)> {
        self.exports.iter().filter_map(|(object, export)| Some((export, *self.states.get(object)?)))
    }

    /// A ServiceExport, and what became of it.
    #[must_use]
    pub fn export_of(&self, object: &ObjectRef) -> Option<(&ServiceExport, ExportState)> {
        Some((self.exports.get(object)?, *self.states.get(object)?))
    }

    /// How many Nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// What the outbox should hold as a whole; `epoch` is drawn when the exporter begins.
    #[must_use]
    pub fn manifest(&self, cluster: &str, epoch: u64) -> Manifest {
        let exported = || self.exported.values();
        let mut by_name: Vec<_> =
            exported().map(|one| (&*one.service.name, &one.fingerprint)).collect();
        by_name.sort_unstable();
        let text = |text: &Arc<str>| text.to_string();
        let cidrs: BTreeSet<IpNet> = self.pod_cidrs.values().flatten().copied().collect();
        Manifest {
            cluster: cluster.to_owned(),
            uid: self.uid.as_ref().map(text).unwrap_or_default(),
            epoch,
            services: self.exported.len(),
            endpoints: exported().map(|one| one.endpoints()).sum(),
            digest: outbox_digest(by_name.into_iter().map(|(_, fingerprint)| fingerprint)),
            regions: regions(self.nodes.values())
                .iter()
                .map(|(zone, region)| (text(zone), text(region)))
                .collect(),
            cidrs: IpNet::aggregate(&cidrs.into_iter().collect())
                .iter()
                .map(IpNet::to_string)
                .collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            unexported: Vec::new(),
        }
    }

    fn judge(&mut self, object: ObjectRef) -> Option<Difference> {
        let before = self.exported.remove(&object);
        let after = self.exports.get(&object).and_then(|export| {
            let Some(service) = self.services.get(&object) else {
                self.states.insert(object.clone(), ExportState::NoService);
                return None;
            };
            let of = self.slices_of.get(&object);
            let slices = of.into_iter().flatten().filter_map(|slice| self.slices.get(slice));
            let exported = service::exported(export, service, slices, &self.nodes, &self.trusted);
            let state = match exported {
                Some(_) => ExportState::Valid,
                None => ExportState::InvalidServiceType,
            };
            self.states.insert(object.clone(), state);
            exported
        });
        if !self.exports.contains_key(&object) {
            self.states.remove(&object);
        }
        let after = after.map(|after| match &before {
            Some(before) if **before == after => Arc::clone(before),
            _ => Arc::new(after),
        });
        if let Some(after) = &after {
            self.exported.insert(object, Arc::clone(after));
        }
        (before != after).then_some(Difference { before, after })
    }
}
