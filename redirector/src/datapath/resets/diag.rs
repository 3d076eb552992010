//! Lists and destroys sockets of the calling thread's network namespace.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd as _, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket},
};

use super::message::{self, Found, Identity, Kind, Message};

/// The kernel writes at most 32 KiB at once.
const DATAGRAM: usize = 64 << 10;
/// States as bits, `net/tcp_states.h`: ESTABLISHED, FIN_WAIT1, FIN_WAIT2 and CLOSE_WAIT; a
/// half-closed connection waits for the lost backend as well.
const TCP_STATES: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8;
/// A connected UDP socket is ESTABLISHED, an unconnected one is not.
const UDP_STATES: u32 = 1 << 1;

/// A netlink socket; it belongs to the namespace that it was opened in.
#[derive(Debug)]
pub(super) struct Diag {
    socket: OwnedFd,
    sequence: u32,
    datagram: Vec<u8>,
}

impl Diag {
    pub(super) fn open() -> io::Result<Self> {
        let protocol = SockProtocol::NetlinkSockDiag;
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        Ok(Self { socket, sequence: 0, datagram: vec![0; DATAGRAM] })
    }

    /// Established sockets whose peer is one of `peers`, with their storage in `map`.
    pub(super) fn list(
        &mut self,
        kind: Kind,
        peers: &[SocketAddr],
        map: Option<BorrowedFd<'_>>,
    ) -> io::Result<Vec<Found>> {
        let is_tcp = i32::from(kind.protocol) == libc::IPPROTO_TCP;
        let states = if is_tcp { TCP_STATES } else { UDP_STATES };
        self.sequence += 1;
        let map = map.map(|map| map.as_raw_fd());
        self.send(&message::list(kind, states, &message::filter(peers), map, self.sequence))?;
        let mut found = Vec::new();
        self.receive(|socket| found.push(socket))?;
        Ok(found)
    }

    /// Destroys a socket, whose owner sees `ECONNABORTED`. Returns whether it was still there.
    pub(super) fn destroy(&mut self, kind: Kind, identity: &Identity) -> io::Result<bool> {
        self.sequence += 1;
        self.send(&message::destroy(kind, identity, self.sequence))?;
        match self.receive(drop) {
            Ok(()) => Ok(true),
            // Gone; or another one has taken its place.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESTALE)) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn send(&self, request: &[u8]) -> io::Result<()> {
        send(self.socket.as_raw_fd(), request, MsgFlags::empty())?;
        Ok(())
    }

    fn receive(&mut self, mut each: impl FnMut(Found)) -> io::Result<()> {
        loop {
            let length = match recv(self.socket.as_raw_fd(), &mut self.datagram, MsgFlags::empty())
            {
                Err(Errno::EINTR) => continue,
                length => length?,
            };
            for message in message::messages(&self.datagram[..length], self.sequence) {
                match message {
                    Message::Socket(socket) => each(*socket),
                    Message::End(0) => return Ok(()),
                    Message::End(number) => return Err(io::Error::from_raw_os_error(number)),
                }
            }
        }
    }
}

/// Whether this kernel lists and destroys sockets of that kind, found out without one: there is no
/// socket on port 0, and none has the cookie 0.
pub(super) fn is_able(kind: Kind) -> io::Result<bool> {
    let none = SocketAddr::from(([0, 0, 0, 0], 0));
    let mut diag = Diag::open()?;
    match diag.list(kind, &[none], None).and_then(|_| diag.destroy(kind, &[0; 48])) {
        Ok(_) => Ok(true),
        // From `list`: the kernel does not know this protocol.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EOPNOTSUPP)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
