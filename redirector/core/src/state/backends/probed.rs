//! Which backends are probed from this node: few enough that a large fleet drowns no backend.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{Backends, Use, faults::BackendState, is_probed, resting::Resting};
use crate::{
    health::{TRIAL, strictest},
    input::{AtRest, Moment, Network, ProbeOrder},
    service::{BackendRef, Probe, Protocol, Service, ServiceRef},
    state::State,
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
    /// 1. All backends of a service that has at most 16 of them beside those at rest; else those of this node (the
    ///    kernel learns which process serves one from a connection that it accepts, and then sees
    ///    its end), those that sockets of this node used in the last 5 minutes, and one of each
    ///    tier, another one from each node. Once these are 2,048, only of services that sockets of
    ///    this node use. The others come owner after owner, of each those with a policy first. Of those
    ///    in other clusters, see `resting.rs`.
    /// 2. Those with a veto that is not an operator's, and those of which the kernel has seen
    ///    something, though no service configures a probe.
    /// 3. When no other node seems to answer: a few backends that should.
    /// 4. Of a cluster that is silent, or seems to be, some in turn. While none of it answers, none but
    ///    these.
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
        let mut order = |backend: BackendRef, probe: &Probe, rest: Option<AtRest>| {
            let ordered = probes.entry(backend).and_modify(|other: &mut ProbeOrder| {
                other.probe = strictest(&other.probe, probe);
                if rest.is_none() {
                    other.rest = None;
                }
            });
            ordered.or_insert_with(|| ProbeOrder {
                probe: probe.clone(),
                owners: owners.of(&backend),
                is_out: false,
                urgency: 0,
                rest,
            });
        };
        let mut asked: BTreeSet<BackendRef> = BTreeSet::new();
        let (mut resting, mut resters) = (Resting::default(), Vec::new());
        for (is_used, service) in self.asking() {
            let Some(probe) = &service.policy.probe else { continue };
            let is_full = !is_used && asked.len() >= MANY;
            if is_full && !self.clusters.is_any_used() {
                break;
            }
            let at_rest = self.at_rest(service);
            for backend in self.probed_for(service, &at_rest).into_iter().filter(|_| !is_full) {
                asked.insert(backend);
                order(backend, probe, None);
            }
            resters.extend(at_rest.keys().map(|backend| (*backend, probe)));
            resting.add(service.name.owner(), at_rest);
        }
        let admitted = resting.admit();
        for (backend, probe) in resters {
            if let Some(rest) = admitted.get(&backend) {
                order(backend, probe, Some(rest.clone()));
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
        for backend in self.clusters.left_alone() {
            probes.remove(backend);
        }
        let doubted = self.tables.objections.keys().chain(self.backends.suspected.keys());
        for backend in doubted.filter(|backend| is_probed(backend)) {
            if self.backends.get(backend).is_some_and(BackendState::is_doubted)
                && !self.clusters.is_left_alone(backend)
            {
                let urgency = self.backends.faults(backend).map_or(0, |faults| faults.urgency);
                probes.insert(*backend, self.order(backend, owners.of(backend), urgency));
            }
        }
        let (witnesses, urgency) = self.nodes.witnesses();
        for backend in witnesses.iter().filter(|backend| self.backends.is_listed(backend)) {
            probes.insert(*backend, self.order(backend, owners.of(backend), urgency));
        }
        for (backend, urgency) in self.clusters.asked() {
            let mut order = self.order(backend, owners.of(backend), urgency);
            order.probe.timeout_ms = order.probe.timeout_ms.min(TRIAL.timeout_ms);
            probes.insert(*backend, order);
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
        let asking = self.services().filter(|service| service.policy.probe.is_some());
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
        let is_out = self.backends.get(backend).is_some_and(|state| !state.word().is_usable());
        let probe = self.probe(backend).unwrap_or(TRIAL);
        ProbeOrder { probe, owners, is_out, urgency, rest: None }
    }

    /// Backends of a service with a probe that are probed because of it, beside those at rest.
    fn probed_for(
        &self,
        service: &Service,
        at_rest: &BTreeMap<BackendRef, (Arc<str>, u64)>,
    ) -> BTreeSet<BackendRef> {
        let is_probed = |it: &BackendRef| is_probed(it) && !at_rest.contains_key(it);
        if service.backends.len() - at_rest.len() <= SMALL {
            return service.backend_refs().filter(is_probed).collect();
        }
        let is_used = |backend: &BackendRef| self.backends.used.contains_key(backend);
        let used = service.backend_refs().filter(is_used);
        let mut probed: BTreeSet<BackendRef> = used.filter(is_probed).collect();
        probed.extend(self.local_backends(&service.name).filter(is_probed));
        let listed: BTreeSet<BackendRef> = service.backend_refs().collect();
        let Some(tables) = self.tables.services.get(&service.name) else { return probed };
        let node = self.node.node.as_deref().unwrap_or_default();
        for tier in tables.v4.tiers.iter().chain(&tables.v6.tiers) {
            let entries = tier.entries.iter().map(|entry| entry.backend);
            let own = entries.filter(|backend| is_probed(backend) && listed.contains(backend));
            probed.extend(own.min_by_key(|backend| (rank_of(node, backend), *backend)));
        }
        probed
    }
}

impl Backends {
    /// Sockets of this node have used these: they are probed from here for a while.
    pub(in crate::state) fn use_from_here(&mut self, used: &[(BackendRef, Network)], now: Moment) {
        for (backend, network) in used {
            if self.is_listed(backend) {
                let earlier = self.used.get(backend).and_then(|used| used.from_system);
                let from_system = (*network == Network::OfSystem).then_some(now).or(earlier);
                self.used.insert(*backend, Use { last: now, from_system });
            }
        }
        if !self.used.is_empty() {
            self.look_again.get_or_insert(now.after(USED));
        }
    }

    /// Whether sockets in a network of the system use a backend.
    pub(in crate::state) fn is_used_by_system(&self, backend: &BackendRef) -> bool {
        self.used.get(backend).is_some_and(|used| used.from_system.is_some())
    }

    /// Whether sockets of this node use a backend.
    pub(in crate::state) fn is_used(&self, backend: &BackendRef) -> bool {
        self.used.contains_key(backend)
    }

    /// Backends that sockets of this node use.
    pub(in crate::state) fn used(&self) -> impl Iterator<Item = &BackendRef> {
        self.used.keys()
    }

    /// When some of the used backends may have been unused for long.
    pub(super) fn unused_at(&self) -> Option<Moment> {
        self.look_again
    }

    pub(super) fn forget_unused(&mut self, now: Moment) {
        if self.look_again.is_none_or(|at| now < at) {
            return;
        }
        let is_recent = |last: Moment| now < last.after(USED);
        self.used.retain(|_, used| {
            used.from_system = used.from_system.filter(|last| is_recent(*last));
            is_recent(used.last)
        });
        let firsts = self.used.values().map(|used| used.from_system.unwrap_or(used.last));
        self.look_again = firsts.min().map(|first| first.after(USED));
    }
}

/// Owners of the backends. Nearly all have one: the backends of one owner share its name.
struct Owners<'w> {
    backends: &'w Backends,
    shared: BTreeMap<BTreeSet<&'w str>, Arc<[Arc<str>]>>,
}

impl Owners<'_> {
    fn of(&mut self, backend: &BackendRef) -> Arc<[Arc<str>]> {
        let owners = self.backends.owners(backend);
        let shared = |owners: &BTreeSet<&str>| owners.iter().map(|owner| (*owner).into()).collect();
        Arc::clone(self.shared.entry(owners).or_insert_with_key(shared))
    }
}

/// A number that is different for each node and backend, and the same every time.
pub(in crate::state) fn rank_of(node: &str, backend: &BackendRef) -> u64 {
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
