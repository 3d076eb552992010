//! Which namespaces are found, and what is said where privileges or the kernel do not do.

use std::{fs::File, path::PathBuf, process::Command, time::Duration};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use redirector::datapath::Resets;
use redirector_core::service::{BackendRef, Protocol};
use redirector_tests::{
    names::Directory,
    netns::Netns,
    place::{Place, Process},
    programs,
};
use serde_json::Value;

use super::{
    held::{Held, Transport, all_failed},
    pods::{Family, PORT, Pods},
};

/// A process that does nothing but hold its namespace, as the pause container does.
pub(crate) fn pause(netns: &Netns) -> Process {
    let mut command = Command::new("sleep");
    command.arg("infinity");
    Process(Place::netns(netns).spawn(command).expect("a process"))
}

/// A namespace bound to a file, as `ip netns add` does. Dropping it unbinds it.
struct Bound(PathBuf);

impl Bound {
    fn new(netns: &Netns, path: PathBuf) -> Self {
        File::create(&path).expect("a file");
        let none = None::<&str>;
        mount(Some(&netns.path()), &path, none, MsFlags::MS_BIND, none).expect("a bind mount");
        Self(path)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_namespace_that_only_a_mount_holds_is_found() {
    let pods = Pods::new();
    let directory = Directory::new("netns").expect("a directory");
    // No process is in the backend's own namespace.
    let netns = pods.backend(1).netns();
    let held = Held::open((0, netns), (0, pods.address(0, Family::V4)), Transport::Tcp);
    held.works();
    let backend =
        BackendRef { address: pods.backend(0).ipv4().into(), port: PORT, protocol: Protocol::Tcp };
    let resets = Resets::by_peer().expect("resets");
    assert_eq!(resets.destroy(&[backend]).expect("a walk").tcp, 0, "nothing shows it yet");

    let _bound = Bound::new(netns, directory.path().join("bound"));
    assert_eq!(resets.destroy(&[backend]).expect("a walk").tcp, 1);
    all_failed(&[&held], Duration::from_secs(1));
}

#[test]
fn check_says_what_resets_lack() {
    let look = |capabilities: &str| -> (String, String) {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", capabilities]);
        command.arg(programs::redirector().expect("the redirector"));
        let output = command.args(["check", "-o", "json"]).output().expect("a check");
        let findings: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
        let finding = findings.iter().find(|finding| finding["what"] == "resets");
        let finding = finding.expect("a line about resets");
        let text = |key: &str| finding[key].as_str().expect("text").to_owned();
        (text("verdict"), text("detail"))
    };

    let (verdict, detail) = look("+all");
    assert_eq!(verdict, "ok", "{detail}");
    for (taken, named) in [
        ("-net_admin", "the agent needs CAP_NET_ADMIN;"),
        ("-sys_admin,-sys_ptrace", "the agent needs CAP_SYS_ADMIN and CAP_SYS_PTRACE;"),
    ] {
        let (verdict, detail) = look(taken);
        assert_eq!(verdict, "degraded", "{taken}");
        assert!(detail.starts_with(named), "{taken}: {detail}");
    }
}
