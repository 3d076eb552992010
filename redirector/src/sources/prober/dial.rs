//! Connects to a backend, and says who is to blame when that fails.
//!
//! What the `connect` call itself says is about this machine: the route, the ports, the policy.
//! What comes later was said by the backend or by a router, or nothing was said.
//!
//! These are plain sockets to backend addresses. The programs in the kernel look up the address
//! dialled among the frontends, find nothing, and neither redirect nor arm the socket, so that a
//! probe never counts as a success or failure of an application's connect. No backend is a
//! frontend, by the rules of the sources and of the core.

use std::{io, net::SocketAddr, os::fd::AsRawFd as _};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
    },
};
use redirector_core::input::ProbeFailure;
use tokio::net::TcpStream;

/// Why a probe did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The backend's answer, or its silence.
    Backend(ProbeFailure),
    /// This machine could not ask: it says nothing about the backend.
    Local(io::Error),
}

impl Failure {
    /// The backend or a router said no.
    pub fn said(why: impl Into<std::sync::Arc<str>>) -> Self {
        Self::Backend(ProbeFailure::Failed(why.into()))
    }
}

/// Who said it, of an error that came after the `connect` call.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ETIMEDOUT) => Self::Backend(ProbeFailure::TimedOut),
            Some(
                libc::EMFILE
                | libc::ENFILE
                | libc::ENOBUFS
                | libc::ENOMEM
                | libc::EADDRNOTAVAIL
                | libc::EACCES
                | libc::EPERM,
            ) => Self::Local(error),
            _ => failed(&error),
        }
    }
}

/// A socket that has begun to connect. When it is closed it is reset, which leaves no `TIME_WAIT`
/// behind.
pub(super) fn begin(peer: SocketAddr) -> Result<TcpStream, Failure> {
    match try_begin(peer) {
        Ok(stream) => Ok(stream),
        Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => Err(failed(&error)),
        Err(error) => Err(Failure::Local(error)),
    }
}

fn try_begin(peer: SocketAddr) -> io::Result<TcpStream> {
    let family = if peer.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&fd, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?;
    // HTTP/2 begins with two small writes: the second one would wait for the peer's delayed
    // acknowledgement of the first.
    setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(peer)) {
        Ok(()) | Err(Errno::EINPROGRESS) => TcpStream::from_std(fd.into()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until the connection is accepted.
pub(super) async fn finish(stream: &TcpStream, peer: SocketAddr) -> io::Result<()> {
    stream.writable().await?;
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    // No socket listens on an ephemeral port of this machine, and the kernel chose that very port for
    // our end: TCP then connects the socket to itself.
    if stream.local_addr()? == peer {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(())
}

fn failed(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::said("connection refused"),
        io::ErrorKind::ConnectionReset => Failure::said("connection reset"),
        io::ErrorKind::HostUnreachable => Failure::said("host unreachable"),
        io::ErrorKind::NetworkUnreachable => Failure::said("network unreachable"),
        _ => Failure::said(error.to_string()),
    }
}
