//! cargo-mutants: pinned, built here, kept below `target/tools`.

use std::{path::PathBuf, process::Command};

use crate::{process, workspace};

pub(super) const VERSION: &str = "27.1.0";

pub(crate) fn path() -> PathBuf {
    tools().join("bin/cargo-mutants")
}

pub(super) fn is_installed() -> bool {
    let version = process::stdout_of(Command::new(path()).args(["mutants", "--version"]));
    version.is_some_and(|version| version == format!("cargo-mutants {VERSION}"))
}

pub(super) fn install() -> Command {
    let mut cargo = workspace::cargo(["install", "cargo-mutants", "--version", VERSION]);
    cargo.args(["--locked", "--force", "--root"]).arg(tools());
    cargo.env("CARGO_TARGET_DIR", tools().join("build"));
    cargo
}

fn tools() -> PathBuf {
    workspace::target().join("tools")
}
