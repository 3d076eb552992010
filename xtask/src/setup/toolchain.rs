//! Finds a Rust compiler that can build for the BPF target, and says how to call it.
//!
//! Two ways exist. Debian's `rustc-web` comes with a `core` for BPF; any other stable compiler
//! builds `core` from its own sources. Both need `RUSTC_BOOTSTRAP`, neither needs nightly.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use super::{
    Fix, apt,
    needs::{self, Missing},
};
use crate::{process, workspace};

pub(crate) const TRIPLE: &str = "bpfel-unknown-none";
pub(super) const DEBIAN_CLIPPY: &str = "/usr/bin/clippy-driver";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// What Debian's compiler is built with; looked up again once it is installed.
const DEBIAN_LLVM: u32 = 22;

#[derive(Debug)]
pub(crate) struct Toolchain {
    rustc: PathBuf,
    release: String,
    llvm: u32,
    /// Whether `core` for the target is there already; else it is built from its sources.
    has_core: bool,
}

impl Toolchain {
    /// In order: a compiler with a prebuilt `core`, then one that has the sources of `core`;
    /// Debian's before the one in PATH. Older ones than the workspace asks for do not count.
    pub(crate) fn find() -> Option<Self> {
        let compilers = [PathBuf::from(DEBIAN_RUSTC), host_rustc()];
        let find = |has_core| compilers.iter().find_map(|rustc| Self::inspect(rustc, has_core));
        find(true).or_else(|| find(false))
    }

    /// The major version of the LLVM inside the compiler.
    pub(super) fn llvm(&self) -> u32 {
        self.llvm
    }

    /// The clippy of this very compiler; None where `cargo clippy` finds it by itself.
    pub(crate) fn clippy(&self) -> Option<&'static Path> {
        (self.rustc == Path::new(DEBIAN_RUSTC)).then(|| Path::new(DEBIAN_CLIPPY))
    }

    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut cargo = workspace::cargo([subcommand, "--target", TRIPLE]);
        cargo.env("RUSTC", &self.rustc).env("RUSTC_BOOTSTRAP", "1");
        if !self.has_core {
            cargo.arg("-Zbuild-std=core");
        }
        cargo
    }

    fn inspect(rustc: &Path, has_core: bool) -> Option<Self> {
        let libraries = sysroot(rustc)?.join("lib/rustlib");
        let (prebuilt, sources) = (libraries.join(TRIPLE).join("lib"), "src/rust/library/core");
        let core = if has_core { prebuilt } else { libraries.join(sources) };
        let (release, llvm) = versions(rustc)?;
        let is_usable = core.is_dir() && is_recent(&release);
        is_usable.then(|| Self { rustc: rustc.to_owned(), release, llvm, has_core })
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rustc, release, llvm, has_core } = self;
        let core = if *has_core { "its prebuilt core" } else { "core built from source" };
        write!(f, "rustc {release} ({}), {core}, LLVM {llvm}", rustc.display())
    }
}

/// What brings this machine to a toolchain, and the major version of its LLVM: Debian's packages
/// where they are recent enough, else the sources of rustup's compiler.
pub(super) fn offer() -> Result<(Vec<Missing>, u32)> {
    if apt::is_available() {
        let core = apt::candidate("libstd-rust-web-dev-bpf");
        // Without package lists apt cannot tell yet: fetching them comes first either way.
        if !apt::has_lists() || core.is_some_and(|version| is_recent(&version)) {
            let packages = vec![
                needs::package("rustc-web", "a stable compiler that knows the BPF target"),
                needs::package("libstd-rust-web-dev-bpf", "its core library for the BPF target"),
            ];
            return Ok((packages, DEBIAN_LLVM));
        }
    }
    match versions(&host_rustc()) {
        Some((_, llvm)) if process::find("rustup").is_some() => {
            let why = "the core library to build for the BPF target";
            Ok((vec![Missing { fix: Fix::Component("rust-src"), why }], llvm))
        }
        _ => bail!(
            "no way to compile eBPF: neither apt offers libstd-rust-web-dev-bpf {} or newer, nor \
             is there a rustup to add rust-src with",
            env!("CARGO_PKG_RUST_VERSION"),
        ),
    }
}

/// Where the compiler of the host's code lives.
pub(super) fn host_sysroot() -> PathBuf {
    sysroot(&host_rustc()).unwrap_or_default()
}

fn host_rustc() -> PathBuf {
    env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from)
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    process::stdout_of(Command::new(rustc).args(["--print", "sysroot"])).map(PathBuf::from)
}

/// A compiler's release and the major version of its LLVM.
fn versions(rustc: &Path) -> Option<(String, u32)> {
    let text = process::stdout_of(Command::new(rustc).arg("-vV"))?;
    let field = |name| text.lines().find_map(|line| line.strip_prefix(name));
    let llvm = field("LLVM version: ")?.split('.').next()?.parse().ok()?;
    Some((field("release: ")?.to_owned(), llvm))
}

/// Whether a version is at least the one that the workspace asks for.
fn is_recent(version: &str) -> bool {
    fn minor(version: &str) -> Option<(u32, u32)> {
        let mut numbers = version.split(|c: char| !c.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
    minor(version) >= minor(env!("CARGO_PKG_RUST_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_and_with_debian_suffixes() {
        assert!(is_recent("1.96.0+dfsg1-1~deb12u2"));
        assert!(is_recent(env!("CARGO_PKG_RUST_VERSION")));
        assert!(is_recent("1.100.0"));
        assert!(!is_recent("1.85.0+dfsg3-1~deb12u3"));
        assert!(!is_recent("unknown"));
    }
}
