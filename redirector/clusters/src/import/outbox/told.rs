//! What the watches of an outbox have said, as it stands there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_kube::api::{Batch, Change, ObjectRef};

use super::valid;
use crate::api::{
    ExportedService, ExportedServiceSpec, OutboxSlice, export_fingerprint, export_label,
    outbox_digest, slice_fingerprint, slices_digest_of,
};

/// ExportedServices and slices, and which Services they are of.
#[derive(Debug, Default)]
pub(in crate::import) struct Told {
    /// By the name of the ExportedService: the order of the digest.
    services: BTreeMap<Arc<str>, ToldService>,
    names: BTreeMap<ObjectRef, Arc<str>>,
    slices: BTreeMap<Arc<str>, ToldSlice>,
    /// Names of slices by their label.
    of: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Names of ExportedServices by that label.
    labels: BTreeMap<Arc<str>, Arc<str>>,
    services_listed: bool,
    slices_listed: bool,
    /// ExportedServices that cannot be used, and why.
    rejected: BTreeMap<Arc<str>, String>,
    /// Services of which something changed since they were last taken.
    changed: BTreeSet<ObjectRef>,
    /// The digest as it was last made; `None` after a change.
    digest: Option<String>,
}

#[derive(Debug)]
struct ToldService {
    /// The last version that can be used, and of which Service it is.
    good: Option<(ObjectRef, Arc<ExportedServiceSpec>)>,
    /// The newest version, which the digest is of.
    newest: Arc<ExportedServiceSpec>,
    /// `None` until it is asked for: after a change of it or of its slices.
    fingerprint: Option<[u8; 32]>,
}

#[derive(Debug)]
struct ToldSlice {
    slice: OutboxSlice,
    fingerprint: [u8; 32],
}

impl Told {
    /// The watches begin anew. What was said stays until it is said anew.
    pub fn restart(&mut self) {
        (self.services_listed, self.slices_listed) = (false, false);
    }

    /// Whether both kinds have been listed since the watches began.
    pub fn is_listed(&self) -> bool {
        self.services_listed && self.slices_listed
    }

    pub fn take_services(&mut self, batch: Batch<ExportedService>) {
        if batch.is_synced && !self.services_listed {
            let listed: BTreeSet<&str> = batch.changes.iter().filter_map(named).collect();
            let is_gone = |name: &&Arc<str>| !listed.contains(&***name);
            let gone: Vec<_> = self.services.keys().filter(is_gone).cloned().collect();
            for name in gone {
                self.remove_service(&name);
            }
        }
        self.services_listed |= batch.is_synced;
        for change in batch.changes {
            match change {
                Change::Put(service) => self.put_service(service),
                Change::Remove(object) => {
                    self.rejected.remove(&object.name);
                    self.remove_service(&object.name);
                }
                // Its last good version stays.
                Change::Rejected { object, why } => {
                    self.rejected.insert(object.name, why);
                }
            }
        }
    }

    pub fn take_slices(&mut self, batch: Batch<OutboxSlice>) {
        if batch.is_synced && !self.slices_listed {
            let listed: BTreeSet<&str> = batch.changes.iter().filter_map(named).collect();
            let is_gone = |name: &&Arc<str>| !listed.contains(&***name);
            let gone: Vec<_> = self.slices.keys().filter(is_gone).cloned().collect();
            for name in gone {
                self.remove_slice(&name);
            }
        }
        self.slices_listed |= batch.is_synced;
        for change in batch.changes {
            match change {
                Change::Put(slice) => self.put_slice(slice),
                Change::Remove(object) => self.remove_slice(&object.name),
                // Its last good version stays; the digest says that something is wrong.
                Change::Rejected { .. } => {}
            }
        }
    }

    /// What the ExportedService of a Service says.
    pub fn spec(&self, object: &ObjectRef) -> Option<&Arc<ExportedServiceSpec>> {
        let service = self.services.get(self.names.get(object)?)?;
        service.good.as_ref().map(|(_, spec)| spec)
    }

    /// The slices of a Service.
    pub fn slices_of(&self, object: &ObjectRef) -> impl Iterator<Item = &OutboxSlice> {
        let name = self.names.get(object);
        let slices = name.and_then(|name| self.of.get(&*export_label(name)));
        slices.into_iter().flatten().filter_map(|name| Some(&self.slices.get(name)?.slice))
    }

    /// Every Service of it.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        self.names.keys()
    }

    /// One ExportedService that cannot be used, and why.
    pub fn rejected(&self) -> Option<(&Arc<str>, &String)> {
        self.rejected.first_key_value()
    }

    pub fn take_changed(&mut self) -> BTreeSet<ObjectRef> {
        std::mem::take(&mut self.changed)
    }

    /// The digest that a manifest of exactly this would have.
    pub fn digest(&mut self) -> String {
        if let Some(digest) = &self.digest {
            return digest.clone();
        }
        let Self { services, slices, of, .. } = self;
        for (name, service) in services.iter_mut().filter(|(_, s)| s.fingerprint.is_none()) {
            let of = of.get(&*export_label(name)).into_iter().flatten();
            let theirs = of.filter_map(|slice| Some(slices.get(slice)?.fingerprint));
            // Slices that are not what their Service says agree with no manifest.
            let is_whole = slices_digest_of(theirs) == service.newest.digest;
            let fingerprint = is_whole.then(|| export_fingerprint(name, &service.newest));
            service.fingerprint = Some(fingerprint.unwrap_or_default());
        }
        let digest = outbox_digest(services.values().filter_map(|s| s.fingerprint.as_ref()));
        self.digest = Some(digest.clone());
        digest
    }

    fn put_service(&mut self, service: ExportedService) {
        let ExportedService { name, spec } = service;
        let (name, spec): (Arc<str>, _) = (name.into(), Arc::new(spec));
        let before = self.services.remove(&name).and_then(|before| before.good);
        let good = match valid::check(&name, &spec) {
            Ok(()) => {
                self.rejected.remove(&name);
                let [namespace, of] =
                    [&spec.namespace, &spec.name].map(|text| text.as_str().into());
                Some((ObjectRef { namespace, name: of }, Arc::clone(&spec)))
            }
            Err(why) => {
                self.rejected.insert(Arc::clone(&name), why);
                before
            }
        };
        if let Some((object, _)) = &good {
            self.names.insert(object.clone(), Arc::clone(&name));
            self.changed.insert(object.clone());
        }
        self.digest = None;
        self.labels.insert(export_label(&name).into(), Arc::clone(&name));
        self.services.insert(name, ToldService { good, newest: spec, fingerprint: None });
    }

    fn remove_service(&mut self, name: &str) {
        let Some(service) = self.services.remove(name) else { return };
        self.digest = None;
        self.labels.remove(&*export_label(name));
        if let Some((object, _)) = service.good {
            self.names.remove(&object);
            self.changed.insert(object);
        }
    }

    fn put_slice(&mut self, slice: OutboxSlice) {
        let fingerprint = slice_fingerprint(&slice);
        if self.slices.get(&slice.name).is_some_and(|before| before.slice.service != slice.service)
        {
            self.remove_slice(&slice.name.clone());
        }
        self.of.entry(Arc::clone(&slice.service)).or_default().insert(Arc::clone(&slice.name));
        self.touch_label(&slice.service.clone());
        self.slices.insert(Arc::clone(&slice.name), ToldSlice { slice, fingerprint });
    }

    fn remove_slice(&mut self, name: &str) {
        let Some(ToldSlice { slice, .. }) = self.slices.remove(name) else { return };
        if let Some(names) = self.of.get_mut(&slice.service) {
            names.remove(name);
            if names.is_empty() {
                self.of.remove(&slice.service);
            }
        }
        self.touch_label(&slice.service);
    }

    fn touch_label(&mut self, label: &str) {
        let service = self.labels.get(label).and_then(|name| self.services.get_mut(name));
        let Some(service) = service else { return };
        service.fingerprint = None;
        self.digest = None;
        self.changed.extend(service.good.as_ref().map(|(object, _)| object.clone()));
    }
}

/// The name of what a list shows.
fn named<T: Named>(change: &Change<T>) -> Option<&str> {
    match change {
        Change::Put(object) => Some(object.name()),
        Change::Rejected { object, .. } => Some(&object.name),
        Change::Remove(_) => None,
    }
}

trait Named {
    fn name(&self) -> &str;
}

impl Named for ExportedService {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for OutboxSlice {
    fn name(&self) -> &str {
        &self.name
    }
}
