//! The tables of a service: its tiers, and what load each gets.
//!
//! Pure: everything that decides is passed in.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use redirector_common::{HealthWord, NodeWord};

use crate::{
    failover::{
        blend,
        holds::{Held, Hold},
        loads::{Count, Formula, cumulative},
        tiers::{members, name},
    },
    locality::Locality,
    service::{Backend, BackendRef, Policy, Service, ServiceRef},
    tables::{Entry, ServiceTables, Table, Tier},
};

/// What the tables of a service depend on beside itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'w> {
    pub(crate) node: &'w Locality,
    pub(crate) services: &'w BTreeMap<ServiceRef, Service>,
    pub(crate) objections: &'w BTreeMap<BackendRef, HealthWord>,
}

/// What overrules the loads that health gives.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overrides<'w> {
    /// The tier that an operator wants to carry everything while it can.
    pub(crate) forced: Option<&'w Arc<str>>,
    /// Tiers that do not yet get what they are due: of IPv4, of IPv6.
    pub(crate) held: Option<&'w [Held; 2]>,
}

/// The tiers of a service that have backends: IPv4, IPv6. A family without a frontend has none: no
/// dial would read its table.
pub(crate) fn tiers(service: &Service, view: &View<'_>) -> [Vec<Tier>; 2] {
    [IpAddr::is_ipv4, IpAddr::is_ipv6].map(|is_of: fn(&IpAddr) -> bool| {
        if !service.frontends.iter().any(|frontend| is_of(&frontend.address)) {
            return Vec::new();
        }
        let is_of = |backend: &Backend| is_of(&backend.backend.address);
        let placed = members(service, view.node, view.services, is_of);
        let has_rules = !service.policy.tiers.is_empty();
        let groups = placed.chunk_by(|(one, _), (other, _)| one == other);
        let tier = |(position, group): (u8, &[(u8, &Backend)])| Tier {
            number: if has_rules { group[0].0 } else { position },
            name: name(service, group[0].0),
            entries: group.iter().map(|(_, backend)| entry(view.node, backend)).collect(),
        };
        (0..).zip(groups).map(tier).collect()
    })
}

/// The tables of one service whose [`tiers`] are known, and with them what is [`objected`] to in each.
pub(crate) fn compile_service(
    service: &Service,
    tiers: [Vec<Tier>; 2],
    overrides: Overrides<'_>,
    objected: &[Vec<Objected>; 2],
) -> ServiceTables {
    let Service {
        name: _,
        frontends,
        virtual_addresses,
        affinity_seconds,
        also_served,
        unreachable,
        backends: _,
        policy,
    } = service;
    let Policy { all_down, limits, unresponsive, .. } = *policy;
    let mut frontends = frontends.clone();
    frontends.sort_unstable();
    let formula = Formula::from(policy);
    let Overrides { forced, held } = overrides;
    let [v4, v6] = tiers;
    let v4 = table(v4, &formula, forced, held.map(|held| &held[0]), &objected[0]);
    let v6 = table(v6, &formula, forced, held.map(|held| &held[1]), &objected[1]);
    let affinity_seconds = affinity_seconds.unwrap_or(0);
    ServiceTables {
        frontends,
        virtual_addresses: virtual_addresses.clone(),
        affinity_seconds,
        also_served: *also_served,
        unreachable: *unreachable,
        all_down,
        limits,
        unresponsive,
        v4,
        v6,
    }
}

/// Backends of one tier that have an objection, in the order of its entries.
pub(crate) type Objected = Vec<(BackendRef, HealthWord)>;

/// To walk over so many objections takes as long as to find one of them.
const WALKED: usize = 16;

/// What is objected to in each tier: each backend is looked up once, however much follows from it.
pub(crate) fn objected(
    tiers: &[Vec<Tier>; 2],
    objections: &BTreeMap<BackendRef, HealthWord>,
) -> [Vec<Objected>; 2] {
    let of = |tiers: &Vec<Tier>| tiers.iter().map(|tier| objected_in(tier, objections)).collect();
    [of(&tiers[0]), of(&tiers[1])]
}

fn objected_in(tier: &Tier, objections: &BTreeMap<BackendRef, HealthWord>) -> Objected {
    let [Some(first), Some(last)] = [tier.entries.first(), tier.entries.last()] else {
        return Vec::new();
    };
    if objections.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut take = |entry: &Entry, word: Option<&HealthWord>| {
        if let Some(word) = word.filter(|word| !word.is_usable()) {
            if found.is_empty() {
                found.reserve_exact(tier.entries.len());
            }
            found.push((entry.backend, *word));
        }
    };
    if tier.entries.len() * WALKED < objections.len() {
        for entry in &tier.entries {
            take(entry, objections.get(&entry.backend));
        }
    } else {
        // Both are sorted by backend.
        let mut walked = objections.range(first.backend..=last.backend).peekable();
        for entry in &tier.entries {
            while walked.next_if(|(backend, _)| **backend < entry.backend).is_some() {}
            let word = walked.next_if(|(backend, _)| **backend == entry.backend);
            take(entry, word.map(|(_, word)| word));
        }
    }
    found
}

/// How many backends a tier has, and how many of them have no objection.
pub(crate) fn count(tier: &Tier, objected: &Objected) -> Count {
    let total = tier.entries.len() as u32;
    Count { total, healthy: total - objected.len() as u32 }
}

fn table(
    tiers: Vec<Tier>,
    formula: &Formula,
    forced: Option<&Arc<str>>,
    held: Option<&Held>,
    objected: &[Objected],
) -> Table {
    let counts: Vec<Count> =
        tiers.iter().zip(objected).map(|(tier, objected)| count(tier, objected)).collect();
    let forced = tiers
        .iter()
        .zip(&counts)
        .position(|(tier, count)| forced == Some(&tier.name) && count.healthy > 0);
    let allowed = |(position, tier): (usize, &Tier)| match forced {
        Some(forced) => 100 * u8::from(position == forced),
        None => held.and_then(|held| held.get(&tier.name)).map_or(100, Hold::allowed),
    };
    let allowed: Vec<u8> = tiers.iter().enumerate().map(allowed).collect();
    let shares = blend::shares(formula, &counts, &allowed);
    let is_anybody_healthy = counts.iter().any(|count| count.healthy > 0);
    let carrier = shares.iter().position(|share| *share > 0).filter(|_| is_anybody_healthy);
    let carrier = carrier.and_then(|position| u8::try_from(position).ok());
    Table { tiers, loads: cumulative(&shares), carrier }
}

fn entry(own: &Locality, Backend { backend, locality, weight, rank: _ }: &Backend) -> Entry {
    let cluster = locality.other_cluster(own.cluster.as_ref());
    let word = |name: &Arc<str>| match cluster {
        None => NodeWord::named(name),
        Some(cluster) => NodeWord::in_cluster(cluster, name),
    };
    let node = locality.node.as_ref().map(word).unwrap_or_default();
    Entry { backend: *backend, node, weight: *weight }
}

#[cfg(test)]
mod tests;
