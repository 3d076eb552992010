//! Regions come and go with the frontends that point to them; what they list with them.

use std::sync::Arc;

use redirector_common::{NO_NODE, ServiceWord, Slot};

use super::{
    installed::{Id, Installed, Region},
    render,
};
use crate::service::Frontend;

impl Installed {
    /// The region that a word points to, if it was understood.
    pub(super) fn region(&self, word: ServiceWord) -> Option<&Region> {
        let region = self.regions.get(&word.slot())?;
        (render::header(&region.slots).epoch == word.epoch()).then_some(region)
    }

    /// The service id in the table that a frontend leads to, if it was understood.
    pub(super) fn owner(&self, frontend: &Frontend) -> Option<u32> {
        let (_, word) = self.frontend(frontend)?;
        Some(render::header(&self.region(word)?.slots).service)
    }

    /// A new region: its entries count as uses. `frontends` are counted as they are pointed at it.
    pub(super) fn add_region(&mut self, slot: u32, slots: Arc<[Slot]>) {
        for (entry, _) in render::entries(&slots) {
            self.backend_uses[entry.backend as usize] += 1;
            self.node_uses[usize::from(entry.node)] += 1;
        }
        if let Some(id) = self.ids.get_mut(&render::header(&slots).service) {
            id.regions += 1;
        }
        self.regions.insert(slot, Region { slots, frontends: 0 });
    }

    /// A frontend points to a word from now on, and to the one before no longer: that one's slot
    /// and slots are returned, for it may be of no use any more.
    pub(super) fn point(&mut self, index: u32, word: ServiceWord) -> Option<(u32, Arc<[Slot]>)> {
        let before = std::mem::replace(&mut self.words[index as usize], word);
        let left = self.region(before).map(|region| (before.slot(), region.slots.clone()));
        if let Some((slot, _)) = &left
            && let Some(region) = self.regions.get_mut(slot)
        {
            region.frontends -= 1;
        }
        if self.region(word).is_some()
            && let Some(region) = self.regions.get_mut(&word.slot())
        {
            region.frontends += 1;
        }
        left
    }

    /// Takes a region out that no frontend points to; returns the backends that no region lists
    /// any more. What becomes free may be used again after the next barrier.
    pub(super) fn remove_region(&mut self, slot: u32) -> Vec<u32> {
        let Some(region) = self.regions.remove(&slot) else { return Vec::new() };
        self.arena.give_back(slot, region.slots.len() as u32);
        let mut unlisted = Vec::new();
        for (entry, _) in render::entries(&region.slots) {
            let backend = &mut self.backend_uses[entry.backend as usize];
            *backend -= 1;
            if *backend == 0 {
                unlisted.push(entry.backend);
            }
            let node = &mut self.node_uses[usize::from(entry.node)];
            *node -= 1;
            if *node == 0 && entry.node != NO_NODE {
                let word = std::mem::take(&mut self.node_names[usize::from(entry.node)]);
                if self.nodes.get(&word) == Some(&entry.node) {
                    self.nodes.remove(&word);
                }
                self.free_nodes.give_back(u32::from(entry.node));
            }
        }
        let id = render::header(&region.slots).service;
        if let Some(of_service) = self.ids.get_mut(&id) {
            of_service.regions -= 1;
            self.free_id(id);
        }
        unlisted
    }

    /// Frees a service id that no service claims and no region bears.
    pub(super) fn free_id(&mut self, id: u32) {
        if let Some(Id { regions: 0, is_claimed: false, name }) = self.ids.get(&id) {
            if self.unclaimed.get(name) == Some(&id) {
                self.unclaimed.remove(name);
            }
            self.ids.remove(&id);
            self.free_ids.give_back(id);
        }
    }

    /// Frees the index of a backend that no region lists.
    pub(super) fn remove_backend(&mut self, index: u32) {
        if let Some(backend) = self.names[index as usize].take()
            && self.backends.get(&backend) == Some(&index)
        {
            self.backends.remove(&backend);
        }
        self.objected.remove(&index);
        self.free_backends.give_back(index);
    }
}
