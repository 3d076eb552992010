//! A BPF file system of its own: pins made there end with the mount.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
};

use crate::{cgroup::complain, names};

/// How long a mount may stay busy, for example because a process that is ending has a pin open.
const LONGEST_BUSY: Duration = Duration::from_secs(1);

/// A bpffs on a new directory. Dropping it unmounts it and removes the directory.
#[derive(Debug)]
pub struct Bpffs {
    path: PathBuf,
}

impl Bpffs {
    /// Mounts an empty one.
    pub fn mount() -> Result<Self> {
        let path = names::fresh_directory("bpffs");
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        // From here on Drop removes the directory.
        let bpffs = Self { path };
        mount(Some("bpf"), &bpffs.path, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
            .with_context(|| format!("cannot mount a bpffs on {}", bpffs.path.display()))?;
        Ok(bpffs)
    }

    /// The mount point.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A directory for `--pin-path`. The agent makes it.
    #[must_use]
    pub fn pin_path(&self) -> PathBuf {
        self.path.join("redirector")
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let deadline = Instant::now() + LONGEST_BUSY;
        let mut result = umount2(&self.path, MntFlags::empty());
        while result == Err(Errno::EBUSY) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
            result = umount2(&self.path, MntFlags::empty());
        }
        if result == Err(Errno::EBUSY) {
            // Out of sight now; it ends with whoever still looks at it.
            result = umount2(&self.path, MntFlags::MNT_DETACH);
        }
        // EINVAL: it was never mounted.
        if let Err(errno) = result
            && errno != Errno::EINVAL
        {
            complain(&format!("cannot unmount {}: {errno}", self.path.display()));
        }
        if let Err(error) = fs::remove_dir(&self.path) {
            complain(&format!("cannot remove {}: {error}", self.path.display()));
        }
    }
}
