//! Dials a service the way an application does, and says who answered and what the socket shows.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};

const LONGEST: Duration = Duration::from_secs(5);

/// How an application writes the address of a service.
#[derive(Debug, Clone, Copy)]
pub(super) enum Family {
    Ipv4,
    Ipv6,
    /// An IPv6 socket that dials `::ffff:a.b.c.d`.
    Mapped,
}

/// How an application uses its socket.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Tcp,
    UdpConnected,
    /// `sendto` and `recvfrom`, never `connect`.
    UdpUnconnected,
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
    pub(super) fn frontend(self, service: u8, way: Way) -> SocketAddr {
        let address = match self {
            Self::Ipv4 => IpAddr::V4(Ipv4Addr::new(10, 96, 0, service)),
            Self::Ipv6 => IpAddr::V6(Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, service.into())),
            Self::Mapped => IpAddr::V6(Ipv4Addr::new(10, 96, 0, service).to_ipv6_mapped()),
        };
        SocketAddr::new(address, way.port())
    }
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Tcp, Self::UdpConnected, Self::UdpUnconnected];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::UdpConnected => "connected UDP",
            Self::UdpUnconnected => "unconnected UDP",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Tcp => 80,
            Self::UdpConnected | Self::UdpUnconnected => 53,
        }
    }

    /// Dials with a fresh socket. The error is that of the system call, for its number.
    pub(super) fn dial(self, address: SocketAddr) -> io::Result<Answer> {
        let mut text = [0; 64];
        match self {
            Self::Tcp => {
                let mut stream = TcpStream::connect_timeout(&address, LONGEST)?;
                stream.set_read_timeout(Some(LONGEST))?;
                let peer = Some(stream.peer_addr()?);
                let mut text = String::new();
                stream.read_to_string(&mut text)?;
                Ok(Answer { replica: replica(text.as_bytes())?, peer, source: None })
            }
            Self::UdpConnected => {
                let socket = udp_socket(address)?;
                socket.connect(address)?;
                let peer = Some(socket.peer_addr()?);
                socket.send(b"?")?;
                let (length, source) = socket.recv_from(&mut text)?;
                Ok(Answer { replica: replica(&text[..length])?, peer, source: Some(source) })
            }
            Self::UdpUnconnected => {
                let socket = udp_socket(address)?;
                socket.send_to(b"?", address)?;
                let (length, source) = socket.recv_from(&mut text)?;
                Ok(Answer { replica: replica(&text[..length])?, peer: None, source: Some(source) })
            }
        }
    }
}

impl Answer {
    /// Whether the socket shows `dialled` wherever it shows an address.
    pub(super) fn shows(&self, dialled: SocketAddr) -> bool {
        self.peer.into_iter().chain(self.source).all(|shown| shown == dialled)
    }
}

fn udp_socket(towards: SocketAddr) -> io::Result<UdpSocket> {
    let any = match towards {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(LONGEST))?;
    Ok(socket)
}

fn replica(answer: &[u8]) -> io::Result<SocketAddr> {
    let text = String::from_utf8_lossy(answer);
    text.parse().map_err(|_| io::Error::other(format!("a replica answered {text:?}")))
}

/// The number of the error that a dial ended with; `None` when it succeeded.
pub(super) fn error_number(result: &io::Result<Answer>) -> Option<i32> {
    result.as_ref().err().map(|error| error.raw_os_error().unwrap_or_default())
}

/// Dials `times` times and calls `each` with every answer.
pub(super) fn repeatedly(
    way: Way,
    address: SocketAddr,
    times: u32,
    mut each: impl FnMut(Answer) -> Result<()>,
) -> Result<()> {
    for round in 1..=times {
        let answer = way.dial(address);
        each(answer.with_context(|| format!("dial {round} of {times} to {address}"))?)?;
    }
    Ok(())
}
