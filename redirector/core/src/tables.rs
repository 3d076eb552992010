//! What the kernel should hold, in the words of people: names, addresses and weights.
//!
//! No index, slot or generation: those depend on what is installed, and the plan chooses them.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use redirector_common::{AllDown, HealthWord, Limits, MAX_TIERS, NodeWord};

use crate::{
    failover::{
        blend,
        loads::{Count, Formula, cumulative},
        standing::{Held, Hold},
        tiers::{members, name},
    },
    service::{Backend, BackendRef, Frontend, Locality, Policy, Service, ServiceRef},
    state::State,
};

/// Desired state. Canonical: worlds that decide the same have equal tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Whether a source has said what there is: before, nothing is removed.
    pub synced: bool,
    /// Behind `Arc`, so that a service that did not change is recognised by its pointer.
    pub services: BTreeMap<ServiceRef, Arc<ServiceTables>>,
    /// Backends that have an objection; the generation is always 0. A plan writes the bytes of
    /// [`HealthByte::AGENT`], and the kernel's own only with a new index: else these are what the
    /// kernel has said.
    ///
    /// [`HealthByte::AGENT`]: redirector_common::HealthByte::AGENT
    pub objections: BTreeMap<BackendRef, HealthWord>,
}

/// One service: a table for each address family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceTables {
    /// Sorted; a frontend uses the table of its own family.
    pub frontends: Vec<Frontend>,
    /// As [`Service::virtual_addresses`].
    pub virtual_addresses: Vec<IpAddr>,
    /// Seconds; 0 is none.
    pub affinity_seconds: u32,
    /// kube-proxy serves the frontends too: without an agent they are left to it.
    pub also_served: bool,
    /// Whether a connect that finds no tier fails for want of a host, instead of a listener.
    pub unreachable: bool,
    /// What happens when no backend is usable.
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
    /// No tier is empty; a table without tiers refuses.
    pub tiers: Vec<Tier>,
    /// Cumulative percent, as in [`Header::loads`](redirector_common::Header::loads).
    pub loads: [u8; MAX_TIERS],
    /// Position in `tiers` of the first one that carries load; `None` if no backend is healthy.
    pub carrier: Option<u8>,
}

/// Backends of equal rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The number that people see: that of its rule, counted from 0, whether the tiers before it
    /// are empty or not. Without rules, its position.
    pub number: u8,
    /// The policy's name for it, or what its backends have in common: `endpoints`, `node`, `zone`,
    /// `region`, `cluster`, `remote` or `terminating`.
    pub name: Arc<str>,
    /// Sorted by backend.
    pub entries: Vec<Entry>,
}

/// A backend in a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which backend.
    pub backend: BackendRef,
    /// [`NodeWord::named`] of its node, or [`NodeWord::in_cluster`] if that is in another cluster;
    /// 0 is unknown.
    pub node: NodeWord,
    /// Share within the tier.
    pub weight: u16,
}

impl Table {
    /// Number and name of the first tier that carries load because some of its backends are
    /// healthy.
    #[must_use]
    pub fn carrying(&self) -> Option<(u8, &str)> {
        let tier = self.tiers.get(usize::from(self.carrier?))?;
        Some((tier.number, &*tier.name))
    }

    /// Percent of the connections that go to the tier at a position in `tiers`.
    #[must_use]
    pub fn share(&self, position: usize) -> u8 {
        let before = position.checked_sub(1).map_or(0, |before| self.loads[before]);
        self.loads[position].saturating_sub(before)
    }
}

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

/// The tables of a state, from nothing. [`State::tables`] has the same at no cost.
#[must_use]
pub fn compile(state: &State) -> Tables {
    let objections = state.objections();
    let view = View { objections: &objections, ..state.view() };
    let services = state
        .services()
        .map(|service| {
            let overrides = state.overrides(&service.name);
            let tables = compile_service(service, tiers(service, &view), overrides, &objections);
            (service.name.clone(), Arc::new(tables))
        })
        .collect();
    Tables { synced: state.is_synced(), services, objections }
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
    let Policy { all_down, limits, .. } = *policy;
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
        v4,
        v6,
    }
}

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
    let is_healthy = |entry: &&Entry| {
        let word = objections.get(&entry.backend);
        word.is_none_or(|word| word.is_usable() || is_healthy(&entry.backend, *word))
    };
    Count { total, healthy: tier.entries.iter().filter(is_healthy).count() as u32 }
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
        Some(forced) => {
            if position == forced {
                100
            } else {
                0
            }
        }
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
