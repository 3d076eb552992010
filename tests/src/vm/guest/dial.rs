//! Dials a service the way an application does, and says who answered and what the socket shows.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result};

use crate::dialer::{self, Dial, Dialled, Transport};

/// How an application writes the address of a service.
#[derive(Debug, Clone, Copy)]
pub(super) enum Family {
    Ipv4,
    Ipv6,
    /// An IPv6 socket that dials `::ffff:a.b.c.d`.
    Mapped,
}

/// What one dial came to.
#[derive(Debug)]
pub(super) struct Answer {
    /// The replica that answered, by its own words.
    pub(super) replica: SocketAddr,
    /// What `getpeername` shows; nothing for an unconnected socket.
    pub(super) peer: Option<SocketAddr>,
    /// Where the answer came from, as `recvfrom` shows it; nothing for TCP.
    pub(super) source: Option<SocketAddr>,
}

impl Family {
    pub(super) const ALL: [Self; 3] = [Self::Ipv4, Self::Ipv6, Self::Mapped];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Mapped => "v4-mapped",
        }
    }

    /// The frontend whose last byte is `service`, as in `config.yaml`.
    pub(super) fn frontend(self, service: u8, transport: Transport) -> SocketAddr {
        let address = match self {
            Self::Ipv4 => IpAddr::V4(Ipv4Addr::new(10, 96, 0, service)),
            Self::Ipv6 => IpAddr::V6(Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, service.into())),
            Self::Mapped => IpAddr::V6(Ipv4Addr::new(10, 96, 0, service).to_ipv6_mapped()),
        };
        SocketAddr::new(address, port(transport))
    }
}

pub(super) const TRANSPORTS: [Transport; 3] =
    [Transport::Tcp, Transport::Udp, Transport::UdpUnconnected];

pub(super) fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "connected UDP",
        Transport::UdpUnconnected => "unconnected UDP",
    }
}

fn port(transport: Transport) -> u16 {
    match transport {
        Transport::Tcp => 80,
        Transport::Udp | Transport::UdpUnconnected => 53,
    }
}

/// Dials with a fresh socket. The error is that of the system call, for its number.
pub(super) fn dial(transport: Transport, address: SocketAddr) -> io::Result<Answer> {
    let Dialled { outcome, peer, source, .. } =
        dialer::dial(&Dial { transport, ..Dial::tcp(address) });
    let name = outcome.map_err(|failure| match failure.errno {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::other("the answer was cut short"),
    })?;
    let replica = name.parse();
    let replica = replica.map_err(|_| io::Error::other(format!("a replica answered {name:?}")))?;
    Ok(Answer { replica, peer, source })
}

impl Answer {
    /// Whether the socket shows `dialled` wherever it shows an address.
    pub(super) fn shows(&self, dialled: SocketAddr) -> bool {
        self.peer.into_iter().chain(self.source).all(|shown| shown == dialled)
    }
}

/// The number of the error that a dial ended with; `None` when it succeeded.
pub(super) fn error_number(result: &io::Result<Answer>) -> Option<i32> {
    result.as_ref().err().map(|error| error.raw_os_error().unwrap_or_default())
}

/// Dials `times` times and calls `each` with every answer.
pub(super) fn repeatedly(
    transport: Transport,
    address: SocketAddr,
    times: u32,
    mut each: impl FnMut(Answer) -> Result<()>,
) -> Result<()> {
    for round in 1..=times {
        let answer = dial(transport, address);
        each(answer.with_context(|| format!("dial {round} of {times} to {address}"))?)?;
    }
    Ok(())
}
