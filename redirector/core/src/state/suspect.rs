//! Whether it is this node's own network that is broken.
//!
//! That no backend on any other node answers says that we are cut off. A refusal is an answer of
//! neither kind: it comes from a living node, or from a firewall on this one. One owner
//! ([`ServiceRef::owner`]) can have silent backends on as many nodes as it likes, so those alone
//! are only a reason to ask others.
//!
//! When two or more other nodes have not answered, and no other node has answered a probe since,
//! backends that should be well, of as many owners as there are, are asked after half of
//! [`PATIENCE`]; after all of it this node is suspect. While it is, no probe ejects or confirms
//! anything. The first answer ends it, and so does a connect from a network of the system.

use std::{collections::BTreeSet, time::Duration};

use super::{State, nodes::Nodes, passive::later, verdicts::is_probed};
use crate::{
    health::ProbeHealth,
    identity::NodeRef,
    input::{Moment, Network, Transition},
    service::{BackendRef, Service, ServiceRef},
};

/// How long no other node must answer before this one is suspect.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many backends in use that should answer are asked.
const WITNESSES: usize = 3;
/// Of how many owners a backend is asked, those of the backends in use included.
const OWNERS: usize = 8;
/// How many backends of a service are looked at to find one to ask: where more are listed, those
/// that are probed are few.
const LOOKED_AT: usize = 64;
/// How many nodes, and how many backends on a node, are more than a coincidence.
pub(super) const SEVERAL: usize = 2;

impl Nodes {
    pub(super) fn is_suspect(&self) -> bool {
        self.is_suspect
    }

    /// When patience ends, or half of it.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let since = self.since.filter(|_| self.unanswering.len() >= SEVERAL)?;
        let patience = if self.witnesses.is_none() { PATIENCE / 2 } else { PATIENCE };
        (!self.is_suspect).then(|| later(since, patience))
    }
}

impl State {
    /// A backend did not answer.
    pub(super) fn node_fails(&mut self, backend: &BackendRef, now: Moment) {
        self.learn_nodes();
        if let Some(node) = self.other_node(backend) {
            self.nodes.unanswering.insert(node);
            self.nodes.since.get_or_insert(now);
        }
    }

    /// A backend answered a probe.
    pub(super) fn node_answers(&mut self, backend: &BackendRef, happened: &mut Vec<Transition>) {
        let Some(node) = self.other_node(backend) else { return };
        self.nodes.unanswering.remove(&node);
        self.nodes.since = None;
        self.nodes.witnesses = None;
        self.trust(happened);
        if self.nodes.silent.remove(&node) {
            self.unsilence(&node, happened);
        }
    }

    /// Makes the list of which backend runs where, if there is none.
    pub(super) fn learn_nodes(&mut self) {
        if !self.nodes.is_known() {
            self.nodes.learn(self.node.cluster.as_ref(), self.services.values());
        }
    }

    /// The node of a backend, if it is another one than this.
    pub(super) fn other_node(&self, backend: &BackendRef) -> Option<NodeRef> {
        let node = self.nodes.of(backend)?;
        let is_this = node.cluster.is_none() && Some(&node.name) == self.node.node.as_ref();
        (!is_this).then(|| node.clone())
    }

    /// Asks, and then suspects, when patience is at its end.
    pub(super) fn suspect(&mut self, now: Moment, happened: &mut Vec<Transition>) {
        while let Some(at) = self.nodes.deadline().filter(|at| *at <= now) {
            if later(at, PATIENCE) <= now {
                // No backend was asked meanwhile: this agent was stopped.
                self.nodes.since = Some(now);
                self.nodes.witnesses = None;
            } else if self.nodes.witnesses.is_none() {
                self.nodes.witnesses = Some(self.witnesses());
                self.urgency = self.urgency.wrapping_add(1).max(1);
                self.nodes.urgency = self.urgency;
            } else {
                self.nodes.is_suspect = true;
                self.nodes.reports = 0;
                let silent = self.silent_ones();
                self.nodes.witnesses.get_or_insert_default().extend(silent);
                happened.push(Transition::NodeSuspect(true));
            }
        }
    }

    /// Backends of other nodes that nothing is said against: a few that are used from here, and
    /// one each of other owners, also on nodes where a backend does not answer.
    fn witnesses(&self) -> Vec<BackendRef> {
        let is_fit = |backend: &&BackendRef| {
            is_probed(backend) && !self.tables.objections.contains_key(backend)
        };
        let is_elsewhere = |backend: &&BackendRef| {
            let node = self.other_node(backend);
            node.is_some_and(|node| !self.nodes.unanswering.contains(&node))
        };
        let reached = self.backends.used.iter().filter(|(_, used)| used.from_system.is_some());
        let used = reached.map(|(backend, _)| backend).filter(is_fit).filter(is_elsewhere);
        let mut witnesses: Vec<BackendRef> = used.take(WITNESSES).copied().collect();
        let users = witnesses.iter().flat_map(|backend| self.backends.users(backend));
        let mut owners: BTreeSet<&str> = users.map(ServiceRef::owner).collect();
        let is_well = |backend: &&BackendRef| {
            is_fit(backend)
                && self.other_node(backend).is_some()
                && self
                    .backends
                    .get(backend)
                    .is_some_and(|known| known.health.as_probes_see_it() == ProbeHealth::Healthy)
        };
        let one_of = |service: &Service| {
            let listed = service.backends.iter().take(LOOKED_AT);
            listed.map(|listed| &listed.backend).find(is_well).copied()
        };
        for service in self.services.values() {
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
    pub(super) fn node_is_used(
        &mut self,
        used: &[(BackendRef, Network)],
        happened: &mut Vec<Transition>,
    ) {
        if self.nodes.is_suspect {
            self.nodes.reports += 1;
            let reached = used.iter().filter(|(_, network)| *network == Network::OfSystem);
            let mut reached = reached.map(|(backend, _)| backend);
            let other = reached.find(|backend| self.other_node(backend).is_some());
            if let Some(backend) = other.filter(|_| self.nodes.reports > 1) {
                self.node_answers(backend, happened);
            }
        }
    }

    /// This node's network is not suspect any more.
    fn trust(&mut self, happened: &mut Vec<Transition>) {
        if std::mem::take(&mut self.nodes.is_suspect) {
            self.ask_again();
            happened.push(Transition::NodeSuspect(false));
        }
    }

    /// This is another node, or in another cluster: which nodes are others is to be seen anew.
    pub(super) fn forget_silence(&mut self, happened: &mut Vec<Transition>) {
        for node in std::mem::take(&mut self.nodes.silent) {
            self.unsilence(&node, happened);
        }
        self.nodes.unlearn();
        self.nodes.unanswering.clear();
        self.nodes.since = None;
        self.nodes.witnesses = None;
        self.trust(happened);
    }

    /// Services have changed: silent nodes are judged anew, so that new backends share their fate,
    /// and nodes that did not answer and have no backend left are forgotten.
    pub(super) fn settle_nodes(&mut self, happened: &mut Vec<Transition>) {
        if self.nodes.unanswering.is_empty() && self.nodes.silent.is_empty() {
            return;
        }
        self.learn_nodes();
        for node in self.nodes.silent.clone() {
            self.settle_silence(&node, happened);
        }
        let mut unanswering = std::mem::take(&mut self.nodes.unanswering);
        unanswering.retain(|node| self.nodes.on(node).next().is_some());
        self.nodes.unanswering = unanswering;
        if self.nodes.unanswering.is_empty() {
            self.nodes.since = None;
            self.nodes.witnesses = None;
            self.trust(happened);
        }
    }
}
