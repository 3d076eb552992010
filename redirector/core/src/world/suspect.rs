//! Whether it is this node's own network that is broken, and which other nodes are silent.
//!
//! A backend that times out says little; that nobody on its node answers says that the node is
//! dead, and that nobody on any other node does says that we are. A refusal is an answer of
//! neither kind: it comes from a living node, or from a firewall on this one.
//!
//! In order:
//!
//! 1. Two or more other nodes have not answered, and no other node has answered a probe since:
//!    after half of the patience those are asked who should be well, after all of it this node is
//!    suspect. While it is, no probe ejects or confirms anything.
//! 2. Two or more backends on a node are ejected without an answer, and nobody there is known to
//!    be well: the whole node is out, also those of its backends that nobody asks. They are asked
//!    from then on.
//!
//! The first answer ends either; a connect that succeeded ends the suspicion, too.

use std::{sync::Arc, time::Duration};

use redirector_common::HealthByte;

use super::{World, nodes::Nodes, passive::later, verdicts::is_probed};
use crate::{
    input::{Moment, Transition},
    service::BackendRef,
};

/// How long nobody must answer before this node is suspect.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many are asked who should answer.
const WITNESSES: usize = 3;
/// How many nodes, and how many backends on a node, are more than a coincidence.
const SEVERAL: usize = 2;

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

impl World {
    /// A backend did not answer.
    pub(super) fn node_fails(&mut self, backend: &BackendRef, now: Moment) {
        if !self.nodes.is_known() {
            self.nodes.learn(self.services.values());
        }
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

    /// The node of a backend, if it is another one than this.
    fn other_node(&self, backend: &BackendRef) -> Option<Arc<str>> {
        let node = self.nodes.of(backend)?;
        (Some(node) != self.node.node.as_ref()).then(|| Arc::clone(node))
    }

    /// Asks, and then suspects, when patience is at its end.
    pub(super) fn suspect(&mut self, now: Moment, happened: &mut Vec<Transition>) {
        while let Some(at) = self.nodes.deadline().filter(|at| *at <= now) {
            if later(at, PATIENCE) <= now {
                // Nobody asked meanwhile: this agent was stopped.
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

    /// Backends of other nodes that are used from here and that nothing is said against.
    fn witnesses(&self) -> Vec<BackendRef> {
        let nodes = &self.nodes;
        let is_fit = |backend: &&BackendRef| {
            let node = self.other_node(backend);
            is_probed(backend)
                && !self.tables.objections.contains_key(backend)
                && node.is_some_and(|node| !nodes.unanswering.contains(&node))
        };
        self.backends.used.keys().filter(is_fit).take(WITNESSES).copied().collect()
    }

    /// One backend each of a few nodes that did not answer: they are asked until they do.
    fn silent_ones(&self) -> Vec<BackendRef> {
        let first = |node: &Arc<str>| self.nodes.on(node).find(|backend| is_probed(backend));
        self.nodes.unanswering.iter().filter_map(first).take(WITNESSES).copied().collect()
    }

    /// Sockets of this node have used these since the last report. The first one since this node
    /// is suspect may speak of earlier.
    pub(super) fn node_is_used(&mut self, used: &[BackendRef], happened: &mut Vec<Transition>) {
        if self.nodes.is_suspect {
            self.nodes.reports += 1;
            let other = used.iter().find(|backend| self.other_node(backend).is_some());
            if let Some(backend) = other.filter(|_| self.nodes.reports > 1) {
                self.node_answers(backend, happened);
            }
        }
    }

    /// The network answers.
    fn trust(&mut self, happened: &mut Vec<Transition>) {
        if std::mem::take(&mut self.nodes.is_suspect) {
            self.ask_again();
            happened.push(Transition::NodeSuspect(false));
        }
    }

    /// A backend was lost without an answer: perhaps its node is dead.
    pub(super) fn silence_node(&mut self, backend: &BackendRef, happened: &mut Vec<Transition>) {
        let Some(node) = self.other_node(backend) else { return };
        if self.nodes.is_suspect || self.nodes.silent.contains(&node) || !self.is_silent(&node) {
            return;
        }
        self.nodes.silent.insert(Arc::clone(&node));
        self.silence(&node, happened);
    }

    /// Whether several backends there are lost without an answer, and none is known to be well.
    /// One of them has answered probes: else none could ever end it.
    fn is_silent(&self, node: &str) -> bool {
        let (mut silent, mut may_answer) = (0, false);
        for backend in self.nodes.on(node) {
            let Some(known) = self.backends.get(backend) else { continue };
            match &known.trouble {
                Some(trouble) if trouble.is_refusing() => return false,
                Some(trouble) if trouble.is_silent() => {
                    silent += 1;
                    may_answer |= known.health.has_answered();
                }
                _ if known.health.has_answered() => return false,
                _ if self.backends.used.contains_key(backend) => return false,
                _ => {}
            }
        }
        silent >= SEVERAL && may_answer
    }

    /// All backends of a node are out.
    fn silence(&mut self, node: &Arc<str>, happened: &mut Vec<Transition>) {
        let why: Arc<str> = format!("its node {node} is silent").into();
        let backends: Vec<BackendRef> = self.nodes.on(node).copied().collect();
        for backend in backends {
            let is_new = self
                .backends
                .change(&backend, |trouble| !std::mem::replace(&mut trouble.is_node_silent, true));
            if is_new == Some(true) {
                self.raise(&backend, HealthByte::Prober, Arc::clone(&why), happened);
                self.ask(&backend);
                self.reset(&backend);
            }
        }
    }

    /// A node answers: what its backends' own probes say is left.
    fn unsilence(&mut self, node: &str, happened: &mut Vec<Transition>) {
        let backends: Vec<BackendRef> = self.nodes.on(node).copied().collect();
        for backend in backends {
            self.backends.change(&backend, |trouble| trouble.is_node_silent = false);
            self.withdraw(&backend, HealthByte::Prober, happened);
        }
    }

    /// Services have changed: new backends share the fate of their nodes, and nodes of which
    /// nobody is left who was found silent are forgotten.
    pub(super) fn settle_nodes(&mut self, happened: &mut Vec<Transition>) {
        if self.nodes.unanswering.is_empty() && self.nodes.silent.is_empty() {
            return;
        }
        if !self.nodes.is_known() {
            self.nodes.learn(self.services.values());
        }
        for node in self.nodes.silent.clone() {
            if self.is_silent(&node) {
                self.silence(&node, happened);
            } else {
                self.nodes.silent.remove(&node);
                self.unsilence(&node, happened);
            }
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
