//! One probe: connects, and says who is to blame when that fails.
//!
//! What the `connect` call itself says is about this machine: the route, the ports, the policy.
//! What comes later was said by the backend, by a router, or by nobody.

use std::{io, net::SocketAddr, os::fd::AsRawFd as _, time::Duration};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
    },
};
use redirector_core::{input::ProbeFailure, service::BackendRef};
use tokio::{net::TcpStream, time};

/// What a probe found.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The backend's answer, or its silence.
    Answered(Result<(), ProbeFailure>),
    /// This machine could not ask: it says nothing about the backend.
    Local(io::Error),
}

/// Connects to `backend` and closes the connection by a reset, which leaves no `TIME_WAIT` behind.
pub(super) async fn dial(backend: BackendRef, timeout: Duration) -> Outcome {
    let peer = SocketAddr::new(backend.address, backend.port);
    let stream = match begin(peer) {
        Ok(stream) => stream,
        Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => return failed(&error),
        Err(error) => return Outcome::Local(error),
    };
    match time::timeout(timeout, finish(&stream, peer)).await {
        Err(_) => Outcome::Answered(Err(ProbeFailure::TimedOut)),
        Ok(Ok(())) => Outcome::Answered(Ok(())),
        Ok(Err(error)) => judge(error),
    }
}

/// A socket that has begun to connect.
fn begin(peer: SocketAddr) -> io::Result<TcpStream> {
    let family = if peer.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&fd, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?;
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(peer)) {
        Ok(()) | Err(Errno::EINPROGRESS) => TcpStream::from_std(fd.into()),
        Err(error) => Err(error.into()),
    }
}

async fn finish(stream: &TcpStream, peer: SocketAddr) -> io::Result<()> {
    stream.writable().await?;
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    // Nobody listens on an ephemeral port of this machine, and the kernel chose that very port for
    // our end: TCP then connects the socket to itself.
    if stream.local_addr()? == peer {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(())
}

/// Who said it, of an error that came after the `connect` call.
fn judge(error: io::Error) -> Outcome {
    match error.raw_os_error() {
        Some(libc::ETIMEDOUT) => Outcome::Answered(Err(ProbeFailure::TimedOut)),
        Some(
            libc::EMFILE
            | libc::ENFILE
            | libc::ENOBUFS
            | libc::ENOMEM
            | libc::EADDRNOTAVAIL
            | libc::EACCES
            | libc::EPERM,
        ) => Outcome::Local(error),
        _ => failed(&error),
    }
}

fn failed(error: &io::Error) -> Outcome {
    let why = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset".into(),
        io::ErrorKind::HostUnreachable => "host unreachable".into(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".into(),
        _ => error.to_string().into(),
    };
    Outcome::Answered(Err(ProbeFailure::Failed(why)))
}
