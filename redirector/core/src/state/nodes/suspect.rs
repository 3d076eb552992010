//! Whether it is this node's own network that is broken.
//!
//! That no backend on any other node answers says that we are cut off. A refusal is an answer of
//! neither kind: it comes from a living node, or from a firewall on this one. One owner
//! ([`ServiceRef::owner`]) can have silent backends on as many nodes as it likes, so those alone
//! are only a reason to ask others.
//!
//! When two or more other nodes have not answered, one of the own cluster among them, and no other node
//! has answered a probe since, backends that should be well, of as many owners as there are and of the
//! own cluster first, are asked after half of [`SUSPECT_WINDOW`]; after all of it this node is suspect.
//! That other clusters are silent says nothing of this node: they are far, and end as a whole. While it is, no probe ejects or confirms
//! anything. The first answer ends it, and so does a connect from a network of the system.

use std::{collections::BTreeSet, time::Duration};

use super::Nodes;
use crate::{
    identity::NodeRef,
    input::{Moment, Network, Transition},
    service::{BackendRef, Service, ServiceRef},
    state::{
        State,
        backends::{BackendState, is_probed},
    },
};

/// How long no other node must answer before this one is suspect.
const SUSPECT_WINDOW: Duration = Duration::from_secs(5);
/// How many backends in use that should answer are asked.
const WITNESSES: usize = 3;
/// Of how many owners a backend is asked, those of the backends in use included.
const OWNERS: usize = 8;
/// How many backends of a service are looked at to find one to ask: where more are listed, those
/// that are probed are few.
const LOOKED_AT: usize = 64;
/// How many nodes without an answer are more than a coincidence.
const MIN_SILENT_NODES: usize = 2;

impl Nodes {
    /// When the window ends, or half of it.
    pub(in crate::state) fn deadline(&self) -> Option<Moment> {
        let is_near = self.unanswering.iter().any(|node| node.cluster.is_none());
        let is_enough = is_near && self.unanswering.len() >= MIN_SILENT_NODES;
        let since = self.since.filter(|_| is_enough)?;
        let half = SUSPECT_WINDOW / 2;
        let window = if self.witnesses.is_none() { half } else { SUSPECT_WINDOW };
        (!self.is_suspect).then(|| since.after(window))
    }
}

impl State {
    /// A backend did not answer.
    pub(in crate::state) fn node_fails(&mut self, backend: &BackendRef) {
        self.learn_nodes();
        if let Some(node) = self.other_node(backend) {
            self.nodes.unanswering.insert(node);
            self.nodes.since.get_or_insert(self.now);
        }
    }

    /// A backend answered a probe.
    pub(in crate::state) fn node_answers(&mut self, backend: &BackendRef) {
        let Some(node) = self.other_node(backend) else { return };
        self.nodes.unanswering.remove(&node);
        self.nodes.since = None;
        self.nodes.witnesses = None;
        self.trust();
        if self.nodes.silent.remove(&node) {
            self.unsilence(&node);
        }
    }

    /// Makes the list of which backend runs where, if there is none.
    pub(in crate::state) fn learn_nodes(&mut self) {
        self.nodes.learn(self.node.cluster.as_ref(), self.services.all().values());
    }

    /// The node of a backend, if it is another one than this.
    pub(in crate::state) fn other_node(&self, backend: &BackendRef) -> Option<NodeRef> {
        let node = self.nodes.of(backend)?;
        let is_this = node.cluster.is_none() && Some(&node.name) == self.node.node.as_ref();
        (!is_this).then(|| node.clone())
    }

    /// Asks in the middle of the window, and suspects at its end.
    pub(in crate::state) fn suspect(&mut self) {
        while let Some(at) = self.nodes.deadline().filter(|at| *at <= self.now) {
            if at.after(SUSPECT_WINDOW) <= self.now {
                // No backend was asked meanwhile: this agent was stopped.
                self.nodes.since = Some(self.now);
                self.nodes.witnesses = None;
            } else if self.nodes.witnesses.is_none() {
                self.nodes.witnesses = Some(self.choose_witnesses());
                self.nodes.urgency = self.backends.next_urgency();
            } else {
                self.nodes.is_suspect = true;
                self.nodes.reports = 0;
                let silent = self.silent_ones();
                self.nodes.witnesses.get_or_insert_default().extend(silent);
                self.happened.push(Transition::NodeSuspect(true));
            }
        }
    }

    /// Backends of other nodes that nothing is said against: a few that are used from here, and
    /// one each of other owners, also on nodes where a backend does not answer.
    pub(in crate::state) fn choose_witnesses(&self) -> Vec<BackendRef> {
        let is_fit = |backend: &&BackendRef| is_probed(backend) && !self.is_ejected(backend);
        let is_elsewhere = |backend: &&BackendRef| {
            let node = self.other_node(backend);
            node.is_some_and(|node| !self.nodes.unanswering.contains(&node))
        };
        let is_reached = |backend: &&BackendRef| self.backends.is_used_by_system(backend);
        let is_far = |backend: &BackendRef| self.clusters.is_abroad(backend);
        let used = self.backends.used().filter(is_reached).filter(is_fit).filter(is_elsewhere);
        let (far, near): (Vec<&BackendRef>, Vec<&BackendRef>) = used.partition(|it| is_far(it));
        let used = near.into_iter().chain(far);
        let mut witnesses: Vec<BackendRef> = used.take(WITNESSES).copied().collect();
        let users = witnesses.iter().flat_map(|backend| self.backends.users(backend));
        let mut owners: BTreeSet<&str> = users.map(ServiceRef::owner).collect();
        let is_well = |backend: &&BackendRef| {
            is_fit(backend)
                && self.other_node(backend).is_some()
                && self.backends.get(backend).is_some_and(BackendState::is_well)
        };
        let one_of = |service: &Service| {
            let listed = || {
                let listed = service.backends.iter().take(LOOKED_AT);
                listed.map(|listed| &listed.backend).filter(is_well)
            };
            listed().find(|backend| !is_far(backend)).or_else(|| listed().next()).copied()
        };
        for service in self.services() {
            if owners.len() >= OWNERS {
                break;
            }
            if !owners.contains(service.name.owner())
                && let Some(backend) = one_of(service)
            {
                owners.insert(service.name.owner());
                witnesses.push(backend);
            }
        }
        witnesses
    }

    /// One backend each of a few nodes that did not answer: they are asked until they do.
    fn silent_ones(&self) -> Vec<BackendRef> {
        let first = |node: &NodeRef| self.nodes.on(node).find(|backend| is_probed(backend));
        let nodes = self.nodes.unanswering.iter();
        // By the order of their addresses: what a node is called decides nothing.
        let first: BTreeSet<BackendRef> = nodes.filter_map(first).copied().collect();
        first.into_iter().take(WITNESSES).collect()
    }

    /// Sockets of this node have used these since the last report. The first one since this node
    /// is suspect may speak of earlier. What answers in a process's own network is no other node.
    pub(in crate::state) fn node_is_used(&mut self, used: &[(BackendRef, Network)]) {
        if self.nodes.is_suspect {
            self.nodes.reports += 1;
            let reached = used.iter().filter(|(_, network)| *network == Network::OfSystem);
            let mut reached = reached.map(|(backend, _)| backend);
            let other = reached.find(|backend| self.other_node(backend).is_some());
            if let Some(backend) = other.filter(|_| self.nodes.reports > 1) {
                self.node_answers(backend);
            }
        }
    }

    /// This node's network is not suspect any more.
    fn trust(&mut self) {
        if std::mem::take(&mut self.nodes.is_suspect) {
            self.backends.ask_again();
            self.happened.push(Transition::NodeSuspect(false));
        }
    }

    /// This is another node, or in another cluster: which nodes are others is to be seen anew.
    pub(in crate::state) fn forget_silence(&mut self) {
        for node in std::mem::take(&mut self.nodes.silent) {
            self.unsilence(&node);
        }
        self.nodes.unlearn();
        self.nodes.unanswering.clear();
        self.nodes.since = None;
        self.nodes.witnesses = None;
        self.trust();
    }

    /// Services have changed: silent nodes are judged anew, so that new backends share their fate,
    /// and nodes that did not answer and have no backend left are forgotten.
    pub(in crate::state) fn reconcile_nodes(&mut self) {
        if self.nodes.unanswering.is_empty() && self.nodes.silent.is_empty() {
            return;
        }
        self.learn_nodes();
        for node in self.nodes.silent.clone() {
            self.reconcile_silence(&node);
        }
        let mut unanswering = std::mem::take(&mut self.nodes.unanswering);
        unanswering.retain(|node| self.nodes.on(node).next().is_some());
        self.nodes.unanswering = unanswering;
        if self.nodes.unanswering.is_empty() {
            self.nodes.since = None;
            self.nodes.witnesses = None;
            self.trust();
        }
    }
}
