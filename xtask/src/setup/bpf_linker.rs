//! The linker of the eBPF programs: pinned, built here, kept below `target/tools`.

use std::{fs, path::PathBuf, process::Command};

use crate::{process, workspace};

pub(crate) const VERSION: &str = "0.13.0";

pub(crate) fn path() -> PathBuf {
    tools().join("bin/bpf-linker")
}

/// Whether this version, built against this LLVM, is there and starts (its LLVM is a shared
/// library that may have been removed since).
pub(super) fn is_installed(llvm: u32) -> bool {
    // What cargo itself records about its installs: version and features.
    let record = fs::read_to_string(tools().join(".crates2.json")).unwrap_or_default();
    let is_recorded = record.contains(&format!("\"bpf-linker {VERSION} "))
        && record.contains(&format!("\"llvm-{llvm}\""));
    is_recorded && process::stdout_of(Command::new(path()).arg("--version")).is_some()
}

/// `cargo install`, against the LLVM whose bitcode it has to read.
pub(super) fn install(llvm: u32) -> Command {
    let mut cargo = workspace::cargo(["install", "bpf-linker", "--version", VERSION]);
    cargo
        .args(["--locked", "--force", "--no-default-features", "--features"])
        .arg(format!("llvm-{llvm}"))
        .arg("--root")
        .arg(tools())
        .env("LLVM_PREFIX", llvm_prefix(llvm))
        .env("CARGO_TARGET_DIR", tools().join("build"));
    cargo
}

pub(super) fn llvm_config(llvm: u32) -> String {
    format!("{}/bin/llvm-config", llvm_prefix(llvm))
}

fn llvm_prefix(llvm: u32) -> String {
    format!("/usr/lib/llvm-{llvm}")
}

fn tools() -> PathBuf {
    workspace::target().join("tools")
}
