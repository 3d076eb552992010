//! Detaches the programs and removes every trace of them.

use std::{
    fs,
    io::ErrorKind,
    os::fd::AsFd as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use redirector_common::SocketValue;
use tracing::warn;

use super::{
    hooks::HOOKS,
    map_array,
    pins::{Lock, Pins},
    sys,
};

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Links, and with them programs.
    pub links: usize,
    /// Maps, of every layout version.
    pub maps: usize,
}

/// How long connects under way are waited for: longer than most may take.
const CONNECTS_TIMEOUT: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Detaches in the reverse order of attaching, so that no socket is redirected that could not be
/// told its peer; what watches sockets only when no connect is under way any more, or after 5 s: else
/// our `TCP_USER_TIMEOUT` would stay with the socket. Then removes the maps and the directories. An
/// empty directory stays where it is a mount point, or the one above it may not be written.
///
/// # Errors
///
/// Something cannot be removed; what was removed before stays so.
pub fn unload(pins: &Pins, lock: Lock) -> Result<Removed> {
    let mut removed = Removed::default();
    for hook in HOOKS.iter().rev() {
        if hook.link == "sock_ops" {
            wait_for_connects(pins);
        }
        removed.links += usize::from(detach(&pins.link(hook.link))?);
    }
    // Those that a load which was killed had not given their names yet.
    for rest in Pins::names_in(&pins.links())? {
        removed.links += usize::from(detach(&rest)?);
    }
    Pins::remove(&pins.links(), true)?;
    for version in Pins::names_in(pins.root())? {
        removed.maps += Pins::remove_all(&version)?;
    }
    drop(lock);
    match fs::remove_dir(pins.root()) {
        Ok(()) => Ok(removed),
        // Nothing of ours is in it any more.
        Err(error) if is_not_ours(error.kind()) => Ok(removed),
        Err(error) => Err(error).with_context(|| {
            format!("cannot remove {}: it holds something that is not ours", pins.root().display())
        }),
    }
}

/// Detaches the link that is pinned there, and removes the pin. By the pin's end alone the kernel
/// detaches it some time later, and while another process has it open not at all.
pub(super) fn detach(path: &Path) -> Result<bool> {
    if let Ok(link) = sys::obj_get(path) {
        // Before 5.11 there is no such command: then the link goes with its last pin.
        let _ = sys::link_detach(link.as_fd());
    }
    Pins::remove(path, false)
}

/// Waits for the connects under way: no redirected connect begins any more.
fn wait_for_connects(pins: &Pins) {
    let Ok(seats) = map_array::<SocketValue>(pins, "SEATS") else { return };
    let is_watched = |seat: &SocketValue| seat.refs != 0 && seat.state & SocketValue::WATCHED != 0;
    let end = Instant::now() + CONNECTS_TIMEOUT;
    loop {
        let connects = seats.read_all().iter().filter(|seat| is_watched(seat)).count();
        if connects == 0 {
            return;
        }
        if Instant::now() >= end {
            return warn!(connects, "still under way: their sockets keep our TCP_USER_TIMEOUT");
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Whether the directory itself is not this process's to remove: it is mounted (a container has
/// only this one of the BPF file system), or the one above belongs to another user.
fn is_not_ours(kind: ErrorKind) -> bool {
    use ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(kind, ResourceBusy | PermissionDenied | ReadOnlyFilesystem | NotFound)
}
