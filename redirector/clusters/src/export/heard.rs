//! Takes in changes of objects, and notes which exports may be others for that.

use std::sync::Arc;

use redirector_kube::api::{Change, ObjectRef};

use super::{
    Exporter,
    local::{LocalNode, LocalService, LocalSlice},
};
use crate::api::ServiceExport;

impl Exporter {
    pub(super) fn service(&mut self, change: Change<LocalService>) {
        let object = match change {
            Change::Put(service) => {
                let object = service.object.clone();
                if self.services.get(&object) == Some(&service) {
                    return;
                }
                self.services.insert(object.clone(), service);
                object
            }
            Change::Remove(object) => {
                self.services.remove(&object);
                object
            }
            Change::Rejected { .. } => return,
        };
        self.dirty.insert(object);
    }

    pub(super) fn slice(&mut self, change: Change<LocalSlice>) {
        let (object, new) = match change {
            Change::Put(slice) => (slice.object.clone(), Some(slice)),
            Change::Remove(object) => (object, None),
            Change::Rejected { .. } => return,
        };
        let new = new.filter(|slice| slice.service.is_some());
        if self.slices.get(&object) == new.as_ref() {
            return;
        }
        if let Some(old) = self.slices.remove(&object)
            && let Some(service) = service_of(&old)
        {
            if let Some(slices) = self.slices_of.get_mut(&service) {
                slices.remove(&object);
                if slices.is_empty() {
                    self.slices_of.remove(&service);
                }
            }
            self.dirty.insert(service);
        }
        if let Some(new) = new
            && let Some(service) = service_of(&new)
        {
            self.slices_of.entry(service.clone()).or_default().insert(object.clone());
            self.dirty.insert(service);
            self.slices.insert(object, new);
        }
    }

    pub(super) fn export(&mut self, change: Change<ServiceExport>) {
        let object = match change {
            Change::Put(export) if export.is_leaving => {
                self.exports.remove(&export.object);
                export.object
            }
            Change::Put(export) => {
                let object = export.object.clone();
                self.exports.insert(object.clone(), export);
                object
            }
            Change::Remove(object) => {
                self.exports.remove(&object);
                object
            }
            Change::Rejected { .. } => return,
        };
        self.dirty.insert(object);
    }

    /// What is behind node ports depends on Nodes.
    pub(super) fn take_nodes(&mut self, changes: Vec<Change<LocalNode>>) {
        let mut is_news = false;
        for change in changes {
            match change {
                Change::Put(LocalNode { node, pod_cidrs }) => {
                    let name = node.object.name.clone();
                    self.pod_cidrs.insert(name.clone(), pod_cidrs);
                    is_news |= self.nodes.get(&name) != Some(&node);
                    self.nodes.insert(name, node);
                }
                Change::Remove(ObjectRef { name, .. }) => {
                    self.pod_cidrs.remove(&name);
                    is_news |= self.nodes.remove(&name).is_some();
                }
                Change::Rejected { .. } => {}
            }
        }
        if is_news {
            let services = self.services.iter();
            let has_node_ports =
                |service: &LocalService| service.ports.iter().any(|port| port.node_port.is_some());
            let found = services.filter(|(object, service)| {
                self.exports.contains_key(object) && has_node_ports(service)
            });
            self.dirty.extend(found.map(|(object, _)| object.clone()));
        }
    }
}

/// The Service that a slice is of.
fn service_of(slice: &LocalSlice) -> Option<ObjectRef> {
    let namespace = Arc::clone(&slice.object.namespace);
    slice.service.clone().map(|name| ObjectRef { namespace, name })
}
