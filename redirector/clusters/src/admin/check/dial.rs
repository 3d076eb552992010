//! Dials a sample of another cluster's endpoints from here: a connect, and a packet of 1,400 bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use nix::{
    getsockopt_impl,
    libc::{self, IP_PMTUDISC_DO, IPV6_PMTUDISC_DO},
    setsockopt_impl, sockopt_impl,
    sys::socket::{getsockopt, setsockopt, sockopt},
};
use redirector_policy::Reach;
use tokio::{
    net::{TcpStream, UdpSocket, lookup_host},
    time::{sleep, timeout},
};

use super::{Check, Finding, Outbox, There, count, some};
use crate::api::GatewayKind;

/// So many endpoints are asked.
const SAMPLE: usize = 8;
/// How long one may take to accept a connection, or to answer a packet.
const PATIENCE: Duration = Duration::from_secs(2);
/// What must arrive whole: with the headers of a tunnel it still fits into 1,500 bytes.
const PACKET: usize = 1_400;
/// Where nothing listens, as traceroute believes: the answer is that the port is unreachable.
const NO_PORT: u16 = 33_434;
/// When the packet is sent again: a router in between has answered by then that it is too large.
const AGAIN: Duration = Duration::from_millis(300);

sockopt_impl!(
    /// Whether packets may be taken apart on the way.
    Discover4, SetOnly, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::c_int);
sockopt_impl!(
    /// The same for IPv6.
    Discover6, SetOnly, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::c_int);
sockopt_impl!(
    /// What the kernel knows of the way to the peer.
    Mtu6, GetOnly, libc::IPPROTO_IPV6, libc::IPV6_MTU, libc::c_int);

/// One endpoint, as it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// Which one.
    pub address: SocketAddr,
    /// How long it took to accept a connection, or why it did not.
    pub connect: Result<Duration, String>,
    /// What became of a packet of 1,400 bytes.
    pub mtu: Mtu,
}

/// What became of a packet of 1,400 bytes that may not be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mtu {
    /// It arrived: the host has answered.
    Arrived,
    /// It is too large for the way there; so many bytes are not.
    TooLarge(i32),
    /// Nothing came back, which says nothing: a firewall may have dropped either.
    Unanswered,
}

/// Up to eight addresses that the reach of the cluster leads to, on as many nodes as there are.
pub(super) async fn sample(reach: Reach, outbox: &Outbox) -> Vec<SocketAddr> {
    let addresses = match reach {
        Reach::Pod => pods(outbox),
        Reach::LoadBalancer => {
            gateways(outbox, GatewayKind::LoadBalancer).await.into_iter().collect()
        }
        Reach::NodePort => gateways(outbox, GatewayKind::NodePort).await.into_iter().collect(),
    };
    addresses.into_iter().take(SAMPLE).collect()
}

/// Ready endpoints with TCP, one of each node in turn.
fn pods(outbox: &Outbox) -> Vec<SocketAddr> {
    let mut by_node: BTreeMap<_, BTreeSet<SocketAddr>> = BTreeMap::new();
    for slice in outbox.slices() {
        let Some(port) = slice.ports.iter().find(|port| port.protocol == "TCP") else { continue };
        for endpoint in slice.endpoints.iter().filter(|endpoint| endpoint.is_ready) {
            let address = SocketAddr::new(endpoint.address, port.port);
            by_node.entry(endpoint.node.clone()).or_default().insert(address);
        }
    }
    let most = by_node.values().map(BTreeSet::len).max().unwrap_or(0);
    let in_turn = (0..most).flat_map(|at| by_node.values().filter_map(move |of| of.iter().nth(at)));
    in_turn.copied().collect()
}

async fn gateways(outbox: &Outbox, kind: GatewayKind) -> BTreeSet<SocketAddr> {
    let mut addresses = BTreeSet::new();
    for (_, spec) in outbox.specs() {
        let tcp = spec.ports.iter().find(|port| port.protocol == "TCP");
        let Some(name) = tcp.map(|port| port.name.clone()) else { continue };
        for gateway in spec.gateways.iter().filter(|gateway| gateway.kind == kind) {
            let port = gateway.ports.iter().find(|port| port.name == name);
            let Some(port) = port.map(|port| port.port) else { continue };
            addresses.extend(gateway.address.map(|address| SocketAddr::new(address, port)));
            let Some(hostname) = &gateway.hostname else { continue };
            let found = timeout(PATIENCE, lookup_host((hostname.as_str(), port))).await;
            addresses.extend(found.into_iter().flatten().flatten().take(SAMPLE));
        }
    }
    addresses
}

/// Dials all of them at once.
pub(super) async fn all(addresses: Vec<SocketAddr>) -> Vec<Dial> {
    let tasks: Vec<_> = addresses
        .into_iter()
        .map(|address| {
            tokio::spawn(async move {
                let connect = connect(address).await.map_err(|why| why.to_string());
                let mtu = packet(address.ip()).await.unwrap_or(Mtu::Unanswered);
                Dial { address, connect, mtu }
            })
        })
        .collect();
    let mut dials = Vec::new();
    for task in tasks {
        dials.extend(task.await);
    }
    dials
}

async fn connect(address: SocketAddr) -> io::Result<Duration> {
    let begun = Instant::now();
    match timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(connected) => connected.map(|_| begun.elapsed()),
        Err(_) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {PATIENCE:?}")))
        }
    }
}

/// Sends a packet with DF to a port where nothing listens.
async fn packet(host: IpAddr) -> io::Result<Mtu> {
    let any = match host {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    let headers = match host {
        IpAddr::V4(_) => {
            setsockopt(&socket, Discover4, &IP_PMTUDISC_DO)?;
            20 + 8
        }
        IpAddr::V6(_) => {
            setsockopt(&socket, Discover6, &IPV6_PMTUDISC_DO)?;
            40 + 8
        }
    };
    socket.connect((host, NO_PORT)).await?;
    let payload = vec![0; PACKET - headers];
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Err(why) = socket.send(&payload).await
            && let Some(outcome) = outcome(&socket, host, &why)
        {
            return Ok(outcome);
        }
        let mut answer = [0; 1];
        tokio::select! {
            answered = socket.recv(&mut answer) => match answered {
                Ok(_) => return Ok(Mtu::Arrived),
                Err(why) => if let Some(outcome) = outcome(&socket, host, &why) {
                    return Ok(outcome);
                },
            },
            () = sleep(AGAIN) => {}
        }
    }
    Ok(Mtu::Unanswered)
}

/// What an error of the socket says of the packet.
fn outcome(socket: &UdpSocket, host: IpAddr, why: &io::Error) -> Option<Mtu> {
    match why.raw_os_error()? {
        libc::ECONNREFUSED => Some(Mtu::Arrived),
        libc::EMSGSIZE => {
            let mtu = match host {
                IpAddr::V4(_) => getsockopt(socket, sockopt::IpMtu),
                IpAddr::V6(_) => getsockopt(socket, Mtu6),
            };
            Some(Mtu::TooLarge(mtu.unwrap_or(0)))
        }
        _ => None,
    }
}

pub(super) fn dials(of: &There) -> Option<Finding> {
    if !of.has_server() {
        return None;
    }
    let (good, bad): (Vec<_>, Vec<_>) = of.dials.iter().partition(|dial| dial.connect.is_ok());
    let said = |dial: &&Dial| match &dial.connect {
        Ok(_) => dial.address.to_string(),
        Err(why) => format!("{} ({why})", dial.address),
    };
    let bad: Vec<_> = bad.iter().map(said).collect();
    let fix = "open the way from the pods of this cluster (routes, firewalls, NetworkPolicies), or use \
               another --reach; run this in a pod of this cluster to see what they see";
    let finding = match (good.len(), bad.len()) {
        (0, 0) => Check::Dial.unknown("it exports no ready endpoint with TCP", None),
        (0, _) => {
            Check::Dial.failed(format!("no endpoint accepts a connection: {}", some(&bad)), fix)
        }
        (good, 0) => {
            Check::Dial.ok(format!("{} asked, all accept connections", count(good, "endpoint")))
        }
        (good, all) => Check::Dial.warning(
            format!("{all} of {} endpoints accept no connection: {}", good + all, some(&bad)),
            fix,
        ),
    };
    Some(finding.of(of))
}

pub(super) fn mtu(of: &There) -> Option<Finding> {
    if !of.has_server() {
        return None;
    }
    let too_large = of.dials.iter().find_map(|dial| match dial.mtu {
        Mtu::TooLarge(mtu) => Some((dial.address.ip(), mtu)),
        Mtu::Arrived | Mtu::Unanswered => None,
    });
    let arrived = of.dials.iter().filter(|dial| dial.mtu == Mtu::Arrived).count();
    let finding = match (too_large, arrived) {
        (Some((host, mtu)), _) => Check::Mtu.failed(
            format!("{PACKET} bytes do not pass to {host}: the way takes {mtu}"),
            "raise the MTU of the way (a tunnel takes 50 to 80 bytes of it), or clamp the MSS on it",
        ),
        (None, 0) if of.dials.is_empty() => Check::Mtu.unknown("no endpoint to send to", None),
        (None, 0) => Check::Mtu.unknown(
            format!("no host answered a packet of {PACKET} bytes"),
            Some("a firewall may drop it or its ICMP answer; let ICMP pass, or TCP cannot learn the MTU"),
        ),
        (None, arrived) => Check::Mtu.ok(format!("{PACKET} bytes arrive whole at {}", count(arrived, "host"))),
    };
    Some(finding.of(of))
}
