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

use super::{State, suspect::SEVERAL};
use crate::{
    identity::NodeRef,
    input::Transition,
    service::{BackendRef, ServiceRef},
};

impl State {
    /// A backend was lost without an answer: perhaps its node is dead.
    pub(super) fn silence_node(&mut self, backend: &BackendRef, happened: &mut Vec<Transition>) {
        let Some(node) = self.other_node(backend) else { return };
        if !self.nodes.is_suspect && !self.is_node_silent(backend) {
            self.settle_silence(&node, happened);
        }
    }

    fn is_node_silent(&self, backend: &BackendRef) -> bool {
        let trouble = self.backends.get(backend).and_then(|known| known.trouble.as_ref());
        trouble.is_some_and(|trouble| trouble.is_node_silent)
    }

    /// Brings which backends are out because of others on that node in line with which are silent.
    pub(super) fn settle_silence(&mut self, node: &NodeRef, happened: &mut Vec<Transition>) {
        let out = self.silenced(node);
        if out.is_empty() {
            if self.nodes.silent.remove(node) {
                self.unsilence(node, happened);
            }
            return;
        }
        self.nodes.silent.insert(node.clone());
        let why: Arc<str> = format!("its node {node} is silent").into();
        let backends: Vec<BackendRef> = self.nodes.on(node).copied().collect();
        for backend in backends {
            match (self.is_node_silent(&backend), out.contains(&backend)) {
                (false, true) => {
                    self.backends.change(&backend, |trouble| trouble.is_node_silent = true);
                    self.raise(&backend, HealthByte::Prober, Arc::clone(&why), happened);
                    self.ask(&backend);
                    self.reset(&backend);
                }
                (true, false) => self.lift_silence(&backend, happened),
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
            let Some(known) = self.backends.get(backend) else { continue };
            match &known.trouble {
                Some(trouble) if trouble.is_refusing() => return BTreeSet::new(),
                Some(trouble) if trouble.is_silent() && !known.health.is_answering() => {
                    let owners = self.owners(backend);
                    silent.push(Silent { owners, may_answer: known.health.has_answered() });
                }
                _ if known.health.has_answered() => return BTreeSet::new(),
                _ if self
                    .backends
                    .used
                    .get(backend)
                    .is_some_and(|used| used.from_system.is_some()) =>
                {
                    in_use.extend(self.owners(backend));
                }
                _ => {}
            }
        }
        let is_whole = is_silence(silent.iter()) && !have_one_owner(&silent);
        let is_out = |owner: &&str| {
            let its = silent.iter().filter(|silent| silent.owners.contains(owner));
            !in_use.contains(owner) && (is_whole || is_silence(its))
        };
        let listed = self.nodes.on(node);
        listed.filter(|backend| self.owners(backend).iter().all(is_out)).copied().collect()
    }

    /// Owners of the services that list a backend.
    fn owners(&self, backend: &BackendRef) -> BTreeSet<&str> {
        self.backends.users(backend).into_iter().map(ServiceRef::owner).collect()
    }

    /// A node answers: from now on only its backends' own probes say how they are.
    pub(super) fn unsilence(&mut self, node: &NodeRef, happened: &mut Vec<Transition>) {
        let backends: Vec<BackendRef> = self.nodes.on(node).copied().collect();
        for backend in &backends {
            if self.is_node_silent(backend) {
                self.lift_silence(backend, happened);
            }
        }
    }

    fn lift_silence(&mut self, backend: &BackendRef, happened: &mut Vec<Transition>) {
        self.backends.change(backend, |trouble| trouble.is_node_silent = false);
        self.withdraw(backend, HealthByte::Prober, happened);
    }

    /// A backend that was out because of its node may run on another one now.
    pub(super) fn unsilence_moved(&mut self, backend: &BackendRef, happened: &mut Vec<Transition>) {
        if !self.is_node_silent(backend) {
            return;
        }
        self.learn_nodes();
        let node = self.other_node(backend);
        if !node.is_some_and(|node| self.nodes.silent.contains(&node)) {
            self.lift_silence(backend, happened);
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
    count >= SEVERAL && may_answer
}

/// Whether one owner lists all of them.
fn have_one_owner(silent: &[Silent<'_>]) -> bool {
    let Some((first, others)) = silent.split_first() else { return false };
    first.owners.iter().any(|owner| others.iter().all(|other| other.owners.contains(owner)))
}
