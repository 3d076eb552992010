//! What follows for one Service of all that is exported under its name: an import, its derived Service
//! and slices. Only what changed is made again.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use redirector_kube::api::ObjectRef;
use serde_json::json;

use super::{
    Settings, bodies,
    desired::{DesiredKind, Pace},
    merge::{Export, Merged, merge},
    out::Out,
    outbox::{HeldService, Spot},
    slices::{Heading, Slices},
    status::Counts,
    view::{Owner, View},
};
use crate::api::{ExportedServiceSpec, ExportedType};

/// What has been made of it.
#[derive(Debug, Default)]
pub(super) struct Imports {
    each: BTreeMap<ObjectRef, Import>,
    counts: BTreeMap<Arc<str>, Counts>,
    /// Services that are there but not imported, because of their namespaces.
    unchosen: BTreeSet<(Arc<str>, ObjectRef)>,
    /// Which import each derived Service is of.
    derived: BTreeMap<ObjectRef, ObjectRef>,
}

#[derive(Debug, Default)]
struct Import {
    inputs: Option<Inputs>,
    merged: Option<Merged>,
    clusters: BTreeMap<Arc<str>, ClusterImport>,
    /// Each export as JSON: one that changes is written anew, not those of all clusters.
    said: BTreeMap<Arc<str>, (Arc<ExportedServiceSpec>, String)>,
}

/// What the ServiceImport is made of: the same again makes the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Inputs {
    exports: Vec<(Arc<str>, Arc<ExportedServiceSpec>)>,
    /// Clusters whose endpoints are here.
    used: Vec<Arc<str>>,
    addresses: Vec<IpAddr>,
    owner: Owner,
}

#[derive(Debug, Default)]
struct ClusterImport {
    slices: Slices,
    names: BTreeSet<String>,
    counts: Counts,
}

impl Imports {
    /// The Service that a derived one is of.
    pub fn of_derived(&self, derived: &ObjectRef) -> Option<&ObjectRef> {
        self.derived.get(derived)
    }

    /// What is counted of a cluster.
    pub fn counts(&self, cluster: &str) -> Counts {
        self.counts.get(cluster).copied().unwrap_or_default()
    }

    /// Remembers in which slice an endpoint was found.
    pub fn found(&mut self, object: &ObjectRef, cluster: &Arc<str>, spot: Spot, number: u32) {
        let import = self.each.entry(object.clone()).or_default();
        let of = import.clusters.entry(Arc::clone(cluster)).or_default();
        of.slices.found(spot, number);
    }

    /// Makes what is desired under that name; of the slices those of these clusters. Returns whether an
    /// import remains.
    pub fn make(
        &mut self,
        object: &ObjectRef,
        changed: &BTreeSet<Arc<str>>,
        view: View<'_>,
        out: &mut Out<'_>,
    ) -> bool {
        let mut import = self.each.remove(object).unwrap_or_default();
        let exports = view.exports(object);
        for cluster in changed {
            self.note_unchosen(object, cluster, view);
        }
        let derived = ObjectRef {
            namespace: Arc::clone(&object.namespace),
            name: bodies::derived_name(object).into(),
        };
        if exports.is_empty() {
            for (cluster, of) in import.clusters {
                self.remove_slices(object, &cluster, of, out);
            }
            out.set(DesiredKind::ServiceImport, object, None);
            out.set(DesiredKind::Service, &derived, None);
            out.conflict(object, None);
            self.derived.remove(&derived);
            return false;
        }
        let inputs = import.inputs_of(object, &derived, &exports, view);
        let mut changed = changed.clone();
        if import.inputs.as_ref() != Some(&inputs) {
            if import.remake(object, &derived, inputs, view, out) {
                changed.extend(import.clusters.keys().cloned());
                changed.extend(exports.iter().map(|(cluster, _)| Arc::clone(cluster)));
            }
            self.derived.insert(derived.clone(), object.clone());
        }
        for cluster in changed {
            let of = import.clusters.remove(&cluster).unwrap_or_default();
            let held = exports.iter().find(|(name, _)| **name == cluster);
            let Some((_, held)) = held else {
                self.remove_slices(object, &cluster, of, out);
                continue;
            };
            let Some(heading) = import.heading(object, &derived, &cluster, held, view) else {
                self.remove_slices(object, &cluster, of, out);
                // It is there all the same: its slices wait for the import, or it has none here.
                let counts = view.counts(&cluster, held);
                self.count(&cluster, Counts::default(), counts);
                let left = ClusterImport { counts, ..ClusterImport::default() };
                import.clusters.insert(cluster, left);
                continue;
            };
            let of = self.make_slices(of, held, &heading, view, out);
            import.clusters.insert(cluster, of);
        }
        self.each.insert(object.clone(), import);
        true
    }

    fn make_slices(
        &mut self,
        mut of: ClusterImport,
        held: &HeldService,
        heading: &Heading<'_>,
        view: View<'_>,
        out: &mut Out<'_>,
    ) -> ClusterImport {
        let Heading { object, cluster, .. } = *heading;
        let inside: BTreeMap<_, _> = held
            .endpoints
            .iter()
            .filter(|(spot, _)| view.is_inside(cluster, spot.address))
            .map(|(spot, held)| (spot, &held.endpoint))
            .collect();
        let counts = view.counts(cluster, held);
        self.count(cluster, of.counts, counts);
        of.counts = counts;
        let mut names = BTreeSet::new();
        for (name, body, pace) in of.slices.update(heading, &inside) {
            out.set_named(DesiredKind::EndpointSlice, &object.namespace, &name, Some((body, pace)));
            names.insert(name);
        }
        for name in of.names.difference(&names) {
            out.set_named(DesiredKind::EndpointSlice, &object.namespace, name, None);
        }
        of.names = names;
        of
    }

    fn remove_slices(
        &mut self,
        object: &ObjectRef,
        cluster: &Arc<str>,
        of: ClusterImport,
        out: &mut Out<'_>,
    ) {
        for name in of.names {
            out.set_named(DesiredKind::EndpointSlice, &object.namespace, &name, None);
        }
        self.count(cluster, of.counts, Counts::default());
    }

    /// Counts a Service of a cluster that is there but not imported because of its namespace.
    fn note_unchosen(&mut self, object: &ObjectRef, cluster: &Arc<str>, view: View<'_>) {
        let is_unchosen = view
            .remotes
            .get(cluster)
            .is_some_and(|remote| remote.held(object).is_some() && !view.is_chosen(remote, object));
        let counts = self.counts.entry(Arc::clone(cluster)).or_default();
        let was_unchosen = self.unchosen.contains(&(Arc::clone(cluster), object.clone()));
        if is_unchosen && !was_unchosen {
            counts.unchosen += 1;
            self.unchosen.insert((Arc::clone(cluster), object.clone()));
        }
        if !is_unchosen && was_unchosen {
            counts.unchosen -= 1;
            self.unchosen.remove(&(Arc::clone(cluster), object.clone()));
        }
    }

    fn count(&mut self, cluster: &Arc<str>, before: Counts, after: Counts) {
        let counts = self.counts.entry(Arc::clone(cluster)).or_default();
        counts.services = counts.services + after.services - before.services;
        counts.endpoints = counts.endpoints + after.endpoints - before.endpoints;
        counts.outside = counts.outside + after.outside - before.outside;
    }
}

impl Import {
    /// What the ServiceImport is made of now.
    fn inputs_of(
        &self,
        object: &ObjectRef,
        derived: &ObjectRef,
        exports: &[(&Arc<str>, &HeldService)],
        view: View<'_>,
    ) -> Inputs {
        // Slices that were found had an import once.
        let was_there = match &self.inputs {
            Some(inputs) => inputs.owner != Owner::NotYet,
            None => !self.clusters.is_empty(),
        };
        let each = |(cluster, held): &(&Arc<str>, &HeldService)| {
            (Arc::clone(cluster), Arc::clone(&held.spec))
        };
        let used = exports.iter().map(|(cluster, _)| *cluster);
        Inputs {
            exports: exports.iter().map(each).collect(),
            used: used.filter(|cluster| view.is_used(cluster)).cloned().collect(),
            addresses: view.here.addresses(derived).to_vec(),
            owner: view.owner(object, was_there),
        }
    }

    /// Makes the ServiceImport and its derived Service again. Returns whether all slices are to be made
    /// again too.
    fn remake(
        &mut self,
        object: &ObjectRef,
        derived: &ObjectRef,
        inputs: Inputs,
        view: View<'_>,
        out: &mut Out<'_>,
    ) -> bool {
        let exports: Vec<Export<'_>> =
            inputs.exports.iter().map(|(cluster, spec)| (cluster, &**spec)).collect();
        let Some(merged) = merge(&exports) else { return false };
        let is_other_owner = self.inputs.as_ref().is_none_or(|before| before.owner != inputs.owner);
        let is_other_import = self.merged.as_ref().is_none_or(|before| {
            (before.spec.kind, &before.spec.ports) != (merged.spec.kind, &merged.spec.ports)
        });
        let has_address = merged.has_address(view.settings, &inputs.owner);
        let address = has_address.then_some((&*derived.name, &*inputs.addresses));
        let is_foreign = matches!(inputs.owner, Owner::Foreign(_));
        let body = (!is_foreign)
            .then(|| bodies::import(object, &merged, self.said(&inputs), &inputs.used, address))
            .map(|body| (body, Pace::AtOnce));
        out.set(DesiredKind::ServiceImport, object, body);
        // A Service whose owner is gone keeps its address: it is not made again without one.
        let owner = match &inputs.owner {
            Owner::Ours(uid) => Some(Some(&**uid)),
            Owner::Gone => Some(None),
            Owner::NotYet | Owner::Foreign(_) => None,
        };
        let service = owner.filter(|_| has_address).map(|owner| {
            (bodies::derived(object, &derived.name, &merged.spec, owner), Pace::AtOnce)
        });
        out.set(DesiredKind::Service, derived, service);
        let own = &view.settings.cluster;
        let is_exported_here = inputs.exports.iter().any(|(cluster, _)| cluster == own);
        out.conflict(object, is_exported_here.then(|| merged.conflict.clone()));
        self.merged = Some(merged);
        self.inputs = Some(inputs);
        is_other_owner || is_other_import
    }

    /// What each cluster exports, as JSON.
    fn said(&mut self, inputs: &Inputs) -> String {
        let mut before = std::mem::take(&mut self.said);
        for (cluster, spec) in &inputs.exports {
            let known = before.remove(cluster).filter(|(said, _)| Arc::ptr_eq(said, spec));
            let entry = known.unwrap_or_else(|| {
                let text = json!({&**cluster: &**spec}).to_string();
                (Arc::clone(spec), text[1..text.len() - 1].to_owned())
            });
            self.said.insert(Arc::clone(cluster), entry);
        }
        let each: Vec<&str> = self.said.values().map(|(_, text)| text.as_str()).collect();
        format!("{{{}}}", each.join(","))
    }

    /// What the slices of a cluster have in common; `None` if it has none here.
    fn heading<'h>(
        &'h self,
        object: &'h ObjectRef,
        derived: &'h ObjectRef,
        cluster: &'h Arc<str>,
        held: &HeldService,
        view: View<'h>,
    ) -> Option<Heading<'h>> {
        let (inputs, merged) = (self.inputs.as_ref()?, self.merged.as_ref()?);
        let has_address = merged.has_address(view.settings, &inputs.owner);
        let derived = has_address.then_some(&*derived.name);
        let heading = view.heading(object, cluster, held, &inputs.owner, derived)?;
        let ports = derived.map(|_| merged.ports_of(&held.spec));
        Some(Heading { ports, ..heading })
    }
}

impl Merged {
    /// Whether a derived Service gives it an address: one without ports would be refused.
    fn has_address(&self, settings: &Settings, owner: &Owner) -> bool {
        settings.cluster_set_ips
            && self.spec.kind == ExportedType::ClusterSetIp
            && !self.spec.ports.is_empty()
            && !matches!(owner, Owner::Foreign(_))
    }
}
