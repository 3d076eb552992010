//! What follows for one Service of all that is exported under its name: an import, its derived Service
//! and slices. Only what changed is made again.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use redirector_kube::api::ObjectRef;
use redirector_policy::Reach;

use super::{
    Settings, bodies,
    desired::{Body, Changes, Desired, DesiredKind, DesiredRef, Pace},
    here::Here,
    merge::{Export, Merged, merge},
    outbox::{HeldService, Outbox, Spot},
    remote::Remote,
    slices::{Heading, Slices},
    status::Counts,
};
use crate::api::{ExportedServiceSpec, ExportedType};

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'v> {
    pub settings: &'v Settings,
    pub here: &'v Here,
    pub own: &'v Outbox,
    pub remotes: &'v BTreeMap<Arc<str>, Remote>,
}

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

/// The ServiceImport that owns what is made.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owner {
    /// It has not been seen yet: what it owns waits for it.
    NotYet,
    /// It was there and is gone, and is made again: what it owned stays, with no owner.
    Gone,
    Ours(Arc<str>),
    /// Another implementation's: it is left as it is.
    Foreign(Arc<str>),
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
        let pairs: Vec<Export<'_>> =
            exports.iter().map(|(cluster, held)| (*cluster, &*held.spec)).collect();
        let derived_ref = ObjectRef {
            namespace: Arc::clone(&object.namespace),
            name: bodies::derived_name(object).into(),
        };
        if exports.is_empty() {
            for (cluster, of) in std::mem::take(&mut import.clusters) {
                self.remove_slices(object, &cluster, of, out);
            }
            out.set(DesiredKind::ServiceImport, object, None);
            out.set(DesiredKind::Service, &derived_ref, None);
            out.conflict(object, None);
            self.derived.remove(&derived_ref);
            return false;
        }
        let has_found = import.inputs.is_none() && !import.clusters.is_empty();
        let inputs = Inputs {
            exports: exports
                .iter()
                .map(|(cluster, held)| (Arc::clone(cluster), Arc::clone(&held.spec)))
                .collect(),
            used: exports
                .iter()
                .map(|(cluster, _)| Arc::clone(cluster))
                .filter(|cluster| view.is_used(cluster))
                .collect(),
            addresses: view.here.addresses(&derived_ref).to_vec(),
            owner: view.owner(
                object,
                has_found
                    || import.inputs.as_ref().is_some_and(|inputs| inputs.owner != Owner::NotYet),
            ),
        };
        let mut all = import.inputs.as_ref().is_none_or(|before| before.owner != inputs.owner);
        if import.inputs.as_ref() != Some(&inputs) {
            let merged = merge(&pairs);
            let kind_and_ports = |merged: &Option<Merged>| {
                merged.as_ref().map(|m| (m.spec.kind, m.spec.ports.clone()))
            };
            all |= kind_and_ports(&merged) != kind_and_ports(&import.merged);
            import.merged = merged;
        }
        let Some(merged) = &import.merged else { return false };
        let is_foreign = matches!(inputs.owner, Owner::Foreign(_));
        let has_address = view.settings.cluster_set_ips
            && merged.spec.kind == ExportedType::ClusterSetIp
            && !is_foreign;
        let derived = has_address.then_some(&*derived_ref.name);
        if import.inputs.as_ref() != Some(&inputs) {
            let body = (!is_foreign).then(|| {
                let used: Vec<&Arc<str>> = inputs.used.iter().collect();
                let derived = derived.map(|name| (name, &*inputs.addresses));
                bodies::import(object, merged, &pairs, &used, derived)
            });
            out.set(DesiredKind::ServiceImport, object, body.map(|body| (body, Pace::AtOnce)));
            // A Service whose owner is gone keeps its address: it is not made again without one.
            let owner = match &inputs.owner {
                Owner::Ours(uid) => Some(Some(&**uid)),
                Owner::Gone => Some(None),
                Owner::NotYet | Owner::Foreign(_) => None,
            };
            let service = derived.zip(owner).map(|(name, owner)| {
                (bodies::derived(object, name, &merged.spec, owner), Pace::AtOnce)
            });
            out.set(DesiredKind::Service, &derived_ref, service);
            let is_exported_here =
                exports.iter().any(|(cluster, _)| **cluster == view.settings.cluster);
            out.conflict(object, is_exported_here.then(|| merged.conflict.clone()));
        }
        self.derived.insert(derived_ref.clone(), object.clone());
        let names: BTreeSet<Arc<str>> = if all {
            let of = import.clusters.keys().chain(exports.iter().map(|(cluster, _)| *cluster));
            of.cloned().collect()
        } else {
            changed.clone()
        };
        for cluster in names {
            let held = exports.iter().find(|(name, _)| **name == cluster).map(|(_, held)| *held);
            let of = import.clusters.remove(&cluster).unwrap_or_default();
            let made = held.and_then(|held| {
                let heading = view.heading(object, &cluster, held, &inputs.owner, derived)?;
                Some((held, heading))
            });
            let Some((held, heading)) = made else {
                self.remove_slices(object, &cluster, of, out);
                // It is there all the same: its slices wait for the import, or are nobody's here.
                if let Some(held) = held {
                    let counts = view.counts(&cluster, held);
                    self.count(&cluster, Counts::default(), counts);
                    let left = ClusterImport { counts, ..ClusterImport::default() };
                    import.clusters.insert(cluster, left);
                }
                continue;
            };
            let ports = derived.map(|_| merged.ports_of(&held.spec));
            let heading = Heading { ports: ports.as_ref(), ..heading };
            let of = self.make_slices(object, &cluster, of, held, &heading, view, out);
            import.clusters.insert(cluster, of);
        }
        import.inputs = Some(inputs);
        self.each.insert(object.clone(), import);
        true
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one Service of one cluster, and what it is made of"
    )]
    fn make_slices(
        &mut self,
        object: &ObjectRef,
        cluster: &Arc<str>,
        mut of: ClusterImport,
        held: &HeldService,
        heading: &Heading<'_>,
        view: View<'_>,
        out: &mut Out<'_>,
    ) -> ClusterImport {
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

impl<'v> View<'v> {
    /// What counts under that name, by cluster.
    fn exports(self, object: &ObjectRef) -> Vec<(&'v Arc<str>, &'v HeldService)> {
        let own = self.own.held().get(object);
        let own = own.filter(|_| self.here.is_chosen(&object.namespace, None));
        let own = own.map(|held| (&self.settings.cluster, held));
        let others = self.remotes.iter().filter_map(|(name, remote)| {
            let held = remote.held(object)?;
            self.is_chosen(remote, object).then_some((name, held))
        });
        own.into_iter().chain(others).collect()
    }

    fn is_chosen(self, remote: &Remote, object: &ObjectRef) -> bool {
        let by = remote.spec.as_ref().and_then(|spec| spec.spec().namespaces.as_ref());
        self.here.is_chosen(&object.namespace, by)
    }

    /// Whether endpoints of that cluster are here. Without clusterset addresses this cluster's own are
    /// not copied, but they are here.
    fn is_used(self, cluster: &str) -> bool {
        self.remotes.get(cluster).is_none_or(Remote::is_used)
    }

    /// Whether an endpoint of that cluster may be at that address.
    fn is_inside(self, cluster: &str, address: IpAddr) -> bool {
        let remote = self.remotes.get(cluster);
        remote.is_none_or(|remote| remote.spec.as_ref().is_some_and(|spec| spec.has(address)))
    }

    fn counts(self, cluster: &str, held: &HeldService) -> Counts {
        let is_inside = |spot: &&Spot| self.is_inside(cluster, spot.address);
        let inside = held.endpoints.keys().filter(is_inside).count();
        let endpoints = if self.is_used(cluster) { inside } else { 0 };
        Counts { services: 1, endpoints, outside: held.endpoints.len() - inside, unchosen: 0 }
    }

    /// What the slices of a cluster have in common; `None` if it has none here.
    fn heading<'h>(
        self,
        object: &'h ObjectRef,
        cluster: &'h str,
        held: &HeldService,
        owner: &'h Owner,
        derived: Option<&'h str>,
    ) -> Option<Heading<'h>>
    where
        'v: 'h,
    {
        let owner = match owner {
            Owner::NotYet => return None,
            Owner::Gone => None,
            Owner::Ours(uid) | Owner::Foreign(uid) => Some(&**uid),
        };
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        let (reach, regions) = match self.remotes.get(cluster) {
            Some(remote) => {
                if !remote.is_used() {
                    return None;
                }
                (remote.reach(), &*remote.regions)
            }
            // This cluster's own are copied for the clusterset address only.
            None if !self.settings.cluster_set_ips => return None,
            None => (Reach::Pod, &NONE),
        };
        let weight = held.spec.weight;
        Some(Heading { object, cluster, reach, weight, regions, derived, owner, ports: None })
    }

    fn owner(self, object: &ObjectRef, was_there: bool) -> Owner {
        match self.here.import(object) {
            Some(import) => match &import.uid {
                Some(uid) if import.is_ours => Owner::Ours(Arc::clone(uid)),
                Some(uid) => Owner::Foreign(Arc::clone(uid)),
                None => Owner::Gone,
            },
            None if was_there => Owner::Gone,
            None => Owner::NotYet,
        }
    }
}

impl Merged {
    /// Ports of an export that the import leads to it: of one name, protocol and number.
    fn ports_of(&self, spec: &ExportedServiceSpec) -> BTreeSet<(String, String)> {
        let is_led = |port: &&crate::api::ExportedPort| {
            self.spec.ports.iter().any(|held| {
                (&held.name, &held.protocol, held.port) == (&port.name, &port.protocol, port.port)
            })
        };
        let name = |port: &crate::api::ExportedPort| (port.name.clone(), port.protocol.clone());
        spec.ports.iter().filter(is_led).map(name).collect()
    }
}

/// Where what is made goes.
#[derive(Debug)]
pub(super) struct Out<'o> {
    pub desired: &'o mut Desired,
    pub changes: &'o mut Changes,
}

impl Out<'_> {
    fn set(&mut self, kind: DesiredKind, object: &ObjectRef, made: Option<(Body, Pace)>) {
        self.set_named(kind, &object.namespace, &object.name, made);
    }

    fn set_named(
        &mut self,
        kind: DesiredKind,
        namespace: &Arc<str>,
        name: &str,
        made: Option<(Body, Pace)>,
    ) {
        let object = DesiredRef { kind, namespace: Arc::clone(namespace), name: name.into() };
        let (is_other, pace) = match made {
            Some((body, pace)) => {
                let is_other = self.desired.objects.get(&object) != Some(&body);
                if is_other {
                    self.desired.objects.insert(object.clone(), body);
                }
                (is_other, pace)
            }
            None => (self.desired.objects.remove(&object).is_some(), Pace::AtOnce),
        };
        if is_other {
            let before = self.changes.objects.entry(object).or_insert(pace);
            *before = pace.min(*before);
        }
    }

    fn conflict(&mut self, object: &ObjectRef, conflict: Option<super::Conflict>) {
        let conflicts = &mut self.desired.conflicts;
        let is_other = match conflict {
            Some(conflict) => {
                let is_other = conflicts.get(object) != Some(&conflict);
                conflicts.insert(object.clone(), conflict);
                is_other
            }
            None => conflicts.remove(object).is_some(),
        };
        if is_other {
            self.changes.conflicts.insert(object.clone());
        }
    }
}
