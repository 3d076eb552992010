//! What a test process has in the system: for tests that nothing is left behind.

use std::{collections::BTreeSet, fs, path::Path, process};

use crate::cgroup;

/// Names, mounts, child processes and namespaces of this process, as text. Guards must give back
/// all that they add. Panics if the system cannot be read.
#[must_use]
pub fn traces() -> BTreeSet<String> {
    let name = format!("redirector-lab-{}-", process::id());
    let mut traces = BTreeSet::new();
    for directory in [Path::new("/run"), &cgroup::mount_point().expect("cgroup2")] {
        for entry in fs::read_dir(directory).expect("a listing").flatten() {
            traces.insert(entry.path().display().to_string());
        }
    }
    let mounts = fs::read_to_string("/proc/mounts").expect("mounts");
    traces.extend(mounts.lines().map(str::to_owned));
    traces.retain(|trace| trace.contains(&name));

    for task in fs::read_dir("/proc").expect("processes").flatten() {
        // A process that ends meanwhile is none of ours.
        let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
        if parent == Some(&process::id().to_string()) {
            traces.insert(format!("child process {}", task.file_name().display()));
        }
    }
    for fd in fs::read_dir("/proc/self/fd").expect("descriptors").flatten() {
        let open = fs::read_link(fd.path()).unwrap_or_default();
        if open.starts_with("net:") {
            traces.insert(open.display().to_string());
        }
    }
    traces
}
