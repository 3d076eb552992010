//! Who takes part: the tiers as n1 sees them, their replicas, and the address that is dialled.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where the client and the agent run.
pub(super) const CLIENT_NODE: &str = "n1";
/// The Service's address. No machine has it.
pub(super) const SERVICE: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10)), 80);
pub(super) const NAMESPACE: &str = "demo";
pub(super) const SERVICE_NAME: &str = "checkout";
/// The Service as the agent calls it: namespace and name.
pub(super) const SERVICE_ID: &str = "demo/checkout";
/// Where every replica listens, on its own node.
pub(super) const PORT: u16 = 8080;
/// Dials per second.
pub(super) const RATE: u32 = 200;

/// Replicas that are equally near to the client.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) name: &'static str,
    /// Where its nodes are, as the file says it.
    pub(super) locality: &'static str,
    /// The zone in the client's own cluster; `None`: the tier is another cluster.
    pub(super) zone: Option<&'static str>,
}

/// A replica, alone on its node.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) node: &'static str,
    /// The lab's address of that node.
    pub(super) address: Ipv4Addr,
    /// Index into `TIERS`.
    pub(super) tier: usize,
}

/// How a replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplicaState {
    Well,
    /// It lives, and clients hear nothing of it.
    Mute,
    Dead,
}

/// The tiers from near to far.
pub(super) const TIERS: [Tier; 3] = [
    Tier { name: "zone a", locality: "zone: a, region: eu", zone: Some("a") },
    Tier { name: "zone b", locality: "zone: b, region: eu", zone: Some("b") },
    Tier { name: "cluster west", locality: "zone: x, region: us, cluster: west", zone: None },
];

pub(super) const MEMBERS: [Member; 6] = [
    Member { name: "a1", node: "n2", address: Ipv4Addr::new(10, 77, 2, 1), tier: 0 },
    Member { name: "a2", node: "n3", address: Ipv4Addr::new(10, 77, 3, 1), tier: 0 },
    Member { name: "b1", node: "n4", address: Ipv4Addr::new(10, 77, 4, 1), tier: 1 },
    Member { name: "b2", node: "n5", address: Ipv4Addr::new(10, 77, 5, 1), tier: 1 },
    Member { name: "w1", node: "n6", address: Ipv4Addr::new(10, 77, 6, 1), tier: 2 },
    Member { name: "w2", node: "n7", address: Ipv4Addr::new(10, 77, 7, 1), tier: 2 },
];

/// Index of the replica that an answer names.
pub(super) fn member(answer: &str) -> Option<usize> {
    let name = answer.split(' ').next()?;
    MEMBERS.iter().position(|member| member.name == name)
}

impl Member {
    /// What it answers, for people with curl. The first word is its name.
    pub(super) fn answer(&self) -> String {
        format!("{} in {}, on node {}", self.name, TIERS[self.tier].name, self.node)
    }
}
