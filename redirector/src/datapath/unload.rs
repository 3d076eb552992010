//! Detaches the programs and removes every trace of them.

use std::{fs, io::ErrorKind, os::fd::AsFd as _};

use anyhow::{Context as _, Result};

use super::{
    hooks::HOOKS,
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

/// Detaches in the reverse order of attaching, so that no socket is redirected that could not be
/// told its peer; then removes the maps and the directories. An empty directory stays where it is
/// a mount point, or the one above it may not be written.
///
/// # Errors
///
/// Something cannot be removed; what was removed before stays so.
pub fn unload(pins: &Pins, lock: Lock) -> Result<Removed> {
    let mut removed = Removed::default();
    for hook in HOOKS.iter().rev() {
        let path = pins.link(hook.program);
        if let Ok(link) = sys::obj_get(&path) {
            // Before 5.11 there is no such command: then the link goes with its last pin.
            let _ = sys::link_detach(link.as_fd());
        }
        removed.links += usize::from(Pins::remove(&path, false)?);
    }
    for rest in Pins::names_in(&pins.links())? {
        removed.links += usize::from(Pins::remove(&rest, false)?);
    }
    Pins::remove(&pins.links(), true)?;
    for version in Pins::names_in(pins.root())? {
        for map in Pins::names_in(&version)? {
            removed.maps += usize::from(Pins::remove(&map, false)?);
        }
        Pins::remove(&version, true)?;
    }
    drop(lock);
    match fs::remove_dir(pins.root()) {
        Ok(()) => Ok(removed),
        // Nothing of ours is in it any more.
        Err(error) if is_somebody_elses(error.kind()) => Ok(removed),
        Err(error) => Err(error).with_context(|| {
            format!("cannot remove {}: it holds something that is not ours", pins.root().display())
        }),
    }
}

/// Whether the directory itself is not this process's to remove: it is mounted (a container has
/// only this one of the BPF file system), or the one above belongs to somebody else.
fn is_somebody_elses(kind: ErrorKind) -> bool {
    use ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(kind, ResourceBusy | PermissionDenied | ReadOnlyFilesystem | NotFound)
}
