//! The state: everything the sources have said, and what follows from it.
//!
//! Time passes when the caller says so: [`State::next_deadline`] tells when it should.

mod backends;
mod clusters;
mod excerpt;
mod failback;
#[cfg(test)]
mod identity_tests;
mod nodes;
mod orders;
mod recompile;
mod services;
mod stale_flows;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod verdict_tests;
mod vetoes;

use std::{collections::BTreeSet, sync::Arc};

use redirector_common::HealthByte;

use self::{
    backends::Backends, clusters::Clusters, failback::Failbacks, nodes::Nodes, orders::Orders,
    recompile::TierLists, services::Services, stale_flows::StaleFlows, vetoes::Vetoes,
};
use crate::{
    compile::{View, compile_service, objected, tiers},
    failover::vacancies::{Surroundings, Vacancy, vacancies},
    input::{Command, Input, Moment, Transition},
    locality::Locality,
    remote_cluster::RemoteCluster,
    service::{BackendRef, Service, ServiceRef},
    tables::{Scope, Tables},
};

pub use self::{excerpt::IfSilent, orders::Extent};

/// What is known and what follows from it, owned by one task. Each part keeps its own fields; what
/// follows for one part from another is decided here and in the parts' `impl State`.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// When the newest input came; it never moves back.
    now: Moment,
    node: Locality,
    clusters: Clusters,
    services: Services,
    backends: Backends,
    nodes: Nodes,
    failback: Failbacks,
    orders: Orders,
    vetoes: Vetoes,
    stale_flows: StaleFlows,
    tables: Tables,
    /// Services whose tables changed since the agent last took the changes.
    changed: BTreeSet<ServiceRef>,
    commands: Vec<Command>,
    /// What has happened because of the input that is being taken in.
    happened: Vec<Transition>,
}

impl State {
    /// A state in which nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one piece of news and says what happened because of it.
    pub fn apply(&mut self, input: Input, now: Moment) -> Vec<Transition> {
        if now > self.now {
            // What came until now counts as simultaneous; with later news another window begins.
            self.failback.begin_window(self.tables.synced);
            self.now = now;
        }
        self.apply_one(input);
        std::mem::take(&mut self.happened)
    }

    fn apply_one(&mut self, input: Input) {
        match input {
            Input::Node(node) => self.move_to(node),
            Input::RemoteClusters(clusters) => self.told_of_clusters(clusters),
            Input::Change { put, remove } => self.change(put, &remove.into_iter().collect()),
            Input::Put(service) => self.change(vec![service], &BTreeSet::new()),
            Input::Remove(name) => self.change(Vec::new(), &[name].into()),
            Input::Replace(services) => self.replace(services),
            Input::Probed { backend, outcome } => self.probed(&backend, outcome),
            Input::Restore(found) => self.restore(&found),
            Input::Adopted(pairs) => {
                self.clusters.adopt(&pairs);
                self.stale_flows.adopt(pairs);
            }
            Input::Kernel { backend, event } => self.seen_by_kernel(backend, event),
            Input::Operator(verb) => self.ordered(verb),
            Input::Used(used) => {
                self.node_is_used(&used);
                self.backends.use_from_here(&used, self.now);
            }
            Input::All(inputs) => inputs.into_iter().for_each(|input| self.apply_one(input)),
            Input::Tick => {}
        }
        self.pass_time();
    }

    /// When time alone changes something: send [`Input::Tick`] then.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.verdicts_deadline().into_iter().chain(self.failback.deadline()).min()
    }

    /// What is to be done once, in order; asked after each [`apply`](Self::apply).
    pub fn take_commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }

    /// Does what was due by now.
    fn pass_time(&mut self) {
        self.verdicts_pass();
        for name in self.failback.due(self.now) {
            self.recompile(&name, TierLists::AsBefore, None);
        }
        if self.is_synced() {
            let is_suspect = self.nodes.is_suspect();
            self.stale_flows.end(&self.services, &self.tables, is_suspect, &mut self.commands);
        }
    }

    /// Whether a source has said what there is ([`Input::Replace`]).
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.tables.synced
    }

    /// Where this agent runs.
    #[must_use]
    pub fn node(&self) -> &Locality {
        &self.node
    }

    /// What the kernel should hold; kept up to date by [`apply`](Self::apply).
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Which services' tables have changed since this was last asked.
    pub fn take_changes(&mut self) -> Scope {
        Scope::Only(std::mem::take(&mut self.changed))
    }

    /// Other clusters that this one has been told of, by name.
    #[must_use]
    pub fn remote_clusters(&self) -> &[RemoteCluster] {
        self.clusters.told()
    }

    /// Whether services list backends in other clusters.
    #[must_use]
    pub fn has_other_clusters(&self) -> bool {
        self.clusters.is_any_used()
    }

    /// Whether none of the backends of another cluster that were asked answers this node.
    #[must_use]
    pub fn is_unreachable(&self, cluster: &str) -> bool {
        self.clusters.is_unreachable(cluster)
    }

    /// Services in force, by name.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.all().values()
    }

    /// A service in force.
    #[must_use]
    pub fn service(&self, name: &ServiceRef) -> Option<&Service> {
        self.services.get(name)
    }

    /// Services in force that list a backend.
    pub fn users(&self, backend: &BackendRef) -> impl Iterator<Item = &Service> {
        self.backends.users(backend).into_iter().filter_map(|name| self.services.get(name))
    }

    /// Why the newest version of a service is refused, if it is. Its last good one stays in force.
    #[must_use]
    pub fn refusal(&self, name: &ServiceRef) -> Option<String> {
        self.judge_alone(self.services.refused().get(name)?).err().map(|why| why.to_string())
    }

    /// Services whose newest version is refused.
    pub fn refused(&self) -> impl Iterator<Item = &ServiceRef> {
        self.services.refused().keys()
    }

    /// Tiers of a service's policy that have no backend, or are of clusters that there are not or that
    /// are not heard.
    #[must_use]
    pub fn vacancies(&self, name: &ServiceRef) -> Vec<Vacancy> {
        let Some((service, tables)) = self.services.get(name).zip(self.tables.services.get(name))
        else {
            return Vec::new();
        };
        let around = Surroundings {
            node: &self.node,
            is_there: &|other| self.services.get(other).is_some(),
            standing: &|cluster| self.clusters.standing(cluster),
            clusters: self.clusters.names(),
        };
        vacancies(service, tables, &around)
    }

    /// Backends of a service that run on this agent's node; none where it has no name.
    pub fn local_backends(&self, service: &ServiceRef) -> impl Iterator<Item = BackendRef> {
        let own = self.node.node_ref(self.node.cluster.as_ref());
        let listed = self.services.get(service).into_iter().flat_map(|service| &service.backends);
        let is_here =
            move |at: &Locality| own.is_some() && at.node_ref(self.node.cluster.as_ref()) == own;
        listed.filter(move |listed| is_here(&listed.locality)).map(|listed| listed.backend)
    }

    /// This agent runs elsewhere: the tiers are others now, and that is no failover.
    fn move_to(&mut self, node: Locality) {
        if self.node == node {
            return;
        }
        let old = std::mem::replace(&mut self.node, node);
        if (&old.cluster, &old.node) != (&self.node.cluster, &self.node.node) {
            self.forget_silence();
            self.be_in_cluster();
            self.orders.see_anew(self.node.cluster.as_ref());
        }
        self.failback.end_all(self.services.all().keys());
        let said = self.happened.len();
        self.redrain_all();
        let names: Vec<ServiceRef> = self.services.all().keys().cloned().collect();
        for name in &names {
            self.recompile(name, TierLists::Anew, None);
        }
        self.happened.truncate(said);
    }
}

/// The tables of a state, from nothing. [`State::tables`] has the same at no cost.
#[must_use]
pub fn compile(state: &State) -> Tables {
    let mut objections = state.watched_words();
    for backend in state.drained().into_keys() {
        let word = objections.entry(backend).or_default();
        *word = word.with(HealthByte::Operator, 1);
    }
    let view = View { objections: &objections, ..state.view() };
    let services = state
        .services()
        .map(|service| {
            let overrides = state.overrides(&service.name);
            let tiers = tiers(service, &view);
            let objected = objected(&tiers, &objections);
            let tables = compile_service(service, tiers, overrides, &objected);
            (service.name.clone(), Arc::new(tables))
        })
        .collect();
    Tables { synced: state.is_synced(), services, objections }
}
