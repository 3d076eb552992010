//! One Service of the core for each port of a Service.

mod remote;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_core::service::{
    self, Backend, BackendRef, Frontend, Locality, Policy, Probe, Protocol, ServiceRef,
};
use redirector_policy::TierServiceSpec;

use super::{
    Index,
    adoption::Adoption,
    endpoints::{Answers, NodeContext, answers, merge, rank},
    frontends::{Claim, Origin},
    notice::{Notice, reason},
};
use crate::{
    api::{Endpoint, Family, Node, ObjectRef, PortRef, Service, ServicePort},
    policies::Resolved,
};

/// One port of a Service, as the core was told of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PublishedPort {
    /// The port's name; empty is none.
    pub name: Arc<str>,
    pub service: service::Service,
}

/// A Service that is ours, and what people are to be told of it.
struct Answer<'a> {
    index: &'a Index,
    service: &'a Service,
    adoption: &'a Adoption,
    notices: Vec<Notice>,
}

impl Index {
    /// What the core is to be told of a Service that is ours, and what people are.
    pub(super) fn publish(
        &self,
        service: &Service,
        adoption: &Adoption,
        node: &Node,
    ) -> (Vec<PublishedPort>, Vec<Notice>) {
        let mut answer = Answer { index: self, service, adoption, notices: Vec::new() };
        answer.addresses();
        answer.notices.extend(self.suspected(service));
        let answers = answers(self.cache.own_slices(&service.object));
        let remote = answer.remote();
        let claims = claims_by_port(adoption);
        let mut ports = Vec::new();
        for port in &service.ports {
            let Some(protocol) = port.protocol else { continue };
            let frontends = answer.frontends(claims.get(&*port.name).map_or(&[], Vec::as_slice));
            if frontends.is_empty() && !self.referrers.contains_key(&service.object) {
                continue;
            }
            let here = NodeContext {
                node: &self.settings.node,
                zone: node.zone.as_deref(),
                has_node_hints: self.settings.features.node_hints,
            };
            let mut backends = answer.backends(&answers, (&port.name, protocol), here);
            answer.add_remote(&remote, port, &mut backends);
            let of = PortRef { object: service.object.clone(), port: Arc::clone(&port.name) };
            let name = of.service();
            let mut policy = self.policy(&service.object, &name, protocol);
            answer.leave_frontends_unprobed(&mut policy, &backends);
            // docs/adr/006: one refusal must not eject another namespace's backend. 0 is never.
            let has_others = self.cache.has_others(service) || !remote.used.is_empty();
            if policy.limits.refused == 1 && has_others {
                policy.limits.refused = 2;
            }
            let service = service::Service {
                name,
                frontends,
                virtual_addresses: service.cluster_ips.iter().flatten().copied().collect(),
                affinity_seconds: service.affinity_seconds,
                also_served: true,
                unreachable: service.is_internal_local,
                backends,
                policy,
            };
            ports.push(PublishedPort { name: of.port, service });
        }
        (ports, answer.notices)
    }

    /// The other Services that the policy of a Service names, and those of them of which it names what
    /// other clusters export.
    pub(super) fn references(
        &self,
        object: &ObjectRef,
    ) -> (BTreeSet<ObjectRef>, BTreeSet<ObjectRef>) {
        let of = || self.policies.of(object).into_iter();
        let named = of().flat_map(Resolved::services).map(|(named, _)| named);
        let exports = of().flat_map(Resolved::exports);
        let is_other = |named: &ObjectRef| named != object;
        (named.filter(is_other).collect(), exports.filter(is_other).collect())
    }

    /// Its policy, or the default one. TCP is probed in either case, unless a policy says how.
    fn policy(&self, object: &ObjectRef, own: &ServiceRef, protocol: Protocol) -> Policy {
        let refer = |tier: &TierServiceSpec| self.refer(object, tier, protocol);
        let resolved = self.policies.of(object);
        let mut policy =
            resolved.map_or_else(Policy::default, |resolved| resolved.valid.policy(own, refer));
        if policy.probe.is_none() && protocol == Protocol::Tcp {
            policy.probe = Some(Probe::default());
        }
        policy
    }

    /// The Service port that a tier names: by name or number, else the only one it has of the
    /// protocol. Where there is none of these it is one that no Service has, and the tier is empty.
    fn refer(&self, object: &ObjectRef, tier: &TierServiceSpec, protocol: Protocol) -> ServiceRef {
        let TierServiceSpec { name, port: wanted } = tier;
        let namespace = object.namespace.clone();
        let other = ObjectRef { namespace, name: name.as_str().into() };
        let wanted = wanted.as_deref();
        let served = self.served(&other);
        let ports = served.as_deref().map(|other| &*other.ports).unwrap_or_default();
        let mut of_protocol = ports.iter().filter(|port| port.protocol == Some(protocol));
        let found = match wanted {
            Some(wanted) => {
                let is_wanted = |port: &&ServicePort| {
                    *port.name == *wanted || (port.port != 0 && wanted.parse() == Ok(port.port))
                };
                of_protocol.find(is_wanted)
            }
            None => of_protocol.next().filter(|_| of_protocol.next().is_none()),
        };
        let port =
            found.map_or_else(|| wanted.unwrap_or_default().into(), |port| port.name.clone());
        PortRef { object: other, port }.service()
    }
}

impl<'a> Answer<'a> {
    fn note(&mut self, reason: &'static str, message: String) {
        let object = self.service.object.clone();
        self.notices.push(Notice { object, reason, message });
    }

    /// Says which addresses of its objects are not used.
    fn addresses(&mut self) {
        let Service { object, cluster_ips, external_ips, load_balancer_ips, .. } = self.service;
        let externals = self.index.settings.external_ips.then_some(external_ips);
        let all =
            cluster_ips.iter().chain(load_balancer_ips).chain(externals.into_iter().flatten());
        if !self.adoption.is_only_tier {
            for refused in all.filter_map(|address| address.as_ref().err()) {
                self.note(reason::REFUSED_ADDRESS, format!("{refused}; it is left to kube-proxy"));
            }
            self.outer();
        }
        for slice in self.index.cache.own_slices(object) {
            let Some(first) = slice.refused.first() else { continue };
            let more = match slice.refused_count {
                1 => String::new(),
                count => format!(", and {} more", count - 1),
            };
            self.notices.push(Notice {
                object: slice.object.clone(),
                reason: reason::REFUSED_ADDRESS,
                message: format!("{first}{more}; it is left out"),
            });
        }
    }

    /// Says which kinds of addresses are left to kube-proxy.
    fn outer(&mut self) {
        let Service { ports, load_balancer_ips, external_ips, .. } = self.service;
        let has_externals = self.index.settings.external_ips && !external_ips.is_empty();
        let has_outer = has_externals
            || !load_balancer_ips.is_empty()
            || ports.iter().any(|port| port.node_port.is_some());
        if self.service.is_internal_local {
            if has_outer {
                let message = "internalTrafficPolicy Local is for cluster addresses only; its \
                               other addresses are left to kube-proxy";
                self.note(reason::INTERNAL_LOCAL, message.to_owned());
            }
        } else if self.service.has_source_ranges && !load_balancer_ips.is_empty() {
            let message = "loadBalancerSourceRanges ask for the client's address, which is not \
                           known; its load-balancer addresses are left to kube-proxy";
            self.note(reason::SOURCE_RANGES, message.to_owned());
        }
    }

    /// The families in which it is served: kube-proxy's `serviceToServiceMap` skips one without a
    /// cluster address. A Service that only other clusters have is a tier in both.
    fn families(&self) -> impl Iterator<Item = Family> + use<> {
        let addresses = self.service.cluster_ips.iter().flatten();
        let of: BTreeSet<Family> = addresses.map(|address| Family::of(*address)).collect();
        let is_exported = !self.index.cache.services.contains_key(&self.service.object);
        [Family::V4, Family::V6].into_iter().filter(move |it| is_exported || of.contains(it))
    }

    /// Whether an endpoint is an address of a Service, which is said.
    fn is_frontend(&mut self, backend: &BackendRef) -> bool {
        let Some(holder) = self.index.holder_at(backend) else { return false };
        let message = format!("endpoint {backend} is an address of Service {}", holder.object);
        self.note(reason::ENDPOINT_IS_FRONTEND, message);
        true
    }

    /// Those of the claimed addresses that are its own.
    fn frontends(&mut self, claims: &[&(Frontend, Claim)]) -> Vec<Frontend> {
        let mut frontends = Vec::new();
        for (frontend, claim) in claims {
            match self.index.holder(frontend) {
                Some(holder) if (&holder.object, &holder.port) == (&claim.object, &claim.port) => {
                    frontends.push(*frontend);
                }
                Some(Claim { object, .. }) => self.note(
                    reason::ADDRESS_TAKEN,
                    format!("{frontend} is an address of Service {object}, whose it stays"),
                ),
                None if claim.origin >= Origin::LoadBalancer => {
                    let why = match self.index.clusters.holder(frontend.address) {
                        Some(cluster) => {
                            format!("{frontend} is in the ranges of cluster {cluster}")
                        }
                        None => format!("a pod answers at {frontend}"),
                    };
                    self.note(reason::ADDRESS_OF_POD, format!("{why}; it is left to kube-proxy"));
                }
                None => {}
            }
        }
        frontends.dedup();
        frontends
    }

    /// Its endpoints in this cluster.
    fn backends(
        &mut self,
        answers: &Answers<'a>,
        port: (&str, Protocol),
        here: NodeContext<'_>,
    ) -> Vec<Backend> {
        let Self { index, service, .. } = *self;
        let (_, protocol) = port;
        let mut listed = Vec::new();
        for family in self.families() {
            let found = merge(answers, port, family, here);
            for (candidate, rank) in rank(found, service.is_internal_local, here) {
                let backend =
                    BackendRef { address: candidate.address, port: candidate.port, protocol };
                if self.is_frontend(&backend) {
                    continue;
                }
                let Endpoint { node, zone, .. } = candidate.endpoint;
                let region = zone.as_ref().and_then(|zone| index.regions.get(zone)).cloned();
                let locality =
                    Locality { node: node.clone(), zone: zone.clone(), region, cluster: None };
                listed.push(Backend { backend, locality, weight: 1, rank });
            }
        }
        // They stay for as long as the Service does.
        listed.shrink_to_fit();
        listed
    }

    /// A probe of a frontend would be redirected, and say nothing about the backend.
    fn leave_frontends_unprobed(&mut self, policy: &mut Policy, listed: &[Backend]) {
        let Some(Probe { port, .. }) = &policy.probe else { return };
        let dialled = |backend: &BackendRef| BackendRef {
            port: port.unwrap_or(backend.port),
            protocol: Protocol::Tcp,
            ..*backend
        };
        let mut dialled = listed.iter().map(|found| dialled(&found.backend));
        let Some((probed, holder)) =
            dialled.find_map(|probed| Some((probed, self.index.holder_at(&probed)?)))
        else {
            return;
        };
        let message = format!(
            "a probe of {probed} would be redirected: it is an address of Service {}; nothing is \
             probed",
            holder.object
        );
        self.note(reason::PROBE_IS_FRONTEND, message);
        policy.probe = None;
    }
}

/// The addresses that each port wants.
fn claims_by_port(adoption: &Adoption) -> BTreeMap<&str, Vec<&(Frontend, Claim)>> {
    let mut by_port: BTreeMap<&str, Vec<&(Frontend, Claim)>> = BTreeMap::new();
    for wanted in &adoption.claims {
        by_port.entry(&wanted.1.port).or_default().push(wanted);
    }
    by_port
}

/// Where this agent runs, as the core knows it.
pub(super) fn place(index: &Index, node: &Node) -> Locality {
    Locality {
        node: Some(index.settings.node.clone()),
        zone: node.zone.clone(),
        region: node.region.clone(),
        cluster: index.clusters.own().id().or(index.settings.cluster.as_ref()).cloned(),
    }
}
