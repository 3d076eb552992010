//! What is pinned under a name of ours and is something else is neither used nor believed; another
//! redirector on the same cgroup is named.

use std::{
    ffi::{CString, OsStr},
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use redirector_tests::{bpffs::Bpffs, cgroup::Cgroup};

use super::fixture::{CONFIGURATION, Fixture, complaint, errors};
use crate::common::bpf::bpf;
use crate::common::objects::attached;

const OTHER: &str = "another redirector is attached";

#[test]
fn the_link_of_another_hook_is_not_attached_and_load_mends_it() {
    let site = Fixture::new(CONFIGURATION);
    assert!(site.load(&[]).status.success());
    let links = site.bpffs.pin_path().join("links");
    for (wrong, of) in [("connect4", "connect6"), ("recvmsg6", "sock_ops")] {
        pin_again(&links.join(of), &links.join(wrong)).expect("a pin");
        assert!(!attached(site.cgroup.path()).contains(wrong), "its link is gone");

        let lost = site.json("status")["lost"].clone();
        assert_eq!(lost, format!("not attached: {wrong}"));

        let output = site.load(&[]);
        assert!(output.status.success(), "{}", errors(&output));
        assert_eq!(attached(site.cgroup.path()).len(), 10, "{:?}", attached(site.cgroup.path()));
        assert!(site.json("status")["lost"].is_null());
    }
    // A map is no link either.
    pin_again(&site.map("HEALTH"), &links.join("connect4")).expect("a pin");
    assert_eq!(site.json("status")["lost"], "not attached: connect4");
    let output = site.load(&[]);
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(attached(site.cgroup.path()).len(), 10, "{:?}", attached(site.cgroup.path()));
    unload(&site);
}

#[test]
fn a_map_in_anothers_place_is_refused_by_whoever_would_use_it() {
    let site = Fixture::new(CONFIGURATION);
    assert!(site.load(&[]).status.success());
    for (place, is, what, wanted) in [
        // Of one shape: only the name tells them apart.
        (
            "NODES",
            "HEALTH",
            "a map of the type ARRAY \"HEALTH\"",
            "a map of the type ARRAY \"NODES\"",
        ),
        // Its update would wait for no grace period.
        ("BARRIER", "BARRIER_INNER", "ARRAY \"BARRIER_INNER\"", "ARRAY_OF_MAPS \"BARRIER\""),
        ("AFFINITY", "EVENTS", "a map of the type RINGBUF \"EVENTS\"", "\"AFFINITY\""),
    ] {
        let aside = site.bpffs.path().join("aside");
        pin_again(&site.map(place), &aside).expect("a pin");
        pin_again(&site.map(is), &site.map(place)).expect("a pin");

        for output in [site.load(&[]), site.on_pins("status", &[])] {
            let complaint = complaint(&output);
            let begin = format!("error: {} is ", site.map(place).display());
            assert!(complaint.starts_with(&begin), "{complaint}");
            for part in [what, wanted, "; `redirector unload` removes all that is pinned"] {
                assert!(complaint.contains(part), "{part:?} is not in {complaint}");
            }
        }
        assert_eq!(attached(site.cgroup.path()).len(), 10, "what is attached serves on");

        fs::rename(&aside, site.map(place)).expect("the right one in its place");
        assert!(site.load(&[]).status.success());
    }
    unload(&site);
}

#[test]
fn a_program_array_in_anothers_place_is_told() {
    let site = Fixture::new(CONFIGURATION);
    assert!(site.load(&[]).status.success());
    let steps = site.bpffs.pin_path().join("steps-0");
    pin_again(&steps.join("NEXT_CONNECT6"), &steps.join("NEXT_CONNECT4")).expect("a pin");
    assert_eq!(site.json("status")["lost"], "emptied: NEXT_CONNECT4");
    unload(&site);
}

#[test]
fn another_redirector_on_the_same_cgroup_or_above_is_named() {
    let site = Fixture::new(CONFIGURATION);
    let first = site.load(&[]);
    assert!(!errors(&first).contains(OTHER), "there is one: {}", errors(&first));
    let again = site.load(&[]);
    assert!(!errors(&again).contains(OTHER), "it is the same one: {}", errors(&again));

    let below = site.cgroup.path().join("below");
    fs::create_dir(&below).expect("a cgroup");
    let elsewhere = Bpffs::mount().expect("a bpffs");
    let beside = site.bpffs.path().join("second");
    for (cgroup, pins, names) in [
        (site.cgroup.path(), &beside, true),
        (site.cgroup.path(), &elsewhere.pin_path(), false),
        (&below, &elsewhere.pin_path(), false),
    ] {
        let output = load(&site, cgroup, pins);
        let said = errors(&output);
        assert!(output.status.success(), "{said}");
        let line = said.lines().find(|line| line.contains(OTHER));
        let line = line.unwrap_or_else(|| panic!("nothing is said of the first one: {said}"));
        let shown = format!("pins={}", site.bpffs.pin_path().display());
        assert_eq!(line.contains(&shown), names, "{line}");
        let arguments = ["unload".as_ref(), "--pin-path".as_ref(), pins.as_os_str()];
        assert!(site.redirector(&arguments).status.success());
    }
    let aside = Cgroup::new("aside").expect("a cgroup");
    let output = load(&site, aside.path(), &beside);
    assert!(!errors(&output).contains(OTHER), "it sees other dials: {}", errors(&output));
    let arguments = ["unload".as_ref(), "--pin-path".as_ref(), beside.as_os_str()];
    assert!(site.redirector(&arguments).status.success());
    unload(&site);
}

fn load(site: &Fixture, cgroup: &Path, pins: &Path) -> std::process::Output {
    let arguments = ["load", "--max-slots", "256", "--max-backends", "16", "--cgroup"];
    let mut arguments: Vec<&OsStr> = arguments.map(OsStr::new).into();
    arguments.extend([cgroup.as_os_str(), "--pin-path".as_ref(), pins.as_os_str()]);
    site.redirector(&arguments)
}

fn unload(site: &Fixture) {
    site.unload();
    assert!(attached(site.cgroup.path()).is_empty(), "a program stays attached");
}

/// The part of `union bpf_attr` that `BPF_OBJ_GET` and `BPF_OBJ_PIN` read.
#[repr(C)]
struct Pin {
    path: u64,
    descriptor: u32,
    flags: u32,
}

/// Pins what is pinned at one place at another one as well, whatever is there.
fn pin_again(from: &Path, to: &Path) -> io::Result<()> {
    const PIN: libc::c_int = 6;
    const GET: libc::c_int = 7;
    let name = |path: &Path| CString::new(path.as_os_str().as_bytes()).expect("a path");
    let (from, to_name) = (name(from), name(to));
    drop(fs::remove_file(to));
    let mut get = Pin { path: from.as_ptr() as u64, descriptor: 0, flags: 0 };
    // SAFETY: the attributes are those of this command; the name outlives the call.
    let descriptor = unsafe { bpf(GET, &mut get) }?;
    let descriptor = u32::try_from(descriptor).map_err(io::Error::other)?;
    let mut pin = Pin { path: to_name.as_ptr() as u64, descriptor, flags: 0 };
    // SAFETY: as above.
    let pinned = unsafe { bpf(PIN, &mut pin) };
    // SAFETY: the kernel has made this descriptor for us alone, and nothing uses it any more.
    unsafe { libc::close(descriptor.cast_signed()) };
    pinned.map(drop)
}
