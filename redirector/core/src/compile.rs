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

/// The tables of one service whose [`tiers`] are known.
pub(crate) fn compile_service(
    service: &Service,
    tiers: [Vec<Tier>; 2],
    overrides: Overrides<'_>,
    objections: &BTreeMap<BackendRef, HealthWord>,
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
    let v4 = table(v4, &formula, forced, held.map(|held| &held[0]), objections);
    let v6 = table(v6, &formula, forced, held.map(|held| &held[1]), objections);
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

/// To walk over so many objections takes as long as to find one of them.
const WALKED: usize = 16;

/// How many backends a tier has, and how many of them have no objection, or only such as
/// `is_healthy` disregards.
pub(crate) fn count(
    tier: &Tier,
    objections: &BTreeMap<BackendRef, HealthWord>,
    is_healthy: impl Fn(&BackendRef, HealthWord) -> bool,
) -> Count {
    let total = tier.entries.len() as u32;
    if objections.is_empty() {
        return Count { total, healthy: total };
    }
    let is_well = |entry: &Entry, word: Option<&HealthWord>| {
        word.is_none_or(|word| word.is_usable() || is_healthy(&entry.backend, *word))
    };
    let healthy = if tier.entries.len() * WALKED < objections.len() {
        let looked_up = |entry: &&Entry| is_well(entry, objections.get(&entry.backend));
        tier.entries.iter().filter(looked_up).count()
    } else {
        // Both are sorted by backend.
        let [Some(first), Some(last)] = [tier.entries.first(), tier.entries.last()] else {
            return Count::default();
        };
        let mut walked = objections.range(first.backend..=last.backend).peekable();
        let is_it_well = |entry: &&Entry| {
            while walked.next_if(|(backend, _)| **backend < entry.backend).is_some() {}
            let word = walked.next_if(|(backend, _)| **backend == entry.backend);
            is_well(entry, word.map(|(_, word)| word))
        };
        tier.entries.iter().filter(is_it_well).count()
    };
    Count { total, healthy: healthy as u32 }
}

fn table(
    tiers: Vec<Tier>,
    formula: &Formula,
    forced: Option<&Arc<str>>,
    held: Option<&Held>,
    objections: &BTreeMap<BackendRef, HealthWord>,
) -> Table {
    let counts: Vec<Count> =
        tiers.iter().map(|tier| count(tier, objections, |_, _| false)).collect();
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
