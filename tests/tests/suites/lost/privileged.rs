//! An agent that may load: whatever is taken, it loads again by itself.

use std::{fs, path::Path};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use redirector_tests::wait::wait_until;

use super::fixture::{Fixture, detach};

type Taking = fn(&Fixture);

#[test]
fn what_is_taken_from_an_agent_that_may_load_is_loaded_again_by_it() {
    let takings: [(&str, Taking); 4] = [
        ("not attached: connect4", |site| detach(&site.bpffs, "connect4")),
        ("emptied: NEXT_RELEASE", |site| {
            for entry in fs::read_dir(site.bpffs.pin_path()).expect("the pins") {
                let path = entry.expect("an entry").path();
                if path.display().to_string().contains("/steps-") {
                    fs::remove_dir_all(path).expect("removed");
                }
            }
        }),
        ("not pinned: SERVICES", |site| {
            fs::remove_file(site.bpffs.maps_path().join("SERVICES")).expect("removed");
        }),
        ("not pinned: FRONTENDS4", |site| {
            fs::remove_dir_all(site.bpffs.pin_path()).expect("removed");
        }),
    ];
    let mut site = Fixture::privileged();
    let pid = site.agent.pid();
    for (times, (what, take)) in (1..).zip(takings) {
        take(&site);
        wait_until("the log says what is lost", || site.agent.logged(what) > 0);
        site.wait_until_healed();
        assert_eq!(site.agent.logged("pins or programs are gone"), times, "{}", site.agent.log());
    }
    assert_eq!(site.agent.pid(), pid, "the process is still the same");
    site.agent.wait_until_ready().expect("it runs");
}

#[test]
fn an_unmounted_bpf_file_system_is_missed_until_it_is_there_again() {
    let mut site = Fixture::privileged();
    let path = site.bpffs.path().to_owned();
    umount2(&path, MntFlags::MNT_DETACH).expect("unmounted");
    let said = site.wait_for_loss("not pinned: FRONTENDS4");
    let complete = || site.wait_for_loss("is not a BPF file system; mount one");
    let said = if said.contains("mount one") { said } else { complete() };
    assert!(said.contains("`redirector load` as root loads again"), "{said}");
    assert!(site.explain().contains("not in force on this node: not pinned: FRONTENDS4"));
    mount_bpffs(&path);
    site.wait_until_healed();
}

fn mount_bpffs(path: &Path) {
    let mode = Some("mode=0700");
    mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), mode).expect("a bpffs");
}
