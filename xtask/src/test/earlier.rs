//! Builds what upgrades are tested from: the binary of an earlier commit with its own programs, once,
//! below `target/earlier`. It takes some 4 minutes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    build_ebpf, process,
    setup::toolchain::{self, Toolchain},
    workspace,
};

/// The last commit with layout 3.
const COMMIT: &str = "762e9270842f9b16096efc25681d8e3ae36e2706";

/// An earlier version, or why there is none.
#[derive(Debug)]
pub(super) enum Earlier {
    /// The folder with `redirector`, and its `source`.
    Built(PathBuf),
    Absent(String),
}

impl Earlier {
    /// Builds that commit unless its binary is there. A clone without that history has none.
    pub(super) fn ensure() -> Result<Self> {
        let folder = workspace::target().join("earlier").join(&COMMIT[..7]);
        let binary = folder.join("redirector");
        if binary.is_file() {
            return Ok(Self::Built(folder));
        }
        if process::stdout_of(git().args(["cat-file", "-e", &format!("{COMMIT}^{{commit}}")]))
            .is_none()
        {
            let why = format!("this clone lacks the commit {} (a shallow one?)", &COMMIT[..7]);
            return Ok(Self::Absent(why));
        }
        println!("building {} for the upgrade, some 4 minutes, once", &COMMIT[..7]);
        let source = folder.join("source");
        extract(&folder, &source)?;
        let built = build(&folder, &source)?;
        // In one step, and as the last one: a run that finds the binary finds all.
        let staged = binary.with_extension("new");
        fs::copy(&built, &staged)
            .and_then(|_| fs::rename(&staged, &binary))
            .with_context(|| format!("cannot write {}", binary.display()))?;
        for folder in [bpf(&folder), host(&folder)] {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        Ok(Self::Built(folder))
    }

    /// Name and value of the variable that `tests/src/programs.rs` reads.
    pub(super) fn variable(&self) -> (&'static str, &Path) {
        match self {
            Self::Built(folder) => ("REDIRECTOR_EARLIER", folder),
            Self::Absent(why) => ("REDIRECTOR_NO_EARLIER", Path::new(why)),
        }
    }
}

fn git() -> Command {
    let mut git = Command::new("git");
    git.current_dir(workspace::root());
    git
}

fn bpf(folder: &Path) -> PathBuf {
    folder.join("bpf")
}

fn host(folder: &Path) -> PathBuf {
    folder.join("host")
}

/// The files of the commit, whatever an earlier try has left.
fn extract(folder: &Path, source: &Path) -> Result<()> {
    if source.exists() {
        fs::remove_dir_all(source)
            .with_context(|| format!("cannot remove {}", source.display()))?;
    }
    fs::create_dir_all(source).with_context(|| format!("cannot make {}", source.display()))?;
    let archive = folder.join("source.tar");
    process::run(git().args(["archive", "--format=tar", "-o"]).arg(&archive).arg(COMMIT))?;
    let file = fs::File::open(&archive).context("cannot read what git has written")?;
    tar::Archive::new(file).unpack(source).context("cannot unpack what git has written")?;
    fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))
}

/// Builds programs and binary as this tool builds the present ones, with the same tools.
fn build(folder: &Path, source: &Path) -> Result<PathBuf> {
    let toolchain = Toolchain::find().context("no Rust toolchain for eBPF")?;
    let mut programs = build_ebpf::cargo(&toolchain, "build");
    programs.args(["--release", "--locked"]).current_dir(source);
    process::run(programs.env("CARGO_TARGET_DIR", bpf(folder)))?;
    let object = bpf(folder).join(toolchain::TRIPLE).join("release/redirector-ebpf");
    let mut agent = workspace::cargo(["build", "--package", "redirector", "--release", "--locked"]);
    agent.current_dir(source).env("CARGO_TARGET_DIR", host(folder));
    process::run(agent.env("REDIRECTOR_BPF_OBJECT", object))?;
    Ok(host(folder).join("release/redirector"))
}
