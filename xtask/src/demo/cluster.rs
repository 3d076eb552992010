//! Who takes part: the tiers as n1 sees them, their replicas, and the address that is dialled.
//!
//! A [`Cast`] is all of them: [`CAST`], or that of `--clusters`.

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

/// All who take part.
#[derive(Debug)]
pub(super) struct Cast {
    /// The tiers from near to far.
    pub(super) tiers: &'static [Tier],
    /// In the order of their tiers.
    pub(super) members: &'static [Member],
}

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
    /// Index into the tiers.
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

/// Two zones of the client's cluster, and another cluster.
pub(super) static CAST: Cast = Cast { tiers: &TIERS, members: &MEMBERS };

static TIERS: [Tier; 3] = [
    Tier { name: "zone a", locality: "zone: a, region: eu", zone: Some("a") },
    Tier { name: "zone b", locality: "zone: b, region: eu", zone: Some("b") },
    Tier { name: "cluster west", locality: "zone: x, region: us, cluster: west", zone: None },
];

static MEMBERS: [Member; 6] = [
    Member { name: "a1", node: "n2", address: Ipv4Addr::new(10, 77, 2, 1), tier: 0 },
    Member { name: "a2", node: "n3", address: Ipv4Addr::new(10, 77, 3, 1), tier: 0 },
    Member { name: "b1", node: "n4", address: Ipv4Addr::new(10, 77, 4, 1), tier: 1 },
    Member { name: "b2", node: "n5", address: Ipv4Addr::new(10, 77, 5, 1), tier: 1 },
    Member { name: "w1", node: "n6", address: Ipv4Addr::new(10, 77, 6, 1), tier: 2 },
    Member { name: "w2", node: "n7", address: Ipv4Addr::new(10, 77, 7, 1), tier: 2 },
];

impl Cast {
    /// Index of the replica that an answer names.
    pub(super) fn member(&self, answer: &str) -> Option<usize> {
        let name = answer.split(' ').next()?;
        self.members.iter().position(|member| member.name == name)
    }

    /// The tier of a replica.
    pub(super) fn tier(&self, member: &Member) -> &'static Tier {
        &self.tiers[member.tier]
    }

    /// What a replica answers, for people with curl. The first word is its name.
    pub(super) fn answer(&self, member: &Member) -> String {
        format!("{} in {}, on node {}", member.name, self.tier(member).name, member.node)
    }

    /// The replicas of the client's own cluster, each with its zone.
    pub(super) fn own(&self) -> impl Iterator<Item = (&'static Member, &'static str)> {
        self.members.iter().filter_map(|member| Some((member, self.tier(member).zone?)))
    }
}
