//! `cargo xtask image`: the container image as an OCI archive, without a container engine.
//!
//! The same binary makes the same bytes: nothing here has a time, an owner or an order of its own.

mod archive;
mod elf;
mod layout;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    build_ebpf,
    process::{self, find},
    setup::InstallArgs,
    workspace,
};

/// What an image may take on a node's disk and on the way there, in bytes.
const LARGEST: usize = 30_000_000;

/// The texts that go with the binary.
const LICENCES: [(&str, &[u8]); 2] = [
    ("LICENSE-APACHE", include_bytes!("../../../LICENSE-APACHE")),
    ("LICENSE-MIT", include_bytes!("../../../LICENSE-MIT")),
];

/// Build the container image as an OCI archive, without a container engine
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to write it [default: redirector.oci.tar in the folder of everything that is built]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Take this statically linked binary instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    #[command(flatten)]
    install: InstallArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => build(args.install)?,
    };
    let bytes = fs::read(&binary).with_context(|| format!("cannot read {}", binary.display()))?;
    let architecture = elf::static_architecture(&bytes)
        .with_context(|| format!("{} cannot be put into an image", binary.display()))?;
    let image = layout::image(&layout::layer(&bytes, &LICENCES)?, architecture)?;
    ensure!(
        image.archive.len() <= LARGEST,
        "the image has {} bytes; it may have {LARGEST}",
        image.archive.len()
    );
    let output =
        args.output.clone().unwrap_or_else(|| workspace::target().join("redirector.oci.tar"));
    fs::write(&output, &image.archive)
        .with_context(|| format!("cannot write {}", output.display()))?;
    println!(
        "built {}: {} for linux/{architecture}, {:.1} MB, {}",
        output.display(),
        layout::NAME,
        image.archive.len() as f64 / 1e6,
        image.digest,
    );
    inspect(&output)
}

/// The binary that is shipped, with nothing to link to at run time. With `--target` the flags do
/// not reach build scripts and procedural macros, which cannot be static.
fn build(install: InstallArgs) -> Result<PathBuf> {
    const FLAGS: &str = "-Ctarget-feature=+crt-static";
    build_ebpf::run(&build_ebpf::Args { log: false, install })?;
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut cargo = workspace::cargo(["build", "--profile", "dist", "--package", "redirector"]);
    cargo
        .args(["--target", &triple])
        .env("RUSTFLAGS", FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("REDIRECTOR_BPF_OBJECT", workspace::bpf_object());
    process::run(&mut cargo)?;
    Ok(workspace::target().join(triple).join("dist/redirector"))
}

/// Lets skopeo read the archive, where it is installed.
fn inspect(archive: &Path) -> Result<()> {
    let Some(skopeo) = find("skopeo") else {
        println!("not inspected: skopeo is not on the PATH");
        return Ok(());
    };
    let mut skopeo = std::process::Command::new(skopeo);
    skopeo.arg("inspect").arg(format!("oci-archive:{}", archive.display()));
    let said = process::stdout_of(&mut skopeo)
        .with_context(|| format!("skopeo cannot read {}", archive.display()))?;
    ensure!(said.contains("\"Os\": \"linux\""), "skopeo reads another image: {said}");
    println!("skopeo reads it");
    Ok(())
}
