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
}

#[derive(Debug)]
pub(super) struct Missing {
    pub(super) what: String,
    pub(super) why: &'static str,
    pub(super) fix: Fix,
}

/// A program that is run as it comes from Debian.
struct Program {
    name: &'static str,
    package: &'static str,
    why: &'static str,
    groups: &'static [Group],
}

const PROGRAMS: &[Program] = &[
    Program {
        name: "bpftool",
        package: "bpftool",
        why: "reads pinned maps and programs as an operator would",
        groups: &[Group::Test, Group::Demo, Group::Bench],
    },
    Program {
        name: "ip",
        package: "iproute2",
        why: "lays out network namespaces and veth pairs",
        groups: &[Group::Test, Group::Demo, Group::Bench],
    },
    Program {
        name: "nsenter",
        package: "util-linux",
        why: "runs programs inside a network namespace",
        groups: &[Group::Test, Group::Demo, Group::Bench],
    },
    Program {
        name: "qemu-system-x86_64",
        package: "qemu-system-x86",
        why: "boots Debian's kernels to load the object on each",
        groups: &[Group::Test],
    },
    Program {
        name: "curl",
        package: "curl",
        why: "dials a Service by hand",
        groups: &[Group::Demo, Group::Test],
    },
    Program {
        name: "kubectl",
        package: "kubernetes-client",
        why: "speaks to the API server as a user does",
        groups: &[Group::Test, Group::Kube],
    },
    Program {
        name: "iptables",
        package: "iptables",
        why: "a contender: DNAT as kube-proxy writes it",
        groups: &[Group::Bench],
    },
    Program {
        name: "nft",
        package: "nftables",
        why: "makes a node a black hole; a contender: maps as kube-proxy writes them",
        groups: &[Group::Test, Group::Demo, Group::Bench],
    },
    Program {
        name: "haproxy",
        package: "haproxy",
        why: "a contender: a proxy in TCP mode",
        groups: &[Group::Bench],
    },
];

/// What the suite `clients` runs: 7 MB, and 20 for what they need where there is no Python yet. A JDK
/// and PostgreSQL, which it runs where they are installed, would be 130 and 72.
const CLIENTS: &[(&str, &str, &str)] = &[
    ("dig", "bind9-dnsutils", "a real client: asks a Service for names"),
    ("dnsmasq", "dnsmasq-base", "a replica that real clients ask for names"),
    ("musl-gcc", "musl-tools", "compiles a real client: musl's getaddrinfo"),
    (
        "/usr/lib/python3/dist-packages/pycares/__init__.py",
        "python3-pycares",
        "a real client: c-ares",
    ),
    ("redis-cli", "redis-tools", "a real client, and the server that it asks"),
    ("sipp", "sip-tester", "a real client from port 5060, and the server that it calls"),
];

/// Further programs, whose packages would start a server, or replace the machine's own clock.
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
    let absent = PROGRAMS.iter().filter(|program| {
        program.groups.iter().any(|group| groups.contains(group))
            && process::find(program.name).is_none()
    });
    missing.extend(absent.map(|program| package(program.package, program.why)));
    if groups.contains(&Group::Test) {
        missing.append(&mut clients());
    }
    if groups.contains(&Group::Mutants) && !cargo_mutants::is_installed() {
        missing.push(Missing {
            what: format!("cargo-mutants {}", cargo_mutants::VERSION),
            why: "makes mistakes that tests should notice; built below target/tools, 2 minutes",
            fix: Fix::CargoMutants,
        });
    }
    Ok(missing)
}

fn clients() -> Vec<Missing> {
    let absent = CLIENTS.iter().filter(|(program, ..)| process::find(program).is_none());
    let mut missing: Vec<_> = absent.map(|(_, name, why)| package(name, why)).collect();
    let unpacked = workspace::unpacked().join("usr/sbin");
    let is_absent =
        |program: &str| process::find(program).is_none() && !unpacked.join(program).is_file();
    let absent = UNPACKED.iter().filter(|(program, ..)| is_absent(program));
    missing.extend(absent.map(|(_, name, why)| Missing {
        what: format!("{name} (Debian, unpacked below target/tools)"),
        why,
        fix: Fix::Unpacked(name),
    }));
    missing
}

/// A compiler with a `core` for BPF, and a linker that reads the bitcode of that compiler's LLVM.
fn compiler(toolchain: Option<&Toolchain>) -> Result<Vec<Missing>> {
    let mut missing = Vec::new();
    let llvm = if let Some(toolchain) = toolchain {
        toolchain.llvm()
    } else {
        let offer = toolchain::offer()?;
        missing.extend(offer.needs());
        offer.llvm()
    };
    if !bpf_linker::is_installed(llvm) {
        if !Path::new(&bpf_linker::llvm_config(llvm)).is_file() {
            missing.push(package(&format!("llvm-{llvm}-dev"), "the LLVM that bpf-linker links to"));
        }
        missing.push(Missing {
            what: format!("bpf-linker {}", bpf_linker::VERSION),
            why: "links eBPF objects; built below target/tools, about 2 minutes",
            fix: Fix::BpfLinker { llvm },
        });
    }
    Ok(missing)
}

fn linters(toolchain: Option<&Toolchain>) -> Vec<Missing> {
    let mut missing = Vec::new();
    let host = toolchain::host_sysroot().join("bin");
    for (program, component, why) in [
        ("rustfmt", "rustfmt", "checks the format of the sources"),
        ("clippy-driver", "clippy", "lints the sources"),
    ] {
        if !host.join(program).is_file() {
            let what = format!("{component} (rustup component)");
            missing.push(Missing { what, why, fix: Fix::Component(component) });
        }
    }
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
    Missing { what: format!("{name} (Debian)"), why, fix: Fix::Package(name.to_owned()) }
}

pub(super) fn component(name: &'static str, why: &'static str) -> Missing {
    Missing { what: format!("{name} (rustup component)"), why, fix: Fix::Component(name) }
}
