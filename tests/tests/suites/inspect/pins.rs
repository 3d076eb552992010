//! What is pinned, who may touch it, and that nothing of it is left.

use std::{collections::BTreeSet, fs, path::PathBuf};

use redirector_common::LAYOUT;
use redirector_tests::{agent::Agent, wait::wait_until};

use super::fixture::{CONFIGURATION, Fixture, complaint, mode};
use crate::common::objects::{Ids, attached};

/// The programs as the kernel lists them.
const HOOKS: [&str; 10] = [
    "rdr_connect4",
    "rdr_connect6",
    "rdr_peername4",
    "rdr_peername6",
    "rdr_recvmsg4",
    "rdr_recvmsg6",
    "rdr_release",
    "rdr_sendmsg4",
    "rdr_sendmsg6",
    "rdr_sock_ops",
];

#[test]
fn pins_are_for_their_owner_alone() {
    let site = Fixture::new(CONFIGURATION);
    let agent = Agent::start(site.options()).expect("an agent");
    let root = site.bpffs.pin_path();
    for directory in [root.clone(), root.join(format!("v{LAYOUT}")), root.join("links")] {
        assert_eq!(mode(&directory), 0o700, "{}", directory.display());
    }
    let mut pins = 0;
    for directory in [root.join(format!("v{LAYOUT}")), root.join("links")] {
        for pin in fs::read_dir(&directory).expect("a listing") {
            let pin = pin.expect("a pin").path();
            assert_eq!(mode(&pin), 0o600, "{}", pin.display());
            pins += 1;
        }
    }
    assert!(pins > HOOKS.len() + 10, "{pins} pins");
    agent.finish().expect("no errors");
}

#[test]
fn unload_leaves_no_link_program_map_or_pin() {
    let site = Fixture::new(CONFIGURATION);
    // A fresh bpffs has entries of the kernel's own.
    let listing = || -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(site.bpffs.path()).expect("the bpffs");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let before = listing();
    let mut agent = Agent::start(site.options()).expect("an agent");
    let complaint = complaint(&site.on_pins("unload", &[]));
    let expected = format!(
        "error: {} is in use by process {}; stop the agent first",
        site.bpffs.pin_path().display(),
        agent.pid().expect("it runs"),
    );
    assert_eq!(complaint, expected);
    agent.stop().expect("its end");

    let ids = Ids::pinned(&site.bpffs.pin_path());
    assert_eq!(ids.living(), ids);
    assert_eq!(ids.links.len(), HOOKS.len());
    assert!(ids.programs.len() > HOOKS.len(), "those called by others are missing: {ids:?}");
    assert_eq!(attached(site.cgroup.path()), HOOKS.map(str::to_owned).into());

    let output = site.on_pins("unload", &[]);

    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    let expected =
        format!("detached {} programs and removed {} maps below", HOOKS.len(), ids.maps.len());
    assert!(said.starts_with(&expected), "{said}");
    assert!(attached(site.cgroup.path()).is_empty());
    assert!(!site.bpffs.pin_path().exists());
    assert_eq!(listing(), before);
    // The kernel frees them after a grace period.
    wait_until("everything is freed", || ids.living().is_empty());

    let output = site.on_pins("unload", &[]);
    assert!(output.status.success(), "a second time: {output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, format!("nothing is pinned at {}\n", site.bpffs.pin_path().display()));
}
