//! A limit of memory for processes of a test, by whichever version of cgroups has that controller.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    cgroup::{self, remove_tree},
    names,
};

/// A cgroup with a limit of memory. Dropping it kills what is inside and removes it.
#[derive(Debug)]
pub struct Memory {
    path: PathBuf,
    limits: Files,
}

/// Files of a memory controller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files {
    limit: &'static str,
    /// Counts processes that were killed for want of memory, after `oom_kill`.
    events: &'static str,
}

const VERSION_1: Files = Files { limit: "memory.limit_in_bytes", events: "memory.oom_control" };
const VERSION_2: Files = Files { limit: "memory.max", events: "memory.events" };

impl Memory {
    /// A cgroup with a limit of that many bytes; `None` where no controller of memory is mounted,
    /// or none is given to groups below the root.
    pub fn limited(bytes: u64) -> Result<Option<Self>> {
        let Some((mount, limits)) = controller() else { return Ok(None) };
        let path = mount.join(names::fresh("memory"));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let memory = Self { path, limits };
        let limit = memory.path.join(limits.limit);
        fs::write(&limit, bytes.to_string())
            .with_context(|| format!("cannot write {}", limit.display()))?;
        Ok(Some(memory))
    }

    /// What a process writes `0` to, so that it is inside.
    #[must_use]
    pub fn procs(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// Processes inside that were killed for want of memory.
    pub fn killed(&self) -> Result<u64> {
        let text = fs::read_to_string(self.path.join(self.limits.events))?;
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Ok(count.context("no count of kills")?.parse()?)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        remove_tree(&self.path);
    }
}

/// Where groups with a limit of memory can be made.
pub(crate) fn controller() -> Option<(PathBuf, Files)> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let version_1 = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        let is_memory = kind == "cgroup" && options.split(',').any(|option| option == "memory");
        is_memory.then(|| PathBuf::from(path))
    });
    if let Some(path) = version_1 {
        return Some((path, VERSION_1));
    }
    let path = cgroup::mount_point().ok()?;
    is_given_below(&path).then_some((path, VERSION_2))
}

fn is_given_below(path: &Path) -> bool {
    let given = fs::read_to_string(path.join("cgroup.subtree_control")).unwrap_or_default();
    given.split_whitespace().any(|controller| controller == "memory")
}
