//! Finds the cgroup to attach to.

use std::{
    fs::File,
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::mounts;

/// `CGROUP2_SUPER_MAGIC` of statfs(2).
const CGROUP2: i64 = 0x6367_7270;

/// A directory of the cgroup2 hierarchy, opened.
#[derive(Debug)]
pub struct Cgroup {
    /// Where it is.
    pub path: PathBuf,
    /// The open directory.
    pub directory: File,
    /// Its inode number, which is the cgroup's id.
    pub id: u64,
}

impl Cgroup {
    /// Opens the cgroup at `path`, or the root of the cgroup2 mount. Where `path` is no cgroup and
    /// cgroup2 is mounted below it, that one is meant: systemd has it at `unified` beside version 1,
    /// others elsewhere, and so the same `/sys/fs/cgroup` is right on every node.
    ///
    /// # Errors
    ///
    /// There is no cgroup2 mount, or `path` is not a cgroup of it.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let path = match path {
            Some(path) if !is_cgroup2(path) => below(path).unwrap_or_else(|| path.to_owned()),
            Some(path) => path.to_owned(),
            None => root()?,
        };
        let directory = File::open(&path).map_err(|error| {
            let is_absent = error.kind() == ErrorKind::NotFound;
            let what_to_do = if is_absent { "; pass an existing one as --cgroup" } else { "" };
            let shown = path.display();
            anyhow::Error::new(error).context(format!("cannot open the cgroup {shown}{what_to_do}"))
        })?;
        let stat = nix::sys::statfs::fstatfs(&directory)
            .with_context(|| format!("cannot ask about {}", path.display()))?;
        if stat.filesystem_type().0 != CGROUP2 {
            bail!(
                "{} is not in a cgroup2 hierarchy; pass a directory of one as --cgroup{}",
                path.display(),
                root()
                    .map(|root| format!(" (it is mounted at {})", root.display()))
                    .unwrap_or_default(),
            );
        }
        let id = directory.metadata().context("cannot ask about the cgroup")?.ino();
        Ok(Self { path, directory, id })
    }

    /// How deep below the root of all cgroups those are that tell one client from another: pods and
    /// units, which a process cannot make at will, unlike cgroups below its own. Under the root three
    /// levels (`kubepods.slice/kubepods-burstable.slice/…-podUID.slice`, `system.slice/….service`,
    /// `user.slice/user-1000.slice/…`), under another cgroup its children. 0 where the depth is not
    /// known, because this process sees a part of the hierarchy: then each cgroup is a client.
    #[must_use]
    pub fn client_level(&self) -> u32 {
        match self.level() {
            Some(0) => 3,
            Some(level) => level + 1,
            None => 0,
        }
    }

    /// 0 is the root of all, which alone has no events.
    fn level(&self) -> Option<u32> {
        let path = self.path.canonicalize().ok()?;
        for (level, directory) in (0..).zip(path.ancestors()) {
            let kind = nix::sys::statfs::statfs(directory).ok()?.filesystem_type().0;
            if kind != CGROUP2 {
                return None;
            }
            if !directory.join("cgroup.events").exists() {
                return Some(level);
            }
        }
        None
    }
}

fn is_cgroup2(path: &Path) -> bool {
    nix::sys::statfs::statfs(path).is_ok_and(|stat| stat.filesystem_type().0 == CGROUP2)
}

/// Where cgroup2 is mounted in a directory.
fn below(path: &Path) -> Option<PathBuf> {
    mounts::of_type("cgroup2", &path.canonicalize().ok()?).ok()?.into_iter().next()
}

/// Where cgroup2 is mounted.
///
/// # Errors
///
/// It is not.
pub fn root() -> Result<PathBuf> {
    let mounts = mounts::of_type("cgroup2", Path::new("/")).context("cannot read the mounts")?;
    mounts.into_iter().next().context(
        "no cgroup2 hierarchy is mounted; mount one (mount -t cgroup2 none /sys/fs/cgroup) or pass a \
         cgroup as --cgroup",
    )
}
