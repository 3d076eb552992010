//! Names what a run puts into the system, and removes what runs that are gone have left there.
//! Also the guard of a directory.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process,
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, umount2};

use crate::{cgroup, memory};

/// Where directories with mounts are made. A tmpfs on every distribution, gone at a reboot.
const DIRECTORIES: &str = "/run";
const PREFIX: &str = "redirector-lab-";

/// A name that no other guard and no other run has. Sweeps first, once per process.
pub(crate) fn fresh(what: &str) -> String {
    static SWEPT: Once = Once::new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    SWEPT.call_once(sweep);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{PREFIX}{}-{count}-{what}", process::id())
}

/// A directory of its own for files or a mount. Dropping it removes it with all files.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Makes an empty one; `what` becomes a part of its name.
    pub fn new(what: &str) -> Result<Self> {
        let path = Path::new(DIRECTORIES).join(fresh(what));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a program in it, for the shell.
    pub fn script(&self, name: &str, lines: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::write(&path, format!("#!/bin/sh\n{lines}"))
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            cgroup::complain(&format!("cannot remove {}: {error}", self.path.display()));
        }
    }
}

/// Removes the cgroups, mounts and directories of runs whose process is gone: it was killed and
/// its guards never dropped. Namespaces need no sweep, they live no longer than their processes.
pub fn sweep() {
    // Each step is a try: another run may be sweeping the same.
    let with_memory = memory::controller().map(|(mount, _)| mount);
    for mount in cgroup::mount_point().into_iter().chain(with_memory) {
        for path in leftovers(&mount) {
            cgroup::remove_tree(&path);
        }
    }
    for path in leftovers(Path::new(DIRECTORIES)) {
        let _ = umount2(&path, MntFlags::MNT_DETACH);
        let _ = fs::remove_dir_all(&path);
    }
}

/// Everything in `directory` that carries the name of a process that no longer runs.
fn leftovers(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| owner(&entry.file_name().to_string_lossy()).is_some_and(|pid| !runs(pid)))
        .map(|entry| entry.path())
        .collect()
}

fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn runs(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_owner_and_is_never_given_twice() {
        let (one, two) = (fresh("client"), fresh("client"));

        assert_ne!(one, two);
        assert_eq!(owner(&one), Some(process::id()));
        assert_eq!(owner("redirector"), None);
        assert_eq!(owner("redirector-lab-x-1"), None);
    }
}
