//! Takes in what the watches say: what it changes in the cache, and what has to be looked at again.

use std::{collections::BTreeSet, net::SocketAddr};

use super::{Index, News, adoption::is_api_server};
use crate::{
    api::{Change, EndpointSlice, Node, Object, ObjectRef, Service},
    clusters::OwnId,
};

impl Index {
    /// Takes in what a watch has to say.
    pub fn take(&mut self, news: News) {
        match news {
            News::Services(batch) => {
                self.synced.services |= batch.is_synced;
                for change in batch.changes {
                    self.take_service(change);
                }
            }
            News::Slices(batch) => {
                self.synced.slices |= batch.is_synced;
                for change in batch.changes {
                    self.take_slice(change);
                }
            }
            News::Policies(batch) => {
                self.touched.extend(self.policies.take(batch));
            }
            News::Node(batch) => {
                for change in batch.changes {
                    self.take_node(change);
                }
            }
            News::Clusters(batch) => {
                if self.clusters.take(batch) {
                    self.occupy_all();
                }
                self.identify();
            }
            News::Nodes(ranges) => self.clusters.set_nodes(ranges),
            News::Agent(addresses) => self.clusters.set_agent(addresses),
            News::ClusterProperty(id) => {
                self.property = Some(id);
                self.identify();
            }
            News::Regions(regions) => {
                if self.told_regions.as_ref() != Some(&regions) {
                    self.told_regions = Some(regions);
                    self.place_zones();
                }
            }
        }
    }

    fn take_service(&mut self, change: Change<Service>) {
        match change {
            Change::Put(service) => {
                self.unreadable.remove(&(Service::KIND, service.object.clone()));
                let object = service.object.clone();
                let touched = self.cache.put(service);
                if !touched.is_empty() {
                    self.occupy_service(&object);
                }
                self.touched.extend(touched);
            }
            Change::Remove(object) => {
                self.touched.extend(self.cache.remove(&object));
                self.occupy_service(&object);
                self.unreadable.remove(&(Service::KIND, object));
            }
            Change::Rejected { object, why } => self.reject(Service::KIND, object, &why),
        }
    }

    fn take_slice(&mut self, change: Change<EndpointSlice>) {
        let touched = match change {
            Change::Put(slice) => {
                self.unreadable.remove(&(EndpointSlice::KIND, slice.object.clone()));
                self.cache.put_slice(slice)
            }
            Change::Remove(object) => {
                let touched = self.cache.remove_slice(&object);
                self.unreadable.remove(&(EndpointSlice::KIND, object));
                touched
            }
            Change::Rejected { object, why } => {
                return self.reject(EndpointSlice::KIND, object, &why);
            }
        };
        if let Some(object) = touched.iter().find(|object| is_api_server(object)) {
            self.remember_api_servers(object);
        }
        self.touched.extend(touched);
    }

    /// Takes in the own Node. If it is gone from the API, what was last known of it holds.
    fn take_node(&mut self, change: Change<Node>) {
        match change {
            Change::Put(node) if node.object.name == self.settings.node => {
                self.unreadable.remove(&(Node::KIND, node.object.clone()));
                if self.node.as_ref() != Some(&node) {
                    self.clusters.set_node(node.ranges().collect());
                    self.node = Some(node);
                    self.place_zones();
                }
            }
            Change::Rejected { object, why } if object.name == self.settings.node => {
                self.reject(Node::KIND, object, &why);
            }
            Change::Put(_) | Change::Remove(_) | Change::Rejected { .. } => {}
        }
    }

    fn reject(&mut self, kind: &'static str, object: ObjectRef, why: &str) {
        self.unreadable.insert((kind, object), why.into());
    }

    /// Puts zones into regions. What the own node says of its zone holds for it.
    fn place_zones(&mut self) {
        self.regions = self.told_regions.clone().unwrap_or_default();
        if let Some(Node { zone: Some(zone), region: Some(region), .. }) = &self.node {
            self.regions.insert(zone.clone(), region.clone());
        }
        self.are_all_touched = true;
    }

    fn remember_api_servers(&mut self, object: &ObjectRef) {
        let found: BTreeSet<SocketAddr> = self
            .cache
            .own_slices(object)
            .flat_map(|slice| {
                let ports = slice.ports.iter().map(|port| port.port);
                ports.flat_map(|port| {
                    let all = slice.endpoints.iter();
                    all.map(move |endpoint| SocketAddr::new(endpoint.address, port))
                })
            })
            .collect();
        if !found.is_empty() {
            self.api_servers = found.into_iter().collect();
        }
    }

    /// Finds out which id the own cluster has.
    pub(super) fn identify(&mut self) {
        let property = self.property.clone().flatten();
        let importer = self.clusters.said_by_importer();
        let own = OwnId::of(property, importer, self.settings.cluster.clone());
        self.clusters.set_own(own);
    }

    /// Says again where all Services are.
    fn occupy_all(&mut self) {
        let services: Vec<ObjectRef> = self.cache.services.keys().cloned().collect();
        for object in services {
            self.occupy_service(&object);
        }
    }

    /// Says where a Service is now. What slices list is no evidence: see [`clusters`](crate::clusters).
    fn occupy_service(&mut self, object: &ObjectRef) {
        if !self.clusters.has_ranges() {
            return;
        }
        let service = self.cache.services.get(object).into_iter();
        let addresses = service.flat_map(|service| service.cluster_ips.iter().flatten().copied());
        self.clusters.occupy(object, addresses);
    }
}
