//! The state: everything the sources have said, and what follows from it.
//!
//! Time passes when the caller says so: [`State::next_deadline`] tells when it should.

mod backends;
mod excerpt;
mod failback;
#[cfg(test)]
mod identity_tests;
mod instant;
mod judge;
mod lost;
mod nodes;
mod objections;
mod operator;
mod outages;
mod passive;
mod replace;
mod silence;
mod stale_flows;
mod subjects;
mod suspect;
mod suspicion;
#[cfg(test)]
mod tests;
mod trouble;
#[cfg(test)]
mod verdict_tests;
mod verdicts;
mod watched;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_common::{HealthByte, HealthWord};

use self::{
    backends::Backends,
    failback::Failbacks,
    instant::Instant,
    judge::{Flaw, alone, among},
    nodes::Nodes,
    objections::Objections,
    operator::Drains,
    outages::Outages,
    stale_flows::StaleFlows,
};
use crate::{
    failover::{
        tiers::others,
        vacancies::{Vacancy, vacancies},
    },
    input::{Command, Input, Moment, Rerouter, Transition, Verb},
    plan::Scope,
    service::{BackendRef, Frontend, Locality, Policy, Service, ServiceRef},
    tables::{Overrides, ServiceTables, Tables, View, compile_service, tiers},
};

pub use self::{objections::Objection, subjects::Extent};

/// How often one input tries again what was refused before: enough for chains of moves, and a
/// bound for what a hostile source can cost.
const RETRIES: usize = 8;

/// What is known and what follows from it, owned by one task.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// When the newest input came; it never moves back.
    now: Moment,
    instant: Instant,
    node: Locality,
    services: BTreeMap<ServiceRef, Service>,
    /// Newest versions that are not in force, to be tried again when others change.
    refused: BTreeMap<ServiceRef, Service>,
    frontends: BTreeMap<Frontend, ServiceRef>,
    backends: Backends,
    /// Objections of an earlier agent that this one has not taken over yet.
    restored: BTreeMap<BackendRef, HealthWord>,
    nodes: Nodes,
    /// The number of the last probe that was asked for at once.
    urgency: u32,
    /// When some backends may have been unused for long.
    look_again: Option<Moment>,
    tables: Tables,
    objections: Objections,
    /// Services whose tables changed since the agent last took the changes.
    changed: BTreeSet<ServiceRef>,
    commands: Vec<Command>,
    failbacks: Failbacks,
    outages: Outages,
    stale_flows: StaleFlows,
    /// Services with a tier for the key.
    dependants: BTreeMap<ServiceRef, BTreeSet<ServiceRef>>,
    /// Drains and forces that are in force.
    orders: BTreeSet<Verb>,
    drains: Drains,
}

impl State {
    /// A state in which nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one piece of news and says what happened because of it.
    pub fn apply(&mut self, input: Input, now: Moment) -> Vec<Transition> {
        let now = now.max(self.now);
        if now > self.now {
            self.instant = Instant::new(self.tables.synced);
        }
        self.now = now;
        let mut happened = Vec::new();
        match input {
            Input::Node(node) => self.move_to(node, &mut happened),
            Input::Put(service) => {
                self.put(service, &mut happened);
                self.retry(&mut happened);
            }
            Input::Remove(name) => {
                self.remove(&name, &mut happened);
                self.retry(&mut happened);
            }
            Input::Replace(services) => self.replace(services, &mut happened),
            Input::Probed { backend, outcome } => {
                self.probed(backend, outcome, now, &mut happened);
            }
            Input::Restore(found) => self.restore(&found),
            Input::Adopted(pairs) => self.stale_flows.adopt(pairs),
            Input::Kernel { backend, event } => {
                self.seen_by_kernel(backend, event, now, &mut happened);
            }
            Input::Operator(verb) => self.ordered(verb, now, &mut happened),
            Input::Used(backends) => self.used(&backends, now, &mut happened),
            Input::All(inputs) => {
                for input in inputs {
                    happened.extend(self.apply(input, now));
                }
            }
            Input::Tick => {}
        }
        self.pass_time(now, &mut happened);
        happened
    }

    /// When time alone changes something: send [`Input::Tick`] then.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.verdicts_deadline().into_iter().chain(self.failback_deadline()).min()
    }

    /// What is to be done once, in order; asked after each [`apply`](Self::apply).
    pub fn take_commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }

    /// Does what was due by `now`.
    fn pass_time(&mut self, now: Moment, happened: &mut Vec<Transition>) {
        self.verdicts_pass(now, happened);
        self.failback_pass(now, happened);
        self.end_stale_flows();
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

    /// Services in force, by name.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
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
        self.judge(self.refused.get(name)?).err().map(|flaw| flaw.to_string())
    }

    /// Services whose newest version is refused.
    pub fn refused(&self) -> impl Iterator<Item = &ServiceRef> {
        self.refused.keys()
    }

    /// Tiers of a service's policy that have no backend.
    #[must_use]
    pub fn vacancies(&self, name: &ServiceRef) -> Vec<Vacancy> {
        let Some((service, tables)) = self.services.get(name).zip(self.tables.services.get(name))
        else {
            return Vec::new();
        };
        vacancies(service, tables, &self.node, |other| self.services.contains_key(other))
    }

    /// Backends of a service that run on this agent's node; none where it has no name.
    pub fn local_backends(&self, service: &ServiceRef) -> impl Iterator<Item = BackendRef> {
        let own = self.node.node_ref(self.node.cluster.as_ref());
        let listed = self.services.get(service).into_iter().flat_map(|service| &service.backends);
        let is_here =
            move |at: &Locality| own.is_some() && at.node_ref(self.node.cluster.as_ref()) == own;
        listed.filter(move |listed| is_here(&listed.locality)).map(|listed| listed.backend)
    }

    /// Whether that backend has an objection.
    #[must_use]
    pub fn is_ejected(&self, backend: &BackendRef) -> bool {
        self.tables.objections.contains_key(backend)
    }

    /// Every objection, computed anew.
    pub(crate) fn objections(&self) -> BTreeMap<BackendRef, HealthWord> {
        let mut objections = self.watched_objections();
        for backend in self.drained() {
            let word = objections.entry(backend).or_default();
            *word = word.with(HealthByte::Operator, 1);
        }
        objections
    }

    fn move_to(&mut self, node: Locality, happened: &mut Vec<Transition>) {
        if self.node == node {
            return;
        }
        let old = std::mem::replace(&mut self.node, node);
        if (&old.cluster, &old.node) != (&self.node.cluster, &self.node.node) {
            self.forget_silence(happened);
            self.see_orders_anew();
        }
        self.end_all_holds();
        self.redrain_all(&mut Vec::new());
        // The tiers are others now; that is no failover.
        let names: Vec<ServiceRef> = self.services.keys().cloned().collect();
        for name in &names {
            self.recompile(name, None, &mut Vec::new());
        }
    }

    fn put(&mut self, service: Service, happened: &mut Vec<Transition>) {
        if self.services.get(&service.name) == Some(&service) {
            self.refused.remove(&service.name);
            return;
        }
        if let Err(flaw) = self.judge(&service) {
            self.refuse(service, &flaw, happened);
            return;
        }
        let name = service.name.clone();
        let wanted = rerouter(self.services.get(&name), &service);
        self.refused.remove(&name);
        let listed = service.backends.iter().map(|backend| backend.backend);
        let mut touched: BTreeSet<BackendRef> = listed.collect();
        let lost = self.resets_if_gone(&name, &touched);
        let before = self.unlink(&name);
        for frontend in &service.frontends {
            self.frontends.insert(*frontend, name.clone());
        }
        for backend in &service.backends {
            self.backends.link(backend.backend, &name);
        }
        self.nodes.put(&service);
        self.services.insert(name.clone(), service);
        for old in &before {
            if touched.insert(*old) {
                self.backends.unlink(old, &name);
            }
        }
        self.reset_gone(lost);
        self.depend(&name);
        self.redrain(&name, &before, happened);
        self.recompile_with_dependants(&name, wanted, happened);
        self.settle(touched, happened);
    }

    fn remove(&mut self, name: &ServiceRef, happened: &mut Vec<Transition>) {
        self.refused.remove(name);
        let lost = self.resets_if_gone(name, &BTreeSet::new());
        let before = self.unlink(name);
        self.services.remove(name);
        self.failbacks.forget(name);
        self.outages.forget(name);
        self.instant.before.remove(name);
        if self.tables.services.remove(name).is_some() {
            self.changed.insert(name.clone());
        }
        for backend in &before {
            self.backends.unlink(backend, name);
        }
        self.backends.forget(name);
        self.reset_gone(lost);
        self.redrain(name, &before, happened);
        self.recompile_with_dependants(name, None, happened);
        self.settle(before, happened);
    }

    /// Takes a service's frontends out and says which backends it had.
    fn unlink(&mut self, name: &ServiceRef) -> Vec<BackendRef> {
        let Some(service) = self.services.get(name) else { return Vec::new() };
        for (_, other) in others(service) {
            if let Some(users) = self.dependants.get_mut(other) {
                users.remove(name);
                if users.is_empty() {
                    self.dependants.remove(other);
                }
            }
        }
        for frontend in &service.frontends {
            self.frontends.remove(frontend);
        }
        service.backends.iter().map(|backend| backend.backend).collect()
    }

    fn judge(&self, service: &Service) -> Result<(), Flaw> {
        alone(service)?;
        among(service, &self.frontends, &self.backends)
    }

    fn refuse(&mut self, service: Service, flaw: &Flaw, happened: &mut Vec<Transition>) {
        let object = service.name.clone();
        if self.refused.get(&object) != Some(&service) {
            let why = flaw.to_string().into();
            happened.push(Transition::Rejected { object: object.clone(), why });
            self.refused.insert(object, service);
        }
    }

    /// Tries again what was refused: another service may have given way.
    fn retry(&mut self, happened: &mut Vec<Transition>) {
        for _ in 0..RETRIES {
            let names: Vec<ServiceRef> = self.refused.keys().cloned().collect();
            let before = names.len();
            for name in names {
                let is_good = self.refused.get(&name).is_some_and(|new| self.judge(new).is_ok());
                if is_good && let Some(service) = self.refused.remove(&name) {
                    self.put(service, happened);
                }
            }
            if self.refused.len() == before {
                return;
            }
        }
    }

    /// Compiles the services whose tables list a backend.
    fn recompile_users(&mut self, backend: &BackendRef, happened: &mut Vec<Transition>) {
        self.recompile_users_of(std::slice::from_ref(backend), happened);
    }

    /// Compiles each service whose tables list one of these once: itself, or because it has a tier
    /// for another one that does.
    fn recompile_users_of(&mut self, backends: &[BackendRef], happened: &mut Vec<Transition>) {
        let users = backends.iter().flat_map(|backend| self.backends.users(backend));
        let dependants = |user: &ServiceRef| self.dependants.get(user).into_iter().flatten();
        let listing: BTreeSet<ServiceRef> =
            users.flat_map(|user| [user].into_iter().chain(dependants(user))).cloned().collect();
        for name in &listing {
            self.recompile(name, None, happened);
        }
    }

    fn recompile_with_dependants(
        &mut self,
        name: &ServiceRef,
        wanted: Option<Rerouter>,
        happened: &mut Vec<Transition>,
    ) {
        self.recompile(name, wanted, happened);
        for dependant in self.dependants.get(name).cloned().unwrap_or_default() {
            if dependant != *name {
                self.recompile(&dependant, None, happened);
            }
        }
    }

    /// Compiles a service; `wanted` says whether its policy or an operator moves its traffic.
    fn recompile(
        &mut self,
        name: &ServiceRef,
        wanted: Option<Rerouter>,
        happened: &mut Vec<Transition>,
    ) {
        let Some(service) = self.services.get(name) else { return };
        let Tables { services: compiled, objections, .. } = &mut self.tables;
        let view = View { node: &self.node, services: &self.services, objections };
        let old = compiled.get_mut(name);
        let compiler = Compiler {
            view,
            failbacks: &mut self.failbacks,
            outages: &mut self.outages,
            instant: &mut self.instant,
            now: self.now,
            wanted,
        };
        if let Some(new) = compiler.compile(service, old.as_deref(), happened) {
            match old {
                Some(old) => *old = new,
                None => {
                    compiled.insert(name.clone(), new);
                }
            }
            self.changed.insert(name.clone());
        }
    }

    /// What the tables of services depend on beside themselves.
    pub(crate) fn view(&self) -> View<'_> {
        View { node: &self.node, services: &self.services, objections: &self.tables.objections }
    }

    /// What overrules the loads of a service.
    pub(crate) fn overrides(&self, service: &ServiceRef) -> Overrides<'_> {
        self.failbacks.overrides(service)
    }

    /// Remembers whose backends a service has in its tiers.
    fn depend(&mut self, name: &ServiceRef) {
        let Some(service) = self.services.get(name) else { return };
        for (_, other) in others(service) {
            self.dependants.entry(other.clone()).or_default().insert(name.clone());
        }
    }
}

/// What compiling a service needs and changes.
struct Compiler<'w> {
    view: View<'w>,
    failbacks: &'w mut Failbacks,
    outages: &'w mut Outages,
    instant: &'w mut Instant,
    now: Moment,
    wanted: Option<Rerouter>,
}

impl Compiler<'_> {
    /// The tables of a service, if they are not the old ones.
    fn compile(
        self,
        service: &Service,
        old: Option<&Arc<ServiceTables>>,
        happened: &mut Vec<Transition>,
    ) -> Option<Arc<ServiceTables>> {
        let Self { view, failbacks, outages, instant, now, wanted } = self;
        let tiers = tiers(service, &view);
        let installed = old.map(AsRef::as_ref);
        let ramped = failbacks.stand(service, &tiers, installed, instant, (&view, now));
        let overrides = failbacks.overrides(&service.name);
        let new = compile_service(service, tiers, overrides, view.objections);
        let is_new = installed != Some(&new);
        let how = (instant.was_synced, wanted);
        outages.failed_over(&service.name, installed, (&new, overrides.held), how, happened);
        happened.extend(ramped);
        is_new.then(|| Arc::new(new))
    }
}

/// The policy, if a new version of it wants a service's traffic elsewhere: if it differs in what
/// decides which tiers there are and which of them carry load, whatever the backends' health.
fn rerouter(old: Option<&Service>, new: &Service) -> Option<Rerouter> {
    let wanted = |service: &Service| {
        let Policy { tiers, mode, overprovisioning_percent, min_healthy_percent, .. } =
            service.policy.clone();
        (tiers, mode, overprovisioning_percent, min_healthy_percent)
    };
    old.is_some_and(|old| old.policy != new.policy && wanted(old) != wanted(new))
        .then_some(Rerouter::Policy)
}
