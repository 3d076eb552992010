//! What of ours the kernel and the BPF file system have, by bpftool and by looking.

use std::{collections::BTreeSet, ffi::OsStr, fs, path::Path};

use redirector_tests::bpftool;
use serde_json::Value;

use super::bpf::{Kind, exists};

/// Ids, which the kernel never gives again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) links: BTreeSet<u64>,
    pub(crate) maps: BTreeSet<u64>,
    pub(crate) programs: BTreeSet<u64>,
}

impl Ids {
    /// Behind the pins below this directory; programs are also those that no link holds but a map of
    /// ours.
    pub(crate) fn pinned(root: &Path) -> Self {
        let links = shown("link", &root.join("links"));
        let directories = fs::read_dir(root).expect("pins").map(|entry| entry.expect("one").path());
        let maps: BTreeSet<u64> = directories
            .filter(|directory| directory.is_dir() && !directory.ends_with("links"))
            .flat_map(|directory| ids(&shown("map", &directory), "id"))
            .collect();
        let mut programs = ids(&links, "prog_id");
        let all = bpftool::json(&["prog", "list"].map(OsStr::new)).expect("all programs");
        for program in all.as_array().expect("a list") {
            let uses = program["map_ids"].as_array().into_iter().flatten();
            if uses.filter_map(Value::as_u64).any(|map| maps.contains(&map)) {
                programs.extend(program["id"].as_u64());
            }
        }
        let ids = Self { links: ids(&links, "id"), maps, programs };
        assert!(ids.programs.len() >= 10 && ids.maps.len() > 10, "too few: {ids:?}");
        ids
    }

    /// Those that the kernel still has.
    pub(crate) fn living(&self) -> Self {
        let living = |kind, ids: &BTreeSet<u64>| {
            let number = |id: &u64| u32::try_from(*id).expect("ids have 32 bits");
            ids.iter().copied().filter(|id| exists(kind, number(id))).collect()
        };
        Self {
            links: living(Kind::Link, &self.links),
            maps: living(Kind::Map, &self.maps),
            programs: living(Kind::Program, &self.programs),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty() && self.maps.is_empty() && self.programs.is_empty()
    }

    /// The names of those maps that `other` does not have, tables of tail calls excepted: those
    /// come and go with the programs.
    pub(crate) fn maps_that_differ(&self, other: &Self) -> Vec<String> {
        let anew = self.maps.difference(&other.maps).copied().collect();
        let anew = Self { maps: anew, ..Self::default() }.described();
        let names = anew.iter().filter(|map| map["type"] != "prog_array");
        names.map(|map| map["name"].as_str().unwrap_or("?").to_owned()).collect()
    }

    /// What bpftool says of each program and map.
    pub(crate) fn described(&self) -> Vec<Value> {
        let describe = |kind: &str, ids: &BTreeSet<u64>| -> Vec<Value> {
            let show = |id: &u64| bpftool::json_of(&[kind, "show", "id"], id.to_string().as_ref());
            ids.iter().filter_map(|id| show(id).ok()).collect()
        };
        [describe("prog", &self.programs), describe("map", &self.maps)].concat()
    }
}

/// The names of the programs attached to a cgroup.
pub(crate) fn attached(cgroup: &Path) -> BTreeSet<String> {
    let programs = bpftool::attached(cgroup).expect("the cgroup's programs");
    let name = |program: &Value| program["name"].as_str().map(str::to_owned);
    programs.iter().filter_map(name).collect()
}

/// Whether the directory of the pins is not there, or empty.
pub(crate) fn is_unpinned(root: &Path) -> bool {
    fs::read_dir(root).map_or(true, |mut entries| entries.next().is_none())
}

/// What bpftool shows of each pin in a directory.
fn shown(kind: &str, directory: &Path) -> Vec<Value> {
    let pins = fs::read_dir(directory).expect("pins").map(|pin| pin.expect("a pin").path());
    let show = |pin: &Path| bpftool::json_of(&[kind, "show", "pinned"], pin);
    pins.map(|pin| show(&pin).expect("what is pinned")).collect()
}

fn ids(shown: &[Value], field: &str) -> BTreeSet<u64> {
    let id = |one: &Value| one[field].as_u64().unwrap_or_else(|| panic!("no {field}: {one}"));
    shown.iter().map(id).collect()
}
