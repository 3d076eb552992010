//! A backend on a thread of its own, which answers, holds its connections, or swallows what comes.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::socket::{Backlog, listen};

use super::fixture::address;
use crate::replica;

/// Connections that wait for being accepted; one more is swallowed.
const QUEUE: i32 = 1;
/// A connect on this machine that takes longer is swallowed.
const SWALLOWED: Duration = Duration::from_millis(400);

/// What a backend does with its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Answers as a replica does, with its address, and closes.
    Answers,
    /// Says its address, and sends back what it receives.
    Holds,
}

/// A server. Dropping it closes its listener: from then on connects are refused.
#[derive(Debug)]
pub(super) struct Server {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    accepted: AtomicU32,
    is_silent: AtomicBool,
    is_over: AtomicBool,
}

/// A listener with a full queue: the kernel drops every SYN to it.
#[derive(Debug)]
pub(super) struct Hole {
    _queue: Vec<TcpStream>,
    _listener: Option<TcpListener>,
}

impl Server {
    pub(super) fn start(backend: u8, manner: Manner) -> Result<Self> {
        let address = address(backend);
        let listener = bind(address)?;
        // A thread that blocks in accept would not notice that it is to end.
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || of_thread.serve(&listener, address, manner));
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Connections accepted so far.
    pub(super) fn accepted(&self) -> u32 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// From now on it accepts no connection, and connects to it are swallowed; its connections go on.
    pub(super) fn fall_silent(&self, backend: u8) -> Result<Hole> {
        self.shared.is_silent.store(true, Ordering::SeqCst);
        fill(address(backend), None)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn serve(&self, listener: &TcpListener, address: SocketAddr, manner: Manner) {
        while !self.is_over.load(Ordering::SeqCst) {
            let accepted =
                if self.is_silent.load(Ordering::SeqCst) { None } else { listener.accept().ok() };
            let Some((mut stream, _)) = accepted else {
                thread::sleep(Duration::from_millis(2));
                continue;
            };
            self.accepted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.set_nonblocking(false);
            let address = address.to_string();
            if manner == Manner::Answers {
                replica::answer_apart(stream, &replica::response(&address));
                continue;
            }
            // A client that is gone needs no answer: a probe only connects.
            let _ = stream.write_all(address.as_bytes());
            thread::spawn(move || echo(stream));
        }
    }
}

fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 64];
    while let Ok(length @ 1..) = stream.read(&mut bytes) {
        if stream.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// An address that swallows connects from the beginning.
pub(super) fn hole(backend: u8) -> Result<Hole> {
    let address = address(backend);
    fill(address, Some(bind(address)?))
}

fn bind(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot serve {address}"))?;
    listen(&listener, Backlog::new(QUEUE)?).context("cannot shorten a queue")?;
    Ok(listener)
}

/// Connects until a connect is not answered.
fn fill(address: SocketAddr, listener: Option<TcpListener>) -> Result<Hole> {
    let mut queue = Vec::new();
    while queue.len() < 16 {
        match TcpStream::connect_timeout(&address, SWALLOWED) {
            Ok(stream) => queue.push(stream),
            // Our own patience, not an error of the kernel.
            Err(error) if error.raw_os_error().is_none() => {
                return Ok(Hole { _queue: queue, _listener: listener });
            }
            Err(error) => bail!("{address} should swallow connects: {error}"),
        }
    }
    bail!("{address} takes any number of connections without accepting them")
}
