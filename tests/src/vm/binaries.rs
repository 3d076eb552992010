//! What runs inside a guest: the very binaries of this test run, and the libraries that they are linked
//! with, because there is nothing else there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::programs;

/// The contents of two executables, and of what they need, by its path.
#[derive(Debug)]
pub(super) struct Binaries {
    pub(super) init: Vec<u8>,
    pub(super) redirector: Vec<u8>,
    pub(super) libraries: Vec<(PathBuf, Vec<u8>)>,
}

impl Binaries {
    pub(super) fn read() -> Result<Self> {
        let (init, redirector) = (programs::vm_init()?, programs::redirector()?);
        let mut libraries = needs(&init)?;
        libraries.extend(needs(&redirector)?);
        let read = |path: PathBuf| {
            let content = fs::read(&path);
            let content = content.with_context(|| format!("cannot read {}", path.display()))?;
            Ok((path, content))
        };
        let libraries = libraries.into_iter().map(read).collect::<Result<_>>()?;
        Ok(Self { init: stripped(&init)?, redirector: stripped(&redirector)?, libraries })
    }
}

/// Paths of the shared libraries, and of the program that links them at run time.
fn needs(program: &Path) -> Result<BTreeSet<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("cannot run ldd")?;
    ensure!(output.status.success(), "ldd {}: {output:?}", program.display());
    let text = String::from_utf8_lossy(&output.stdout);
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.map(PathBuf::from).collect())
}

/// Without debug information the guest boots faster.
fn stripped(program: &Path) -> Result<Vec<u8>> {
    let copy = tempfile::NamedTempFile::new().context("cannot make a file")?;
    let output = Command::new("strip")
        .args(["--strip-debug", "-o"])
        .args([copy.path(), program])
        .output()
        .context("cannot run strip")?;
    ensure!(output.status.success(), "strip {}: {output:?}", program.display());
    fs::read(copy.path()).with_context(|| format!("cannot read {}", copy.path().display()))
}
