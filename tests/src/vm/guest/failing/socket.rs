//! One connect, as an application makes it that has a `TCP_USER_TIMEOUT` of its own.

use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, getsockopt, setsockopt, socket,
    sockopt,
};

/// Milliseconds: longer than any limit that is tried here, and much shorter than the kernel's own 131 s.
const GIVEN_UP: u16 = 4_000;
/// Milliseconds: nothing else sets this.
pub(super) const OWN: u32 = 7_777;

/// What one connect came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) end: End,
    pub(super) took: Duration,
    /// The application's option, read back after the end, in milliseconds.
    pub(super) user_timeout: u32,
}

/// How a connect ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Connected,
    /// It failed with this error.
    Failed(Errno),
    /// It had not ended when the application gave up: nothing bounds it.
    Pending,
}

/// Connects with a fresh socket.
pub(super) fn attempt(address: SocketAddr) -> Result<Attempt> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
    setsockopt(&socket, sockopt::TcpUserTimeout, &OWN).context("cannot set TCP_USER_TIMEOUT")?;
    let begin = Instant::now();
    let end = match connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) => End::Connected,
        Err(Errno::EINPROGRESS) => {
            let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
            if poll(&mut polled, GIVEN_UP)? == 0 {
                End::Pending
            } else {
                match getsockopt(&socket, sockopt::SocketError)? {
                    0 => End::Connected,
                    number => End::Failed(Errno::from_raw(number)),
                }
            }
        }
        Err(error) => End::Failed(error),
    };
    let took = begin.elapsed();
    Ok(Attempt { end, took, user_timeout: getsockopt(&socket, sockopt::TcpUserTimeout)? })
}
