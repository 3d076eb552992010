//! Destroys this node's established sockets to lost backends: their owners see `ECONNABORTED`.
//!
//! A socket is destroyed if its peer is exactly the backend, in whichever network namespace it is,
//! and if it was redirected there. Of TCP its value in `SEATS` or `SOCKETS` tells, so that a client which
//! dialled the backend itself keeps its connection. Of UDP the kernel does not list the storage:
//! all in the cgroup that the programs are attached to count as redirected. Unconnected UDP
//! sockets have no peer: they stay.
//!
//! Nothing here decides when: the core asks, for silent backends only.

mod diag;
mod message;
mod namespaces;
mod ours;

use std::{
    fs::File,
    io,
    net::SocketAddr,
    sync::{
        Mutex, Once, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::sched::{CloneFlags, setns};
use redirector_core::service::{BackendRef, Protocol};
use tracing::{debug, warn};

pub use self::ours::Kept;
use self::{
    diag::Diag,
    message::Kind,
    namespaces::Namespaces,
    ours::{Members, Ours},
};
use super::{Options, Pins, cgroup::Cgroup, check, mapped::Mapped, sys};

/// Namespaces looked at side by side.
const WORKERS: usize = 2;
/// Namespaces may appear while others are looked at; after so many rounds a node that makes them
/// faster than they are visited is left alone.
const ROUNDS: u32 = 3;
/// Backends that one list is filtered by: the filter is at most 64 KiB.
const FILTERED: usize = 512;
/// Sockets that one call names in the log.
const NAMED: u64 = 20;

/// What resets need, opened.
#[derive(Debug)]
pub struct Resets {
    ours: Ours,
    /// Only this process's own namespace is visited: `CAP_SYS_ADMIN` is missing.
    is_limited: bool,
    /// Set once the log has said that.
    warned: Once,
}

/// What one call did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Destroyed {
    /// TCP connections.
    pub tcp: u64,
    /// Connected UDP sockets.
    pub udp: u64,
    /// Network namespaces looked at.
    pub namespaces: u32,
    /// Namespaces that could not be entered or listed, or whose sockets could not be destroyed.
    pub failed: u32,
    /// Processes whose namespace may not be looked at; without `CAP_SYS_PTRACE`.
    pub unreadable: u32,
    /// How long it took.
    pub took: Duration,
}

impl Resets {
    /// Prepares for sockets that `load` with these options, on this cgroup, has redirected.
    ///
    /// # Errors
    ///
    /// The kernel or this process's privileges do not do; the text says what to add.
    pub fn open(pins: &Pins, options: &Options, cgroup: &Cgroup) -> Result<Self> {
        /// Id of the root cgroup: kernfs' first inode.
        const ROOT: u64 = 1;
        let path = pins.map("SOCKETS");
        let storage = options
            .remember_tcp
            .then(|| sys::obj_get(&path))
            .transpose()
            .with_context(|| format!("cannot open {}", path.display()))?;
        if storage.is_some() && !check::holds(check::BPF) {
            bail!(
                "reading what sockets remember needs CAP_BPF; add it, or set onBackendLost: Keep \
                 in every policy"
            );
        }
        let cgroup = (cgroup.id != ROOT).then(|| cgroup.path.clone());
        let seats = sys::obj_get(&pins.map("SEATS"));
        let seats = seats.ok().map(|map| Mapped::new("SEATS", map)).transpose()?;
        Ok(Self { ours: Ours { storage, seats, cgroup }, ..Self::by_peer()? })
    }

    /// For every socket with the backend as its peer, whichever program has made it so.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn by_peer() -> Result<Self> {
        support()?;
        if !check::holds(check::NET_ADMIN) {
            bail!(
                "destroying sockets needs CAP_NET_ADMIN; add it, or set onBackendLost: Keep in \
                 every policy"
            );
        }
        let is_limited = !check::holds(check::SYS_ADMIN);
        Ok(Self { ours: Ours::default(), is_limited, warned: Once::new() })
    }

    /// Destroys the established sockets to these backends. One call for many costs little more
    /// than for one. Takes about a millisecond per network namespace; not for an async task.
    ///
    /// # Errors
    ///
    /// No namespace could be looked at. That some could not is in [`Destroyed`].
    pub fn destroy(&self, backends: &[BackendRef]) -> Result<Destroyed> {
        self.destroy_but(backends, &Kept::default())
    }

    /// The same, but not the sockets that stay.
    ///
    /// # Errors
    ///
    /// As [`destroy`](Self::destroy).
    pub fn destroy_but(&self, backends: &[BackendRef], kept: &Kept) -> Result<Destroyed> {
        let begun = Instant::now();
        let total = Mutex::new(Destroyed::default());
        let error = Mutex::new(None);
        let members = Members::new(kept);
        let visit = |is_entered: io::Result<()>| {
            let mut done = Destroyed { namespaces: 1, ..Destroyed::default() };
            if let Err(why) =
                is_entered.and_then(|()| self.destroy_here(backends, &members, &mut done))
            {
                done.failed = 1;
                lock(&error).get_or_insert(why);
            }
            lock(&total).add(&done);
        };
        let unreadable = if self.is_limited {
            self.warned.call_once(|| {
                warn!(
                    "connections in other network namespaces are not reset; the agent needs \
                     CAP_SYS_ADMIN and CAP_SYS_PTRACE, and hostPID in a pod"
                );
            });
            visit(Ok(()));
            0
        } else {
            walk(&visit).context("cannot list the processes of this node")?
        };
        let done = Destroyed { unreadable, took: begun.elapsed(), ..*lock(&total) };
        let Some(error) = error.into_inner().unwrap_or_else(PoisonError::into_inner) else {
            return Ok(done);
        };
        if done.failed == done.namespaces {
            return Err(error).context("cannot look at any network namespace");
        }
        warn!(namespaces = done.failed, %error, "some connections could not be looked at or reset");
        Ok(done)
    }

    fn destroy_here(
        &self,
        backends: &[BackendRef],
        members: &Members<'_>,
        done: &mut Destroyed,
    ) -> io::Result<()> {
        let mut diag = Diag::open()?;
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let peers: Vec<_> = backends
                .iter()
                .filter(|backend| backend.protocol == protocol)
                .map(|backend| SocketAddr::new(backend.address, backend.port))
                .collect();
            for peers in peers.chunks(FILTERED) {
                let count = self.destroy_peers(&mut diag, protocol, peers, members)?;
                match protocol {
                    Protocol::Tcp => done.tcp += count,
                    Protocol::Udp => done.udp += count,
                }
            }
        }
        Ok(())
    }

    fn destroy_peers(
        &self,
        diag: &mut Diag,
        protocol: Protocol,
        peers: &[SocketAddr],
        members: &Members<'_>,
    ) -> io::Result<u64> {
        let mut count = 0;
        // An IPv6 socket may be connected to a v4-mapped address.
        for (family, peers) in [
            (libc::AF_INET, peers.iter().copied().filter(SocketAddr::is_ipv4).collect()),
            (libc::AF_INET6, peers.to_vec()),
        ] {
            let kind = Kind { family: family as u8, protocol: protocol.number() };
            if peers.is_empty() {
                continue;
            }
            for socket in diag.list(kind, &peers, self.ours.storage(protocol))? {
                // A process holds the socket, and would hear of its end.
                let is_lost = socket.inode != 0
                    && peers.contains(&socket.peer)
                    && self.ours.has(&socket, protocol, members);
                if !is_lost || !diag.destroy(kind, &socket.identity)? {
                    continue;
                }
                count += 1;
                if count <= NAMED {
                    debug!(backend = %socket.peer, %protocol, inode = socket.inode, "reset");
                }
            }
        }
        Ok(count)
    }
}

impl Destroyed {
    fn add(&mut self, other: &Self) {
        let Self { tcp, udp, namespaces, failed, unreadable: _, took: _ } = other;
        self.tcp += tcp;
        self.udp += udp;
        self.namespaces += namespaces;
        self.failed += failed;
    }
}

/// Whether this kernel can reset connections.
///
/// # Errors
///
/// Says what it lacks.
pub fn support() -> Result<()> {
    for (protocol, name, option) in [
        (Protocol::Tcp, "TCP", "CONFIG_INET_DIAG and CONFIG_INET_DIAG_DESTROY"),
        (Protocol::Udp, "UDP", "CONFIG_INET_UDP_DIAG and CONFIG_INET_DIAG_DESTROY"),
    ] {
        let kind = Kind { family: libc::AF_INET as u8, protocol: protocol.number() };
        if !diag::is_able(kind).context("cannot ask the kernel about sockets")? {
            bail!("this kernel does not destroy {name} sockets: it was built without {option}");
        }
    }
    Ok(())
}

/// Calls `visit` in every namespace of this node, on threads that end afterwards: a namespace
/// belongs to a thread. Returns how many processes could not be looked at.
fn walk(visit: &(impl Fn(io::Result<()>) + Sync)) -> io::Result<u32> {
    let mut namespaces = Namespaces::default();
    // A short queue: a descriptor each.
    let (queue, inbox) = sync_channel::<File>(WORKERS);
    let inbox = Mutex::new(inbox);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(namespace) = next(&inbox) {
                    visit(setns(&namespace, CloneFlags::CLONE_NEWNET).map_err(io::Error::from));
                }
            });
        }
        for _ in 0..ROUNDS {
            // Receivers outlive the queue.
            let found = namespaces.find(|namespace| drop(queue.send(namespace)));
            if found? == 0 {
                break;
            }
        }
        drop(queue);
        Ok(namespaces.unreadable)
    })
}

fn next(inbox: &Mutex<Receiver<File>>) -> Option<File> {
    lock(inbox).recv().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
