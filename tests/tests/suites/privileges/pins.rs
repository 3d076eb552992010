//! Who may open what is pinned: the loader, the agent's group, and nobody else.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use redirector_tests::privileges::{AGENT, LOADER, LOADING, STRANGER, User};

use super::fixture::{PROBED, start};

#[test]
fn another_user_can_open_no_pin() {
    let site = start(PROBED, true);
    // So that it is the modes of ours that keep it out, and not those of the mount.
    let open_to_all = fs::Permissions::from_mode(0o777);
    fs::set_permissions(site.bpffs.path(), open_to_all).expect("a mode");
    let root = site.bpffs.pin_path();
    let mut pins = Vec::new();
    for directory in entries(&root) {
        pins.extend(entries(&directory));
        assert_is(&directory, 0o770);
    }
    assert_is(&root, 0o770);
    assert!(pins.len() > 35, "{} pins", pins.len());

    for pin in &pins {
        assert_is(pin, 0o660);
        let shown = pin.display();
        assert!(may_open(AGENT, &[], pin), "the agent cannot open {shown}");
        // Not even one who may load programs.
        assert!(!may_open(STRANGER, &[], pin), "a stranger opens {shown}");
        assert!(!may_open(STRANGER, LOADING, pin), "a stranger who may load opens {shown}");
    }

    // Nor does it help to be let into the directories: then the pins' own modes keep it out.
    let mut directories = entries(&root);
    directories.push(root.clone());
    for directory in &directories {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).expect("a mode");
    }
    for pin in &pins {
        assert!(!may_open(STRANGER, LOADING, pin), "a stranger opens {}", pin.display());
    }
    println!("{} pins: the agent opens each, a stranger none", pins.len());
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory of ours");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

fn assert_is(path: &Path, mode: u32) {
    let is = fs::metadata(path).expect("it is there");
    let is = (is.mode() & 0o7777, is.uid(), is.gid());
    assert_eq!(
        is,
        (mode, LOADER.user, LOADER.group),
        "{}: mode {:o}, owner {}:{}",
        path.display(),
        is.0,
        is.1,
        is.2
    );
}

/// Whether `bpf(BPF_OBJ_GET)` gives that user a descriptor.
fn may_open(user: User, capabilities: &[&str], pin: &Path) -> bool {
    let kind = if pin.parent().is_some_and(|of| of.ends_with("links")) { "link" } else { "map" };
    let mut bpftool = user.command(Path::new("bpftool"), capabilities);
    let output = bpftool.args([kind, "show", "pinned"]).arg(pin).output().expect("bpftool");
    let said = String::from_utf8_lossy(&output.stderr);
    // Two ways in which it says EACCES; the second where it may not even look at the directory.
    let is_denied = ["Permission denied", "directory not in bpf file system"]
        .iter()
        .any(|why| said.contains("bpf obj get") && said.contains(why));
    assert_eq!(is_denied, !output.status.success(), "{}: {output:?}", pin.display());
    !is_denied
}
