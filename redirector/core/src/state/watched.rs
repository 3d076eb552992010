//! Which backends are probed from this node: few enough that a large fleet drowns no backend.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    State,
    backends::{Backends, Use},
    passive::later,
    verdicts::is_probed,
};
use crate::{
    health::{TRIAL, strictest},
    input::{Moment, Network, ProbeOrder, Transition},
    service::{BackendRef, Protocol, Service, ServiceRef},
};

/// A service of at most so many backends is probed whole.
const SMALL: usize = 16;
/// While so many are probed, services that no socket of this node uses wait: at a probe a second
/// each they are some 7 % of a processor here, and a backend hears of each node's choice only.
const MANY: usize = 2_048;
/// How long after its last use by a socket of this node a backend is probed.
const USED: Duration = Duration::from_mins(5);

impl State {
    /// Which backends should be probed, and how: strictest where services share one. In order:
    ///
    /// 1. All backends of a service that has at most 16 of them; else those of this node (the
    ///    kernel learns which process serves one from a connection that it accepts, and then sees
    ///    its end), those that sockets of this node used in the last 5 minutes, and one of each
    ///    tier, another one from each node. Once these are 2,048, only of services that sockets of
    ///    this node use. The others come owner after owner, of each those with a policy first.
    /// 2. Those with a veto that is not an operator's, and those of which the kernel has seen
    ///    something, though no service configures a probe.
    /// 3. When no other node seems to answer: a few backends that should.
    #[must_use]
    pub fn probes(&self) -> BTreeMap<BackendRef, ProbeOrder> {
        self.with_doubted(self.regular_probes())
    }

    /// The first of [`probes`](Self::probes). They change with the services, with the node and with
    /// what its sockets use, and cost as much as there are services.
    #[must_use]
    pub fn regular_probes(&self) -> BTreeMap<BackendRef, ProbeOrder> {
        let mut probes: BTreeMap<BackendRef, ProbeOrder> = BTreeMap::new();
        let mut owners = Owners { backends: &self.backends, shared: BTreeMap::new() };
        for (is_used, service) in self.asking() {
            let Some(probe) = &service.policy.probe else { continue };
            if !is_used && probes.len() >= MANY {
                break;
            }
            for backend in self.probed_for(service) {
                probes
                    .entry(backend)
                    .and_modify(|other| other.probe = strictest(&other.probe, probe))
                    .or_insert_with(|| ProbeOrder {
                        probe: probe.clone(),
                        owners: owners.of(&backend),
                        urgency: 0,
                    });
            }
        }
        probes
    }

    /// The regular probes, and the others, which change with each doubt.
    #[must_use]
    pub fn with_doubted(
        &self,
        mut probes: BTreeMap<BackendRef, ProbeOrder>,
    ) -> BTreeMap<BackendRef, ProbeOrder> {
        let mut owners = Owners { backends: &self.backends, shared: BTreeMap::new() };
        let doubted = self.tables.objections.keys().chain(self.backends.suspected());
        for backend in doubted.filter(|backend| is_probed(backend)) {
            let trouble = self.backends.get(backend).and_then(|known| known.trouble.as_ref());
            let Some(trouble) = trouble.filter(|trouble| trouble.is_doubted()) else { continue };
            probes.insert(*backend, self.order(backend, owners.of(backend), trouble.urgency));
        }
        for backend in self.nodes.witnesses.iter().flatten() {
            if self.backends.get(backend).is_some() {
                let order = self.order(backend, owners.of(backend), self.nodes.urgency);
                probes.insert(*backend, order);
            }
        }
        probes
    }

    /// Services with a probe, in the order in which they are probed, and whether sockets of this
    /// node use them: those first. One of each owner comes before the second of any: of an owner
    /// those with a policy first, then the others, in another order on each node.
    fn asking(&self) -> Vec<(bool, &Service)> {
        let used: BTreeSet<&ServiceRef> =
            self.backends.used.keys().flat_map(|backend| self.backends.users(backend)).collect();
        let node = self.node.node.as_deref().unwrap_or_default();
        let asking = self.services.values().filter(|service| service.policy.probe.is_some());
        let mut asking: Vec<_> = asking
            .map(|service| {
                let is_unused = !used.contains(&service.name);
                let has_policy = service.policy.failback.is_some();
                let rank = rank(node, service.name.0.bytes());
                ((is_unused, !has_policy, rank, &service.name), service)
            })
            .collect();
        asking.sort_unstable_by_key(|(order, _)| *order);
        let mut before: BTreeMap<(bool, &str), usize> = BTreeMap::new();
        let mut in_turns: Vec<(bool, usize, &Service)> = asking
            .into_iter()
            .map(|((is_unused, ..), service)| {
                let turn = before.entry((is_unused, service.name.owner())).or_default();
                *turn += 1;
                (is_unused, *turn, service)
            })
            .collect();
        // Stable: within a turn the order stays as it is.
        in_turns.sort_by_key(|(is_unused, turn, _)| (*is_unused, *turn));
        in_turns.into_iter().map(|(is_unused, _, service)| (!is_unused, service)).collect()
    }

    /// A probe as the backend's services configure it, or [`TRIAL`] if none does.
    fn order(&self, backend: &BackendRef, owners: Arc<[Arc<str>]>, urgency: u32) -> ProbeOrder {
        ProbeOrder { probe: self.probe(backend).unwrap_or(TRIAL), owners, urgency }
    }

    /// Backends of a service with a probe that are probed because of it.
    fn probed_for(&self, service: &Service) -> BTreeSet<BackendRef> {
        let listed = service.backends.iter().map(|backend| backend.backend);
        if service.backends.len() <= SMALL {
            return listed.filter(is_probed).collect();
        }
        let is_used = |backend: &BackendRef| self.backends.used.contains_key(backend);
        let mut probed: BTreeSet<BackendRef> = listed.filter(is_used).filter(is_probed).collect();
        probed.extend(self.local_backends(&service.name).filter(is_probed));
        let listed: BTreeSet<BackendRef> =
            service.backends.iter().map(|backend| backend.backend).collect();
        let Some(tables) = self.tables.services.get(&service.name) else { return probed };
        let node = self.node.node.as_deref().unwrap_or_default();
        for tier in tables.v4.tiers.iter().chain(&tables.v6.tiers) {
            let entries = tier.entries.iter().map(|entry| entry.backend);
            let own = entries.filter(|backend| is_probed(backend) && listed.contains(backend));
            probed.extend(own.min_by_key(|backend| (rank_of(node, backend), *backend)));
        }
        probed
    }

    /// Sockets of this node have used these: they are probed from here for a while.
    pub(super) fn used(
        &mut self,
        used: &[(BackendRef, Network)],
        now: Moment,
        happened: &mut Vec<Transition>,
    ) {
        self.node_is_used(used, happened);
        for (backend, network) in used {
            if self.backends.get(backend).is_some() {
                let earlier = self.backends.used.get(backend).and_then(|used| used.from_system);
                let from_system = (*network == Network::OfSystem).then_some(now).or(earlier);
                self.backends.used.insert(*backend, Use { last: now, from_system });
            }
        }
        if !self.backends.used.is_empty() {
            self.look_again.get_or_insert(later(now, USED));
        }
    }

    /// When some of the used backends may have been unused for long.
    pub(super) fn unused_at(&self) -> Option<Moment> {
        self.look_again
    }

    pub(super) fn forget_unused(&mut self, now: Moment) {
        if self.look_again.is_none_or(|at| now < at) {
            return;
        }
        let is_recent = |last: Moment| now < later(last, USED);
        self.backends.used.retain(|_, used| {
            used.from_system = used.from_system.filter(|last| is_recent(*last));
            is_recent(used.last)
        });
        let firsts = self.backends.used.values().map(|used| used.from_system.unwrap_or(used.last));
        self.look_again = firsts.min().map(|first| later(first, USED));
    }
}

/// Owners of the backends. Nearly all have one: the backends of one owner share its name.
struct Owners<'w> {
    backends: &'w Backends,
    shared: BTreeMap<Vec<&'w str>, Arc<[Arc<str>]>>,
}

impl Owners<'_> {
    fn of(&mut self, backend: &BackendRef) -> Arc<[Arc<str>]> {
        let mut owners: Vec<&str> =
            self.backends.users(backend).into_iter().map(ServiceRef::owner).collect();
        // Services of one owner may not stand together: `a-b/x` comes before `a/x`.
        owners.sort_unstable();
        owners.dedup();
        if let Some(shared) = self.shared.get(&owners) {
            return Arc::clone(shared);
        }
        let shared: Arc<[Arc<str>]> = owners.iter().map(|owner| Arc::from(*owner)).collect();
        self.shared.insert(owners, Arc::clone(&shared));
        shared
    }
}

/// A number that is different for each node and backend, and the same every time.
fn rank_of(node: &str, backend: &BackendRef) -> u64 {
    let address = match backend.address {
        std::net::IpAddr::V4(four) => four.to_ipv6_mapped().octets(),
        std::net::IpAddr::V6(six) => six.octets(),
    };
    let port = backend.port.to_be_bytes();
    let is_udp = u8::from(backend.protocol == Protocol::Udp);
    rank(node, address.into_iter().chain(port).chain([is_udp]))
}

/// FNV-1a, stirred.
fn rank(node: &str, bytes: impl Iterator<Item = u8>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in node.bytes().chain(bytes) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ hash >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ hash >> 29
}
