//! Which services' installed tables are not the desired ones, and which are not desired at all.

use std::sync::Arc;

use redirector_common::ServiceName;

use super::installed::{Installed, Placed};
use crate::{
    service::ServiceRef,
    tables::{Scope, ServiceTables, Tables},
};

/// A service whose installed tables are not the desired ones.
#[derive(Debug)]
pub(super) struct Change<'d> {
    pub(super) name: &'d ServiceRef,
    pub(super) tables: &'d Arc<ServiceTables>,
    /// Position of its first entry among those of all changes.
    pub(super) first: usize,
    /// The id it has, or had before a restart.
    pub(super) id: Option<u32>,
}

impl Change<'_> {
    /// Whether it has no frontend that it had not before.
    pub(super) fn is_content_with(&self, before: Option<&Placed>) -> bool {
        let before = before.map_or(&[][..], |before| &before.tables.frontends);
        self.tables.frontends.iter().all(|frontend| before.contains(frontend))
    }

    pub(super) fn entries(&self) -> usize {
        let tiers = self.tables.v4.tiers.iter().chain(&self.tables.v6.tiers);
        tiers.map(|tier| tier.entries.len()).sum()
    }
}

/// Services that are installed but not desired any more.
pub(super) fn gone(installed: &Installed, desired: &Tables, scope: &Scope) -> Vec<ServiceRef> {
    if !desired.synced {
        return Vec::new();
    }
    let is_desired = |name: &ServiceRef| {
        desired.services.get(name).is_some_and(|tables| !tables.frontends.is_empty())
    };
    match scope {
        Scope::Only(names) => names
            .iter()
            .filter(|name| installed.services.contains_key(name) && !is_desired(name))
            .cloned()
            .collect(),
        Scope::All => {
            let mut desired = desired.services.iter().peekable();
            let is_gone = |name: &&ServiceRef| {
                while desired.next_if(|(other, _)| other < name).is_some() {}
                let found = desired.next_if(|(other, _)| other == name);
                found.is_none_or(|(_, tables)| tables.frontends.is_empty())
            };
            installed.services.keys().filter(is_gone).cloned().collect()
        }
    }
}

/// Services whose installed tables are not the desired ones, by name.
pub(super) fn changes<'d>(
    installed: &mut Installed,
    desired: &'d Tables,
    scope: &Scope,
) -> Vec<Change<'d>> {
    let mut changed: Vec<(&ServiceRef, &Arc<ServiceTables>, Option<u32>)> = match scope {
        Scope::Only(names) => names
            .iter()
            .filter_map(|name| desired.services.get_key_value(name))
            .filter_map(|(name, tables)| {
                let placed = installed.services.get(name);
                let is_new = placed.is_none_or(|placed| !Arc::ptr_eq(&placed.tables, tables));
                is_new.then(|| (name, tables, placed.map(|placed| placed.id)))
            })
            .collect(),
        Scope::All => {
            let mut placed = installed.services.iter().peekable();
            let differs = |(name, tables): (&'d ServiceRef, &'d Arc<ServiceTables>)| {
                while placed.next_if(|(other, _)| *other < name).is_some() {}
                let placed = placed.next_if(|(other, _)| *other == name);
                let is_new = placed.is_none_or(|(_, placed)| !Arc::ptr_eq(&placed.tables, tables));
                is_new.then(|| (name, tables, placed.map(|(_, placed)| placed.id)))
            };
            desired.services.iter().filter_map(differs).collect()
        }
    };
    // Without frontends nothing leads to a service.
    changed.retain(|(_, tables, _)| !tables.frontends.is_empty());
    let mut first = 0;
    let changes = changed.into_iter().map(|(name, tables, id)| {
        let id = id.or_else(|| claim(installed, name));
        let change = Change { name, tables, first, id };
        first += change.entries();
        change
    });
    changes.collect()
}

/// The id that a service of that name had when the maps were adopted.
fn claim(installed: &mut Installed, name: &ServiceRef) -> Option<u32> {
    if installed.unclaimed.is_empty() {
        return None;
    }
    let id = installed.unclaimed.remove(&as_named(name))?;
    installed.ids.get_mut(&id)?.is_claimed = true;
    Some(id)
}

/// A name as `NAMES` holds it.
pub(super) fn as_named(name: &ServiceRef) -> ServiceRef {
    ServiceRef(ServiceName::new(&name.0).as_str().into())
}
