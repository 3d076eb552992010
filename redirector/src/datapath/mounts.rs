//! What is mounted where, as this process sees it.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

/// A mount of some file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) path: PathBuf,
    /// What of the file system is mounted there.
    pub(super) root: String,
}

/// Where a type of file system is mounted, at `below` or beneath it: whole ones first, then the
/// shortest path.
///
/// # Errors
///
/// The mounts cannot be read.
pub(super) fn of_type(kind: &str, below: &Path) -> io::Result<Vec<PathBuf>> {
    let mut mounts = parse(&fs::read_to_string("/proc/self/mountinfo")?, kind);
    mounts.retain(|mount| mount.path.starts_with(below));
    // All of the file system before a directory of it.
    mounts.sort_by_key(|mount| (mount.root != "/", mount.path.components().count()));
    Ok(mounts.into_iter().map(|mount| mount.path).collect())
}

/// `proc_pid_mountinfo(5)`: the root within the file system is the fourth field, the mount point the
/// fifth, and the type follows a lone hyphen.
pub(super) fn parse(mountinfo: &str, kind: &str) -> Vec<Mount> {
    let of_line = |line: &str| {
        let (place, what) = line.split_once(" - ")?;
        let mut fields = place.split(' ').skip(3);
        let (root, path) = (fields.next()?, fields.next()?);
        let is_meant = what.split(' ').next() == Some(kind);
        is_meant.then(|| Mount { path: unescape(path), root: root.to_owned() })
    };
    mountinfo.lines().filter_map(of_line).collect()
}

/// Blanks, newlines and backslashes are written as `\040` and the like.
fn unescape(path: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\');
        let octal = octal.and_then(|digits| str::from_utf8(digits).ok());
        let (byte, after) = match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => (byte, &after[3..]),
            None => (*first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_found_whatever_surrounds_it() {
        let mountinfo = "\
            31 23 0:28 / /host/cgroup ro,relatime - tmpfs tmpfs rw,mode=755\n\
            37 31 0:34 / /host/cgroup/systemd rw shared:9 master:1 - cgroup cgroup rw,name=systemd\n\
            38 31 0:35 /kubepods/pod1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
            39 31 0:35 / /host/cgroup/a\\040b rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        let mount = |path: &str, root: &str| Mount { path: path.into(), root: root.to_owned() };
        assert_eq!(
            parse(mountinfo, "cgroup2"),
            [mount("/sys/fs/cgroup", "/kubepods/pod1"), mount("/host/cgroup/a b", "/")]
        );
        assert_eq!(parse(mountinfo, "bpf"), []);
    }

    #[test]
    fn only_what_is_an_escape_is_one() {
        assert_eq!(unescape("/a\\134\\012b\\"), Path::new("/a\\\nb\\"));
        assert_eq!(unescape("/\\9x/\\400"), Path::new("/\\9x/\\400"));
    }

    #[test]
    fn this_process_has_proc_mounted() {
        let found = of_type("proc", Path::new("/")).expect("mounts");
        assert!(found.contains(&PathBuf::from("/proc")), "{found:?}");
        assert!(of_type("proc", Path::new("/nowhere")).expect("mounts").is_empty());
    }
}
