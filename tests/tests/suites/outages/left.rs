//! What of ours the kernel and the BPF file system have, by bpftool and by looking.

use std::{collections::BTreeSet, ffi::OsStr, fs, path::Path};

use redirector_tests::{agent::Agent, bpftool};
use serde_json::Value;

use crate::inspect::bpf::{Kind, exists};

/// Ids, which the kernel never gives again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    programs: BTreeSet<u64>,
    maps: BTreeSet<u64>,
    links: BTreeSet<u64>,
}

impl Ids {
    /// Attached to the agent's cgroup, and pinned below its directory.
    pub(crate) fn of(agent: &Agent) -> Self {
        let programs = attached(agent);
        let (mut maps, mut links) = (BTreeSet::new(), BTreeSet::new());
        let root = &agent.options().pin_path;
        for directory in fs::read_dir(root).expect("pins").map(|entry| entry.expect("one").path()) {
            if !directory.is_dir() {
                continue;
            }
            let kind = if directory.ends_with("links") { "link" } else { "map" };
            let ids = if kind == "link" { &mut links } else { &mut maps };
            for pin in fs::read_dir(&directory).expect("pins") {
                let pin = pin.expect("a pin").path();
                let shown = show(&[kind, "show", "pinned"], pin.as_os_str()).expect("a pin");
                ids.extend(shown["id"].as_u64());
            }
        }
        let ids = Self { programs, maps, links };
        assert!(ids.programs.len() >= 10 && ids.maps.len() > 10, "too few: {ids:?}");
        ids
    }

    /// How many programs and maps.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.programs.len(), self.maps.len())
    }

    /// Those that the kernel still has.
    pub(crate) fn living(&self) -> Self {
        let living = |kind, ids: &BTreeSet<u64>| {
            let number = |id: &u64| u32::try_from(*id).expect("ids have 32 bits");
            ids.iter().copied().filter(|id| exists(kind, number(id))).collect()
        };
        Self {
            programs: living(Kind::Program, &self.programs),
            maps: living(Kind::Map, &self.maps),
            links: living(Kind::Link, &self.links),
        }
    }

    /// The names of those maps that `other` does not have, tables of tail calls excepted: those
    /// come and go with the programs.
    pub(crate) fn maps_that_differ(&self, other: &Self) -> Vec<String> {
        let anew = self.maps.difference(&other.maps).copied().collect();
        let anew = Self { maps: anew, ..Self::default() }.described();
        let names = anew.iter().filter(|map| map["type"] != "prog_array");
        names.map(|map| map["name"].as_str().unwrap_or("?").to_owned()).collect()
    }

    /// What bpftool says of each.
    pub(crate) fn described(&self) -> Vec<Value> {
        let describe = |kind: &str, ids: &BTreeSet<u64>| -> Vec<Value> {
            let shown = ids.iter().map(|id| show(&[kind, "show", "id"], id.to_string().as_ref()));
            shown.filter_map(Result::ok).collect()
        };
        [describe("prog", &self.programs), describe("map", &self.maps)].concat()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.programs.is_empty() && self.maps.is_empty() && self.links.is_empty()
    }
}

/// The programs attached to the agent's cgroup.
pub(crate) fn attached(agent: &Agent) -> BTreeSet<u64> {
    let shown = show(&["cgroup", "show"], agent.options().cgroup.as_os_str()).expect("a cgroup");
    shown.as_array().into_iter().flatten().filter_map(|one| one["id"].as_u64()).collect()
}

/// Whether the directory of the pins is not there, or empty.
pub(crate) fn is_unpinned(root: &Path) -> bool {
    fs::read_dir(root).map_or(true, |mut entries| entries.next().is_none())
}

fn show(words: &[&str], last: &OsStr) -> anyhow::Result<Value> {
    let words: Vec<&OsStr> = words.iter().map(OsStr::new).chain([last]).collect();
    bpftool::json(&words)
}
