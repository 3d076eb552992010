//! What the kernel should hold, in the words of people: names, addresses and weights.
//!
//! No index, slot or generation: those depend on what is installed, and the plan chooses them.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use redirector_common::{AllDown, HealthWord, Limits, MAX_TIERS, NodeWord};

use crate::{
    locality::Place,
    service::{Backend, BackendRef, Frontend, Locality, Policy, Service, ServiceRef},
    world::World,
};

/// Desired state. Canonical: worlds that decide the same have equal tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Whether a source has said what there is: before, nothing is removed.
    pub synced: bool,
    /// Behind `Arc`, so that a service that did not change is recognised by its pointer.
    pub services: BTreeMap<ServiceRef, Arc<ServiceTables>>,
    /// Backends that somebody objects to; the generation is always 0. A backend that is not
    /// listed has no objection. A plan writes the bytes of [`HealthByte::AGENT`], and the kernel's
    /// own only with a new index: else these are what the kernel has said.
    ///
    /// [`HealthByte::AGENT`]: redirector_common::HealthByte::AGENT
    pub objections: BTreeMap<BackendRef, HealthWord>,
}

/// One service: a table for each address family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceTables {
    /// Sorted; a frontend uses the table of its own family.
    pub frontends: Vec<Frontend>,
    /// Seconds; 0 is none.
    pub affinity_seconds: u32,
    /// When no backend is usable.
    pub all_down: AllDown,
    /// What the kernel ejects for, and how long a connect may take.
    pub limits: Limits,
    /// IPv4 backends.
    pub v4: Table,
    /// IPv6 backends.
    pub v6: Table,
}

/// Backends of one service and family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// None of them empty; no tiers refuse.
    pub tiers: Vec<Tier>,
    /// Cumulative percent, as in [`Header::loads`](redirector_common::Header::loads).
    pub loads: [u8; MAX_TIERS],
    /// The first tier with a healthy backend.
    pub carrier: Option<u8>,
}

/// Backends of equal rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// As the policy calls it, else what they have in common: `node`, `zone`, `region`, `cluster`
    /// or `remote`.
    pub name: Arc<str>,
    /// Sorted by backend.
    pub entries: Vec<Entry>,
}

/// A backend in a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which backend.
    pub backend: BackendRef,
    /// [`NodeWord::named`] of its node; 0 is unknown.
    pub node: NodeWord,
    /// Share within the tier.
    pub weight: u16,
}

impl Table {
    /// Number and name of the tier that carries the load because one of its backends is healthy.
    #[must_use]
    pub fn carrying(&self) -> Option<(u8, &str)> {
        let number = self.carrier?;
        Some((number, &*self.tiers.get(usize::from(number))?.name))
    }
}

/// The tables of a world, from nothing. [`World::tables`] has the same at no cost.
#[must_use]
pub fn compile(world: &World) -> Tables {
    let objections = world.objections();
    let services = world
        .services()
        .map(|service| {
            let tables = compile_service(service, world.node(), &objections);
            (service.name.clone(), Arc::new(tables))
        })
        .collect();
    Tables { synced: world.is_synced(), services, objections }
}

/// The tables of one service, seen from `node`.
#[must_use]
pub fn compile_service(
    service: &Service,
    node: &Locality,
    objections: &BTreeMap<BackendRef, HealthWord>,
) -> ServiceTables {
    let Service { name: _, frontends, affinity_seconds, backends, policy } = service;
    let Policy { all_down, limits, .. } = *policy;
    let mut frontends = frontends.clone();
    frontends.sort_unstable();
    let family = |is_of: fn(&IpAddr) -> bool| {
        // Without a frontend of its own a family has nobody who would read its table.
        if !frontends.iter().any(|frontend| is_of(&frontend.address)) {
            return Table::default();
        }
        let of_family = backends.iter().filter(|backend| is_of(&backend.backend.address));
        table(of_family, backends.len(), node, objections)
    };
    let (v4, v6) = (family(IpAddr::is_ipv4), family(IpAddr::is_ipv6));
    let affinity_seconds = affinity_seconds.unwrap_or(0);
    ServiceTables { frontends, affinity_seconds, all_down, limits, v4, v6 }
}

fn table<'b>(
    backends: impl Iterator<Item = &'b Backend>,
    most: usize,
    node: &Locality,
    objections: &BTreeMap<BackendRef, HealthWord>,
) -> Table {
    let mut placed: Vec<(Place, Entry)> = Vec::with_capacity(most);
    placed.extend(backends.map(|Backend { backend, locality, weight }| {
        let named = locality.node.as_deref().map(NodeWord::named).unwrap_or_default();
        let entry = Entry { backend: *backend, node: named, weight: *weight };
        (Place::of(node, locality), entry)
    }));
    placed.sort_unstable_by(|(one, a), (other, b)| (one, &a.backend).cmp(&(other, &b.backend)));
    let tiers: Vec<Tier> = placed
        .chunk_by(|(one, _), (other, _)| one == other)
        .map(|group| Tier {
            name: group[0].0.name().into(),
            entries: group.iter().map(|(_, entry)| *entry).collect(),
        })
        .collect();
    let is_healthy = |entry: &Entry| {
        objections.get(&entry.backend).is_none_or(|objections| objections.is_usable())
    };
    let healthy = tiers.iter().position(|tier| tier.entries.iter().any(is_healthy));
    let mut loads = [0; MAX_TIERS];
    if !tiers.is_empty() {
        loads[healthy.unwrap_or(0)..].fill(100);
    }
    Table { tiers, loads, carrier: healthy.and_then(|tier| u8::try_from(tier).ok()) }
}

#[cfg(test)]
mod tests;
