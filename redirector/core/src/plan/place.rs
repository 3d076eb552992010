//! Finds room for one service, all of it or nothing, and writes down the steps.

use std::sync::Arc;

use redirector_common::{
    GENERATIONS, HealthWord, MAX_TIER_ENTRIES, NO_NODE, NodeWord, ServiceName, ServiceWord, Slot,
};

use super::{
    changes::{Change, families},
    installed::{Id, Placed, family, value_of},
    limit::Limit,
    pass::Pass,
    render::{self, Indices},
    step::Step,
};
use crate::{
    service::{BackendRef, Frontend},
    tables::{Entry, Table},
};

/// What one service takes from the pools; nothing of it is in use before it is committed.
#[derive(Debug, Default)]
struct Draft {
    id: u32,
    is_new_id: bool,
    /// Each new backend with its number among the new ones, and its index.
    backends: Vec<(usize, u32, BackendRef)>,
    nodes: Vec<(NodeWord, u16)>,
    regions: Vec<(u32, Arc<[Slot]>)>,
    moves: Vec<(u32, ServiceWord)>,
    inserts: Vec<(Frontend, u32, ServiceWord)>,
}

impl Pass<'_> {
    /// Installs a service. On an error it stays as it was.
    pub(super) fn place(&mut self, change: &Change<'_>) -> Result<(), Limit> {
        let mut draft = Draft::default();
        let drafted = self.draft(change, &mut draft);
        if drafted.is_ok() {
            self.commit(change, draft);
        } else {
            self.undo(draft);
        }
        drafted
    }

    fn draft(&mut self, change: &Change<'_>, draft: &mut Draft) -> Result<(), Limit> {
        let tables = change.tables;
        for tier in tables.v4.tiers.iter().chain(&tables.v6.tiers) {
            if tier.entries.len() > MAX_TIER_ENTRIES {
                return Err(Limit::TierEntries { entries: tier.entries.len() });
            }
        }
        draft.id = match change.id.or_else(|| self.inherited(change)) {
            Some(id) => id,
            None => {
                let capacity = self.installed.capacities.services;
                let full = Limit::Services { free: 0, capacity };
                let id = self.installed.free_ids.take().ok_or(full)?;
                draft.is_new_id = true;
                id
            }
        };
        let [four, six] = families(&tables.frontends);
        let count =
            |table: &Table| table.tiers.iter().map(|tier| tier.entries.len()).sum::<usize>();
        let second = change.first + count(&tables.v4);
        for (ipv6, table, frontends, first) in
            [(false, &tables.v4, four, change.first), (true, &tables.v6, six, second)]
        {
            if frontends.is_empty() {
                continue;
            }
            let kept = change.kept.as_ref().and_then(|kept| kept[usize::from(ipv6)].as_ref());
            let slots = if let Some(kept) = kept {
                render::render_anew(tables, ipv6, draft.id, kept)
            } else {
                let indices = self.indices(table, first, draft)?;
                render::render(tables, ipv6, draft.id, &indices)
            };
            self.point_all(frontends, slots, draft)?;
        }
        Ok(())
    }

    /// The id of a service that is gone and whose frontend this one has now: a new name for the
    /// same thing keeps its clients' session affinity.
    fn inherited(&self, change: &Change<'_>) -> Option<u32> {
        let installed = &*self.installed;
        change.tables.frontends.iter().filter(|_| self.desired.synced).find_map(|frontend| {
            let id = installed.owner(frontend)?;
            installed.ids.get(&id).is_some_and(|of_service| !of_service.is_claimed).then_some(id)
        })
    }

    /// Indices of a table's entries, in their order.
    fn indices(
        &mut self,
        table: &Table,
        first: usize,
        draft: &mut Draft,
    ) -> Result<Vec<Indices>, Limit> {
        let entries = || table.tiers.iter().flat_map(|tier| &tier.entries);
        let mut indices = Vec::with_capacity(entries().count());
        for (position, entry) in (first..).zip(entries()) {
            let backend = match self.resolved.index(position) {
                Ok(index) => index,
                Err(number) => {
                    let capacity = self.installed.capacities.backends;
                    let Some(index) = self.installed.free_backends.take() else {
                        let missing = (position..first + entries().count())
                            .filter(|position| self.resolved.index(*position).is_err());
                        let free = draft.backends.len() as u32;
                        let needed = missing.count() as u32 + free;
                        return Err(Limit::Backends { needed, free, capacity });
                    };
                    self.resolved.assign(number, index);
                    draft.backends.push((number, index, entry.backend));
                    index
                }
            };
            indices.push((backend, self.node(entry, draft)?));
        }
        Ok(indices)
    }

    fn node(&mut self, entry: &Entry, draft: &mut Draft) -> Result<u16, Limit> {
        let name = entry.node.identity();
        if name == NodeWord::default() {
            return Ok(NO_NODE);
        }
        if let Some(index) = self.installed.nodes.get(&name) {
            return Ok(*index);
        }
        let capacity = self.installed.capacities.nodes;
        let full = Limit::Nodes { needed: draft.nodes.len() as u32 + 1, free: 0, capacity };
        let index = self.installed.free_nodes.take().ok_or(full)? as u16;
        self.installed.nodes.insert(name, index);
        draft.nodes.push((name, index));
        Ok(index)
    }

    /// Has the frontends of one family point at a region of these slots: at one that some of them
    /// have already, or at a new one.
    fn point_all(
        &mut self,
        frontends: &[Frontend],
        mut slots: Vec<Slot>,
        draft: &mut Draft,
    ) -> Result<(), Limit> {
        let installed = &mut *self.installed;
        let held: Vec<Option<(u32, ServiceWord)>> =
            frontends.iter().map(|frontend| installed.frontend(frontend)).collect();
        let current = || {
            let words = held.iter().flatten().map(|(_, word)| *word);
            words.filter_map(|word| Some((word, installed.region(word)?)))
        };
        let same = current().find(|(_, region)| render::is_same(&region.slots, &slots));
        let word = if let Some((word, _)) = same {
            // Made anew: an adopted word may have something else in its upper bits.
            ServiceWord::new(word.slot(), word.epoch())
        } else {
            let mut earlier = current().map(|(_, region)| render::header(&region.slots));
            let earlier = earlier.find(|header| header.service == draft.id);
            let epoch = earlier.map_or(1, |header| header.epoch.wrapping_add(1));
            render::set_epoch(&mut slots, epoch);
            let (needed, capacity) = (slots.len() as u32, installed.capacities.slots);
            let free = installed.arena.free();
            let full = Limit::Slots { needed, free, capacity };
            let slot = installed.arena.take(needed).ok_or(full)?;
            draft.regions.push((slot, slots.into()));
            ServiceWord::new(slot, epoch)
        };
        let missing = held.iter().filter(|held| held.is_none()).count() as u32;
        let capacity = installed.capacities.frontends;
        let used = frontends.first().map_or(0, |first| installed.by_family[family(first)]);
        let free = capacity.saturating_sub(used);
        let full = Limit::Frontends { needed: missing, free, capacity };
        if missing > free {
            return Err(full);
        }
        for (frontend, held) in frontends.iter().zip(&held) {
            match held {
                Some((_, its)) if *its == word => {}
                Some((index, _)) => draft.moves.push((*index, word)),
                None => {
                    let index = installed.free_frontends.take().ok_or(full)?;
                    draft.inserts.push((*frontend, index, word));
                }
            }
        }
        Ok(())
    }

    fn commit(&mut self, change: &Change<'_>, draft: Draft) {
        let Draft { id, is_new_id: _, backends, nodes, regions, moves, inserts } = draft;
        let installed = &mut *self.installed;
        for (_, index, backend) in backends {
            let before = installed.health[index as usize];
            let objections = self.desired.objections.get(&backend).copied().unwrap_or_default();
            let generation = (before.generation() + 1) % GENERATIONS;
            let word = HealthWord(HealthWord::new(generation).0 | objections.0);
            installed.health[index as usize] = word;
            installed.names[index as usize] = Some(backend);
            if !word.is_usable() {
                installed.objected.insert(index);
            }
            self.phases.puts.push(Step::PutBackend { index, value: value_of(&backend), word });
        }
        for (word, index) in nodes {
            installed.node_words[usize::from(index)] = word;
            self.phases.puts.push(Step::PutNode { index, word });
        }
        let text = |name: &str| ServiceName::new(name);
        let before = installed.ids.get(&id);
        let is_same = |before: &Id| {
            before.name == *change.name || text(&before.name.0) == text(&change.name.0)
        };
        if !before.is_some_and(is_same) {
            self.phases.puts.push(Step::PutName { service: id, name: change.name.clone() });
        }
        let regions_before = before.map_or(0, |before| before.regions);
        let its = Id { name: change.name.clone(), regions: regions_before, is_claimed: true };
        if let Some(before) = installed.ids.insert(id, its)
            && installed.unclaimed.get(&before.name) == Some(&id)
        {
            installed.unclaimed.remove(&before.name);
        }
        for (slot, slots) in regions {
            self.phases.writes.push(Step::WriteSlots { slot, slots: slots.clone() });
            installed.add_region(slot, slots);
        }
        for (index, word) in moves {
            self.phases.publishes.push(Step::Publish { index, word });
            self.leaving.extend(installed.point(index, word));
        }
        for (frontend, index, word) in inserts {
            installed.point(index, word);
            installed.frontends.insert(frontend, index);
            installed.by_family[family(&frontend)] += 1;
            self.phases.publishes.push(Step::Publish { index, word });
            let is_virtual = change.tables.virtual_addresses.contains(&frontend.address);
            self.phases.inserts.push(Step::InsertFrontend { frontend, index, is_virtual });
        }
        let placed = Placed { id, tables: Arc::clone(change.tables) };
        installed.services.insert(change.name.clone(), placed);
    }

    fn undo(&mut self, draft: Draft) {
        let Draft { id, is_new_id, backends, nodes, regions, moves: _, inserts } = draft;
        let installed = &mut *self.installed;
        if is_new_id {
            installed.free_ids.give_back(id);
        }
        for (number, index, _) in backends {
            self.resolved.unassign(number);
            installed.free_backends.give_back(index);
        }
        for (word, index) in nodes {
            installed.nodes.remove(&word);
            installed.free_nodes.give_back(u32::from(index));
        }
        for (slot, slots) in regions {
            installed.arena.give_back(slot, slots.len() as u32);
        }
        for (_, index, _) in inserts {
            installed.free_frontends.give_back(index);
        }
    }
}
