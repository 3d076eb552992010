//! Asks apt what it offers and writes the commands that install from it.

use std::{fs, process::Command};

use crate::{process, workspace};

pub(super) fn is_available() -> bool {
    process::find("apt-get").is_some()
}

/// The version that apt would install.
pub(super) fn candidate(package: &str) -> Option<String> {
    let policy =
        process::stdout_of(Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C"))?;
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then(|| version.to_owned())
}

/// Whether the package lists were ever fetched; container images come without.
pub(super) fn has_lists() -> bool {
    let Ok(lists) = fs::read_dir("/var/lib/apt/lists") else { return false };
    lists.flatten().any(|list| list.file_name().to_string_lossy().contains("_Packages"))
}

pub(super) fn update() -> Command {
    let mut apt = apt_get();
    apt.arg("update");
    apt
}

pub(super) fn install(packages: &[&str]) -> Command {
    let mut apt = apt_get();
    apt.args(["install", "-y", "--no-install-recommends"]).args(packages);
    apt
}

/// The files of a package, without its scripts.
pub(super) fn unpack(package: &str) -> Command {
    let mut shell = Command::new("sh");
    let script = "mkdir -p \"$1\" && cd \"$1\" && apt-get -qq -o APT::Sandbox::User=root download \"$2\" && \
                  for archive in \"$2\"_*.deb; do dpkg-deb -x \"$archive\" . && rm \"$archive\"; done";
    shell.args(["-ec", script, "unpack"]).arg(workspace::unpacked()).arg(package);
    shell
}

fn apt_get() -> Command {
    let mut apt = Command::new("apt-get");
    // A machine that has just booted may be installing updates: wait for it.
    apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-o", "DPkg::Lock::Timeout=300"]);
    apt
}
