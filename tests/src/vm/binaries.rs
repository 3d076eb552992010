//! Builds what runs inside a guest: statically linked, because there is nothing else there.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The contents of two executables.
#[derive(Debug)]
pub(super) struct Binaries {
    pub(super) init: Vec<u8>,
    pub(super) redirector: Vec<u8>,
}

/// Cargo's target directory: this test runs from `<target>/<profile>/deps`.
pub(super) fn target_directory() -> Result<PathBuf> {
    let test = env::current_exe().context("cannot find the path of this test")?;
    let target =
        test.ancestors().nth(3).context("this test does not run from a target directory")?;
    Ok(target.to_owned())
}

pub(super) fn build(target: &Path) -> Result<Binaries> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--target", TARGET, "--target-dir"])
        .arg(target)
        .args(["--package", "redirector", "--bin", "redirector"])
        .args(["--package", "redirector-tests", "--bin", "vm-init"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        // With `--target`, flags do not reach build scripts and procedural macros: those are
        // shared with the ordinary build. Without debug information the guest boots faster.
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static -Cdebuginfo=0 -Cstrip=debuginfo")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .context("cannot run cargo")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cannot build the guest's binaries:\n{errors}");
    let read = |name: &str| {
        let path = target.join(TARGET).join("debug").join(name);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    Ok(Binaries { init: read("vm-init")?, redirector: read("redirector")? })
}
