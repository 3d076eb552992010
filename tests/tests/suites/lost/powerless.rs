//! An agent without capabilities, as in a pod: a loader that stands by loads for it, and a container
//! that is started again finds what was loaded.

use std::{fs, os::unix::fs::MetadataExt as _, thread, time::Instant};

use redirector_tests::{
    privileges::{AGENT, LOADER},
    wait::wait_until,
};

use super::fixture::{Fixture, SWEEP, detach};

#[test]
fn a_detached_link_is_attached_again_by_the_loader_while_the_agent_stays() {
    let mut site = Fixture::pod();
    let pid = site.agent.pid();
    detach(&site.bpffs, "connect6");

    // Nobody stands by: it is said everywhere, and once.
    let said = site.wait_for_loss("no loader stands by at");
    assert!(said.starts_with("not attached: connect6 (below "), "{said}");
    assert!(said.contains("`redirector load` as root loads again"), "{said}");
    assert!(!site.is_redirected());
    assert!(site.explain().contains("  not in force on this node: not attached: connect6"));
    assert_eq!(site.agent.metrics()["redirector_pins_lost"], 1.0);
    let status = site.status();
    let line = "not in force on this node: not attached: connect6; `redirector load` loads again";
    assert!(status.lines().any(|other| other == line), "{status}");
    let until = Instant::now() + 2 * SWEEP;
    while Instant::now() < until {
        assert_eq!(site.agent.is_ready().ok(), Some(false), "it is ready, or has ended");
        thread::sleep(SWEEP / 20);
    }
    for once in ["pins or programs are gone", "cannot be loaded again yet"] {
        assert_eq!(site.agent.logged(once), 1, "{once}: {}", site.agent.log());
    }

    let mut loader = site.loader();
    site.wait_until_healed();
    loader.wait_for_end();
    assert_eq!(site.agent.pid(), pid, "another process");
    assert_eq!(site.agent.logged("pinned and attached again"), 1, "{}", site.agent.log());
    assert!(!site.status().contains("not in force"));
}

/// What a container sees of a directory that was removed stays removed: only another one sees what
/// the loader has made.
#[test]
fn after_the_loss_of_the_pin_folder_the_pod_comes_back_by_itself() {
    let mut site = Fixture::pod();
    let mut loader = site.loader();
    fs::remove_dir_all(site.bpffs.pin_path()).expect("removed");
    let start = Instant::now();
    wait_until("the agent ends", || site.agent.is_ready().is_err());
    loader.wait_for_end();
    assert!(start.elapsed() < 2 * SWEEP, "{:?}", start.elapsed());
    for said in ["pins or programs are gone", "ended, so that the next start sees"] {
        assert_eq!(site.agent.logged(said), 1, "{}", site.agent.log());
    }
    // As the kubelet does.
    site.agent.spawn_again().expect("the container again");
    site.wait_until_healed();
    println!("the pin folder: back after {:.1?}", start.elapsed());
}

/// It crashed before it could notice; the loader of the pod has run long ago.
#[test]
fn an_agent_that_starts_where_nothing_is_pinned_has_it_loaded() {
    let mut site = Fixture::pod();
    site.agent.kill9();
    fs::remove_dir_all(site.bpffs.pin_path()).expect("removed");
    site.agent.spawn_again().expect("the container again");
    wait_until("it ends", || site.agent.is_ready().is_err());
    let log = site.agent.log();
    let last = log.lines().last().expect("a line");
    for part in
        ["error: not pinned: FRONTENDS4", "`redirector load` as root", "no loader stands by"]
    {
        assert!(last.contains(part), "{last}");
    }

    let mut loader = site.loader();
    site.agent.spawn_again().expect("the container again");
    site.wait_until_healed();
    loader.wait_for_end();
}

/// A loader may stand by where this process cannot see it: the next one has other mounts.
#[test]
fn an_agent_without_maps_whom_no_loader_answers_ends_after_three_sweeps() {
    let mut site = Fixture::pod();
    fs::remove_dir_all(site.bpffs.pin_path()).expect("removed");
    site.wait_for_loss("no loader stands by at");
    let start = Instant::now();
    while site.agent.is_ready().is_ok() {
        assert!(start.elapsed() < 3 * SWEEP, "it goes on");
        thread::sleep(SWEEP / 100);
    }
    assert!(start.elapsed() > SWEEP, "{:?}", start.elapsed());
    let _loader = site.loader();
    site.agent.spawn_again().expect("the container again");
    site.wait_until_healed();
}

/// What the loader does not do: load because something is missing. Only who runs knows whether it
/// was removed on purpose.
#[test]
fn a_loader_that_stands_by_loads_nothing_by_itself_and_ends_when_it_is_told() {
    let site = Fixture::pod();
    let mut loader = site.loader();
    let socket = site.agent.run_directory().join("loader.sock");
    let is = fs::metadata(&socket).expect("a socket");
    let is = (is.mode() & 0o7777, is.uid(), is.gid());
    assert_eq!(is, (0o660, LOADER.user, AGENT.group), "who may ask");
    loader.terminate();
    loader.wait_for_end();
    assert!(!site.loader_log().contains("loaded;"), "{}", site.loader_log());
    assert!(!socket.exists(), "its socket is left");

    // Where nobody can find it it does not stay, so that another takes its place.
    let mut loader = site.loader();
    fs::remove_file(socket).expect("removed");
    loader.wait_for_failure();
    assert!(site.loader_log().contains("no agent can ask any more"), "{}", site.loader_log());
}
