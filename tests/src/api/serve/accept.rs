//! The listener: connections come in and are served until they end or all are cut.
//!
//! While no socket listens the port stays ours: a second socket is bound to it and never listens.

use std::{
    io, mem,
    net::{SocketAddr, TcpListener as StdListener},
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, getsockname, listen,
    setsockopt, socket, sockopt,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{oneshot, watch},
};

use super::Server;
use crate::netns::Netns;

/// A connection's task may be in the middle of a large list.
const LONGEST_CUT: Duration = Duration::from_secs(5);

/// The port of a server: open or refusing.
#[derive(Debug)]
pub(crate) struct Listeners {
    address: SocketAddr,
    netns: Option<Netns>,
    /// Holds the port.
    _held: OwnedFd,
    open: Mutex<Option<oneshot::Sender<std::sync::mpsc::Sender<()>>>>,
    cut: Cut,
}

/// The connections that are there have its receivers; whatever it sends cuts them.
type Cut = Arc<Mutex<watch::Sender<()>>>;

impl Listeners {
    /// Takes the port; no socket listens yet.
    pub fn take(address: SocketAddr, netns: Option<Netns>) -> Result<Self> {
        let (held, address) = inside(netns.as_ref(), || bound(address))
            .with_context(|| format!("the API server cannot bind to {address}"))?;
        Ok(Self { address, netns, _held: held, open: Mutex::new(None), cut: Cut::default() })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens, if no socket does.
    pub fn open(&self, runtime: &Handle, server: &Arc<Server>) -> Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_some() {
            return Ok(());
        }
        let address = self.address;
        let listener = inside(self.netns.as_ref(), || -> io::Result<StdListener> {
            let (socket, _) = bound(address)?;
            listen(&socket, Backlog::new(1_024)?)?;
            let listener = StdListener::from(socket);
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        let listener =
            listener.with_context(|| format!("the API server cannot listen on {address}"))?;
        let _entered = runtime.enter();
        let listener = TcpListener::from_std(listener).context("no listener for tokio")?;
        let (stop, stopped) = oneshot::channel();
        runtime.spawn(accept(listener, Arc::clone(server), stopped, Arc::clone(&self.cut)));
        *open = Some(stop);
        Ok(())
    }

    /// Refuses connections from when this returns; those that are there stay.
    pub fn close(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (done, is_done) = std::sync::mpsc::channel();
        if let Some(stop) = open
            && stop.send(done).is_ok()
        {
            // An error: the task has ended, and its listener with it.
            let _ = is_done.recv();
        }
    }

    /// Cuts every connection that is there; when this returns, none of them answers any more.
    pub fn cut(&self) {
        let there = mem::take(&mut *self.cut.lock().unwrap_or_else(PoisonError::into_inner));
        there.send_replace(());
        let deadline = Instant::now() + LONGEST_CUT;
        while there.receiver_count() > 0 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn inside<T: Send>(netns: Option<&Netns>, job: impl FnOnce() -> T + Send) -> T {
    match netns {
        Some(netns) => netns.run(job),
        None => job(),
    }
}

/// A socket with that address; two may have it as long as at most one listens.
fn bound(address: SocketAddr) -> io::Result<(OwnedFd, SocketAddr)> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    let name: SockaddrStorage = getsockname(socket.as_raw_fd())?;
    let port = name
        .as_sockaddr_in()
        .map(nix::sys::socket::SockaddrIn::port)
        .or_else(|| name.as_sockaddr_in6().map(nix::sys::socket::SockaddrIn6::port));
    Ok((socket, SocketAddr::new(address.ip(), port.unwrap_or(address.port()))))
}

async fn accept(
    listener: TcpListener,
    server: Arc<Server>,
    mut stopped: oneshot::Receiver<std::sync::mpsc::Sender<()>>,
    cut: Cut,
) {
    loop {
        tokio::select! {
            done = &mut stopped => {
                drop(listener);
                if let Ok(done) = done {
                    // The caller of `close` waits for it, and has not gone away.
                    let _ = done.send(());
                }
                return;
            }
            connection = listener.accept() => {
                if let Ok((stream, _)) = connection {
                    let server = Arc::clone(&server);
                    let mut cut = cut.lock().unwrap_or_else(PoisonError::into_inner).subscribe();
                    tokio::spawn(async move {
                        tokio::select! {
                            () = serve(stream, server) => {}
                            _ = cut.changed() => {}
                        }
                    });
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, server: Arc<Server>) {
    // Only speed depends on it.
    let _ = stream.set_nodelay(true);
    let certificates = server.certificates.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(certificates) = certificates else { return connection(stream, server).await };
    // A client that does not believe the certificate goes away here.
    if let Ok(stream) = certificates.acceptor.accept(stream).await {
        connection(stream, server).await;
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    server: Arc<Server>,
) {
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, std::convert::Infallible>(server.answer(request).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    // Its error is that of a client that went away, or of a cut that a test wanted.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}
