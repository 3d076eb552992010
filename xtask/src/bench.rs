//! `cargo xtask bench`: sets up, builds and runs the benchmark in `tests/benches/speed`.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::{
    build_ebpf, process,
    setup::{self, Group, InstallArgs},
    workspace,
};

/// Measure what a redirected connect costs, beside iptables, nftables and HAProxy
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Fewer rounds and smaller rule sets: under a minute
    #[arg(long)]
    quick: bool,
    /// Fail if a goal is missed
    #[arg(long)]
    strict: bool,
    /// Write all numbers to this file as well, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write what was promised and what it costs into docs/performance.md
    #[arg(long, conflicts_with = "quick")]
    docs: bool,
    #[command(flatten)]
    install: InstallArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Args { quick, strict, json, docs, install } = args;
    setup::require_root("bench")?;
    setup::ensure(&[Group::Build, Group::Bench], *install)?;
    build_ebpf::run(&build_ebpf::Args { log: false, install: *install })?;
    let mut cargo = workspace::cargo(["bench", "--package", "redirector-tests"]);
    cargo.args(["--bench", "speed", "--"]);
    cargo.env("REDIRECTOR_BPF_OBJECT", workspace::bpf_object());
    cargo.env("PATH", env::join_paths(process::path())?);
    cargo.args(quick.then_some("--quick")).args(strict.then_some("--strict"));
    if let Some(file) = json {
        // Cargo runs it in the folder of its package.
        let file = std::path::absolute(file).context("cannot tell where this is")?;
        cargo.arg("--json").arg(file);
    }
    if *docs {
        cargo.arg("--page").arg(workspace::root().join("docs/performance.md"));
    }
    process::run(&mut cargo)
}
