//! What the process does: the system calls of each step, with nothing between them and the test.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    ptr, thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Kind, Outcome, RawAddress, Reply, Step};
use crate::worker;

/// How long an answer on the same machine is waited for; a test that waits this long has failed.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// The process `scripter`. Ends with its input.
pub fn serve() -> Result<()> {
    let mut socket = None;
    worker::serve(|script: Vec<Step>| -> Vec<Reply> {
        script.iter().map(|step| timed(&mut socket, step)).collect()
    })
}

fn timed(socket: &mut Option<OwnedFd>, step: &Step) -> Reply {
    let start = Instant::now();
    let outcome = run(socket, step).unwrap_or_else(|error| {
        let timeout = if error.kind() == io::ErrorKind::TimedOut { libc::ETIMEDOUT } else { -1 };
        Outcome::Failed(error.raw_os_error().unwrap_or(timeout))
    });
    Reply { outcome, took_us: u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX) }
}

fn run(socket: &mut Option<OwnedFd>, step: &Step) -> io::Result<Outcome> {
    if let Step::Socket(kind) = step {
        *socket = None;
        *socket = Some(open(*kind)?);
        return Ok(Outcome::Done);
    }
    if let Step::Close = step {
        *socket = None;
        return Ok(Outcome::Done);
    }
    let Some(socket) = socket else { return Err(io::Error::from_raw_os_error(libc::EBADF)) };
    let fd = socket.as_raw_fd();
    match step {
        Step::Socket(_) | Step::Close => Ok(Outcome::Done),
        Step::Set(level, name, value) => {
            let value = ptr::from_ref(value);
            // SAFETY: the option's value is the int behind `value`, which outlives the call.
            done(unsafe { libc::setsockopt(fd, *level, *name, value.cast(), 4) })
        }
        Step::Get(level, name) => {
            let (mut value, mut length) = (0_i32, 4);
            let place = ptr::from_mut(&mut value);
            // SAFETY: the kernel writes at most four bytes, those of `value`.
            done(unsafe { libc::getsockopt(fd, *level, *name, place.cast(), &raw mut length) })?;
            Ok(Outcome::Value(value))
        }
        Step::Bind(address) => {
            let (pointer, length) = given(address);
            // SAFETY: the kernel reads `length` bytes of `address`, which outlives the call.
            done(unsafe { libc::bind(fd, pointer, length) })
        }
        Step::Connect(address) => {
            let (pointer, length) = given(address);
            // SAFETY: as above.
            done(unsafe { libc::connect(fd, pointer, length) })
        }
        Step::Await => {
            wait(socket, PollFlags::POLLOUT, LONGEST_WAIT)?;
            let error =
                nix::sys::socket::getsockopt(socket, nix::sys::socket::sockopt::SocketError)?;
            if error == 0 { Ok(Outcome::Done) } else { Err(io::Error::from_raw_os_error(error)) }
        }
        Step::Peer => shown(fd, libc::getpeername).map(Outcome::Shown),
        Step::Local => {
            shown(fd, libc::getsockname).map(|local| Outcome::Shown(local.without_port()))
        }
        Step::Send(text) => {
            let (start, length) = (text.as_ptr().cast(), text.len());
            // SAFETY: the kernel reads `length` bytes of `text`, which outlives the call.
            sent(unsafe { libc::send(fd, start, length, libc::MSG_NOSIGNAL) })
        }
        Step::SendTo(address, flags, text) => {
            let (pointer, address_length) = given(address);
            let (start, length) = (text.as_ptr().cast(), text.len());
            let flags = flags | libc::MSG_NOSIGNAL;
            // SAFETY: the kernel reads both, as long as they are given; both outlive the call.
            sent(unsafe { libc::sendto(fd, start, length, flags, pointer, address_length) })
        }
        Step::SendMany(messages) => send_many(fd, messages),
        Step::Receive => receive(socket),
        Step::Pause(ms) => {
            thread::sleep(Duration::from_millis((*ms).into()));
            Ok(Outcome::Done)
        }
        // SAFETY: takes two numbers.
        Step::Shut => done(unsafe { libc::shutdown(fd, libc::SHUT_WR) }),
        Step::Silence(ms) => {
            let wait = wait(socket, PollFlags::POLLIN, Duration::from_millis((*ms).into()));
            match wait {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(Outcome::Done),
                Err(error) => Err(error),
                Ok(()) => receive(socket),
            }
        }
    }
}

fn open(kind: Kind) -> io::Result<OwnedFd> {
    let Kind { domain, kind, protocol } = kind;
    // SAFETY: takes three numbers.
    let fd = unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

type Ask = unsafe extern "C" fn(RawFd, *mut libc::sockaddr, *mut libc::socklen_t) -> i32;

fn shown(fd: RawFd, ask: Ask) -> io::Result<RawAddress> {
    let mut bytes = [0_u8; 128];
    let mut length = 128;
    // SAFETY: the kernel writes at most `length` bytes, all of them ours.
    done(unsafe { ask(fd, bytes.as_mut_ptr().cast(), &raw mut length) })?;
    Ok(RawAddress(bytes[..length as usize].to_vec()))
}

fn send_many(fd: RawFd, messages: &[(RawAddress, String)]) -> io::Result<Outcome> {
    let mut texts: Vec<_> = messages
        .iter()
        .map(|(_, text)| libc::iovec {
            iov_base: text.as_ptr().cast_mut().cast(),
            iov_len: text.len(),
        })
        .collect();
    let mut headers: Vec<_> = messages
        .iter()
        .zip(&mut texts)
        .map(|((address, _), text)| {
            let (pointer, length) = given(address);
            let mut header = empty();
            header.msg_name = pointer.cast_mut().cast();
            header.msg_namelen = length;
            header.msg_iov = ptr::from_mut(text);
            header.msg_iovlen = 1;
            libc::mmsghdr { msg_hdr: header, msg_len: 0 }
        })
        .collect();
    let count = headers.len() as u32;
    // SAFETY: each header points at an address and a text of the lengths it says; the kernel only
    // reads them, and writes the lengths sent into `headers`. All of it outlives the call.
    let count = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), count, libc::MSG_NOSIGNAL) };
    sent(count as isize)
}

fn receive(socket: &OwnedFd) -> io::Result<Outcome> {
    let kind = nix::sys::socket::getsockopt(socket, nix::sys::socket::sockopt::SockType)?;
    let (mut text, source) = receive_once(socket)?;
    if kind == nix::sys::socket::SockType::Stream && !text.is_empty() {
        loop {
            let (more, _) = receive_once(socket)?;
            if more.is_empty() {
                break;
            }
            text.extend(more);
        }
    }
    Ok(Outcome::Received(String::from_utf8_lossy(&text).into_owned(), source))
}

fn receive_once(socket: &OwnedFd) -> io::Result<(Vec<u8>, RawAddress)> {
    wait(socket, PollFlags::POLLIN, LONGEST_WAIT)?;
    let (mut text, mut source) = ([0_u8; 2048], [0_u8; 128]);
    let mut vector = libc::iovec { iov_base: text.as_mut_ptr().cast(), iov_len: text.len() };
    let mut header = empty();
    header.msg_name = source.as_mut_ptr().cast();
    header.msg_namelen = 128;
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    // SAFETY: the header points at an address and a text of ours, with their lengths.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, 0) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    let source = RawAddress(source[..header.msg_namelen as usize].to_vec());
    Ok((text[..length].to_vec(), source))
}

fn wait(socket: &OwnedFd, flags: PollFlags, longest: Duration) -> io::Result<()> {
    let mut sockets = [PollFd::new(socket.as_fd(), flags)];
    let timeout = PollTimeout::try_from(longest).expect("at most a minute");
    if poll(&mut sockets, timeout)? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(())
}

fn empty() -> libc::msghdr {
    // SAFETY: a header of zeroes and null pointers is one without anything.
    unsafe { std::mem::zeroed() }
}

fn given(address: &RawAddress) -> (*const libc::sockaddr, libc::socklen_t) {
    (address.0.as_ptr().cast(), address.0.len() as libc::socklen_t)
}

fn done(result: i32) -> io::Result<Outcome> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(Outcome::Done) }
}

fn sent(count: isize) -> io::Result<Outcome> {
    usize::try_from(count).map(Outcome::Sent).map_err(|_| io::Error::last_os_error())
}
