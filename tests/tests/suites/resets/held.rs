//! A socket that an application holds open, and what it sees of it.

use std::{
    fmt,
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream, UdpSocket},
    os::fd::{AsFd, AsRawFd as _, BorrowedFd},
    thread,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use redirector_tests::{netns::Netns, script::RawAddress};

const REQUEST: &[u8; 2] = b"hi";
const LONGEST_ANSWER: Duration = Duration::from_secs(5);

/// A client's socket in a pod.
pub(crate) struct Held {
    pub(crate) pod: usize,
    pub(crate) backend: usize,
    address: SocketAddr,
    socket: Socket,
}

enum Socket {
    Tcp(TcpStream),
    Udp(UdpSocket),
    /// Not connected.
    Sending(UdpSocket),
}

/// What is asked of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
    Sending,
}

impl Held {
    /// Opens a socket in a namespace.
    pub(crate) fn open(
        (pod, netns): (usize, &Netns),
        (backend, address): (usize, SocketAddr),
        transport: Transport,
    ) -> Self {
        let open = || -> io::Result<Socket> {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            if transport == Transport::Tcp {
                let stream = TcpStream::connect_timeout(&address, LONGEST_ANSWER)?;
                stream.set_read_timeout(Some(LONGEST_ANSWER))?;
                return Ok(Socket::Tcp(stream));
            }
            let socket = UdpSocket::bind(any)?;
            socket.set_read_timeout(Some(LONGEST_ANSWER))?;
            if transport == Transport::Sending {
                return Ok(Socket::Sending(socket));
            }
            socket.connect(address)?;
            Ok(Socket::Udp(socket))
        };
        let socket = netns.run(open).unwrap_or_else(|error| panic!("pod {pod} {address}: {error}"));
        Self { pod, backend, address, socket }
    }

    /// Sends a request.
    pub(crate) fn ask(&self) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(stream) => (&*stream).write_all(REQUEST),
            Socket::Udp(socket) => socket.send(REQUEST).map(drop),
            Socket::Sending(socket) => socket.send_to(REQUEST, self.address).map(drop),
        }
    }

    /// Waits for its answer.
    pub(crate) fn receive(&self) -> io::Result<()> {
        let mut bytes = [0; REQUEST.len()];
        match &self.socket {
            Socket::Tcp(stream) => (&*stream).read_exact(&mut bytes)?,
            Socket::Udp(socket) => drop(socket.recv(&mut bytes)?),
            Socket::Sending(socket) => drop(socket.recv_from(&mut bytes)?),
        }
        assert_eq!(&bytes, REQUEST);
        Ok(())
    }

    /// The same TCP socket, disconnected and connected anew.
    pub(crate) fn connected_to(mut self, address: SocketAddr) -> Self {
        for address in [RawAddress::unspecified(), address.into()] {
            let (start, length) = (address.0.as_ptr(), address.0.len() as libc::socklen_t);
            // SAFETY: the kernel reads `length` bytes of `address`, which outlives the call.
            let result = unsafe { libc::connect(self.as_fd().as_raw_fd(), start.cast(), length) };
            assert_eq!(result, 0, "{self}: {}", io::Error::last_os_error());
        }
        self.address = address;
        self
    }

    pub(crate) fn works(&self) {
        let result = self.ask().and_then(|()| self.receive());
        result.unwrap_or_else(|error| panic!("{self} should work: {error}"));
    }

    /// The end of what it sends; it waits for an answer.
    pub(crate) fn half_close(&self) {
        let Socket::Tcp(stream) = &self.socket else { panic!("{self} has no end") };
        stream.shutdown(Shutdown::Write).expect("its half");
    }

    /// Its pending error, which this clears.
    pub(crate) fn take_error(&self) -> Option<i32> {
        let error = match &self.socket {
            Socket::Tcp(stream) => stream.take_error(),
            Socket::Udp(socket) | Socket::Sending(socket) => socket.take_error(),
        };
        error.expect("an answer about a socket").and_then(|error| error.raw_os_error())
    }

    /// An error is pending.
    fn has_failed(&self) -> bool {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::empty())];
        poll(&mut fds, PollTimeout::ZERO).expect("a poll");
        fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR))
    }
}

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Udp(socket) | Socket::Sending(socket) => socket.as_fd(),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.socket {
            Socket::Tcp(_) => "TCP",
            Socket::Udp(_) => "UDP",
            Socket::Sending(_) => "unconnected UDP",
        };
        let Self { pod, backend, address, .. } = self;
        write!(f, "{transport} of pod {pod} to backend {backend}, {address}")
    }
}

/// Waits until all of them have failed, and says when that was.
pub(crate) fn all_failed(sockets: &[&Held], deadline: Duration) -> Instant {
    let end = Instant::now() + deadline;
    loop {
        let Some(alive) = sockets.iter().find(|held| !held.has_failed()) else {
            return Instant::now();
        };
        assert!(Instant::now() < end, "{alive} is alive after {deadline:?}");
        thread::sleep(Duration::from_millis(1));
    }
}
