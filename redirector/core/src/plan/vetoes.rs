//! Who objects to which backend: compares bytes, and decides which ejections must wait.
//!
//! An ejection is done before anything else, unless it would leave a table that is about to be
//! replaced without a usable backend: then connections would be refused although there is a usable
//! one before and another one after.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_common::{HealthByte, HealthWord, Slot};

use super::{installed::Installed, limit::Limit, render, step::Step};
use crate::{
    service::{BackendRef, ServiceRef},
    tables::Tables,
};

/// Steps on `HEALTH`.
#[derive(Debug, Default)]
pub(super) struct VetoSteps {
    pub(super) lifted: Vec<Step>,
    pub(super) at_once: Vec<Step>,
    /// Ejections that wait for the last pass and a barrier.
    pub(super) late: Vec<Step>,
    is_compared: bool,
}

impl VetoSteps {
    /// Whether a barrier must come before the late ones.
    pub(super) fn needs_barrier(&self) -> bool {
        !self.late.is_empty()
    }

    /// Compares once per plan: what later passes add has its objections from the beginning.
    pub(super) fn compare(
        &mut self,
        installed: &mut Installed,
        desired: &Tables,
        leaving: &BTreeMap<u32, Arc<[Slot]>>,
        rejected: &[(ServiceRef, Limit)],
    ) {
        if std::mem::replace(&mut self.is_compared, true) {
            return;
        }
        let wanted = wanted(installed, desired, !rejected.is_empty());
        let mut replaced: Vec<&[Slot]> = leaving.values().map(|slots| &**slots).collect();
        let mut stay: Vec<Arc<[Slot]>> = Vec::new();
        for (name, _) in rejected {
            // The next pass may have room for the service, and replace its regions.
            let tables = [
                installed.services.get(name).map(|placed| &placed.tables),
                desired.services.get(name),
            ];
            let frontends = tables.into_iter().flatten().flat_map(|tables| &tables.frontends);
            let words = frontends.filter_map(|frontend| Some(installed.frontend(frontend)?.1));
            let regions = words.filter_map(|word| installed.region(word));
            stay.extend(regions.map(|region| Arc::clone(&region.slots)));
        }
        replaced.extend(stay.iter().map(|slots| &**slots));
        for (index, want) in &wanted {
            // The kernel's own bytes are in force already.
            let word = &mut installed.health[*index as usize];
            for byte in [HealthByte::Passive, HealthByte::Listener] {
                *word = word.with(byte, want.byte(byte));
            }
        }
        let late = last_ones(installed, &wanted, &replaced);
        for (index, want) in wanted {
            let word = &mut installed.health[index as usize];
            // One objection may follow another: at no moment in between is the backend usable.
            let mut relieved = Vec::new();
            for byte in HealthByte::AGENT {
                let value = want.byte(byte);
                if value == word.byte(byte) {
                    continue;
                }
                let step = Step::SetHealth { backend: index, byte, value };
                if value == 0 {
                    relieved.push(step);
                } else if late.contains(&index) {
                    self.late.push(step);
                } else {
                    self.at_once.push(step);
                }
            }
            *word = want;
            if want.is_usable() { &mut self.lifted } else { &mut self.at_once }
                .append(&mut relieved);
            if want.is_usable() {
                installed.objected.remove(&index);
            } else {
                installed.objected.insert(index);
            }
        }
    }
}

/// The words that differ from what they should be.
fn wanted(
    installed: &Installed,
    desired: &Tables,
    has_rejected: bool,
) -> BTreeMap<u32, HealthWord> {
    let mut wanted = BTreeMap::new();
    for (backend, objections) in &desired.objections {
        if let Some(index) = installed.backends.get(backend) {
            let word = installed.health[*index as usize];
            wanted.insert(*index, HealthWord(HealthWord::new(word.generation()).0 | objections.0));
        }
    }
    let mut lifted: BTreeMap<BackendRef, u32> = BTreeMap::new();
    for index in installed.objected.iter().filter(|index| !wanted.contains_key(index)) {
        lifted.extend(installed.names[*index as usize].map(|backend| (backend, *index)));
    }
    if (has_rejected || !installed.is_swept) && !lifted.is_empty() {
        // A table that is not desired may list a backend that is forgotten, and still bad.
        let tables = desired.services.values().flat_map(|service| [&service.v4, &service.v6]);
        let entries = tables.flat_map(|table| &table.tiers).flat_map(|tier| &tier.entries);
        let listed: BTreeSet<BackendRef> =
            entries.map(|entry| entry.backend).filter(|entry| lifted.contains_key(entry)).collect();
        lifted.retain(|backend, _| listed.contains(backend));
    }
    for index in lifted.into_values() {
        wanted.insert(index, HealthWord::new(installed.health[index as usize].generation()));
    }
    wanted.retain(|index, word| *word != installed.health[*index as usize]);
    wanted
}

/// Backends that are about to be ejected and are the last usable ones of a region that is about
/// to be replaced.
fn last_ones(
    installed: &Installed,
    wanted: &BTreeMap<u32, HealthWord>,
    replaced: &[&[Slot]],
) -> BTreeSet<u32> {
    let is_usable = |index: u32| installed.health[index as usize].is_usable();
    let ejected: BTreeSet<u32> = wanted
        .iter()
        .filter(|(index, want)| is_usable(**index) && !want.is_usable())
        .map(|(index, _)| *index)
        .collect();
    let mut late = BTreeSet::new();
    if ejected.is_empty() {
        return late;
    }
    for slots in replaced {
        let listed = || render::entries(slots).map(|(entry, _)| entry.backend);
        let stays = |index: u32| {
            wanted.get(&index).map_or_else(|| is_usable(index), |want| want.is_usable())
        };
        if listed().any(is_usable) && !listed().any(stays) {
            late.extend(listed().filter(|index| ejected.contains(index)));
        }
    }
    late
}
