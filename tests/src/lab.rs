//! A network of nodes: namespaces joined by a bridge, with no route to anywhere else.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use anyhow::{Context as _, Result, ensure};

use crate::netns::Netns;

/// Limited by the third byte of an IPv4 address.
const MOST_NODES: usize = 254;

/// Rules of a node that drops what it gets, for `nft -f`. ARP is no part of this family, and
/// neighbour discovery is let through.
pub const BLACK_HOLE: &str = "
    table inet black_hole {
        chain input {
            type filter hook input priority filter;
            icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
            iifname eth0 drop
        }
    }";

/// Nodes on one network, 10.77.0.0/16 and fd77::/64. An address outside is unreachable, so a dial
/// that should have been redirected and was not fails at once and never leaves the machine.
#[derive(Debug)]
pub struct Lab {
    network: Netns,
    nodes: Vec<Node>,
}

/// A node: a namespace with one interface, `eth0`.
#[derive(Debug)]
pub struct Node {
    name: String,
    /// The number in its addresses, from 1.
    number: u8,
    netns: Netns,
}

impl Lab {
    /// One node per name. The first has 10.77.1.1 and fd77::1:1, the second 10.77.2.1, …
    pub fn new(names: &[&str]) -> Result<Self> {
        ensure!(names.len() <= MOST_NODES, "a lab has at most {MOST_NODES} nodes");
        let nodes = (1..).zip(names).map(|(number, name)| {
            Ok(Node { name: (*name).to_owned(), number, netns: Netns::new()? })
        });
        let lab = Self { network: Netns::new()?, nodes: nodes.collect::<Result<_>>()? };
        lab.network.ip(&lab.cables())?;
        for node in &lab.nodes {
            node.connect()?;
        }
        Ok(lab)
    }

    /// The node of that name. Panics if there is none.
    #[must_use]
    pub fn node(&self, name: &str) -> &Node {
        let node = self.nodes.iter().find(|node| node.name == name);
        node.unwrap_or_else(|| panic!("this lab has no node {name}"))
    }

    /// All nodes, in the order of their names in `new`.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Pulls the node's cable: nothing reaches it and nothing says so.
    pub fn cut(&self, name: &str) -> Result<()> {
        self.network.ip(&format!("link set {} down", self.node(name).port()))
    }

    /// Plugs it in again.
    pub fn heal(&self, name: &str) -> Result<()> {
        self.network.ip(&format!("link set {} up", self.node(name).port()))
    }

    /// Neither spanning tree nor multicast snooping: both let packets wait at first.
    fn cables(&self) -> String {
        let mut batch = String::from(
            "link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
             link set bridge up\n",
        );
        for node in &self.nodes {
            let (port, netns) = (node.port(), node.netns.path());
            let netns = netns.display();
            let _ = writeln!(batch, "link add {port} type veth peer name eth0 netns {netns}");
            let _ = writeln!(batch, "link set {port} master bridge up");
        }
        batch
    }
}

impl Node {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    #[must_use]
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// 10.77.*number*.1
    #[must_use]
    pub fn ipv4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number, 1)
    }

    /// fd77::*number*:1
    #[must_use]
    pub fn ipv6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, self.number.into(), 1)
    }

    /// Its IPv4 address with a port.
    #[must_use]
    pub fn socket4(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ipv4().into(), port)
    }

    /// Its IPv6 address with a port.
    #[must_use]
    pub fn socket6(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ipv6().into(), port)
    }

    /// Makes it a black hole: what arrives is dropped, and nothing says so. Its neighbours still
    /// find it, unlike after [`Lab::cut`].
    pub fn drop_packets(&self) -> Result<()> {
        self.netns.nft(BLACK_HOLE)
    }

    /// Ends [`Self::drop_packets`].
    pub fn take_packets(&self) -> Result<()> {
        self.netns.nft("delete table inet black_hole")
    }

    /// Gives it one more address, for example 10.77.2.9 for a second replica on node 2.
    pub fn add_address(&self, address: IpAddr) -> Result<()> {
        self.netns.ip(&added(address))
    }

    /// Drops whatever comes to this TCP port: there is no answer, and nothing says so.
    pub fn swallow(&self, port: u16) -> Result<()> {
        self.netns.nft(&format!(
            "table inet hole {{\n chain in {{\n type filter hook input priority 0\n \
             tcp dport {port} counter drop\n }}\n }}"
        ))
    }

    /// Ends [`Self::swallow`].
    pub fn answer_again(&self) -> Result<()> {
        self.netns.nft("delete table inet hole")
    }

    /// TCP connections that were accepted on this node.
    pub fn accepted(&self) -> Result<u64> {
        let snmp = self.netns.run(|| fs::read_to_string("/proc/thread-self/net/snmp"));
        let snmp = snmp.context("no counters of TCP")?;
        let mut rows =
            snmp.lines().filter(|line| line.starts_with("Tcp:")).map(|row| row.split(' '));
        let (names, values) = (rows.next(), rows.next());
        let mut columns = names.into_iter().flatten().zip(values.into_iter().flatten());
        let found = columns.find(|(name, _)| *name == "PassiveOpens");
        found.and_then(|(_, count)| count.parse().ok()).context("no count of what was accepted")
    }

    fn connect(&self) -> Result<()> {
        let addresses = [self.ipv4().into(), self.ipv6().into()].map(added).join("\n");
        self.netns
            .ip(&format!("link set eth0 up\n{addresses}"))
            .with_context(|| format!("cannot connect node {}", self.name))
    }

    fn port(&self) -> String {
        format!("port{}", self.number)
    }
}

/// Adds an address without duplicate address detection, which makes an IPv6 address wait for a second.
fn added(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("addr add {address}/16 dev eth0"),
        IpAddr::V6(address) => format!("addr add {address}/64 dev eth0 nodad"),
    }
}
