//! Tells sockets that were redirected from those that dialled a backend themselves.
//!
//! By their seat, or else, of TCP sockets, by their storage: the kernel does not list that of UDP sockets
//! (`inet_sk_diag_fill` leaves before it). Where there are no seats (before 5.19), or sockets do not
//! remember (`--peer-name`), the cgroup decides.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::fs::{DirEntryExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
    sync::OnceLock,
};

use bytemuck::bytes_of;
use redirector_common::SocketValue;
use redirector_core::service::Protocol;

use super::{super::mapped::Mapped, message::Found};

/// What is ours.
#[derive(Debug, Default)]
pub(super) struct Ours {
    /// The map `SOCKETS`, if TCP sockets remember at all.
    pub(super) storage: Option<OwnedFd>,
    /// The map `SEATS`, where most of them do.
    pub(super) seats: Option<Mapped<SocketValue>>,
    /// The cgroup that the programs are attached to; `None` is every cgroup.
    pub(super) cgroup: Option<PathBuf>,
}

/// Connections that stay, by the address that their owner has dialled.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Frontends whose TCP connections stay, whatever their peer.
    pub tcp: BTreeSet<SocketAddr>,
    /// Backends and the frontends by which UDP may go on to each.
    pub udp: BTreeSet<(SocketAddr, SocketAddr)>,
    /// Backends whose UDP sockets stay where the kernel does not tell what they have dialled.
    pub unless_known: BTreeSet<SocketAddr>,
}

/// What one call knows beside that.
#[derive(Debug)]
pub(super) struct Members<'a> {
    kept: &'a Kept,
    /// The cgroups below [`Ours::cgroup`], read when they are first asked for.
    cgroups: OnceLock<BTreeSet<u64>>,
}

impl Kept {
    /// Whether a UDP socket of that backend stays if what it has dialled is not known.
    fn has_unknown(&self, backend: SocketAddr) -> bool {
        self.unless_known.contains(&backend) || self.udp.iter().any(|(kept, _)| *kept == backend)
    }
}

impl<'a> Members<'a> {
    pub(super) fn new(kept: &'a Kept) -> Self {
        Self { kept, cgroups: OnceLock::new() }
    }
}

impl Ours {
    /// The map whose values are to be listed.
    pub(super) fn storage(&self, protocol: Protocol) -> Option<BorrowedFd<'_>> {
        let storage = self.storage.as_ref().filter(|_| protocol == Protocol::Tcp);
        storage.map(|storage| storage.as_fd())
    }

    /// Whether we have, or may have, redirected a socket of that protocol to its peer, by a service
    /// whose connections do not stay.
    pub(super) fn has(&self, socket: &Found, protocol: Protocol, members: &Members<'_>) -> bool {
        let Members { kept, cgroups } = members;
        if self.storage(protocol).is_some() {
            let value = self.seat(socket.cookie()).or(socket.value);
            return value.is_some_and(|value| {
                is_redirected(&value, socket.peer) && !kept.tcp.contains(&dialled(&value))
            });
        }
        let peer = SocketAddr::new(socket.peer.ip().to_canonical(), socket.peer.port());
        if protocol == Protocol::Udp && self.seats.as_ref().is_some_and(|seats| seats.len() > 1) {
            // Any pod may have connected to that address by itself, and another's Service drops it.
            let value = self.seat(socket.cookie());
            return value.is_some_and(|value| {
                is_redirected(&value, socket.peer) && !kept.udp.contains(&(peer, dialled(&value)))
            });
        }
        if protocol == Protocol::Udp && kept.has_unknown(peer) {
            return false;
        }
        let Some(path) = &self.cgroup else { return true };
        // Whether a cgroup that is gone meanwhile was below it cannot be told.
        let members = cgroups.get_or_init(|| tree(path).unwrap_or_default());
        socket.cgroup.is_some_and(|cgroup| members.contains(&cgroup))
    }

    /// What the socket of that cookie remembers in its seat.
    fn seat(&self, cookie: u64) -> Option<SocketValue> {
        let seats = self.seats.as_ref()?;
        let last = seats.len().checked_sub(1)? as u64;
        seats.read((cookie & last) as usize).filter(|value| value.cookie == cookie)
    }
}

fn is_redirected(value: &SocketValue, peer: SocketAddr) -> bool {
    let address = match peer.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    value.destination.dialled_port != 0
        && value.destination.chosen_port == peer.port()
        && *bytes_of(&value.destination.chosen) == address.octets()
}

/// The address that the application named; canonical.
fn dialled(value: &SocketValue) -> SocketAddr {
    let octets: [u8; 16] = bytemuck::cast(value.destination.dialled);
    let address = Ipv6Addr::from(octets).to_canonical();
    SocketAddr::new(address, value.destination.dialled_port)
}

/// Ids of a cgroup and of all below it: their inode numbers.
fn tree(root: &Path) -> io::Result<BTreeSet<u64>> {
    let mut ids = BTreeSet::from([fs::metadata(root)?.ino()]);
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        // It may be gone by now.
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                ids.insert(entry.ino());
                waiting.push(entry.path());
            }
        }
    }
    Ok(ids)
}
