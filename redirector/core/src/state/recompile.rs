//! Compiles the tables of services that something has changed for.

use std::collections::{BTreeSet, btree_map::Entry};

use super::State;
use crate::{
    compile::{Overrides, View, tiers},
    input::Rerouter,
    service::{BackendRef, ServiceRef},
    tables::Tables,
};

/// Where the tiers of a service that is compiled come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TierLists {
    /// The service, one that it has a tier for, or the node may have changed.
    Anew,
    /// Only who objects to what has changed, or time has passed: they are those of the tables before.
    AsBefore,
}

impl State {
    /// Compiles each service whose tables list one of these once: itself, or because it has a tier
    /// for another one that does. Who objects to these has changed, and nothing else.
    pub(super) fn recompile_users_of(&mut self, backends: &[BackendRef]) {
        let users: Vec<ServiceRef> =
            self.users_with_dependants(backends).into_iter().cloned().collect();
        for name in &users {
            self.recompile(name, TierLists::AsBefore, None);
        }
    }

    /// Services that list one of these, and those that have a tier for such a service.
    pub(super) fn users_with_dependants(&self, backends: &[BackendRef]) -> BTreeSet<&ServiceRef> {
        let users = self.backends.users_of_any(backends).into_iter();
        users.flat_map(|user| [user].into_iter().chain(self.services.dependants(user))).collect()
    }

    /// Compiles a service; `wanted` says whether its policy or an operator moves its traffic.
    pub(super) fn recompile(
        &mut self,
        name: &ServiceRef,
        lists: TierLists,
        wanted: Option<Rerouter>,
    ) {
        let Some(service) = self.services.get(name) else { return };
        let Tables { services: compiled, objections, .. } = &mut self.tables;
        let view = View { node: &self.node, services: self.services.all(), objections };
        let mut entry = compiled.entry(name.clone());
        let old = match &mut entry {
            Entry::Occupied(old) => Some(&**old.get()),
            Entry::Vacant(_) => None,
        };
        let tiers = match old {
            Some(old) if lists == TierLists::AsBefore => {
                [&old.v4, &old.v6].map(|table| table.tiers.clone())
            }
            _ => tiers(service, &view),
        };
        let orders = (self.orders.forced(name), wanted);
        let new = self.failback.compile(
            (service, tiers),
            old,
            (&view, self.now),
            orders,
            &mut self.happened,
        );
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
