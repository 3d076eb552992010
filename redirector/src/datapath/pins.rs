//! Where everything is pinned, who may touch it, and who holds it.
//!
//! ```text
//! <pin-path>                  0700, locked by the process that changes anything below
//! <pin-path>/v4/<MAP>         0600, one directory per layout version
//! <pin-path>/v3/<MAP>         0600, of the layout before: what the way back to it needs (`earlier`)
//! <pin-path>/links/…          0600, one link per hook; they outlive layouts
//! <pin-path>/steps-<N>/NEXT…  0600, the program arrays of the Nth load
//! ```
//!
//! Shared with a group (`Access`) directories are 0770 and pins 0660. Then that group may also put
//! things there, so nothing here follows a symbolic link.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use redirector_common::LAYOUT;

/// Where everything is pinned unless it is said otherwise.
pub const PIN_PATH: &str = "/sys/fs/bpf/redirector";
/// `BPF_FS_MAGIC` of statfs(2).
const BPF_FS: i64 = 0xcafe_4a11;

/// The directory below which everything is pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    root: PathBuf,
    layout: u32,
}

/// Held by the one process that changes what is pinned; the kernel lets go when it dies.
#[derive(Debug)]
pub struct Lock {
    directory: Flock<File>,
}

impl Lock {
    /// Whether that is the directory at this place, and not one that was removed.
    #[must_use]
    pub fn is_of(&self, pins: &Pins) -> bool {
        let number = |is: fs::Metadata| (is.dev(), is.ino());
        let held = self.directory.metadata().map(number).ok();
        held.is_some() && held == fs::metadata(pins.root()).map(number).ok()
    }
}

impl Pins {
    /// Pins below a directory. Nothing is checked or made yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), layout: LAYOUT }
    }

    /// The same place with the maps of another layout version.
    pub(super) fn of_layout(&self, layout: u32) -> Self {
        Self { root: self.root.clone(), layout }
    }

    /// Layout versions of which anything is there.
    pub(super) fn layouts(&self) -> Result<Vec<u32>> {
        Ok(Self::numbered(&Self::names_in(&self.root)?, "v"))
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Maps of this layout version.
    #[must_use]
    pub fn maps(&self) -> PathBuf {
        self.root.join(format!("v{}", self.layout))
    }

    /// One map of this layout version.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    /// The links.
    #[must_use]
    pub fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// The link of one program.
    #[must_use]
    pub fn link(&self, program: &str) -> PathBuf {
        self.links().join(program)
    }

    /// The program arrays of one load: each has its own, so that no program ever calls one of
    /// another version.
    #[must_use]
    pub fn steps(&self, load: u32) -> PathBuf {
        self.root.join(format!("steps-{load}"))
    }

    /// Loads whose program arrays are pinned, oldest first.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn loads(&self) -> Result<Vec<u32>> {
        Ok(Self::numbered(&Self::names_in(&self.root)?, "steps-"))
    }

    /// The numbers in the names that begin so, the lowest first.
    fn numbered(paths: &[PathBuf], prefix: &str) -> Vec<u32> {
        let number =
            |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(prefix)?.parse().ok();
        let mut numbers: Vec<_> = paths.iter().filter_map(number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Whether anything of this layout is there.
    #[must_use]
    pub fn exist(&self) -> bool {
        self.maps().is_dir()
    }

    /// Makes the directories, for their owner alone. Those that `load` has shared stay shared.
    ///
    /// # Errors
    ///
    /// The place is not on a BPF file system, or may not be written; or something below is a
    /// symbolic link.
    pub fn create(&self) -> Result<()> {
        self.check_file_system()?;
        for directory in Self::names_in(&self.root)? {
            if directory.is_dir() {
                Self::names_in(&directory)?;
            }
        }
        [self.root.clone(), self.maps(), self.links()].iter().try_for_each(|path| private(path))
    }

    /// Whether anything can be pinned there.
    ///
    /// # Errors
    ///
    /// The place is not on a BPF file system.
    pub fn check_file_system(&self) -> Result<()> {
        let parent = self.root.parent().unwrap_or(Path::new("/"));
        let stat = nix::sys::statfs::statfs(parent).with_context(|| {
            format!(
                "cannot find {parent}, where {root} should be pinned; mount a BPF file system \
                 there (mount -t bpf bpf {parent}) or pass another --pin-path",
                parent = parent.display(),
                root = self.root.display(),
            )
        })?;
        if stat.filesystem_type().0 != BPF_FS {
            bail!(
                "{parent} is not a BPF file system; mount one (mount -t bpf bpf {parent}) or pass \
                 another --pin-path",
                parent = parent.display(),
            );
        }
        Ok(())
    }

    /// Takes the lock if no process holds it.
    ///
    /// # Errors
    ///
    /// The directory cannot be opened.
    pub fn try_lock(&self) -> Result<Option<Lock>> {
        self.lock_root(FlockArg::LockExclusiveNonblock)
    }

    /// Takes the lock, waiting for the process that holds it.
    ///
    /// # Errors
    ///
    /// As [`try_lock`](Self::try_lock).
    pub fn lock(&self) -> Result<Lock> {
        loop {
            // The directory may have been removed, and made anew, while its lock was waited for.
            let lock = self.lock_root(FlockArg::LockExclusive)?;
            if let Some(lock) = lock.filter(|lock| lock.is_of(self)) {
                return Ok(lock);
            }
        }
    }

    fn lock_root(&self, how: FlockArg) -> Result<Option<Lock>> {
        let root = self.root.display();
        let directory = File::open(&self.root).with_context(|| format!("cannot open {root}"))?;
        match Flock::lock(directory, how) {
            Ok(directory) => Ok(Some(Lock { directory })),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(error).with_context(|| format!("cannot lock {root}")),
        }
    }

    /// Which process holds the lock, as `/proc/locks` tells.
    #[must_use]
    pub fn holder(&self) -> Option<u32> {
        let inode = fs::metadata(&self.root).ok()?.ino().to_string();
        let device = fs::metadata(&self.root).ok()?.dev();
        let device = format!(
            "{:02x}:{:02x}:{inode}",
            nix::sys::stat::major(device),
            nix::sys::stat::minor(device)
        );
        let locks = fs::read_to_string("/proc/locks").ok()?;
        locks.lines().find_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            (words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&device.as_str()))
                .then(|| words.get(4)?.parse().ok())
                .flatten()
        })
    }

    /// Makes the directory for the program arrays of a new load.
    pub(super) fn create_steps(&self) -> Result<u32> {
        let load = self.loads()?.last().map_or(0, |last| last.wrapping_add(1));
        private(&self.steps(load))?;
        Ok(load)
    }

    /// Removes a pin or an empty directory; one that is not there is no error.
    pub(super) fn remove(path: &Path, is_directory: bool) -> Result<bool> {
        let result = if is_directory { fs::remove_dir(path) } else { fs::remove_file(path) };
        match result {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot remove {}", path.display())),
        }
    }

    /// Removes a directory of ours with the pins in it; says how many these were.
    pub(super) fn remove_all(directory: &Path) -> Result<usize> {
        let mut removed = 0;
        for pin in Self::names_in(directory)? {
            removed += usize::from(Self::remove(&pin, false)?);
        }
        Self::remove(directory, true)?;
        Ok(removed)
    }

    /// Names in a directory of ours; none if it is not there.
    ///
    /// # Errors
    ///
    /// It cannot be read, or holds a symbolic link: that would lead out of it, to what is not ours.
    pub(super) fn names_in(directory: &Path) -> Result<Vec<PathBuf>> {
        let name = |entry: io::Result<fs::DirEntry>| -> Result<PathBuf> {
            let entry = entry.with_context(|| format!("cannot read {}", directory.display()))?;
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                bail!(
                    "{} is a symbolic link, which redirector never makes; remove it",
                    path.display()
                );
            }
            Ok(path)
        };
        match fs::read_dir(directory) {
            Ok(entries) => entries.map(name).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => {
                Err(error).with_context(|| format!("cannot read {}", directory.display()))
            }
        }
    }
}

/// Makes a directory for its owner alone, or restricts the one that is there. One that is shared with
/// a group is for that group alone, and stays so until `load` has settled who may use it.
fn private(directory: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot make the pin directory {}", directory.display()));
        }
    }
    let is = fs::metadata(directory).map(|is| is.permissions().mode() & 0o7777);
    if is.is_ok_and(|mode| mode == 0o700 || mode == 0o770) {
        return Ok(());
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("cannot restrict {} to its owner", directory.display()))
}
