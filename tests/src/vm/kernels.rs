//! The kernels of the matrix: which Debian packages they are in, fetched once and kept.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::apt::Apt;

/// Small images without hardware drivers; what the tests need is built in, or in [`MODULES`].
const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// What listing and destroying sockets needs, in the order in which they load.
pub(super) const MODULES: [&str; 3] = ["inet_diag", "tcp_diag", "udp_diag"];

/// One kernel of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kernel {
    /// The name of its test, and of the directory of its image and logs.
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

/// What a machine boots with, as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) image: PathBuf,
    /// The files of [`MODULES`]; `.ko`, or compressed `.ko.xz`.
    pub(super) modules: Vec<PathBuf>,
}

impl Kernel {
    /// The kernel's files, from `directory` if they are there already, else from Debian's mirrors.
    pub(super) fn files(self, directory: &Path) -> Result<Result<Files, Skip>> {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let lock = File::create(directory.join("lock")).context("cannot make a lock")?;
        lock.lock().context("cannot wait for another fetch of this kernel")?;
        if let Some(files) = find_kept(directory)? {
            return Ok(Ok(files));
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

    fn fetch(self, apt: &Apt, version: &str, directory: &Path) -> Result<Files> {
        let image = apt
            .depends(META_PACKAGE, version)?
            .into_iter()
            .find(|package| package.starts_with("linux-image-"))
            .with_context(|| format!("{META_PACKAGE} {version} depends on no linux-image"))?;
        // Since 7.x the image package is empty and depends on those with the kernel and its
        // modules.
        let mut packages = apt.depends(&image, version)?;
        packages
            .retain(|name| ["linux-binary-", "linux-modules-"].iter().any(|p| name.starts_with(p)));
        packages.push(image);
        let unpacked = tempfile::tempdir_in(directory).context("cannot make a directory")?;
        for package in &packages {
            apt.unpack(package, version, unpacked.path())?;
        }
        let packages = packages.join(", ");
        let modules = MODULES
            .iter()
            .map(|module| {
                let from = find(unpacked.path(), &|name| is_module(name, module))?
                    .with_context(|| format!("{packages} {version}: no module {module}"))?;
                let name = from.file_name().context("a module without a name")?;
                keep(&from, &directory.join(name))
            })
            .collect::<Result<_>>()?;
        // `boot/vmlinuz-…`, since 7.x `usr/lib/modules/…/vmlinuz`. Kept last: with it all is there.
        let from = find(unpacked.path(), &is_kernel)?
            .with_context(|| format!("{packages} {version}: no vmlinuz"))?;
        let image = keep(&from, &directory.join(format!("vmlinuz-{version}")))?;
        Ok(Files { image, modules })
    }
}

fn keep(from: &Path, to: &Path) -> Result<PathBuf> {
    fs::rename(from, to).with_context(|| format!("cannot keep {}", to.display()))?;
    Ok(to.to_owned())
}

/// What an earlier run kept, if it is complete.
fn find_kept(directory: &Path) -> Result<Option<Files>> {
    let Some(image) = find(directory, &is_kernel)? else { return Ok(None) };
    let mut modules = Vec::new();
    for module in MODULES {
        let Some(path) = find(directory, &|name| is_module(name, module))? else {
            return Ok(None);
        };
        modules.push(path);
    }
    Ok(Some(Files { image, modules }))
}

/// The first file below `root` whose name `is_it`.
fn find(root: &Path, is_it: &dyn Fn(&str) -> bool) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let found = if path.is_dir() && !path.is_symlink() {
            find(&path, is_it)?
        } else {
            path.file_name().and_then(|name| name.to_str()).is_some_and(is_it).then_some(path)
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn is_kernel(name: &str) -> bool {
    name.starts_with("vmlinuz")
}

fn is_module(name: &str, module: &str) -> bool {
    [".ko", ".ko.xz"].iter().any(|end| name.strip_suffix(end) == Some(module))
}
