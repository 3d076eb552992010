//! Which Service has which address, when several say so.
//!
//! Cluster addresses and node ports are given out by the API server, each once; load-balancer and
//! external addresses are claimed by any user who may write a Service. So the former come first,
//! and the latter never where a pod answers: neither the traffic of another Service nor that of a
//! pod can be claimed. What a Service does not get is left to kube-proxy.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use redirector_core::service::{Frontend, Protocol};

use super::settings::Settings;
use crate::api::{Family, Node, ObjectRef, Service, ServicePort};

/// What kind of address it is; earlier ones come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    Cluster,
    NodePort,
    /// Users choose these addresses, and those that follow.
    LoadBalancer,
    External,
}

/// A Service port's wish for an address. Claims are in the order in which they come: kind, age, name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    pub origin: Origin,
    /// When the Service was created, in milliseconds.
    pub created: i64,
    pub object: ObjectRef,
    /// Name of the port.
    pub port: Arc<str>,
}

/// The addresses of a Service: those that kube-proxy serves for sockets on this node, without what
/// it lets only some clients use.
///
/// kube-proxy: `serviceToServiceMap` skips a family without a cluster address, `newBaseServiceInfo`
/// reads the others. With `internalTrafficPolicy: Local` only cluster addresses are local ones, the
/// others lead to all endpoints (`UsesClusterEndpoints`), so they are left to it.
pub(super) fn claims(
    service: &Service,
    node: &Node,
    settings: &Settings,
) -> Vec<(Frontend, Claim)> {
    let cluster: Vec<IpAddr> = service.cluster_ips.iter().flatten().copied().collect();
    let has =
        |address: &IpAddr| cluster.iter().any(|other| Family::of(*other) == Family::of(*address));
    let is_open = !service.is_internal_local;
    let externals = is_open && settings.external_ips;
    let balanced = is_open && !service.has_source_ranges;
    let mut claims = Vec::new();
    for ServicePort { name, protocol, port, node_port } in &service.ports {
        let Some(protocol) = *protocol else { continue };
        let mut add = |origin, address: IpAddr, port| {
            let (created, object) = (service.created, service.object.clone());
            let claim = Claim { origin, created, object, port: Arc::clone(name) };
            claims.push((Frontend { address, port, protocol }, claim));
        };
        for address in &cluster {
            add(Origin::Cluster, *address, *port);
        }
        if let Some(number) = node_port.filter(|_| is_open) {
            for address in node.addresses.iter().filter(|address| has(address)) {
                add(Origin::NodePort, *address, number);
            }
        }
        for address in service.load_balancer_ips.iter().flatten().filter(|_| balanced) {
            if has(address) {
                add(Origin::LoadBalancer, *address, *port);
            }
        }
        for address in service.external_ips.iter().flatten().filter(|_| externals) {
            if has(address) {
                add(Origin::External, *address, *port);
            }
        }
    }
    claims.sort_unstable();
    claims.dedup();
    claims
}

/// All claims of all Services.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    /// Claims of each frontend, sorted: mostly one, for which a set is too much.
    by_frontend: BTreeMap<Frontend, Vec<Claim>>,
    /// Each address that is claimed, how often, and the Services with an endpoint there: hardly
    /// any.
    addresses: BTreeMap<IpAddr, ClaimedAddress>,
}

#[derive(Clone, Debug, Default)]
struct ClaimedAddress {
    claims: usize,
    endpoints_of: BTreeSet<ObjectRef>,
}

impl Claims {
    /// Adds a claim. Returns whether no Service claimed that address before: then its endpoints are
    /// to be looked for.
    pub fn add(&mut self, frontend: Frontend, claim: Claim) -> bool {
        let claims = self.by_frontend.entry(frontend).or_default();
        let Err(at) = claims.binary_search(&claim) else { return false };
        claims.reserve_exact(1);
        claims.insert(at, claim);
        let claimed = self.addresses.entry(frontend.address).or_default();
        claimed.claims += 1;
        claimed.claims == 1
    }

    /// Withdraws a claim.
    pub fn remove(&mut self, frontend: &Frontend, claim: &Claim) {
        let Some(claims) = self.by_frontend.get_mut(frontend) else { return };
        let Ok(at) = claims.binary_search(claim) else { return };
        claims.remove(at);
        if claims.is_empty() {
            self.by_frontend.remove(frontend);
        }
        if let Some(claimed) = self.addresses.get_mut(&frontend.address) {
            claimed.claims -= 1;
            if claimed.claims == 0 {
                self.addresses.remove(&frontend.address);
            }
        }
    }

    /// Notes that a Service has an endpoint at an address. Returns whether that is claimed, and new.
    pub fn link(&mut self, address: IpAddr, object: &ObjectRef) -> bool {
        let Some(claimed) = self.addresses.get_mut(&address) else { return false };
        claimed.endpoints_of.insert(object.clone())
    }

    /// Notes that a Service has no endpoint there any more.
    pub fn unlink(&mut self, address: IpAddr, object: &ObjectRef) {
        if let Some(claimed) = self.addresses.get_mut(&address) {
            claimed.endpoints_of.remove(object);
        }
    }

    /// The Services with an endpoint at an address that is claimed.
    pub fn endpoints_at(&self, address: &IpAddr) -> impl Iterator<Item = &ObjectRef> {
        self.addresses.get(address).into_iter().flat_map(|claimed| &claimed.endpoints_of)
    }

    /// The Services that claim any port of an address.
    pub fn claimants_of(&self, address: IpAddr) -> impl Iterator<Item = &ObjectRef> {
        let end = |port, protocol| Frontend { address, port, protocol };
        self.by_frontend
            .range(end(0, Protocol::Tcp)..=end(u16::MAX, Protocol::Udp))
            .flat_map(|(_, claims)| claims.iter().map(|claim| &claim.object))
    }

    /// The claim that has a frontend; `is_pod` says whether a pod answers there.
    pub fn holder(
        &self,
        frontend: &Frontend,
        is_pod: impl FnOnce(&Frontend) -> bool,
    ) -> Option<&Claim> {
        let first = self.by_frontend.get(frontend)?.first()?;
        (first.origin < Origin::LoadBalancer || !is_pod(frontend)).then_some(first)
    }
}
