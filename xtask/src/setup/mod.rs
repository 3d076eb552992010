//! Brings a machine up: finds out what a subcommand misses, says why it is needed, installs it.
//!
//! Everything comes from Debian's packages or crates.io; what is not a package goes below
//! `target/`. Nothing is removed, and the user's home is left alone but for rustup's components.

mod apt;
pub(crate) mod bpf_linker;
pub(crate) mod cargo_mutants;
mod needs;
pub(crate) mod toolchain;

use std::{fmt, process::Command};

use anyhow::{Result, bail};

pub(crate) use needs::Group;
use needs::Missing;

use crate::process;

/// Whether missing packages and tools may be installed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct InstallArgs {
    /// Install nothing: stop with the commands that would
    #[arg(long)]
    pub(crate) no_install: bool,
}

/// What installs something that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fix {
    /// A Debian package.
    Package(String),
    /// A Debian package that is not installed: its files alone, below `target/tools`.
    Unpacked(&'static str),
    /// A component of rustup's toolchain.
    Component(&'static str),
    /// bpf-linker, built against this major version of LLVM.
    BpfLinker { llvm: u32 },
    /// cargo-mutants.
    CargoMutants,
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package(name) => write!(f, "{name} (Debian)"),
            Self::Unpacked(name) => write!(f, "{name} (Debian, unpacked below target/tools)"),
            Self::Component(name) => write!(f, "{name} (rustup component)"),
            Self::BpfLinker { .. } => write!(f, "bpf-linker {}", bpf_linker::VERSION),
            Self::CargoMutants => write!(f, "cargo-mutants {}", cargo_mutants::VERSION),
        }
    }
}

/// Which LLVM the linker needs is certain only once the compiler is there; then it shows what else
/// is missing.
const ROUNDS: usize = 2;

/// Makes sure that everything `groups` need is there.
pub(crate) fn ensure(groups: &[Group], args: InstallArgs) -> Result<()> {
    let missing = needs::missing(groups)?;
    if missing.is_empty() {
        return Ok(());
    }
    println!("set-up: {} missing", missing.len());
    for Missing { fix, why } in &missing {
        println!("  {:<32} {why}", fix.to_string());
    }
    let is_package = |need: &Missing| matches!(need.fix, Fix::Package(_) | Fix::Unpacked(_));
    let has_packages = missing.iter().any(is_package);
    let update = has_packages.then(apt::update);
    if args.no_install {
        let commands: Vec<_> = update.into_iter().chain(commands(&missing)).collect();
        let commands: Vec<_> = commands.iter().map(process::shown).collect();
        bail!("not installed because of --no-install; to do it by hand:\n{}", commands.join("\n"));
    }
    if let Some(mut update) = update {
        if !nix::unistd::geteuid().is_root() {
            bail!("installing Debian packages takes root: run as root, or see --no-install");
        }
        process::announce_and_run(&mut update)?;
    }
    for _ in 0..ROUNDS {
        // What is missing is asked again: fresh package lists may offer a better way.
        for mut command in commands(&needs::missing(groups)?) {
            process::announce_and_run(&mut command)?;
        }
    }
    let missing = needs::missing(groups)?;
    let missing: Vec<_> = missing.iter().map(|need| need.fix.to_string()).collect();
    if !missing.is_empty() {
        bail!("set-up has run and still misses: {}", missing.join(", "));
    }
    Ok(())
}

/// Only root may make namespaces, cgroups and mounts, and attach programs.
pub(crate) fn require_root(subcommand: &str) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "`cargo xtask {subcommand}` attaches eBPF programs, which takes root: run it as root"
        );
    }
    Ok(())
}

/// The commands that install what is missing, in the order in which they depend on each other.
fn commands(missing: &[Missing]) -> Vec<Command> {
    let mut packages: Vec<&str> = Vec::new();
    let mut others = Vec::new();
    for Missing { fix, .. } in missing {
        match fix {
            Fix::Package(name) => packages.push(name),
            Fix::Unpacked(name) => others.push(apt::unpack(name)),
            Fix::Component(name) => {
                let mut rustup = Command::new("rustup");
                rustup.args(["component", "add", name]);
                others.push(rustup);
            }
            Fix::BpfLinker { llvm } => others.push(bpf_linker::install(*llvm)),
            Fix::CargoMutants => others.push(cargo_mutants::install()),
        }
    }
    let packages = (!packages.is_empty()).then(|| apt::install(&packages));
    packages.into_iter().chain(others).collect()
}
