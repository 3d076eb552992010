//! What this kernel and this process's privileges can do.

use std::{fs, path::Path};

use anyhow::{Result, bail};
use aya::util::KernelVersion;
use serde::Serialize;
use tracing::warn;

use super::{
    btf::{self, Offsets},
    cgroup, listeners, mounts,
    pins::{PIN_PATH, Pins},
    resets,
};

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What follows from it.
    pub detail: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Works, with less.
    Degraded,
    /// Does not work.
    Missing,
}

/// A capability and its number in `/proc/self/status`.
const CAPABILITIES: [(&str, u32); 3] =
    [("CAP_BPF", BPF), ("CAP_NET_ADMIN", NET_ADMIN), ("CAP_PERFMON", PERFMON)];
pub(super) const NET_ADMIN: u32 = 12;
const SYS_PTRACE: u32 = 19;
/// `CAP_SYS_ADMIN` stands for `CAP_BPF` and `CAP_PERFMON`.
pub(super) const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
pub(super) const BPF: u32 = 39;

/// What there is not where `load` ran without `CAP_PERFMON`.
const WITHOUT_PERFMON: &str = "refused connects move no client, unanswered ones do; `connectTimeout` \
                               has no effect; the death of a local replica is not seen; a UDP \
                               socket that sends without connect may change its backend when the \
                               service changes, and has no session affinity; where there is MPTCP \
                               its sockets show the backend as their peer, and all sockets' state \
                               is in storage; the programs take longer";

/// Whether the running kernel is of that version or a later one.
#[must_use]
pub fn kernel_at_least(major: u8, minor: u8) -> bool {
    KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(major, minor, 0))
}

/// Looks at everything that matters. `pins` is where pins are; `None` is wherever they can be.
#[must_use]
pub fn check(pins: Option<&Pins>) -> Vec<Finding> {
    let offsets = Offsets::of_kernel();
    vec![
        kernel(),
        refusal(),
        failures(offsets),
        bounded_connect(offsets),
        local_listeners(),
        witnesses(),
        multipath(),
        map_memory(),
        unprivileged(),
        cgroup2(),
        bpffs(pins),
        capability(0),
        capability(1),
        capability(2),
        resets(),
    ]
}

fn finding(what: &'static str, verdict: Verdict, detail: impl Into<String>) -> Finding {
    Finding { what, verdict, detail: detail.into() }
}

fn kernel() -> Finding {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    if kernel_at_least(5, 10) {
        finding("kernel", Verdict::Ok, format!("{release}; 5.10 and later work"))
    } else {
        finding("kernel", Verdict::Missing, format!("{release}; 5.10 or later is needed"))
    }
}

fn refusal() -> Finding {
    if kernel_at_least(5, 18) {
        finding("refusals", Verdict::Ok, "a service without backends answers ECONNREFUSED")
    } else {
        let detail = "a service without backends answers EPERM, ECONNREFUSED needs 5.18";
        finding("refusals", Verdict::Degraded, detail)
    }
}

fn failures(offsets: Offsets) -> Finding {
    if offsets.sk_err.is_some() {
        finding("failing connects", Verdict::Ok, "the kernel says why, and moves who sees it")
    } else {
        let detail = format!(
            "{} does not say where sk_err is: refused connects move no client, unanswered ones do",
            btf::KERNEL
        );
        finding("failing connects", Verdict::Degraded, detail)
    }
}

fn bounded_connect(offsets: Offsets) -> Finding {
    if offsets.user_timeout.is_some() {
        finding("bounded connect", Verdict::Ok, "a connect takes no longer than `connectTimeout`")
    } else {
        let detail = format!(
            "{} does not say where icsk_user_timeout is: `connectTimeout` has no effect",
            btf::KERNEL
        );
        finding("bounded connect", Verdict::Degraded, detail)
    }
}

fn local_listeners() -> Finding {
    const WHAT: &str = "local listeners";
    match listeners::globals() {
        Ok(_) => finding(WHAT, Verdict::Ok, "the death of a local replica ejects it at once"),
        Err(error) => finding(
            WHAT,
            Verdict::Degraded,
            format!("{error:#}: a local replica's death is seen by failing connects and probes"),
        ),
    }
}

fn witnesses() -> Finding {
    const WHAT: &str = "witnesses";
    match listeners::globals() {
        Ok(_) if may_look() => {
            finding(WHAT, Verdict::Ok, "what several pods see ejects, also without an agent")
        }
        Ok(_) => {
            let detail = "without CAP_PERFMON clients are cgroups: what they see moves them alone";
            finding(WHAT, Verdict::Degraded, detail)
        }
        Err(error) => finding(
            WHAT,
            Verdict::Degraded,
            format!("{error:#}: clients are cgroups, and what they see moves them alone"),
        ),
    }
}

fn multipath() -> Finding {
    const WHAT: &str = "MPTCP";
    if !has_mptcp() {
        return finding(WHAT, Verdict::Ok, "this kernel has no MPTCP sockets");
    }
    if knows_mptcp() {
        return finding(WHAT, Verdict::Ok, "its sockets show the service as their peer");
    }
    finding(WHAT, Verdict::Degraded, "its sockets show the backend as their peer before 5.19")
}

fn map_memory() -> Finding {
    const WHAT: &str = "map memory";
    if kernel_at_least(5, 11) {
        return finding(WHAT, Verdict::Ok, "counts against the cgroup that loads");
    }
    let detail = "counts against RLIMIT_MEMLOCK, which `load` raises; that needs CAP_SYS_RESOURCE";
    finding(WHAT, Verdict::Degraded, detail)
}

fn unprivileged() -> Finding {
    const WHAT: &str = "unprivileged";
    if kernel_at_least(6, 1) {
        return finding(
            WHAT,
            Verdict::Ok,
            "the agent needs no capabilities after `redirector load --owner`",
        );
    }
    finding(WHAT, Verdict::Degraded, "before 6.1 the running agent keeps CAP_BPF")
}

fn cgroup2() -> Finding {
    const WHAT: &str = "cgroup2";
    let error = match cgroup::root() {
        Ok(root) => return finding(WHAT, Verdict::Ok, format!("mounted at {}", root.display())),
        Err(error) => error,
    };
    // In a pod: the runtime mounts there what the node's own pods are told by, often version 1.
    let types = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let is_known = types.lines().any(|line| line.ends_with("\tcgroup2"));
    if is_known && !may_load() {
        let detail = "not mounted here; `load` needs it, the agent beside existing pins does not";
        return finding(WHAT, Verdict::Degraded, detail);
    }
    finding(WHAT, Verdict::Missing, error.to_string())
}

fn bpffs(pins: Option<&Pins>) -> Finding {
    const WHAT: &str = "bpffs";
    let place = pins.cloned().unwrap_or_else(|| Pins::new(Path::new(PIN_PATH)));
    let shown = place.root().display();
    let Err(error) = place.check_file_system() else {
        return finding(WHAT, Verdict::Ok, format!("mounted where {shown} is"));
    };
    let mounts = mounts::of_type("bpf", Path::new("/")).unwrap_or_default();
    match mounts.first() {
        Some(path) if pins.is_none() => finding(
            WHAT,
            Verdict::Degraded,
            format!(
                "mounted at {}; give all commands a --pin-path below it ({error:#})",
                path.display()
            ),
        ),
        _ => finding(WHAT, Verdict::Missing, format!("{error:#}")),
    }
}

fn capability(index: usize) -> Finding {
    let (name, _) = CAPABILITIES[index];
    if has(index) {
        return finding(name, Verdict::Ok, "held");
    }
    if name == "CAP_PERFMON" {
        let detail = format!("not held; where `load` ran without it, {WITHOUT_PERFMON}");
        return finding(name, Verdict::Degraded, detail);
    }
    finding(
        name,
        Verdict::Degraded,
        "not held; `load` needs it, the agent beside existing pins does not (6.1 and later)",
    )
}

fn resets() -> Finding {
    const WHAT: &str = "resets";
    if let Err(error) = resets::support() {
        return finding(WHAT, Verdict::Degraded, format!("{error:#}; onBackendLost: Keep works"));
    }
    let needed = [
        ("CAP_NET_ADMIN", NET_ADMIN),
        ("CAP_SYS_ADMIN", SYS_ADMIN),
        ("CAP_SYS_PTRACE", SYS_PTRACE),
    ];
    let missing: Vec<_> =
        needed.iter().filter(|(_, number)| !holds(*number)).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return finding(WHAT, Verdict::Ok, "connections to a lost backend can be reset");
    }
    let missing = missing.join(" and ");
    let detail = format!(
        "the agent needs {missing}; without NET_ADMIN onBackendLost: Reset does nothing, without \
         the others it reaches fewer network namespaces"
    );
    finding(WHAT, Verdict::Degraded, detail)
}

fn has(index: usize) -> bool {
    holds(CAPABILITIES[index].1)
}

/// Whether the effective capabilities have this one, or one that stands for it.
pub(super) fn holds(capability: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let held = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .unwrap_or(0);
    held >> capability & 1 == 1
        || (matches!(capability, BPF | PERFMON) && held >> SYS_ADMIN & 1 == 1)
}

/// Whether programs may ask which MPTCP socket a subflow belongs to.
#[must_use]
pub fn knows_mptcp() -> bool {
    kernel_at_least(5, 19) && has_mptcp()
}

/// Whether this kernel has MPTCP sockets.
#[must_use]
pub fn has_mptcp() -> bool {
    fs::metadata("/proc/sys/net/mptcp/enabled").is_ok()
}

/// Whether this process may load programs.
#[must_use]
pub fn may_load() -> bool {
    missing_capabilities().is_empty()
}

/// Whether programs that this process loads may look into the kernel's sockets and read its memory.
#[must_use]
pub fn may_look() -> bool {
    holds(PERFMON)
}

fn missing_capabilities() -> Vec<&'static str> {
    let needed = [("CAP_BPF", BPF), ("CAP_NET_ADMIN", NET_ADMIN)];
    needed.iter().filter(|(_, number)| !holds(*number)).map(|(name, _)| *name).collect()
}

/// What `load` needs. `CAP_PERFMON` it wants only: one warning says what there is not without.
///
/// # Errors
///
/// Names what is missing.
pub fn require_capabilities() -> Result<()> {
    let missing = missing_capabilities();
    if !missing.is_empty() {
        bail!(
            "loading the programs needs {}; run `redirector load` as root or with CAP_BPF, \
             CAP_NET_ADMIN and CAP_PERFMON",
            missing.join(" and "),
        );
    }
    if !may_look() {
        warn!("CAP_PERFMON is not held: {WITHOUT_PERFMON}");
    }
    Ok(())
}
