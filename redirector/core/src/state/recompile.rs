//! Compiles the tables of services that something has changed for.

use std::collections::{BTreeSet, btree_map::Entry};

use super::State;
use crate::{
    compile::{Overrides, View},
    input::Rerouter,
    service::{BackendRef, ServiceRef},
    tables::Tables,
};

impl State {
    /// Compiles each service whose tables list one of these once: itself, or because it has a tier
    /// for another one that does.
    pub(super) fn recompile_users_of(&mut self, backends: &[BackendRef]) {
        let users: Vec<ServiceRef> =
            self.users_with_dependants(backends).into_iter().cloned().collect();
        for name in &users {
            self.recompile(name, None);
        }
    }

    /// Services that list one of these, and those that have a tier for such a service.
    pub(super) fn users_with_dependants<'b>(
        &self,
        backends: impl IntoIterator<Item = &'b BackendRef>,
    ) -> BTreeSet<&ServiceRef> {
        let users = backends.into_iter().flat_map(|backend| self.backends.users(backend));
        users.flat_map(|user| [user].into_iter().chain(self.services.dependants(user))).collect()
    }

    /// Compiles a service; `wanted` says whether its policy or an operator moves its traffic.
    pub(super) fn recompile(&mut self, name: &ServiceRef, wanted: Option<Rerouter>) {
        let Some(service) = self.services.get(name) else { return };
        let Tables { services: compiled, objections, .. } = &mut self.tables;
        let view = View { node: &self.node, services: self.services.all(), objections };
        let mut entry = compiled.entry(name.clone());
        let old = match &mut entry {
            Entry::Occupied(old) => Some(&**old.get()),
            Entry::Vacant(_) => None,
        };
        let orders = (self.orders.forced(name), wanted);
        let new =
            self.failback.compile(service, old, (&view, self.now), orders, &mut self.happened);
        if let Some(new) = new {
            entry.insert_entry(new);
            self.changed.insert(name.clone());
        }
    }

    /// What the tables of services depend on beside themselves.
    pub(crate) fn view(&self) -> View<'_> {
        let objections = &self.tables.objections;
        View { node: &self.node, services: self.services.all(), objections }
    }

    /// What overrules the loads of a service.
    pub(crate) fn overrides(&self, service: &ServiceRef) -> Overrides<'_> {
        Overrides { forced: self.orders.forced(service), held: self.failback.held(service) }
    }
}
