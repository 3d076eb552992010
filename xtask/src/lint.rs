//! `cargo xtask lint`: format, clippy on the host and for the BPF target, docs, dependencies.

use anyhow::{Result, bail};

use crate::{
    build_ebpf, process,
    setup::{self, Group, InstallArgs, toolchain::Toolchain},
    workspace,
};

/// Check format, lints, documentation and dependencies; warnings are errors
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) install: InstallArgs,
}

type Check = fn() -> Result<()>;

/// Runs every check, also after one has failed, and names those that did.
pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure(&[Group::Build, Group::Lint], args.install)?;
    let checks: [(&str, Check); 5] = [
        ("format", format),
        ("clippy on the host", clippy),
        ("clippy for the BPF target", clippy_for_bpf),
        ("documentation", documentation),
        ("dependencies", dependencies),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        println!("lint: {name}");
        if let Err(error) = check() {
            eprintln!("lint: {name}: {error:#}");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("lint failed: {}", failed.join(", "));
    }
    Ok(())
}

fn format() -> Result<()> {
    process::run(&mut workspace::cargo(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    process::run(
        workspace::cargo(["clippy", "--workspace", "--all-targets"]).args(["--", "-D", "warnings"]),
    )
}

/// The programs proper exist only for that target; the host sees no more than the library.
fn clippy_for_bpf() -> Result<()> {
    let Some(toolchain) = Toolchain::find() else { bail!("no Rust toolchain for eBPF") };
    for features in ["", "log"] {
        let driver = toolchain.clippy();
        let mut cargo =
            build_ebpf::cargo(&toolchain, if driver.is_some() { "check" } else { "clippy" });
        cargo.args(["--features", features]);
        process::run(match driver {
            // `cargo clippy` would call the clippy of the cargo at hand, which cannot read the
            // libraries of another compiler. This is what it does, with the one that fits.
            Some(driver) => cargo
                .env("RUSTC_WORKSPACE_WRAPPER", driver)
                .env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__"),
            None => cargo.args(["--", "-D", "warnings"]),
        })?;
    }
    Ok(())
}

fn documentation() -> Result<()> {
    let mut cargo = workspace::cargo(["doc", "--no-deps", "--workspace"]);
    process::run(cargo.env("RUSTDOCFLAGS", "-Dwarnings"))
}

fn dependencies() -> Result<()> {
    if process::find("cargo-deny").is_none() {
        println!("lint: dependencies: not checked, cargo-deny is not on the PATH");
        return Ok(());
    }
    process::run(&mut workspace::cargo(["deny", "check", "bans", "licenses", "sources"]))?;
    // Known vulnerabilities are in a repository of their own, which not every network reaches.
    if process::run(&mut workspace::cargo(["deny", "fetch", "db"])).is_err() {
        println!("lint: dependencies: advisories not checked, their database cannot be fetched");
        return Ok(());
    }
    process::run(&mut workspace::cargo(["deny", "check", "advisories"]))
}
