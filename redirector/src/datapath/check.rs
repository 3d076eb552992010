//! What this kernel and this process's privileges can do.

use std::{fs, path::Path};

use anyhow::{Result, bail};
use aya::util::KernelVersion;
use caps::{CapSet, Capability, has_cap};
use serde::Serialize;
use tracing::warn;

use super::{
    btf::{self, Offsets},
    cgroup, listeners, mounts, others,
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

/// A capability and its name.
const CAPABILITIES: [(&str, Capability); 3] =
    [("CAP_BPF", BPF), ("CAP_NET_ADMIN", NET_ADMIN), ("CAP_PERFMON", PERFMON)];
pub(super) const NET_ADMIN: Capability = Capability::CAP_NET_ADMIN;
const SYS_PTRACE: Capability = Capability::CAP_SYS_PTRACE;
/// It stands for `CAP_BPF` and `CAP_PERFMON`.
pub(super) const SYS_ADMIN: Capability = Capability::CAP_SYS_ADMIN;
const PERFMON: Capability = Capability::CAP_PERFMON;
pub(super) const BPF: Capability = Capability::CAP_BPF;

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
    let mut findings = vec![kernel(), refusal()];
    match btf::of_kernel() {
        Ok(types) => findings.extend(by_types(types.as_deref())),
        Err(error) => {
            let detail = format!("{error:#}: what follows from them cannot be told");
            findings.push(finding("kernel's types", Verdict::Missing, detail));
        }
    }
    findings.extend([
        multipath(),
        map_memory(),
        unprivileged(),
        cgroup2(),
        bpffs(pins),
        callbacks(pins),
        capability(0),
        capability(1),
        capability(2),
        resets(),
    ]);
    findings
}

/// What depends on the types that the kernel describes.
fn by_types(types: Option<&[u8]>) -> [Finding; 4] {
    let offsets = Offsets::of(types);
    [failures(offsets), bounded_connect(offsets), local_listeners(types), witnesses(types)]
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

fn local_listeners(types: Option<&[u8]>) -> Finding {
    const WHAT: &str = "local listeners";
    match listeners::globals(types) {
        Ok(_) => finding(WHAT, Verdict::Ok, "the death of a local replica ejects it at once"),
        Err(error) => finding(
            WHAT,
            Verdict::Degraded,
            format!("{error:#}: a local replica's death is seen by failing connects and probes"),
        ),
    }
}

fn witnesses(types: Option<&[u8]>) -> Finding {
    const WHAT: &str = "witnesses";
    match listeners::globals(types) {
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

/// Who else may switch the callbacks of sockets off.
fn callbacks(pins: Option<&Pins>) -> Finding {
    const WHAT: &str = "callbacks";
    let place = pins.cloned().unwrap_or_else(|| Pins::new(Path::new(PIN_PATH)));
    let Ok(cgroup) = cgroup::Cgroup::open(None) else {
        return finding(WHAT, Verdict::Degraded, "cgroup2 is not mounted here: not looked at");
    };
    let all = others::watchers(&place, &cgroup);
    if all.is_empty() {
        return finding(WHAT, Verdict::Ok, "no other sock_ops program sees all sockets");
    }
    let names: Vec<String> = all.iter().map(|(id, name)| format!("{name} (id {id})")).collect();
    let detail = format!(
        "sock_ops programs beside ours: {}. One that sets a socket's callback flags switches ours \
         off: connects are then not bounded, and judged when they are closed",
        names.join(", ")
    );
    finding(WHAT, Verdict::Ok, detail)
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
pub(super) fn holds(capability: Capability) -> bool {
    let is_effective = |capability| has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    is_effective(capability) || (matches!(capability, BPF | PERFMON) && is_effective(SYS_ADMIN))
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
