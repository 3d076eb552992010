//! What a case promises to whoever dials: its lines about what the core is told, read again.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use super::{cases::Case, places::Places};

/// A line about a Service port.
#[derive(Debug, Clone)]
pub struct Told {
    /// `namespace/name:port`, in the lab.
    pub service: String,
    /// In the lab, with its protocol.
    pub frontends: Vec<(SocketAddr, Protocol)>,
    /// Preferred, ready, terminating; as the case writes them.
    pub ranks: [Vec<SocketAddr>; 3],
    /// A client keeps its endpoint.
    pub has_affinity: bool,
    /// What is not chosen is not refused but unreachable.
    pub is_unreachable: bool,
}

/// Of a frontend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Where a dial goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// To one of these replicas.
    Among(BTreeSet<String>),
    /// Nowhere, with that error.
    Refused(i32),
}

impl Told {
    /// kube-proxy's choice in a family, in order: ready and hinted, ready, serving while it
    /// terminates.
    pub fn choice(&self, family: IpAddr) -> Choice {
        let of_family = |rank: &Vec<SocketAddr>| -> BTreeSet<String> {
            let same = rank.iter().filter(|socket| socket.is_ipv4() == family.is_ipv4());
            same.map(ToString::to_string).collect()
        };
        let first = self.ranks.iter().map(of_family).find(|rank| !rank.is_empty());
        let errno = if self.is_unreachable { libc::EHOSTUNREACH } else { libc::ECONNREFUSED };
        first.map_or(Choice::Refused(errno), Choice::Among)
    }
}

/// The lines of a case; what notices it leads to is another test's business.
pub fn read(case: &Case, places: Places) -> Vec<Told> {
    let lines = case.told.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('!'));
    lines.map(|text| line(text, places)).collect()
}

fn line(text: &str, places: Places) -> Told {
    let (left, right) = text.split_once("=>").expect("frontends => backends");
    let mut left = left.split_whitespace();
    let (namespace, name) = left.next().and_then(|name| name.split_once('/')).expect("a name");
    let mut told = Told {
        service: format!("{}/{name}", places.namespace(namespace)),
        frontends: left.map(|frontend| self::frontend(frontend, places)).collect(),
        ranks: Default::default(),
        has_affinity: false,
        is_unreachable: false,
    };
    let mut rank = 0;
    for word in right.split_whitespace() {
        match word {
            "P" => rank = 0,
            "R" => rank = 1,
            "T" => rank = 2,
            "unreachable" => told.is_unreachable = true,
            _ if word.starts_with("affinity=") => told.has_affinity = true,
            _ => told.ranks[rank].push(word.parse().expect("an address with a port")),
        }
    }
    told
}

fn frontend(text: &str, places: Places) -> (SocketAddr, Protocol) {
    let (address, protocol) = text.split_once('/').expect("address:port/protocol");
    let protocol = if protocol == "udp" { Protocol::Udp } else { Protocol::Tcp };
    (places.socket(address.parse().expect("an address with a port")), protocol)
}
