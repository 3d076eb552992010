//! One pass over what changed: places what fits, removes what is not wanted, orders the steps.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_common::{HealthByte, ServiceWord, Slot};

use super::{
    changes::{Change, as_named, changes, gone},
    installed::{Installed, Placed, family},
    limit::Limit,
    order::{Phases, order},
    resolve::Resolved,
    step::Step,
    vetoes::VetoSteps,
};
use crate::{
    service::{Frontend, ServiceRef},
    tables::{Scope, Tables},
};

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
    /// Whether something is free now that was not when the pass began.
    pub(super) has_freed: bool,
}

/// Plans what of `scope` fits. Objections that must wait for a barrier after the last pass are
/// added to `vetoes`.
pub(super) fn pass(
    installed: &mut Installed,
    desired: &Tables,
    scope: &Scope,
    vetoes: &mut VetoSteps,
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
                // It may claim frontends that another service has given up: these stay meanwhile.
                pass.installed.is_swept &= change.is_content_with(before.as_ref());
                pass.release_claim(change);
                rejected.push((change.name.clone(), limit));
            }
        }
    }
    let ids = pass.installed.free_ids.used();
    pass.forget(&gone);
    // Whether ids came free, of services that had been left without a frontend.
    let has_freed_ids = pass.installed.free_ids.used() < ids;
    let unwanted =
        if is_sweep { pass.strangers(&rejected) } else { pass.given_up(&given_up, &changes) };
    let has_freed = pass.finish(unwanted, is_sweep, &rejected, vetoes, steps);
    Outcome { rejected, has_freed: has_freed || has_freed_ids }
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

    /// Frontends that services had and that no service has now.
    fn given_up(&self, before: &[Placed], changes: &[Change<'_>]) -> Vec<Frontend> {
        let claimed: BTreeSet<&Frontend> =
            changes.iter().flat_map(|change| &change.tables.frontends).collect();
        let mut given_up = Vec::new();
        for Placed { id, tables } in before {
            // An earlier pass may have given it to another service.
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
        let is_stranger = |frontend: &&Frontend| {
            while claimed.next_if(|other| other < *frontend).is_some() {}
            if claimed.peek() == Some(*frontend) {
                return false;
            }
            let owner = self.installed.owner(frontend).and_then(|id| self.installed.ids.get(&id));
            owner.is_none_or(|owner| kept.is_empty() || !kept.contains(&as_named(&owner.name)))
        };
        self.installed.frontends.keys().filter(is_stranger).copied().collect()
    }

    /// Removes what is not wanted any more, and orders the steps.
    fn finish(
        self,
        unwanted: Vec<Frontend>,
        is_sweep: bool,
        rejected: &[(ServiceRef, Limit)],
        vetoes: &mut VetoSteps,
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
        vetoes.compare(installed, desired, &leaving, &unlisted, rejected);
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
        order(installed, phases, vetoes, !unused.is_empty(), steps);
        has_freed
    }
}
