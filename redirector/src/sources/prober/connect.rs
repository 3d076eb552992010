//! Connects to a backend.
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
use tokio::net::TcpStream;

use super::failure::Failure;

/// A socket that has begun to connect. When it is closed it is reset, which leaves no `TIME_WAIT`
/// behind.
pub(super) fn begin(peer: SocketAddr) -> Result<TcpStream, Failure> {
    try_begin(peer).map_err(|error| match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => error.into(),
        _ => Failure::Local(error),
    })
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
