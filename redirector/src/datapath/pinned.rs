//! Tells what is missing of what `load` has pinned and attached.
//!
//! A process without capabilities sees as much: pins by their inodes, links by what the kernel says of
//! a descriptor. Which programs a cgroup has it may not ask.

use std::{
    fmt, fs,
    io::{self, ErrorKind},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::Path,
};

use aya_obj::generated::bpf_map_type;

use super::{
    hooks::{HOOKS, Hook},
    load::{BARRIER, MAPS},
    pins::Pins,
    sys,
};

/// Names that a sentence lists before it counts the rest.
const LISTED: usize = 3;

/// The pins of the maps as they were at one time, and where all else should be.
#[derive(Clone, Debug)]
pub struct Pinned {
    pins: Pins,
    /// Each map's pin by device and inode; `None` was not there.
    maps: Vec<(&'static str, Option<(u64, u64)>)>,
}

/// What is missing: one thing at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Maps without a pin, or with that of another map.
    maps: Vec<&'static str>,
    /// Hooks that have no program attached, or none that the next `load` would find.
    hooks: Vec<&'static str>,
    /// Program arrays without a pin: the kernel has emptied them.
    arrays: Vec<&'static str>,
}

impl Pinned {
    /// Remembers which maps are pinned. Taken before they are opened, so that none that is exchanged
    /// meanwhile goes unnoticed.
    #[must_use]
    pub fn look(pins: &Pins) -> Self {
        let maps = MAPS.iter().chain(BARRIER);
        let maps = maps.map(|name| (*name, inode(&pins.map(name)).unwrap_or(None))).collect();
        Self { pins: pins.clone(), maps }
    }

    /// What is missing now; a map that is not the one it was is missing.
    #[must_use]
    pub fn lost(&self) -> Option<Loss> {
        let is_lost = |before: Option<(u64, u64)>, name: &str| match inode(&self.pins.map(name)) {
            Ok(now) => now.is_none() || now != before,
            // For want of memory or descriptors, say: the next look will tell.
            Err(_) => before.is_none(),
        };
        let maps = self.maps.iter().filter(|(name, before)| is_lost(*before, name));
        let hooks = HOOKS.iter().filter(|hook| !is_attached(&self.pins.link(hook.link), hook));
        let arrays = HOOKS.iter().filter_map(|hook| hook.next);
        let steps = self.pins.loads().ok().and_then(|loads| loads.last().copied());
        let steps = steps.map(|load| self.pins.steps(load));
        let has_array =
            |name: &&str| steps.as_ref().is_some_and(|steps| is_array(&steps.join(name), name));
        let loss = Loss {
            maps: maps.map(|(name, _)| *name).collect(),
            hooks: hooks.map(|hook| hook.link).collect(),
            arrays: arrays.filter(|name| !has_array(name)).collect(),
        };
        (loss.count() > 0).then_some(loss)
    }
}

impl Loss {
    /// Whether the maps that were opened are not those that programs will be loaded with: only who
    /// opens them anew works on the same ones.
    #[must_use]
    pub fn is_of_maps(&self) -> bool {
        !self.maps.is_empty()
    }

    /// How much is missing.
    #[must_use]
    pub fn count(&self) -> usize {
        let Self { maps, hooks, arrays } = self;
        maps.len() + hooks.len() + arrays.len()
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { maps, hooks, arrays } = self;
        let parts = [("not pinned", maps), ("not attached", hooks), ("emptied", arrays)];
        let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
        for (number, (what, names)) in parts.enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}{what}: {}", names[..names.len().min(LISTED)].join(", "))?;
            if names.len() > LISTED {
                write!(f, " and {} more", names.len() - LISTED)?;
            }
        }
        Ok(())
    }
}

/// Device and inode of a pin; `None` where there is none, or none that this process may reach.
fn inode(pin: &Path) -> io::Result<Option<(u64, u64)>> {
    match fs::symlink_metadata(pin) {
        Ok(is) => Ok(Some((is.dev(), is.ino()))),
        Err(error) if is_gone(error.kind()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a link is pinned there that is attached to a cgroup, at that hook.
fn is_attached(pin: &Path, hook: &Hook) -> bool {
    let link = sys::obj_get(pin).and_then(|link| sys::link_info(link.as_fd()));
    match link {
        Ok(link) => link.cgroup != 0 && link.attach == hook.attach as u32,
        Err(error) => !is_gone(error.kind()),
    }
}

/// Whether the program array of that name is pinned there.
fn is_array(pin: &Path, name: &str) -> bool {
    let map = sys::obj_get(pin).and_then(|map| sys::map_shape(map.as_fd()));
    match map {
        Ok(map) => map.name == name && map.kind == bpf_map_type::BPF_MAP_TYPE_PROG_ARRAY as u32,
        Err(error) => !is_gone(error.kind()),
    }
}

/// Whether there is no such pin. For want of memory or descriptors, say, the next look will tell.
/// Something else than what should be there is invalid.
fn is_gone(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::PermissionDenied
            | ErrorKind::InvalidInput
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_one_line_however_much_is_lost() {
        let loss = Loss {
            maps: vec!["FRONTENDS4", "FRONTENDS6", "SERVICES", "TABLE", "HEALTH"],
            hooks: vec!["connect4"],
            arrays: Vec::new(),
        };
        let said =
            "not pinned: FRONTENDS4, FRONTENDS6, SERVICES and 2 more; not attached: connect4";
        assert_eq!((loss.to_string().as_str(), loss.count()), (said, 6));
    }

    #[test]
    fn where_nothing_is_pinned_everything_is_lost() {
        let directory = tempfile::tempdir().expect("a directory");
        let lost = Pinned::look(&Pins::new(directory.path())).lost().expect("all of it");
        let arrays = HOOKS.iter().filter(|hook| hook.next.is_some()).count();
        assert_eq!(lost.count(), MAPS.len() + BARRIER.len() + HOOKS.len() + arrays);
        assert!(lost.is_of_maps());
    }
}
