//! Who objects to which backend: compares bytes, and decides which ejections must wait.
//!
//! An ejection is done before anything else, unless it would leave a table that is about to be
//! replaced without a usable backend: then connections would be refused although there is a usable
//! one before and another one after.
//!
//! Where all that tables list of a node has the same objection, the node's own word says so: a node
//! that is silent or drained is one store, however many backends are on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_common::{Entry, HealthByte, HealthWord, NodeWord, Slot};

use super::{
    installed::Installed,
    limit::Limit,
    render,
    step::{Plan, Step},
};
use crate::{
    service::{BackendRef, ServiceRef},
    tables::Tables,
};

/// One store to a node's word takes the place of at least so many: of one it would save nothing.
const WORTH_A_NODE: u32 = 2;

/// Steps on `HEALTH` and on the vetoes of `NODES`.
#[derive(Debug, Default)]
pub(super) struct VetoSteps {
    pub(super) lifted: Vec<Step>,
    pub(super) at_once: Vec<Step>,
    /// Ejections that wait for the last pass and a barrier.
    pub(super) late: Vec<Step>,
}

impl VetoSteps {
    /// Whether a barrier must come before the late ones.
    pub(super) fn needs_barrier(&self) -> bool {
        !self.late.is_empty()
    }

    /// Brings the objections that are installed in line with the desired ones. Readers may still
    /// meet backends that are `unlisted` now.
    pub(super) fn compare(
        &mut self,
        installed: &mut Installed,
        desired: &Tables,
        leaving: &BTreeMap<u32, Arc<[Slot]>>,
        unlisted: &[u32],
        rejected: &[(ServiceRef, Limit)],
    ) {
        let wanted = wanted(installed, desired, !rejected.is_empty());
        for (index, want) in &wanted.0 {
            // The kernel's own bytes are in force already.
            let word = &mut installed.health[*index as usize];
            for byte in [HealthByte::Passive, HealthByte::Listener] {
                *word = word.with(byte, want.byte(byte));
            }
        }
        let late = last_ones(installed, &wanted, &replaced(installed, desired, leaving, rejected));
        let nodes = node_vetoes(installed, &wanted, &late);
        let set = |(index, vetoes): (&u16, &u8)| Step::SetNode { index: *index, vetoes: *vetoes };
        let lifts = |(index, vetoes): &(&u16, &u8)| {
            installed.node_words[usize::from(**index)].vetoes() & !**vetoes != 0
        };
        // A node that comes back waits for what its backends are to have instead.
        let (readmitted, ejected): (Vec<_>, Vec<_>) = nodes.iter().partition(lifts);
        self.at_once.extend(ejected.into_iter().map(set));
        let readmitted: Vec<Step> = readmitted.into_iter().map(set).collect();
        self.keep_out(installed, unlisted, &nodes);
        let mut lifted = Vec::new();
        let mut objected = installed.objected.iter().copied().peekable();
        let was_out = |(index, _): &(u32, HealthWord)| {
            while objected.next_if(|other| other < index).is_some() {}
            objected.next_if_eq(index).is_some()
        };
        let was_out: Vec<bool> = wanted.0.iter().map(was_out).collect();
        for ((index, want), was_out) in wanted.0.iter().zip(&was_out) {
            let when = When { was_out: *was_out, is_late: late.contains(index) };
            self.compare_one(installed, *index, *want, &nodes, when, &mut lifted);
        }
        installed.set_objected(&wanted, &was_out);
        self.lifted.append(&mut lifted);
        self.lifted.extend(readmitted);
        for (index, vetoes) in nodes {
            installed.set_node_vetoes(index, vetoes);
        }
    }

    /// Gives backends that are listed no longer, but may be met, what their node says for them until now.
    fn keep_out(&mut self, installed: &mut Installed, unlisted: &[u32], nodes: &BTreeMap<u16, u8>) {
        let is_changed =
            |index: &u32| installed.node_of(*index).is_some_and(|node| nodes.contains_key(&node));
        let changed: Vec<u32> = unlisted.iter().copied().filter(is_changed).collect();
        self.lifted.extend(changed.into_iter().flat_map(|index| installed.spell_out_one(index)));
    }

    /// One backend's own bytes, but for those that its node has for it. `lifted` are stores after which
    /// it is usable.
    fn compare_one(
        &mut self,
        installed: &mut Installed,
        index: u32,
        want: HealthWord,
        nodes: &BTreeMap<u16, u8>,
        When { was_out, is_late }: When,
        lifted: &mut Vec<Step>,
    ) {
        let node = installed.node_of(index);
        let changed = node.and_then(|node| nodes.get(&node).copied());
        let vetoes = changed.unwrap_or_else(|| installed.node_word(index).vetoes());
        let word = &mut installed.health[index as usize];
        // One objection may follow another: at no moment in between is the backend usable.
        let mut relieved = Vec::new();
        for byte in HealthByte::AGENT {
            let (value, of_node) = (want.byte(byte), NodeWord::veto(byte));
            if value == word.byte(byte) || value != 0 && vetoes & of_node != 0 {
                continue;
            }
            *word = word.with(byte, value);
            let steps = match value {
                0 => &mut relieved,
                _ if is_late => &mut self.late,
                // Before its node may come back.
                _ if was_out => &mut self.lifted,
                _ => &mut self.at_once,
            };
            steps.push(Step::SetHealth { backend: index, byte, value });
        }
        if want.is_usable() { lifted } else { &mut self.at_once }.append(&mut relieved);
    }
}

/// What decides when a byte of a backend is stored that objects to it.
#[derive(Clone, Copy, Debug)]
struct When {
    /// Whether it has an objection already, of its own or by its node.
    was_out: bool,
    /// Whether that waits for the last pass and a barrier.
    is_late: bool,
}

/// Regions that are about to be replaced, or may be by the next pass, which may have room for a
/// service that was rejected.
fn replaced(
    installed: &Installed,
    desired: &Tables,
    leaving: &BTreeMap<u32, Arc<[Slot]>>,
    rejected: &[(ServiceRef, Limit)],
) -> Vec<Arc<[Slot]>> {
    let mut replaced: Vec<Arc<[Slot]>> = leaving.values().cloned().collect();
    for (name, _) in rejected {
        let tables =
            [installed.services.get(name).map(|placed| &placed.tables), desired.services.get(name)];
        let frontends = tables.into_iter().flatten().flat_map(|tables| &tables.frontends);
        let words = frontends.filter_map(|frontend| Some(installed.frontend(frontend)?.1));
        let regions = words.filter_map(|word| installed.region(word));
        replaced.extend(regions.map(|region| Arc::clone(&region.slots)));
    }
    replaced
}

impl Installed {
    /// The stores that give each backend for its own what its node's word says: for an earlier version,
    /// which takes a node whose word says something for another node. Nothing changes by them.
    pub fn spell_out(&mut self) -> Plan {
        let objected: Vec<u32> = self.objected.iter().copied().collect();
        let steps = objected.into_iter().flat_map(|index| self.spell_out_one(index));
        Plan { steps: steps.collect(), rejected: Vec::new() }
    }

    fn spell_out_one(&mut self, index: u32) -> Vec<Step> {
        let vetoes = self.vetoes(index);
        let word = &mut self.health[index as usize];
        let missing = |byte: &HealthByte| vetoes.byte(*byte) != 0 && word.byte(*byte) == 0;
        let missing: Vec<HealthByte> = HealthByte::AGENT.into_iter().filter(missing).collect();
        for byte in &missing {
            *word = word.with(*byte, 1);
        }
        let step = |byte| Step::SetHealth { backend: index, byte, value: 1 };
        missing.into_iter().map(step).collect()
    }

    /// Remembers who has an objection now; `was_out` says of each of `wanted` whether it had one.
    fn set_objected(&mut self, wanted: &Wanted, was_out: &[bool]) {
        let is_out = |(_, want): &&(u32, HealthWord)| !want.is_usable();
        let each = || wanted.0.iter().zip(was_out);
        let changed = || each().filter(|(want, was_out)| is_out(want) != **was_out);
        if changed().count() > self.objected.len() / 8 {
            // A set that is made of all at once costs a fraction of as many changes.
            self.objected = wanted.0.iter().filter(is_out).map(|(index, _)| *index).collect();
            return;
        }
        for ((index, want), _) in changed() {
            if want.is_usable() {
                self.objected.remove(index);
            } else {
                self.objected.insert(*index);
            }
        }
    }

    fn set_node_vetoes(&mut self, index: u16, vetoes: u8) {
        let word = &mut self.node_words[usize::from(index)];
        *word = word.with_vetoes(vetoes);
        if vetoes == 0 {
            self.vetoed_nodes.remove(&index);
        } else {
            self.vetoed_nodes.insert(index);
        }
    }
}

/// What should be in force of each backend that has an objection, or is to have none any more; by index.
#[derive(Debug)]
struct Wanted(Vec<(u32, HealthWord)>);

impl Wanted {
    fn get(&self, index: u32) -> Option<HealthWord> {
        let at = self.0.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        Some(self.0[at].1)
    }
}

/// To walk over so many backends takes as long as to find one of them.
const WALKED: usize = 16;

fn wanted(installed: &Installed, desired: &Tables, has_rejected: bool) -> Wanted {
    let mut wanted: Vec<(u32, HealthWord)> = Vec::with_capacity(desired.objections.len());
    let mut want = |index: u32, objections: HealthWord| {
        let word = installed.health[index as usize];
        wanted.push((index, HealthWord(HealthWord::new(word.generation()).0 | objections.0)));
    };
    if desired.objections.len() * WALKED < installed.backends.len() {
        for (backend, objections) in &desired.objections {
            if let Some(index) = installed.backends.get(backend) {
                want(*index, *objections);
            }
        }
    } else {
        let mut known = installed.backends.iter().peekable();
        for (backend, objections) in &desired.objections {
            while known.next_if(|(other, _)| *other < backend).is_some() {}
            if let Some((_, index)) = known.next_if(|(other, _)| *other == backend) {
                want(*index, *objections);
            }
        }
    }
    wanted.sort_unstable_by_key(|(index, _)| *index);
    let mut objecting = wanted.iter().map(|(index, _)| *index).peekable();
    let is_lifted = |index: &u32| {
        while objecting.next_if(|other| other < index).is_some() {}
        objecting.next_if_eq(index).is_none()
    };
    let lifted: Vec<u32> = installed.objected.iter().copied().filter(is_lifted).collect();
    if lifted.is_empty() {
        return Wanted(wanted);
    }
    let mut kept = BTreeSet::new();
    if has_rejected || !installed.is_swept {
        // A table that is not desired may list a backend that is forgotten, and still bad.
        let named = |index: &u32| installed.names[*index as usize];
        let named: BTreeSet<BackendRef> = lifted.iter().filter_map(named).collect();
        let tables = desired.services.values().flat_map(|service| [&service.v4, &service.v6]);
        let entries = tables.flat_map(|table| &table.tiers).flat_map(|tier| &tier.entries);
        let listed = entries.map(|entry| entry.backend).filter(|entry| named.contains(entry));
        let listed: BTreeSet<BackendRef> = listed.collect();
        kept = named.difference(&listed).copied().collect();
    }
    for index in lifted {
        let Some(backend) = installed.names[index as usize] else { continue };
        let word = match kept.contains(&backend) {
            true => installed.vetoes(index),
            false => HealthWord::new(installed.health[index as usize].generation()),
        };
        wanted.push((index, word));
    }
    wanted.sort_unstable_by_key(|(index, _)| *index);
    Wanted(wanted)
}

/// How many of a node's entries want an objection of one byte, and what it would take.
#[derive(Clone, Copy, Debug, Default)]
struct Objecting {
    entries: u32,
    /// Backends that do not have it yet.
    missing: u32,
    has_late: bool,
}

/// The vetoes of nodes that are to change: a byte that all entries of a node want becomes its
/// node's if that saves stores, and stays it as long as they all do.
fn node_vetoes(installed: &Installed, wanted: &Wanted, late: &BTreeSet<u32>) -> BTreeMap<u16, u8> {
    let bytes = || HealthByte::AGENT.into_iter().filter(|byte| NodeWord::veto(*byte) != 0);
    let mut objecting: BTreeMap<(u16, HealthByte), Objecting> = BTreeMap::new();
    for (index, want) in &wanted.0 {
        let Some(node) = installed.node_of(*index) else { continue };
        for byte in bytes().filter(|byte| want.byte(*byte) != 0) {
            let its = objecting.entry((node, byte)).or_default();
            its.entries += installed.backend_uses[*index as usize];
            its.missing += u32::from(installed.vetoes(*index).byte(byte) == 0);
            its.has_late |= late.contains(index);
        }
    }
    let nodes =
        objecting.keys().map(|(node, _)| *node).chain(installed.vetoed_nodes.iter().copied());
    let nodes: BTreeSet<u16> = nodes.collect();
    let of = |node: u16| {
        let before = installed.node_words[usize::from(node)].vetoes();
        let vetoes = bytes().fold(0, |vetoes, byte| {
            let veto = NodeWord::veto(byte);
            let its = objecting.get(&(node, byte)).copied().unwrap_or_default();
            let is_all = its.entries == installed.node_uses[usize::from(node)];
            let is_worth = its.missing >= WORTH_A_NODE && !its.has_late;
            if is_all && (before & veto != 0 || is_worth) { vetoes | veto } else { vetoes }
        });
        (before != vetoes).then_some((node, vetoes))
    };
    nodes.into_iter().filter_map(of).collect()
}

/// Backends that are about to be ejected and are the last usable ones of a region that is about
/// to be replaced.
fn last_ones(installed: &Installed, wanted: &Wanted, replaced: &[Arc<[Slot]>]) -> BTreeSet<u32> {
    let mut late = BTreeSet::new();
    if wanted.0.iter().all(|(_, want)| want.is_usable()) {
        return late;
    }
    for slots in replaced {
        let listed = || render::entries(slots).map(|(entry, _)| entry);
        let is_usable = |entry: &Entry| {
            let node = installed.node_words[usize::from(entry.node)];
            installed.health[entry.backend as usize].on(node).is_usable()
        };
        let want = |entry: &Entry| wanted.get(entry.backend);
        let stays =
            |entry: &Entry| want(entry).map_or_else(|| is_usable(entry), HealthWord::is_usable);
        if listed().any(is_usable) && !listed().any(stays) {
            let ejected = listed().filter(|entry| is_usable(entry) && !stays(entry));
            late.extend(ejected.map(|entry| entry.backend));
        }
    }
    late
}
