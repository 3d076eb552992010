//! The objects that there are, as the watches have told them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;
use redirector_core::service::Frontend;

use crate::api::{Endpoint, EndpointSlice, Hints, Maker, Names, ObjectRef, Service, Source};

/// Services, and the slices of each, whether there is that Service or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    pub services: BTreeMap<ObjectRef, Service>,
    /// Slices by Service, sorted by the name of the slice: mostly one, for which a map is too much.
    slices: BTreeMap<ObjectRef, Vec<EndpointSlice>>,
    /// Which Service each slice belongs to: its label may change.
    homes: BTreeMap<ObjectRef, ObjectRef>,
    /// Services for which kube-proxy takes slices of other Services, and how many.
    borrowers: BTreeMap<ObjectRef, usize>,
    /// Services, and those that stand for what several clusters export of them.
    stand_ins: BTreeMap<ObjectRef, BTreeSet<ObjectRef>>,
    names: Names,
    hints: Copies<Hints>,
    sources: Copies<Source>,
}

/// One copy of each value.
#[derive(Clone, Debug)]
struct Copies<T>(BTreeSet<Arc<T>>);

impl Cache {
    /// Takes in a Service. Returns what may have changed by that: nothing, if it is as before.
    pub fn put(&mut self, mut service: Service) -> Vec<ObjectRef> {
        self.share(&mut service.object);
        for port in &mut service.ports {
            self.names.share(&mut port.name);
        }
        if self.services.get(&service.object) == Some(&service) {
            return Vec::new();
        }
        let object = service.object.clone();
        let mut touched = self.remove(&object);
        touched.push(object.clone());
        if let Some(original) = original(&service) {
            touched.push(original.clone());
            self.stand_ins.entry(original).or_default().insert(object.clone());
        }
        self.services.insert(object, service);
        touched
    }

    /// Takes a Service out. Returns what may have changed by that.
    pub fn remove(&mut self, object: &ObjectRef) -> Vec<ObjectRef> {
        let Some(service) = self.services.remove(object) else { return Vec::new() };
        let mut touched = vec![object.clone()];
        if let Some(original) = original(&service)
            && let Some(stand_ins) = self.stand_ins.get_mut(&original)
        {
            stand_ins.remove(object);
            if stand_ins.is_empty() {
                self.stand_ins.remove(&original);
            }
            touched.push(original);
        }
        touched
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
        let mut touched = self.remove_slice(&slice.object);
        if let Some(mut home) = home {
            self.share(&mut home);
            self.intern(&mut slice);
            if let Some(name) = &slice.service {
                home.name = Arc::clone(name);
            }
            if let Some(borrower) = borrower(&slice) {
                *self.borrowers.entry(borrower.clone()).or_default() += 1;
                touched.push(borrower);
            }
            self.homes.insert(slice.object.clone(), home.clone());
            let slices = self.slices.entry(home.clone()).or_default();
            if let Err(at) = position(slices, &slice.object) {
                slices.reserve_exact(1);
                slices.insert(at, slice);
            }
            touched.extend(self.original_of(&home));
            touched.push(home);
        }
        touched
    }

    /// Which Service a slice belongs to, as far as it was read.
    pub fn home(&self, slice: &ObjectRef) -> Option<&ObjectRef> {
        self.homes.get(slice)
    }

    /// Takes a slice out. Returns whose endpoints may have changed by that.
    pub fn remove_slice(&mut self, slice: &ObjectRef) -> Vec<ObjectRef> {
        let Some(home) = self.homes.remove(slice) else { return Vec::new() };
        let mut touched: Vec<ObjectRef> = self.original_of(&home).into_iter().collect();
        if let Some(slices) = self.slices.get_mut(&home) {
            if let Ok(at) = position(slices, slice)
                && let Some(borrower) = borrower(&slices.remove(at))
            {
                if let Some(count) = self.borrowers.get_mut(&borrower) {
                    *count -= 1;
                    if *count == 0 {
                        self.borrowers.remove(&borrower);
                    }
                }
                touched.push(borrower);
            }
            if slices.is_empty() {
                self.slices.remove(&home);
            }
        }
        touched.push(home);
        touched
    }

    /// All slices of a Service, by name.
    pub fn slices(&self, object: &ObjectRef) -> impl Iterator<Item = &EndpointSlice> + Clone {
        self.slices.get(object).into_iter().flatten()
    }

    /// The slices of a Service that are of this cluster, by name.
    pub fn own_slices(&self, object: &ObjectRef) -> impl Iterator<Item = &EndpointSlice> + Clone {
        self.slices(object).filter(|slice| slice.source.is_none())
    }

    /// The slices of a Service that say they are of another cluster, also those of Services that stand
    /// for what clusters export of it.
    pub fn remote_slices(
        &self,
        object: &ObjectRef,
    ) -> impl Iterator<Item = (&EndpointSlice, &Source)> + Clone {
        let stand_ins = self.stand_ins.get(object).into_iter().flatten();
        let all = self.slices(object).chain(stand_ins.flat_map(|other| self.slices(other)));
        all.filter_map(|slice| Some((slice, &**slice.source.as_ref()?)))
    }

    /// Whether a Service stands for what several clusters export: kube-proxy takes slices for it that
    /// are another Service's.
    pub fn is_stand_in(&self, service: &Service) -> bool {
        original(service).is_some() || self.borrowers.contains_key(&service.object)
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
        self.own_slices(&service.object).find(|slice| {
            !is_of_controller(slice, service)
                && (slice.refused_count > 0
                    || !slice.endpoints.iter().all(|endpoint| is_inside(endpoint.address)))
        })
    }

    /// Whether another writer than the controller lists endpoints of a Service: they may be another
    /// namespace's.
    pub fn has_others(&self, service: &Service) -> bool {
        self.own_slices(&service.object).any(|slice| !is_of_controller(slice, service))
    }

    /// The slices of a Service that list pods of this cluster, by name: if they are no forgeries, which
    /// the controller removes after a while.
    pub fn pod_slices(&self, service: &Service) -> impl Iterator<Item = &EndpointSlice> {
        self.own_slices(&service.object).filter(|slice| is_of_controller(slice, service))
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

    /// The Service for which another one stands.
    pub fn original_of(&self, home: &ObjectRef) -> Option<ObjectRef> {
        self.services.get(home).and_then(original)
    }

    fn slice(&self, home: &ObjectRef, slice: &ObjectRef) -> Option<&EndpointSlice> {
        let slices = self.slices.get(home)?;
        slices.get(position(slices, slice).ok()?)
    }

    fn share(&mut self, object: &mut ObjectRef) {
        self.names.share(&mut object.namespace);
    }

    fn intern(&mut self, slice: &mut EndpointSlice) {
        if let Some(source) = &mut slice.source {
            self.sources.share(source);
            // Each cluster that exports a Service has a slice of it here.
            slice.service.iter_mut().for_each(|name| self.names.share(name));
        }
        if let Maker::Other(Some(name)) = &mut slice.maker {
            self.names.share(name);
        }
        for port in &mut slice.ports {
            self.names.share(&mut port.name);
        }
        for Endpoint { node, zone, hints, .. } in &mut slice.endpoints {
            for name in [node, zone].into_iter().flatten() {
                self.names.share(name);
            }
            hints.iter_mut().for_each(|hints| self.hints.share(hints));
        }
    }
}

impl<T> Default for Copies<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Ord> Copies<T> {
    /// The copy of a value that may become it.
    fn share(&mut self, value: &mut Arc<T>) {
        if let Some(known) = self.0.get(value) {
            *value = Arc::clone(known);
            return;
        }
        if self.0.len().is_power_of_two() {
            self.0.retain(|known| Arc::strong_count(known) > 1);
        }
        self.0.insert(Arc::clone(value));
    }
}

/// Where a slice is, or should be.
fn position(slices: &[EndpointSlice], slice: &ObjectRef) -> Result<usize, usize> {
    slices.binary_search_by(|other| other.object.name.cmp(&slice.name))
}

/// The other Service for which kube-proxy takes a slice.
fn borrower(slice: &EndpointSlice) -> Option<ObjectRef> {
    let name = slice.lent_to.clone()?;
    Some(ObjectRef { namespace: Arc::clone(&slice.object.namespace), name })
}

/// The Service for whose exports this one stands.
fn original(service: &Service) -> Option<ObjectRef> {
    let name = service.stands_for.clone().filter(|name| *name != service.object.name)?;
    let namespace = Arc::clone(&service.object.namespace);
    (!service.has_selector).then_some(ObjectRef { namespace, name })
}

fn is_of_controller(slice: &EndpointSlice, service: &Service) -> bool {
    slice.maker == Maker::Controller && service.has_selector
}
