//! The table of what each subcommand needs from the machine, why, and where it comes from.

use std::path::Path;

use anyhow::Result;

use super::{Fix, apt, bpf_linker, cargo_mutants, toolchain, toolchain::Toolchain};
use crate::{process, workspace};

/// What a subcommand does with the machine; a subcommand names all that apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Compile the eBPF programs.
    Build,
    /// Lint on the host and for the BPF target.
    Lint,
    /// Run the suites, here and on other kernels.
    Test,
    /// Make mistakes that the tests should notice.
    Mutants,
    /// Show it to a newcomer.
    Demo,
    /// Speak to an API server.
    Kube,
    /// Compare it with what else there is.
    Bench,
    /// Race against others.
    Race,
    /// Race against kube-proxy's rules.
    Rules,
    /// Race against HAProxy.
    Proxies,
}

/// Something that is not there, and what it is for.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) fix: Fix,
    pub(super) why: &'static str,
}

/// A program, the Debian package that it comes from, who runs it, and why.
type Program = (&'static str, &'static str, &'static [Group], &'static str);

const TEST: &[Group] = &[Group::Test];
/// What lays out nodes and looks at them.
const NODES: &[Group] = &[Group::Test, Group::Demo, Group::Bench, Group::Race];

/// The clients of the suite `clients` are 7 MB, and 20 more for what they need where there is no
/// Python yet. A JDK and PostgreSQL, which it runs where they are installed, would be 130 and 72.
const PROGRAMS: &[Program] = &[
    ("bpftool", "bpftool", NODES, "reads pinned maps and programs as an operator would"),
    ("ip", "iproute2", NODES, "lays out network namespaces and veth pairs"),
    ("nsenter", "util-linux", NODES, "runs programs inside a network namespace"),
    (
        "nft",
        "nftables",
        NODES,
        "makes a node a black hole; a contender: maps as kube-proxy writes them",
    ),
    (
        "qemu-system-x86_64",
        "qemu-system-x86",
        TEST,
        "boots Debian's kernels to load the object on each",
    ),
    ("curl", "curl", &[Group::Demo, Group::Test], "dials a Service by hand"),
    (
        "kubectl",
        "kubernetes-client",
        &[Group::Test, Group::Kube],
        "speaks to the API server as a user does",
    ),
    (
        "iptables",
        "iptables",
        &[Group::Bench, Group::Rules],
        "a contender: DNAT as kube-proxy writes it",
    ),
    ("haproxy", "haproxy", &[Group::Bench, Group::Proxies], "a contender: a proxy in TCP mode"),
    ("dig", "bind9-dnsutils", TEST, "a real client: asks a Service for names"),
    ("dnsmasq", "dnsmasq-base", TEST, "a replica that real clients ask for names"),
    ("musl-gcc", "musl-tools", TEST, "compiles a real client: musl's getaddrinfo"),
    (
        "/usr/lib/python3/dist-packages/pycares/__init__.py",
        "python3-pycares",
        TEST,
        "a real client: c-ares",
    ),
    ("redis-cli", "redis-tools", TEST, "a real client, and the server that it asks"),
    ("sipp", "sip-tester", TEST, "a real client from port 5060, and the server that it calls"),
];

/// Further programs of [`TEST`], whose packages would start a server, or replace the machine's own
/// clock.
const UNPACKED: &[(&str, &str, &str)] = &[
    ("chronyd", "chrony", "a real client from port 123, and the server that it asks"),
    ("nginx", "nginx", "a real proxy, with and without a resolver, and its replicas"),
];

/// Everything that `groups` need and that is not there.
pub(super) fn missing(groups: &[Group]) -> Result<Vec<Missing>> {
    let mut missing = Vec::new();
    let toolchain = Toolchain::find();
    if groups.contains(&Group::Build) {
        missing.append(&mut compiler(toolchain.as_ref())?);
    }
    if groups.contains(&Group::Lint) {
        missing.append(&mut linters(toolchain.as_ref()));
    }
    for (program, name, users, why) in PROGRAMS {
        if users.iter().any(|group| groups.contains(group)) && process::find(program).is_none() {
            missing.push(package(name, why));
        }
    }
    let unpacked = workspace::unpacked().join("usr/sbin");
    for (program, name, why) in UNPACKED {
        let is_there = process::find(program).is_some() || unpacked.join(program).is_file();
        if groups.contains(&Group::Test) && !is_there {
            missing.push(Missing { fix: Fix::Unpacked(name), why });
        }
    }
    if groups.contains(&Group::Mutants) && !cargo_mutants::is_installed() {
        let why = "makes mistakes that tests should notice; built below target/tools, 2 minutes";
        missing.push(Missing { fix: Fix::CargoMutants, why });
    }
    Ok(missing)
}

/// A compiler with a `core` for BPF, and a linker that reads the bitcode of that compiler's LLVM.
fn compiler(toolchain: Option<&Toolchain>) -> Result<Vec<Missing>> {
    let (mut missing, llvm) = match toolchain {
        Some(toolchain) => (Vec::new(), toolchain.llvm()),
        None => toolchain::offer()?,
    };
    if !bpf_linker::is_installed(llvm) {
        if !Path::new(&bpf_linker::llvm_config(llvm)).is_file() {
            missing.push(package(&format!("llvm-{llvm}-dev"), "the LLVM that bpf-linker links to"));
        }
        let why = "links eBPF objects; built below target/tools, about 2 minutes";
        missing.push(Missing { fix: Fix::BpfLinker { llvm }, why });
    }
    Ok(missing)
}

fn linters(toolchain: Option<&Toolchain>) -> Vec<Missing> {
    let host = toolchain::host_sysroot().join("bin");
    let components = [
        ("rustfmt", "rustfmt", "checks the format of the sources"),
        ("clippy-driver", "clippy", "lints the sources"),
    ];
    let absent = components.into_iter().filter(|(program, ..)| !host.join(program).is_file());
    let mut missing: Vec<_> =
        absent.map(|(_, name, why)| Missing { fix: Fix::Component(name), why }).collect();
    // Without a toolchain Debian's is installed first, and this clippy fits it.
    let clippy = match toolchain {
        Some(toolchain) => toolchain.clippy(),
        None if apt::is_available() => Some(toolchain::DEBIAN_CLIPPY.as_ref()),
        None => None,
    };
    if clippy.is_some_and(|driver| !driver.is_file()) {
        missing.push(package("rust-web-clippy", "lints the eBPF programs for their own target"));
    }
    missing
}

pub(super) fn package(name: &str, why: &'static str) -> Missing {
    Missing { fix: Fix::Package(name.to_owned()), why }
}
