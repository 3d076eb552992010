//! A child cgroup of its own: the only place that tests, demo and benches attach programs to.
//!
//! cgroup2 holds whole processes. A test either starts its client as a child process inside
//! (`Place`), or moves itself in for a while (`enter`).

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::names;

/// Killed processes leave their cgroup a moment later.
const LONGEST_END: Duration = Duration::from_secs(5);

/// A cgroup directly below the cgroup2 mount. Dropping it kills what is inside and removes it.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes an empty one; `what` becomes a part of its name.
    pub fn new(what: &str) -> Result<Self> {
        let path = mount_point()?.join(names::fresh(what));
        fs::create_dir(&path).with_context(|| format!("cannot make cgroup {}", path.display()))?;
        Ok(Self { path })
    }

    /// Its directory: what `--cgroup` takes.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves a process in, with all its threads.
    pub fn add(&self, pid: u32) -> Result<()> {
        move_process(&self.path, pid)
    }

    /// Moves this process in until the returned guard drops.
    ///
    /// All threads move: tests that do this must not run side by side in one process.
    pub fn enter(&self) -> Result<Entered> {
        let home = own_cgroup()?;
        self.add(process::id())?;
        Ok(Entered { home })
    }

    /// The processes inside, without those of child cgroups.
    pub fn processes(&self) -> Result<Vec<u32>> {
        members(&self.path)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        remove_tree(&self.path);
    }
}

/// This process is in a cgroup of a test. Dropping it moves the process back.
#[derive(Debug)]
#[must_use = "dropping it moves the process back"]
pub struct Entered {
    home: PathBuf,
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Err(error) = move_process(&self.home, process::id()) {
            complain(&format!("this process cannot leave a test's cgroup: {error:#}"));
        }
    }
}

/// Where the unified hierarchy is mounted, by `/proc/mounts`: `/sys/fs/cgroup`, or
/// `/sys/fs/cgroup/unified` beside the controllers of version 1.
pub fn mount_point() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
    find_mount(&mounts).context(
        "no cgroup2 is mounted; mount one: mount -t cgroup2 none /sys/fs/cgroup (or another path)",
    )
}

fn find_mount(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| path.into())
    })
}

fn own_cgroup() -> Result<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").context("cannot read /proc/self/cgroup")?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
    Ok(mount_point()?.join(path.context("this process is in no cgroup2")?))
}

fn move_process(cgroup: &Path, pid: u32) -> Result<()> {
    fs::write(cgroup.join("cgroup.procs"), pid.to_string())
        .with_context(|| format!("cannot move process {pid} to {}", cgroup.display()))
}

fn members(cgroup: &Path) -> Result<Vec<u32>> {
    let path = cgroup.join("cgroup.procs");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.lines().filter_map(|pid| pid.parse().ok()).collect())
}

/// Kills everything in `cgroup` and in those below it, then removes them. A process that still
/// counts itself in is moved to the parent first: it must not kill itself.
pub(crate) fn remove_tree(cgroup: &Path) {
    for child in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&child.path());
        }
    }
    if let Some(parent) = cgroup.parent()
        && members(cgroup).is_ok_and(|members| members.contains(&process::id()))
    {
        let _ = move_process(parent, process::id());
    }
    let deadline = Instant::now() + LONGEST_END;
    loop {
        for pid in members(cgroup).unwrap_or_default() {
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        }
        match fs::remove_dir(cgroup) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) if Instant::now() > deadline => {
                return complain(&format!("cannot remove {}: {error}", cgroup.display()));
            }
            // A process in there is still dying.
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Complains for `Drop`, where a failure can be neither returned nor, during a panic, panicked about.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "{message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_found_beside_version_1_and_alone() {
        let hybrid = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";

        assert_eq!(find_mount(hybrid), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(find_mount("proc /proc proc rw 0 0\n"), None);
    }
}
