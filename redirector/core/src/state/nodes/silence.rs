//! Which other nodes are silent, and for whose backends that counts.
//!
//! A backend that times out says little; that none on its node answers says that the node is
//! dead. One owner ([`ServiceRef::owner`]) can have as many silent backends as it likes, so they
//! say nothing about the backends of others.
//!
//! When two or more backends on a node are lost without an answer, and none there is known to be
//! well, out are all that are listed by their owner alone, also those that are not asked, or, if the
//! silent ones have no owner in common, the whole node. What is out is asked from then on, and the
//! first answer ends it. A backend that probes cannot reach, but sockets in networks of the system
//! use, speaks for its owners only.

use std::{collections::BTreeSet, sync::Arc};

use redirector_common::HealthByte;

use crate::{
    identity::NodeRef,
    service::BackendRef,
    state::{State, backends::BackendState},
};

/// How many backends of a node, lost without an answer, are more than a coincidence.
const MIN_SILENT_BACKENDS: usize = 2;

impl State {
    /// A backend was lost without an answer: perhaps its node is dead.
    pub(in crate::state) fn silence_node(&mut self, backend: &BackendRef) {
        let Some(node) = self.other_node(backend) else { return };
        if !self.nodes.is_suspect && !self.is_node_silent(backend) {
            self.reconcile_silence(&node);
        }
    }

    fn is_node_silent(&self, backend: &BackendRef) -> bool {
        self.backends.get(backend).is_some_and(BackendState::is_node_silent)
    }

    /// Brings which backends are out because of others on that node in line with which are silent.
    pub(in crate::state) fn reconcile_silence(&mut self, node: &NodeRef) {
        let out = self.silenced(node);
        if out.is_empty() {
            if self.nodes.silent.remove(node) {
                self.unsilence(node);
            }
            return;
        }
        self.nodes.silent.insert(node.clone());
        let why: Arc<str> = format!("its node {node} is silent").into();
        let backends: Vec<BackendRef> = self.nodes.on(node).copied().collect();
        for backend in backends {
            match (self.is_node_silent(&backend), out.contains(&backend)) {
                (false, true) => {
                    self.backends.set_node_silent(&backend, true);
                    self.eject(&backend, HealthByte::Prober, Arc::clone(&why));
                    self.backends.ask(&backend);
                    self.reset(&backend);
                }
                (true, false) => self.lift_silence(&backend),
                _ => {}
            }
        }
    }

    /// Backends of a node that are out because several there are lost without an answer and none
    /// is known to be well. One of the silent ones has answered probes: else no answer could ever
    /// end it.
    fn silenced(&self, node: &NodeRef) -> BTreeSet<BackendRef> {
        let mut silent = Vec::new();
        let mut in_use = BTreeSet::new();
        for backend in self.nodes.on(node) {
            let Some(state) = self.backends.get(backend) else { continue };
            let health = state.health();
            if state.is_silent() && !state.is_reached() && !health.is_answering() {
                let owners = self.backends.owners(backend);
                silent.push(Silent { owners, may_answer: health.has_answered() });
            } else if state.is_reached() || health.has_answered() {
                return BTreeSet::new();
            } else if self.backends.is_used_by_system(backend) {
                in_use.extend(self.backends.owners(backend));
            }
        }
        let is_whole = is_silence(silent.iter()) && !have_one_owner(&silent);
        let is_out = |owner: &&str| {
            let its = silent.iter().filter(|silent| silent.owners.contains(owner));
            !in_use.contains(owner) && (is_whole || is_silence(its))
        };
        let listed = self.nodes.on(node);
        listed.filter(|backend| self.backends.owners(backend).iter().all(is_out)).copied().collect()
    }

    /// A node answers: from now on only its backends' own probes say how they are.
    pub(in crate::state) fn unsilence(&mut self, node: &NodeRef) {
        let backends: Vec<BackendRef> = self.nodes.on(node).copied().collect();
        for backend in &backends {
            if self.is_node_silent(backend) {
                self.lift_silence(backend);
            }
        }
    }

    fn lift_silence(&mut self, backend: &BackendRef) {
        self.backends.set_node_silent(backend, false);
        self.readmit(backend, HealthByte::Prober);
    }

    /// A backend that was out because of its node may run on another one now.
    pub(in crate::state) fn unsilence_moved(&mut self, backend: &BackendRef) {
        if !self.is_node_silent(backend) {
            return;
        }
        self.learn_nodes();
        let node = self.other_node(backend);
        if !node.is_some_and(|node| self.nodes.silent.contains(&node)) {
            self.lift_silence(backend);
        }
    }
}

/// A backend that was lost without an answer.
struct Silent<'w> {
    /// Owners of the services that list it.
    owners: BTreeSet<&'w str>,
    /// Whether it has answered a probe before.
    may_answer: bool,
}

/// Whether these are more than a coincidence, and may end by an answer.
fn is_silence<'s>(silent: impl Iterator<Item = &'s Silent<'s>>) -> bool {
    let (count, may_answer) = silent
        .fold((0, false), |(count, may_answer), one| (count + 1, may_answer | one.may_answer));
    count >= MIN_SILENT_BACKENDS && may_answer
}

/// Whether one owner lists all of them.
fn have_one_owner(silent: &[Silent<'_>]) -> bool {
    let Some((first, others)) = silent.split_first() else { return false };
    first.owners.iter().any(|owner| others.iter().all(|other| other.owners.contains(owner)))
}
