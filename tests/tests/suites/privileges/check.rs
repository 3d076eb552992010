//! `redirector check` where the agent runs: in a pod, which sees little of its node.

use std::process::{Command, Output};

use redirector_tests::{
    bpffs::Bpffs,
    privileges::{AGENT, LOADER, LOADING},
};
use serde_json::Value;

use super::fixture::redirector_binary;

/// Gives its words a mount namespace as a runtime's on a node with cgroup version 1: without cgroup2.
const IN_A_POD: &str =
    "awk '/ - cgroup2 /{print $5}' /proc/self/mountinfo | xargs -r umount -l && exec \"$@\"";

#[test]
fn in_the_pod_of_a_hybrid_node_nothing_is_missing_but_for_a_loader() {
    let _bpffs = Bpffs::mount().expect("a bpffs");
    let in_a_pod = |mut check: Command| -> (Output, Value) {
        check.args(["check", "-o", "json"]);
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--propagation", "private", "sh", "-c", IN_A_POD, "sh"]);
        unshare.arg(check.get_program()).args(check.get_args());
        let output = unshare.output().expect("redirector check");
        let findings: Value = serde_json::from_slice(&output.stdout).expect("a list of findings");
        let findings = findings.as_array().expect("a list");
        let found = findings.iter().find(|finding| finding["what"] == "cgroup2");
        let found = found.expect("it looks at cgroup2").clone();
        (output, found)
    };

    let (output, found) = in_a_pod(AGENT.command(&redirector_binary(), &[]));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(found["verdict"], "degraded", "{found}");
    let detail = found["detail"].as_str().expect("a detail");
    assert!(detail.contains("the agent beside existing pins does not"), "{detail}");

    let (output, found) = in_a_pod(LOADER.command(&redirector_binary(), LOADING));
    assert!(!output.status.success(), "a loader has nothing to attach to: {output:?}");
    assert_eq!(found["verdict"], "missing", "{found}");
}
