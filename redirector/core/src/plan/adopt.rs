//! Rebuilds what is installed from the maps that another process left, whatever state they are in.
//!
//! Only what a frontend leads to counts, and only if all of it checks out: word and header of one
//! epoch, ranges where a region of ours has them, no overlap, entries that name the backends they
//! point to. Anything else is as if it were not there.

use std::collections::BTreeMap;

use redirector_common::{BackendValue, HealthWord, NodeWord, ServiceName, ServiceWord, Slot};

use super::{
    arena::Arena,
    installed::{Capacities, Id, Installed, family},
    pool::Pool,
    render,
};
use crate::service::{BackendRef, Frontend, Protocol, ServiceRef};

/// Contents of the maps. Slices may be shorter or longer than the capacities.
#[derive(Clone, Debug)]
pub struct Snapshot<'m> {
    /// `FRONTENDS4` and `FRONTENDS6`, in any order.
    pub frontends: Vec<(Frontend, u32)>,
    /// `SERVICES`.
    pub words: &'m [ServiceWord],
    /// `TABLE`.
    pub arena: &'m [Slot],
    /// `HEALTH`.
    pub health: &'m [HealthWord],
    /// `BACKENDS`.
    pub backends: &'m [BackendValue],
    /// `NODES`.
    pub nodes: &'m [NodeWord],
    /// `NAMES`.
    pub names: &'m [ServiceName],
}

impl Installed {
    /// What is installed, by these maps. What does not check out counts as not installed.
    #[must_use]
    pub fn adopt(capacities: Capacities, snapshot: Snapshot<'_>) -> Self {
        let mut installed = Self::new(capacities);
        installed.is_settled = false;
        installed.is_swept = false;
        installed.adopt_words(&snapshot);
        let health = snapshot.health.iter().take(installed.health.len());
        installed.health.splice(..health.len(), health.copied());
        installed.adopt_regions(&snapshot);
        installed.drop_words();
        installed.rebuild_pools();
        installed
    }

    fn adopt_words(&mut self, snapshot: &Snapshot<'_>) {
        let mut frontends = snapshot.frontends.clone();
        frontends.sort_unstable();
        frontends.dedup_by_key(|(frontend, _)| *frontend);
        let words = snapshot.words.iter().take(self.words.len());
        self.words.splice(..words.len(), words.copied());
        let mut is_held = vec![false; self.words.len()];
        for (frontend, index) in frontends {
            match is_held.get_mut(index as usize) {
                Some(is_held) if !*is_held => {
                    *is_held = true;
                    self.frontends.insert(frontend, index);
                    self.by_family[family(&frontend)] += 1;
                }
                _ => self.broken.push(frontend),
            }
        }
        let words = self.words.iter().zip(is_held).zip(0..);
        let stale = words.filter(|((word, is_held), _)| !is_held && **word != ServiceWord(0));
        self.stale = stale.map(|(_, index)| index).collect();
    }

    fn adopt_regions(&mut self, snapshot: &Snapshot<'_>) {
        let arena = &snapshot.arena[..snapshot.arena.len().min(self.capacities.slots as usize)];
        let mut pointers: BTreeMap<u32, Vec<ServiceWord>> = BTreeMap::new();
        for index in self.frontends.values() {
            let word = self.words[*index as usize];
            pointers.entry(word.slot()).or_default().push(word);
        }
        let mut next = 0;
        for (slot, words) in pointers {
            let Some(length) = render::extent(arena, slot) else { continue };
            let slots = &arena[slot as usize..(slot + length) as usize];
            let header = render::header(slots);
            let frontends = words.iter().filter(|word| word.epoch() == header.epoch).count() as u32;
            if slot < next || frontends == 0 || !self.adopt_backends(slots, snapshot) {
                continue;
            }
            next = slot + length;
            self.adopt_id(header.service, snapshot.names);
            self.add_region(slot, slots.into());
            if let Some(region) = self.regions.get_mut(&slot) {
                region.frontends = frontends;
            }
        }
    }

    /// Forgets words that lead to nothing that was adopted: what is written there later must not
    /// count as theirs.
    fn drop_words(&mut self) {
        for index in 0..self.words.len() {
            if self.region(self.words[index]).is_none() {
                self.words[index] = ServiceWord(0);
            }
        }
    }

    /// Adopts what entries point to. Returns whether each points to the backend that it names.
    fn adopt_backends(&mut self, slots: &[Slot], snapshot: &Snapshot<'_>) -> bool {
        let mut found = Vec::new();
        for (entry, address6) in render::entries(slots) {
            let index = entry.backend as usize;
            let value = snapshot.backends.get(index).filter(|_| index < self.health.len());
            let Some(backend) = value.and_then(backend_of) else { return false };
            let is_same = match (backend.address, address6) {
                (std::net::IpAddr::V4(four), None) => four.octets() == entry.address,
                (std::net::IpAddr::V6(six), Some(other)) => six.octets() == other.address,
                _ => false,
            };
            let node = usize::from(entry.node);
            if !is_same || backend.port != entry.port || node >= self.node_names.len() {
                return false;
            }
            found.push((backend, entry.backend, node));
        }
        for (backend, index, node) in found {
            self.names[index as usize] = Some(backend);
            self.backends.entry(backend).or_insert(index);
            if !self.health[index as usize].is_usable() {
                self.objected.insert(index);
            }
            let word = snapshot.nodes.get(node).copied().unwrap_or_default();
            // A node with another word than a good one of that name is not the node desired.
            if node > 0 && word != NodeWord(0) && word.is_usable() {
                self.node_names[node] = word;
                self.nodes.entry(word).or_insert(node as u16);
            }
        }
        true
    }

    fn adopt_id(&mut self, id: u32, names: &[ServiceName]) {
        if id >= self.capacities.services || self.ids.contains_key(&id) {
            return;
        }
        let name = names.get(id as usize).map_or("?", ServiceName::as_str);
        let name = ServiceRef(name.into());
        self.unclaimed.entry(name.clone()).or_insert(id);
        self.ids.insert(id, Id { name, regions: 0, is_claimed: false });
    }

    fn rebuild_pools(&mut self) {
        let mut taken: Vec<u32> =
            self.frontends.values().copied().chain(self.stale.iter().copied()).collect();
        taken.sort_unstable();
        self.free_frontends = Pool::without(0, self.words.len() as u32, taken);
        self.free_ids = Pool::without(0, self.capacities.services, self.ids.keys().copied());
        let used = |uses: &[u32]| -> Vec<u32> {
            (0..).zip(uses).filter(|(_, uses)| **uses > 0).map(|(index, _)| index).collect()
        };
        let (backends, nodes) = (used(&self.backend_uses), used(&self.node_uses));
        self.free_backends = Pool::without(0, self.health.len() as u32, backends);
        self.free_nodes = Pool::without(1, self.node_names.len() as u32, nodes);
        let regions = self.regions.iter().map(|(slot, region)| (*slot, region.slots.len() as u32));
        self.arena = Arena::without(self.capacities.slots, regions);
    }
}

/// The backend that a value of `BACKENDS` names, if it is one that a plan would write.
fn backend_of(value: &BackendValue) -> Option<BackendRef> {
    let BackendValue { address, port, protocol, _pad } = *value;
    let address = std::net::Ipv6Addr::from(address).to_canonical();
    Some(BackendRef { address, port, protocol: Protocol::from_number(protocol)? })
}
