//! What is pinned under a name of ours and is something else is neither used nor believed; another
//! redirector on the same cgroup is named.

use std::{
    ffi::{CString, OsStr},
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use redirector_tests::{bpffs::Bpffs, bpftool, cgroup::Cgroup};

use crate::inspect::{
    attached::attached,
    bpf::bpf,
    stage::{CONFIGURATION, Stage, complaint, errors},
};

const OTHER: &str = "another redirector is attached";

#[test]
fn the_link_of_another_hook_is_not_attached_and_load_mends_it() {
    let stage = Stage::new(CONFIGURATION);
    assert!(stage.load(&[]).status.success());
    let links = stage.bpffs.pin_path().join("links");
    for (wrong, of) in [("connect4", "connect6"), ("recvmsg6", "sock_ops")] {
        pin_again(&links.join(of), &links.join(wrong)).expect("a pin");
        assert!(!attached(&stage).contains(wrong), "its link is gone");

        let lost = stage.json("status")["lost"].clone();
        assert_eq!(lost, format!("not attached: {wrong}"));

        let output = stage.load(&[]);
        assert!(output.status.success(), "{}", errors(&output));
        assert_eq!(attached(&stage).len(), 10, "{:?}", attached(&stage));
        assert!(stage.json("status")["lost"].is_null());
    }
    // A map is no link either.
    pin_again(&stage.map("HEALTH"), &links.join("connect4")).expect("a pin");
    assert_eq!(stage.json("status")["lost"], "not attached: connect4");
    let output = stage.load(&[]);
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(attached(&stage).len(), 10, "{:?}", attached(&stage));
    unload(&stage);
}

#[test]
fn a_map_in_anothers_place_is_refused_by_whoever_would_use_it() {
    let stage = Stage::new(CONFIGURATION);
    assert!(stage.load(&[]).status.success());
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
        let aside = stage.bpffs.path().join("aside");
        pin_again(&stage.map(place), &aside).expect("a pin");
        pin_again(&stage.map(is), &stage.map(place)).expect("a pin");

        for output in [stage.load(&[]), stage.on_pins("status", &[])] {
            let complaint = complaint(&output);
            let begin = format!("error: {} is ", stage.map(place).display());
            assert!(complaint.starts_with(&begin), "{complaint}");
            for part in [what, wanted, "; `redirector unload` removes all that is pinned"] {
                assert!(complaint.contains(part), "{part:?} is not in {complaint}");
            }
        }
        assert_eq!(attached(&stage).len(), 10, "what is attached serves on");

        fs::rename(&aside, stage.map(place)).expect("the right one in its place");
        assert!(stage.load(&[]).status.success());
    }
    unload(&stage);
}

#[test]
fn a_program_array_in_anothers_place_is_told() {
    let stage = Stage::new(CONFIGURATION);
    assert!(stage.load(&[]).status.success());
    let steps = stage.bpffs.pin_path().join("steps-0");
    pin_again(&steps.join("NEXT_CONNECT6"), &steps.join("NEXT_CONNECT4")).expect("a pin");
    assert_eq!(stage.json("status")["lost"], "emptied: NEXT_CONNECT4");
    unload(&stage);
}

#[test]
fn another_redirector_on_the_same_cgroup_or_above_is_named() {
    let stage = Stage::new(CONFIGURATION);
    let first = stage.load(&[]);
    assert!(!errors(&first).contains(OTHER), "there is one: {}", errors(&first));
    let again = stage.load(&[]);
    assert!(!errors(&again).contains(OTHER), "it is the same one: {}", errors(&again));

    let below = stage.cgroup.path().join("below");
    fs::create_dir(&below).expect("a cgroup");
    let elsewhere = Bpffs::mount().expect("a bpffs");
    let beside = stage.bpffs.path().join("second");
    for (cgroup, pins, names) in [
        (stage.cgroup.path(), &beside, true),
        (stage.cgroup.path(), &elsewhere.pin_path(), false),
        (&below, &elsewhere.pin_path(), false),
    ] {
        let output = load(&stage, cgroup, pins);
        let said = errors(&output);
        assert!(output.status.success(), "{said}");
        let line = said.lines().find(|line| line.contains(OTHER));
        let line = line.unwrap_or_else(|| panic!("nothing is said of the first one: {said}"));
        let shown = format!("pins={}", stage.bpffs.pin_path().display());
        assert_eq!(line.contains(&shown), names, "{line}");
        let arguments = ["unload".as_ref(), "--pin-path".as_ref(), pins.as_os_str()];
        assert!(stage.redirector(&arguments).status.success());
    }
    let aside = Cgroup::new("aside").expect("a cgroup");
    let output = load(&stage, aside.path(), &beside);
    assert!(!errors(&output).contains(OTHER), "it sees other dials: {}", errors(&output));
    let arguments = ["unload".as_ref(), "--pin-path".as_ref(), beside.as_os_str()];
    assert!(stage.redirector(&arguments).status.success());
    unload(&stage);
}

fn load(stage: &Stage, cgroup: &Path, pins: &Path) -> std::process::Output {
    let arguments = ["load", "--max-slots", "256", "--max-backends", "16", "--cgroup"];
    let mut arguments: Vec<&OsStr> = arguments.map(OsStr::new).into();
    arguments.extend([cgroup.as_os_str(), "--pin-path".as_ref(), pins.as_os_str()]);
    stage.redirector(&arguments)
}

fn unload(stage: &Stage) {
    let output = stage.on_pins("unload", &[]);
    assert!(output.status.success(), "{}", errors(&output));
    let shown = ["cgroup", "show"].map(OsStr::new);
    let shown = bpftool::json(&[&shown[..], &[stage.cgroup.path().as_os_str()]].concat());
    let left = shown.expect("the cgroup's programs").as_array().map_or(0, Vec::len);
    assert_eq!(left, 0, "a program stays attached");
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
