//! Where things are in this repository, and the cargo to call on it.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// The folder of everything that is built or installed: `target`, unless `CARGO_TARGET_DIR` says
/// otherwise.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Where Debian packages are unpacked that are not installed.
pub(crate) fn unpacked() -> PathBuf {
    target().join("tools/debian")
}

pub(crate) fn bpf_object() -> PathBuf {
    target().join("bpf/redirector.o")
}

pub(crate) fn redirector_binary(release: bool) -> PathBuf {
    target().join(if release { "release" } else { "debug" }).join("redirector")
}

/// The cargo that runs this tool, at the root of the workspace.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(args).current_dir(root());
    // `cargo run` points it at its own toolchain's libraries: not those of Debian's rustc.
    command.env_remove("LD_LIBRARY_PATH");
    command
}
