//! Which services' installed tables are not the desired ones, and which are not desired at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_common::{ServiceName, Slot};

use super::{
    installed::{Installed, Placed},
    render,
};
use crate::{
    service::{Frontend, ServiceRef},
    tables::{Entry, Scope, ServiceTables, Tables},
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
    /// The regions of IPv4 and IPv6 that list what its tables list, if the tables installed do: then it
    /// has no entries that have to be looked up.
    pub(super) kept: Option<[Option<Arc<[Slot]>>; 2]>,
}

impl<'d> Change<'d> {
    /// Whether it has no frontend that it had not before.
    pub(super) fn is_content_with(&self, before: Option<&Placed>) -> bool {
        let before = before.map_or(&[][..], |before| &before.tables.frontends);
        self.tables.frontends.iter().all(|frontend| before.contains(frontend))
    }

    /// What has to be looked up to place it, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = &'d Entry> {
        let tables = Some(self.tables).filter(|_| self.kept.is_none());
        let tiers = tables.into_iter().flat_map(|of| of.v4.tiers.iter().chain(&of.v6.tiers));
        tiers.flat_map(|tier| &tier.entries)
    }
}

/// Services that are installed but not desired any more.
pub(super) fn gone(installed: &Installed, desired: &Tables, scope: &Scope) -> Vec<ServiceRef> {
    if !desired.synced {
        return Vec::new();
    }
    match scope {
        Scope::Only(names) => {
            let placed = find(names, &installed.services);
            let wanted = find(names, &desired.services);
            let is_gone = |(placed, wanted): (&Option<_>, Option<(_, &Arc<ServiceTables>)>)| {
                placed.is_some() && wanted.is_none_or(|(_, tables)| tables.frontends.is_empty())
            };
            let each = names.iter().zip(placed.iter().zip(wanted));
            each.filter(|(_, found)| is_gone(*found)).map(|(name, _)| name.clone()).collect()
        }
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
    type Found<'f> = (&'f ServiceRef, &'f Arc<ServiceTables>, Option<Placed>);
    let is_new = |placed: Option<&Placed>, tables: &Arc<ServiceTables>| {
        placed.is_none_or(|placed| !Arc::ptr_eq(&placed.tables, tables))
    };
    let mut changed: Vec<Found<'d>> = match scope {
        Scope::Only(names) => {
            let wanted = find(names, &desired.services).into_iter();
            let each = wanted.zip(find(names, &installed.services));
            each.filter_map(|(wanted, placed)| {
                let ((name, tables), placed) = (wanted?, placed.map(|(_, placed)| placed));
                is_new(placed, tables).then(|| (name, tables, placed.cloned()))
            })
            .collect()
        }
        Scope::All => {
            let mut placed = installed.services.iter().peekable();
            let differs = |(name, tables): (&'d ServiceRef, &'d Arc<ServiceTables>)| {
                while placed.next_if(|(other, _)| *other < name).is_some() {}
                let placed = placed.next_if(|(other, _)| *other == name).map(|(_, placed)| placed);
                is_new(placed, tables).then(|| (name, tables, placed.cloned()))
            };
            desired.services.iter().filter_map(differs).collect()
        }
    };
    // Without frontends nothing leads to a service.
    changed.retain(|(_, tables, _)| !tables.frontends.is_empty());
    let mut first = 0;
    let changes = changed.into_iter().map(|(name, tables, placed)| {
        let kept = placed.as_ref().and_then(|placed| kept(installed, placed, tables));
        let id = placed.map(|placed| placed.id).or_else(|| claim(installed, name));
        let change = Change { name, tables, first, id, kept };
        first += change.entries().count();
        change
    });
    changes.collect()
}

/// To walk over so many services takes as long as to find one of them by its name.
const WALKED: usize = 8;

/// What a map has under each of these names.
fn find<'m, V>(
    names: &BTreeSet<ServiceRef>,
    map: &'m BTreeMap<ServiceRef, V>,
) -> Vec<Option<(&'m ServiceRef, &'m V)>> {
    if names.len() * WALKED < map.len() {
        return names.iter().map(|name| map.get_key_value(name)).collect();
    }
    let mut all = map.iter().peekable();
    let find = |name: &ServiceRef| {
        while all.next_if(|(other, _)| *other < name).is_some() {}
        all.next_if(|(other, _)| *other == name)
    };
    names.iter().map(find).collect()
}

/// The regions of a service whose tables list what the installed ones do, for the same frontends. The
/// loads may differ: most failovers change nothing else.
fn kept(
    installed: &Installed,
    placed: &Placed,
    tables: &ServiceTables,
) -> Option<[Option<Arc<[Slot]>>; 2]> {
    let before = &placed.tables;
    let is_same = before.frontends == tables.frontends
        && before.v4.tiers == tables.v4.tiers
        && before.v6.tiers == tables.v6.tiers;
    if !is_same {
        return None;
    }
    let mut kept = [None, None];
    for (frontends, kept) in families(&tables.frontends).into_iter().zip(&mut kept) {
        let Some(first) = frontends.first() else { continue };
        let region = installed.region(installed.frontend(first)?.1)?;
        if render::header(&region.slots).service != placed.id {
            return None;
        }
        *kept = Some(Arc::clone(&region.slots));
    }
    Some(kept)
}

/// The frontends of IPv4 and of IPv6, of a sorted list of both.
pub(super) fn families(frontends: &[Frontend]) -> [&[Frontend]; 2] {
    let (four, six) =
        frontends.split_at(frontends.partition_point(|frontend| frontend.address.is_ipv4()));
    [four, six]
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
