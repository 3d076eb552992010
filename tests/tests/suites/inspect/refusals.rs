//! What cannot be done is said in one line: what, where, and what to do about it.

use std::{
    ffi::OsStr,
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

use redirector_tests::{agent::Agent, cgroup::Cgroup, programs};

use super::fixture::{CONFIGURATION, Fixture, complaint, errors};
use crate::common::foreign::{CONNECT4, EXCLUSIVE, Foreign, LETS_PASS};
use crate::common::objects::attached;

#[test]
fn pins_need_a_bpf_file_system() {
    let site = Fixture::new(CONFIGURATION);
    let directory = site.directory.path();
    let load = |pin_path: &Path| {
        site.redirector(&[
            OsStr::new("load"),
            "--cgroup".as_ref(),
            site.cgroup.path().as_os_str(),
            "--pin-path".as_ref(),
            pin_path.as_os_str(),
        ])
    };

    let wrong_type = complaint(&load(&directory.join("pins")));
    let absent = complaint(&load(&directory.join("absent/pins")));

    let here = directory.display();
    assert_eq!(
        wrong_type,
        format!(
            "error: {here} is not a BPF file system; mount one (mount -t bpf bpf {here}) or pass \
             another --pin-path"
        )
    );
    assert_eq!(
        absent,
        format!(
            "error: cannot find {here}/absent, where {here}/absent/pins should be pinned; mount a \
             BPF file system there (mount -t bpf bpf {here}/absent) or pass another --pin-path: \
             ENOENT: No such file or directory"
        )
    );
    assert!(!directory.join("pins").exists(), "it has made a directory all the same");
}

#[test]
fn the_cgroup_must_be_one_of_version_2() {
    let site = Fixture::new(CONFIGURATION);
    let load = |cgroup: &Path| site.load_into(cgroup, &[]);
    let elsewhere = site.directory.path();
    let mount = redirector_tests::cgroup::mount_point().expect("cgroup2");

    assert_eq!(
        complaint(&load(elsewhere)),
        format!(
            "error: {} is not in a cgroup2 hierarchy; pass a directory of one as --cgroup (it is \
             mounted at {})",
            elsewhere.display(),
            mount.display()
        )
    );
    let absent = site.cgroup.path().join("absent");
    assert_eq!(
        complaint(&load(&absent)),
        format!(
            "error: cannot open the cgroup {}; pass an existing one as --cgroup: No such file or \
             directory (os error 2)",
            absent.display()
        )
    );
}

/// As in systemd's hybrid hierarchy: version 1 at /sys/fs/cgroup, version 2 mounted somewhere in it.
#[test]
fn beside_version_1_the_cgroup_is_found_below() {
    struct Bound(std::path::PathBuf);
    impl Drop for Bound {
        fn drop(&mut self) {
            nix::mount::umount(&self.0).expect("it is mounted");
        }
    }
    let site = Fixture::new(CONFIGURATION);
    let hierarchy = site.directory.path().join("hierarchy");
    let second = hierarchy.join("version 2");
    fs::create_dir_all(&second).expect("directories");
    let (from, none) = (Some(site.cgroup.path()), None::<&str>);
    let bind = nix::mount::MsFlags::MS_BIND;
    nix::mount::mount(from, &second, none, bind, none).expect("a mount");
    let _bound = Bound(second);

    let output = site.load_into(&hierarchy, &[]);

    assert!(output.status.success(), "{}", errors(&output));
    let attached = attached(site.cgroup.path());
    assert!(attached.contains("rdr_connect4"), "{attached:?}");
    site.unload();
}

/// The parent allows nobody beside or below its program.
#[test]
fn an_exclusive_program_of_somebody_else_is_named() {
    let site = Fixture::new(CONFIGURATION);
    let parent = Cgroup::new("exclusive").expect("a cgroup");
    let child = parent.path().join("child");
    fs::create_dir(&child).expect("a child cgroup");
    let foreign =
        Foreign::attach(parent.path(), CONNECT4, EXCLUSIVE, &LETS_PASS).expect("a foreign program");
    let load = || site.load_into(&child, &[]);

    let complaint = complaint(&load());

    let begin = format!(
        "error: cannot attach connect4 to {}: another program is attached exclusively to {} (id ",
        child.display(),
        parent.path().display()
    );
    assert!(complaint.starts_with(&begin), "{complaint}");
    let end = ", \"foreign\"); detach it or pass --cgroup";
    assert!(complaint.ends_with(end), "{complaint}");
    // The hooks before it were attached by then.
    assert!(attached(&child).is_empty(), "some are attached");

    drop(foreign);
    let output = load();
    assert!(output.status.success(), "it is detached: {}", errors(&output));
    site.unload();
}

/// Root is not enough: what counts is what the process may.
#[test]
fn missing_capabilities_are_named_and_only_load_needs_them() {
    let site = Fixture::new(CONFIGURATION);
    let pin_path = site.bpffs.pin_path();
    let load = |capabilities: &str| -> Output {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", capabilities]);
        command.arg(programs::redirector().expect("the redirector"));
        command.arg("load").arg("--cgroup").arg(site.cgroup.path());
        command.arg("--pin-path").arg(&pin_path);
        site.run(command)
    };
    let needs = "; run `redirector load` as root or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON";
    for (taken, named) in [
        ("-sys_admin,-bpf", "CAP_BPF"),
        ("-net_admin", "CAP_NET_ADMIN"),
        ("-sys_admin,-bpf,-net_admin,-perfmon", "CAP_BPF and CAP_NET_ADMIN"),
    ] {
        assert_eq!(
            complaint(&load(taken)),
            format!("error: loading the programs needs {named}{needs}"),
            "{taken}"
        );
    }

    // What is loaded may be used by an agent that may do nothing. It needs 6.1 or later.
    let output = site.load(&[]);
    assert!(output.status.success(), "{}", errors(&output));
    let binary = programs::redirector().expect("the redirector");
    let line = format!("exec setpriv --bounding-set -all {} \"$@\"\n", binary.display());
    let script = site.directory.script("powerless", &line).expect("a script");
    let options = redirector_tests::agent::AgentOptions { binary: script, ..site.options() };
    let mut agent = Agent::start(options).expect("an agent without capabilities");
    assert!(agent.log().contains("no capability to load programs; using what is pinned"));
    assert_eq!(site.json("status")["services"].as_array().expect("services").len(), 5);
    agent.stop().expect("its end");
    site.unload();
}

#[test]
fn commands_without_pins_say_what_makes_them() {
    let site = Fixture::new(CONFIGURATION);
    for command in ["status", "dump"] {
        let complaint = complaint(&site.on_pins(command, &[]));
        let expected = format!(
            "error: cannot open the pinned map {}; `redirector load` makes it: ",
            site.map("SERVICES").display()
        );
        assert!(complaint.starts_with(&expected), "{complaint}");
    }
}

#[test]
fn an_admin_address_in_use_is_named() {
    let site = Fixture::new(CONFIGURATION);
    let netns = site.lab.node("node").netns();
    let taken = netns.run(|| TcpListener::bind("127.0.0.1:9648")).expect("the default address");
    let pin_path = site.bpffs.pin_path();
    let output = site.redirector(&[
        OsStr::new("agent"),
        "--config".as_ref(),
        site.config().as_os_str(),
        "--cgroup".as_ref(),
        site.cgroup.path().as_os_str(),
        "--pin-path".as_ref(),
        pin_path.as_os_str(),
    ]);
    drop(taken);
    let attached = attached(site.cgroup.path());
    assert!(attached.is_empty(), "an agent that did not start has left {attached:?}");
    assert_eq!(
        complaint(&output),
        "error: cannot listen on 127.0.0.1:9648; pass another --admin: Address already in use (os \
         error 98)"
    );
    site.unload();
}
