//! Few descriptors are told as what they are: nothing about the kernel.

use std::process::Command;

use redirector_tests::programs;

use super::fixture::{CONFIGURATION, Fixture, errors};
use crate::common::objects::attached;

#[test]
fn a_load_with_few_descriptors_names_them_and_leaves_nothing_attached() {
    let site = Fixture::new(CONFIGURATION);
    let (mut failed, mut loaded) = (0, 0);
    // From hardly any to enough: it fails where types are read, maps made, programs loaded, attached.
    for limit in [6, 9, 14, 24, 34, 44, 64, 84, 256] {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={limit}:{limit}"));
        command.arg(programs::redirector().expect("the redirector"));
        command.arg("load").arg("--cgroup").arg(site.cgroup.path());
        command.arg("--pin-path").arg(site.bpffs.pin_path());
        command.args(["--max-slots", "256", "--max-backends", "16"]);
        let output = site.run(command);
        let said = errors(&output);
        assert!(!said.contains("refuses"), "with {limit} descriptors: {said}");
        if output.status.success() {
            loaded += 1;
            assert!(
                !said.contains("WARN"),
                "with {limit} descriptors something is missing: {said}"
            );
            continue;
        }
        failed += 1;
        assert_eq!(loaded, 0, "{limit} descriptors do not suffice, fewer did: {said}");
        let advice = format!("this process may have {limit} descriptors, which do not suffice");
        assert!(said.contains(&advice), "with {limit} descriptors: {said}");
        assert!(
            attached(site.cgroup.path()).is_empty(),
            "with {limit} descriptors: {:?}",
            attached(site.cgroup.path())
        );
    }
    println!("of 9 numbers of descriptors {failed} were too few");
    assert!(failed > 3 && loaded > 0, "{failed} failed, {loaded} loaded");
    site.unload();
}

/// The limit that a service manager or a shell gives is not the one that counts.
#[test]
fn a_low_limit_is_raised_as_far_as_it_may_be() {
    let site = Fixture::new(CONFIGURATION);
    let mut command = Command::new("prlimit");
    command.arg("--nofile=24:4096").arg(programs::redirector().expect("the redirector"));
    command.arg("load").arg("--cgroup").arg(site.cgroup.path());
    command.arg("--pin-path").arg(site.bpffs.pin_path());
    let output = site.run(command);
    assert!(output.status.success(), "{}", errors(&output));
    site.unload();
}
