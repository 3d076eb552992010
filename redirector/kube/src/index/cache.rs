//! The objects that there are, as the watches have told them.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use redirector_core::service::Frontend;

use crate::api::{Endpoint, EndpointSlice, Hints, Maker, Names, ObjectRef, Service};

/// Services, and the slices of each, whether there is that Service or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    pub services: BTreeMap<ObjectRef, Service>,
    /// Slices by Service, sorted by the name of the slice: mostly one, for which a map is too much.
    slices: BTreeMap<ObjectRef, Vec<EndpointSlice>>,
    /// Which Service each slice belongs to: its label may change.
    homes: BTreeMap<ObjectRef, ObjectRef>,
    names: Names,
    hints: BTreeMap<Arc<Hints>, ()>,
}

impl Cache {
    /// Takes in a Service. Returns whether it is another than before.
    pub fn put(&mut self, mut service: Service) -> bool {
        self.share(&mut service.object);
        for port in &mut service.ports {
            self.names.share(&mut port.name);
        }
        if self.services.get(&service.object) == Some(&service) {
            return false;
        }
        self.services.insert(service.object.clone(), service);
        true
    }

    /// Takes in a slice. Returns whose endpoints may have changed by that: its Service's, and those
    /// of the one that it belonged to before.
    pub fn put_slice(&mut self, mut slice: EndpointSlice) -> Vec<ObjectRef> {
        self.share(&mut slice.object);
        let home = slice
            .service
            .clone()
            .map(|name| ObjectRef { namespace: Arc::clone(&slice.object.namespace), name });
        if self.homes.get(&slice.object) == home.as_ref()
            && home.as_ref().and_then(|home| self.slice(home, &slice.object)) == Some(&slice)
        {
            return Vec::new();
        }
        let mut touched: Vec<ObjectRef> = self.remove_slice(&slice.object).into_iter().collect();
        if let Some(mut home) = home {
            self.share(&mut home);
            self.intern(&mut slice);
            self.homes.insert(slice.object.clone(), home.clone());
            let slices = self.slices.entry(home.clone()).or_default();
            if let Err(at) = position(slices, &slice.object) {
                slices.reserve_exact(1);
                slices.insert(at, slice);
            }
            touched.push(home);
        }
        touched
    }

    /// Which Service a slice belongs to, as far as it was read.
    pub fn home(&self, slice: &ObjectRef) -> Option<&ObjectRef> {
        self.homes.get(slice)
    }

    /// Takes a slice out. Returns which Service it belonged to.
    pub fn remove_slice(&mut self, slice: &ObjectRef) -> Option<ObjectRef> {
        let home = self.homes.remove(slice)?;
        if let Some(slices) = self.slices.get_mut(&home) {
            if let Ok(at) = position(slices, slice) {
                slices.remove(at);
            }
            if slices.is_empty() {
                self.slices.remove(&home);
            }
        }
        Some(home)
    }

    /// The slices of a Service, by name.
    pub fn slices(&self, object: &ObjectRef) -> impl Iterator<Item = &EndpointSlice> + Clone {
        self.slices.get(object).into_iter().flatten()
    }

    /// Every Service that has slices.
    pub fn with_slices(&self) -> impl Iterator<Item = &ObjectRef> {
        self.slices.keys()
    }

    /// The first slice of a Service that is not to be trusted. The controller's slices are as good
    /// as the pods they are made of, but its label is believed only where it would undo a forgery:
    /// at a Service with a selector. All addresses of any other must lie within `trusted`.
    pub fn untrusted(&self, service: &Service, trusted: &[IpNet]) -> Option<&EndpointSlice> {
        let is_inside = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
        self.slices(&service.object).find(|slice| {
            !is_of_controller(slice, service)
                && (slice.refused_count > 0
                    || !slice.endpoints.iter().all(|endpoint| is_inside(endpoint.address)))
        })
    }

    /// Whether another writer than the controller lists endpoints of a Service: they may be another
    /// namespace's.
    pub fn has_others(&self, service: &Service) -> bool {
        self.slices(&service.object).any(|slice| !is_of_controller(slice, service))
    }

    /// Whether a Service lists a pod that answers at this address: one that the controller found.
    pub fn has_pod_at(&self, object: &ObjectRef, frontend: &Frontend) -> bool {
        let Some(service) = self.services.get(object) else { return false };
        self.slices(object).any(|slice| {
            is_of_controller(slice, service)
                && slice
                    .ports
                    .iter()
                    .any(|port| (port.port, port.protocol) == (frontend.port, frontend.protocol))
                && slice.endpoints.iter().any(|endpoint| endpoint.address == frontend.address)
        })
    }

    fn slice(&self, home: &ObjectRef, slice: &ObjectRef) -> Option<&EndpointSlice> {
        let slices = self.slices.get(home)?;
        slices.get(position(slices, slice).ok()?)
    }

    fn share(&mut self, object: &mut ObjectRef) {
        self.names.share(&mut object.namespace);
    }

    fn intern(&mut self, slice: &mut EndpointSlice) {
        for port in &mut slice.ports {
            self.names.share(&mut port.name);
        }
        for Endpoint { node, zone, hints, .. } in &mut slice.endpoints {
            for name in [node, zone].into_iter().flatten() {
                self.names.share(name);
            }
            let Some(hints) = hints else { continue };
            if let Some((known, ())) = self.hints.get_key_value(hints) {
                *hints = Arc::clone(known);
                continue;
            }
            if self.hints.len().is_power_of_two() {
                self.hints.retain(|known, ()| Arc::strong_count(known) > 1);
            }
            self.hints.insert(Arc::clone(hints), ());
        }
    }
}

/// Where a slice is, or should be.
fn position(slices: &[EndpointSlice], slice: &ObjectRef) -> Result<usize, usize> {
    slices.binary_search_by(|other| other.object.name.cmp(&slice.name))
}

fn is_of_controller(slice: &EndpointSlice, service: &Service) -> bool {
    slice.maker == Maker::Controller && service.has_selector
}
