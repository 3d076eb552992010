//! Finds the cgroup to attach to.

use std::{
    fs::File,
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

/// `CGROUP2_SUPER_MAGIC` of statfs(2).
const CGROUP2: i64 = 0x6367_7270;

/// Where systemd mounts cgroup2 in its hybrid hierarchy.
const BESIDE_V1: &str = "unified";

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
    /// Opens the cgroup at `path`, or the root of the cgroup2 mount. Where systemd has mounted cgroup
    /// v1 at `path` and cgroup2 below it, that one is meant: so the same `/sys/fs/cgroup` is right on
    /// every node.
    ///
    /// # Errors
    ///
    /// There is no cgroup2 mount, or `path` is not a cgroup of it.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => root()?,
        };
        let beside_v1 = path.join(BESIDE_V1);
        let path = if !is_cgroup2(&path) && is_cgroup2(&beside_v1) { beside_v1 } else { path };
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

/// Where cgroup2 is mounted.
///
/// # Errors
///
/// It is not.
pub fn root() -> Result<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
    mounts
        .lines()
        .find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (path, kind) = (words.next()?, words.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(path))
        })
        .context(
            "no cgroup2 hierarchy is mounted; mount one (mount -t cgroup2 none /sys/fs/cgroup) or \
             pass a cgroup as --cgroup",
        )
}
