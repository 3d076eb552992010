//! Finds the network namespaces of this node: of its processes, and those that are mounted.
//!
//! Not found is one that only a descriptor or a single thread holds.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::super::mounts::parse;

/// The namespaces seen so far.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    /// Device and inode number.
    seen: BTreeSet<(u64, u64)>,
    /// Processes whose namespace may not be looked at: `CAP_SYS_PTRACE` is missing.
    pub(super) unreadable: u32,
}

impl Namespaces {
    /// Calls `each` with every namespace that it was not called with before; returns how many.
    pub(super) fn find(&mut self, mut each: impl FnMut(File)) -> io::Result<u32> {
        self.unreadable = 0;
        let mut count = 0;
        for process in fs::read_dir("/proc")?.flatten() {
            let is_process = process.file_name().as_encoded_bytes()[0].is_ascii_digit();
            if is_process && let Some(file) = self.fresh(&process.path().join("ns/net")) {
                count += 1;
                each(file);
            }
        }
        for path in mounted() {
            if let Some(file) = self.fresh(&path) {
                count += 1;
                each(file);
            }
        }
        Ok(count)
    }

    fn fresh(&mut self, path: &Path) -> Option<File> {
        match self.try_fresh(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.unreadable += 1;
                None
            }
            // The process has ended.
            Err(_) => None,
        }
    }

    fn try_fresh(&mut self, path: &Path) -> io::Result<Option<File>> {
        let identity = |data: &fs::Metadata| (data.dev(), data.ino());
        if self.seen.contains(&identity(&fs::metadata(path)?)) {
            return Ok(None);
        }
        let file = File::open(path)?;
        // By now the process may be another one.
        Ok(self.seen.insert(identity(&file.metadata()?)).then_some(file))
    }
}

/// Where container runtimes and `ip netns` keep namespaces, as the first process sees it and as this
/// one does: in a pod the first sees more, and in a sandbox it may not be asked.
fn mounted() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (mounts, root) in [("/proc/1/mountinfo", "/proc/1/root"), ("/proc/self/mountinfo", "")] {
        let mounts = fs::read_to_string(mounts).unwrap_or_default();
        found.extend(paths(&mounts).map(|path| PathBuf::from(format!("{root}{}", path.display()))));
    }
    found
}

fn paths(mounts: &str) -> impl Iterator<Item = PathBuf> {
    let mounts = parse(mounts, "nsfs").into_iter();
    mounts.filter(|mount| mount.root.starts_with("net:")).map(|mount| mount.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounted_network_namespaces_are_found_and_others_are_not() {
        let mounts = "\
            24 1 0:22 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n\
            600 25 0:4 net:[4026532281] /run/netns/cni-1 rw shared:300 - nsfs nsfs rw\n\
            601 25 0:4 mnt:[4026532282] /run/snapd/ns/x.mnt rw - nsfs nsfs rw\n\
            602 25 0:4 net:[4026532283] /run/docker/netns/7f rw - nsfs nsfs rw\n";
        assert_eq!(
            paths(mounts).collect::<Vec<_>>(),
            ["/run/netns/cni-1", "/run/docker/netns/7f"].map(PathBuf::from)
        );
    }

    #[test]
    fn every_namespace_is_found_once() {
        let mut namespaces = Namespaces::default();
        let mut found = Vec::new();
        namespaces.find(|file| found.push(file.metadata().unwrap().ino())).unwrap();
        let own = fs::metadata("/proc/self/ns/net").unwrap().ino();
        assert_eq!(found.iter().filter(|inode| **inode == own).count(), 1);
        let is_new = |file: File| assert_ne!(file.metadata().unwrap().ino(), own);
        namespaces.find(is_new).unwrap();
    }
}
