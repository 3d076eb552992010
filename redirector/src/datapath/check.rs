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
        capability("CAP_BPF", BPF),
        capability("CAP_NET_ADMIN", NET_ADMIN),
        capability("CAP_PERFMON", PERFMON),
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

/// What works with less where something is missing.
fn with_less(what: &'static str, is_whole: bool, whole: &str, less: impl Into<String>) -> Finding {
    if is_whole {
        finding(what, Verdict::Ok, whole)
    } else {
        finding(what, Verdict::Degraded, less)
    }
}

fn refusal() -> Finding {
    with_less(
        "refusals",
        kernel_at_least(5, 18),
        "a service without backends answers ECONNREFUSED",
        "a service without backends answers EPERM, ECONNREFUSED needs 5.18",
    )
}

fn failures(offsets: Offsets) -> Finding {
    with_less(
        "failing connects",
        offsets.sk_err.is_some(),
        "the kernel says why, and moves who sees it",
        format!(
            "{} does not say where sk_err is: refused connects move no client, unanswered ones do",
            btf::KERNEL
        ),
    )
}

fn bounded_connect(offsets: Offsets) -> Finding {
    with_less(
        "bounded connect",
        offsets.user_timeout.is_some(),
        "a connect takes no longer than `connectTimeout`",
        format!(
            "{} does not say where icsk_user_timeout is: `connectTimeout` has no effect",
            btf::KERNEL
        ),
    )
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
    with_less(
        WHAT,
        knows_mptcp(),
        "its sockets show the service as their peer",
        "its sockets show the backend as their peer before 5.19",
    )
}

fn map_memory() -> Finding {
    with_less(
        "map memory",
        kernel_at_least(5, 11),
        "counts against the cgroup that loads",
        "counts against RLIMIT_MEMLOCK, which `load` raises; that needs CAP_SYS_RESOURCE",
    )
}

fn unprivileged() -> Finding {
    with_less(
        "unprivileged",
        kernel_at_least(6, 1),
        "the agent needs no capabilities after `redirector load --owner`",
        "before 6.1 the running agent keeps CAP_BPF",
    )
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

fn capability(name: &'static str, capability: Capability) -> Finding {
    let less = if capability == PERFMON {
        format!("not held; where `load` ran without it, {WITHOUT_PERFMON}")
    } else {
        "not held; `load` needs it, the agent beside existing pins does not (6.1 and later)".into()
    };
    with_less(name, holds(capability), "held", less)
}

fn resets() -> Finding {
    const WHAT: &str = "resets";
    if let Err(error) = resets::support() {
        return finding(WHAT, Verdict::Degraded, format!("{error:#}; onBackendLost: Keep works"));
    }
    let missing = missing(&[NET_ADMIN, SYS_ADMIN, SYS_PTRACE]);
    if missing.is_empty() {
        return finding(WHAT, Verdict::Ok, "connections to a lost backend can be reset");
    }
    let detail = format!(
        "the agent needs {missing}; without NET_ADMIN onBackendLost: Reset does nothing, without \
         the others it reaches fewer network namespaces"
    );
    finding(WHAT, Verdict::Degraded, detail)
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
    missing(&[BPF, NET_ADMIN]).is_empty()
}

/// Whether programs that this process loads may look into the kernel's sockets and read its memory.
#[must_use]
pub fn may_look() -> bool {
    holds(PERFMON)
}

/// The names of those that are not held.
fn missing(needed: &[Capability]) -> String {
    let missing = needed.iter().filter(|capability| !holds(**capability));
    missing.map(Capability::to_string).collect::<Vec<_>>().join(" and ")
}

/// What `load` needs. `CAP_PERFMON` it wants only: one warning says what there is not without.
///
/// # Errors
///
/// Names what is missing.
pub fn require_capabilities() -> Result<()> {
    let missing = missing(&[BPF, NET_ADMIN]);
    if !missing.is_empty() {
        bail!(
            "loading the programs needs {missing}; run `redirector load` as root or with \
             CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
        );
    }
    if !may_look() {
        warn!("CAP_PERFMON is not held: {WITHOUT_PERFMON}");
    }
    Ok(())
}
