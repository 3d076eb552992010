//! Finds other redirectors on the same cgroup: two of them decide each dial twice.

use std::{
    collections::BTreeSet,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use super::{
    cgroup::Cgroup,
    hooks::{HOOKS, Hook},
    pins::Pins,
    sys,
};

/// A map that every redirector's first program of a connect looks into.
const SIGN: &str = "FRONTENDS4";

/// Another redirector whose programs see the same dials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Id of its program.
    pub program: u32,
    /// Where it is pinned, if that is beside these pins.
    pub pins: Option<PathBuf>,
}

/// Other redirectors that are attached to `cgroup`, or to one above it. Without `CAP_SYS_ADMIN`, by
/// which programs are asked for their names and maps, only those that are pinned beside these pins.
#[must_use]
pub fn others(pins: &Pins, cgroup: &Cgroup) -> Vec<Other> {
    let Some(hook) = HOOKS.iter().find(|hook| hook.link == "connect4") else {
        return Vec::new();
    };
    let own = own(pins);
    let attached = attached(cgroup, hook);
    let attached = attached.into_iter().filter(|id| !own.contains(id));
    let mut others: Vec<Other> = attached.map(|program| Other { program, pins: None }).collect();
    for root in siblings(pins) {
        let Some(program) = program_at(&Pins::new(&root).link(hook.link)) else { continue };
        if let Some(other) = others.iter_mut().find(|other| other.program == program) {
            other.pins = Some(root);
        }
    }
    others.retain(|other| other.pins.is_some() || is_redirector(other.program, hook));
    others
}

/// Other programs that are told what happens to the same sockets (`sock_ops`), by id and name. Each may
/// switch off what the others have asked to be told of: the kernel keeps one set of flags for a socket.
/// Without `CAP_SYS_ADMIN` they have no names.
#[must_use]
pub fn watchers(pins: &Pins, cgroup: &Cgroup) -> Vec<(u32, String)> {
    let Some(hook) = HOOKS.iter().find(|hook| hook.link == "sock_ops") else {
        return Vec::new();
    };
    let own = own(pins);
    let others = attached(cgroup, hook).into_iter().filter(|id| !own.contains(id));
    others.map(|id| (id, program_name(id))).collect()
}

/// The name of a program; without `CAP_SYS_ADMIN` it has none.
pub(super) fn program_name(id: u32) -> String {
    sys::program_by_id(id)
        .and_then(|program| sys::program_name(program.as_fd()))
        .unwrap_or_else(|_| "?".to_owned())
}

/// Programs of all links that are pinned here: also of one that a load which was ended has not yet named,
/// and of an earlier layout's beside the new one.
fn own(pins: &Pins) -> BTreeSet<u32> {
    let links = Pins::names_in(&pins.links()).unwrap_or_default();
    links.iter().filter_map(|path| program_at(path)).collect()
}

fn program_at(link: &Path) -> Option<u32> {
    let link = sys::obj_get(link).ok()?;
    Some(sys::link_info(link.as_fd()).ok()?.program)
}

fn attached(cgroup: &Cgroup, hook: &Hook) -> BTreeSet<u32> {
    let mut attached = BTreeSet::new();
    for directory in cgroup.path.ancestors() {
        let Ok(above) = Cgroup::open(Some(directory)) else { break };
        let found = sys::programs_of(above.directory.as_fd(), hook.attach as u32);
        attached.extend(found.map(|(ids, _)| ids).unwrap_or_default());
    }
    attached
}

/// Directories beside the one in which everything is pinned.
fn siblings(pins: &Pins) -> Vec<PathBuf> {
    let Some(above) = pins.root().parent() else { return Vec::new() };
    let entries = std::fs::read_dir(above).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path != pins.root() && path.is_dir()).collect()
}

fn is_redirector(id: u32, hook: &Hook) -> bool {
    let maps = || {
        let program = sys::program_by_id(id)?;
        let name = sys::program_name(program.as_fd())?;
        if name == hook.program || name == hook.link {
            sys::maps_of(program.as_fd())
        } else {
            Ok(Vec::new())
        }
    };
    maps().unwrap_or_default().iter().any(|map| map == SIGN)
}
