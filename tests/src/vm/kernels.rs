//! The kernels of the matrix: which Debian packages they are in, fetched once and kept.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::apt::Apt;

/// Small images without hardware drivers; what the tests need is built in.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// One kernel of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kernel {
    /// As its test is called, and the directory of its image and logs.
    pub name: &'static str,
    release: &'static str,
    /// What its version starts with; empty for whatever is newest.
    series: &'static str,
}

pub const LINUX_5_10: Kernel = Kernel { name: "linux_5_10", release: "bullseye", series: "5.10." };
pub const LINUX_6_1: Kernel = Kernel { name: "linux_6_1", release: "bookworm", series: "6.1." };
pub const LINUX_6_12: Kernel = Kernel { name: "linux_6_12", release: "trixie", series: "6.12." };
pub const NEWEST: Kernel = Kernel { name: "linux_newest", release: "sid", series: "" };

pub const ALL: [Kernel; 4] = [LINUX_5_10, LINUX_6_1, LINUX_6_12, NEWEST];

/// The one reason to leave a kernel out; everything else, also no network, fails its test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the mirrors no longer have a kernel of this series")]
pub struct Skip;

impl Kernel {
    /// The kernel's image, from `directory` if it is there already, else from Debian's mirrors.
    pub(super) fn image(self, directory: &Path) -> Result<Result<PathBuf, Skip>> {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let lock = File::create(directory.join("lock")).context("cannot make a lock")?;
        lock.lock().context("cannot wait for another fetch of this kernel")?;
        if let Some(image) = find_image(directory)? {
            return Ok(Ok(image));
        }
        // Dropped with its package lists, which are many times the size of the kernel.
        let root = tempfile::tempdir_in(directory).context("cannot make a directory")?;
        let apt = Apt::update(root.path(), self.release)?;
        let versions = apt.versions(META_PACKAGE)?;
        let Some(version) = versions.iter().find(|version| version.starts_with(self.series)) else {
            return Ok(Err(Skip));
        };
        self.fetch(&apt, version, directory).map(Ok)
    }

    fn fetch(self, apt: &Apt, version: &str, directory: &Path) -> Result<PathBuf> {
        let image = apt
            .depends(META_PACKAGE, version)?
            .into_iter()
            .find(|package| package.starts_with("linux-image-"))
            .with_context(|| format!("{META_PACKAGE} {version} depends on no linux-image"))?;
        // Since 7.x the image package is empty and depends on the one with the kernel.
        let binary = apt
            .depends(&image, version)?
            .into_iter()
            .find(|package| package.starts_with("linux-binary-"));
        let package = binary.unwrap_or(image);
        let unpacked = tempfile::tempdir_in(directory).context("cannot make a directory")?;
        apt.unpack(&package, version, unpacked.path())?;
        let from = find_kernel(unpacked.path())?
            .with_context(|| format!("{package} {version} has no vmlinuz"))?;
        let to = directory.join(format!("vmlinuz-{version}"));
        fs::rename(&from, &to).with_context(|| format!("cannot keep {}", to.display()))?;
        Ok(to)
    }
}

/// The image that an earlier run kept.
fn find_image(directory: &Path) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_file() && is_kernel(&path) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Packages have it as `boot/vmlinuz-…`, since 7.x as `usr/lib/modules/…/vmlinuz`.
fn find_kernel(root: &Path) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let found = if path.is_dir() && !path.is_symlink() {
            find_kernel(&path)?
        } else {
            is_kernel(&path).then_some(path)
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn is_kernel(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"vmlinuz"))
}
