//! What the process does: `server NAME`.

use std::{
    io::{self, PipeReader, PipeWriter, Write as _},
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, Backlog, Shutdown, SockFlag, SockType, SockaddrStorage, bind, listen,
        setsockopt, shutdown, socket, sockopt,
    },
    unistd::{ForkResult, fork},
};

use super::{Listen, Order};
use crate::{
    replica::{answer_apart, response},
    worker,
};

/// A listener, owned by the thread that serves it: no other thread's system call may hold it open.
struct Serving {
    fd: RawFd,
    stop: PipeWriter,
    thread: JoinHandle<()>,
}

/// The process. Ends with its input.
pub fn serve(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let name = arguments.next().context("usage: server NAME")?;
    let mut listeners: Vec<Option<Serving>> = Vec::new();
    worker::serve(|order| obey(order, &name, &mut listeners).map_err(|error| format!("{error:#}")))
}

fn obey(order: Order, name: &str, listeners: &mut Vec<Option<Serving>>) -> Result<u32> {
    let no_such = || "no such listener";
    match order {
        Order::Open(how) => {
            listeners.push(Some(open(how, name)?));
            Ok(listeners.len() as u32 - 1)
        }
        Order::Close(number) => {
            let Serving { mut stop, thread, .. } =
                listeners.get_mut(number).and_then(Option::take).with_context(no_such)?;
            stop.write_all(&[0]).context("cannot stop a listener")?;
            let _ = thread.join();
            Ok(0)
        }
        Order::Shutdown(number) => {
            let serving = listeners.get(number).and_then(Option::as_ref).with_context(no_such)?;
            shutdown(serving.fd, Shutdown::Read).context("cannot shut a listener down")?;
            Ok(0)
        }
        Order::Fork => {
            let last = listeners.iter().flatten().last().with_context(no_such)?.fd;
            let response = response(name);
            // SAFETY: the child makes system calls on memory that is there already, and nothing
            // else: it takes no lock and allocates nothing.
            match unsafe { fork() }.context("cannot fork")? {
                ForkResult::Parent { child } => Ok(child.as_raw().cast_unsigned()),
                ForkResult::Child => serve_alone(last, response.as_bytes()),
            }
        }
    }
}

fn open(how: Listen, name: &str) -> Result<Serving> {
    let Listen { address, shares, is_v6_only, is_free } = how;
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    setsockopt(&socket, sockopt::ReusePort, &shares)?;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &is_v6_only)?;
    }
    if is_free {
        setsockopt(&socket, sockopt::IpFreebind, &true)?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))
        .with_context(|| format!("cannot bind to {address}"))?;
    listen(&socket, Backlog::new(1024)?).with_context(|| format!("cannot listen on {address}"))?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true).context("a listener that blocks")?;
    let (fd, response) = (listener.as_raw_fd(), response(name));
    let (stopped, stop) = io::pipe().context("no pipe")?;
    let thread = thread::spawn(move || accept(&listener, &stopped, &response));
    Ok(Serving { fd, stop, thread })
}

/// Serves until told to stop; then the listener is closed with this thread.
fn accept(listener: &TcpListener, stopped: &PipeReader, response: &str) {
    loop {
        let mut fds = [
            PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
        ];
        let _ = poll(&mut fds, PollTimeout::NONE);
        let [one, other] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        if other.contains(PollFlags::POLLIN) {
            return;
        }
        if one.contains(PollFlags::POLLHUP) {
            // Shut down, and kept open until it is closed.
            let _ = poll(&mut [PollFd::new(stopped.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
            return;
        }
        while let Ok((stream, _)) = listener.accept() {
            answer_apart(stream, response);
        }
    }
}

/// What a forked process does: one connection after the other.
fn serve_alone(listener: RawFd, response: &[u8]) -> ! {
    let mut request = [0_u8; 1024];
    loop {
        // SAFETY: system calls on descriptors that are open, and on memory of this function.
        unsafe {
            let mut ready = libc::pollfd { fd: listener, events: libc::POLLIN, revents: 0 };
            libc::poll(&raw mut ready, 1, -1);
            let stream = libc::accept4(
                listener,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                libc::SOCK_CLOEXEC,
            );
            if stream < 0 {
                continue;
            }
            let stream = OwnedFd::from_raw_fd(stream);
            let fd = stream.as_raw_fd();
            libc::write(fd, response.as_ptr().cast(), response.len());
            libc::shutdown(fd, libc::SHUT_WR);
            while libc::read(fd, request.as_mut_ptr().cast(), request.len()) > 0 {}
        }
    }
}
