//! The network between clusters: one bridge, one range of addresses per cluster and family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result};

use crate::netns::Netns;

/// A network without a way out. All addresses are neighbours, as behind routers that know all pods.
#[derive(Debug)]
pub struct Backbone {
    network: Netns,
}

/// A namespace on the backbone, with one interface, `eth0`.
#[derive(Debug)]
pub struct Port {
    name: String,
    netns: Netns,
}

impl Backbone {
    /// A bridge with nothing on it.
    pub fn new() -> Result<Self> {
        let network = Netns::new()?;
        network.ip("link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
             link set bridge up")?;
        Ok(Self { network })
    }

    /// A new namespace on it with these addresses. The name has at most 15 letters.
    pub fn plug(&self, name: &str, addresses: &[IpAddr]) -> Result<Port> {
        let port = Port { name: name.to_owned(), netns: Netns::new()? };
        let netns = port.netns.path();
        self.network.ip(&format!(
            "link add {name} type veth peer name eth0 netns {}\n\
             link set {name} master bridge up",
            netns.display()
        ))?;
        port.netns.ip("link set eth0 up")?;
        addresses.iter().try_for_each(|address| port.add_address(*address))?;
        Ok(port)
    }
}

/// Neighbours stay known, so that it is reached at once when it heals.
const BLACK_HOLE: &str = "
    table inet black_hole {
        chain input {
            type filter hook input priority filter;
            icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
            iifname eth0 drop
        }
        chain output {
            type filter hook output priority filter;
            icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
            oifname eth0 drop
        }
    }";

impl Port {
    /// Its namespace.
    #[must_use]
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Gives it one more address, without the second that duplicate address detection takes.
    pub fn add_address(&self, address: IpAddr) -> Result<()> {
        let line = match address {
            IpAddr::V4(address) => format!("addr add {address}/12 dev eth0"),
            IpAddr::V6(address) => format!("addr add {address}/16 dev eth0 nodad"),
        };
        self.netns.ip(&line).with_context(|| format!("{}: cannot {line}", self.name))
    }

    /// What arrives and what leaves is dropped, and nothing says so; it still reaches itself. Were it only
    /// what arrives, a watch would go on to be heard until its connection needs an answer.
    pub fn cut(&self) -> Result<()> {
        self.netns.nft(BLACK_HOLE)
    }

    /// Ends [`Self::cut`].
    pub fn heal(&self) -> Result<()> {
        self.netns.nft("delete table inet black_hole")
    }
}

/// An address in the range of cluster `cluster`: `10.8C.part.number` and `fd80:C::part:number`.
#[must_use]
pub fn addresses(cluster: u8, part: u8, number: u8) -> [IpAddr; 2] {
    let v6 = [0xfd80, cluster.into(), 0, 0, 0, 0, part.into(), number.into()];
    [Ipv4Addr::new(10, 80 + cluster, part, number).into(), Ipv6Addr::from(v6).into()]
}

/// The ranges of cluster `cluster`, as a RemoteCluster names them.
#[must_use]
pub fn cidrs(cluster: u8) -> [String; 2] {
    [format!("10.{}.0.0/16", 80 + cluster), format!("fd80:{cluster}::/48")]
}
