//! What the maps say about each frontend, and which verdicts are right while they change.

use std::collections::{BTreeMap, BTreeSet};

use redirector_common::{AllDown, MAX_TIERS, NodeWord, RANGES};
use redirector_core::{
    plan::Plan,
    service::{BackendRef, Frontend, ServiceRef},
    tables,
};
use redirector_ebpf::Tables;

use super::{memory::Memory, reader::Verdict};

/// One frontend's table, read back from the maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub tiers: Vec<Vec<(BackendRef, NodeWord)>>,
    pub loads: [u8; MAX_TIERS],
    pub all_down: AllDown,
    pub affinity_seconds: u32,
    pub service: u32,
    pub usable: Vec<BackendRef>,
}

pub type View = BTreeMap<Frontend, Seen>;

pub fn view(memory: &Memory) -> View {
    let frontends = memory.frontends.iter();
    frontends.map(|(frontend, index)| (*frontend, see(memory, frontend, *index))).collect()
}

/// Backends that are usable in one of these states or desired to be, whichever service lists them.
pub fn usable(views: [&View; 2], desired: &tables::Tables) -> BTreeSet<BackendRef> {
    let tables = desired.services.values().flat_map(|service| [&service.v4, &service.v6]);
    let entries = tables.flat_map(|table| &table.tiers).flat_map(|tier| &tier.entries);
    let listed = entries.map(|entry| entry.backend);
    let healthy = listed.filter(|backend| !desired.objections.contains_key(backend));
    let seen = views.into_iter().flat_map(BTreeMap::values).flat_map(|seen| &seen.usable);
    seen.copied().chain(healthy).collect()
}

fn see(memory: &Memory, frontend: &Frontend, index: u32) -> Seen {
    let word = memory.word(index).expect("within the map");
    let header = memory.header(word.slot()).expect("within the arena");
    assert_eq!(header.epoch, word.epoch(), "{frontend}");
    let mut usable = Vec::new();
    let mut tiers = Vec::new();
    for tier in 0..u32::from(header.tiers) {
        let range = memory.range(word.slot() + RANGES + tier).expect("within the arena");
        let mut listed = Vec::new();
        let mut before = None;
        for number in 0..range.length {
            let slot = word.slot() + range.start + (number << header.entry_shift());
            let entry = memory.entry(slot).expect("within the arena");
            assert!(before < Some(entry.backend), "entries are sorted by index");
            before = Some(entry.backend);
            let backend = memory.backend(entry, slot, header.entry_shift() == 1, frontend);
            let node = memory.node(entry.node).expect("within the map");
            if memory.health(entry.backend).is_some_and(|word| word.on(node).is_usable()) {
                usable.push(backend);
            }
            let node = node.identity();
            listed.push((backend, node));
        }
        listed.sort_unstable();
        tiers.push(listed);
    }
    Seen {
        tiers,
        loads: header.loads,
        all_down: Memory::policy(header),
        affinity_seconds: memory.settings(word.slot()).affinity_seconds(),
        service: header.service,
        usable,
    }
}

impl Seen {
    fn lists(&self, backend: &BackendRef) -> bool {
        self.tiers.iter().flatten().any(|(listed, _)| listed == backend)
    }

    fn is_all_down(&self, policy: AllDown) -> bool {
        self.usable.is_empty() && !self.tiers.is_empty() && self.all_down == policy
    }
}

/// Whether a verdict is right between two states: the backend is listed before or after, and
/// usable before or after. Tables and health are independent news: a connection may see one of
/// them new and the other old, as if they had come one by one.
pub fn is_right(
    verdict: Verdict,
    before: Option<&Seen>,
    after: Option<&Seen>,
    usable: &BTreeSet<BackendRef>,
) -> bool {
    let states = || [before, after].into_iter();
    let either = || states().flatten();
    match verdict {
        Verdict::To(backend) => {
            either().any(|seen| seen.lists(&backend))
                && (usable.contains(&backend)
                    || either().any(|seen| seen.is_all_down(AllDown::Panic)))
        }
        Verdict::Refused => {
            either().any(|seen| seen.tiers.is_empty() || seen.is_all_down(AllDown::Refuse))
        }
        Verdict::Passed => {
            states().any(|state| state.is_none_or(|seen| seen.is_all_down(AllDown::PassThrough)))
        }
    }
}

/// Checks that the maps hold exactly what was desired, but for what was rejected.
pub fn assert_installed(memory: &Memory, desired: &tables::Tables, plan: &Plan, before: &View) {
    let after = view(memory);
    let is_rejected = |name: &ServiceRef| plan.rejected.iter().any(|(other, _)| other == name);
    let mut claimed = BTreeMap::new();
    for (name, tables) in &desired.services {
        for frontend in &tables.frontends {
            claimed.insert(*frontend, name);
            if is_rejected(name) {
                let structure = |view: &View| {
                    let seen = view.get(frontend).cloned();
                    seen.map(|seen| Seen { usable: Vec::new(), service: 0, ..seen })
                };
                assert_eq!(structure(&after), structure(before), "{name} was rejected");
                continue;
            }
            let table = if frontend.address.is_ipv4() { &tables.v4 } else { &tables.v6 };
            let listed = |entry: &tables::Entry| (entry.backend, entry.node);
            let tiers = table.tiers.iter().map(|tier| tier.entries.iter().map(listed).collect());
            let entries = table.tiers.iter().flat_map(|tier| &tier.entries);
            let is_usable = |backend: &BackendRef| !desired.objections.contains_key(backend);
            let seen = after.get(frontend).unwrap_or_else(|| panic!("{frontend} is missing"));
            let mut usable = seen.usable.clone();
            usable.sort_unstable();
            let mut wanted: Vec<BackendRef> = entries.map(|entry| entry.backend).collect();
            wanted.retain(is_usable);
            wanted.sort_unstable();
            assert_eq!(usable, wanted, "usable backends of {frontend}");
            let wanted = Seen {
                tiers: tiers.collect(),
                loads: table.loads,
                all_down: tables.all_down,
                affinity_seconds: tables.affinity_seconds,
                service: seen.service,
                usable: seen.usable.clone(),
            };
            assert_eq!(*seen, wanted, "{frontend} of {name}");
            let called = memory.names[seen.service as usize];
            assert_eq!(called.as_str(), &*name.0, "name of the service of {frontend}");
        }
    }
    if desired.synced && plan.rejected.is_empty() {
        let stranger = after.keys().find(|frontend| !claimed.contains_key(frontend));
        assert_eq!(stranger, None, "a frontend that nobody has");
    }
}
