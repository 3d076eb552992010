//! Where an exported Service is reached without a route to its pods: its load balancer, its node ports.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use redirector_kube::api::{Family, Node};
use sha2::{Digest as _, Sha256};

use super::local::{LocalService, Place};
use crate::api::{Gateway, GatewayKind, GatewayPort};

/// Most nodes that stand for a Service.
const MAX_NODES: usize = 16;

/// Which kinds of gateway may be published.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published {
    pub(super) load_balancer: bool,
    pub(super) node_port: bool,
}

/// All gateways of a Service: none while it has no ready endpoint, because a load balancer without one
/// accepts connections and resets them. `hosts` are the nodes that have a ready one.
pub(super) fn of(
    service: &LocalService,
    nodes: &BTreeMap<Arc<str>, Node>,
    hosts: &BTreeSet<&str>,
    published: Published,
) -> Vec<Gateway> {
    let mut gateways = Vec::new();
    if published.load_balancer {
        gateways.extend(load_balancers(service));
    }
    if published.node_port {
        gateways.extend(node_ports(service, nodes, hosts));
    }
    gateways
}

fn load_balancers(service: &LocalService) -> impl Iterator<Item = Gateway> {
    let ports: Vec<GatewayPort> = service
        .ports
        .iter()
        .map(|port| GatewayPort { name: port.name.clone(), port: port.port })
        .collect();
    service.load_balancers.iter().map(move |place| {
        let (address, hostname) = match place {
            Place::Address(address) => (Some(*address), None),
            Place::Name(name) => (None, Some(name.clone())),
        };
        let kind = GatewayKind::LoadBalancer;
        Gateway { kind, address, hostname, zone: None, ports: ports.clone() }
    })
}

/// Each of the chosen nodes has a gateway for each of its addresses of the Service's families: which
/// of them another cluster has a route to is for that cluster's `cidrs` to say.
fn node_ports(
    service: &LocalService,
    nodes: &BTreeMap<Arc<str>, Node>,
    hosts: &BTreeSet<&str>,
) -> Vec<Gateway> {
    let ports: Vec<GatewayPort> = service
        .ports
        .iter()
        .filter_map(|port| Some(GatewayPort { name: port.name.clone(), port: port.node_port? }))
        .collect();
    if ports.is_empty() {
        return Vec::new();
    }
    let has_family = |address: &IpAddr| {
        let name = match Family::of(*address) {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        service.ip_families.is_empty() || service.ip_families.iter().any(|family| family == name)
    };
    let answers = |node: &&Node| {
        (!service.is_external_local || hosts.contains(&*node.object.name))
            && node.addresses.iter().any(has_family)
    };
    let chosen = chosen(&service.object.to_string(), nodes.values().filter(answers));
    chosen
        .into_iter()
        .flat_map(|node| node.addresses.iter().map(move |address| (node, *address)))
        .filter(|(_, address)| has_family(address))
        .map(|(node, address)| Gateway {
            kind: GatewayKind::NodePort,
            address: Some(address),
            hostname: None,
            zone: node.zone.as_deref().map(str::to_owned),
            ports: ports.clone(),
        })
        .collect()
}

/// At most [`MAX_NODES`] nodes, by rendezvous hashing (Thaler and Ravishankar): a node that comes or goes
/// changes one of them. The first of every zone comes before the second of any.
fn chosen<'n>(service: &str, nodes: impl Iterator<Item = &'n Node>) -> Vec<&'n Node> {
    let mut zones: BTreeMap<Option<&str>, Vec<(u64, &Node)>> = BTreeMap::new();
    for node in nodes {
        let zone = zones.entry(node.zone.as_deref()).or_default();
        zone.push((score(service, &node.object.name), node));
    }
    let mut ranked = Vec::new();
    for nodes in zones.values_mut() {
        nodes.sort_unstable_by_key(|(score, node)| (Reverse(*score), node.object.name.clone()));
        ranked.extend(nodes.iter().enumerate().map(|(rank, (score, node))| (rank, *score, *node)));
    }
    ranked.sort_by_key(|(rank, score, _)| (*rank, Reverse(*score)));
    let mut chosen: Vec<&Node> =
        ranked.into_iter().take(MAX_NODES).map(|(_, _, node)| node).collect();
    chosen.sort_unstable_by_key(|node| node.object.name.clone());
    chosen
}

fn score(service: &str, node: &str) -> u64 {
    let digest = Sha256::digest(format!("{service}\n{node}"));
    u64::from_le_bytes(digest[..8].try_into().unwrap_or_default())
}
