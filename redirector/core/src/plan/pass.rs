//! One pass over what changed: gathers the steps, then puts them in an order in which each of
//! them is safe to be the last one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_common::{HealthByte, ServiceName, ServiceWord, Slot};

use super::{
    Scope, Step,
    installed::{Installed, Placed, family},
    limit::Limit,
    objections::Objected,
    render,
    resolve::Resolved,
};
use crate::{
    service::{Frontend, ServiceRef},
    tables::{ServiceTables, Tables},
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
    fn is_content_with(&self, before: Option<&Placed>) -> bool {
        let before = before.map_or(&[][..], |before| &before.tables.frontends);
        self.tables.frontends.iter().all(|frontend| before.contains(frontend))
    }

    pub(super) fn entries(&self) -> usize {
        let tiers = self.tables.v4.tiers.iter().chain(&self.tables.v6.tiers);
        tiers.map(|tier| tier.entries.len()).sum()
    }
}

/// Steps by kind.
#[derive(Debug, Default)]
pub(super) struct Phases {
    pub(super) puts: Vec<Step>,
    pub(super) writes: Vec<Step>,
    pub(super) publishes: Vec<Step>,
    pub(super) inserts: Vec<Step>,
    removals: Vec<Step>,
    unpublish: Vec<Step>,
    discovery: Vec<Step>,
}

#[derive(Debug)]
pub(super) struct Pass<'p> {
    pub(super) installed: &'p mut Installed,
    pub(super) desired: &'p Tables,
    pub(super) resolved: Resolved,
    pub(super) phases: Phases,
    /// Regions that at least one frontend points to no longer.
    pub(super) leaving: BTreeMap<u32, Arc<[Slot]>>,
}

/// What a pass came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) rejected: Vec<(ServiceRef, Limit)>,
    /// Something is free now that was not when the pass began.
    pub(super) has_freed: bool,
}

/// Plans what of `scope` fits. Objections that must wait for a barrier after the last pass are
/// added to `objected`.
pub(super) fn pass(
    installed: &mut Installed,
    desired: &Tables,
    scope: &Scope,
    objected: &mut Objected,
    steps: &mut Vec<Step>,
) -> Outcome {
    if !desired.synced {
        // What should be removed is not; once there is more to know, everything is looked at.
        installed.is_swept = false;
    }
    let is_sweep = desired.synced && !installed.is_swept;
    let gone = gone(installed, desired, scope);
    for name in &gone {
        let id = installed.services.get(name).map(|placed| placed.id);
        if let Some(id) = id.and_then(|id| installed.ids.get_mut(&id)) {
            id.is_claimed = false;
        }
    }
    let changes = changes(installed, desired, scope);
    let before = |name: &ServiceRef| installed.services.get(name).cloned();
    let mut given_up: Vec<Placed> = gone.iter().filter_map(before).collect();
    let before: Vec<Option<Placed>> = changes.iter().map(|change| before(change.name)).collect();

    let resolved = Resolved::new(&changes, &installed.backends);
    let puts = Vec::with_capacity(resolved.new_backends() + changes.len());
    let phases = Phases { puts, ..Phases::default() };
    let mut pass = Pass { installed, desired, resolved, phases, leaving: BTreeMap::new() };
    let mut rejected = Vec::new();
    for (change, before) in changes.iter().zip(before) {
        match pass.place(change) {
            Ok(()) => given_up.extend(before),
            Err(limit) => {
                // It may claim frontends that their service has given up: these stay meanwhile.
                pass.installed.is_swept &= change.is_content_with(before.as_ref());
                pass.release_claim(change);
                rejected.push((change.name.clone(), limit));
            }
        }
    }
    pass.forget(&gone);
    let unwanted =
        if is_sweep { pass.strangers(&rejected) } else { pass.given_up(&given_up, &changes) };
    let has_freed = pass.finish(unwanted, is_sweep, &rejected, objected, steps);
    Outcome { rejected, has_freed }
}

/// Services that are installed but not desired any more.
fn gone(installed: &Installed, desired: &Tables, scope: &Scope) -> Vec<ServiceRef> {
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
fn changes<'d>(installed: &mut Installed, desired: &'d Tables, scope: &Scope) -> Vec<Change<'d>> {
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

impl Pass<'_> {
    /// A service that was not placed leaves its id to be claimed again.
    fn release_claim(&mut self, change: &Change<'_>) {
        let installed = &mut *self.installed;
        if let Some(id) = change.id
            && !installed.services.contains_key(change.name)
        {
            if let Some(of_service) = installed.ids.get_mut(&id) {
                of_service.is_claimed = false;
            }
            installed.unclaimed.insert(as_named(change.name), id);
        }
    }

    fn forget(&mut self, gone: &[ServiceRef]) {
        for name in gone {
            if let Some(placed) = self.installed.services.remove(name) {
                self.installed.free_id(placed.id);
            }
        }
    }

    /// Frontends that services had and nobody has now.
    fn given_up(&self, before: &[Placed], changes: &[Change<'_>]) -> Vec<Frontend> {
        let claimed: BTreeSet<&Frontend> =
            changes.iter().flat_map(|change| &change.tables.frontends).collect();
        let mut given_up = Vec::new();
        for Placed { id, tables } in before {
            // An earlier pass may have given it to somebody else.
            let is_theirs = |frontend: &&Frontend| {
                let owner = self.installed.owner(frontend);
                owner.is_none_or(|owner| owner == *id) && !claimed.contains(frontend)
            };
            given_up.extend(tables.frontends.iter().filter(is_theirs));
        }
        given_up
    }

    /// Frontends that no desired service has. Those of a service that was rejected stay, though
    /// after a restart only the name of its id says that they are its own.
    fn strangers(&self, rejected: &[(ServiceRef, Limit)]) -> Vec<Frontend> {
        let desired = self.desired.services.values();
        let mut claimed: Vec<Frontend> =
            desired.flat_map(|tables| tables.frontends.iter().copied()).collect();
        claimed.sort_unstable();
        let mut claimed = claimed.into_iter().peekable();
        let kept: BTreeSet<ServiceRef> = rejected.iter().map(|(name, _)| as_named(name)).collect();
        let is_stranger = |(frontend, index): &(&Frontend, &u32)| {
            while claimed.next_if(|other| other < *frontend).is_some() {}
            if claimed.peek() == Some(*frontend) {
                return false;
            }
            let word = self.installed.words[**index as usize];
            let id =
                self.installed.region(word).map(|region| render::header(&region.slots).service);
            let owner = id.and_then(|id| self.installed.ids.get(&id));
            owner.is_none_or(|owner| kept.is_empty() || !kept.contains(&as_named(&owner.name)))
        };
        self.installed.frontends.iter().filter(is_stranger).map(|(frontend, _)| *frontend).collect()
    }

    /// Removes what is not wanted any more, and orders the steps.
    fn finish(
        self,
        unwanted: Vec<Frontend>,
        is_sweep: bool,
        rejected: &[(ServiceRef, Limit)],
        objected: &mut Objected,
        steps: &mut Vec<Step>,
    ) -> bool {
        let Self { installed, desired, resolved, mut phases, mut leaving } = self;
        resolved.add_to(&mut installed.backends);
        let mut unpublished = Vec::new();
        if desired.synced {
            for frontend in unwanted {
                let Some(index) = installed.frontends.remove(&frontend) else { continue };
                installed.by_family[family(&frontend)] -= 1;
                leaving.extend(installed.point(index, ServiceWord(0)));
                phases.removals.push(Step::RemoveFrontend { frontend });
                unpublished.push(index);
            }
        }
        let broken = std::mem::take(&mut installed.broken);
        let removed = broken.into_iter().map(|frontend| Step::RemoveFrontend { frontend });
        phases.removals.extend(removed);

        let unused = leaving
            .keys()
            .filter(|slot| installed.regions.get(slot).is_some_and(|region| region.frontends == 0));
        let unused: Vec<u32> = unused.copied().collect();
        let mut unlisted = Vec::new();
        for slot in &unused {
            unlisted.extend(installed.remove_region(*slot));
        }
        for backend in &unlisted {
            installed.remove_backend(*backend);
        }
        if is_sweep && rejected.is_empty() {
            installed.is_swept = true;
        }
        objected.compare(installed, desired, &leaving, rejected);
        for backend in unlisted {
            let word = &mut installed.health[backend as usize];
            *word = word.with(HealthByte::Discovery, 1);
            let byte = HealthByte::Discovery;
            phases.discovery.push(Step::SetHealth { backend, byte, value: 1 });
        }
        for index in unpublished {
            installed.free_frontends.give_back(index);
            phases.unpublish.push(Step::Unpublish { index });
        }
        let has_freed =
            !unused.is_empty() || !phases.removals.is_empty() || !installed.stale.is_empty();
        order(installed, phases, objected, !unused.is_empty(), steps);
        has_freed
    }
}

/// In order: re-admissions, so that there is always somebody; ejections that leave every table
/// somebody; what nothing points to yet; the words; then whatever needs that no reader is left.
fn order(
    installed: &mut Installed,
    phases: Phases,
    objected: &mut Objected,
    has_freed: bool,
    steps: &mut Vec<Step>,
) {
    let Phases { puts, writes, publishes, inserts, removals, unpublish, discovery } = phases;
    steps.append(&mut objected.lifted);
    steps.append(&mut objected.at_once);
    let stale = std::mem::take(&mut installed.stale);
    let takes_index = |step: &Step| !matches!(step, Step::PutName { .. });
    let is_still = writes.is_empty() && inserts.is_empty() && stale.is_empty();
    let needs_room = !is_still || puts.iter().any(takes_index);
    if needs_room && !installed.is_settled {
        steps.push(Step::Barrier);
        installed.is_settled = true;
    }
    for index in stale {
        steps.push(Step::Unpublish { index });
        installed.words[index as usize] = ServiceWord(0);
        installed.free_frontends.give_back(index);
    }
    if steps.is_empty() {
        // Into an empty kernel: a million steps that need not be copied.
        *steps = puts;
    } else {
        steps.extend(puts);
    }
    steps.extend(writes);
    steps.extend(publishes);
    // A removed element of a hash map must not be seen as another one: not before a barrier.
    let (early, late) =
        if removals.is_empty() { (inserts, Vec::new()) } else { (Vec::new(), inserts) };
    let needs_barrier = has_freed || !removals.is_empty() || objected.needs_barrier();
    steps.extend(early);
    steps.extend(removals);
    if needs_barrier {
        steps.push(Step::Barrier);
        installed.is_settled = true;
    }
    for mut phase in [discovery, unpublish, late] {
        steps.append(&mut phase);
    }
}
