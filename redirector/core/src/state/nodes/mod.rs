//! Which backends run on which node: known only since something has failed, because a million
//! backends that are well need no such list.

mod silence;
mod suspect;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    identity::NodeRef,
    input::Moment,
    service::{BackendRef, Service},
};

/// Nodes of backends, and those that do not answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    index: Option<Index>,
    /// Other nodes that were asked and did not answer since they last did.
    unanswering: BTreeSet<NodeRef>,
    /// When the first of them did not answer, after the last answer of any other node.
    since: Option<Moment>,
    /// Backends that should answer if this node's own network is well; chosen when in doubt.
    witnesses: Option<Vec<BackendRef>>,
    /// Changes when the witnesses should be asked at once.
    urgency: u32,
    is_suspect: bool,
    /// Reports of what sockets use, since this node is suspect.
    reports: u32,
    /// Nodes of which backends are out because others there are silent.
    silent: BTreeSet<NodeRef>,
}

#[derive(Clone, Debug, Default)]
struct Index {
    /// The id of the own cluster.
    own: Option<Arc<str>>,
    of: BTreeMap<BackendRef, NodeRef>,
    on: BTreeMap<NodeRef, BTreeSet<BackendRef>>,
}

impl Nodes {
    /// Makes the list of which backend runs where, in the cluster with the id `own`, if there is
    /// none.
    fn learn<'s>(&mut self, own: Option<&Arc<str>>, services: impl Iterator<Item = &'s Service>) {
        if self.index.is_some() {
            return;
        }
        let listed = services.flat_map(|service| &service.backends);
        let of = listed
            .filter_map(|backend| Some((backend.backend, backend.locality.node_ref(own)?)))
            .collect();
        let mut on: BTreeMap<NodeRef, Vec<BackendRef>> = BTreeMap::new();
        let index = Index { own: own.cloned(), of, on: BTreeMap::new() };
        for (backend, node) in &index.of {
            match on.get_mut(node) {
                Some(backends) => backends.push(*backend),
                None => _ = on.insert(node.clone(), vec![*backend]),
            }
        }
        let on = on.into_iter().map(|(node, backends)| (node, backends.into_iter().collect()));
        self.index = Some(Index { on: on.collect(), ..index });
    }

    /// Another list of services is in force, or another cluster is the own one: what was known may
    /// be wrong.
    pub(super) fn unlearn(&mut self) {
        self.index = None;
    }

    /// A service says where its backends run. Where two differ the last one is believed.
    pub(super) fn put(&mut self, service: &Service) {
        let Some(index) = &mut self.index else { return };
        for backend in &service.backends {
            let node = backend.locality.node_ref(index.own.as_ref());
            if index.of.get(&backend.backend) != node.as_ref() {
                index.remove(&backend.backend);
                if let Some(node) = node {
                    index.on.entry(node.clone()).or_default().insert(backend.backend);
                    index.of.insert(backend.backend, node);
                }
            }
        }
    }

    /// No service lists that backend any more.
    pub(super) fn remove(&mut self, backend: &BackendRef) {
        if let Some(index) = &mut self.index {
            index.remove(backend);
        }
    }

    /// Whether this node's own network is suspected.
    pub(super) fn is_suspect(&self) -> bool {
        self.is_suspect
    }

    /// Backends that are asked whether it is, and the number of the probe that is asked for.
    pub(super) fn witnesses(&self) -> (&[BackendRef], u32) {
        (self.witnesses.as_deref().unwrap_or_default(), self.urgency)
    }

    /// How many nodes of the own cluster are known, as long as any must be: those with backends.
    pub(super) fn count_own(&self) -> usize {
        let own = |index: &Index| index.on.keys().filter(|node| node.cluster.is_none()).count();
        self.index.as_ref().map_or(0, own)
    }

    /// The node of a backend, if it is known.
    pub(super) fn of(&self, backend: &BackendRef) -> Option<&NodeRef> {
        self.index.as_ref()?.of.get(backend)
    }

    /// The backends on a node.
    fn on(&self, node: &NodeRef) -> impl Iterator<Item = &BackendRef> {
        let on = self.index.as_ref().and_then(|index| index.on.get(node));
        on.into_iter().flatten()
    }
}

impl Index {
    fn remove(&mut self, backend: &BackendRef) {
        let Some(node) = self.of.remove(backend) else { return };
        if let Some(on) = self.on.get_mut(&node) {
            on.remove(backend);
            if on.is_empty() {
                self.on.remove(&node);
            }
        }
    }
}
