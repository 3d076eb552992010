//! `cargo xtask build`: the eBPF object and the binary that carries it.

use anyhow::Result;

use crate::{build_ebpf, process, setup::InstallArgs, workspace};

/// Build the eBPF object and the `redirector` binary that carries it
#[derive(Debug, clap::Args)]
// Without a name of its own its group would have that of the flattened `Args`.
#[group(skip)]
pub(crate) struct Args {
    /// Build the binary with optimisations
    #[arg(long)]
    release: bool,
    #[command(flatten)]
    ebpf: build_ebpf::Args,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    build_ebpf::run(&args.ebpf)?;
    binary(args.release)?;
    println!("built {}", workspace::redirector_binary(args.release).display());
    Ok(())
}

/// Builds the object and the release binary quietly: what tests, demo and benches run on.
pub(crate) fn release(install: InstallArgs) -> Result<()> {
    build_ebpf::run(&build_ebpf::Args { log: false, install })?;
    binary(true)
}

/// Builds the object, and in one build of the `dev` profile the binary and every test: what `cargo
/// test` runs afterwards is there. One that does not compile fails where it is to run.
pub(crate) fn with_tests(install: InstallArgs) -> Result<()> {
    build_ebpf::run(&build_ebpf::Args { log: false, install })?;
    let mut cargo = workspace::cargo(["build", "--workspace", "--lib", "--bins", "--tests"]);
    process::run(cargo.env("REDIRECTOR_BPF_OBJECT", workspace::bpf_object()))
}

fn binary(release: bool) -> Result<()> {
    let mut cargo = workspace::cargo(["build", "--package", "redirector"]);
    cargo.args(release.then_some("--release"));
    process::run(cargo.env("REDIRECTOR_BPF_OBJECT", workspace::bpf_object()))
}
