//! What a process that has ended has left: pins, and programs at hooks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use redirector_tests::bpftool;

use super::fixture::Fixture;

/// Hooks with a program.
pub(crate) const HOOKS: usize = 10;

/// Everything below the pin path, the number of the load left out; empty if that is not there.
pub(crate) fn pins(site: &Fixture) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    walk(&site.bpffs.pin_path(), "", &mut names);
    names
}

fn walk(directory: &Path, above: &str, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().expect("a name");
        let shown = name.split_once("steps-").map_or(name.as_str(), |_| "steps");
        let path = format!("{above}/{shown}");
        walk(&entry.path(), &path, names);
        assert!(names.insert(path), "{name} is not the only one of its kind");
    }
}

/// Ids of the programs at each hook of the cgroup, as the kernel has them.
pub(crate) fn programs(site: &Fixture) -> BTreeMap<String, Vec<u64>> {
    let mut programs = BTreeMap::<String, Vec<u64>>::new();
    for program in bpftool::attached(site.cgroup.path()).expect("bpftool") {
        let hook = program["attach_type"].as_str().expect("a hook").to_owned();
        programs.entry(hook).or_default().push(program["id"].as_u64().expect("an id"));
    }
    programs
}

/// No hook has two programs: they would decide each dial twice.
pub(crate) fn assert_no_hook_has_two(site: &Fixture, after: &str) {
    let programs = programs(site);
    assert!(programs.values().all(|ids| ids.len() == 1), "after {after}: {programs:?}");
}

/// A whole load is there, and nothing else: these pins, and at each hook one program, younger than
/// `older`. Returns the youngest.
pub(crate) fn assert_loaded(
    site: &Fixture,
    expected: &BTreeSet<String>,
    older: u64,
    after: &str,
) -> u64 {
    assert_eq!(&pins(site), expected, "after {after}");
    let programs = programs(site);
    let ids: BTreeSet<u64> = programs.values().flatten().copied().collect();
    let is_whole = programs.len() == HOOKS && programs.values().all(|ids| ids.len() == 1);
    let is_one_generation = ids.first().is_some_and(|oldest| *oldest > older);
    assert!(is_whole && is_one_generation, "after {after}: not younger than {older}: {programs:?}");
    ids.last().copied().unwrap_or_default()
}

/// Nothing is there.
pub(crate) fn assert_gone(site: &Fixture, after: &str) {
    assert!(!site.bpffs.pin_path().exists(), "after {after}: {:?}", pins(site));
    assert_eq!(programs(site), BTreeMap::new(), "after {after}");
}

/// What a log warns of. Nothing of what a run finds after a crash is worth a warning.
pub(crate) fn warnings(log: &str) -> Vec<&str> {
    let is_warning = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
    log.lines().filter(is_warning).collect()
}
