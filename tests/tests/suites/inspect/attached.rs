//! What of ours the kernel has, by bpftool: links, programs, maps.

use std::{collections::BTreeSet, ffi::OsStr, fs, path::Path};

use redirector_tests::bpftool;
use serde_json::Value;

use super::{
    bpf::{Kind, exists},
    fixture::Fixture,
};

/// Ids, which the kernel never gives again.
#[derive(Debug, PartialEq, Eq)]
pub struct Ids {
    pub links: BTreeSet<u64>,
    pub maps: BTreeSet<u64>,
    pub programs: BTreeSet<u64>,
}

impl Ids {
    /// Behind the pins; programs are also those that no link holds but a map of ours.
    pub fn pinned(site: &Fixture) -> Self {
        let pins = site.bpffs.pin_path();
        let links: Vec<_> = shown("link", &pins.join("links"));
        let directories =
            fs::read_dir(&pins).expect("pins").map(|entry| entry.expect("one").path());
        let maps = directories
            .filter(|directory| !directory.ends_with("links"))
            .flat_map(|directory| ids(&shown("map", &directory), "id"))
            .collect();
        let mut programs = ids(&links, "prog_id");
        for program in list(&["prog", "list"]) {
            let uses = program["map_ids"].as_array().into_iter().flatten();
            if uses.filter_map(Value::as_u64).any(|map| BTreeSet::contains(&maps, &map)) {
                programs.extend(program["id"].as_u64());
            }
        }
        Self { links: ids(&links, "id"), maps, programs }
    }

    /// Those that the kernel still has.
    pub fn living(&self) -> Self {
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

    pub fn is_empty(&self) -> bool {
        self.links.is_empty() && self.maps.is_empty() && self.programs.is_empty()
    }
}

/// The names of the programs attached to the site's cgroup.
pub fn attached(site: &Fixture) -> BTreeSet<String> {
    let arguments = ["cgroup", "show"].map(OsStr::new);
    let shown = bpftool::json(&[&arguments[..], &[site.cgroup.path().as_os_str()]].concat());
    let shown = shown.expect("the cgroup's programs");
    let all = shown.as_array().into_iter().flatten();
    all.filter_map(|program| program["name"].as_str().map(str::to_owned)).collect()
}

/// What bpftool shows of each pin in `directory`.
fn shown(kind: &str, directory: &Path) -> Vec<Value> {
    let pins = fs::read_dir(directory).expect("pins").map(|pin| pin.expect("a pin").path());
    pins.map(|pin| {
        let arguments = [kind, "show", "pinned"].map(OsStr::new);
        bpftool::json(&[&arguments[..], &[pin.as_os_str()]].concat()).expect("what is pinned")
    })
    .collect()
}

fn list(arguments: &[&str]) -> Vec<Value> {
    let arguments: Vec<_> = arguments.iter().map(OsStr::new).collect();
    match bpftool::json(&arguments).expect("a list") {
        Value::Array(all) => all,
        other => panic!("no list: {other}"),
    }
}

fn ids(shown: &[Value], field: &str) -> BTreeSet<u64> {
    let id = |one: &Value| one[field].as_u64().unwrap_or_else(|| panic!("no {field}: {one}"));
    shown.iter().map(id).collect()
}
