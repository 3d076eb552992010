//! The kernel's maps in memory. Applies steps, and refuses any that a reader could notice: a store
//! to what has been reachable since the last barrier.

use std::collections::{BTreeMap, BTreeSet};

use redirector_common::{
    BackendValue, Header, HealthWord, NodeWord, RANGES, ServiceName, ServiceWord, Slot,
};
use redirector_core::{
    plan::{Capacities, Installed, Snapshot, Step},
    service::Frontend,
};
use redirector_ebpf::Tables;

/// At most 64 lines, backends and nodes: what is reachable is a bit set each.
#[derive(Clone, Debug)]
pub struct Memory {
    pub capacities: Capacities,
    pub frontends: BTreeMap<Frontend, u32>,
    pub words: Vec<ServiceWord>,
    pub arena: Vec<Slot>,
    pub health: Vec<HealthWord>,
    pub backends: Vec<BackendValue>,
    pub nodes: Vec<NodeWord>,
    pub names: Vec<ServiceName>,
    /// What has been reachable since the last barrier.
    hot: Reachable,
    removed: BTreeSet<u32>,
    /// Words that a reader may hold, by frontend.
    pub held: BTreeSet<(Frontend, u64)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Reachable {
    lines: u64,
    backends: u64,
    nodes: u64,
}

impl Memory {
    pub fn new(capacities: Capacities) -> Self {
        let Capacities { frontends, services, backends, nodes, slots } = capacities;
        let nobody = BackendValue { address: [0; 16], port: 0, protocol: 0, _pad: [0; 5] };
        Self {
            capacities,
            frontends: BTreeMap::new(),
            words: vec![ServiceWord(0); 2 * frontends as usize],
            arena: vec![Slot([0; 16]); slots as usize],
            health: vec![HealthWord(0); backends as usize],
            backends: vec![nobody; backends as usize],
            nodes: vec![NodeWord(0); nodes as usize],
            names: vec![ServiceName([0; 64]); services as usize],
            hot: Reachable::default(),
            removed: BTreeSet::new(),
            held: BTreeSet::new(),
        }
    }

    pub fn adopt(&self) -> Installed {
        let snapshot = Snapshot {
            frontends: self.frontends.iter().map(|(frontend, index)| (*frontend, *index)).collect(),
            words: &self.words,
            arena: &self.arena,
            health: &self.health,
            backends: &self.backends,
            nodes: &self.nodes,
            names: &self.names,
        };
        Installed::adopt(self.capacities, snapshot)
    }

    /// Applies a step, after a proof that no reader can notice.
    pub fn apply(&mut self, step: &Step) {
        self.check(step);
        self.store(step);
        match step {
            Step::Publish { index, word } => {
                let owner = self.frontends.iter().find(|(_, its)| *its == index);
                self.held.extend(owner.map(|(frontend, _)| (*frontend, word.0)));
                self.reach(*word);
            }
            Step::InsertFrontend { frontend, index, .. } => {
                self.held.insert((*frontend, self.words[*index as usize].0));
            }
            Step::Barrier => self.barrier(),
            _ => {}
        }
    }

    fn check(&mut self, step: &Step) {
        match step {
            Step::PutBackend { index, word, .. } => {
                assert!(self.hot.backends & 1 << index == 0, "backend {index} is in use");
                let generation = self.health[*index as usize].generation();
                assert_ne!(word.generation(), generation, "index {index} had that generation");
            }
            Step::PutNode { index, .. } => {
                assert_ne!(*index, 0, "node 0 is nobody");
                assert!(self.hot.nodes & 1 << index == 0, "node {index} is in use");
            }
            Step::SetNode { index, vetoes } => {
                let word = self.nodes[usize::from(*index)];
                assert_ne!(word.vetoes(), *vetoes, "a store that changes nothing");
            }
            Step::SetHealth { backend, byte, value } => {
                let word = self.health[*backend as usize];
                assert_ne!(word.byte(*byte), *value, "a store that changes nothing");
            }
            Step::WriteSlots { slot, slots } => {
                let lines = lines(*slot, slots.len());
                assert_eq!(lines & (1 | self.hot.lines), 0, "slots from {slot} are in use");
            }
            Step::Publish { index, .. } => {
                assert!(!self.removed.contains(index), "word {index} may still be read");
            }
            Step::InsertFrontend { frontend, index, .. } => {
                assert!(self.removed.is_empty(), "an insert between a removal and the barrier");
                assert_ne!(self.words[*index as usize].0, 0, "{frontend} has no word yet");
                assert!(!self.frontends.values().any(|its| its == index), "{index} is another's");
                assert!(!self.frontends.contains_key(frontend), "{frontend} is there");
                let is_of_family =
                    |other: &&Frontend| other.address.is_ipv6() == frontend.address.is_ipv6();
                let family = self.frontends.keys().filter(is_of_family).count();
                assert!(family < self.capacities.frontends as usize, "the map is full");
            }
            Step::RemoveFrontend { frontend } => {
                let index = self.frontends.get(frontend).expect("only what is there is removed");
                self.removed.insert(*index);
            }
            Step::Unpublish { index } => {
                assert!(!self.frontends.values().any(|its| its == index), "{index} is in use");
                assert!(!self.removed.contains(index), "word {index} may still be read");
            }
            Step::PutName { .. } | Step::Barrier => {}
        }
    }

    /// Applies a step without that proof.
    pub fn store(&mut self, step: &Step) {
        match step {
            Step::PutBackend { index, value, word } => {
                self.backends[*index as usize] = *value;
                self.health[*index as usize] = *word;
            }
            Step::PutNode { index, word } => self.nodes[usize::from(*index)] = *word,
            Step::SetNode { index, vetoes } => {
                let word = &mut self.nodes[usize::from(*index)];
                *word = word.with_vetoes(*vetoes);
            }
            Step::PutName { service, name } => {
                self.names[*service as usize] = ServiceName::new(&name.0);
            }
            Step::SetHealth { backend, byte, value } => {
                let word = &mut self.health[*backend as usize];
                *word = word.with(*byte, *value);
            }
            Step::WriteSlots { slot, slots } => {
                self.arena[*slot as usize..][..slots.len()].copy_from_slice(slots);
            }
            Step::Publish { index, word } => self.words[*index as usize] = *word,
            Step::InsertFrontend { frontend, index, .. } => {
                self.frontends.insert(*frontend, *index);
            }
            Step::RemoveFrontend { frontend } => {
                self.frontends.remove(frontend);
            }
            Step::Unpublish { index } => self.words[*index as usize] = ServiceWord(0),
            Step::Barrier => {}
        }
    }

    /// From now on no reader is left but those that begin later.
    fn barrier(&mut self) {
        self.hot = Reachable::default();
        self.removed.clear();
        for index in self.frontends.values().copied().collect::<Vec<_>>() {
            self.reach(self.words[index as usize]);
        }
        self.forget_held();
    }

    /// From now on readers hold only what is published.
    pub fn forget_held(&mut self) {
        let words = &self.words;
        let now = self.frontends.iter().map(|(key, index)| (*key, words[*index as usize].0));
        self.held = now.collect();
    }

    fn reach(&mut self, word: ServiceWord) {
        let header: Header = *self.header(word.slot()).expect("a word within the arena");
        assert_eq!(header.epoch, word.epoch(), "a word that its header does not fit");
        let mut end = RANGES + u32::from(header.tiers);
        for tier in 0..u32::from(header.tiers) {
            let range = *self.range(word.slot() + RANGES + tier).expect("within the arena");
            for entry in 0..range.length {
                let slot = word.slot() + range.start + (entry << header.entry_shift());
                let entry = *self.entry(slot).expect("within the arena");
                self.hot.backends |= 1 << entry.backend;
                self.hot.nodes |= 1 << entry.node;
            }
            end = range.start + (range.length << header.entry_shift());
        }
        self.hot.lines |= lines(word.slot(), end as usize);
    }
}

fn lines(slot: u32, slots: usize) -> u64 {
    assert_eq!(slot % 4, 0, "regions begin at a line");
    let (first, last) = (slot / 4, (slot as usize + slots - 1) / 4);
    (first as usize..=last).fold(0, |lines, line| lines | 1 << line)
}
