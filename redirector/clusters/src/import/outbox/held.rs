//! What counts of an outbox: all that it says, and what has vanished of it without proof.
//!
//! Additions and changes count at once. What vanishes is kept as it was, with the number of the first
//! state that lacks it, until a manifest proves that state or a later one.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use redirector_kube::api::{Family, ObjectRef};
use redirector_policy::Reach;

use super::told::Told;
use crate::api::{ExportedPort, ExportedServiceSpec, GatewayKind, OutboxEndpoint, OutboxPort};

/// One Service of another cluster as it counts here.
#[derive(Clone, Debug)]
pub(in crate::import) struct HeldService {
    /// Without what changes with its endpoints: `ready`, `gateways` and `digest` are empty. With ports
    /// that have vanished without proof.
    pub spec: Arc<ExportedServiceSpec>,
    /// Its endpoints.
    pub endpoints: BTreeMap<Spot, HeldEndpoint>,
    /// The first state without it.
    gone: Option<u64>,
    /// Ports that the newest version lacks.
    gone_ports: Vec<(ExportedPort, u64)>,
}

/// Where an endpoint answers. Endpoints with the same ports may share a slice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::import) struct Spot {
    pub ports: Arc<[OutboxPort]>,
    pub address: IpAddr,
}

impl Spot {
    pub fn family(&self) -> Family {
        Family::of(self.address)
    }
}

/// An endpoint as it counts here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) struct HeldEndpoint {
    pub endpoint: OutboxEndpoint,
    /// The first state without it.
    gone: Option<u64>,
}

impl HeldService {
    /// One that an importer before this one has left. It is kept until a manifest proves that it is gone.
    pub fn found(spec: ExportedServiceSpec) -> Self {
        Self {
            spec: Arc::new(spec),
            endpoints: BTreeMap::new(),
            gone: None,
            gone_ports: Vec::new(),
        }
    }

    pub fn add_found(&mut self, spot: Spot, endpoint: OutboxEndpoint) {
        self.endpoints.insert(spot, HeldEndpoint { endpoint, gone: None });
    }

    /// Whether anything of it has vanished without proof.
    pub fn is_pending(&self) -> bool {
        self.gone.is_some()
            || !self.gone_ports.is_empty()
            || self.endpoints.values().any(|held| held.gone.is_some())
    }

    /// Whether that state lacks the whole Service.
    pub fn is_gone(&self, sequence: u64) -> bool {
        self.gone.is_some_and(|gone| gone <= sequence)
    }

    /// How many endpoints go when that state is proven.
    pub fn going(&self, sequence: u64) -> usize {
        let is_going = |gone: Option<u64>| gone.is_some_and(|gone| gone <= sequence);
        self.endpoints.values().filter(|held| is_going(held.gone)).count()
    }

    /// Takes in what the outbox says of it in that state. Returns whether it counts otherwise than before.
    pub fn merge(
        held: Option<Self>,
        told: &Told,
        object: &ObjectRef,
        reach: Reach,
        sequence: u64,
    ) -> (Option<Self>, bool) {
        let Some(spec) = told.spec(object) else {
            let held = held.map(|mut held| {
                held.gone.get_or_insert(sequence);
                for endpoint in held.endpoints.values_mut() {
                    endpoint.gone.get_or_insert(sequence);
                }
                held
            });
            return (held, false);
        };
        let mut is_other = held.is_none();
        let mut held = held.unwrap_or_else(|| Self::found(stable(spec)));
        held.gone = None;
        is_other |= held.merge_spec(spec, sequence);
        let mut left = std::mem::take(&mut held.endpoints);
        for (spot, endpoint) in endpoints(told, object, spec, reach) {
            let before = left.remove(&spot);
            is_other |= before.is_none_or(|before| before.endpoint != endpoint);
            held.endpoints.insert(spot, HeldEndpoint { endpoint, gone: None });
        }
        for (spot, mut endpoint) in left {
            endpoint.gone.get_or_insert(sequence);
            held.endpoints.entry(spot).or_insert(endpoint);
        }
        (Some(held), is_other)
    }

    /// Drops what was gone in that state; `None` is the whole Service. Returns whether anything was.
    pub fn prove(mut self, sequence: u64) -> (Option<Self>, bool) {
        let is_gone = |gone: Option<u64>| gone.is_some_and(|gone| gone <= sequence);
        if self.is_gone(sequence) {
            return (None, true);
        }
        let before = self.endpoints.len();
        self.endpoints.retain(|_, held| !is_gone(held.gone));
        let mut is_other = self.endpoints.len() != before;
        let (gone, kept): (Vec<_>, Vec<_>) =
            self.gone_ports.into_iter().partition(|(_, since)| is_gone(Some(*since)));
        self.gone_ports = kept;
        if !gone.is_empty() {
            is_other = true;
            let spec = Arc::make_mut(&mut self.spec);
            spec.ports.retain(|port| gone.iter().all(|(gone, _)| !is_same(gone, port)));
        }
        (Some(self), is_other)
    }

    fn merge_spec(&mut self, told: &ExportedServiceSpec, sequence: u64) -> bool {
        let mut spec = stable(told);
        let lacks = |port: &ExportedPort| !told.ports.iter().any(|new| is_same(new, port));
        self.gone_ports.retain(|(port, _)| lacks(port));
        for port in self.spec.ports.iter().filter(|port| lacks(port)) {
            if !self.gone_ports.iter().any(|(gone, _)| is_same(gone, port)) {
                self.gone_ports.push((port.clone(), sequence));
            }
        }
        spec.ports.extend(self.gone_ports.iter().map(|(port, _)| port.clone()));
        let is_other = *self.spec != spec;
        if is_other {
            self.spec = Arc::new(spec);
        }
        is_other
    }
}

fn is_same(one: &ExportedPort, other: &ExportedPort) -> bool {
    (&one.name, &one.protocol) == (&other.name, &other.protocol)
}

/// What of a spec does not change with its endpoints.
fn stable(spec: &ExportedServiceSpec) -> ExportedServiceSpec {
    ExportedServiceSpec { ready: 0, gateways: Vec::new(), digest: String::new(), ..spec.clone() }
}

/// The endpoints of a Service for that reach: its pods, or the gateways before them.
///
/// A gateway counts as ready while a pod behind it is: linkerd-failover#175. A name in DNS is no
/// address; it is passed over.
fn endpoints(
    told: &Told,
    object: &ObjectRef,
    spec: &ExportedServiceSpec,
    reach: Reach,
) -> Vec<(Spot, OutboxEndpoint)> {
    let kind = match reach {
        Reach::Pod => {
            let of = |slice: &crate::api::OutboxSlice| {
                let ports = Arc::clone(&slice.ports);
                let listed: Vec<_> = slice.endpoints.to_vec();
                listed.into_iter().map(move |endpoint| {
                    (Spot { ports: Arc::clone(&ports), address: endpoint.address }, endpoint)
                })
            };
            return told.slices_of(object).flat_map(of).collect();
        }
        Reach::LoadBalancer => GatewayKind::LoadBalancer,
        Reach::NodePort => GatewayKind::NodePort,
    };
    let is_ready = spec.ready > 0;
    let of_kind = spec.gateways.iter().filter(|gateway| gateway.kind == kind);
    let at = of_kind.filter_map(|gateway| {
        let of = |name: &str| spec.ports.iter().find(|port| port.name == name);
        let ports = gateway.ports.iter().filter_map(|port| {
            let service = of(&port.name)?;
            Some(OutboxPort {
                name: port.name.clone(),
                protocol: service.protocol.clone(),
                app_protocol: service.app_protocol.clone(),
                port: port.port,
            })
        });
        let endpoint = OutboxEndpoint {
            address: gateway.address?,
            is_ready,
            is_serving: is_ready,
            is_terminating: false,
            node: None,
            zone: gateway.zone.as_deref().map(Arc::from),
            hostname: None,
        };
        Some((Spot { ports: ports.collect(), address: endpoint.address }, endpoint))
    });
    at.collect()
}
