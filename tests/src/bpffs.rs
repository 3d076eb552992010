//! A BPF file system of its own: pins made there end with the mount.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
};

use crate::{cgroup::complain, names::Directory};

/// How long a mount may stay busy, for example because a process that is ending has a pin open.
const LONGEST_BUSY: Duration = Duration::from_secs(1);

/// A bpffs on a new directory. Dropping it unmounts it and removes the directory.
#[derive(Debug)]
pub struct Bpffs {
    directory: Directory,
}

impl Bpffs {
    /// Mounts an empty one.
    pub fn mount() -> Result<Self> {
        let directory = Directory::new("bpffs")?;
        let path = directory.path();
        mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
            .with_context(|| format!("cannot mount a bpffs on {}", path.display()))?;
        Ok(Self { directory })
    }

    /// The mount point.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A directory for `--pin-path`. The agent makes it.
    #[must_use]
    pub fn pin_path(&self) -> PathBuf {
        self.path().join("redirector")
    }

    /// Where an agent with that pin path keeps its maps.
    #[must_use]
    pub fn maps_path(&self) -> PathBuf {
        self.pin_path().join(format!("v{}", redirector_common::LAYOUT))
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let deadline = Instant::now() + LONGEST_BUSY;
        let mut result = umount2(self.path(), MntFlags::empty());
        while result == Err(Errno::EBUSY) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
            result = umount2(self.path(), MntFlags::empty());
        }
        if result == Err(Errno::EBUSY) {
            // Out of sight now; it ends with the last process that still uses it.
            result = umount2(self.path(), MntFlags::MNT_DETACH);
        }
        if let Err(errno) = result {
            complain(&format!("cannot unmount {}: {errno}", self.path().display()));
        }
    }
}
