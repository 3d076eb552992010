//! Everything the sources have said, and what follows from it.
//!
//! Time passes when the caller says so: [`World::next_deadline`] tells when it should.

mod backends;
mod failback;
mod judge;
mod objections;
mod operator;
mod replace;
#[cfg(test)]
mod tests;
mod verdicts;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_common::HealthWord;

use self::{
    backends::Backends,
    judge::{Flaw, alone, among},
    objections::Objections,
    verdicts::{BY_PROBER, is_probed},
};
use crate::{
    health::strictest,
    input::{Command, Input, Moment, ProbeOrder, Transition},
    plan::Scope,
    service::{BackendRef, Frontend, Locality, Service, ServiceRef},
    tables::{ServiceTables, Table, Tables, compile_service},
};

pub use self::objections::Objection;

/// How often one input tries again what was refused before: enough for chains of moves, and a
/// bound for what a hostile source can cost.
const RETRIES: usize = 8;

/// Owned by one task.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// When the newest input came; it never moves back.
    now: Moment,
    node: Locality,
    services: BTreeMap<ServiceRef, Service>,
    /// Newest versions that are not in force, to be tried again when others change.
    refused: BTreeMap<ServiceRef, Service>,
    frontends: BTreeMap<Frontend, ServiceRef>,
    backends: Backends,
    /// Ejections of an earlier agent whose backends nobody has mentioned yet.
    restored: BTreeSet<BackendRef>,
    tables: Tables,
    objections: Objections,
    /// Services whose tables changed since somebody asked.
    changed: BTreeSet<ServiceRef>,
    commands: Vec<Command>,
}

impl World {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one piece of news and says what happened because of it.
    pub fn apply(&mut self, input: Input, now: Moment) -> Vec<Transition> {
        let now = now.max(self.now);
        if now > self.now {
            self.objections.fresh.clear();
        }
        self.now = now;
        let mut happened = Vec::new();
        match input {
            Input::Node(node) => self.move_to(node),
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
            Input::Restore(objections) => self.restore(&objections),
            Input::Kernel { backend, event } => {
                self.seen_by_kernel(backend, event, now, &mut happened);
            }
            Input::Operator(verb) => self.ordered(verb, now, &mut happened),
            Input::Used(backends) => self.used(&backends, now),
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

    /// Which backends should be probed, and how: strictest where services share one.
    #[must_use]
    pub fn probes(&self) -> BTreeMap<BackendRef, ProbeOrder> {
        let mut probes: BTreeMap<BackendRef, ProbeOrder> = BTreeMap::new();
        for service in self.services.values() {
            let Some(probe) = &service.policy.probe else { continue };
            for backend in service.backends.iter().filter(|backend| is_probed(&backend.backend)) {
                let order = ProbeOrder { probe: probe.clone(), urgency: 0 };
                probes
                    .entry(backend.backend)
                    .and_modify(|other| other.probe = strictest(&other.probe, probe))
                    .or_insert(order);
            }
        }
        probes
    }

    /// Whether somebody objects to that backend.
    #[must_use]
    pub fn is_ejected(&self, backend: &BackendRef) -> bool {
        self.tables.objections.contains_key(backend)
    }

    /// Every objection, from nothing.
    pub(crate) fn objections(&self) -> BTreeMap<BackendRef, HealthWord> {
        let ejected = self.backends.ejected().chain(self.restored.iter().copied());
        ejected.map(|backend| (backend, BY_PROBER)).collect()
    }

    fn move_to(&mut self, node: Locality) {
        if self.node == node {
            return;
        }
        self.node = node;
        // The tiers are others now; that is no failover.
        let names: Vec<ServiceRef> = self.services.keys().cloned().collect();
        for name in &names {
            self.recompile(name, &mut Vec::new());
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
        self.refused.remove(&name);
        let before = self.unlink(&name);
        for frontend in &service.frontends {
            self.frontends.insert(*frontend, name.clone());
        }
        for backend in &service.backends {
            self.backends.link(backend.backend, &name);
        }
        let mut touched: BTreeSet<BackendRef> =
            service.backends.iter().map(|backend| backend.backend).collect();
        self.services.insert(name.clone(), service);
        for old in before {
            if touched.insert(old) {
                self.backends.unlink(&old, &name);
            }
        }
        self.recompile(&name, happened);
        self.settle(touched, happened);
    }

    fn remove(&mut self, name: &ServiceRef, happened: &mut Vec<Transition>) {
        self.refused.remove(name);
        let before = self.unlink(name);
        self.services.remove(name);
        if self.tables.services.remove(name).is_some() {
            self.changed.insert(name.clone());
        }
        for backend in &before {
            self.backends.unlink(backend, name);
        }
        self.backends.forget(name);
        self.settle(before, happened);
    }

    /// Takes a service's frontends out and says which backends it had.
    fn unlink(&mut self, name: &ServiceRef) -> Vec<BackendRef> {
        let Some(service) = self.services.get(name) else { return Vec::new() };
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

    /// Tries again what was refused: somebody may have given way.
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

    fn recompile_users(&mut self, backend: &BackendRef, happened: &mut Vec<Transition>) {
        for user in &self.listing(backend) {
            self.recompile(user, happened);
        }
    }

    fn recompile(&mut self, name: &ServiceRef, happened: &mut Vec<Transition>) {
        let Some(service) = self.services.get(name) else { return };
        let new = compile_service(service, &self.node, &self.tables.objections);
        match self.tables.services.get_mut(name) {
            Some(old) if **old == new => return,
            Some(old) => {
                failed_over(name, old, &new, happened);
                *old = Arc::new(new);
            }
            None => {
                self.tables.services.insert(name.clone(), Arc::new(new));
            }
        }
        self.changed.insert(name.clone());
    }
}

/// Reports, per family, that another tier carries the load. Both families at once are one event.
fn failed_over(
    service: &ServiceRef,
    old: &ServiceTables,
    new: &ServiceTables,
    happened: &mut Vec<Transition>,
) {
    let named = |table: &Table| table.carrying().map(|(number, name)| (number, Arc::from(name)));
    for (old, new) in [(&old.v4, &new.v4), (&old.v6, &new.v6)] {
        let [was, is] = [old, new].map(|table| table.carrying().map(|(_, name)| name));
        let (from, to) = (named(old), named(new));
        let event = Transition::FailedOver { service: service.clone(), from, to };
        if was != is && happened.last() != Some(&event) {
            happened.push(event);
        }
    }
}
