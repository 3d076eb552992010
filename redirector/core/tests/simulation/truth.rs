//! How things really are, whether the agent knows or not.

use std::{collections::BTreeSet, sync::Arc};

use redirector_core::{input::ClientId, service::Backend};

/// How a replica answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    #[default]
    Well,
    Refusing,
    Silent,
}

#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// How each backend answers, by its number.
    pub states: Vec<Condition>,
    pub dead_nodes: BTreeSet<Arc<str>>,
    pub dead_zones: BTreeSet<Arc<str>>,
    pub dead_clusters: BTreeSet<Arc<str>>,
    /// Numbers of backends that answer no probes, and of those that answer nothing but probes.
    pub deaf_to_probes: BTreeSet<usize>,
    pub deaf_to_connects: BTreeSet<usize>,
    /// Clients to whom a backend, by number, refuses what it answers to everybody else.
    pub liars: BTreeSet<(ClientId, usize)>,
    pub no_probe_succeeds: bool,
    /// Whether nothing gets out of this node.
    pub is_cut_off: bool,
}

impl Truth {
    pub fn new(count: usize) -> Self {
        Self { states: vec![Condition::Well; count], ..Self::default() }
    }

    pub fn heal(&mut self) {
        *self = Self::new(self.states.len());
    }

    /// What a probe from `node` meets.
    pub fn probe(&self, number: usize, backend: &Backend, node: &str) -> Condition {
        if self.no_probe_succeeds || self.deaf_to_probes.contains(&number) {
            return Condition::Silent;
        }
        self.answer(number, backend, node)
    }

    /// What a connect from `node` meets.
    pub fn connect(&self, number: usize, backend: &Backend, node: &str) -> Condition {
        if self.deaf_to_connects.contains(&number) {
            return Condition::Silent;
        }
        self.answer(number, backend, node)
    }

    fn answer(&self, number: usize, backend: &Backend, node: &str) -> Condition {
        let is_here = backend.locality.node.as_deref() == Some(node);
        let on = |dead: &BTreeSet<Arc<str>>, name: &Option<Arc<str>>| {
            name.as_ref().is_some_and(|name| dead.contains(name))
        };
        let is_dead = on(&self.dead_nodes, &backend.locality.node)
            || on(&self.dead_zones, &backend.locality.zone)
            || on(&self.dead_clusters, &backend.locality.cluster);
        if !is_here && (self.is_cut_off || is_dead) {
            Condition::Silent
        } else {
            self.states[number]
        }
    }
}
