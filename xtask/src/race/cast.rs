//! Who is dialled: three zones of three replicas, and the addresses that clients dial.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The Service's address. No machine has it.
pub(super) const SERVICE: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10)), 80);
/// Where a proxy listens, in its client's namespace.
pub(super) const PROXY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15001);
/// Where every replica listens, on its own node.
pub(super) const PORT: u16 = 8080;
/// The clients' own zone first.
pub(super) const ZONES: [&str; 3] = ["a", "b", "c"];
/// Replicas of each zone.
pub(super) const IN_EACH: usize = 3;
/// All replicas.
pub(super) const REPLICAS: usize = ZONES.len() * IN_EACH;

/// A replica, alone on its node. Those of the clients' zone are the first ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member(usize);

impl Member {
    /// All of them, zone after zone.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..REPLICAS).map(Self)
    }

    /// The one that answers with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::all().find(|member| member.name() == name)
    }

    /// What it answers with, and what its node is called: `a1`.
    pub(super) fn name(self) -> String {
        format!("{}{}", self.zone(), self.0 % IN_EACH + 1)
    }

    /// Where it is.
    pub(super) fn zone(self) -> &'static str {
        ZONES[self.0 / IN_EACH]
    }

    /// Whether it is in the clients' zone.
    pub(super) fn is_near(self) -> bool {
        self.0 < IN_EACH
    }

    /// Its number, from 0.
    pub(super) fn index(self) -> usize {
        self.0
    }

    /// Where it listens. The lab numbers nodes from 1, and replicas come first there.
    pub(super) fn address(self) -> SocketAddr {
        let number = u8::try_from(self.0 + 1).expect("a lab has fewer nodes");
        SocketAddr::new(Ipv4Addr::new(10, 77, number, 1).into(), PORT)
    }
}
