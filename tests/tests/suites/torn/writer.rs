//! The writer: real plans, applied by the production datapath as fast as it can.
//!
//! Services change endpoints and weights, backends are ejected and come back, frontends move
//! between services, come and go; indices of everything are used again and again.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use redirector::datapath::Datapath;
use redirector_common::{AllDown, HealthByte, HealthWord};
use redirector_core::{
    Tables,
    locality::Place,
    plan::{Installed, Plan, Step, plan_scope},
    service::{BackendRef, Frontend, LIMITS, Protocol, ServiceRef},
    tables::{Entry, Scope, ServiceTables, Table, Tier},
};

use super::{
    done::Done,
    stamp::{
        ENTRIES_PER_TIER, FRONTENDS, FRONTENDS_PER_GROUP, GROUPS, PORT, SERVICES, Stamp,
        comes_and_goes, frontend4, frontend6,
    },
};

/// The same changes in every run.
const SEED: u64 = 0x5eed;
/// So often the writer starts anew from what is in the maps, as an agent after a crash does.
const PLANS_PER_LIFE: u64 = 50;
/// Plans made ahead and applied one after the other, where no barrier separates them.
const PLANS_IN_A_ROW: usize = 4;

/// Whether plans are applied as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Barriers {
    /// As they are. They wait most of the time, so each changes half of the groups.
    Kept,
    /// Without waiting for readers: as unsafe as it looks. Each plan changes the same group as the
    /// one before, and so uses again what that has just freed.
    Dropped,
}

/// Changes the tables, one plan after the other.
#[derive(Debug)]
pub(crate) struct Writer {
    datapath: Datapath,
    installed: Installed,
    tables: Tables,
    barriers: Barriers,
    random: SmallRng,
    versions: [u16; SERVICES as usize],
    /// Which of the group's two services has each frontend; `None` while it is away.
    owners: [Option<u32>; FRONTENDS as usize],
    done: Done,
}

impl Writer {
    /// Everything is written once.
    pub(crate) fn new(mut datapath: Datapath, barriers: Barriers) -> Self {
        let installed = datapath.adopt().expect("empty maps");
        let mut writer = Self {
            datapath,
            installed,
            tables: Tables { synced: true, ..Tables::default() },
            barriers,
            random: SmallRng::seed_from_u64(SEED),
            versions: [4; SERVICES as usize],
            owners: [None; FRONTENDS as usize],
            done: Done::default(),
        };
        let all: Vec<_> = (0..GROUPS).collect();
        let plan = writer.plan(&all);
        writer.apply(&plan);
        writer
    }

    /// Changes some of the groups, then plans and applies.
    pub(crate) fn step(&mut self) {
        if self.done.plans >= (self.done.lives + 1) * PLANS_PER_LIFE {
            self.installed = self.datapath.adopt().expect("the maps");
            self.done.lives += 1;
        }
        match self.barriers {
            Barriers::Kept => {
                let groups: Vec<_> =
                    (0..GROUPS / 2).map(|_| self.random.random_range(0..GROUPS)).collect();
                let plan = self.plan(&groups);
                self.apply(&plan);
            }
            Barriers::Dropped => {
                let group = self.random.random_range(0..GROUPS);
                let plans: Vec<_> = (0..PLANS_IN_A_ROW).map(|_| self.plan(&[group])).collect();
                plans.iter().for_each(|plan| self.apply(plan));
            }
        }
    }

    /// What it has done so far.
    pub(crate) fn done(&self) -> Done {
        self.done
    }

    fn plan(&mut self, groups: &[u32]) -> Plan {
        let mut names = BTreeSet::new();
        for group in groups {
            self.change(*group);
            names.extend([2 * group, 2 * group + 1].map(name));
        }
        let mut plan = plan_scope(&mut self.installed, &self.tables, Scope::Only(names));
        assert_eq!(plan.rejected, [], "the maps are too small for this test");
        if self.barriers == Barriers::Dropped {
            plan.steps.retain(|step| *step != Step::Barrier);
        }
        plan
    }

    fn apply(&mut self, plan: &Plan) {
        self.datapath.apply(plan).expect("a plan that can be applied");
        self.done.count(&plan.steps);
    }

    /// Decides anew about both services of a group.
    fn change(&mut self, group: u32) {
        for service in [2 * group, 2 * group + 1] {
            // Otherwise only weights and objections change.
            if self.random.random_range(0..4) > 0 {
                self.versions[service as usize] += 1;
            }
        }
        for frontend in group * FRONTENDS_PER_GROUP..(group + 1) * FRONTENDS_PER_GROUP {
            let owner = &mut self.owners[frontend as usize];
            if owner.is_none() || self.random.random_range(0..4) == 0 {
                let is_away = comes_and_goes(frontend) && self.random.random_range(0..2) == 0;
                *owner = (!is_away).then(|| 2 * group + self.random.random_range(0..2));
            }
        }
        for service in [2 * group, 2 * group + 1] {
            let before = self.tables.services.remove(&name(service));
            for entry in before.iter().flat_map(|before| entries(before)) {
                self.tables.objections.remove(&entry.backend);
            }
            let tables = self.service(service);
            self.tables.services.insert(name(service), Arc::new(tables));
        }
    }

    fn service(&mut self, service: u32) -> ServiceTables {
        let stamp = Stamp(service << 16 | u32::from(self.versions[service as usize]));
        let tiers: Vec<u32> = (0..=self.random.random_range(0..3))
            .map(|_| 1 + self.random.random_range(0..ENTRIES_PER_TIER))
            .collect();
        let mut frontends: Vec<Frontend> = (0..FRONTENDS)
            .filter(|frontend| self.owners[*frontend as usize] == Some(service))
            .flat_map(|frontend| [frontend4(frontend).into(), ipv6(frontend6(frontend))])
            .map(|address| Frontend { address, port: PORT, protocol: Protocol::Tcp })
            .collect();
        frontends.sort_unstable();
        ServiceTables {
            frontends,
            affinity_seconds: stamp.0,
            virtual_addresses: Vec::new(),
            also_served: false,
            unreachable: false,
            limits: LIMITS,
            unresponsive: 0,
            all_down: AllDown::Refuse,
            v4: self.table(stamp, &tiers, false),
            v6: self.table(stamp, &tiers, true),
        }
    }

    fn table(&mut self, stamp: Stamp, lengths: &[u32], is_v6: bool) -> Table {
        let mut table = Table { carrier: Some(0), ..Table::default() };
        for ((tier, place), length) in (0..).zip(Place::ALL).zip(lengths) {
            let numbers = tier * ENTRIES_PER_TIER..tier * ENTRIES_PER_TIER + length;
            let mut entries: Vec<_> =
                numbers.map(|number| self.entry(stamp, number, is_v6)).collect();
            entries.sort_unstable_by_key(|entry| entry.backend);
            let number = table.tiers.len() as u8;
            table.tiers.push(Tier { number, name: place.name().into(), entries });
        }
        // The last tier takes the rest.
        let share = 100 / lengths.len() as u8;
        for (load, tier) in table.loads.iter_mut().zip(1..) {
            *load = if usize::from(tier) < lengths.len() { tier * share } else { 100 };
        }
        table
    }

    fn entry(&mut self, stamp: Stamp, number: u32, is_v6: bool) -> Entry {
        let address = if is_v6 {
            ipv6(stamp.backend6(number))
        } else {
            Ipv4Addr::from(stamp.backend4(number)).into()
        };
        let backend = BackendRef { address, port: 1 + number as u16, protocol: Protocol::Tcp };
        // One is always there: a read that finds nobody has missed it. Most of the others are
        // ejected, so that sampling alone does not always do.
        if number > 0 && self.random.random_range(0..3) > 0 {
            let word = HealthWord::default().with(HealthByte::Prober, 1);
            self.tables.objections.insert(backend, word);
        }
        Entry {
            backend,
            node: stamp.node(number),
            weight: 1 + self.random.random_range(0..100) as u16,
        }
    }
}

fn entries(tables: &ServiceTables) -> impl Iterator<Item = &Entry> {
    tables.v4.tiers.iter().chain(&tables.v6.tiers).flat_map(|tier| &tier.entries)
}

fn name(service: u32) -> ServiceRef {
    ServiceRef(format!("torn/service-{service}").into())
}

fn ipv6(words: [u32; 4]) -> IpAddr {
    let mut bytes = [0; 16];
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    Ipv6Addr::from(bytes).into()
}
