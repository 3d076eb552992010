//! The kernel's maps in memory. Applies steps, and refuses any that a reader could notice: a store
//! to what has been reachable since the last barrier.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use redirector_common::{
    Address6, AllDown, BackendValue, Entry, Header, HealthWord, NodeWord, RANGES, Reason,
    ServiceName, ServiceWord, Settings, Slot, TierRange,
};
use redirector_core::{
    plan::{Capacities, Installed, Snapshot, Step},
    service::{BackendRef, Frontend},
};
use redirector_ebpf::{Tables, decide, service};

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
    /// Since the last barrier.
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

/// Where a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    To(BackendRef),
    Refused,
    Passed,
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

    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::PutBackend { index, value, word } => {
                assert!(self.hot.backends & 1 << index == 0, "backend {index} is in use");
                let generation = self.health[*index as usize].generation();
                assert_ne!(word.generation(), generation, "index {index} had that generation");
                self.backends[*index as usize] = *value;
                self.health[*index as usize] = *word;
            }
            Step::PutNode { index, word } => {
                assert_ne!(*index, 0, "node 0 is nobody");
                assert!(self.hot.nodes & 1 << index == 0, "node {index} is in use");
                self.nodes[usize::from(*index)] = *word;
            }
            Step::PutName { service, name } => {
                self.names[*service as usize] = ServiceName::new(&name.0);
            }
            Step::SetHealth { backend, byte, value } => {
                let word = &mut self.health[*backend as usize];
                assert_ne!(word.byte(*byte), *value, "a store that changes nothing");
                *word = word.with(*byte, *value);
            }
            Step::WriteSlots { slot, slots } => {
                let lines = lines(*slot, slots.len());
                assert_eq!(lines & (1 | self.hot.lines), 0, "slots from {slot} are in use");
                self.arena[*slot as usize..][..slots.len()].copy_from_slice(slots);
            }
            Step::Publish { index, word } => {
                assert!(!self.removed.contains(index), "word {index} may still be read");
                self.words[*index as usize] = *word;
                let owner = self.frontends.iter().find(|(_, its)| *its == index);
                self.held.extend(owner.map(|(frontend, _)| (*frontend, word.0)));
                self.reach(*word);
            }
            Step::InsertFrontend { frontend, index } => {
                assert!(self.removed.is_empty(), "an insert between a removal and the barrier");
                let word = self.words[*index as usize];
                assert_ne!(word.0, 0, "{frontend} has no word yet");
                assert!(!self.frontends.values().any(|its| its == index), "{index} is another's");
                assert_eq!(self.frontends.insert(*frontend, *index), None, "{frontend} is there");
                self.held.insert((*frontend, word.0));
                let family =
                    |other: &&Frontend| other.address.is_ipv4() == frontend.address.is_ipv4();
                let count = self.frontends.keys().filter(family).count();
                assert!(count <= self.capacities.frontends as usize, "the map is full");
            }
            Step::RemoveFrontend { frontend } => {
                let index = self.frontends.remove(frontend).expect("only what is there is removed");
                self.removed.insert(index);
            }
            Step::Unpublish { index } => {
                assert!(!self.frontends.values().any(|its| its == index), "{index} is in use");
                assert!(!self.removed.contains(index), "word {index} may still be read");
                self.words[*index as usize] = ServiceWord(0);
            }
            Step::Barrier => self.barrier(),
        }
    }

    /// No reader is left but those that begin now.
    fn barrier(&mut self) {
        self.hot = Reachable::default();
        self.removed.clear();
        for index in self.frontends.values().copied().collect::<Vec<_>>() {
            self.reach(self.words[index as usize]);
        }
        self.forget_held();
    }

    /// Only what is published now is held.
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

    /// What the kernel does with a connection to that frontend; `held` replaces the word there.
    pub fn connect(&self, frontend: &Frontend, held: Option<ServiceWord>, seed: u32) -> Verdict {
        let reader = Reader { memory: self, held };
        let index = match held {
            Some(_) => 0,
            None => match self.frontends.get(frontend) {
                Some(index) => *index,
                None => return Verdict::Passed,
            },
        };
        let choice = service(&reader, index).and_then(|service| {
            let choice = decide(&reader, &service, seed)?;
            Ok((*choice.entry, choice.slot, service.header.entry_shift() == 1))
        });
        match choice {
            Ok((entry, slot, ipv6)) => {
                let backend = self.backend(&entry, slot, ipv6, frontend);
                assert_eq!(backend.address.is_ipv6(), frontend.address.is_ipv6(), "{frontend}");
                Verdict::To(backend)
            }
            Err(Reason::NoBackends | Reason::AllDownRefused) => Verdict::Refused,
            Err(Reason::AllDownPassed) => Verdict::Passed,
            Err(reason) => panic!("{frontend} met {reason:?}"),
        }
    }

    /// The backend that an entry at `slot` leads to; its index must say the same.
    pub fn backend(&self, entry: &Entry, slot: u32, ipv6: bool, of: &Frontend) -> BackendRef {
        let address: IpAddr = if ipv6 {
            let second: &Address6 = bytemuck::cast_ref(&self.arena[slot as usize + 1]);
            second.address.into()
        } else {
            entry.address.into()
        };
        let backend = BackendRef { address, port: entry.port, protocol: of.protocol };
        let BackendValue { address, port, protocol, _pad } = self.backends[entry.backend as usize];
        let named = std::net::Ipv6Addr::from(address).to_canonical();
        let is_same =
            (named, port, protocol) == (backend.address, entry.port, of.protocol.number());
        assert!(is_same, "{of} leads to {backend}, which index {} is not", entry.backend);
        backend
    }

    pub fn settings(&self, slot: u32) -> Settings {
        bytemuck::cast(self.arena[slot as usize + 1])
    }

    pub fn policy(header: &Header) -> AllDown {
        AllDown::try_from(header.flags & Header::ALL_DOWN).expect("a policy")
    }
}

fn lines(slot: u32, slots: usize) -> u64 {
    assert_eq!(slot % 4, 0, "regions begin at a line");
    let (first, last) = (slot / 4, (slot as usize + slots - 1) / 4);
    (first as usize..=last).fold(0, |lines, line| lines | 1 << line)
}

/// Somebody who may have loaded a word before it was replaced.
struct Reader<'m> {
    memory: &'m Memory,
    held: Option<ServiceWord>,
}

impl Tables for Reader<'_> {
    fn word(&self, frontend: u32) -> Option<ServiceWord> {
        self.held.or_else(|| self.memory.word(frontend))
    }
    fn header(&self, slot: u32) -> Option<&Header> {
        self.memory.header(slot)
    }
    fn range(&self, slot: u32) -> Option<&TierRange> {
        self.memory.range(slot)
    }
    fn entry(&self, slot: u32) -> Option<&Entry> {
        self.memory.entry(slot)
    }
    fn health(&self, backend: u32) -> Option<HealthWord> {
        self.memory.health(backend)
    }
    fn node(&self, node: u16) -> Option<NodeWord> {
        self.memory.node(node)
    }
}

impl Tables for Memory {
    fn word(&self, frontend: u32) -> Option<ServiceWord> {
        self.words.get(frontend as usize).copied()
    }
    fn header(&self, slot: u32) -> Option<&Header> {
        self.arena.get(slot as usize).map(bytemuck::cast_ref)
    }
    fn range(&self, slot: u32) -> Option<&TierRange> {
        self.arena.get(slot as usize).map(bytemuck::cast_ref)
    }
    fn entry(&self, slot: u32) -> Option<&Entry> {
        self.arena.get(slot as usize).map(bytemuck::cast_ref)
    }
    fn health(&self, backend: u32) -> Option<HealthWord> {
        self.health.get(backend as usize).copied()
    }
    fn node(&self, node: u16) -> Option<NodeWord> {
        self.nodes.get(usize::from(node)).copied()
    }
}
