//! `cargo xtask build-ebpf`: compiles the eBPF programs into `target/bpf/redirector.o`, and those
//! of the torn-reads test beside it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    process,
    setup::{self, Group, InstallArgs, bpf_linker, toolchain, toolchain::Toolchain},
    workspace,
};

/// Compile the eBPF programs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Log each decision of the programs through aya-log
    #[arg(long)]
    pub(crate) log: bool,
    #[command(flatten)]
    pub(crate) install: InstallArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure(&[Group::Build], args.install)?;
    let toolchain = Toolchain::find().context("no Rust toolchain for eBPF")?;
    println!("building the eBPF object with {toolchain}");
    let mut cargo = cargo(&toolchain, "build");
    cargo.arg("--release").args(args.log.then_some("--features=log"));
    process::run(&mut cargo)?;
    let built = target_dir().join(toolchain::TRIPLE).join("release");
    let object = workspace::bpf_object();
    publish(&built.join("redirector-ebpf"), &object)?;
    publish(&built.join("torn-reader"), &object.with_file_name("torn-reader.o"))
}

/// A cargo command on the programs for the BPF target, with everything such a build needs.
pub(crate) fn cargo(toolchain: &Toolchain, subcommand: &str) -> Command {
    let mut cargo = toolchain.cargo(subcommand);
    let linker = format!("-Clinker={}", bpf_linker::path().display());
    // BTF is made from the debug information.
    let flags = ["-Cdebuginfo=2", "-Clink-arg=--btf", &linker];
    cargo
        .args(["--package", "redirector-ebpf", "--bins"])
        .env("CARGO_TARGET_DIR", target_dir())
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        // The workspace's release profile is meant for the agent: bpf-linker itself links all
        // bitcode into one module and optimises that, and the debug information must stay.
        .env("CARGO_PROFILE_RELEASE_STRIP", "none")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
    cargo
}

/// A folder of its own: another compiler must not throw away what the host's has built.
fn target_dir() -> PathBuf {
    workspace::target().join("bpf/build")
}

/// Puts the object where it is looked for, in one step, and leaves an equal one untouched so that
/// nothing that embeds it is built again.
fn publish(built: &Path, object: &Path) -> Result<()> {
    let bytes = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    if fs::read(object).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let staged = object.with_extension(format!("o.{}", std::process::id()));
    fs::write(&staged, bytes).with_context(|| format!("cannot write {}", staged.display()))?;
    fs::rename(&staged, object).with_context(|| format!("cannot write {}", object.display()))?;
    println!("built {}", object.display());
    Ok(())
}
