//! Mistakes in what the core decides, which its tests must notice: cargo-mutants makes them, each in a
//! copy of the workspace.
//!
//! `.cargo/mutants.toml` says in which modules, by which tests, and which mistakes no test can notice.

use std::{fs, process::Command, time::Instant};

use anyhow::{Context as _, Result};

use super::outcome::Outcome;
use crate::{
    setup::{self, Group, InstallArgs, cargo_mutants},
    workspace,
};

/// Seconds for all mistakes together.
const LIMIT: &str = "3600";
/// What cargo-mutants exits with once it has tried them all: it has found nothing, a mistake that no
/// test notices, or one with which a test does not end, which is noticed.
const COMPLETE: [i32; 3] = [0, 2, 3];

/// Makes all mistakes. One that no test notices is a failure with its place and what it is.
pub(super) fn run(install: InstallArgs) -> Result<Outcome> {
    setup::ensure(&[Group::Mutants], install)?;
    println!("\n== mutants");
    let start = Instant::now();
    let status = Command::new("timeout")
        .args(["--signal=INT", LIMIT])
        .arg(cargo_mutants::path())
        .args(["mutants", "--colors=never", "--output"])
        .arg(workspace::target())
        .current_dir(workspace::root())
        .status()
        .context("cannot run cargo-mutants")?;
    let named = |file: &str| -> Vec<String> {
        let path = workspace::target().join("mutants.out").join(file);
        let list = fs::read_to_string(path).unwrap_or_default();
        list.lines().map(|mutant| format!("mutants::{mutant}")).collect()
    };
    let missed = named("missed.txt");
    let is_complete = status.code().is_some_and(|code| COMPLETE.contains(&code));
    Ok(Outcome {
        passed: (named("caught.txt").len() + named("timeout.txt").len()) as u64,
        failed: (missed.len() as u64).max(u64::from(!is_complete)),
        failures: missed.into_iter().map(|mutant| (mutant, String::new())).collect(),
        time: start.elapsed(),
        ..Outcome::default()
    })
}
