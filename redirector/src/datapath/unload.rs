//! Detaches the programs and removes every trace of them.

use std::os::fd::AsFd as _;

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
/// told its peer; then removes the maps and the directories.
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
    Pins::remove(pins.root(), true)
        .context("the pin directory holds something that is not ours")?;
    Ok(removed)
}
